// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Backend "cuda": NVIDIA GPUs through the CUDA Runtime. Built as gpu_mediator_cuda.so with the
 * runtime linked statically; the driver's libcuda.so.1 is found by the runtime when it starts.
 *
 * A small addition goes through pinned memory that the GPU reads and writes in place: one launch
 * and one synchronization, where copies would be three more trips over the bus. A large one goes
 * in chunks over three streams, so that copies in, kernels and copies out overlap. For that the
 * window is registered with the driver, when the first large request comes: registering takes
 * milliseconds, which a short-lived client should not wait for.
 *
 * Errors of CUDA calls are returned as they are; whether the context survived is for the worker
 * to find out, by memory().
 */
#include "backend.h"

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/errors.h"
#include "../common/shm.h"
#include "../protocol/vgpu_commands.h"

#define LIBRARY "gpu_mediator_cuda.so"

#define SLOTS 3
#define SMALL_FLOATS (16u << 10)
#define CHUNK_FLOATS_MIN (64u << 10)
#define CHUNK_FLOATS_MAX (1u << 20)
#define CHUNKS_WANTED 4u /* of one request, where the limits above allow: enough to overlap */

#define BLOCK 256u
#define GRID_MAX 4096u

/* cuda_kernels.cu. The address of the host's stub names the kernel. */
void kernel_vector_add(const float *a, const float *b, float *c, unsigned long long n);

struct triple {
	float *a, *b, *c;
};

struct slot {
	cudaStream_t stream;
	struct triple device;
};

struct backend {
	struct slot slots[SLOTS];
	struct triple pinned;        /* SMALL_FLOATS each, as the host sees them */
	struct triple pinned_device; /* and as the device does */
	void *window;
	size_t window_bytes;
	bool registered;
	bool register_tried;
};

static int launch_add(const struct triple *t, size_t n, cudaStream_t stream)
{
	unsigned long long count = n;
	size_t blocks = (n + BLOCK - 1) / BLOCK;
	dim3 grid = { blocks < GRID_MAX ? (unsigned int)blocks : GRID_MAX, 1, 1 };
	dim3 block = { BLOCK, 1, 1 };
	void *args[] = { (void *)&t->a, (void *)&t->b, (void *)&t->c, &count };

	return cudaLaunchKernel((const void *)kernel_vector_add, grid, block, args, 0, stream);
}

static int add_small(struct backend *b, const float *a, const float *bb, float *c, size_t n)
{
	int rc;

	shm_read_bytes(b->pinned.a, a, n * sizeof(float));
	shm_read_bytes(b->pinned.b, bb, n * sizeof(float));
	rc = launch_add(&b->pinned_device, n, b->slots[0].stream);
	if (rc == cudaSuccess)
		rc = cudaStreamSynchronize(b->slots[0].stream);
	if (rc == cudaSuccess)
		shm_write_bytes(c, b->pinned.c, n * sizeof(float));
	return rc;
}

/* Without it copies still work, through the driver's own staging, at a third of the speed. */
static void register_window(struct backend *b)
{
	if (b->register_tried || !b->window)
		return;
	b->register_tried = true;
	b->registered = cudaHostRegister(b->window, b->window_bytes, cudaHostRegisterDefault) ==
			cudaSuccess;
	if (!b->registered)
		cudaGetLastError(); /* told by the speed; not the next call's failure */
}

static int add_chunk(const struct slot *s, const float *a, const float *bb, float *c, size_t n)
{
	size_t bytes = n * sizeof(float);
	int rc;

	rc = cudaMemcpyAsync(s->device.a, a, bytes, cudaMemcpyHostToDevice, s->stream);
	if (rc == cudaSuccess)
		rc = cudaMemcpyAsync(s->device.b, bb, bytes, cudaMemcpyHostToDevice, s->stream);
	if (rc == cudaSuccess)
		rc = launch_add(&s->device, n, s->stream);
	if (rc == cudaSuccess)
		rc = cudaMemcpyAsync(c, s->device.c, bytes, cudaMemcpyDeviceToHost, s->stream);
	return rc;
}

