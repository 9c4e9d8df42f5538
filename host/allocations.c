// SPDX-License-Identifier: GPL-2.0-or-later
#include "allocations.h"

#include <stdlib.h>
#include <string.h>

#include "../common/checked.h"
#include "../protocol/vgpu_errors.h"

#define ROOM_AT_FIRST 64u

void allocations_dispose(struct allocations *a)
{
	free(a->at);
	*a = (struct allocations){ 0 };
}

int allocations_reserve(struct allocations *a)
{
	uint32_t room = a->room ? 2 * a->room : ROOM_AT_FIRST;
	struct allocation *at;

	if (a->count < a->room)
		return 0;
	if (a->count >= ALLOCATIONS_MAX)
		return VGPU_EQUOTA;
	at = realloc(a->at, room * sizeof(*at));
	if (!at)
		return VGPU_ENOMEM;
	a->at = at;
	a->room = room;
	return 0;
}

/* How many start at or before @address. */
static uint32_t before(const struct allocations *a, uint64_t address)
{
	uint32_t low = 0, high = a->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (a->at[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool allocations_add(struct allocations *a, uint64_t start, uint64_t bytes)
{
	uint32_t i = before(a, start);
	uint64_t end;

	if (!checked_add(start, bytes, &end))
		return false;
	if (i && checked_range(start - a->at[i - 1].start, 1, a->at[i - 1].bytes))
		return false;
	if (i < a->count && end > a->at[i].start)
		return false;
	memmove(a->at + i + 1, a->at + i, (a->count - i) * sizeof(a->at[0]));
	a->at[i] = (struct allocation){ start, bytes };
	a->count++;
	return true;
}

uint64_t allocations_remove(struct allocations *a, uint64_t start)
{
	uint32_t i = before(a, start);
	uint64_t bytes;

	if (!i || a->at[i - 1].start != start)
		return 0;
	bytes = a->at[i - 1].bytes;
	memmove(a->at + i - 1, a->at + i, (a->count - i) * sizeof(a->at[0]));
	a->count--;
	return bytes;
}

static bool inside(const struct allocation *m, uint64_t address, uint64_t bytes)
{
	return address >= m->start && checked_range(address - m->start, bytes, m->bytes);
}

bool allocations_have(struct allocations *a, uint64_t address, uint64_t bytes)
{
	uint32_t i;

	if (a->last < a->count && inside(&a->at[a->last], address, bytes))
		return true;
	i = before(a, address);
	if (!i || !inside(&a->at[i - 1], address, bytes))
		return false;
	a->last = i - 1;
	return true;
}
