// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors of devices, memory and copies. */
#include "errors.h"

#include <stdlib.h>

#include "../../protocol/vgpu_errors.h"

#define FAR_TOO_MUCH ((size_t)1 << 46)
#define NOWHERE 4096u /* an address of nobody's */

static uint8_t ordinary[4096];

gpu_ptr errors_large(void)
{
	gpu_ptr p;

	NEED(gpu_malloc(&p, LARGE));
	return p;
}

static gpu_ptr freed(void)
{
	gpu_ptr p = errors_large();

	NEED(gpu_free(p));
	return p;
}

/* ---- devices ---- */

static int select_none(void)
{
	return gpu_select(1000);
}

static int properties_of_none(void)
{
	return gpu_properties(1000);
}

const struct error_case device_errors[] = {
	CASE("select: no such GPU", select_none),
	CASE("properties: no such GPU", properties_of_none),
	CASES_END,
};

/* ---- memory ---- */

static int malloc_too_much(void)
{
	gpu_ptr p;

	return gpu_malloc(&p, FAR_TOO_MUCH);
}

static int malloc_most(void)
{
	gpu_ptr p;

	return gpu_malloc(&p, SIZE_MAX);
}

static int malloc_nothing(void)
{
	gpu_ptr p;

	return gpu_malloc(&p, 0);
}

static int malloc_null(void)
{
	return gpu_malloc(NULL, 4);
}

static int pitch_null(void)
{
	size_t pitch;

	return gpu_malloc_pitch(NULL, &pitch, 100, 100);
}

static int pitch_overflow(void)
{
	size_t pitch;
	gpu_ptr p;

	return gpu_malloc_pitch(&p, &pitch, SIZE_MAX / 2, 4);
}

static int pitch_no_rows(void)
{
	size_t pitch;
	gpu_ptr p;

	return gpu_malloc_pitch(&p, &pitch, 100, 0);
}

static int free_null(void)
{
	return gpu_free(0);
}

static int free_twice(void)
{
	return gpu_free(freed());
}

static int free_inside(void)
{
	return gpu_free(errors_large() + 256);
}

static int free_nowhere(void)
{
	return gpu_free(NOWHERE);
}

static int free_ordinary(void)
{
	return gpu_free((uintptr_t)ordinary);
}

static int host_alloc_null(void)
{
	return gpu_host_alloc(NULL, 4096);
}

static int host_alloc_nothing(void)
{
	void *p;

	return gpu_host_alloc(&p, 0);
}

static int host_alloc_too_much(void)
{
	void *p;

	return gpu_host_alloc(&p, FAR_TOO_MUCH);
}

static int host_free_ordinary(void)
{
	return gpu_host_free(ordinary);
}

static int host_free_twice(void)
{
	void *p;

	NEED(gpu_host_alloc(&p, 4096));
	NEED(gpu_host_free(p));
	return gpu_host_free(p);
}

static int memset_null(void)
{
	return gpu_memset(0, 4);
}

static int memset_nothing(void)
{
	return gpu_memset(0, 0);
}

static int memset_past_the_end(void)
{
	return gpu_memset(errors_large(), LARGE + 1);
}

static int memset_freed(void)
{
	return gpu_memset(freed(), 4);
}

static int memset_2d_pitch(void)
{
	return gpu_memset_2d(errors_large(), 4, 8, 2);
}

static int memset_2d_one_row(void)
{
	return gpu_memset_2d(errors_large(), 4, 8, 1);
}

static int memset_2d_past_the_end(void)
{
	return gpu_memset_2d(errors_large(), LARGE, 1, 2);
}

const struct error_case memory_errors[] = {
	CASE("malloc: more than there is", malloc_too_much),
	CASE("malloc: the largest number", malloc_most),
	CASE("malloc: 0 bytes", malloc_nothing),
	CASE("malloc: to NULL", malloc_null),
	CASE("malloc_pitch: to NULL", pitch_null),
	CASE("malloc_pitch: a product that overflows", pitch_overflow),
	CASE("malloc_pitch: no rows", pitch_no_rows),
	CASE("free: NULL", free_null),
	CASE("free: twice", free_twice),
	CASE("free: inside an allocation", free_inside),
	CASE("free: an address of nobody's", free_nowhere),
	CASE("free: ordinary memory", free_ordinary),
	CASE("host_alloc: to NULL", host_alloc_null),
	CASE("host_alloc: 0 bytes", host_alloc_nothing),
	BY_DESIGN("host_alloc: more than there is", host_alloc_too_much, VGPU_EQUOTA,
		  "docs/porting.md: the window is full"),
	CASE("host_free: ordinary memory", host_free_ordinary),
	CASE("host_free: twice", host_free_twice),
	CASE("memset: NULL", memset_null),
	CASE("memset: 0 bytes at NULL", memset_nothing),
	CASE("memset: past the end", memset_past_the_end),
	CASE("memset: freed memory", memset_freed),
	CASE("memset_2d: a pitch below the width", memset_2d_pitch),
	CASE("memset_2d: a pitch below the width, one row", memset_2d_one_row),
	CASE("memset_2d: past the end", memset_2d_past_the_end),
	CASES_END,
};

