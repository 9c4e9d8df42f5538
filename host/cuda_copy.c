// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies. From and into a window that is registered with the driver the GPU copies by itself.
 * Registering takes milliseconds, which a short program should not wait for: until copies are
 * large or many they go through staging memory, and always where the window cannot be registered.
 *
 * Out of the GPU through staging memory means to wait. While a host function holds a stream, a wait
 * could be one for ourselves, so such copies are a reason to register as well.
 */
#include "cuda_backend.h"

#include <string.h>

#include "../common/shm.h"

#define LARGE_BYTES (64u << 10)
#define STAGED_MAX 256u

/* Enough for VGPU_WRITE_MAX, and whole warps. */
#define WRITE_BLOCK 96u

/* A part of a copy that fits a stage: whole rows, or a part of one. */
struct piece {
	uint64_t row, column; /* where it starts */
	uint64_t rows, width;
};

/* Returns false when all is done. */
static bool next_piece(const struct backend_copy *c, struct piece *p)
{
	p->column += p->width;
	if (p->column >= c->width) {
		p->column = 0;
		p->row += p->rows;
	}
	if (p->row >= c->height)
		return false;
	if (c->width > CUDA_STAGE_BYTES) {
		p->rows = 1;
		p->width = c->width - p->column;
		if (p->width > CUDA_STAGE_BYTES)
			p->width = CUDA_STAGE_BYTES;
		return true;
	}
	p->width = c->width;
	p->rows = CUDA_STAGE_BYTES / c->width;
	if (p->rows > c->height - p->row)
		p->rows = c->height - p->row;
	return true;
}

static uint64_t piece_at(uint64_t address, uint64_t pitch, const struct piece *p)
{
	return address + p->row * pitch + p->column;
}

static int copy_rows(uint64_t dst, uint64_t dst_pitch, uint64_t src, uint64_t src_pitch,
		     uint64_t width, uint64_t height, enum cudaMemcpyKind kind, cudaStream_t s)
{
	void *to = (void *)(uintptr_t)dst;
	const void *from = (const void *)(uintptr_t)src;

	if (height > 1)
		return cudaMemcpy2DAsync(to, dst_pitch, from, src_pitch, width, height, kind, s);
	/* The runtime's own call costs more than these. */
	if (kind == cudaMemcpyHostToDevice)
		return (int)cuda_driver.cuMemcpyHtoDAsync(dst, from, width, s);
	if (kind == cudaMemcpyDeviceToHost)
		return (int)cuda_driver.cuMemcpyDtoHAsync(to, src, width, s);
	return (int)cuda_driver.cuMemcpyAsync(dst, src, width, s);
}

static int stage_wait(struct backend *b, struct cuda_stage *stage)
{
	int rc;

	if (!stage->event)
		return 0;
	rc = cuda_result(cudaEventSynchronize(stage->event->handle));
	cuda_event_put(b, stage->event);
	stage->event = NULL;
	return rc;
}

/* The next stage, once nothing uses it. */
static int stage_take(struct backend *b, struct cuda_stage **out)
{
	*out = &b->staging.stages[b->staging.turn++ % CUDA_STAGES];
	return stage_wait(b, *out);
}

static bool next_stage_is_busy(const struct backend *b)
{
	const struct cuda_stage *s = &b->staging.stages[b->staging.turn % CUDA_STAGES];

	return s->event && cuda_driver.cuEventQuery(s->event->handle) == CUDA_ERROR_NOT_READY;
}

static int stage_used(struct backend *b, struct cuda_stage *stage, const struct backend_stream *s)
{
	return cuda_event_take(b, cuda_stream_device(b, s), cuda_stream_handle(s), &stage->event);
}

static int staged_to_device(struct backend *b, struct backend_stream *s,
			    const struct backend_copy *c)
{
	struct piece p = { 0 };
	struct cuda_stage *stage;
	int rc = 0;

	while (rc == 0 && next_piece(c, &p)) {
		rc = stage_take(b, &stage);
		if (rc)
			break;
		for (uint64_t i = 0; i < p.rows; i++)
			shm_read_bytes(
				stage->data + i * p.width,
				(const void *)(uintptr_t)(piece_at(c->src, c->src_pitch, &p) +
							  i * c->src_pitch),
				p.width);
		rc = copy_rows(piece_at(c->dst, c->dst_pitch, &p), c->dst_pitch,
			       (uintptr_t)stage->data, p.width, p.width, p.rows,
			       cudaMemcpyHostToDevice, cuda_stream_handle(s));
		if (rc == cudaSuccess)
			rc = stage_used(b, stage, s);
	}
	return cuda_result(rc);
}

