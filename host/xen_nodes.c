/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing, checking and removing the nodes of a device, each in one transaction.
 *
 * Permissions: each side's directory and what is written into it belong to that side's domain,
 * and the other one may read. Above, `device/vgpu` stays the toolstack's, and `backend/vgpu` is
 * the backend's, which must see guests come. Dom0 may read and write everything anyway.
 */
#include "xen_nodes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vgpu_xenstore.h"

#define TRIES 50 /* of a transaction that others get in the way of */
#define OWNER_TOOLSTACK 0u
#define NOBODY_ELSE UINT32_MAX

enum side {
	FRONT,
	BACK
};

/* What is written, and what each must say; NULL: anything, the sides change it. */
struct node {
	enum side side;
	const char *name;
	const char *value;
	const char *must_be;
};

enum {
	NODES = 10
};

struct nodes {
	char front[XEN_PATH_BYTES], back[XEN_PATH_BYTES];
	char domid[12], backend[12];
	char uuid[XEN_UUID_CHARS + 1];
	char name[XEN_NAME_BYTES];
	char generation[VGPU_XS_ID_CHARS + 1];
	struct node node[NODES];
};

/* Not getrandom(): the C library of some dom0s is older than it. */
static int random_id(char id[VGPU_XS_ID_CHARS + 1])
{
	FILE *f = fopen("/dev/urandom", "re");
	uint64_t n;
	size_t got;

	if (!f)
		return -errno;
	got = fread(&n, sizeof(n), 1, f);
	fclose(f);
	if (got != 1)
		return -EIO;
	snprintf(id, VGPU_XS_ID_CHARS + 1, "%016llx", (unsigned long long)n);
	return 0;
}

/* All but the generation. -ESRCH: there is no such guest. */
static int nodes_fill(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
		      struct nodes *n)
{
	int rc = xen_domain_uuid(xs, t, dev->domid, n->uuid);

	if (rc < 0)
		return rc;
	xen_domain_name(xs, t, dev->domid, n->name);
	xen_front_path(dev, NULL, n->front);
	xen_back_path(dev, NULL, n->back);
	snprintf(n->domid, sizeof(n->domid), "%u", dev->domid);
	snprintf(n->backend, sizeof(n->backend), "%u", dev->backend);

	const struct node list[NODES] = {
		{ FRONT, VGPU_XS_BACKEND, n->back, n->back },
		{ FRONT, VGPU_XS_BACKEND_ID, n->backend, n->backend },
		{ FRONT, VGPU_XS_STATE, "1", NULL },
		{ BACK, VGPU_XS_FRONTEND, n->front, n->front },
		{ BACK, VGPU_XS_FRONTEND_ID, n->domid, n->domid },
		{ BACK, VGPU_XS_DOMAIN, n->name, NULL },
		{ BACK, VGPU_XS_UUID, n->uuid, n->uuid },
		{ BACK, VGPU_XS_GENERATION, n->generation, NULL },
		{ BACK, VGPU_XS_ONLINE, "1", "1" },
		{ BACK, VGPU_XS_STATE, "1", NULL },
	};
	memcpy(n->node, list, sizeof(list));
	return 0;
}

static int path_of(const struct nodes *n, const struct node *node, char path[XEN_PATH_BYTES])
{
	int len = snprintf(path, XEN_PATH_BYTES, "%s/%s", node->side == FRONT ? n->front : n->back,
			   node->name);

	return len < XEN_PATH_BYTES ? 0 : -ENAMETOOLONG;
}

/* @owner may all, @reader may read, nobody else may anything. */
static int set_permissions(struct xs_handle *xs, xs_transaction_t t, const char *path,
			   uint32_t owner, uint32_t reader)
{
	struct xs_permissions p[2] = {
		{ .id = owner, .perms = XS_PERM_NONE },
		{ .id = reader, .perms = XS_PERM_READ },
	};

	return xs_set_permissions(xs, t, path, p, reader == NOBODY_ELSE ? 1 : 2) ? 0 : -errno;
}

