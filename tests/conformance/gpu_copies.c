// SPDX-License-Identifier: GPL-2.0-or-later
/* Copies of every kind, against bytes that this process keeps. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>

/* There and back, both ends at odd places, with guards around what arrives. */
static void there_and_back(struct vgpu *g, const uint8_t *data, size_t bytes, size_t host_at,
			   size_t device_at, uint8_t *back)
{
	vgpu_devptr p;

	memset(back, POISON, bytes + 2 * GUARD);
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, bytes + 2 * GUARD));
	EXPECT_ON(g, 0, vgpu_memset(g, p, POISON, bytes + 2 * GUARD));
	EXPECT_ON(g, 0, vgpu_copy_to_device(g, p + device_at, data + host_at, bytes));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, back + host_at, p + device_at, bytes));
	CHECK(memcmp(back + host_at, data + host_at, bytes) == 0, "(%zu bytes, %zu, %zu)", bytes,
	      host_at, device_at);
	CHECK(bytes_are(back, POISON, host_at) &&
		      bytes_are(back + host_at + bytes, POISON, 2 * GUARD - host_at),
	      "(%zu bytes: wrote around the target)", bytes);
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, back, p, bytes + 2 * GUARD));
	CHECK(bytes_are(back, POISON, device_at) &&
		      bytes_are(back + device_at + bytes, POISON, 2 * GUARD - device_at),
	      "(%zu bytes: wrote around on the device)", bytes);
	EXPECT_ON(g, 0, vgpu_free(g, p));
}

static void sizes(void)
{
	static const size_t few[] = { 0,  1,  2,  3,   4,   7,   8,    47,   48,   49,    63,   64,
				      79, 80, 81, 127, 128, 129, 4095, 4096, 4097, 65535, 65537 };
	const size_t most = test_bytes(200001, 5000011);
	auto_free uint8_t *data = random_bytes(most + GUARD), *back = malloc(most + 2 * GUARD);
	auto_close g = NULL;

	CHECK(data && back);
	EXPECT(0, test_open(&g));
	for (size_t i = 0; i < sizeof(few) / sizeof(few[0]); i++)
		HELPED(there_and_back(g, data, few[i], test_random() % 8, test_random() % 8, back));
	for (int i = test_rounds(30); i > 0; i--)
		HELPED(there_and_back(g, data, 1 + test_random() % most, test_random() % GUARD,
				      test_random() % GUARD, back));
	HELPED(there_and_back(g, data, most, 1, 3, back));
}

/* What does not fit the window goes in pieces. */
static void around_the_window(void)
{
	struct vgpu_options o = test_options();
	auto_close g = NULL;
	struct vgpu_status s;
	size_t n;

	o.window_bytes = 256 << 10;
	EXPECT(0, vgpu_open(&g, &o));
	EXPECT_ON(g, 0, vgpu_query_status(g, &s));
	n = s.window_bytes;
	if (n > 16 << 20) {
		test_skipped("the window is large and cannot be chosen");
		return;
	}
	auto_free uint8_t *data = random_bytes(3 * n), *back = malloc(3 * n);

	CHECK(data && back);
	for (size_t part = 4; part; part /= 2)
		for (size_t off = 0; off < 3; off++)
			HELPED(there_and_back(g, data, n / part + off - 1, off, 2 - off, back));
	HELPED(there_and_back(g, data, 2 * n + 17, 1, 0, back));
}

static void host_memory_both_ways(void)
{
	size_t room = test_bytes(100000, 1000003);
	auto_free uint8_t *data = random_bytes(room);
	auto_close g = NULL;
	uint8_t *in, *out;
	vgpu_devptr p;

	CHECK(data);
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, host_alloc_some(g, &in, &room));
	room = room > 8192 ? room / 2 : room;
	EXPECT_ON(g, 0, host_alloc_some(g, &out, &room));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, room));
	for (int i = test_rounds(200); i > 0; i--) {
		size_t n = 1 + test_random() % room, at = test_random() % (room - n + 1);

		memcpy(in + at, data, n);
		memset(out, POISON, room);
		EXPECT(0, vgpu_copy_to_device_async(g, p + at, in + at, n, 0));
		EXPECT(0, vgpu_copy_from_device_async(g, out + at, p + at, n, 0));
		EXPECT_ON(g, 0, vgpu_stream_synchronize(g, 0));
		CHECK(memcmp(out + at, data, n) == 0, "(%zu at %zu)", n, at);
		CHECK(bytes_are(out, POISON, at));
		CHECK(bytes_are(out + at + n, POISON, room - at - n));
	}
	EXPECT_ON(g, 0, vgpu_copy_to_device(g, p, in, room));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, out, p, room));
	CHECK(memcmp(in, out, room) == 0);
}

