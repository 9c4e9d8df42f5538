/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XenStore's tree: nodes by path, and transactions, which see what they have looked at as it was
 * then, and end in vain if any of it has changed meanwhile. Rules and error numbers are those of
 * Xen 4.17's xenstored.
 *
 * Functions return 0 or an errno (positive: as it goes over the wire).
 */
#ifndef TESTS_XENLIB_XS_STORE_H
#define TESTS_XENLIB_XS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>

#define XS_NODES_MAX 1000u /* quotas of a domain without privileges */
#define XS_WATCHES_MAX 128u
#define XS_NODE_BYTES_MAX 2048u
#define XS_TRANSACTIONS_MAX 10u
#define XS_PERMS_MAX 5u

#define XS_BUCKETS 256u

struct xs_perm {
	uint32_t domid;
	uint32_t perms; /* XS_PERM_READ | XS_PERM_WRITE, xenstore_lib.h */
};

struct xs_node {
	struct xs_node *next; /* in its bucket */
	char *path;
	bool exists;   /* false only in a transaction: seen not to be there, or removed */
	bool modified; /* in a transaction */
	uint64_t generation;
	void *value;
	uint32_t value_bytes;
	char *children; /* names, each with its NUL, oldest first */
	uint32_t children_bytes;
	struct xs_perm *perms; /* the first names the owner, and what all others may */
	uint32_t nperms;
};

struct xs_table {
	struct xs_node *bucket[XS_BUCKETS];
};

/* A change that watches are to hear of. */
struct xs_change {
	STAILQ_ENTRY(xs_change) link;
	char *path;
	bool exact;          /* not those of its parents: it went along with one of them */
	struct xs_node *old; /* before; NULL: there was none, or it was readable as it is */
};
STAILQ_HEAD(xs_change_list, xs_change);

struct xs_transaction {
	LIST_ENTRY(xs_transaction) link;
	uint32_t id;
	uint32_t domid;
	struct xs_table seen;
	struct xs_change_list changes;
};

/* Who asks, and in which transaction (or NULL). */
struct xs_caller {
	uint32_t domid;
	struct xs_transaction *t;
	struct xs_change_list *changes; /* where changes go: the transaction's, or the caller's */
};

/* What @domid may do with it: XS_PERM_READ, _WRITE, _OWNER. */
uint32_t xs_may(uint32_t domid, const struct xs_node *n);

/* A node with all of the permissions @need, or the errno that the caller is to see. */
int xs_get(struct xs_caller *c, const char *path, uint32_t need, struct xs_node **out);

int xs_node_write(struct xs_caller *c, const char *path, const void *value, uint32_t bytes);
int xs_node_mkdir(struct xs_caller *c, const char *path);
int xs_node_rm(struct xs_caller *c, const char *path);
int xs_node_set_perms(struct xs_caller *c, const char *path, const struct xs_perm *perms,
		      uint32_t n);

/* The node outside of any transaction, whoever may see it, or NULL. */
struct xs_node *xs_peek(const char *path);
/* The path of the directory above; "/" of what is at the top. To be freed. */
char *xs_parent(const char *path);

struct xs_transaction *xs_transaction_new(uint32_t domid, uint32_t id);
void xs_transaction_free(struct xs_transaction *t);
/* EAGAIN: somebody else's came first. Changes are added to @changes. Frees it in any case. */
int xs_transaction_commit(struct xs_transaction *t, struct xs_change_list *changes);

void xs_changes_clear(struct xs_change_list *changes);

/* Remove what a dead domain owned, wherever it stands. */
void xs_remove_owned(uint32_t domid, struct xs_change_list *changes);

uint32_t xs_nodes_owned(uint32_t domid);
/* All paths, in order; each to be freed, and the array. */
char **xs_all_paths(size_t *n);

#endif
