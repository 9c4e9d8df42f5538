/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which device memory there is: ranges that do not overlap, found by any address in them. */
#ifndef HOST_ALLOCATIONS_H
#define HOST_ALLOCATIONS_H

#include <stdbool.h>
#include <stdint.h>

struct allocation {
	uint64_t start;
	uint64_t bytes;
};

/* All 0: empty. */
struct allocations {
	struct allocation *at; /* by start */
	uint32_t count;
	uint32_t room;
	uint32_t last; /* found last: programs come back to the same memory */
};

#define ALLOCATIONS_MAX (1u << 16)

void allocations_dispose(struct allocations *a);

/* Make sure that one more can be added: 0, VGPU_EQUOTA or VGPU_ENOMEM. */
int allocations_reserve(struct allocations *a);

/* After allocations_reserve(). False: it overlaps another one, or the end of all addresses. */
bool allocations_add(struct allocations *a, uint64_t start, uint64_t bytes);

/* Forget the one that starts there; its bytes, or 0: there is none. */
uint64_t allocations_remove(struct allocations *a, uint64_t start);

/* Is all of this range in one allocation? */
bool allocations_have(struct allocations *a, uint64_t address, uint64_t bytes);

#endif
