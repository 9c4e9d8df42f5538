/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenlibd: a stand-in for xenstored, and for what Xen and Linux do about event channels and grants,
 * for domains that are processes of one machine. For tests only: it believes a process that says
 * which domain it is.
 *
 * One thread; a process that ends, ends its connections, and they undo what it had.
 */
#ifndef TESTS_XENLIB_DAEMON_H
#define TESTS_XENLIB_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

#include "wire.h"

#define GNTALLOC_LIMIT 1024u /* pages, Linux's default */
#define GRANTS_PER_DOMAIN 32768u
#define DOMID_SELF_ 0x7ff0u /* "the caller" */

/* ---- domains (domain.c) ---- */

struct grant {
	bool used;
	bool shared; /* the owner still has it */
	bool writable;
	uint32_t permitted; /* domain that may map it */
	uint32_t maps;
};

struct domain {
	LIST_ENTRY(domain) link;
	uint32_t id;
	char name[64];
	char uuid[37];
	bool paused;   /* its kernel does not run: events stay pending */
	bool dead;     /* destroyed, but pages are mapped elsewhere */
	uint32_t refs; /* mappings of its pages */
	uint32_t limit;
	uint32_t shared; /* pages that count against the limit */
	int memory;      /* memfd: the page of grant N stands at N pages */
	struct grant grants[GRANTS_PER_DOMAIN];
};
LIST_HEAD(domain_list, domain);
extern struct domain_list domains;

struct domain *domain_find(uint32_t id); /* NULL: there is none that lives */
int domain_create(uint32_t id, const char *name, const char *uuid);
int domain_destroy(uint32_t id);
void domain_put(struct domain *d); /* one mapping fewer */

/* ---- connections (daemon.c) ---- */

struct xs_client;

struct conn {
	LIST_ENTRY(conn) link;
	int fd;
	short revents;
	bool dead;
	bool listener; /* of XenStore connections, if kind says nothing */
	bool greeted;
	uint32_t domid;
	enum wire_kind kind;
	struct xs_client *xs; /* a XenStore connection */
	int events;           /* evtchn: writing end of the pipe of ports */
	uint32_t restricted;  /* evtchn: the only domain it may reach, or WIRE_NONE */
};
LIST_HEAD(conn_list, conn);
extern struct conn_list conns;

/* XenStore of domain @id is at <socket>.xs.<id>. */
int daemon_listen_xs(uint32_t id);
/* End all of a domain's connections, and its listener. */
void daemon_drop_domain(uint32_t id);

/* ---- event channels (ports.c) ---- */

int port_alloc(struct conn *c, uint32_t remote);
int port_bind(struct conn *c, uint32_t remote, uint32_t remote_port);
int port_unbind(struct conn *c, uint32_t number);
int port_notify(struct conn *c, uint32_t number);
int port_unmask(struct conn *c, uint32_t number);
int port_restrict(struct conn *c, uint32_t domid);
void ports_conn_gone(struct conn *c);
void ports_domain_gone(uint32_t domid);
uint32_t ports_count(uint32_t domid);
void ports_dump(FILE *out);

/* A notification of gntalloc or gntdev keeps the port open, whoever else closes it. */
bool port_hold(uint32_t domid, uint32_t number); /* false: no such port */
void port_signal_and_release(uint32_t domid, uint32_t number);

/* The domain's kernel runs again: it takes what is pending. */
void ports_unpaused(uint32_t domid);

/* The domain was saved and restored: its ports are none any more, and its programs have them still.
 */
void ports_restored(uint32_t domid);

/* ---- grants (grants.c) ---- */

/* Return 0 or a negative errno; refs and descriptors for the reply. */
int grants_share(struct conn *c, const struct wire_request *rq, uint32_t *refs, int *fd);
int grants_map(struct conn *c, const struct wire_request *rq, int *fds, uint32_t *nfds);
int grants_unmap(struct conn *c, uint64_t va, uint32_t count);
uint32_t grants_mapped(const struct conn *c);
void grants_conn_gone(struct conn *c);
uint32_t grants_count(const struct domain *d); /* in use, also those that wait for an unmap */
uint32_t grants_count_maps(uint32_t domid);    /* pages that the domain has mapped */

/* ---- XenStore (xs_*.c) ---- */

struct xs_client *xs_client_new(struct conn *c);
void xs_client_free(struct xs_client *x);
/* False: the connection is over. */
bool xs_client_readable(struct xs_client *x);
bool xs_client_writable(struct xs_client *x);
bool xs_client_wants_write(const struct xs_client *x);

int xs_domain_introduce(const struct domain *d);
void xs_domain_release(uint32_t id);
uint32_t xs_count_nodes(uint32_t domid);
uint32_t xs_count_watches(uint32_t domid);
uint32_t xs_count_transactions(uint32_t domid);
void xs_dump(FILE *out);

/* ---- commands (control.c) ---- */

/* Returns 0 or a negative errno; @text is an answer, or says what is wrong. */
int control_run(char *command, size_t bytes, char *text, size_t size);

#endif
