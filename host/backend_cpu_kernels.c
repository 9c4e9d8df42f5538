// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Kernels by name. Each does for the whole grid what its namesake in CUDA does; those with one
 * dimension go through all elements in steps of the grid. Parameters are the guest's, and so are
 * the addresses among them: what a kernel touches must be device memory.
 */
#include "backend_cpu.h"

#include <stddef.h>
#include <string.h>

#include "../common/checked.h"

#define MISALIGNED 716 /* cudaErrorMisalignedAddress */

/* @count elements at @address. 0 and @out, or the fault that a GPU would have. */
static int reach(struct backend *b, uint64_t address, uint64_t count, uint64_t element, void *out)
{
	void *at = (void *)(uintptr_t)address;
	uint64_t bytes;

	memcpy(out, &at, sizeof(at));
	if (!count)
		return 0;
	if (!checked_mul(count, element, &bytes) || !allocations_have(&b->memory, address, bytes))
		return CPU_ILLEGAL_ADDRESS;
	/* A pixel of 3 bytes has the alignment of a byte. */
	return checked_aligned(address, element & -element) ? 0 : MISALIGNED;
}

/* What pads a struct behind its last parameter is none of the kernel's. */
#define TAKE_PARAMS(p, l) memcpy(&(p), (l)->params, (l)->param_bytes)

/* Threads of one dimension, but no more than there is work for. */
static uint32_t covered(const struct backend_launch *l, int dimension, uint32_t limit)
{
	const uint64_t threads = (uint64_t)l->grid[dimension] * l->block[dimension];

	return threads < limit ? (uint32_t)threads : limit;
}

struct saxpy {
	uint64_t n;
	float a;
	uint64_t x, y;
};

static int run_saxpy(struct backend *b, const struct backend_launch *l)
{
	struct saxpy p;
	const float *x;
	float *y;
	int rc;

	TAKE_PARAMS(p, l);
	rc = reach(b, p.x, p.n, sizeof(*x), &x);
	if (rc == 0)
		rc = reach(b, p.y, p.n, sizeof(*y), &y);
	for (uint64_t i = 0; rc == 0 && i < p.n; i++)
		y[i] = p.a * x[i] + y[i];
	return rc;
}

struct vector_add {
	uint64_t a, b, c, n;
};

static int run_vector_add(struct backend *b, const struct backend_launch *l)
{
	struct vector_add p;
	const float *x, *y;
	float *sum;
	int rc;

	TAKE_PARAMS(p, l);
	rc = reach(b, p.a, p.n, sizeof(*x), &x);
	if (rc == 0)
		rc = reach(b, p.b, p.n, sizeof(*y), &y);
	if (rc == 0)
		rc = reach(b, p.c, p.n, sizeof(*sum), &sum);
	for (uint64_t i = 0; rc == 0 && i < p.n; i++)
		sum[i] = x[i] + y[i];
	return rc;
}

/* C (m x n) = A (m x k) B (k x n), row by row. */
struct matmul {
	uint64_t a, b, c;
	uint32_t m, n, k;
};

static void multiply_row(const float *a, const float *b, float *c, const struct matmul *p,
			 uint32_t columns)
{
	memset(c, 0, columns * sizeof(*c));
	for (uint32_t e = 0; e < p->k; e++)
		for (uint32_t column = 0; column < columns; column++)
			c[column] += a[e] * b[(uint64_t)e * p->n + column];
}

static int run_matmul(struct backend *b, const struct backend_launch *l)
{
	const float *x, *y;
	uint32_t rows, columns;
	struct matmul p;
	float *c;
	int rc;

	TAKE_PARAMS(p, l);
	rows = covered(l, 1, p.m);
	columns = covered(l, 0, p.n);
	if (!rows || !columns)
		return 0;
	rc = reach(b, p.a, (uint64_t)p.m * p.k, sizeof(*x), &x);
	if (rc == 0)
		rc = reach(b, p.b, (uint64_t)p.k * p.n, sizeof(*y), &y);
	if (rc == 0)
		rc = reach(b, p.c, (uint64_t)p.m * p.n, sizeof(*c), &c);
	for (uint32_t row = 0; rc == 0 && row < rows; row++)
		multiply_row(x + (uint64_t)row * p.k, y, c + (uint64_t)row * p.n, &p, columns);
	return rc;
}

