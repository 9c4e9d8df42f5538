// SPDX-License-Identifier: GPL-2.0-or-later
// Kernels of the cuda backend. C linkage: its C files launch them by address.

// As in cuda_backend.h.
struct cuda_written {
	unsigned char bytes[80];
};

extern "C" __global__ void kernel_vector_add(const float *a, const float *b, float *c,
					     unsigned long long n)
{
	unsigned long long step = (unsigned long long)gridDim.x * blockDim.x;
	unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;

	for (; i < n; i += step)
		c[i] = a[i] + b[i];
}

// A few bytes that travel with the launch itself.
extern "C" __global__ void kernel_write(unsigned char *dst, struct cuda_written data,
					unsigned int n)
{
	if (threadIdx.x < n)
		dst[threadIdx.x] = data.bytes[threadIdx.x];
}