/* Ordinary memory is the caller's again when an _async call returns. */
static void ordinary_memory_in_streams(void)
{
	const size_t most = test_bytes(100000, 3000000);
	auto_free uint8_t *data = random_bytes(most), *sent = malloc(most), *back = malloc(most);
	struct kernels k;
	auto_close g = NULL;
	vgpu_stream stream;
	vgpu_devptr p;

	CHECK(data && sent && back);
	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &stream, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, most));
	for (int i = test_rounds(30); i > 0; i--) {
		size_t n = 1 + test_random() % (i % 2 ? 100 : most);

		memcpy(sent, data, n);
		EXPECT(0, spin(g, &k, stream, 1));
		EXPECT(0, vgpu_copy_to_device_async(g, p, sent, n, stream));
		memset(sent, POISON, n);
		memset(back, POISON, n);
		EXPECT(0, vgpu_copy_from_device_async(g, back, p, n, stream));
		CHECK(memcmp(back, data, n) == 0, "(%zu bytes)", n);
	}
	EXPECT(0, told(g, 0));
}

static void on_the_device(void)
{
	const size_t room = test_bytes(50000, 2000000);
	auto_free uint8_t *data = random_bytes(room), *back = malloc(room);
	auto_close g = NULL;
	vgpu_devptr a, b;

	CHECK(data && back);
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_malloc(g, &a, room));
	EXPECT_ON(g, 0, vgpu_malloc(g, &b, room));
	EXPECT_ON(g, 0, vgpu_copy_to_device(g, a, data, room));
	for (int i = test_rounds(100); i > 0; i--) {
		size_t n = test_random() % room, from = test_random() % (room - n + 1);
		size_t to = test_random() % (room - n + 1);

		EXPECT_ON(g, 0, vgpu_memset(g, b, POISON, room));
		EXPECT(0, i % 2 ? vgpu_copy_on_device(g, b + to, a + from, n)
				: vgpu_copy_on_device_async(g, b + to, a + from, n, 0));
		EXPECT_ON(g, 0, vgpu_copy_from_device(g, back, b, room));
		CHECK(memcmp(back + to, data + from, n) == 0, "(%zu)", n);
		CHECK(bytes_are(back, POISON, to));
		CHECK(bytes_are(back + to + n, POISON, room - to - n));
	}
}

/* A rectangle in memory. */
struct rows {
	size_t at, pitch;
};

static bool rows_equal(const uint8_t *x, struct rows xr, const uint8_t *y, struct rows yr,
		       size_t width, size_t height)
{
	for (size_t i = 0; i < height; i++)
		if (memcmp(x + xr.at + i * xr.pitch, y + yr.at + i * yr.pitch, width))
			return false;
	return true;
}

/* Everything but the rectangle is still poison. */
static bool poison_around(const uint8_t *x, size_t room, struct rows r, size_t width, size_t height)
{
	size_t at = 0;

	for (size_t i = 0; i < height; i++) {
		if (!bytes_are(x + at, POISON, r.at + i * r.pitch - at))
			return false;
		at = r.at + i * r.pitch + width;
	}
	return bytes_are(x + at, POISON, room - at);
}

struct picture {
	struct vgpu *g;
	uint8_t *data, *back;
	vgpu_devptr a, b;
};

