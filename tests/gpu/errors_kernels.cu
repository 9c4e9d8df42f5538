// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels that fail, beside the conformance suite's, which the backend `cpu` has, too.
#include <assert.h>
#include <stdint.h>

#include "../conformance/kernels.cu"

extern "C" __global__ void misaligned(volatile uint32_t *p)
{
	*p = 1;
}

extern "C" __global__ void trap(void)
{
	__trap();
}

extern "C" __global__ void is_not_7(uint32_t value)
{
	assert(value != 7);
}

extern "C" __global__ void __launch_bounds__(64) bounded(void)
{
}

// All values are alive between the two loops: more than 64 registers, which 1024 threads have.
extern "C" __global__ void many_registers(volatile uint32_t *p)
{
	uint32_t v[160];

#pragma unroll
	for (int i = 0; i < 160; i++)
		v[i] = p[i];
#pragma unroll
	for (int i = 159; i >= 0; i--)
		p[i] = v[i] + threadIdx.x;
}
