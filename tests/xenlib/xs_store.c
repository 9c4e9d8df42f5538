/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xs_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xenstore_lib.h>

static struct xs_table tree;
static uint64_t generation;

/* Memory is a test's least problem. */
static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static void *copy_of(const void *p, size_t bytes)
{
	void *out = must(malloc(bytes + 1));

	if (bytes)
		memcpy(out, p, bytes);
	((char *)out)[bytes] = '\0';
	return out;
}

/* ---- tables ---- */

static struct xs_node **slot(struct xs_table *t, const char *path)
{
	uint32_t hash = 5381;

	for (const char *c = path; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	return &t->bucket[hash % XS_BUCKETS];
}

static struct xs_node *find(struct xs_table *t, const char *path)
{
	struct xs_node *n = *slot(t, path);

	while (n && strcmp(n->path, path) != 0)
		n = n->next;
	return n;
}

static void insert(struct xs_table *t, struct xs_node *n)
{
	struct xs_node **s = slot(t, n->path);

	n->next = *s;
	*s = n;
}

static void node_free(struct xs_node *n)
{
	if (!n)
		return;
	free(n->path);
	free(n->value);
	free(n->children);
	free(n->perms);
	free(n);
}

static struct xs_node *take_out(struct xs_table *t, const char *path)
{
	struct xs_node **s = slot(t, path), *n;

	while (*s && strcmp((*s)->path, path) != 0)
		s = &(*s)->next;
	n = *s;
	if (n)
		*s = n->next;
	return n;
}

static void clear(struct xs_table *t)
{
	for (uint32_t i = 0; i < XS_BUCKETS; i++) {
		struct xs_node *n;

		while ((n = t->bucket[i])) {
			t->bucket[i] = n->next;
			node_free(n);
		}
	}
}

static struct xs_node *node_new(const char *path)
{
	struct xs_node *n = must(calloc(1, sizeof(*n)));

	n->path = copy_of(path, strlen(path));
	return n;
}

static struct xs_node *node_copy(const struct xs_node *from)
{
	struct xs_node *n = node_new(from->path);

	n->exists = from->exists;
	n->generation = from->generation;
	n->value = copy_of(from->value, from->value_bytes);
	n->value_bytes = from->value_bytes;
	n->children = copy_of(from->children, from->children_bytes);
	n->children_bytes = from->children_bytes;
	n->perms = copy_of(from->perms, from->nperms * sizeof(from->perms[0]));
	n->nperms = from->nperms;
	return n;
}

/* The node as the caller sees it; NULL: it is not there. */
static struct xs_node *see(struct xs_caller *c, const char *path)
{
	struct xs_node *n = c->t ? find(&c->t->seen, path) : NULL;

	if (n)
		return n->exists ? n : NULL;
	n = find(&tree, path);
	if (!c->t)
		return n;
	/* From here on the transaction depends on it. */
	n = n ? node_copy(n) : node_new(path);
	insert(&c->t->seen, n);
	return n->exists ? n : NULL;
}

static void touch(struct xs_caller *c, struct xs_node *n)
{
	if (c->t)
		n->modified = true;
	else
		n->generation = ++generation;
}

struct xs_node *xs_peek(const char *path)
{
	return find(&tree, path);
}

char *xs_parent(const char *path)
{
	const char *slash = strrchr(path, '/');

	return copy_of(path, !slash || slash == path ? 1 : (size_t)(slash - path));
}

/* ---- permissions ---- */

uint32_t xs_may(uint32_t domid, const struct xs_node *n)
{
	if (domid == 0 || n->perms[0].domid == domid)
		return XS_PERM_READ | XS_PERM_WRITE | XS_PERM_OWNER;
	for (uint32_t i = 1; i < n->nperms; i++)
		if (n->perms[i].domid == domid)
			return n->perms[i].perms;
	return n->perms[0].perms;
}

/* Who may not look into the directory is not told whether there is such a node. */
static int error_of_parents(struct xs_caller *c, const char *path, uint32_t need, int error)
{
	char *at = xs_parent(path);
	struct xs_node *n;

	while (!(n = see(c, at)) && strcmp(at, "/") != 0) {
		char *up = xs_parent(at);

		free(at);
		at = up;
	}
	free(at);
	return n && (xs_may(c->domid, n) & need) ? error : EACCES;
}

int xs_get(struct xs_caller *c, const char *path, uint32_t need, struct xs_node **out)
{
	struct xs_node *n = see(c, path);

	*out = NULL;
	if (!n)
		return error_of_parents(c, path, need, ENOENT);
	if ((xs_may(c->domid, n) & need) != need)
		return error_of_parents(c, path, need, EACCES);
	*out = n;
	return 0;
}

/* ---- changing ---- */

static void note(struct xs_caller *c, const char *path, bool exact, const struct xs_node *old)
{
	struct xs_change *change = must(calloc(1, sizeof(*change)));

	change->path = copy_of(path, strlen(path));
	change->exact = exact;
	change->old = old ? node_copy(old) : NULL;
	STAILQ_INSERT_TAIL(c->changes, change, link);
}

void xs_changes_clear(struct xs_change_list *changes)
{
	struct xs_change *change;

	while ((change = STAILQ_FIRST(changes))) {
		STAILQ_REMOVE_HEAD(changes, link);
		free(change->path);
		node_free(change->old);
		free(change);
	}
}

/* As xenstored's database counts a record. */
static bool too_big(const struct xs_caller *c, const struct xs_node *n)
{
	return c->domid != 0 &&
	       20 + 8 * n->nperms + n->value_bytes + n->children_bytes >= XS_NODE_BYTES_MAX;
}

static const char *leaf(const char *path)
{
	return strrchr(path, '/') + 1;
}

static void add_child(struct xs_node *parent, const char *name)
{
	size_t bytes = strlen(name) + 1;

	parent->children = must(realloc(parent->children, parent->children_bytes + bytes + 1));
	memcpy(parent->children + parent->children_bytes, name, bytes);
	parent->children_bytes += (uint32_t)bytes;
}

static void remove_child(struct xs_node *parent, const char *name)
{
	uint32_t bytes = (uint32_t)strlen(name) + 1;

	for (uint32_t at = 0; at < parent->children_bytes;
	     at += (uint32_t)strlen(parent->children + at) + 1) {
		if (strcmp(parent->children + at, name) != 0)
			continue;
		memmove(parent->children + at, parent->children + at + bytes,
			parent->children_bytes - at - bytes);
		parent->children_bytes -= bytes;
		return;
	}
}

uint32_t xs_nodes_owned(uint32_t domid)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < XS_BUCKETS; i++)
		for (struct xs_node *n = tree.bucket[i]; n; n = n->next)
			count += n->perms[0].domid == domid;
	return count;
}

