/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Arithmetic on numbers that the other side chose. All of it goes through here. */
#ifndef COMMON_CHECKED_H
#define COMMON_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/* Is [offset, offset + length) inside [0, limit)? An empty range may start at limit. */
static inline bool checked_range(uint64_t offset, uint64_t length, uint64_t limit)
{
	return offset <= limit && length <= limit - offset;
}

/* Do two non-empty ranges, each known not to overflow, share a byte? */
static inline bool checked_overlap(uint64_t a, uint64_t a_len, uint64_t b, uint64_t b_len)
{
	return a < b + b_len && b < a + a_len;
}

/* *out = a * b, a + b; false if that does not fit, *out is then undefined. */
static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

static inline bool checked_aligned(uint64_t v, uint64_t alignment)
{
	return (v & (alignment - 1)) == 0;
}

static inline bool checked_power_of_two(uint64_t v)
{
	return v && !(v & (v - 1));
}

#endif
