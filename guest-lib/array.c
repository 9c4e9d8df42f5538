/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "array.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_AT_FIRST 16u

void *array_insert(void *array, uint32_t *count, uint32_t *room, size_t size, uint32_t i,
		   const void *element)
{
	uint8_t *place;

	if (*count == *room) {
		uint32_t more = *room ? 2 * *room : ROOM_AT_FIRST;

		array = realloc(array, more * size);
		if (!array)
			return NULL;
		*room = more;
	}
	place = (uint8_t *)array + i * size;
	memmove(place + size, place, (*count - i) * size);
	memcpy(place, element, size);
	++*count;
	return array;
}

void array_remove(void *array, uint32_t *count, size_t size, uint32_t i)
{
	uint8_t *place = (uint8_t *)array + i * size;

	--*count;
	memmove(place, place + size, (*count - i) * size);
}