struct reduce_sum {
	uint64_t in, partial, n;
};

/* Of the elements that one block's threads come to. */
static float block_sum(const float *in, uint64_t n, const struct backend_launch *l, uint32_t block)
{
	const uint64_t threads = l->block[0], step = threads * l->grid[0];
	double sum = 0;

	for (uint64_t first = block * threads; first < n; first += step)
		for (uint64_t i = first; i < n && i < first + threads; i++)
			sum += in[i];
	return (float)sum;
}

static int run_reduce_sum(struct backend *b, const struct backend_launch *l)
{
	struct reduce_sum p;
	const float *in;
	float *partial;
	int rc;

	TAKE_PARAMS(p, l);
	rc = reach(b, p.in, p.n, sizeof(*in), &in);
	if (rc == 0)
		rc = reach(b, p.partial, l->grid[0], sizeof(*partial), &partial);
	for (uint32_t block = 0; rc == 0 && block < l->grid[0]; block++)
		partial[block] = block_sum(in, p.n, l, block);
	return rc;
}

struct mandelbrot {
	uint64_t rgb;
	uint32_t width, height;
	float x0, y0, dx, dy;
	uint32_t max_iterations;
};

static void pixel(uint8_t rgb[3], float cx, float cy, uint32_t max_iterations)
{
	float x = 0, y = 0, next;
	uint32_t i = 0;

	for (; i < max_iterations && x * x + y * y <= 4; i++) {
		next = x * x - y * y + cx;
		y = 2 * x * y + cy;
		x = next;
	}
	rgb[0] = (uint8_t)(i < max_iterations ? i * 5 : 0);
	rgb[1] = (uint8_t)(i < max_iterations ? i * 3 : 0);
	rgb[2] = (uint8_t)(i < max_iterations ? 64 + i * 7 : 0);
}

static int run_mandelbrot(struct backend *b, const struct backend_launch *l)
{
	uint32_t columns, rows;
	struct mandelbrot p;
	uint8_t *rgb;
	int rc;

	TAKE_PARAMS(p, l);
	columns = covered(l, 0, p.width);
	rows = covered(l, 1, p.height);
	if (!columns || !rows)
		return 0;
	rc = reach(b, p.rgb, (uint64_t)p.width * p.height, 3, &rgb);
	for (uint32_t row = 0; rc == 0 && row < rows; row++)
		for (uint32_t column = 0; column < columns; column++)
			pixel(rgb + 3 * ((uint64_t)row * p.width + column),
			      p.x0 + p.dx * (float)column, p.y0 + p.dy * (float)row,
			      p.max_iterations);
	return rc;
}

struct fill_u32 {
	uint64_t p;
	uint32_t value;
	uint64_t n;
};

static int run_fill_u32(struct backend *b, const struct backend_launch *l)
{
	struct fill_u32 p;
	uint32_t *to;
	int rc;

	TAKE_PARAMS(p, l);
	rc = reach(b, p.p, p.n, sizeof(*to), &to);
	for (uint64_t i = 0; rc == 0 && i < p.n; i++)
		to[i] = p.value;
	return rc;
}

struct add_one {
	uint64_t p, n;
};

static int run_add_one(struct backend *b, const struct backend_launch *l)
{
	struct add_one p;
	uint32_t *at;
	int rc;

	TAKE_PARAMS(p, l);
	rc = reach(b, p.p, p.n, sizeof(*at), &at);
	for (uint64_t i = 0; rc == 0 && i < p.n; i++)
		at[i]++;
	return rc;
}

