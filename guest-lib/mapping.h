/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mappings that stand in for the program's own memory: what may be replaced by one, and how. Both
 * without knowing whose they are.
 */
#ifndef GUEST_MAPPING_H
#define GUEST_MAPPING_H

#include <stdint.h>
#include <stdio.h>

#include "last_error.h"

struct mapping {
	void *base;
	uint64_t bytes;       /* whole pages */
	struct mapping *next; /* in the list of who keeps it */
};

/* Bytes of a page of this machine's. */
uint64_t mapping_page(void);

/*
 * Move the mapping at @fresh, of @m->bytes, to @m->base, in the place of what is there. Other
 * threads see the one or the other, and nothing in between. Returns 0 or a negative errno; then
 * nothing has moved.
 */
int mapping_replace(const struct mapping *m, void *fresh);

/*
 * Is all of @m private memory without a file, readable and writable, as malloc() gives it?
 * @maps: lines as those of /proc/self/maps. GPU_ERROR_INVALID_VALUE: no, and @why says what it is.
 */
int mapping_is_ordinary(const struct mapping *m, FILE *maps, struct cause *why);

/* The same of this process, where locked memory (mlock) is not ordinary. */
int mapping_may_be_replaced(const struct mapping *m, struct cause *why);

#endif