/* ---- copies ---- */

static int write_null(void)
{
	return gpu_write(0, ordinary, 4);
}

static int write_from_null(void)
{
	return gpu_write(errors_large(), NULL, 4);
}

static int write_nothing(void)
{
	return gpu_write(0, NULL, 0);
}

static int write_nowhere(void)
{
	return gpu_write(NOWHERE, ordinary, 4);
}

static int write_freed(void)
{
	return gpu_write(freed(), ordinary, 4);
}

static int write_past_the_end(void)
{
	return gpu_write(errors_large() + LARGE - 4, ordinary, 8);
}

static int write_much_past_the_end(void)
{
	return gpu_write(errors_large() + LARGE - 4, ordinary, sizeof(ordinary));
}

static int read_to_null(void)
{
	return gpu_read(NULL, errors_large(), 4);
}

static int read_nowhere(void)
{
	return gpu_read(ordinary, NOWHERE, 4);
}

static int read_freed(void)
{
	return gpu_read(ordinary, freed(), 4);
}

static int read_past_the_end(void)
{
	return gpu_read(ordinary, errors_large() + LARGE - 4, 8);
}

static int copy_null(void)
{
	return gpu_copy(errors_large(), 0, 4);
}

static int copy_past_the_end(void)
{
	gpu_ptr p = errors_large();

	return gpu_copy(p, p + LARGE - 4, 8);
}

static int copy_overlapping(void)
{
	gpu_ptr p = errors_large();

	return gpu_copy(p, p + 64, 128) ?: gpu_synchronize();
}

static int write_2d_dst_pitch(void)
{
	return gpu_write_2d(errors_large(), 4, ordinary, 8, 8, 2);
}

static int write_2d_src_pitch(void)
{
	return gpu_write_2d(errors_large(), 8, ordinary, 4, 8, 2);
}

static int write_2d_one_row(void)
{
	return gpu_write_2d(errors_large(), 4, ordinary, 4, 8, 1);
}

static int write_2d_one_row_dst(void)
{
	return gpu_write_2d(errors_large(), 4, ordinary, 8, 8, 1);
}

static int write_2d_one_row_src(void)
{
	return gpu_write_2d(errors_large(), 8, ordinary, 4, 8, 1);
}

static int write_2d_large_pitch(void)
{
	return gpu_write_2d(errors_large(), (size_t)1 << 40, ordinary, 8, 8, 1);
}

static int write_2d_nothing(void)
{
	return gpu_write_2d(0, 0, NULL, 0, 0, 4);
}

static int write_2d_past_the_end(void)
{
	return gpu_write_2d(errors_large(), LARGE, ordinary, 8, 8, 2);
}

const struct error_case copy_errors[] = {
	CASE("write: to NULL", write_null),
	CASE("write: from NULL", write_from_null),
	CASE("write: 0 bytes from NULL to NULL", write_nothing),
	CASE("write: an address of nobody's", write_nowhere),
	CASE("write: freed memory", write_freed),
	CASE("write: past the end", write_past_the_end),
	CASE("write: a page past the end", write_much_past_the_end),
	CASE("read: to NULL", read_to_null),
	CASE("read: an address of nobody's", read_nowhere),
	CASE("read: freed memory", read_freed),
	CASE("read: past the end", read_past_the_end),
	CASE("copy: from NULL", copy_null),
	CASE("copy: past the end", copy_past_the_end),
	CASE("copy: overlapping", copy_overlapping),
	CASE("write_2d: a pitch on the device below the width", write_2d_dst_pitch),
	CASE("write_2d: a pitch of the program's below the width", write_2d_src_pitch),
	CASE("write_2d: a pitch below the width, one row", write_2d_one_row),
	CASE("write_2d: a pitch on the device below the width, one row", write_2d_one_row_dst),
	CASE("write_2d: a pitch of the program's below the width, one row", write_2d_one_row_src),
	CASE("write_2d: a pitch beyond the limit, one row", write_2d_large_pitch),
	CASE("write_2d: rows of no bytes", write_2d_nothing),
	CASE("write_2d: past the end", write_2d_past_the_end),
	CASES_END,
};
