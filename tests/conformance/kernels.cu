// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels of the conformance suite, under the names that the backend `cpu` has them, too.
#include <stdint.h>

#include "../../examples/mandelbrot.cu"
#include "../../examples/matmul.cu"
#include "../../examples/reduction.cu"
#include "../../examples/saxpy.cu"

static __device__ uint64_t first(void)
{
	return (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ uint64_t step(void)
{
	return (uint64_t)gridDim.x * blockDim.x;
}

extern "C" __global__ void vector_add(const float *a, const float *b, float *c, uint64_t n)
{
	for (uint64_t i = first(); i < n; i += step())
		c[i] = a[i] + b[i];
}

extern "C" __global__ void fill_u32(uint32_t *p, uint32_t value, uint64_t n)
{
	for (uint64_t i = first(); i < n; i += step())
		p[i] = value;
}

extern "C" __global__ void add_one(uint32_t *p, uint64_t n)
{
	for (uint64_t i = first(); i < n; i += step())
		p[i]++;
}

extern "C" __global__ void spin_ms(uint32_t ms)
{
	uint64_t start, now;

	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(start));
	do
		asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
	while (now - start < ms * 1000000ull);
}

extern "C" __global__ void fault(void)
{
	*(volatile uint32_t *)16 = 1;
}

struct many {
	uint32_t v[1000];
};

// More parameters than a request holds.
extern "C" __global__ void store_many(uint32_t *to, struct many many)
{
	for (uint64_t i = first(); i < 1000; i += step())
		to[i] = many.v[i];
}
