// SPDX-License-Identifier: GPL-2.0-or-later
// What coldstart_client does, in plain CUDA: the time to compare with.
#include <cstdio>
#include <ctime>
#include <cuda_runtime.h>

#define N 1024

__global__ void vector_add(const float *a, const float *b, float *c, int n)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;

	if (i < n)
		c[i] = a[i] + b[i];
}

#define TRY(call)                                                                                  \
	do {                                                                                       \
		cudaError_t rc = (call);                                                           \
		if (rc != cudaSuccess) {                                                           \
			fprintf(stderr, "%s: %s\n", #call, cudaGetErrorString(rc));                \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

int main()
{
	static float a[N], b[N], c[N];
	float *da, *db, *dc;
	cudaDeviceProp prop;
	timespec t;

	for (int i = 0; i < N; i++) {
		a[i] = (float)i;
		b[i] = (float)(i * 2);
		c[i] = -1;
	}
	TRY(cudaMalloc(&da, sizeof(a)));
	TRY(cudaMalloc(&db, sizeof(b)));
	TRY(cudaMalloc(&dc, sizeof(c)));
	TRY(cudaMemcpy(da, a, sizeof(a), cudaMemcpyHostToDevice));
	TRY(cudaMemcpy(db, b, sizeof(b), cudaMemcpyHostToDevice));
	vector_add<<<N / 256, 256>>>(da, db, dc, N);
	TRY(cudaGetLastError());
	TRY(cudaMemcpy(c, dc, sizeof(c), cudaMemcpyDeviceToHost));
	for (int i = 0; i < N; i++) {
		if (c[i] != a[i] + b[i])
			return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	TRY(cudaGetDeviceProperties(&prop, 0));
	printf("%llu %s\n",
	       (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec,
	       prop.name);
	return 0;
}
