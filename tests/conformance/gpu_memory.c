// SPDX-License-Identifier: GPL-2.0-or-later
/* GPUs, and memory on both sides: given, filled, given back, and what is refused. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>

static void gpus(void)
{
	struct vgpu_gpu_properties p;
	size_t free_bytes, total;
	auto_close g = NULL;
	uint32_t count;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_gpu_count(g, &count));
	CHECK(count >= 1);
	for (uint32_t i = 0; i < count; i++) {
		memset(&p, POISON, sizeof(p));
		EXPECT_ON(g, 0, vgpu_get_gpu_properties(g, i, &p));
		CHECK(p.name[0] && memchr(p.name, '\0', sizeof(p.name)));
		CHECK(p.backend == VGPU_BACKEND_CPU || p.backend == VGPU_BACKEND_CUDA);
		CHECK(p.memory_total && p.multiprocessors && p.warp_size);
		CHECK(p.threads_per_block && p.block_max[0] && p.grid_max[0] && p.grid_max[2]);
		CHECK(p.priority_greatest <= p.priority_least);
		EXPECT_ON(g, 0, vgpu_select_gpu(g, i));
		EXPECT_ON(g, 0, vgpu_memory_info(g, &free_bytes, &total));
		CHECK(free_bytes <= total && total <= p.memory_total, "(%zu of %zu)", free_bytes,
		      total);
	}
	EXPECT_ON(g, CUDA_INVALID_DEVICE, vgpu_select_gpu(g, count));
	EXPECT_ON(g, CUDA_INVALID_DEVICE, vgpu_select_gpu(g, UINT32_MAX));
	EXPECT_ON(g, CUDA_INVALID_DEVICE, vgpu_get_gpu_properties(g, count, &p));
	EXPECT_ON(g, CUDA_INVALID_DEVICE, vgpu_get_gpu_properties(g, UINT32_MAX, &p));
	EXPECT_REFUSAL(vgpu_gpu_count(g, NULL));
	EXPECT_REFUSAL(vgpu_get_gpu_properties(g, 0, NULL));
	EXPECT_ON(g, 0, vgpu_select_gpu(g, 0));
}

#define BLOCKS 200

struct block {
	vgpu_devptr p;
	size_t bytes;
	uint8_t value;
};

static void make_block(struct vgpu *g, struct block *all, int n)
{
	struct block *b = &all[n];

	b->bytes = 1 + test_random() % (1u << test_random() % (test.quick ? 15 : 21));
	b->value = (uint8_t)test_random();
	EXPECT_ON(g, 0, vgpu_malloc(g, &b->p, b->bytes));
	CHECK(b->p && b->p % 256 == 0, "(%#llx)", (unsigned long long)b->p);
	for (int i = 0; i < n; i++)
		CHECK(!all[i].p || b->p >= all[i].p + all[i].bytes || all[i].p >= b->p + b->bytes,
		      "(blocks %d and %d overlap)", i, n);
	EXPECT_ON(g, 0, vgpu_memset(g, b->p, b->value, b->bytes));
}

static void take_back(struct vgpu *g, struct block *b)
{
	auto_free uint8_t *got = random_bytes(b->bytes);

	CHECK(got);
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, got, b->p, b->bytes));
	CHECK(bytes_are(got, b->value, b->bytes), "(%zu bytes)", b->bytes);
	EXPECT_ON(g, 0, vgpu_free(g, b->p));
	b->p = 0;
}

static void allocations_are_apart(void)
{
	struct block blocks[BLOCKS] = { 0 };
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (int i = 0; i < BLOCKS; i++) {
		HELPED(make_block(g, blocks, i));
		if (test_random() % 3 == 0) {
			struct block *b = &blocks[test_random() % (unsigned int)(i + 1)];

			if (b->p)
				HELPED(take_back(g, b));
		}
	}
	for (int i = 0; i < BLOCKS; i++)
		if (blocks[i].p)
			HELPED(take_back(g, &blocks[i]));
}

static void allocations_of_odd_sizes(void)
{
	static const size_t too_much[] = { SIZE_MAX, SIZE_MAX - 255, SIZE_MAX / 2 + 1,
					   (size_t)1 << 60, (size_t)1 << 50 };
	auto_close g = NULL;
	vgpu_devptr p = 1;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, 0));
	CHECK(p == 0);
	EXPECT_ON(g, 0, vgpu_free(g, 0));
	for (size_t i = 0; i < sizeof(too_much) / sizeof(too_much[0]); i++) {
		EXPECT_ON(g, CUDA_OUT_OF_MEMORY, vgpu_malloc(g, &p, too_much[i]));
		EXPECT(CUDA_OUT_OF_MEMORY, vgpu_get_last_error(g));
	}
	EXPECT_REFUSAL(vgpu_malloc(g, NULL, 16));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, 16));
	EXPECT_ON(g, 0, vgpu_free(g, p));
}

static void free_of_what_was_not_given(void)
{
	static const size_t sizes[] = { 100, LARGE };
	auto_close g = NULL;
	auto_close other = NULL;
	vgpu_devptr p, foreign;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_free(g, 256));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_free(g, UINT64_MAX));
	EXPECT(0, test_open(&other));
	EXPECT_ON(other, 0, vgpu_malloc(other, &foreign, 1000));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_free(g, foreign));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		EXPECT_ON(g, 0, vgpu_malloc(g, &p, sizes[i]));
		EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_free(g, p + 1));
		EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_free(g, p + sizes[i] - 1));
		EXPECT_ON(g, 0, vgpu_free(g, p));
		EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_free(g, p));
	}
	EXPECT(CUDA_INVALID_VALUE, vgpu_get_last_error(g));
	EXPECT_ON(other, 0, vgpu_free(other, foreign));
}

/* Memory comes back: more than there is, one after the other. */
static void malloc_and_free_for_long(void)
{
	auto_close g = NULL;
	vgpu_devptr p;

	EXPECT(0, test_open(&g));
	for (int i = test_rounds(2000); i > 0; i--) {
		EXPECT_ON(g, 0, vgpu_malloc(g, &p, 1 + test_random() % (100 << 20)));
		EXPECT_ON(g, 0, vgpu_free(g, p));
	}
}

