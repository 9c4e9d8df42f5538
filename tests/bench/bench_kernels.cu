// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels of the benchmarks, for CUDA and the mediator from one and the same image.

#define TILE 32

extern "C" __global__ void add_one(unsigned int *p, unsigned long long n)
{
	unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		p[i]++;
}

extern "C" __global__ void saxpy(unsigned long long n, float a, const float *x, float *y)
{
	unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		y[i] += a * x[i];
}

extern "C" __global__ void vector_add(const float *a, const float *b, float *c,
				      unsigned long long n)
{
	unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		c[i] = a[i] + b[i];
}

// c (m x n) = a (m x k) * b (k x n), row by row; blocks of TILE x TILE.
extern "C" __global__ void matmul(const float *a, const float *b, float *c, unsigned int m,
				  unsigned int n, unsigned int k)
{
	__shared__ float ta[TILE][TILE], tb[TILE][TILE];
	const unsigned int x = threadIdx.x, y = threadIdx.y;
	const unsigned int row = blockIdx.y * TILE + y, column = blockIdx.x * TILE + x;
	float sum = 0;

	for (unsigned int t = 0; t < k; t += TILE) {
		ta[y][x] = row < m && t + x < k ? a[(size_t)row * k + t + x] : 0;
		tb[y][x] = column < n && t + y < k ? b[(size_t)(t + y) * n + column] : 0;
		__syncthreads();
		for (unsigned int i = 0; i < TILE; i++)
			sum += ta[y][i] * tb[i][x];
		__syncthreads();
	}
	if (row < m && column < n)
		c[(size_t)row * n + column] = sum;
}
