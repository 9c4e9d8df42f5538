// SPDX-License-Identifier: LGPL-2.1-or-later
/* saxpy [ELEMENTS]: y = a x + y. Memory, copies, a kernel, a launch. */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>

/* The kernel's parameters, as it declares them. */
struct saxpy_params {
	uint64_t n;
	float a;
	vgpu_devptr x, y;
};

int main(int argc, char **argv)
{
	size_t n = example_number(argc, argv, 1, 1u << 20), bytes = n * sizeof(float), wrong = 0;
	float *x = example_alloc(bytes), *y = example_alloc(bytes), *got = example_alloc(bytes);
	struct saxpy_params p = { .n = n, .a = 2 };
	const struct vgpu_dim3 block = { 256, 1, 1 }, grid = { (uint32_t)((n + 255) / 256), 1, 1 };
	struct vgpu *vgpu = example_open();
	vgpu_kernel saxpy = example_kernel(vgpu, "saxpy", "saxpy");

	example_random(x, n);
	example_random(y, n);

	OK(vgpu, vgpu_malloc(vgpu, &p.x, bytes));
	OK(vgpu, vgpu_malloc(vgpu, &p.y, bytes));
	OK(vgpu, vgpu_copy_to_device(vgpu, p.x, x, bytes));
	OK(vgpu, vgpu_copy_to_device(vgpu, p.y, y, bytes));
	OK(vgpu, vgpu_launch(vgpu, saxpy, grid, block, 0, 0, &p, sizeof(p)));
	OK(vgpu, vgpu_copy_from_device(vgpu, got, p.y, bytes)); /* waits for the launch */

	for (size_t i = 0; i < n; i++)
		wrong += got[i] != p.a * x[i] + y[i];
	printf("saxpy: %zu elements, %zu wrong\n", n, wrong);

	OK(vgpu, vgpu_free(vgpu, p.x));
	OK(vgpu, vgpu_free(vgpu, p.y));
	vgpu_close(vgpu);
	free(x);
	free(y);
	free(got);
	return wrong != 0;
}
