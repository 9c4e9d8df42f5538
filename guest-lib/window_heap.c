/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "window_heap.h"

#include <stdlib.h>

void window_init(struct window_heap *h, uint64_t bytes)
{
	h->bytes = bytes;
	h->ends = (struct window_block){ .prev = &h->ends, .next = &h->ends, .offset = bytes };
}

void window_dispose(struct window_heap *h)
{
	while (h->ends.next && h->ends.next != &h->ends)
		window_free(h, h->ends.next);
}

static uint64_t round_up(uint64_t offset, uint64_t align)
{
	return (offset + align - 1) / align * align;
}

/* Round up; 0 is 1. A number that is too large stays so. */
static uint64_t aligned(uint64_t bytes)
{
	if (bytes > UINT64_MAX - WINDOW_ALIGN)
		return bytes;
	return bytes ? round_up(bytes, WINDOW_ALIGN) : WINDOW_ALIGN;
}

static uint64_t end_of(const struct window_heap *h, const struct window_block *b)
{
	return b == &h->ends ? 0 : b->offset + b->bytes;
}

static struct window_block *insert(struct window_block *next, uint64_t offset, uint64_t bytes,
				   bool programs)
{
	struct window_block *b = malloc(sizeof(*b));

	if (!b)
		return NULL;
	*b = (struct window_block){ .prev = next->prev,
				    .next = next,
				    .offset = offset,
				    .bytes = bytes,
				    .programs = programs };
	b->prev->next = b;
	b->next->prev = b;
	return b;
}

struct window_block *window_stage(struct window_heap *h, uint64_t want, uint64_t least)
{
	struct window_block *best = NULL, *b = &h->ends;
	uint64_t start, room, most = 0;

	want = aligned(want);
	least = aligned(least);
	do { /* each gap, from the lowest; a block stands behind it, the last time `ends` */
		start = end_of(h, b);
		b = b->next;
		room = b->offset - start;
		if (room > most) {
			best = b;
			most = room;
		}
	} while (most < want && b != &h->ends);
	if (most < least || !best)
		return NULL;
	return insert(best, end_of(h, best->prev), want < most ? want : most, false);
}

/* The largest piece between @from and the end that only the program's blocks divide, if they all
 * start at multiples of @align. */
static uint64_t room_without_library(const struct window_heap *h, uint64_t from, uint64_t align)
{
	const struct window_block *b = &h->ends;
	uint64_t start = round_up(from, align), most = 0;

	do {
		b = b->next;
		if (b != &h->ends && !b->programs)
			continue;
		if (b->offset > start && b->offset - start > most)
			most = b->offset - start;
		if (end_of(h, b) > start)
			start = round_up(end_of(h, b), align);
	} while (b != &h->ends);
	return most;
}

bool window_could_stage(const struct window_heap *h, uint64_t bytes)
{
	return aligned(bytes) <= room_without_library(h, 0, WINDOW_ALIGN);
}

static uint64_t lowest_of_program(const struct window_heap *h)
{
	return aligned(h->bytes / 4);
}

bool window_could_alloc(const struct window_heap *h, uint64_t bytes, uint64_t align)
{
	return aligned(bytes) <= room_without_library(h, lowest_of_program(h), align);
}

struct window_block *window_alloc(struct window_heap *h, uint64_t bytes, uint64_t align)
{
	struct window_block *next = &h->ends;
	uint64_t start, at;

	bytes = aligned(bytes);
	do { /* each gap, from the highest */
		start = end_of(h, next->prev);
		if (start < lowest_of_program(h))
			start = lowest_of_program(h);
		if (next->offset >= bytes) {
			at = (next->offset - bytes) / align * align;
			if (at >= start)
				return insert(next, at, bytes, true);
		}
		next = next->prev;
	} while (next != &h->ends);
	return NULL;
}

struct window_block *window_find(struct window_heap *h, uint64_t offset)
{
	for (struct window_block *b = h->ends.prev; b != &h->ends; b = b->prev)
		if (b->offset == offset)
			return b->programs ? b : NULL;
	return NULL;
}

void window_free(struct window_heap *h, struct window_block *block)
{
	(void)h;
	if (!block)
		return;
	block->prev->next = block->next;
	block->next->prev = block->prev;
	free(block);
}
