/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Objects under the handles that the guest chose for them: vgpu_gpu.h says how. One kind each. */
#ifndef HOST_WORKER_HANDLES_H
#define HOST_WORKER_HANDLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handle_place {
	uint32_t handle;
	void *object; /* NULL: free */
};

/* All 0 but the limit: empty. It grows with the places that are used. */
struct handles {
	struct handle_place *places; /* place 0 is never used */
	uint32_t count;
	uint32_t limit; /* the last place that is allowed */
};

void handles_dispose(struct handles *h);

/* Can an object be put there? 0, VGPU_EINVAL (no place, taken), VGPU_EQUOTA or VGPU_ENOMEM. */
int handles_reserve(struct handles *h, uint32_t handle);

/* After handles_reserve(). */
void handles_put(struct handles *h, uint32_t handle, void *object);

/* The object, which leaves its place, or NULL. */
void *handles_take(struct handles *h, uint32_t handle);

static inline uint32_t handle_place_of(uint32_t handle)
{
	return handle & 0xffff;
}

/* The object, or NULL: there is none, or it is one of another generation. */
static inline void *handles_find(const struct handles *h, uint32_t handle)
{
	uint32_t place = handle_place_of(handle);

	if (place >= h->count || h->places[place].handle != handle)
		return NULL;
	return h->places[place].object;
}

#endif
