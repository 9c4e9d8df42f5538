/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arrays that grow as elements are put into them. */
#ifndef GUEST_ARRAY_H
#define GUEST_ARRAY_H

#include <stddef.h>
#include <stdint.h>

/*
 * Put a copy of *@element, of @size bytes, at index @i of @array, which has *@count elements and
 * room for *@room; NULL has none. Returns the array, which may have moved and is the caller's to
 * free(); NULL: out of memory, and @array is as it was.
 */
void *array_insert(void *array, uint32_t *count, uint32_t *room, size_t size, uint32_t i,
		   const void *element);

/* Take the element at index @i out. */
void array_remove(void *array, uint32_t *count, size_t size, uint32_t i);

#endif
