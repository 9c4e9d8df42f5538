// SPDX-License-Identifier: GPL-2.0-or-later
/* Launches: each kernel against the processor, and launches that are wrong. */
#include "gpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Small integers, so that sums and products are exact in any order. */
static void fill_floats(float *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = (float)(int)(test_random() % 17) - 8.0f;
}

/* An array in both places. */
static int device_floats(struct vgpu *g, vgpu_devptr *p, const float *v, size_t n)
{
	int rc = vgpu_malloc(g, p, n * sizeof(float));

	if (rc == 0 && v)
		rc = vgpu_copy_to_device(g, *p, v, n * sizeof(float));
	else if (rc == 0)
		rc = vgpu_memset(g, *p, POISON, n * sizeof(float));
	return rc;
}

static void one_saxpy(struct vgpu *g, const struct kernels *k, size_t n, bool packed)
{
	auto_free float *x = calloc(n, sizeof(float)), *y = calloc(n, sizeof(float));
	auto_free float *got = calloc(n, sizeof(float));
	struct saxpy_params p = { .n = n, .a = 3 };
	void *args[] = { &p.n, &p.a, &p.x, &p.y };
	const struct vgpu_dim3 block = { 128, 1, 1 }, grid = { (uint32_t)((n + 127) / 128), 1, 1 };

	CHECK(x && y && got);
	fill_floats(x, n);
	fill_floats(y, n);
	EXPECT_ON(g, 0, device_floats(g, &p.x, x, n));
	EXPECT_ON(g, 0, device_floats(g, &p.y, y, n));
	if (packed)
		EXPECT(0, vgpu_launch(g, k->saxpy, grid, block, 0, 0, &p, sizeof(p)));
	else
		EXPECT(0, vgpu_launch_args(g, k->saxpy, grid, block, 0, 0, args));
	memset(args, POISON, sizeof(args));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, got, p.y, n * sizeof(float)));
	for (size_t i = 0; i < n; i++)
		CHECK(got[i] == 3 * x[i] + y[i], "(n %zu, element %zu)", n, i);
	EXPECT_ON(g, 0, vgpu_free(g, p.x));
	EXPECT_ON(g, 0, vgpu_free(g, p.y));
}

static void saxpy(void)
{
	struct kernels k;
	auto_close g = NULL;

	HELPED(open_with_kernels(&g, &k));
	for (int i = test_rounds(30); i > 0; i--)
		HELPED(one_saxpy(g, &k, 1 + test_random() % test_bytes(5000, 300000), i % 2));
	HELPED(one_saxpy(g, &k, 1, true));
}

static void vector_add(void)
{
	struct {
		vgpu_devptr a, b, c;
		uint64_t n;
	} p = { .n = test_bytes(5001, 500003) };
	auto_free float *a = calloc(p.n, sizeof(float)), *b = calloc(p.n, sizeof(float));
	auto_free float *c = calloc(p.n, sizeof(float));
	struct kernels k;
	auto_close g = NULL;

	CHECK(a && b && c);
	fill_floats(a, p.n);
	fill_floats(b, p.n);
	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, device_floats(g, &p.a, a, p.n));
	EXPECT_ON(g, 0, device_floats(g, &p.b, b, p.n));
	EXPECT_ON(g, 0, device_floats(g, &p.c, NULL, p.n));
	EXPECT(0, launch_over(g, k.vector_add, p.n, 0, &p, sizeof(p)));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, c, p.c, p.n * sizeof(float)));
	for (size_t i = 0; i < p.n; i++)
		CHECK(c[i] == a[i] + b[i], "(element %zu)", i);
}

static void one_matmul(struct vgpu *g, const struct kernels *k, uint32_t m, uint32_t n, uint32_t e)
{
	const struct vgpu_dim3 block = { 16, 16, 1 }, grid = { (n + 15) / 16, (m + 15) / 16, 1 };
	auto_free float *a = calloc((size_t)m * e, sizeof(float));
	auto_free float *b = calloc((size_t)e * n, sizeof(float));
	auto_free float *c = calloc((size_t)m * n, sizeof(float));
	vgpu_devptr pa, pb, pc;
	void *args[] = { &pa, &pb, &pc, &m, &n, &e };

	CHECK(a && b && c);
	fill_floats(a, (size_t)m * e);
	fill_floats(b, (size_t)e * n);
	EXPECT_ON(g, 0, device_floats(g, &pa, a, (size_t)m * e));
	EXPECT_ON(g, 0, device_floats(g, &pb, b, (size_t)e * n));
	EXPECT_ON(g, 0, device_floats(g, &pc, NULL, (size_t)m * n));
	EXPECT(0, vgpu_launch_args(g, k->matmul, grid, block, 0, 0, args));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, c, pc, (size_t)m * n * sizeof(float)));
	for (uint32_t i = 0; i < m; i++) {
		for (uint32_t j = 0; j < n; j++) {
			float sum = 0;

			for (uint32_t x = 0; x < e; x++)
				sum += a[(size_t)i * e + x] * b[(size_t)x * n + j];
			CHECK(c[(size_t)i * n + j] == sum, "(%u x %u x %u: %u, %u)", m, n, e, i, j);
		}
	}
}

