// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory of the GPU, and what of the host's is pinned for it. */
#include "cuda_backend.h"

#include <string.h>

#include "../common/errors.h"

int cuda_pinned_words(size_t bytes, void **out, CUdeviceptr *address)
{
	void *p;
	int rc = cudaHostAlloc(out, bytes, cudaHostAllocMapped | cudaHostAllocPortable);

	if (rc != cudaSuccess)
		return cuda_result(rc);
	memset(*out, 0, bytes);
	rc = cudaHostGetDevicePointer(&p, *out, 0);
	*address = (uintptr_t)p;
	return cuda_result(rc);
}

int cuda_memory_init(struct backend *b)
{
	void *p;
	int rc = cudaHostAlloc(&p, CUDA_STAGES * CUDA_STAGE_BYTES, cudaHostAllocPortable);

	if (rc != cudaSuccess)
		return cuda_result(rc);
	for (uint32_t i = 0; i < CUDA_STAGES; i++)
		b->staging.stages[i].data = (uint8_t *)p + i * CUDA_STAGE_BYTES;
	return 0;
}

void cuda_memory_dispose(struct backend *b)
{
	for (uint32_t i = 0; i < CUDA_STAGES; i++)
		if (b->staging.stages[i].event)
			cuda_event_put(b, b->staging.stages[i].event);
	cudaFreeHost(b->staging.stages[0].data); /* all are one allocation */
	if (b->window.registered)
		cudaHostUnregister(b->window.base);
}

int cuda_window(struct backend *b, void *base, size_t bytes, bool registrable)
{
	b->window =
		(struct cuda_window){ .base = base, .bytes = bytes, .registrable = registrable };
	return 0;
}

/* Without it copies still work, through staging memory, at a third of the speed or less. */
void cuda_window_register(struct backend *b)
{
	struct cuda_window *w = &b->window;

	if (!w->registrable)
		return;
	w->registrable = false; /* tried once */
	w->registered = cuda_result(cudaHostRegister(w->base, w->bytes,
						     cudaHostRegisterPortable)) == cudaSuccess;
}

/* The numbers are the selected device's; a failure is that of any. */
int cuda_memory(struct backend *b, uint64_t *total, uint64_t *free_bytes)
{
	size_t t = 0, f = 0;
	int rc;

	for (uint32_t i = 0; i < b->device_count; i++) {
		if (!b->devices[i].used || i == b->selected)
			continue;
		rc = cuda_device_use(b, i);
		if (rc == 0)
			rc = (int)cuda_driver.cuMemGetInfo(&f, &t);
		if (rc)
			return cuda_result(rc);
	}
	rc = cuda_device_use(b, b->selected);
	if (rc == 0)
		rc = (int)cuda_driver.cuMemGetInfo(&f, &t);
	*total = t;
	*free_bytes = f;
	return cuda_result(rc);
}

/*
 * Where the guest captures, CUDA refuses these two unless the capture is a relaxed one: as it
 * would the guest itself.
 */
static void set_capture_mode(const struct backend *b, enum cudaStreamCaptureMode mode)
{
	if (b->captures)
		cudaThreadExchangeStreamCaptureMode(&mode);
}

int cuda_alloc(struct backend *b, uint64_t bytes, uint64_t *address)
{
	void *p;
	int rc = cuda_device_use(b, b->selected);

	if (rc)
		return rc;
	set_capture_mode(b, cudaStreamCaptureModeGlobal);
	rc = cuda_result(cudaMalloc(&p, bytes));
	set_capture_mode(b, cudaStreamCaptureModeRelaxed);
	if (rc == cudaSuccess)
		*address = (uintptr_t)p;
	return rc;
}

int cuda_free(struct backend *b, uint64_t address)
{
	int rc;

	set_capture_mode(b, cudaStreamCaptureModeGlobal);
	rc = cuda_result(cudaFree((void *)(uintptr_t)address));
	set_capture_mode(b, cudaStreamCaptureModeRelaxed);
	return rc;
}

static int memset_row(const struct backend_memset *m, CUstream s)
{
	switch (m->element) {
	case 1:
		return cuda_driver.cuMemsetD8Async(m->dst, (uint8_t)m->value, m->width, s);
	case 2:
		return cuda_driver.cuMemsetD16Async(m->dst, (uint16_t)m->value, m->width, s);
	case 4:
		return cuda_driver.cuMemsetD32Async(m->dst, m->value, m->width, s);
	default:
		return VGPU_EINVAL;
	}
}

static int memset_rows(const struct backend_memset *m, CUstream s)
{
	switch (m->element) {
	case 1:
		return cuda_driver.cuMemsetD2D8Async(m->dst, m->pitch, (uint8_t)m->value, m->width,
						     m->height, s);
	case 2:
		return cuda_driver.cuMemsetD2D16Async(m->dst, m->pitch, (uint16_t)m->value,
						      m->width, m->height, s);
	case 4:
		return cuda_driver.cuMemsetD2D32Async(m->dst, m->pitch, m->value, m->width,
						      m->height, s);
	default:
		return VGPU_EINVAL;
	}
}

int cuda_memset(struct backend *b, struct backend_stream *s, const struct backend_memset *m)
{
	int rc = cuda_stream_use(b, s);

	if (rc)
		return rc;
	return m->height == 1 ? memset_row(m, cuda_stream_handle(s))
			      : memset_rows(m, cuda_stream_handle(s));
}
