/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event channels: the hypervisor's half (who may bind what, what closing does to the other end)
 * and that of Linux's evtchn driver (a port is masked when it is delivered, until the program says
 * that it has looked; what comes in between is kept and delivered then).
 */
#include "daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_PORT 10u /* the kernel has the first ones */
#define PORTS_MAX 4096u

struct port {
	LIST_ENTRY(port) link;
	uint32_t domid, number;
	bool bound; /* interdomain; else unbound, waiting for @remote_domid */
	uint32_t remote_domid, remote_number;
	bool pending;
	bool masked;
	bool stale;        /* of the time before the domain was restored: a program's, no port */
	struct conn *file; /* whose program has it; NULL: only held by notifications */
	uint32_t holds;    /* the program's, and one for each notification */
};

static LIST_HEAD(port_list, port) ports = LIST_HEAD_INITIALIZER(ports);

static struct port *find(uint32_t domid, uint32_t number)
{
	struct port *p;

	LIST_FOREACH(p, &ports, link)
		if (p->domid == domid && p->number == number && !p->stale)
			return p;
	return NULL;
}

static struct port *find_own(const struct conn *c, uint32_t number)
{
	struct port *p;

	LIST_FOREACH(p, &ports, link)
		if (p->file == c && p->number == number)
			return p;
	return NULL;
}

static void deliver(struct port *p)
{
	const struct domain *d = domain_find(p->domid);
	uint32_t number = p->number;

	if (!p->pending || p->masked || !p->file || (d && d->paused))
		return;
	p->pending = false;
	p->masked = true;
	/* Not blocking: a program that never reads loses events, as it does from a full ring. */
	if (write(p->file->events, &number, sizeof(number)) < 0)
		fprintf(stderr, "xenlibd: domain %u: port %u: event lost\n", p->domid, number);
}

static void raise_port(struct port *p)
{
	p->pending = true;
	deliver(p);
}

static void send_event(const struct port *p)
{
	struct port *other = p->bound ? find(p->remote_domid, p->remote_number) : NULL;

	if (other)
		raise_port(other);
}

static struct port *new_port(struct conn *c, uint32_t remote)
{
	struct port *p;
	uint32_t number = FIRST_PORT;

	while (number < PORTS_MAX && find(c->domid, number))
		number++;
	p = number < PORTS_MAX ? calloc(1, sizeof(*p)) : NULL;
	if (!p)
		return NULL;
	p->domid = c->domid;
	p->number = number;
	p->remote_domid = remote;
	p->file = c;
	p->holds = 1;
	LIST_INSERT_HEAD(&ports, p, link);
	return p;
}

/* The other end may be bound again, by the same domain. */
static void close_port(struct port *p)
{
	struct port *other = p->bound ? find(p->remote_domid, p->remote_number) : NULL;

	if (other)
		other->bound = false;
	LIST_REMOVE(p, link);
	free(p);
}

static void release(struct port *p)
{
	if (--p->holds == 0)
		close_port(p);
}

/* A program lets go. */
static void drop(struct port *p)
{
	struct port *other;

	p->file = NULL;
	if (!p->stale) {
		release(p);
		return;
	}
	/* Linux takes the number for a port's, and whoever has that one loses a reference. */
	other = find(p->domid, p->number);
	if (!other) {
		fprintf(stderr,
			"xenlibd: domain %u: port %u: kernel BUG in evtchn_unbind_from_user\n",
			p->domid, p->number);
		abort();
	}
	close_port(p);
	release(other);
}

static bool reachable(const struct conn *c, uint32_t remote)
{
	return c->restricted == WIRE_NONE || c->restricted == remote;
}

int port_alloc(struct conn *c, uint32_t remote)
{
	struct port *p;

	if (!reachable(c, remote))
		return -EACCES;
	if (!domain_find(remote) && remote != DOMID_SELF_)
		return -ESRCH;
	p = new_port(c, remote);
	return p ? (int)p->number : -ENOSPC;
}

int port_bind(struct conn *c, uint32_t remote, uint32_t remote_port)
{
	struct port *other, *p;

	if (!reachable(c, remote))
		return -EACCES;
	if (!domain_find(remote))
		return -ESRCH;
	other = find(remote, remote_port);
	if (!other || other->bound || other->remote_domid != c->domid)
		return -EINVAL;
	p = new_port(c, remote);
	if (!p)
		return -ENOSPC;
	p->bound = other->bound = true;
	p->remote_number = other->number;
	other->remote_number = p->number;
	/* What the other side sent before is lost, so Xen signals once in any case. */
	raise_port(p);
	return (int)p->number;
}

int port_unbind(struct conn *c, uint32_t number)
{
	struct port *p = find_own(c, number);

	if (!p)
		return -ENOTCONN;
	drop(p);
	return 0;
}

int port_notify(struct conn *c, uint32_t number)
{
	struct port *p = find_own(c, number);

	if (!p)
		return -ENOTCONN;
	send_event(p);
	return 0;
}

int port_unmask(struct conn *c, uint32_t number)
{
	struct port *p = find_own(c, number);

	if (!p)
		return 0; /* as the driver: not an error */
	p->masked = false;
	deliver(p);
	return 0;
}

int port_restrict(struct conn *c, uint32_t domid)
{
	if (c->restricted != WIRE_NONE)
		return -EACCES;
	c->restricted = domid;
	return 0;
}

bool port_hold(uint32_t domid, uint32_t number)
{
	struct port *p = find(domid, number);

	if (!p || !p->file)
		return false;
	p->holds++;
	return true;
}

/* Of one that is gone, Linux warns. */
void port_signal_and_release(uint32_t domid, uint32_t number)
{
	struct port *p = find(domid, number);

	if (!p)
		return;
	send_event(p);
	release(p);
}

void ports_unpaused(uint32_t domid)
{
	struct port *p;

	LIST_FOREACH(p, &ports, link)
		if (p->domid == domid)
			deliver(p);
}

void ports_restored(uint32_t domid)
{
	struct port *p, *other;

	LIST_FOREACH(p, &ports, link) {
		if (p->domid != domid || p->stale)
			continue;
		other = p->bound ? find(p->remote_domid, p->remote_number) : NULL;
		if (other)
			other->bound = false;
		p->bound = false;
		p->stale = true;
	}
}

void ports_conn_gone(struct conn *c)
{
	struct port *p, *next;

	for (p = LIST_FIRST(&ports); p; p = next) {
		next = LIST_NEXT(p, link);
		if (p->file == c)
			drop(p);
	}
}

/* Its programs' connections are gone, so what is left belongs to nobody. */
void ports_domain_gone(uint32_t domid)
{
	struct port *p;

	LIST_FOREACH(p, &ports, link)
		if (!p->bound && p->remote_domid == domid)
			p->remote_domid = WIRE_NONE; /* its number may be another's soon */
}

uint32_t ports_count(uint32_t domid)
{
	uint32_t n = 0;
	struct port *p;

	LIST_FOREACH(p, &ports, link)
		n += p->domid == domid && !p->stale;
	return n;
}

void ports_dump(FILE *out)
{
	struct port *p;

	LIST_FOREACH(p, &ports, link)
		fprintf(out, "port %u:%u %s %u:%u%s%s holds %u\n", p->domid, p->number,
			p->bound ? "bound to" : "unbound for", p->remote_domid, p->remote_number,
			p->pending ? " pending" : "", p->masked ? " masked" : "", p->holds);
}
