/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the examples share, so that each shows its own idea only. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdint.h>
#include <vgpuguest.h>

/* End the program with the cause if a call failed. */
#define OK(vgpu, call) example_ok(vgpu, call, #call)
void example_ok(struct vgpu *vgpu, int rc, const char *call);

/* Open $VGPU_DEVICE or the default device, and say which GPU it is. */
struct vgpu *example_open(void);

/*
 * A kernel of @module.fatbin, which `make examples` puts beside the program if it finds nvcc.
 * Without that file there are still the kernels that the backend `cpu` has built in.
 */
vgpu_kernel example_kernel(struct vgpu *vgpu, const char *module, const char *name);

/* Argument @i as a number, or @otherwise if there is none. */
uint32_t example_number(int argc, char **argv, int i, uint32_t otherwise);

/* Small integers from -8 to 8, as floats: sums of products of them are exact. */
void example_random(float *v, size_t n);

/* malloc() that ends the program instead of failing. */
void *example_alloc(size_t bytes);

#endif
