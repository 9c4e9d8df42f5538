// SPDX-License-Identifier: GPL-2.0-or-later
/* vector_add against the processor, on fresh random data, into poisoned memory. */
#include "conformance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64 /* elements behind an array that nobody may touch */
#define POISON 0x7fa5a5a5u

struct arrays {
	float *a, *b, *c, *sum;
	size_t n;
};

static void arrays_free(struct arrays *x)
{
	free(x->a);
	free(x->b);
	free(x->c);
	free(x->sum);
}
#define auto_arrays __attribute__((cleanup(arrays_free))) struct arrays

static float *alloc_floats(size_t n)
{
	return malloc((n + GUARD) * sizeof(float));
}

static void poison(float *v, size_t from, size_t to)
{
	static const uint32_t bits = POISON;

	for (size_t i = from; i < to; i++)
		memcpy(&v[i], &bits, sizeof(bits));
}

static bool is_poison(const float *v, size_t from, size_t to)
{
	uint32_t bits;

	for (size_t i = from; i < to; i++) {
		memcpy(&bits, &v[i], sizeof(bits));
		if (bits != POISON)
			return false;
	}
	return true;
}

/* Any bits now and then (infinities, NaNs, denormals), ordinary numbers else. */
static float random_float(void)
{
	uint64_t r = test_random();
	uint32_t bits = (uint32_t)r;
	float f;

	if ((r >> 60) == 0) {
		memcpy(&f, &bits, sizeof(f));
		return f;
	}
	return ((float)(int32_t)bits) / 65536.0f;
}

static bool make(struct arrays *x, size_t n)
{
	*x = (struct arrays){ alloc_floats(n), alloc_floats(n), alloc_floats(n), alloc_floats(n),
			      n };
	if (!x->a || !x->b || !x->c || !x->sum)
		return false;
	for (size_t i = 0; i < n; i++) {
		x->a[i] = random_float();
		x->b[i] = random_float();
		x->sum[i] = x->a[i] + x->b[i];
	}
	poison(x->a, n, n + GUARD);
	poison(x->b, n, n + GUARD);
	poison(x->c, 0, n + GUARD);
	return true;
}

/* One NaN is as good as another; everything else is the same to the bit. */
static bool same(float x, float y)
{
	return (isnan(x) && isnan(y)) || memcmp(&x, &y, sizeof(x)) == 0;
}

static void compare(const float *got, const struct arrays *x)
{
	for (size_t i = 0; i < x->n; i++)
		CHECK(same(got[i], x->sum[i]), "(n %zu: element %zu is %a, expected %a)", x->n, i,
		      (double)got[i], (double)x->sum[i]);
	CHECK(is_poison(got, x->n, x->n + GUARD), "(n %zu: wrote behind the end)", x->n);
}

static void add(struct vgpu *g, size_t n)
{
	auto_free float *a_before = malloc(n * sizeof(float));
	struct vgpu_vector_add_result r;
	auto_arrays x;

	CHECK(make(&x, n) && a_before);
	memcpy(a_before, x.a, n * sizeof(float));
	memset(&r, 0xee, sizeof(r));
	EXPECT_ON(g, 0, vgpu_vector_add(g, x.a, x.b, x.c, n, &r));
	CHECK(r.elements == n && r.errors == 0, "(%zu, %zu)", r.elements, r.errors);
	CHECK(r.backend == VGPU_BACKEND_CPU || r.backend == VGPU_BACKEND_CUDA);
	CHECK(r.device[0] && memchr(r.device, '\0', sizeof(r.device)));
	CHECK(memcmp(a_before, x.a, n * sizeof(float)) == 0, "(n %zu: changed a)", n);
	compare(x.c, &x);
}

static void sizes(void)
{
	static const size_t n[] = { 1, 2, 3, 15, 16, 17, 1023, 1024, 1025, 4096 };
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++)
		HELPED(add(g, n[i]));
}

/* A handle with a small window where the device lets us choose. */
static int open_small(struct vgpu **out, uint64_t *window_bytes)
{
	struct vgpu_options o = test_options();
	struct vgpu_status s;
	int rc;

	o.window_bytes = 256 << 10;
	rc = vgpu_open(out, &o);
	if (rc == 0)
		rc = vgpu_query_status(*out, &s);
	*window_bytes = rc == 0 ? s.window_bytes : 0;
	return rc;
}

