// SPDX-License-Identifier: LGPL-2.1-or-later
/* matmul [M [N [K]]]: C (M x N) = A (M x K) B (K x N) in tiles, timed by events. */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>

#define TILE 16 /* as in matmul.cu */

struct matrices {
	uint32_t m, n, k;
	float *a, *b, *c;
};

/* One element, as the processor has it. */
static float element(const struct matrices *x, uint32_t row, uint32_t column)
{
	float sum = 0;

	for (uint32_t i = 0; i < x->k; i++)
		sum += x->a[(size_t)row * x->k + i] * x->b[(size_t)i * x->n + column];
	return sum;
}

/* On the GPU; returns milliseconds of the kernel alone. */
static float multiply(struct vgpu *vgpu, struct matrices *x)
{
	const struct vgpu_dim3 block = { TILE, TILE, 1 };
	const struct vgpu_dim3 grid = { (x->n + TILE - 1) / TILE, (x->m + TILE - 1) / TILE, 1 };
	size_t a_bytes = sizeof(float) * x->m * x->k, b_bytes = sizeof(float) * x->k * x->n;
	size_t c_bytes = sizeof(float) * x->m * x->n;
	vgpu_kernel matmul = example_kernel(vgpu, "matmul", "matmul");
	vgpu_event start, stop;
	vgpu_devptr a, b, c;
	void *args[] = { &a, &b, &c, &x->m, &x->n, &x->k }; /* as cudaLaunchKernel() has them */
	float ms;

	OK(vgpu, vgpu_event_create(vgpu, &start, VGPU_EVENT_DEFAULT));
	OK(vgpu, vgpu_event_create(vgpu, &stop, VGPU_EVENT_DEFAULT));
	OK(vgpu, vgpu_malloc(vgpu, &a, a_bytes));
	OK(vgpu, vgpu_malloc(vgpu, &b, b_bytes));
	OK(vgpu, vgpu_malloc(vgpu, &c, c_bytes));
	OK(vgpu, vgpu_copy_to_device(vgpu, a, x->a, a_bytes));
	OK(vgpu, vgpu_copy_to_device(vgpu, b, x->b, b_bytes));

	OK(vgpu, vgpu_event_record(vgpu, start, 0));
	OK(vgpu, vgpu_launch_args(vgpu, matmul, grid, block, 0, 0, args));
	OK(vgpu, vgpu_event_record(vgpu, stop, 0));

	OK(vgpu, vgpu_copy_from_device(vgpu, x->c, c, c_bytes));
	OK(vgpu, vgpu_event_elapsed(vgpu, &ms, start, stop));
	OK(vgpu, vgpu_free(vgpu, a));
	OK(vgpu, vgpu_free(vgpu, b));
	OK(vgpu, vgpu_free(vgpu, c));
	OK(vgpu, vgpu_event_destroy(vgpu, start));
	OK(vgpu, vgpu_event_destroy(vgpu, stop));
	return ms;
}

int main(int argc, char **argv)
{
	struct matrices x = { .m = example_number(argc, argv, 1, 512) };
	struct vgpu *vgpu = example_open();
	unsigned int wrong = 0;
	double operations;
	float ms;

	x.n = example_number(argc, argv, 2, x.m);
	x.k = example_number(argc, argv, 3, x.m);
	x.a = example_alloc(sizeof(float) * x.m * x.k);
	x.b = example_alloc(sizeof(float) * x.k * x.n);
	x.c = example_alloc(sizeof(float) * x.m * x.n);
	example_random(x.a, (size_t)x.m * x.k);
	example_random(x.b, (size_t)x.k * x.n);

	ms = multiply(vgpu, &x);
	for (int i = 0; i < 1000; i++) { /* all of them would take the processor too long */
		uint32_t row = (uint32_t)rand() % x.m, column = (uint32_t)rand() % x.n;

		wrong += x.c[(size_t)row * x.n + column] != element(&x, row, column);
	}
	operations = 2.0 * x.m * x.n * x.k;
	printf("matmul: %u x %u x %u in %.3f ms (%.1f GFLOP/s), %u of 1000 wrong\n", x.m, x.n, x.k,
	       (double)ms, ms > 0 ? operations / (double)ms / 1e6 : 0, wrong);

	vgpu_close(vgpu);
	free(x.a);
	free(x.b);
	free(x.c);
	return wrong != 0;
}