static int add_large(struct backend *b, const float *a, const float *bb, float *c, size_t n)
{
	size_t chunk = (n + CHUNKS_WANTED - 1) / CHUNKS_WANTED;
	size_t done, m;
	unsigned int turn = 0;
	int rc = cudaSuccess;
	int last;

	if (chunk < CHUNK_FLOATS_MIN)
		chunk = CHUNK_FLOATS_MIN;
	if (chunk > CHUNK_FLOATS_MAX)
		chunk = CHUNK_FLOATS_MAX;
	register_window(b);
	for (done = 0; done < n && rc == cudaSuccess; done += m) {
		m = n - done < chunk ? n - done : chunk;
		rc = add_chunk(&b->slots[turn++ % SLOTS], a + done, bb + done, c + done, m);
	}
	/* Also after a failure: nothing may write to the guest's memory once this returns. */
	last = cudaDeviceSynchronize();
	return rc != cudaSuccess ? rc : last;
}

static int cuda_vector_add(struct backend *b, const float *a, const float *bb, float *c, size_t n)
{
	int rc = n <= SMALL_FLOATS ? add_small(b, a, bb, c, n) : add_large(b, a, bb, c, n);

	if (rc != cudaSuccess)
		cudaGetLastError(); /* a passing error; one that stays is seen again anyhow */
	return rc;
}

static int cuda_memory(struct backend *b, uint64_t *total, uint64_t *free_bytes)
{
	size_t t = 0, f = 0;
	int rc = cudaMemGetInfo(&f, &t);

	(void)b;
	*total = t;
	*free_bytes = f;
	return rc;
}

static int cuda_window(struct backend *b, void *base, size_t bytes)
{
	b->window = base;
	b->window_bytes = bytes;
	return 0;
}

static void cuda_close(struct backend *b)
{
	if (!b)
		return;
	if (b->registered)
		cudaHostUnregister(b->window);
	for (int i = 0; i < SLOTS; i++) {
		cudaFree(b->slots[i].device.a); /* all three are one allocation */
		if (b->slots[i].stream)
			cudaStreamDestroy(b->slots[i].stream);
	}
	cudaFreeHost(b->pinned.a);
	free(b);
}

static int failed(char *why, size_t why_len, int device, const char *what, int rc)
{
	snprintf(why, why_len, LIBRARY ": device %d: %s: %s", device, what,
		 cudaGetErrorString((cudaError_t)rc));
	return rc;
}