static bool permissions_are(struct xs_handle *xs, xs_transaction_t t, const char *path,
			    uint32_t owner, uint32_t reader)
{
	unsigned int n;
	struct xs_permissions *p = xs_get_permissions(xs, t, path, &n);
	bool right = p && n >= 1 && p[0].id == owner && p[0].perms == XS_PERM_NONE;

	if (right && reader != NOBODY_ELSE)
		right = n == 2 && p[1].id == reader && p[1].perms == XS_PERM_READ;
	free(p);
	return right;
}

static bool exists(struct xs_handle *xs, xs_transaction_t t, const char *path)
{
	void *value = xs_read(xs, t, path, NULL);

	free(value);
	return value != NULL;
}

/* A directory that may be there already, and then stays as it is. */
static int make_directory(struct xs_handle *xs, xs_transaction_t t, const char *path,
			  uint32_t owner, uint32_t reader)
{
	if (exists(xs, t, path))
		return 0;
	if (!xs_mkdir(xs, t, path))
		return -errno;
	return set_permissions(xs, t, path, owner, reader);
}

/* What stands above the two directories. */
static int make_parents(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev)
{
	const struct {
		uint32_t domid;
		const char *below;
		uint32_t owner, reader;
		bool always; /* the owner must be so even where it was there */
	} parents[] = {
		{ dev->domid, "device", OWNER_TOOLSTACK, dev->domid, false },
		{ dev->domid, "device/" VGPU_XS_DEVICE_TYPE, OWNER_TOOLSTACK, dev->domid, false },
		{ dev->backend, "backend", OWNER_TOOLSTACK, dev->backend, false },
		{ dev->backend, "backend/" VGPU_XS_DEVICE_TYPE, dev->backend, NOBODY_ELSE, true },
	};
	char path[XEN_PATH_BYTES];
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(parents) / sizeof(parents[0]); i++) {
		snprintf(path, sizeof(path), "/local/domain/%u/%s", parents[i].domid,
			 parents[i].below);
		rc = make_directory(xs, t, path, parents[i].owner, parents[i].reader);
		if (rc == 0 && parents[i].always &&
		    !permissions_are(xs, t, path, parents[i].owner, parents[i].reader))
			rc = set_permissions(xs, t, path, parents[i].owner, parents[i].reader);
	}
	if (rc < 0)
		return rc;
	snprintf(path, sizeof(path), "/local/domain/%u/backend/" VGPU_XS_DEVICE_TYPE "/%u",
		 dev->backend, dev->domid);
	return make_directory(xs, t, path, dev->backend, NOBODY_ELSE);
}

static int write_nodes(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
		       const struct nodes *n)
{
	char path[XEN_PATH_BYTES];
	int rc = make_parents(xs, t, dev);

	if (rc < 0)
		return rc;
	/* What stands there is broken, or another life's, channels and all. */
	if ((!xs_rm(xs, t, n->front) || !xs_rm(xs, t, n->back)) && errno != ENOENT)
		return -errno;
	if (!xs_mkdir(xs, t, n->front) || !xs_mkdir(xs, t, n->back))
		return -errno;
	rc = set_permissions(xs, t, n->front, dev->domid, dev->backend);
	if (rc == 0)
		rc = set_permissions(xs, t, n->back, dev->backend, dev->domid);
	for (unsigned int i = 0; rc == 0 && i < NODES; i++) {
		const struct node *node = &n->node[i];

		rc = path_of(n, node, path);
		if (rc == 0 && !xs_write(xs, t, path, node->value, strlen(node->value)))
			rc = -errno;
		if (rc == 0)
			rc = set_permissions(xs, t, path,
					     node->side == FRONT ? dev->domid : dev->backend,
					     node->side == FRONT ? dev->backend : dev->domid);
	}
	return rc;
}

struct check {
	xen_problem_fn *fn;
	void *ctx;
	unsigned int problems;
};

