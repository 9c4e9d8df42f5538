// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdint.h>

#define TILE 16

// C (m x n) = A (m x k) B (k x n), by rows. Blocks of TILE x TILE threads: each loads one element
// of a tile of A and of B, which all of them use, and makes one element of C.
extern "C" __global__ void matmul(const float *A, const float *B, float *C, uint32_t m, uint32_t n,
				  uint32_t k)
{
	__shared__ float a[TILE][TILE], b[TILE][TILE];
	uint32_t row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
	float sum = 0;

	for (uint32_t t = 0; t < k; t += TILE) {
		uint32_t i = t + threadIdx.x, j = t + threadIdx.y;

		a[threadIdx.y][threadIdx.x] = row < m && i < k ? A[(uint64_t)row * k + i] : 0;
		b[threadIdx.y][threadIdx.x] = column < n && j < k ? B[(uint64_t)j * n + column] : 0;
		__syncthreads();
		for (uint32_t e = 0; e < TILE; e++)
			sum += a[threadIdx.y][e] * b[e][threadIdx.x];
		__syncthreads();
	}
	if (row < m && column < n)
		C[(uint64_t)row * n + column] = sum;
}