/* How a window is cut up is the library's affair: look at each likely place. */
static void window_boundaries(void)
{
	static const size_t shares[] = { 16, 12, 8, 4 }; /* bytes of window for an element */
	auto_close g = NULL;
	uint64_t window;

	EXPECT(0, open_small(&g, &window));
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		size_t n = window / shares[i];

		if (test.quick && n > 300000 && i > 0)
			break;
		HELPED(add(g, n - 1));
		HELPED(add(g, n));
		HELPED(add(g, n + 1));
	}
}

static void several_windows(void)
{
	auto_close g = NULL;
	uint64_t window;

	EXPECT(0, open_small(&g, &window));
	HELPED(add(g, window / 4 + 17));
	if (!test.quick || window <= 1 << 20)
		HELPED(add(g, window + 1));
}

static void random_sizes(void)
{
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (int i = test_rounds(50); i > 0; i--)
		HELPED(add(g, 1 + test_random() % 20000));
}

static void in_place(void)
{
	static const size_t n[] = { 1, 1000, 70000 };
	auto_close g = NULL;
	uint64_t window;

	EXPECT(0, open_small(&g, &window));
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		auto_arrays x, y, z;

		CHECK(make(&x, n[i]) && make(&y, n[i]) && make(&z, n[i]));
		EXPECT_ON(g, 0, vgpu_vector_add(g, x.a, x.b, x.a, n[i], NULL));
		HELPED(compare(x.a, &x));
		EXPECT_ON(g, 0, vgpu_vector_add(g, y.a, y.b, y.b, n[i], NULL));
		HELPED(compare(y.b, &y));
		for (size_t k = 0; k < n[i]; k++)
			z.sum[k] = z.a[k] + z.a[k];
		EXPECT_ON(g, 0, vgpu_vector_add(g, z.a, z.a, z.a, n[i], NULL));
		HELPED(compare(z.a, &z));
	}
}

static void partial_overlap(void)
{
	auto_close g = NULL;
	float v[64] = { 0 };

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_vector_add(g, v, v + 32, v + 1, 16, NULL));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_vector_add(g, v + 1, v + 32, v, 16, NULL));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_vector_add(g, v, v + 32, v + 33, 16, NULL));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_vector_add(g, v, v + 32, v + 15, 16, NULL));
	EXPECT_ON(g, 0, vgpu_vector_add(g, v, v + 32, v + 16, 16, NULL));
	EXPECT_ON(g, 0, vgpu_vector_add(g, v, v + 1, v + 32, 16, NULL)); /* a and b may */
	for (int i = 0; i < 64; i++)
		CHECK(v[i] == 0);
}

static void nothing_to_add(void)
{
	struct vgpu_vector_add_result r = { .elements = 5 };
	auto_close g = NULL;
	float f = 1;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_vector_add(g, &f, &f, &f, 0, &r));
	CHECK(f == 1 && r.elements == 0);
	EXPECT_ON(g, 0, vgpu_vector_add(g, NULL, NULL, NULL, 0, NULL));
}

static void bad_arrays(void)
{
	auto_close g = NULL;
	float f[3] = { 1, 2, 3 };

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_vector_add(g, NULL, f, f, 1, NULL));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_vector_add(g, f, NULL, f, 1, NULL));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_vector_add(g, f, f, NULL, 1, NULL));
	/* numbers of elements whose bytes do not fit a size_t */
	EXPECT_ON(g, VGPU_EINVAL, vgpu_vector_add(g, f, f, f, SIZE_MAX, NULL));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_vector_add(g, f, f, f, SIZE_MAX / 4 + 1, NULL));
	CHECK(f[0] == 1 && f[1] == 2 && f[2] == 3);
	EXPECT_ON(g, 0, vgpu_nop(g));
}

const struct test_case vector_add_tests[] = {
	{ "vector_add of 1 to 4096 elements", sizes },
	{ "vector_add around the window's size", window_boundaries },
	{ "vector_add of several windows", several_windows },
	{ "vector_add of random sizes", random_sizes },
	{ "vector_add in place", in_place },
	{ "vector_add refuses partial overlap", partial_overlap },
	{ "vector_add of nothing", nothing_to_add },
	{ "vector_add refuses bad arrays", bad_arrays },
	{ NULL, NULL },
};
