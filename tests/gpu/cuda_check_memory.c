// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory and copies of the cuda backend against memcpy() and memset(). */
#include "cuda_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GUARD 64u
#define POISON 0xd5

static struct backend_copy row(uint32_t kind, uint64_t dst, uint64_t src, size_t n)
{
	return (struct backend_copy){
		.kind = kind, .dst = dst, .src = src, .width = n, .height = 1
	};
}

int copy_in(struct gpu_test *t, struct backend_stream *s, uint64_t device, const void *window,
	    size_t n)
{
	struct backend_copy c = row(VGPU_COPY_TO_DEVICE, device, (uintptr_t)window, n);

	return t->ops->copy(t->b, s, &c);
}

int copy_out(struct gpu_test *t, struct backend_stream *s, void *window, uint64_t device, size_t n)
{
	struct backend_copy c = row(VGPU_COPY_FROM_DEVICE, (uintptr_t)window, device, n);

	return t->ops->copy(t->b, s, &c);
}

void fill_bytes(void *p, size_t n)
{
	uint8_t *bytes = p;

	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)rnd();
}

void check_memory(struct gpu_test *t)
{
	uint64_t total, before, during, address, address2;
	bool passed;

	passed = returns(t->ops->memory(t->b, &total, &before), 0, "memory") &&
		 returns(t->ops->alloc(t->b, 256u << 20, &address), 0, "alloc") &&
		 returns(t->ops->memory(t->b, &total, &during), 0, "memory") &&
		 returns(t->ops->alloc(t->b, 1, &address2), 0, "alloc");
	ok(passed && before - during >= 256u << 20 && address % 256 == 0 && address2 % 256 == 0,
	   "alloc: aligned, and memory() tells");
	passed = returns(t->ops->free(t->b, address), 0, "free") &&
		 returns(t->ops->free(t->b, address2), 0, "free");
	ok(passed && returns(t->ops->free(t->b, address), CUDA_INVALID_VALUE, "free again"),
	   "free, once");
	ok(returns(t->ops->alloc(t->b, total * 2, &address), CUDA_MEMORY_ALLOCATION, "alloc") &&
		   returns(t->ops->memory(t->b, &total, &before), 0, "memory"),
	   "more than there is: cudaErrorMemoryAllocation, which passes");
}

/* To the device, there and back, with guards around each end. */
static bool round_trip(struct gpu_test *t, struct backend_stream *s, uint64_t device, size_t n)
{
	uint8_t *in = t->window + rnd() % 64;
	uint8_t *out = t->window + t->window_bytes / 2 + GUARD + rnd() % 64;
	uint64_t from = device + rnd() % 64, to = device + t->window_bytes / 2 + rnd() % 64;
	struct backend_copy c = row(VGPU_COPY_ON_DEVICE, to, from, n);
	bool passed;

	fill_bytes(in, n);
	memset(out - GUARD, POISON, n + 2 * GUARD);
	passed = returns(copy_in(t, s, from, in, n), 0, "copy to device") &&
		 returns(t->ops->copy(t->b, s, &c), 0, "copy on device") &&
		 returns(copy_out(t, s, out, to, n), 0, "copy from device") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, s), 0, "wait");
	passed = passed && memcmp(in, out, n) == 0;
	for (size_t i = 1; i <= GUARD; i++)
		passed = passed && out[-(ptrdiff_t)i] == POISON && out[n + i - 1] == POISON;
	if (!passed)
		printf("# %zu bytes\n", n);
	return passed;
}