static void problem(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void problem(struct check *c, const char *format, ...)
{
	char text[2 * XEN_PATH_BYTES + 100];
	va_list ap;

	c->problems++;
	if (!c->fn)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	c->fn(c->ctx, text);
}

static void check_permissions(struct xs_handle *xs, xs_transaction_t t, struct check *c,
			      const char *path, uint32_t owner, uint32_t reader)
{
	if (exists(xs, t, path) && !permissions_are(xs, t, path, owner, reader))
		problem(c, "%s: permissions are not n%u,r%u", path, owner, reader);
}

static int check_nodes(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
		       const struct nodes *n, struct check *c)
{
	char path[XEN_PATH_BYTES], value[XEN_PATH_BYTES];
	int rc;

	check_permissions(xs, t, c, n->front, dev->domid, dev->backend);
	check_permissions(xs, t, c, n->back, dev->backend, dev->domid);
	for (unsigned int i = 0; i < NODES; i++) {
		const struct node *node = &n->node[i];

		rc = path_of(n, node, path);
		if (rc < 0)
			return rc;
		rc = xen_read(xs, t, path, value, sizeof(value));
		if (rc == -ENOENT)
			problem(c, "%s: is missing", path);
		else if (rc < 0 && rc != -EPROTO)
			return rc;
		else if (rc < 0 || (node->must_be && strcmp(value, node->must_be) != 0))
			problem(c, "%s: is not \"%s\"", path,
				node->must_be ? node->must_be : "a short text");
		if (rc == 0)
			check_permissions(xs, t, c, path,
					  node->side == FRONT ? dev->domid : dev->backend,
					  node->side == FRONT ? dev->backend : dev->domid);
	}
	return 0;
}

int xen_nodes_check(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
		    xen_problem_fn *fn, void *ctx, unsigned int *problems)
{
	struct check c = { .fn = fn, .ctx = ctx };
	struct nodes n;
	int rc = nodes_fill(xs, t, dev, &n);

	if (rc == 0)
		rc = check_nodes(xs, t, dev, &n, &c);
	*problems = c.problems;
	return rc;
}

/* Is the device in the hands of another backend? One of an earlier life does not count. */
static int find_other(struct xs_handle *xs, const struct xen_device *dev, struct xen_attached *out)
{
	struct xen_device *all;
	unsigned int count;
	int rc = xen_devices(xs, XBT_NULL, &all, &count);

	if (rc < 0)
		return rc;
	for (unsigned int i = 0; i < count; i++) {
		if (all[i].domid != dev->domid || all[i].number != dev->number ||
		    all[i].backend == dev->backend || xen_nodes_stale(xs, XBT_NULL, &all[i]))
			continue;
		out->other = all[i].backend;
		rc = -EBUSY;
	}
	free(all);
	return rc;
}

static int attach_in(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
		     struct xen_attached *out)
{
	char path[XEN_PATH_BYTES], ignored[XEN_UUID_CHARS + 1];
	struct check c = { .fn = NULL };
	struct nodes n;
	int rc = nodes_fill(xs, t, dev, &n);

	if (rc == 0 && dev->backend != 0)
		rc = xen_domain_uuid(xs, t, dev->backend, ignored);
	if (rc == 0)
		rc = check_nodes(xs, t, dev, &n, &c);
	if (rc < 0)
		return rc;
	if (c.problems == 0) {
		out->already = true;
		xen_back_path(dev, VGPU_XS_GENERATION, path);
		return xen_read(xs, t, path, out->generation, sizeof(out->generation));
	}
	/* Whoever attaches meanwhile writes nodes that this transaction has read. */
	rc = find_other(xs, dev, out);
	if (rc == 0)
		rc = random_id(n.generation);
	if (rc == 0)
		rc = write_nodes(xs, t, dev, &n);
	memcpy(out->generation, n.generation, sizeof(out->generation));
	return rc;
}

/* What is done in a transaction, again and again until nobody got in its way. */
typedef int transaction_fn(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
			   void *arg);

static int transaction(struct xs_handle *xs, const struct xen_device *dev, transaction_fn *fn,
		       void *arg)
{
	for (int i = 0; i < TRIES; i++) {
		xs_transaction_t t = xs_transaction_start(xs);
		int rc;

		if (t == XBT_NULL)
			return -errno;
		rc = fn(xs, t, dev, arg);
		if (xs_transaction_end(xs, t, rc < 0) || rc < 0) {
			if (rc != -EAGAIN)
				return rc;
		} else if (errno != EAGAIN) {
			return -errno;
		}
	}
	return -EAGAIN;
}

static int attach_fn(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
		     void *arg)
{
	struct xen_attached *out = arg;

	memset(out, 0, sizeof(*out));
	return attach_in(xs, t, dev, out);
}

int xen_nodes_attach(struct xs_handle *xs, const struct xen_device *dev, struct xen_attached *out)
{
	memset(out, 0, sizeof(*out));
	if (dev->domid == 0 || dev->domid == dev->backend || dev->number >= VGPU_XS_DEVICES_MAX)
		return -EINVAL;
	return transaction(xs, dev, attach_fn, out);
}

static int offline_fn(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
		      void *arg)
{
	char path[XEN_PATH_BYTES];

	(void)arg;
	xen_back_path(dev, VGPU_XS_ONLINE, path);
	if (!exists(xs, t, path)) /* and do not make half a device by writing into none */
		return -ENOENT;
	return xs_write(xs, t, path, "0", 1) ? 0 : -errno;
}

int xen_nodes_offline(struct xs_handle *xs, const struct xen_device *dev)
{
	return transaction(xs, dev, offline_fn, NULL);
}

static int remove_if_empty(struct xs_handle *xs, xs_transaction_t t, const char *path)
{
	unsigned int n = 0;
	char **names = xs_directory(xs, t, path, &n);

	free(names);
	if (!names)
		return errno == ENOENT ? 0 : -errno;
	return n > 0 || xs_rm(xs, t, path) || errno == ENOENT ? 0 : -errno;
}

static int remove_fn(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
		     void *arg)
{
	const char *generation = arg;
	char front[XEN_PATH_BYTES], back[XEN_PATH_BYTES], path[XEN_PATH_BYTES];
	char value[VGPU_XS_VALUE_MAX + 1], uuid[XEN_UUID_CHARS + 1];
	bool alive, ours, found;
	int rc;

	xen_front_path(dev, NULL, front);
	xen_back_path(dev, NULL, back);
	if (generation) {
		xen_back_path(dev, VGPU_XS_GENERATION, path);
		rc = xen_read(xs, t, path, value, sizeof(value));
		if (rc < 0 || strcmp(value, generation) != 0)
			return rc < 0 && rc != -EPROTO ? rc : -ENOENT;
	}
	/* Of a guest that lives with the same number and is another one, only the backend's go. */
	xen_back_path(dev, VGPU_XS_UUID, path);
	alive = xen_domain_uuid(xs, t, dev->domid, uuid) == 0;
	ours = !alive || xen_read(xs, t, path, value, sizeof(value)) == -ENOENT ||
	       strcmp(value, uuid) == 0;
	found = exists(xs, t, back) || (ours && exists(xs, t, front));
	if (!found)
		return -ENOENT;
	if (!xs_rm(xs, t, back) && errno != ENOENT)
		return -errno;
	snprintf(path, sizeof(path), "/local/domain/%u/backend/" VGPU_XS_DEVICE_TYPE "/%u",
		 dev->backend, dev->domid);
	rc = remove_if_empty(xs, t, path);
	if (rc < 0 || !ours)
		return rc;
	if (!xs_rm(xs, t, front) && errno != ENOENT)
		return -errno;
	snprintf(path, sizeof(path), "/local/domain/%u/device/" VGPU_XS_DEVICE_TYPE, dev->domid);
	return remove_if_empty(xs, t, path);
}

int xen_nodes_remove(struct xs_handle *xs, const struct xen_device *dev, const char *generation)
{
	return transaction(xs, dev, remove_fn, (void *)(uintptr_t)generation);
}

const char *xen_nodes_stale(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev)
{
	char path[XEN_PATH_BYTES], value[VGPU_XS_VALUE_MAX + 1], uuid[XEN_UUID_CHARS + 1];

	int rc = xen_domain_uuid(xs, t, dev->domid, uuid);

	if (rc == -ESRCH)
		return "its guest is gone";
	if (rc < 0) /* not dom0: cannot be told */
		return NULL;
	xen_back_path(dev, VGPU_XS_UUID, path);
	if (xen_read(xs, t, path, value, sizeof(value)) < 0 || strcmp(value, uuid) != 0)
		return "its guest is gone, and another one has the number";
	xen_front_path(dev, NULL, path);
	if (!exists(xs, t, path) && errno == ENOENT)
		return "the guest's side is gone";
	return NULL;
}
