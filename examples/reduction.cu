// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdint.h>

// The sum of what each block takes. Blocks of up to 1024 threads, a power of two.
extern "C" __global__ void reduce_sum(const float *in, float *partial, uint64_t n)
{
	__shared__ float sums[1024];
	uint64_t step = (uint64_t)gridDim.x * blockDim.x;
	float sum = 0;

	for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step)
		sum += in[i];
	sums[threadIdx.x] = sum;
	for (uint32_t half = blockDim.x / 2; half; half /= 2) {
		__syncthreads();
		if (threadIdx.x < half)
			sums[threadIdx.x] += sums[threadIdx.x + half];
	}
	if (threadIdx.x == 0)
		partial[blockIdx.x] = sums[0];
}