/* Rows, each at its own pitch, and nothing between them. */
static bool round_trip_2d(struct gpu_test *t, struct backend_stream *s, uint64_t device,
			  size_t width, size_t height)
{
	size_t in_pitch = width + rnd() % 99, out_pitch = width + rnd() % 99;
	size_t device_pitch = (width + rnd() % 99 + 31) & ~31u;
	uint8_t *in = t->window, *out = t->window + t->window_bytes / 2;
	struct backend_copy c = { .kind = VGPU_COPY_TO_DEVICE,
				  .dst = device,
				  .dst_pitch = device_pitch,
				  .src = (uintptr_t)in,
				  .src_pitch = in_pitch,
				  .width = width,
				  .height = height };
	uint64_t copied = device + t->window_bytes / 2;
	bool passed;

	fill_bytes(in, in_pitch * height);
	memset(out, POISON, out_pitch * height);
	passed = returns(t->ops->copy(t->b, s, &c), 0, "copy rows to device");
	c = (struct backend_copy){ .kind = VGPU_COPY_ON_DEVICE,
				   .dst = copied,
				   .dst_pitch = device_pitch,
				   .src = device,
				   .src_pitch = device_pitch,
				   .width = width,
				   .height = height };
	passed = passed && returns(t->ops->copy(t->b, s, &c), 0, "copy rows on device");
	c = (struct backend_copy){ .kind = VGPU_COPY_FROM_DEVICE,
				   .dst = (uintptr_t)out,
				   .dst_pitch = out_pitch,
				   .src = copied,
				   .src_pitch = device_pitch,
				   .width = width,
				   .height = height };
	passed = passed && returns(t->ops->copy(t->b, s, &c), 0, "copy rows from device") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, s), 0, "wait");
	for (size_t y = 0; y < height && passed; y++) {
		passed = memcmp(in + y * in_pitch, out + y * out_pitch, width) == 0;
		for (size_t x = width; x < out_pitch; x++)
			passed = passed && out[y * out_pitch + x] == POISON;
	}
	if (!passed)
		printf("# %zu rows of %zu\n", height, width);
	return passed;
}

static bool memset_agrees(struct gpu_test *t, struct backend_stream *s, uint64_t device,
			  uint32_t element, size_t width, size_t height)
{
	size_t pitch = (width + rnd() % 9) * element, n = pitch * height + GUARD;
	uint8_t *want = malloc(n), *out = t->window;
	struct backend_memset m = { .dst = device,
				    .pitch = height > 1 ? pitch : 0,
				    .width = width,
				    .height = height,
				    .value = rnd(),
				    .element = element };
	bool passed;

	fill_bytes(want, n);
	memcpy(out, want, n);
	passed = returns(copy_in(t, s, device, out, n), 0, "copy to device") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, s), 0, "wait");
	for (size_t y = 0; y < height; y++)
		for (size_t x = 0; x < width; x++)
			memcpy(want + y * pitch + x * element, &m.value, element);
	memset(out, POISON, n);
	passed = passed && returns(t->ops->memset(t->b, s, &m), 0, "memset") &&
		 returns(copy_out(t, s, out, device, n), 0, "copy from device") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, s), 0, "wait");
	passed = passed && memcmp(out, want, n) == 0;
	if (!passed)
		printf("# %zu rows of %zu elements of %u bytes\n", height, width, element);
	free(want);
	return passed;
}

/* Every length, at every distance from a multiple of 8. */
static bool short_ones_agree(struct gpu_test *t, struct backend_stream *s, uint64_t device)
{
	uint8_t data[VGPU_WRITE_MAX], around[VGPU_WRITE_MAX + 32], got[VGPU_READ_MAX];
	uint64_t dst;
	bool passed = true;

	for (uint32_t n = 1; n <= VGPU_WRITE_MAX && passed; n++) {
		dst = device + 16 + n % 8;
		fill_bytes(data, sizeof(data));
		fill_bytes(around, sizeof(around));
		memcpy(t->window, around, sizeof(around));
		passed = returns(copy_in(t, s, device, t->window, sizeof(around)), 0, "copy") &&
			 returns(t->ops->write(t->b, s, dst, data, n), 0, "write");
		memcpy(around + (dst - device), data, n);
		memset(data, 0, sizeof(data)); /* it must have been taken by now */
		memset(t->window, POISON, sizeof(around));
		passed = passed &&
			 returns(copy_out(t, s, t->window, device, sizeof(around)), 0, "copy") &&
			 returns(wait_for(t, VGPU_SYNC_STREAM, s), 0, "wait") &&
			 memcmp(t->window, around, sizeof(around)) == 0;
		memset(got, POISON, sizeof(got));
		if (n > VGPU_READ_MAX)
			continue;
		passed = passed && returns(read_now(t, s, dst, got, n), 0, "read") &&
			 memcmp(got, around + (dst - device), n) == 0 &&
			 (n == VGPU_READ_MAX || got[n] == POISON);
	}
	/* Words, which take a way of their own. */
	for (uint32_t n = 4; n <= 8 && passed; n += 4) {
		fill_bytes(data, n);
		passed = returns(t->ops->write(t->b, s, device, data, n), 0, "write a word") &&
			 returns(read_now(t, s, device, got, n), 0, "read a word") &&
			 memcmp(data, got, n) == 0;
	}
	return passed;
}