/* Pieces on their way out of the GPU, oldest first. */
struct outgoing {
	struct {
		struct cuda_stage *stage;
		struct piece piece;
	} ring[CUDA_STAGES];
	uint32_t first, end;
};

static int outgoing_finish(struct backend *b, struct outgoing *o, const struct backend_copy *c)
{
	struct cuda_stage *stage = o->ring[o->first % CUDA_STAGES].stage;
	const struct piece *p = &o->ring[o->first++ % CUDA_STAGES].piece;
	int rc = stage_wait(b, stage);

	for (uint64_t i = 0; rc == 0 && i < p->rows; i++)
		shm_write_bytes(
			(void *)(uintptr_t)(piece_at(c->dst, c->dst_pitch, p) + i * c->dst_pitch),
			stage->data + i * p->width, p->width);
	return rc;
}

static int outgoing_start(struct backend *b, struct outgoing *o, const struct piece *p,
			  struct backend_stream *s, const struct backend_copy *c)
{
	struct cuda_stage *stage;
	int rc = stage_take(b, &stage);

	if (rc == 0)
		rc = copy_rows((uintptr_t)stage->data, p->width, piece_at(c->src, c->src_pitch, p),
			       c->src_pitch, p->width, p->rows, cudaMemcpyDeviceToHost,
			       cuda_stream_handle(s));
	if (rc == cudaSuccess)
		rc = stage_used(b, stage, s);
	if (rc)
		return rc;
	o->ring[o->end % CUDA_STAGES].stage = stage;
	o->ring[o->end++ % CUDA_STAGES].piece = *p;
	return 0;
}

static int staged_from_device(struct backend *b, struct backend_stream *s,
			      const struct backend_copy *c)
{
	struct outgoing o = { .first = 0 };
	struct piece p = { 0 };
	int rc = 0;

	while (rc == 0 && next_piece(c, &p)) {
		if (o.end - o.first == CUDA_STAGES)
			rc = outgoing_finish(b, &o, c);
		if (rc == 0)
			rc = outgoing_start(b, &o, &p, s, c);
	}
	while (rc == 0 && o.first != o.end)
		rc = outgoing_finish(b, &o, c);
	return cuda_result(rc);
}

/* Is now the time to register the window? */
static bool window_wanted(struct backend *b, const struct backend_copy *c)
{
	struct cuda_window *w = &b->window;

	if (!w->registrable)
		return false;
	return c->width >= LARGE_BYTES || c->height >= LARGE_BYTES ||
	       c->width * c->height >= LARGE_BYTES || ++w->staged > STAGED_MAX ||
	       b->holds.under_way || next_stage_is_busy(b);
}

/*
 * The other device's memory is reached faster, if it can be at all, when access was enabled;
 * without, the driver copies by way of the host.
 */
static void enable_peer(struct backend *b, uint32_t from, uint32_t to)
{
	if (from == to || b->devices[from].peers & (1u << to) || cuda_device_use(b, from))
		return;
	b->devices[from].peers |= 1u << to;
	cuda_result(cudaDeviceEnablePeerAccess(b->devices[to].ordinal, 0));
}

static uint32_t device_of(const struct backend *b, uint64_t address)
{
	struct cudaPointerAttributes a;

	if (cuda_result(cudaPointerGetAttributes(&a, (const void *)(uintptr_t)address)) ==
	    cudaSuccess)
		for (uint32_t i = 0; i < b->device_count; i++)
			if (b->devices[i].ordinal == a.device)
				return i;
	return b->selected;
}

static int copy_on_device(struct backend *b, struct backend_stream *s, const struct backend_copy *c)
{
	uint32_t to, from;
	int rc;

	if (b->used_count > 1) {
		to = device_of(b, c->dst);
		from = device_of(b, c->src);
		enable_peer(b, to, from);
		enable_peer(b, from, to);
	}
	rc = cuda_stream_use(b, s);
	if (rc)
		return rc;
	return cuda_result(copy_rows(c->dst, c->dst_pitch, c->src, c->src_pitch, c->width,
				     c->height, cudaMemcpyDefault, cuda_stream_handle(s)));
}

