/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Numbers of streams, events, modules, kernels and graphs, as vgpu_gpu.h wants them: a place and
 * its generation. What is kept of an object lies in the table. The handle's lock guards it.
 */
#ifndef GUEST_HANDLES_H
#define GUEST_HANDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* First member of every object in a table. */
struct handle_slot {
	uint32_t handle; /* 0: free */
	uint32_t next;   /* free place, or 0 */
	uint16_t generation;
};

struct handles {
	size_t bytes;   /* of an object */
	uint8_t *table; /* place 1 is the first */
	uint32_t used;  /* places that were ever taken */
	uint32_t room;
	uint32_t free; /* first free place, or 0 */
};

void handles_init(struct handles *t, size_t bytes);
void handles_dispose(struct handles *t);

/*
 * A new object, all 0, which moves when the next one is made. Returns 0, VGPU_ENOMEM, or
 * VGPU_EQUOTA: there are VGPU_PLACES.
 */
int handles_new(struct handles *t, uint32_t *handle);
void handles_free(struct handles *t, uint32_t handle);

/* For each object: @i from 0 to t->used - 1; NULL: the place is free. */
static inline void *handles_at(const struct handles *t, uint32_t i)
{
	struct handle_slot *s = (struct handle_slot *)(void *)(t->table + i * t->bytes);

	return s->handle ? s : NULL;
}

/* NULL: no such object, or no longer. */
static inline void *handles_get(const struct handles *t, uint32_t handle)
{
	uint32_t place = (handle & 0xffff) - 1;
	struct handle_slot *s;

	if (place >= t->used)
		return NULL;
	s = handles_at(t, place);
	return s && s->handle == handle ? s : NULL;
}

#endif