static void matmul(void)
{
	const uint32_t most = test.quick ? 40 : 150;
	struct kernels k;
	auto_close g = NULL;

	HELPED(open_with_kernels(&g, &k));
	HELPED(one_matmul(g, &k, 1, 1, 1));
	HELPED(one_matmul(g, &k, 16, 32, 48));
	for (int i = test_rounds(10); i > 0; i--)
		HELPED(one_matmul(g, &k, 1 + (uint32_t)test_random() % most,
				  1 + (uint32_t)test_random() % most,
				  1 + (uint32_t)test_random() % most));
}

static void one_sum(struct vgpu *g, const struct kernels *k, size_t n, uint32_t blocks)
{
	const struct vgpu_dim3 block = { 256, 1, 1 }, grid = { blocks, 1, 1 };
	auto_free float *in = calloc(n, sizeof(float));
	auto_free float *partial = calloc(blocks + 1, sizeof(float));
	struct {
		vgpu_devptr in, partial;
		uint64_t n;
	} p = { .n = n };
	double wanted = 0, got = 0;

	CHECK(in && partial);
	fill_floats(in, n);
	for (size_t i = 0; i < n; i++)
		wanted += (double)in[i];
	EXPECT_ON(g, 0, device_floats(g, &p.in, in, n));
	EXPECT_ON(g, 0, device_floats(g, &p.partial, NULL, blocks + 1));
	EXPECT(0, vgpu_launch(g, k->reduce_sum, grid, block, 0, 0, &p, sizeof(p)));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, partial, p.partial, (blocks + 1) * sizeof(float)));
	for (uint32_t i = 0; i < blocks; i++)
		got += (double)partial[i];
	CHECK(got == wanted, "(%zu elements, %u blocks: %g, expected %g)", n, blocks, got, wanted);
	CHECK(bytes_are(&partial[blocks], POISON, sizeof(float)), "(wrote behind the end)");
}

static void reduce_sum(void)
{
	struct kernels k;
	auto_close g = NULL;

	HELPED(open_with_kernels(&g, &k));
	HELPED(one_sum(g, &k, 1, 1));
	for (int i = test_rounds(20); i > 0; i--) {
		size_t n = 1 + test_random() % test_bytes(5000, 500000);

		HELPED(one_sum(g, &k, n, (uint32_t)((n + 255) / 256)));
	}
}

/* Iterations may round otherwise there; what is the same on all machines is inside and far out. */
static void mandelbrot(void)
{
	uint32_t width = 150, height = 101, most = 200;
	const struct vgpu_dim3 block = { 16, 16, 1 };
	const struct vgpu_dim3 grid = { (width + 15) / 16, (height + 15) / 16, 1 };
	size_t bytes = (size_t)width * height * 3;
	auto_free uint8_t *rgb = malloc(bytes + GUARD);
	float x0 = -2.0f, y0 = -1.0f, d = 0.02f;
	struct kernels k;
	auto_close g = NULL;
	vgpu_devptr p;
	void *args[] = { &p, &width, &height, &x0, &y0, &d, &d, &most };

	CHECK(rgb);
	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, bytes + GUARD));
	EXPECT_ON(g, 0, vgpu_memset(g, p, POISON, bytes + GUARD));
	EXPECT(0, vgpu_launch_args(g, k.mandelbrot, grid, block, 0, 0, args));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, rgb, p, bytes + GUARD));
	CHECK(bytes_are(rgb + bytes, POISON, GUARD));
	CHECK(!bytes_are(rgb, rgb[0], bytes));
	/* -0.1 + 0i belongs to the set, and so does -1 + 0i */
	for (uint32_t x = 50; x <= 95; x += 45)
		CHECK(memcmp(rgb + 3 * (50 * width + x), rgb + 3 * (50 * width + 95), 3) == 0);
	CHECK(memcmp(rgb, rgb + 3 * (50 * width + 95), 3) != 0);
}

/* Each launch sees what the one before it did. */
static void many_launches_in_order(void)
{
	const uint32_t launches = (uint32_t)test_rounds(5000), n = 700;
	struct kernels k;
	auto_close g = NULL;
	vgpu_devptr p;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, n * 4));
	EXPECT(0, fill(g, &k, 0, p, 100, n));
	for (uint32_t i = 0; i < launches; i++)
		EXPECT(0, add_one(g, &k, 0, p, n));
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	CHECK(device_is(g, p, 100 + launches, n, 0));
	EXPECT(0, told(g, 0));
}

static void many_parameters(void)
{
	struct {
		vgpu_devptr to;
		uint32_t v[1000];
	} params;
	uint32_t got[1000];
	struct kernels k;
	auto_close g = NULL;
	vgpu_kernel kernel;
	int rc;

	HELPED(open_with_kernels(&g, &k));
	rc = vgpu_module_get_kernel(g, k.module, "store_many", &kernel);
	if (rc == CUDA_NOT_FOUND) {
		test_skipped("this backend has no kernel with so many parameters");
		return;
	}
	EXPECT(0, rc);
	EXPECT_ON(g, 0, vgpu_malloc(g, &params.to, sizeof(got)));
	for (int i = test_rounds(100); i > 0; i--) {
		fill_random(params.v, sizeof(params.v));
		EXPECT(0, launch_over(g, kernel, 1000, 0, &params, sizeof(params)));
		EXPECT_ON(g, 0, vgpu_copy_from_device(g, got, params.to, sizeof(got)));
		CHECK(memcmp(got, params.v, sizeof(got)) == 0);
	}
}