/* Is there a driver, new enough, and this device? */
static int find_device(int device, struct backend_info *info, char *why, size_t why_len)
{
	int driver = 0, runtime = 0, count = 0;
	int rc;

	cudaRuntimeGetVersion(&runtime);
	cudaDriverGetVersion(&driver); /* 0 where there is none */
	info->driver_version = (uint32_t)driver;
	info->runtime_version = (uint32_t)runtime;
	if (!driver) {
		snprintf(why, why_len, LIBRARY ": no NVIDIA driver: libcuda.so.1 is missing");
		return cudaErrorInsufficientDriver;
	}
	rc = cudaGetDeviceCount(&count);
	if (rc == cudaErrorInsufficientDriver) {
		snprintf(why, why_len, LIBRARY ": driver too old: has CUDA %d.%d, runtime is %d.%d",
			 driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
		return rc;
	}
	if (rc == cudaErrorNoDevice || (rc == cudaSuccess && count == 0)) {
		snprintf(why, why_len, LIBRARY ": no CUDA-capable device");
		return cudaErrorNoDevice;
	}
	if (rc != cudaSuccess)
		return failed(why, why_len, device, "look for GPUs", rc);
	if (device >= count) {
		snprintf(why, why_len, LIBRARY ": device %d: the machine has %d, from 0", device,
			 count);
		return cudaErrorInvalidDevice;
	}
	return 0;
}

static int describe(int device, struct backend_info *info)
{
	struct cudaDeviceProp prop;
	int rc = cudaGetDeviceProperties(&prop, device);

	if (rc != cudaSuccess)
		return rc;
	info->kind = VGPU_BACKEND_CUDA;
	info->compute_major = (uint32_t)prop.major;
	info->compute_minor = (uint32_t)prop.minor;
	info->multiprocessors = (uint32_t)prop.multiProcessorCount;
	info->memory_total = prop.totalGlobalMem;
	snprintf(info->device, sizeof(info->device), "%.*s", (int)sizeof(info->device) - 1,
		 prop.name);
	return 0;
}

static struct triple thirds(float *p, size_t n)
{
	return (struct triple){ p, p + n, p + 2 * n };
}

static int allocate(struct backend *b)
{
	void *p;
	int rc;

	for (int i = 0; i < SLOTS; i++) {
		rc = cudaStreamCreateWithFlags(&b->slots[i].stream, cudaStreamNonBlocking);
		if (rc == cudaSuccess)
			rc = cudaMalloc(&p, 3 * CHUNK_FLOATS_MAX * sizeof(float));
		if (rc != cudaSuccess)
			return rc;
		b->slots[i].device = thirds(p, CHUNK_FLOATS_MAX);
	}
	rc = cudaHostAlloc(&p, 3 * SMALL_FLOATS * sizeof(float), cudaHostAllocMapped);
	if (rc != cudaSuccess)
		return rc;
	b->pinned = thirds(p, SMALL_FLOATS);
	memset(p, 0, 3 * SMALL_FLOATS * sizeof(float));
	rc = cudaHostGetDevicePointer(&p, b->pinned.a, 0);
	b->pinned_device = thirds(p, SMALL_FLOATS);
	return rc;
}

/*
 * Everything once, so that the first request pays for none of it: the kernel is loaded (CUDA
 * loads lazily, at the first launch), each stream's queue and each copy engine is set up.
 */
static int warm_up(struct backend *b)
{
	const struct triple *p = &b->pinned;
	int rc = add_small(b, p->a, p->b, p->c, SMALL_FLOATS);

	for (int i = 0; i < SLOTS && rc == cudaSuccess; i++)
		rc = add_chunk(&b->slots[i], p->a, p->b, p->c, SMALL_FLOATS);
	return rc == cudaSuccess ? (int)cudaDeviceSynchronize() : rc;
}

static int cuda_open(struct backend **out, int device, struct backend_info *info, char *why,
		     size_t why_len)
{
	struct backend *b;
	const char *what;
	int rc;

	memset(info, 0, sizeof(*info));
	rc = find_device(device, info, why, why_len);
	if (rc)
		return rc;
	b = calloc(1, sizeof(*b));
	if (!b) {
		snprintf(why, why_len, LIBRARY ": out of memory");
		return VGPU_ENOMEM;
	}
	/*
	 * Spinning, not sleeping, in synchronize: a wake-up costs more than most commands run,
	 * and the worker has nothing else to do. Must come before the context is made.
	 */
	what = "create a context";
	rc = cudaInitDevice(device, cudaDeviceScheduleSpin, cudaInitDeviceFlagsAreValid);
	if (rc == cudaSuccess)
		rc = cudaSetDevice(device);
	if (rc == cudaSuccess) {
		what = "read its properties";
		rc = describe(device, info);
	}
	if (rc == cudaSuccess) {
		what = "allocate";
		rc = allocate(b);
	}
	if (rc == cudaSuccess) {
		what = "run the first kernel";
		rc = warm_up(b);
	}
	if (rc != cudaSuccess) {
		failed(why, why_len, device, what, rc);
		cuda_close(b);
		return rc;
	}
	*out = b;
	return 0;
}

extern const struct backend_ops vgpu_backend_cuda;
__attribute__((visibility("default"))) const struct backend_ops vgpu_backend_cuda = {
	.abi = BACKEND_ABI,
	.name = "cuda",
	.open = cuda_open,
	.close = cuda_close,
	.memory = cuda_memory,
	.window = cuda_window,
	.vector_add = cuda_vector_add,
};
