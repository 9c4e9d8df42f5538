/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who has which bytes of the window. All of it is kept in private memory, for the host may write
 * the window at any time.
 *
 * The program's memory is taken from the top, and the lowest quarter is never given to it; what the
 * library needs for the length of a call is taken from the bottom, of all that is left.
 * The handle's lock guards it.
 */
#ifndef GUEST_WINDOW_HEAP_H
#define GUEST_WINDOW_HEAP_H

#include <stdbool.h>
#include <stdint.h>

#define WINDOW_ALIGN 256u

struct window_block {
	struct window_block *prev, *next; /* by offset */
	uint64_t offset;                  /* in the window */
	uint64_t bytes;                   /* of the window, WINDOW_ALIGN or a multiple */
	bool programs;                    /* not the library's */
};

struct window_heap {
	struct window_block ends; /* next: the lowest block, prev: the highest */
	uint64_t bytes;
};

void window_init(struct window_heap *h, uint64_t bytes);
void window_dispose(struct window_heap *h);

/*
 * For the library: @want bytes, or where there are not as many in one piece, at least @least.
 * NULL: not now.
 */
struct window_block *window_stage(struct window_heap *h, uint64_t want, uint64_t least);

/* Would window_stage() find @bytes if the library held nothing? */
bool window_could_stage(const struct window_heap *h, uint64_t bytes);

/*
 * For the program, at a multiple of @align in the window, which is one of WINDOW_ALIGN.
 * NULL: not now; window_could_alloc() tells whether it is the library's fault.
 */
struct window_block *window_alloc(struct window_heap *h, uint64_t bytes, uint64_t align);
bool window_could_alloc(const struct window_heap *h, uint64_t bytes, uint64_t align);

/* The program's block that starts there, or NULL. */
struct window_block *window_find(struct window_heap *h, uint64_t offset);

/* NULL is allowed. */
void window_free(struct window_heap *h, struct window_block *block);

#endif
