/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Single nodes of XenStore, read with suspicion: a guest may have written them. Each function
 * makes one request, which blocks until xenstored answers. None logs.
 */
#ifndef HOST_MEDIATOR_XENSTORE_H
#define HOST_MEDIATOR_XENSTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xenstore.h>

#define XENSTORE_PATH_MAX 128 /* of the paths that we make */

/*
 * The node DIR/LEAF as text of at most @size - 1 printable characters. Returns 0; -ENOENT, it is
 * not there (or not ours to see, which is how a domain without privileges is told); -EINVAL, it
 * is longer, or holds something else; another negative errno.
 */
int xenstore_read_text(struct xs_handle *xs, xs_transaction_t t, const char *dir, const char *leaf,
		       char *out, size_t size);

/* The same as a decimal number of 0 to @max, digits only. */
int xenstore_read_number(struct xs_handle *xs, xs_transaction_t t, const char *dir,
			 const char *leaf, uint32_t max, uint32_t *out);

/* Is there such a node, for us to see? */
bool xenstore_exists(struct xs_handle *xs, const char *dir, const char *leaf);

/* Write it. Returns 0 or a negative errno. */
__attribute__((format(printf, 5, 6))) int xenstore_write(struct xs_handle *xs, xs_transaction_t t,
							 const char *dir, const char *leaf,
							 const char *fmt, ...);

/* Remove DIR/LEAF and all below. What is not there is removed already. 0 or a negative errno. */
int xenstore_remove(struct xs_handle *xs, xs_transaction_t t, const char *dir, const char *leaf);

#endif