/* To, on and from the device as rectangles, each time with another pitch and place. */
static void one_rectangle(const struct picture *x, bool async)
{
	size_t width = 1 + test_random() % 300, height = 1 + test_random() % 40;
	size_t room = 200 + 40 * 512;
	struct rows r[4];

	for (int i = 0; i < 4; i++)
		r[i] = (struct rows){ test_random() % 100, width + test_random() % (512 - width) };
	EXPECT_ON(x->g, 0, vgpu_memset(x->g, x->a, POISON, room));
	EXPECT_ON(x->g, 0, vgpu_memset(x->g, x->b, POISON, room));
	memset(x->back, POISON, room);
	if (async) {
		EXPECT(0, vgpu_copy_2d_to_device_async(x->g, x->a + r[1].at, r[1].pitch,
						       x->data + r[0].at, r[0].pitch, width, height,
						       0));
		EXPECT(0,
		       vgpu_copy_2d_on_device_async(x->g, x->b + r[2].at, r[2].pitch,
						    x->a + r[1].at, r[1].pitch, width, height, 0));
		EXPECT(0, vgpu_copy_2d_from_device_async(x->g, x->back + r[3].at, r[3].pitch,
							 x->b + r[2].at, r[2].pitch, width, height,
							 0));
		EXPECT_ON(x->g, 0, vgpu_synchronize(x->g));
	} else {
		EXPECT_ON(x->g, 0,
			  vgpu_copy_2d_to_device(x->g, x->a + r[1].at, r[1].pitch,
						 x->data + r[0].at, r[0].pitch, width, height));
		EXPECT_ON(x->g, 0,
			  vgpu_copy_2d_on_device(x->g, x->b + r[2].at, r[2].pitch, x->a + r[1].at,
						 r[1].pitch, width, height));
		EXPECT_ON(x->g, 0,
			  vgpu_copy_2d_from_device(x->g, x->back + r[3].at, r[3].pitch,
						   x->b + r[2].at, r[2].pitch, width, height));
	}
	CHECK(rows_equal(x->back, r[3], x->data, r[0], width, height), "(%zu x %zu)", width,
	      height);
	CHECK(poison_around(x->back, room, r[3], width, height), "(%zu x %zu)", width, height);
	EXPECT_ON(x->g, 0, vgpu_copy_from_device(x->g, x->back, x->b, room));
	CHECK(poison_around(x->back, room, r[2], width, height), "(%zu x %zu)", width, height);
}

static void rectangles(void)
{
	const size_t room = 200 + 40 * 512;
	auto_free uint8_t *data = random_bytes(room), *back = malloc(room);
	auto_close g = NULL;
	size_t host_room = room;
	struct picture x = { .data = data, .back = back };

	CHECK(data && back);
	EXPECT(0, test_open(&g));
	x.g = g;
	EXPECT_ON(g, 0, vgpu_malloc(g, &x.a, room));
	EXPECT_ON(g, 0, vgpu_malloc(g, &x.b, room));
	for (int i = test_rounds(100); i > 0; i--)
		HELPED(one_rectangle(&x, i % 2));
	if (host_alloc_some(g, &x.back, &host_room) || host_room < room)
		return; /* the window is too small */
	for (int i = test_rounds(100); i > 0; i--)
		HELPED(one_rectangle(&x, i % 2));
}

static void large_rectangle(void)
{
	const size_t width = test_bytes(1001, 5003), height = test_bytes(211, 701);
	auto_free uint8_t *data = random_bytes(width * height), *back = malloc(width * height);
	auto_close g = NULL;
	vgpu_devptr p;
	size_t pitch;

	CHECK(data && back);
	memset(back, POISON, width * height);
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_malloc_pitch(g, &p, &pitch, width, height));
	EXPECT_ON(g, 0, vgpu_copy_2d_to_device(g, p, pitch, data, width, width, height));
	EXPECT_ON(g, 0, vgpu_copy_2d_from_device(g, back, width, p, pitch, width, height));
	CHECK(memcmp(data, back, width * height) == 0);
}

