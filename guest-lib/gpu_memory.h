/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of the GPUs. Small allocations are parts of segments that the host gave, large ones are
 * segments of their own. The host's addresses are believed as far as they do not lie in each other.
 */
#ifndef GUEST_GPU_MEMORY_H
#define GUEST_GPU_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "parts.h"

struct vgpu;

struct segment {
	uint64_t base;
	uint64_t bytes;
	uint32_t gpu;
	bool pooled; /* `parts` is in use */
	bool idle;   /* not pooled, and free */
	struct parts parts;
};

struct pool {
	struct segment **segments; /* by address */
	uint32_t count, room;
	uint64_t idle_bytes;
};

void pool_dispose(struct pool *p);

/* Is that inside one allocation? */
bool pool_holds(const struct pool *p, uint64_t address, uint64_t bytes);

#endif
