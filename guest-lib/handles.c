/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "handles.h"

#include <stdlib.h>
#include <string.h>

#include "../protocol/vgpu_errors.h"
#include "../protocol/vgpu_gpu.h"

void handles_init(struct handles *t, size_t bytes)
{
	*t = (struct handles){ .bytes = bytes };
}

void handles_dispose(struct handles *t)
{
	free(t->table);
	t->table = NULL;
	t->used = t->room = t->free = 0;
}

static struct handle_slot *slot(const struct handles *t, uint32_t place)
{
	return (struct handle_slot *)(void *)(t->table + (place - 1) * t->bytes);
}

static int grow(struct handles *t)
{
	uint32_t room = t->room ? 2 * t->room : 16;
	uint8_t *table;

	if (t->used == VGPU_PLACES)
		return VGPU_EQUOTA;
	if (room > VGPU_PLACES)
		room = VGPU_PLACES;
	table = realloc(t->table, room * t->bytes);
	if (!table)
		return VGPU_ENOMEM;
	t->table = table;
	t->room = room;
	return 0;
}

int handles_new(struct handles *t, uint32_t *handle)
{
	uint32_t place = t->free;
	struct handle_slot *s;
	uint16_t generation = 0;
	int rc;

	if (place) {
		s = slot(t, place);
		t->free = s->next;
		generation = s->generation;
	} else {
		rc = t->used == t->room ? grow(t) : 0;
		if (rc)
			return rc;
		place = ++t->used;
		s = slot(t, place);
	}
	memset(s, 0, t->bytes);
	s->generation = generation;
	s->handle = *handle = (uint32_t)generation << 16 | place;
	return 0;
}

void handles_free(struct handles *t, uint32_t handle)
{
	struct handle_slot *s = slot(t, handle & 0xffff);

	s->handle = 0;
	s->generation++;
	s->next = t->free;
	t->free = handle & 0xffff;
}