/* More parameters than a request holds. */
#define MANY 1000u

struct store_many {
	uint64_t to;
	uint32_t values[MANY];
};

static int run_store_many(struct backend *b, const struct backend_launch *l)
{
	struct store_many p;
	uint32_t *to;
	int rc;

	TAKE_PARAMS(p, l);
	rc = reach(b, p.to, MANY, sizeof(*to), &to);
	if (rc == 0)
		memcpy(to, p.values, sizeof(p.values));
	return rc;
}

struct spin_ms {
	uint32_t ms;
};

/* Other streams go on meanwhile, as they would on a GPU. */
static uint64_t spin_ms_takes_us(const struct backend_launch *l)
{
	struct spin_ms p;

	TAKE_PARAMS(p, l);
	return (uint64_t)p.ms * 1000;
}

static int run_spin_ms(struct backend *b, const struct backend_launch *l)
{
	(void)b;
	(void)l;
	return 0;
}

static int run_fault(struct backend *b, const struct backend_launch *l)
{
	(void)b;
	(void)l;
	return CPU_ILLEGAL_ADDRESS;
}

#define PARAM(kernel, member)                                                                      \
	{                                                                                          \
		offsetof(struct kernel, member), sizeof(((struct kernel *)0)->member)              \
	}
#define PARAMS(kernel) static const struct vgpu_kernel_param kernel##_params[]

PARAMS(saxpy) = { PARAM(saxpy, n), PARAM(saxpy, a), PARAM(saxpy, x), PARAM(saxpy, y) };
PARAMS(vector_add) = { PARAM(vector_add, a), PARAM(vector_add, b), PARAM(vector_add, c),
		       PARAM(vector_add, n) };
PARAMS(matmul) = { PARAM(matmul, a), PARAM(matmul, b), PARAM(matmul, c),
		   PARAM(matmul, m), PARAM(matmul, n), PARAM(matmul, k) };
PARAMS(reduce_sum) = { PARAM(reduce_sum, in), PARAM(reduce_sum, partial), PARAM(reduce_sum, n) };
PARAMS(mandelbrot) = { PARAM(mandelbrot, rgb),    PARAM(mandelbrot, width),
		       PARAM(mandelbrot, height), PARAM(mandelbrot, x0),
		       PARAM(mandelbrot, y0),     PARAM(mandelbrot, dx),
		       PARAM(mandelbrot, dy),     PARAM(mandelbrot, max_iterations) };
PARAMS(fill_u32) = { PARAM(fill_u32, p), PARAM(fill_u32, value), PARAM(fill_u32, n) };
PARAMS(add_one) = { PARAM(add_one, p), PARAM(add_one, n) };
PARAMS(store_many) = { PARAM(store_many, to), PARAM(store_many, values) };
PARAMS(spin_ms) = { PARAM(spin_ms, ms) };

#define KERNEL(kernel, last)                                                                       \
	.name = #kernel, .params = kernel##_params,                                                \
	.param_count = sizeof(kernel##_params) / sizeof(kernel##_params[0]),                       \
	.param_bytes = offsetof(struct kernel, last) + sizeof(((struct kernel *)0)->last),         \
	.run = run_##kernel

static const struct cpu_kernel kernels[] = {
	{ KERNEL(saxpy, y) },
	{ KERNEL(vector_add, n) },
	{ KERNEL(matmul, k) },
	{ KERNEL(reduce_sum, n) },
	{ KERNEL(mandelbrot, max_iterations) },
	{ KERNEL(fill_u32, n) },
	{ KERNEL(add_one, n) },
	{ KERNEL(store_many, values) },
	{ KERNEL(spin_ms, ms), .takes_us = spin_ms_takes_us },
	{ .name = "fault", .run = run_fault },
};

const struct cpu_kernel *cpu_kernel_find(const char *name)
{
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
		if (strcmp(kernels[i].name, name) == 0)
			return &kernels[i];
	return NULL;
}