static uint32_t created_in(const struct xs_transaction *t, uint32_t domid)
{
	uint32_t count = 0;

	for (uint32_t i = 0; t && i < XS_BUCKETS; i++)
		for (struct xs_node *n = t->seen.bucket[i]; n; n = n->next)
			count += n->exists && n->perms[0].domid == domid && !find(&tree, n->path);
	return count;
}

/* The node, and what is missing above it. Its directory has been seen to be writable. */
static int create(struct xs_caller *c, const char *path, struct xs_node **out)
{
	struct xs_node *parent, *n;
	char *above = xs_parent(path);
	int rc = 0;

	parent = see(c, above);
	if (!parent)
		rc = create(c, above, &parent);
	free(above);
	if (rc == 0 && c->domid != 0 &&
	    xs_nodes_owned(c->domid) + created_in(c->t, c->domid) >= XS_NODES_MAX)
		rc = ENOSPC;
	if (rc)
		return rc;
	add_child(parent, leaf(path));
	if (too_big(c, parent)) {
		remove_child(parent, leaf(path));
		return ENOSPC;
	}
	touch(c, parent);
	n = c->t ? find(&c->t->seen, path) : NULL;
	if (!n) {
		n = node_new(path);
		insert(c->t ? &c->t->seen : &tree, n);
	}
	n->exists = true;
	n->perms = copy_of(parent->perms, parent->nperms * sizeof(n->perms[0]));
	n->nperms = parent->nperms;
	if (c->domid != 0)
		n->perms[0].domid = c->domid;
	n->value = copy_of("", 0);
	n->children = copy_of("", 0);
	touch(c, n);
	*out = n;
	return 0;
}

static int get_or_create(struct xs_caller *c, const char *path, struct xs_node **out, bool *made)
{
	int rc = xs_get(c, path, XS_PERM_WRITE, out);

	*made = rc == ENOENT;
	return rc == ENOENT ? create(c, path, out) : rc;
}

int xs_node_write(struct xs_caller *c, const char *path, const void *value, uint32_t bytes)
{
	struct xs_node *n;
	bool made;
	int rc;

	if (c->domid != 0 && 20 + 8 + bytes >= XS_NODE_BYTES_MAX)
		return ENOSPC;
	rc = get_or_create(c, path, &n, &made);
	if (rc)
		return rc;
	free(n->value);
	n->value = copy_of(value, bytes);
	n->value_bytes = bytes;
	touch(c, n);
	note(c, path, false, NULL);
	return 0;
}

int xs_node_mkdir(struct xs_caller *c, const char *path)
{
	struct xs_node *n;
	bool made;
	int rc = get_or_create(c, path, &n, &made);

	if (rc == 0 && made)
		note(c, path, false, NULL);
	return rc;
}

static void remove_below(struct xs_caller *c, const char *path, bool top)
{
	struct xs_node *n = see(c, path);
	char *names;
	uint32_t bytes;

	if (!n)
		return;
	bytes = n->children_bytes;
	names = copy_of(n->children, bytes);
	for (uint32_t at = 0; at < bytes; at += (uint32_t)strlen(names + at) + 1) {
		size_t size = strlen(path) + strlen(names + at) + 2;
		char *child = must(malloc(size));

		snprintf(child, size, "%s/%s", path, names + at);
		remove_below(c, child, false);
		free(child);
	}
	free(names);
	note(c, path, !top, n);
	if (!c->t) {
		node_free(take_out(&tree, path));
		return;
	}
	free(n->value);
	free(n->children);
	free(n->perms);
	n->value = n->children = NULL;
	n->perms = NULL;
	n->value_bytes = n->children_bytes = n->nperms = 0;
	n->exists = false;
	n->modified = true;
}

