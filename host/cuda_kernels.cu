// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels of the cuda backend. C linkage: mediator_cuda.c launches them by address.

extern "C" __global__ void kernel_vector_add(const float *a, const float *b, float *c,
					     unsigned long long n)
{
	unsigned long long step = (unsigned long long)gridDim.x * blockDim.x;
	unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;

	for (; i < n; i += step)
		c[i] = a[i] + b[i];
}