/* One memset in the middle of a poisoned block. */
static void one_memset(struct vgpu *g, vgpu_devptr block, size_t room, size_t at, size_t bytes)
{
	int value = (int)test_random();
	auto_free uint8_t *got = random_bytes(room);

	CHECK(got && at + bytes <= room);
	EXPECT_ON(g, 0, vgpu_memset(g, block, POISON, room));
	EXPECT_ON(g, 0, vgpu_memset(g, block + at, value, bytes));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, got, block, room));
	CHECK(bytes_are(got, POISON, at), "(before %zu)", at);
	CHECK(bytes_are(got + at, (uint8_t)value, bytes), "(%zu at %zu)", bytes, at);
	CHECK(bytes_are(got + at + bytes, POISON, room - at - bytes), "(behind %zu)", at + bytes);
}

static void memsets(void)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 4, 5, 255, 256, 4097 };
	const size_t room = test_bytes(40000, 2000003);
	auto_close g = NULL;
	vgpu_devptr p;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, room));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t at = 0; at < 5; at++)
			HELPED(one_memset(g, p, room > 8192 ? 8192 : room, at, sizes[i]));
	HELPED(one_memset(g, p, room, 1, room - 3));
	HELPED(one_memset(g, p, room, 0, room));
	EXPECT(0, told(g, vgpu_memset_async(g, p, 1, 0, 0)));
}

static void memset_of_rows(void)
{
	const size_t width = 37, height = 19, pitch = 64, room = 64 * 19 + 32;
	auto_free uint8_t *got = random_bytes(room);
	auto_close g = NULL;
	vgpu_devptr p;

	CHECK(got);
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, room));
	EXPECT(0, told(g, vgpu_memset_async(g, p, POISON, room, 0)));
	EXPECT(0, told(g, vgpu_memset_2d_async(g, p + 3, pitch, 0x11, width, height, 0)));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, got, p, room));
	for (size_t i = 0; i < room; i++) {
		bool inside = i >= 3 && (i - 3) % pitch < width && (i - 3) / pitch < height;

		CHECK(got[i] == (inside ? 0x11 : POISON), "(byte %zu)", i);
	}
	EXPECT(0, told(g, vgpu_memset_2d_async(g, p, pitch, 1, 0, height, 0)));
	EXPECT(0, told(g, vgpu_memset_2d_async(g, p, pitch, 1, width, 0, 0)));
	EXPECT_REFUSAL(told(g, vgpu_memset_2d_async(g, p, width - 1, 1, width, height, 0)));
	EXPECT_REFUSAL(told(g, vgpu_memset_2d_async(g, p, SIZE_MAX / 2, 1, width, height, 0)));
	EXPECT_REFUSAL(told(g, vgpu_memset_2d_async(g, p, pitch, 1, width, SIZE_MAX, 0)));
	EXPECT_REFUSAL(told(g, vgpu_memset_2d_async(g, 0, pitch, 1, width, height, 0)));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, got, p, 3));
	CHECK(bytes_are(got, POISON, 3));
}

static void memset_outside(void)
{
	auto_close g = NULL;
	vgpu_devptr p;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, LARGE));
	const struct {
		vgpu_devptr at;
		size_t bytes;
	} bad[] = { { 0, 1 },     { p, LARGE + 1 }, { p + 1, LARGE },        { p + LARGE, 1 },
		    { p - 1, 2 }, { p, SIZE_MAX },  { p + 2, SIZE_MAX - p }, { UINT64_MAX, 1 } };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT(CUDA_INVALID_VALUE,
		       told(g, vgpu_memset_async(g, bad[i].at, 0, bad[i].bytes, 0)));
	EXPECT_ON(g, 0, vgpu_free(g, p));
	EXPECT(CUDA_INVALID_VALUE, told(g, vgpu_memset(g, p, 0, 1)));
}

