// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdint.h>

// y = a x + y
extern "C" __global__ void saxpy(uint64_t n, float a, const float *x, float *y)
{
	uint64_t step = (uint64_t)gridDim.x * blockDim.x;

	for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
		y[i] = a * x[i] + y[i];
}