static void bad_rectangles(void)
{
	uint8_t data[64 * 16];
	auto_close g = NULL;
	vgpu_devptr p;

	memset(data, POISON, sizeof(data));
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, LARGE));
	EXPECT_ON(g, CUDA_INVALID_PITCH, vgpu_copy_2d_to_device(g, p, 31, data, 64, 32, 16));
	EXPECT_ON(g, CUDA_INVALID_PITCH, vgpu_copy_2d_to_device(g, p, 64, data, 31, 32, 16));
	EXPECT_ON(g, CUDA_INVALID_PITCH, vgpu_copy_2d_from_device(g, data, 31, p, 64, 32, 16));
	EXPECT_ON(g, CUDA_INVALID_PITCH, vgpu_copy_2d_from_device(g, data, 64, p, 31, 32, 16));
	EXPECT(CUDA_INVALID_PITCH, told(g, vgpu_copy_2d_on_device(g, p, 31, p + 4096, 64, 32, 16)));
	EXPECT(CUDA_INVALID_PITCH, told(g, vgpu_copy_2d_on_device(g, p, 64, p + 4096, 31, 32, 16)));
	/* of one row as well, but then it is only invalid; and so it is of a memset */
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_copy_2d_to_device(g, p, 31, data, 31, 32, 1));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_copy_2d_from_device(g, data, 31, p, 31, 32, 1));
	EXPECT(CUDA_INVALID_VALUE, told(g, vgpu_copy_2d_on_device(g, p, 31, p + 4096, 31, 32, 1)));
	EXPECT(CUDA_INVALID_VALUE, told(g, vgpu_memset_2d_async(g, p, 31, 0, 32, 16, 0)));
	EXPECT(0, told(g, vgpu_copy_2d_to_device(g, p, 64, data, 64, 0, 16)));
	EXPECT(0, told(g, vgpu_copy_2d_from_device(g, data, 64, p, 64, 32, 0)));
	EXPECT_REFUSAL(vgpu_copy_2d_to_device(g, p, 64, NULL, 64, 32, 16));
	EXPECT_REFUSAL(vgpu_copy_2d_from_device(g, NULL, 64, p, 64, 32, 16));
	/* the last row ends behind the allocation; rows whose distances overflow */
	EXPECT_REFUSAL(vgpu_copy_2d_from_device(g, data, 64, p + LARGE - 15 * 64 - 31, 64, 32, 16));
	EXPECT_REFUSAL(vgpu_copy_2d_from_device(g, data, 64, p, SIZE_MAX / 4, 32, 16));
	EXPECT_REFUSAL(vgpu_copy_2d_from_device(g, data, 64, p, (SIZE_MAX >> 4) + 1, 32, 16));
	EXPECT_REFUSAL(told(g, vgpu_copy_2d_on_device(g, p, SIZE_MAX, p, SIZE_MAX, 32, 16)));
	EXPECT_REFUSAL(told(g, vgpu_copy_2d_on_device(g, p, 64, p, 64, 32, SIZE_MAX / 64 + 1)));
	CHECK(bytes_are(data, POISON, sizeof(data)));
	/* the last row may end with the allocation */
	EXPECT_ON(g, 0,
		  vgpu_copy_2d_from_device(g, data, 64, p + LARGE - 15 * 64 - 32, 64, 32, 16));
}

static void outside(void)
{
	auto_close g = NULL;
	uint8_t data[16];
	vgpu_devptr p;

	memset(data, POISON, sizeof(data));
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, LARGE));
	const vgpu_devptr bad[] = { 0,         1,          p - 1,           p + LARGE - 15, p - 16,
				    p + LARGE, 1ull << 63, UINT64_MAX - 15, UINT64_MAX };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_copy_from_device(g, data, bad[i], 16));
		EXPECT(CUDA_INVALID_VALUE, told(g, vgpu_copy_to_device(g, bad[i], data, 16)));
		EXPECT(CUDA_INVALID_VALUE, told(g, vgpu_copy_on_device(g, bad[i], p, 16)));
		EXPECT(CUDA_INVALID_VALUE, told(g, vgpu_copy_on_device_async(g, p, bad[i], 16, 0)));
		EXPECT(CUDA_INVALID_VALUE,
		       told(g, vgpu_copy_to_device_async(g, bad[i], data, 16, 0)));
	}
	CHECK(bytes_are(data, POISON, sizeof(data)));
	EXPECT_REFUSAL(vgpu_copy_to_device(g, p, NULL, 16));
	EXPECT_REFUSAL(vgpu_copy_from_device(g, NULL, p, 16));
	EXPECT_REFUSAL(vgpu_copy_from_device(g, data, p, SIZE_MAX));
	EXPECT_REFUSAL(told(g, vgpu_copy_on_device(g, p, p, SIZE_MAX)));
	EXPECT_REFUSAL(told(g, vgpu_copy_on_device(g, p, p + 1, LARGE)));
	EXPECT(0, told(g, vgpu_copy_to_device(g, p, data, 0)));
	EXPECT(0, told(g, vgpu_copy_from_device(g, data, p, 0)));
	EXPECT(0, told(g, vgpu_copy_on_device(g, p, p, 0)));
	EXPECT_ON(g, 0, vgpu_free(g, p));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_copy_from_device(g, data, p, 16));
	CHECK(bytes_are(data, POISON, sizeof(data)));
	EXPECT(CUDA_INVALID_VALUE, told(g, 0));
	EXPECT_ON(g, 0, vgpu_nop(g));
}

