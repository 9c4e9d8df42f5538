/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parts of a range that somebody else's memory is: which units of it are taken. All of it is kept
 * beside the range and never in it. Taking and giving back take the same short time whatever is
 * taken: sizes fall into classes (eight to a power of two), a bitmap tells which have a free part
 * ("TLSF"), and a part that is given back joins its free neighbours.
 */
#ifndef GUEST_PARTS_H
#define GUEST_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#define PARTS_NONE UINT32_MAX
#define PARTS_UNITS_MAX (1u << 24)
#define PARTS_POWERS 25u /* of two that a size may have */

struct part;

struct parts {
	struct part *parts; /* by first unit */
	uint64_t *starts;   /* a bit a unit: does a part start there? */
	uint32_t units;
	uint32_t taken;                /* units */
	uint32_t powers;               /* a bit each: has `classes` any? */
	uint8_t classes[PARTS_POWERS]; /* a bit each: is the list not empty? */
	uint32_t lists[PARTS_POWERS][8];
};

/* @units: at least 1, all free. VGPU_ENOMEM. */
int parts_init(struct parts *p, uint32_t units);
void parts_dispose(struct parts *p);

/* Its first unit, or PARTS_NONE. */
uint32_t parts_take(struct parts *p, uint32_t units);

/* False: no taken part starts there. */
bool parts_give(struct parts *p, uint32_t first);
bool parts_starts(const struct parts *p, uint32_t first);

/* Are these two units, the second not before the first, in one taken part? */
bool parts_hold(const struct parts *p, uint32_t first, uint32_t last);

#endif
