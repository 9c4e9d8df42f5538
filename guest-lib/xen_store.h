/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * XenStore as a guest's program uses it. What another domain wrote is read with suspicion: bounded,
 * printable, numbers of digits only.
 *
 * Functions return 0, a VGPU_E* whose cause is in *@why, or, where it says so, -ENOENT. They block
 * until xenstored answers, which it does within microseconds or, where it died, never: Xen's
 * library knows no deadline.
 */
#ifndef GUEST_XEN_STORE_H
#define GUEST_XEN_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xenstore.h>

#include "last_error.h"

#define STORE_PATH_MAX 128 /* of the paths that we make */

struct store {
	struct xs_handle *xs; /* NULL: closed */
	int fd;               /* readable when a watch fired; Xen's library closes it */
};

/*
 * Both under the fork guard. In a forked child store_forked() takes their place.
 * VGPU_ENODEV: no Xen guest. VGPU_EACCES.
 */
int store_open(struct store *s, struct cause *why);
void store_close(struct store *s);
void store_forked(struct store *s);

/*
 * DIR/NODE as text of @size - 1 printable characters at most, VGPU_XS_VALUE_MAX if it is no path
 * and no error. -ENOENT: it is not there, or not ours to see. VGPU_EPROTO: it is longer, or
 * something else.
 */
int store_read(struct store *s, xs_transaction_t t, const char *dir, const char *node, char *out,
	       size_t size, struct cause *why);

/* The same as a decimal number, @min to @max. */
int store_read_number(struct store *s, xs_transaction_t t, const char *dir, const char *node,
		      uint32_t min, uint32_t max, uint32_t *out, struct cause *why);

/* The VGPU_E* that fits what xenstored refused with, an errno. */
int store_error(int error);

/* "<digits>", no sign, no leading zeros, @min to @max. */
bool store_parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *out);

int store_write(struct store *s, xs_transaction_t t, const char *dir, const char *node,
		const char *value, struct cause *why);
int store_write_number(struct store *s, xs_transaction_t t, const char *dir, const char *node,
		       uint32_t value, struct cause *why);

/* What a transaction does; called again where somebody else's came first. Not 0: nothing is kept. */
typedef int (*store_body)(struct store *s, xs_transaction_t t, void *opaque, struct cause *why);

/*
 * Run @body as one transaction, as often as it takes until @deadline_ns: a guest may have ten at a
 * time, and any number of processes. VGPU_ETIMEDOUT, or what @body returned.
 */
int store_transact(struct store *s, store_body body, void *opaque, int64_t deadline_ns,
		   struct cause *why);

/* Watch a path. It fires at once, and whenever the node or one below changed. */
int store_watch(struct store *s, const char *path, struct cause *why);
void store_unwatch(struct store *s, const char *path);

/* Take what has fired. Did anything? */
bool store_fired(struct store *s);

/* Sleep until a watch fires, @timeout_ms at most. Returns 0 or -ETIMEDOUT. */
int store_wait(struct store *s, int timeout_ms);

#endif