static void bad_dimensions(void)
{
	static const struct {
		struct vgpu_dim3 grid, block;
		size_t shared;
	} bad[] = {
		{ { 0, 1, 1 }, { 1, 1, 1 }, 0 },
		{ { 1, 0, 1 }, { 1, 1, 1 }, 0 },
		{ { 1, 1, 0 }, { 1, 1, 1 }, 0 },
		{ { 1, 1, 1 }, { 0, 1, 1 }, 0 },
		{ { 1, 1, 1 }, { 1, 0, 1 }, 0 },
		{ { 1, 1, 1 }, { 1, 1, 0 }, 0 },
		{ { 1, 1, 1 }, { 65536, 1, 1 }, 0 },
		{ { 1, 1, 1 }, { 65537, 1, 1 }, 0 },
		{ { 1, 1, 1 }, { UINT32_MAX, 1, 1 }, 0 },
		{ { 1, 1, 1 }, { 1, 1, 65537 }, 0 },
		{ { 1, 1, 1 }, { 64, 64, 64 }, 0 },
		{ { UINT32_MAX, 1, 1 }, { 1, 1, 1 }, 0 },
		{ { 1, UINT32_MAX, 1 }, { 1, 1, 1 }, 0 },
		{ { 1, 1, 1 }, { 1, 1, 1 }, 1u << 30 },
		{ { 1, 1, 1 }, { 1, 1, 1 }, SIZE_MAX },
		{ { 1, 1, 1 }, { 1, 1, 1 }, (size_t)1 << 40 },
	};
	struct add_one_params p = { .n = 1 };
	struct kernels k;
	auto_close g = NULL;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p.p, 4));
	EXPECT_ON(g, 0, vgpu_memset(g, p.p, 0, 4));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = told(g, vgpu_launch(g, k.add_one, bad[i].grid, bad[i].block, bad[i].shared,
					     0, &p, sizeof(p)));

		CHECK(rc == CUDA_INVALID_VALUE, "(%zu: %s)", i, vgpu_strerrorname(rc));
	}
	CHECK(device_is(g, p.p, 0, 1, 0));
	EXPECT(0, add_one(g, &k, 0, p.p, 1));
	CHECK(device_is(g, p.p, 1, 1, 0));
}

static void bad_launches(void)
{
	const struct vgpu_dim3 one = { 1, 1, 1 };
	static const size_t sizes[] = { 0, 1, 15, 17, 24, 73, 32764, 32765, SIZE_MAX };
	auto_free uint8_t *params = calloc(1, 32768);
	struct kernels k;
	auto_close g = NULL;
	void *args[] = { params, params };

	CHECK(params);
	HELPED(open_with_kernels(&g, &k));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		EXPECT_REFUSAL(
			told(g, vgpu_launch(g, k.add_one, one, one, 0, 0, params, sizes[i])));
	EXPECT_REFUSAL(told(g, vgpu_launch(g, k.add_one, one, one, 0, 0, NULL, 16)));
	EXPECT_REFUSAL(told(g, vgpu_launch_args(g, k.add_one, one, one, 0, 0, NULL)));
	EXPECT(CUDA_INVALID_FUNCTION, told(g, vgpu_launch(g, 0, one, one, 0, 0, params, 16)));
	EXPECT(CUDA_INVALID_HANDLE,
	       told(g, vgpu_launch(g, k.add_one ^ 0x10000, one, one, 0, 0, params, 16)));
	EXPECT(CUDA_INVALID_HANDLE,
	       told(g, vgpu_launch(g, UINT32_MAX, one, one, 0, 0, params, 16)));
	EXPECT(CUDA_INVALID_HANDLE,
	       told(g, vgpu_launch(g, k.add_one, one, one, 0, 12345, params, 16)));
	EXPECT(CUDA_INVALID_FUNCTION, told(g, vgpu_launch_args(g, 0, one, one, 0, 0, args)));
	EXPECT(0, told(g, spin(g, &k, 0, 1)));
	EXPECT_ON(g, 0, vgpu_synchronize(g));
}

const struct test_case gpu_kernel_tests[] = {
	{ "kernel saxpy, parameters packed and by pointers", saxpy },
	{ "kernel vector_add", vector_add },
	{ "kernel matmul", matmul },
	{ "kernel reduce_sum", reduce_sum },
	{ "kernel mandelbrot", mandelbrot },
	{ "thousands of launches, in order", many_launches_in_order },
	{ "more parameters than a request holds", many_parameters },
	{ "launches of bad dimensions are refused", bad_dimensions },
	{ "malformed launches are refused", bad_launches },
	{ NULL, NULL },
};