struct mirror {
	struct vgpu *g;
	size_t bytes;
	vgpu_devptr p[2];
	uint8_t *copy[2]; /* what must be there */
	uint8_t *data;
};

/* Any step that changes device memory, and the same here. */
static int one_step(struct mirror *m)
{
	size_t n = test_random() % (test_random() % 2 ? 128 : m->bytes / 2) + 1;
	size_t to = test_random() % (m->bytes - n + 1), from = test_random() % (m->bytes - n + 1);
	int which = (int)(test_random() % 2), value = (int)(test_random() % 256);

	switch (test_random() % 4) {
	case 0:
		memset(m->copy[which] + to, value, n);
		return vgpu_memset_async(m->g, m->p[which] + to, value, n, 0);
	case 1:
		memcpy(m->copy[which] + to, m->data + from, n);
		return vgpu_copy_to_device_async(m->g, m->p[which] + to, m->data + from, n, 0);
	case 2:
		memcpy(m->copy[which] + to, m->data + from, n);
		return vgpu_copy_to_device(m->g, m->p[which] + to, m->data + from, n);
	default:
		memcpy(m->copy[which] + to, m->copy[!which] + from, n);
		return vgpu_copy_on_device_async(m->g, m->p[which] + to, m->p[!which] + from, n, 0);
	}
}

static void random_steps(void)
{
	const size_t bytes = test_bytes(20000, 1000000);
	auto_free uint8_t *data = random_bytes(bytes), *a = calloc(1, bytes), *b = calloc(1, bytes);
	auto_free uint8_t *got = malloc(bytes);
	struct mirror m = { .bytes = bytes, .copy = { a, b }, .data = data };
	auto_close g = NULL;

	CHECK(data && a && b && got);
	EXPECT(0, test_open(&g));
	m.g = g;
	for (int i = 0; i < 2; i++) {
		EXPECT_ON(g, 0, vgpu_malloc(g, &m.p[i], bytes));
		EXPECT_ON(g, 0, vgpu_memset(g, m.p[i], 0, bytes));
	}
	for (int i = test_rounds(1000); i > 0; i--) {
		EXPECT(0, one_step(&m));
		if (i % 50)
			continue;
		for (int k = 0; k < 2; k++) {
			memset(got, POISON, bytes);
			EXPECT_ON(g, 0, vgpu_copy_from_device(g, got, m.p[k], bytes));
			CHECK(memcmp(got, m.copy[k], bytes) == 0, "(%d steps before the end)", i);
		}
	}
}

const struct test_case gpu_copy_tests[] = {
	{ "copies of 0 bytes to megabytes, at odd places", sizes },
	{ "copies around the window's size", around_the_window },
	{ "copies of host memory", host_memory_both_ways },
	{ "ordinary memory is free after an asynchronous copy", ordinary_memory_in_streams },
	{ "copies on the device", on_the_device },
	{ "rectangles to, on and from the device", rectangles },
	{ "a large rectangle", large_rectangle },
	{ "rectangles that are refused", bad_rectangles },
	{ "copies outside of an allocation", outside },
	{ "random copies and memsets in order", random_steps },
	{ NULL, NULL },
};