static const size_t sizes[] = {
	1, 3, 4, 63, 64, 1000, 4096, 65535, 65536, 524287, 524288, 524289, 3000001, 20000000,
};

void check_copies(struct gpu_test *t, const char *how)
{
	const struct {
		size_t width, height;
	} rows[] = {
		{ 1, 1 }, { 1, 1000 }, { 37, 99 }, { 4096, 500 }, { 100000, 2 }, { 600001, 5 }
	};
	struct backend_stream *streams[2] = { NULL };
	uint64_t device;
	bool passed;

	ok(returns(t->ops->alloc(t->b, t->window_bytes, &device), 0, "alloc") &&
		   returns(t->ops->stream_create(t->b, VGPU_STREAM_NON_BLOCKING, 0, &streams[1]), 0,
			   "stream_create"),
	   "%s: memory and a stream", how);
	for (int i = 0; i < 2; i++) {
		passed = true;
		for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]) && passed; n++)
			passed = round_trip(t, streams[i], device, sizes[n]);
		ok(passed, "%s: copies to, on and from the device, stream %d", how, i);
	}
	passed = true;
	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]) && passed; n++)
		passed = round_trip_2d(t, streams[1], device, rows[n].width, rows[n].height);
	ok(passed, "%s: copies of rows", how);
	passed = true;
	for (uint32_t element = 1; element <= 4 && passed; element *= 2)
		passed = memset_agrees(t, streams[1], device, element, 1 + rnd() % 100000, 1) &&
			 memset_agrees(t, NULL, device, element, 1 + rnd() % 1000, 77);
	ok(passed, "%s: memset, elements of 1, 2 and 4 bytes", how);
	ok(short_ones_agree(t, streams[1], device) && short_ones_agree(t, NULL, device),
	   "%s: write and read of every length", how);
	t->ops->stream_destroy(t->b, streams[1]);
	ok(returns(t->ops->free(t->b, device), 0, "free"), "%s: free", how);
}

/* ---- how fast ---- */

typedef int (*copy_fn)(struct gpu_test *t, uint64_t device, size_t n);

static int in(struct gpu_test *t, uint64_t device, size_t n)
{
	return copy_in(t, NULL, device, t->window, n);
}

static int out(struct gpu_test *t, uint64_t device, size_t n)
{
	return copy_out(t, NULL, t->window, device, n);
}

static int by_number(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

/* The median, to the end of the copy, of memory that was just written; 0 if one failed. */
static double time_copy(struct gpu_test *t, copy_fn copy, uint64_t device, size_t n)
{
	enum {
		TIMES = 25
	};
	double us[TIMES];

	for (int i = 0; i < TIMES; i++) {
		struct timespec start, end;

		memset(t->window, i, n);
		clock_gettime(CLOCK_MONOTONIC, &start);
		if (copy(t, device, n) || wait_for(t, VGPU_SYNC_DEVICE, NULL))
			return 0;
		clock_gettime(CLOCK_MONOTONIC, &end);
		us[i] = (double)(end.tv_sec - start.tv_sec) * 1e6 +
			(double)(end.tv_nsec - start.tv_nsec) / 1e3;
	}
	qsort(us, TIMES, sizeof(us[0]), by_number);
	return us[TIMES / 2];
}

void time_copies(struct gpu_test *t, const char *how)
{
	uint64_t device;

	if (!returns(t->ops->alloc(t->b, t->window_bytes, &device), 0, "alloc"))
		return;
	for (size_t n = 4096; n <= t->window_bytes; n *= 16) {
		double to = time_copy(t, in, device, n), from = time_copy(t, out, device, n);

		printf("# %9zu bytes %s: to the device %.1f us, %.1f GB/s; from it %.1f us, %.1f "
		       "GB/s\n",
		       n, how, to, (double)n / to / 1e3, from, (double)n / from / 1e3);
	}
	t->ops->free(t->b, device);
}