static void pitched_allocations(void)
{
	static const size_t widths[] = { 1, 255, 256, 257, 1000 };
	size_t pitch;
	auto_close g = NULL;
	vgpu_devptr p;

	EXPECT(0, test_open(&g));
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		pitch = 0;
		EXPECT_ON(g, 0, vgpu_malloc_pitch(g, &p, &pitch, widths[i], 33));
		CHECK(pitch >= widths[i] && p % 256 == 0, "(%zu)", pitch);
		EXPECT_ON(g, 0, vgpu_memset(g, p, 0, pitch * 33)); /* all of it is there */
		EXPECT_ON(g, 0, vgpu_free(g, p));
	}
	CHECK(vgpu_malloc_pitch(g, &p, &pitch, SIZE_MAX, 1) > 0);
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_malloc_pitch(g, &p, &pitch, SIZE_MAX / 2, 4));
	EXPECT_ON(g, CUDA_INVALID_VALUE,
		  vgpu_malloc_pitch(g, &p, &pitch, (size_t)1 << 40, (size_t)1 << 40));
	EXPECT_REFUSAL(vgpu_malloc_pitch(g, NULL, &pitch, 1, 1));
	EXPECT_REFUSAL(vgpu_malloc_pitch(g, &p, NULL, 1, 1));
	vgpu_get_last_error(g);
	EXPECT_ON(g, 0, vgpu_nop(g));
}

#define HOST_BLOCKS 64

/* All of the window, in pieces of @bytes, until it is full. */
static void host_until_full(struct vgpu *g, size_t bytes)
{
	uint8_t *p[HOST_BLOCKS] = { 0 };
	int n = 0, rc = 0;

	while (n < HOST_BLOCKS && (rc = vgpu_host_alloc(g, (void **)&p[n], bytes)) == 0) {
		CHECK(p[n] && (uintptr_t)p[n] % 256 == 0);
		memset(p[n], n, bytes);
		n++;
	}
	CHECK(n > 0 && (rc == VGPU_EQUOTA || (rc == 0 && n == HOST_BLOCKS)), "(%d: %s)", n,
	      vgpu_strerrorname(rc));
	EXPECT_ON(g, 0, vgpu_nop(g)); /* there is always room for the library itself */
	EXPECT_ON(g, 0, vgpu_vector_add_self_test(g, NULL));
	for (int i = 0; i < n; i++) {
		CHECK(bytes_are(p[i], (uint8_t)i, bytes), "(block %d)", i);
		EXPECT_ON(g, 0, vgpu_host_free(g, p[i]));
	}
}

static void host_memory(void)
{
	size_t window, sizes[] = { 1, 4096, 0, 0 };
	struct vgpu_status s;
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_query_status(g, &s));
	window = s.window_bytes;
	sizes[2] = window / 16 + 1;
	sizes[3] = window / 5;
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
			HELPED(host_until_full(g, sizes[i]));
}

static void host_memory_refused(void)
{
	uint8_t mine[4096] = { 0 }, *p, *q;
	auto_close g = NULL;
	auto_close other = NULL;
	void *none = NULL;

	EXPECT(0, test_open(&g));
	EXPECT(0, test_open(&other));
	EXPECT_ON(g, VGPU_EQUOTA, vgpu_host_alloc(g, &none, (size_t)1 << 40));
	EXPECT_ON(g, VGPU_EQUOTA, vgpu_host_alloc(g, &none, SIZE_MAX));
	EXPECT_REFUSAL(vgpu_host_alloc(g, NULL, 1));
	EXPECT_ON(g, 0, vgpu_host_alloc(g, (void **)&p, 1024));
	EXPECT_ON(other, 0, vgpu_host_alloc(other, (void **)&q, 1024));
	EXPECT_REFUSAL(vgpu_host_free(g, mine));
	EXPECT_REFUSAL(vgpu_host_free(g, p + 256));
	EXPECT_REFUSAL(vgpu_host_free(g, q));
	EXPECT_ON(other, 0, vgpu_host_free(other, q));
	EXPECT_ON(g, 0, vgpu_host_free(g, p));
	EXPECT_REFUSAL(vgpu_host_free(g, p));
}

const struct test_case gpu_memory_tests[] = {
	{ "GPUs and their properties", gpus },
	{ "allocations are apart and keep their bytes", allocations_are_apart },
	{ "allocations of nothing and of too much", allocations_of_odd_sizes },
	{ "free refuses what was not given", free_of_what_was_not_given },
	{ "malloc and free for long", malloc_and_free_for_long },
	{ "memset of 0 bytes to megabytes", memsets },
	{ "memset of rows", memset_of_rows },
	{ "memset outside of an allocation", memset_outside },
	{ "pitched allocations", pitched_allocations },
	{ "host memory until the window is full", host_memory },
	{ "host memory refuses what was not given", host_memory_refused },
	{ NULL, NULL },
};