static void remove_node(struct xs_caller *c, const char *path)
{
	char *above = xs_parent(path);
	struct xs_node *parent = see(c, above);

	if (parent) {
		remove_child(parent, leaf(path));
		touch(c, parent);
	}
	free(above);
	remove_below(c, path, true);
}

int xs_node_rm(struct xs_caller *c, const char *path)
{
	struct xs_node *n;
	int rc = xs_get(c, path, XS_PERM_WRITE, &n);

	if (rc == ENOENT) {
		/* Removed already is removed, where there is a place for it. */
		char *above = xs_parent(path);

		rc = see(c, above) ? 0 : ENOENT;
		free(above);
		return rc;
	}
	if (rc == 0 && strcmp(path, "/") == 0)
		rc = EINVAL;
	if (rc == 0)
		remove_node(c, path);
	return rc;
}

int xs_node_set_perms(struct xs_caller *c, const char *path, const struct xs_perm *perms,
		      uint32_t count)
{
	struct xs_node *n;
	int rc;

	if (count > XS_PERMS_MAX && c->domid != 0)
		return ENOSPC;
	rc = xs_get(c, path, XS_PERM_WRITE | XS_PERM_OWNER, &n);
	if (rc)
		return rc;
	if (c->domid != 0 && perms[0].domid != n->perms[0].domid)
		return EPERM;
	note(c, path, false, n);
	free(n->perms);
	n->perms = copy_of(perms, count * sizeof(perms[0]));
	n->nperms = count;
	touch(c, n);
	return 0;
}

void xs_remove_owned(uint32_t domid, struct xs_change_list *changes)
{
	struct xs_caller c = { .changes = changes };
	char **paths;
	size_t n;

	paths = xs_all_paths(&n);
	for (size_t i = 0; i < n; i++) {
		struct xs_node *node = find(&tree, paths[i]);

		if (node && node->perms[0].domid == domid)
			remove_node(&c, paths[i]);
		free(paths[i]);
	}
	free(paths);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **xs_all_paths(size_t *count)
{
	char **out = NULL;
	size_t n = 0;

	for (uint32_t i = 0; i < XS_BUCKETS; i++)
		for (struct xs_node *node = tree.bucket[i]; node; node = node->next) {
			out = must(realloc(out, (n + 1) * sizeof(*out)));
			out[n++] = copy_of(node->path, strlen(node->path));
		}
	if (n)
		qsort(out, n, sizeof(*out), by_name);
	*count = n;
	return out;
}

/* ---- transactions ---- */

struct xs_transaction *xs_transaction_new(uint32_t domid, uint32_t id)
{
	struct xs_transaction *t = must(calloc(1, sizeof(*t)));

	t->domid = domid;
	t->id = id;
	STAILQ_INIT(&t->changes);
	return t;
}

void xs_transaction_free(struct xs_transaction *t)
{
	xs_changes_clear(&t->changes);
	clear(&t->seen);
	free(t);
}

static bool unchanged(const struct xs_node *seen)
{
	const struct xs_node *now = find(&tree, seen->path);

	return (now ? now->generation : 0) == seen->generation;
}

static void apply(const struct xs_node *seen)
{
	struct xs_node *n;

	if (!seen->modified)
		return;
	node_free(take_out(&tree, seen->path));
	if (!seen->exists)
		return;
	n = node_copy(seen);
	n->generation = ++generation;
	insert(&tree, n);
}

int xs_transaction_commit(struct xs_transaction *t, struct xs_change_list *changes)
{
	int rc = 0;

	for (uint32_t i = 0; i < XS_BUCKETS; i++)
		for (struct xs_node *n = t->seen.bucket[i]; n; n = n->next)
			if (!unchanged(n))
				rc = EAGAIN;
	for (uint32_t i = 0; rc == 0 && i < XS_BUCKETS; i++)
		for (struct xs_node *n = t->seen.bucket[i]; n; n = n->next)
			apply(n);
	if (rc == 0)
		STAILQ_CONCAT(changes, &t->changes);
	xs_transaction_free(t);
	return rc;
}

/* The root, which nobody makes. */
__attribute__((constructor)) static void plant(void)
{
	struct xs_node *root = node_new("/");
	const struct xs_perm perms = { 0, XS_PERM_NONE };

	root->exists = true;
	root->value = copy_of("", 0);
	root->children = copy_of("", 0);
	root->perms = copy_of(&perms, sizeof(perms));
	root->nperms = 1;
	root->generation = ++generation;
	insert(&tree, root);
}

__attribute__((destructor)) static void fell(void)
{
	clear(&tree);
}