int cuda_copy(struct backend *b, struct backend_stream *s, const struct backend_copy *c)
{
	int rc;

	if (c->kind == VGPU_COPY_ON_DEVICE)
		return copy_on_device(b, s, c);
	rc = cuda_stream_use(b, s);
	if (rc)
		return rc;
	if (window_wanted(b, c))
		cuda_window_register(b);
	if (b->window.registered)
		return cuda_result(
			copy_rows(c->dst, c->dst_pitch, c->src, c->src_pitch, c->width, c->height,
				  c->kind == VGPU_COPY_TO_DEVICE ? cudaMemcpyHostToDevice
								 : cudaMemcpyDeviceToHost,
				  cuda_stream_handle(s)));
	/* A graph would copy staging memory as it is when the graph runs. */
	if (b->captures && cuda_stream_captures(b, s))
		return cudaErrorStreamCaptureUnsupported;
	return c->kind == VGPU_COPY_TO_DEVICE ? staged_to_device(b, s, c)
					      : staged_from_device(b, s, c);
}

/* A word or two can be written by the GPU's front end, with no kernel and no copy. */
static int write_word(cudaStream_t s, uint64_t dst, const void *data, uint32_t bytes)
{
	uint64_t word64;
	uint32_t word32;

	if (bytes == sizeof(word32) && dst % sizeof(word32) == 0) {
		memcpy(&word32, data, sizeof(word32));
		return cuda_driver.cuStreamWriteValue32(s, dst, word32,
							CU_STREAM_WRITE_VALUE_DEFAULT);
	}
	if (bytes == sizeof(word64) && dst % sizeof(word64) == 0) {
		memcpy(&word64, data, sizeof(word64));
		return cuda_driver.cuStreamWriteValue64(s, dst, word64,
							CU_STREAM_WRITE_VALUE_DEFAULT);
	}
	return CUDA_ERROR_NOT_SUPPORTED;
}

static int write_by_kernel(cudaStream_t s, uint64_t dst, const void *data, uint32_t bytes)
{
	struct cuda_written written = { 0 };
	unsigned int n = bytes;
	dim3 grid = { 1, 1, 1 };
	dim3 block = { WRITE_BLOCK, 1, 1 };
	void *args[] = { &dst, &written, &n };

	memcpy(written.bytes, data, bytes);
	return cudaLaunchKernel((const void *)kernel_write, grid, block, args, 0, s);
}

int cuda_copy_init(struct backend *b)
{
	static const uint8_t nothing[1];
	int rc = write_by_kernel(NULL, 0, nothing, 0);

	if (rc == cudaSuccess)
		rc = write_word(NULL, b->holds.address, b->holds.words, sizeof(uint32_t));
	return rc == cudaSuccess ? (int)cudaStreamSynchronize(NULL) : rc;
}

/* Into another device's memory, where neither front end nor kernel may reach. */
static int write_far(struct backend *b, struct backend_stream *s, uint64_t dst, const void *data,
		     uint32_t bytes)
{
	struct cuda_stage *stage;
	int rc;

	if (b->captures && cuda_stream_captures(b, s))
		return cudaErrorStreamCaptureUnsupported;
	rc = stage_take(b, &stage);
	if (rc)
		return rc;
	memcpy(stage->data, data, bytes);
	rc = cudaMemcpyAsync((void *)(uintptr_t)dst, stage->data, bytes, cudaMemcpyDefault,
			     cuda_stream_handle(s));
	return rc == cudaSuccess ? stage_used(b, stage, s) : rc;
}

int cuda_write(struct backend *b, struct backend_stream *s, uint64_t dst, const void *data,
	       uint32_t bytes)
{
	cudaStream_t handle = cuda_stream_handle(s);
	int rc = cuda_stream_use(b, s);

	if (rc)
		return rc;
	if (b->used_count > 1 && device_of(b, dst) != cuda_stream_device(b, s))
		return cuda_result(write_far(b, s, dst, data, bytes));
	rc = b->captures ? CUDA_ERROR_NOT_SUPPORTED : write_word(handle, dst, data, bytes);
	if (rc == CUDA_ERROR_NOT_SUPPORTED)
		rc = cuda_result(write_by_kernel(handle, dst, data, bytes));
	return rc;
}
