// SPDX-License-Identifier: GPL-2.0-or-later
#include "worker_handles.h"

#include <stdlib.h>
#include <string.h>

#include "../protocol/vgpu_errors.h"

#define PLACES_AT_FIRST 64u

void handles_dispose(struct handles *h)
{
	free(h->places);
	h->places = NULL;
	h->count = 0;
}

static int grow(struct handles *h, uint32_t place)
{
	uint32_t count = h->count ? h->count : PLACES_AT_FIRST;
	struct handle_place *places;

	while (count <= place)
		count *= 2;
	places = realloc(h->places, count * sizeof(*places));
	if (!places)
		return VGPU_ENOMEM;
	memset(places + h->count, 0, (count - h->count) * sizeof(*places));
	h->places = places;
	h->count = count;
	return 0;
}

int handles_reserve(struct handles *h, uint32_t handle)
{
	uint32_t place = handle_place_of(handle);

	if (!place)
		return VGPU_EINVAL;
	if (place > h->limit)
		return VGPU_EQUOTA;
	if (place < h->count)
		return h->places[place].object ? VGPU_EINVAL : 0;
	return grow(h, place);
}

void handles_put(struct handles *h, uint32_t handle, void *object)
{
	h->places[handle_place_of(handle)] = (struct handle_place){ handle, object };
}

void *handles_take(struct handles *h, uint32_t handle)
{
	void *object = handles_find(h, handle);

	if (object)
		h->places[handle_place_of(handle)] = (struct handle_place){ 0 };
	return object;
}
