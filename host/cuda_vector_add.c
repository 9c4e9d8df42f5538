// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * VECTOR_ADD. A small addition goes through pinned memory that the GPU reads and writes in place:
 * one launch and one synchronization, where copies would be three more trips over the bus. A large
 * one goes in chunks over three streams, so that copies in, kernels and copies out overlap.
 *
 * It waits for its own streams only: another of the guest's may stand at a host function.
 */
#include "cuda_backend.h"

#include <string.h>

#include "../common/shm.h"

#define SMALL_FLOATS (16u << 10)
#define CHUNK_FLOATS_MIN (64u << 10)
#define CHUNK_FLOATS_MAX (1u << 20)
#define CHUNKS_WANTED 4u /* of one request, where the limits above allow: enough to overlap */

#define BLOCK 256u
#define GRID_MAX 4096u

static int launch_add(const struct cuda_triple *t, size_t n, cudaStream_t stream)
{
	unsigned long long count = n;
	size_t blocks = (n + BLOCK - 1) / BLOCK;
	dim3 grid = { blocks < GRID_MAX ? (unsigned int)blocks : GRID_MAX, 1, 1 };
	dim3 block = { BLOCK, 1, 1 };
	void *args[] = { (void *)&t->a, (void *)&t->b, (void *)&t->c, &count };

	return cudaLaunchKernel((const void *)kernel_vector_add, grid, block, args, 0, stream);
}

static int add_small(struct cuda_adder *d, const float *a, const float *bb, float *c, size_t n)
{
	int rc;

	shm_read_bytes(d->pinned.a, a, n * sizeof(float));
	shm_read_bytes(d->pinned.b, bb, n * sizeof(float));
	rc = launch_add(&d->pinned_device, n, d->slots[0].stream);
	if (rc == cudaSuccess)
		rc = cudaStreamSynchronize(d->slots[0].stream);
	if (rc == cudaSuccess)
		shm_write_bytes(c, d->pinned.c, n * sizeof(float));
	return rc;
}

static int add_chunk(const struct cuda_add_slot *s, const float *a, const float *bb, float *c,
		     size_t n)
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

/* Also after a failure: nothing may write to the guest's memory once a request was answered. */
static int wait_for_slots(struct cuda_adder *d, int rc)
{
	int last;

	for (int i = 0; i < CUDA_ADD_SLOTS; i++) {
		last = cudaStreamSynchronize(d->slots[i].stream);
		if (rc == cudaSuccess)
			rc = last;
	}
	return rc;
}

static int add_large(struct cuda_adder *d, const float *a, const float *bb, float *c, size_t n)
{
	size_t chunk = (n + CHUNKS_WANTED - 1) / CHUNKS_WANTED;
	size_t done, m;
	unsigned int turn = 0;
	int rc = cudaSuccess;

	if (chunk < CHUNK_FLOATS_MIN)
		chunk = CHUNK_FLOATS_MIN;
	if (chunk > CHUNK_FLOATS_MAX)
		chunk = CHUNK_FLOATS_MAX;
	for (done = 0; done < n && rc == cudaSuccess; done += m) {
		m = n - done < chunk ? n - done : chunk;
		rc = add_chunk(&d->slots[turn++ % CUDA_ADD_SLOTS], a + done, bb + done, c + done,
			       m);
	}
	return wait_for_slots(d, rc);
}

int cuda_vector_add(struct backend *b, const float *a, const float *bb, float *c, size_t n)
{
	int rc = cuda_device_use(b, 0);

	if (rc)
		return rc;
	if (n <= SMALL_FLOATS)
		return cuda_result(add_small(&b->adder, a, bb, c, n));
	cuda_window_register(b);
	return cuda_result(add_large(&b->adder, a, bb, c, n));
}

static struct cuda_triple thirds(float *p, size_t n)
{
	return (struct cuda_triple){ p, p + n, p + 2 * n };
}

static int allocate(struct cuda_adder *d)
{
	void *p;
	int rc;

	for (int i = 0; i < CUDA_ADD_SLOTS; i++) {
		rc = cudaStreamCreateWithFlags(&d->slots[i].stream, cudaStreamNonBlocking);
		if (rc == cudaSuccess)
			rc = cudaMalloc(&p, 3 * CHUNK_FLOATS_MAX * sizeof(float));
		if (rc != cudaSuccess)
			return rc;
		d->slots[i].device = thirds(p, CHUNK_FLOATS_MAX);
	}
	rc = cudaHostAlloc(&p, 3 * SMALL_FLOATS * sizeof(float), cudaHostAllocMapped);
	if (rc != cudaSuccess)
		return rc;
	d->pinned = thirds(p, SMALL_FLOATS);
	memset(p, 0, 3 * SMALL_FLOATS * sizeof(float));
	rc = cudaHostGetDevicePointer(&p, d->pinned.a, 0);
	d->pinned_device = thirds(p, SMALL_FLOATS);
	return rc;
}

/*
 * Everything once, so that the first request pays for none of it: the kernel is loaded (CUDA
 * loads lazily, at the first launch), each stream's queue and each copy engine is set up.
 */
int cuda_adder_init(struct backend *b)
{
	struct cuda_adder *d = &b->adder;
	const struct cuda_triple *p = &d->pinned;
	int rc = allocate(d);

	if (rc == cudaSuccess)
		rc = add_small(d, p->a, p->b, p->c, SMALL_FLOATS);
	for (int i = 0; i < CUDA_ADD_SLOTS && rc == cudaSuccess; i++)
		rc = add_chunk(&d->slots[i], p->a, p->b, p->c, SMALL_FLOATS);
	return rc == cudaSuccess ? wait_for_slots(d, rc) : rc;
}

void cuda_adder_dispose(struct backend *b)
{
	for (int i = 0; i < CUDA_ADD_SLOTS; i++) {
		cudaFree(b->adder.slots[i].device.a); /* all three are one allocation */
		if (b->adder.slots[i].stream)
			cudaStreamDestroy(b->adder.slots[i].stream);
	}
	cudaFreeHost(b->adder.pinned.a);
}
