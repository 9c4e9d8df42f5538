/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies and memsets. What lies in the window the host copies from there and to there. Ordinary
 * memory goes with the request or the response if it is a few bytes, else through the window, in
 * chunks: while the GPU copies some, the next are copied here.
 */
#include <string.h>

#include "call.h"
#include "gpu_copy_threads.h"
#include "../common/checked.h"

#define CHUNK_MAX ((size_t)1 << 20)
#define CHUNK_MIN ((size_t)256 << 10) /* smaller ones do not pay, but in small windows */
#define CHUNKS 4u                     /* of a copy that are under way */
#define THREADS_FROM ((size_t)1 << 20)

struct copy {
	uint32_t kind;
	vgpu_devptr device; /* the destination, if both are */
	size_t device_pitch;
	vgpu_devptr other_device; /* of VGPU_COPY_ON_DEVICE: the source */
	uint8_t *host;
	size_t host_pitch; /* or of other_device */
	size_t width;
	size_t height;
	vgpu_stream stream;
	bool async;
};

/* From the first byte of the first row to the last of the last one. */
static bool span_of(size_t pitch, size_t width, size_t height, uint64_t *out)
{
	return checked_mul(pitch, height - 1, out) && checked_add(*out, width, out);
}

static bool on_device(const struct call *c, vgpu_devptr at, size_t pitch, size_t width,
		      size_t height)
{
	uint64_t span;

	return span_of(pitch, width, height, &span) && pool_holds(&c->vgpu->gpu.pool, at, span);
}

/* Rows that follow each other without a gap are one. */
static int normalize(struct copy *p)
{
	uint64_t bytes;

	/* Of one row as well, and then CUDA gives no other reason. */
	if (p->device_pitch < p->width || p->host_pitch < p->width)
		return p->height > 1 ? GPU_ERROR_INVALID_PITCH : GPU_ERROR_INVALID_VALUE;
	if (p->height > 1 && p->device_pitch == p->width && p->host_pitch == p->width) {
		if (!checked_mul(p->width, p->height, &bytes))
			return GPU_ERROR_INVALID_VALUE;
		p->width = bytes;
		p->height = 1;
	}
	if (p->height == 1)
		p->device_pitch = p->host_pitch = 0;
	return 0;
}

/* A part of the copy: rows from @row on, bytes from @column on; in the window at @offset. */
struct piece {
	size_t row, column, rows, width;
};

static void copy_request(const struct copy *p, const struct piece *part, uint64_t offset,
			 uint64_t window_pitch, struct vgpu_request *req)
{
	bool to = p->kind == VGPU_COPY_TO_DEVICE;
	uint64_t device = p->device + part->row * p->device_pitch + part->column;
	uint64_t device_pitch = part->rows > 1 ? p->device_pitch : 0;
	struct vgpu_copy_args args = {
		.dst = to ? device : offset,
		.src = to ? offset : device,
		.dst_pitch = to ? device_pitch : window_pitch,
		.src_pitch = to ? window_pitch : device_pitch,
		.width = part->width,
		.height = part->rows,
		.kind = p->kind,
		.stream = p->stream,
	};

	*req = (struct vgpu_request){ .cmd = VGPU_CMD_COPY };
	call_args(req, args);
}

/* It is answered when it is done, and so is all that stood before it in its stream. */
static int copy_answered(struct call *c, const struct copy *p, struct vgpu_request *req,
			 struct vgpu_response *rsp)
{
	const uint64_t work = c->vgpu->gpu.work;
	int rc = call_round_trip(c, req, rsp, NULL);

	if (rc == 0)
		gpu_stream_done(&c->vgpu->gpu, p->stream, work);
	return rc;
}

/* A copy that is one request: the answer, or none. */
static int copy_one(struct call *c, const struct copy *p, struct vgpu_request *req)
{
	struct vgpu_response rsp;
	int rc = gpu_work(&c->vgpu->gpu, p->stream);

	if (rc)
		return rc;
	return p->async ? call_post(c, req) : copy_answered(c, p, req, &rsp);
}

static int copy_window(struct call *c, const struct copy *p, uint64_t offset)
{
	const struct piece all = { .rows = p->height, .width = p->width };
	struct vgpu_request req;

	copy_request(p, &all, offset, p->host_pitch, &req);
	c->vgpu->gpu.window_work = c->vgpu->gpu.work + 1;
	return copy_one(c, p, &req);
}

/* The bytes go with it: the caller can use its memory again, and nobody waits. */
static int write_few(struct call *c, const struct copy *p)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_WRITE };
	struct vgpu_write_args args = { .dst = p->device,
					.bytes = (uint32_t)p->width,
					.stream = p->stream };
	int rc = gpu_work(&c->vgpu->gpu, p->stream);

	if (rc)
		return rc;
	memcpy(args.data, p->host, p->width);
	call_args(&req, args);
	return call_post(c, &req);
}

static int read_few(struct call *c, const struct copy *p)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_READ };
	struct vgpu_read_args args = { .src = p->device,
				       .bytes = (uint32_t)p->width,
				       .stream = p->stream };
	struct vgpu_response rsp;
	int rc = gpu_work(&c->vgpu->gpu, p->stream);

	call_args(&req, args);
	if (rc == 0)
		rc = copy_answered(c, p, &req, &rsp);
	if (rc == 0)
		memcpy(p->host, rsp.data, p->width);
	return rc;
}

/* ---- chunks ---- */

static size_t chunk_bytes(const struct call *c, const struct copy *p)
{
	size_t most = c->vgpu->heap.bytes / (4 * CHUNKS) / WINDOW_ALIGN * WINDOW_ALIGN;
	size_t total = p->width * p->height, n = total / CHUNKS / WINDOW_ALIGN * WINDOW_ALIGN;

	if (total <= CHUNK_MIN && total <= most)
		return total;

	if (n < CHUNK_MIN)
		n = CHUNK_MIN;
	if (n > CHUNK_MAX)
		n = CHUNK_MAX;
	if (n > most)
		n = most;
	return n < WINDOW_ALIGN ? WINDOW_ALIGN : n;
}

/* The piece at the cursor, which moves on: whole rows if they fit, else a part of one. */
static struct piece next_piece(const struct copy *p, struct piece *cursor, size_t chunk)
{
	struct piece part = { .row = cursor->row, .column = cursor->column, .rows = 1 };

	part.width = p->width - part.column < chunk ? p->width - part.column : chunk;
	if (part.width == p->width) {
		part.rows = chunk / p->width;
		if (part.rows > p->height - part.row)
			part.rows = p->height - part.row;
	}
	cursor->column += part.width;
	if (cursor->column == p->width) {
		cursor->column = 0;
		cursor->row += part.rows;
	}
	return part;
}

/* Between memory and the window, without the lock. */
static void move_piece(struct call *c, const struct copy *p, const struct piece *part,
		       const struct window_block *block)
{
	uint8_t *host = p->host + part->row * p->host_pitch + part->column;
	uint8_t *window = call_window(c, block);
	bool to = p->kind == VGPU_COPY_TO_DEVICE;
	const struct copy_job job = {
		.to = to ? window : host,
		.from = to ? host : window,
		.to_pitch = to ? part->width : p->host_pitch,
		.from_pitch = to ? p->host_pitch : part->width,
		.width = part->width,
		.height = part->rows,
		.into_window = to,
	};
	struct copy_threads *threads = c->vgpu->gpu.copy_threads;

	call_pause(c);
	copy_threads_do(threads, &job);
	call_resume(c);
}

static void chunk_request(const struct copy *p, const struct piece *part,
			  const struct window_block *block, struct vgpu_request *req)
{
	copy_request(p, part, block->offset, part->rows > 1 ? part->width : 0, req);
}

/* May the copy's next request be sent? */
static int chunk_ready(struct call *c, const struct copy *p)
{
	int rc = call_ready(c);

	if (rc == 0 && gpu_captures(&c->vgpu->gpu, p->stream))
		rc = GPU_ERROR_CAPTURE_UNSUPPORTED;
	return rc ? rc : gpu_work(&c->vgpu->gpu, p->stream);
}

/*
 * Nobody waits for a chunk: its part of the window is free when it is done. Nor for the last: the
 * caller can use its memory again, and as in CUDA what comes later finds the copy done.
 */
static int chunks_to_device(struct call *c, const struct copy *p, size_t chunk)
{
	struct piece cursor = { 0 }, part;
	struct window_block *block;
	struct vgpu_request req;
	int rc = 0;

	while (rc == 0 && cursor.row < p->height) {
		part = next_piece(p, &cursor, chunk);
		rc = call_stage(c, part.width * part.rows, part.width * part.rows, &block);
		if (rc)
			return rc;
		move_piece(c, p, &part, block);
		rc = chunk_ready(c, p);
		if (rc) {
			call_unstage(c, block);
			return rc;
		}
		chunk_request(p, &part, block, &req);
		rc = call_detach(c, &req, block, NULL);
	}
	return rc;
}

struct chunk {
	struct piece part;
	struct window_block *block;
	struct answer answer;
	uint64_t work; /* up to and with it */
};

/* Its part of the window is there. */
static int chunk_send(struct call *c, const struct copy *p, struct chunk *k)
{
	struct vgpu_request req;
	int rc = chunk_ready(c, p);

	if (rc == 0) {
		k->work = c->vgpu->gpu.work;
		chunk_request(p, &k->part, k->block, &req);
		rc = call_send(c, &req, &k->answer);
	}
	if (rc)
		call_unstage(c, k->block);
	return rc;
}

static int chunk_receive(struct call *c, const struct copy *p, struct chunk *k)
{
	int rc = call_result(c, call_wait(c, &k->answer, k->block));

	if (!k->answer.come)
		return rc;
	if (rc == 0) {
		gpu_stream_done(&c->vgpu->gpu, p->stream, k->work);
		move_piece(c, p, &k->part, k->block);
	}
	call_unstage(c, k->block);
	return rc;
}

/*
 * A part of the window for the next chunk. A copy that has chunks under way does not wait for it:
 * others may hold the rest and wait for those.
 */
static int chunk_stage(struct call *c, size_t bytes, bool wait, struct window_block **out)
{
	if (wait)
		return call_stage(c, bytes, bytes, out);
	*out = window_stage(&c->vgpu->heap, bytes, bytes);
	return 0;
}

static int chunks_from_device(struct call *c, const struct copy *p, size_t chunk)
{
	struct chunk chunks[CHUNKS];
	struct piece cursor = { 0 };
	uint32_t sent = 0, received = 0;
	struct window_block *block;
	int rc = 0;

	while (rc == 0 && (cursor.row < p->height || received < sent)) {
		block = NULL;
		if (cursor.row < p->height && sent - received < CHUNKS)
			rc = chunk_stage(c, chunk, sent == received, &block);
		if (rc)
			break;
		if (block) {
			chunks[sent % CHUNKS].block = block;
			chunks[sent % CHUNKS].part = next_piece(p, &cursor, chunk);
			rc = chunk_send(c, p, &chunks[sent % CHUNKS]);
			sent += rc == 0;
		} else {
			rc = chunk_receive(c, p, &chunks[received % CHUNKS]);
			received++;
		}
	}
	for (; received < sent; received++) /* after a failure */
		call_abandon(c, &chunks[received % CHUNKS].answer, chunks[received % CHUNKS].block);
	return rc;
}

static int copy_chunks(struct call *c, const struct copy *p)
{
	struct gpu *g = &c->vgpu->gpu;
	size_t chunk = chunk_bytes(c, p);

	if (!g->copy_threads && p->width * p->height >= THREADS_FROM)
		g->copy_threads = copy_threads_start(c->vgpu->spin_ns);
	return p->kind == VGPU_COPY_TO_DEVICE ? chunks_to_device(c, p, chunk)
					      : chunks_from_device(c, p, chunk);
}

static int copy_with_host(struct call *c, const struct copy *p)
{
	uint64_t span, offset;

	if (!p->host || !on_device(c, p->device, p->device_pitch, p->width, p->height) ||
	    !span_of(p->host_pitch, p->width, p->height, &span))
		return GPU_ERROR_INVALID_VALUE;
	switch (host_place(c->vgpu, p->host, span, &offset)) {
	case HOST_ACROSS:
		return GPU_ERROR_INVALID_VALUE;
	case HOST_WINDOW:
		if (!p->async && gpu_captures(&c->vgpu->gpu, p->stream))
			return GPU_ERROR_CAPTURE_UNSUPPORTED;
		return copy_window(c, p, offset);
	case HOST_ORDINARY:
		break;
	}
	if (gpu_captures(&c->vgpu->gpu, p->stream))
		return GPU_ERROR_CAPTURE_UNSUPPORTED;
	if (p->kind == VGPU_COPY_TO_DEVICE && p->height == 1 && p->width <= VGPU_WRITE_MAX)
		return write_few(c, p);
	if (p->kind == VGPU_COPY_FROM_DEVICE && p->height == 1 && p->width <= VGPU_READ_MAX)
		return read_few(c, p);
	return copy_chunks(c, p);
}

static int copy_between_devices(struct call *c, const struct copy *p)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_COPY };
	struct vgpu_copy_args args = {
		.dst = p->device,
		.src = p->other_device,
		.dst_pitch = p->device_pitch,
		.src_pitch = p->host_pitch,
		.width = p->width,
		.height = p->height,
		.kind = p->kind,
		.stream = p->stream,
	};

	if (!on_device(c, p->device, p->device_pitch, p->width, p->height) ||
	    !on_device(c, p->other_device, p->host_pitch, p->width, p->height))
		return GPU_ERROR_INVALID_VALUE;
	call_args(&req, args);
	return copy_one(c, p, &req);
}

static int copy(struct vgpu *vgpu, struct copy p)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0 && p.stream && !handles_get(&vgpu->gpu.streams, p.stream))
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc || p.width == 0 || p.height == 0)
		return call_end(&c, rc);
	rc = normalize(&p);
	if (rc == 0)
		rc = p.kind == VGPU_COPY_ON_DEVICE ? copy_between_devices(&c, &p)
						   : copy_with_host(&c, &p);
	return call_end(&c, rc);
}

int vgpu_copy_2d_to_device_async(struct vgpu *vgpu, vgpu_devptr dst, size_t dst_pitch,
				 const void *src, size_t src_pitch, size_t width, size_t height,
				 vgpu_stream stream)
{
	return copy(vgpu, (struct copy){ .kind = VGPU_COPY_TO_DEVICE,
					 .device = dst,
					 .device_pitch = dst_pitch,
					 .host = (uint8_t *)(uintptr_t)src,
					 .host_pitch = src_pitch,
					 .width = width,
					 .height = height,
					 .stream = stream,
					 .async = true });
}

int vgpu_copy_2d_from_device_async(struct vgpu *vgpu, void *dst, size_t dst_pitch, vgpu_devptr src,
				   size_t src_pitch, size_t width, size_t height,
				   vgpu_stream stream)
{
	return copy(vgpu, (struct copy){ .kind = VGPU_COPY_FROM_DEVICE,
					 .device = src,
					 .device_pitch = src_pitch,
					 .host = dst,
					 .host_pitch = dst_pitch,
					 .width = width,
					 .height = height,
					 .stream = stream,
					 .async = true });
}

int vgpu_copy_2d_on_device_async(struct vgpu *vgpu, vgpu_devptr dst, size_t dst_pitch,
				 vgpu_devptr src, size_t src_pitch, size_t width, size_t height,
				 vgpu_stream stream)
{
	return copy(vgpu, (struct copy){ .kind = VGPU_COPY_ON_DEVICE,
					 .device = dst,
					 .device_pitch = dst_pitch,
					 .other_device = src,
					 .host_pitch = src_pitch,
					 .width = width,
					 .height = height,
					 .stream = stream,
					 .async = true });
}

int vgpu_copy_2d_to_device(struct vgpu *vgpu, vgpu_devptr dst, size_t dst_pitch, const void *src,
			   size_t src_pitch, size_t width, size_t height)
{
	return copy(vgpu, (struct copy){ .kind = VGPU_COPY_TO_DEVICE,
					 .device = dst,
					 .device_pitch = dst_pitch,
					 .host = (uint8_t *)(uintptr_t)src,
					 .host_pitch = src_pitch,
					 .width = width,
					 .height = height });
}

int vgpu_copy_2d_from_device(struct vgpu *vgpu, void *dst, size_t dst_pitch, vgpu_devptr src,
			     size_t src_pitch, size_t width, size_t height)
{
	return copy(vgpu, (struct copy){ .kind = VGPU_COPY_FROM_DEVICE,
					 .device = src,
					 .device_pitch = src_pitch,
					 .host = dst,
					 .host_pitch = dst_pitch,
					 .width = width,
					 .height = height });
}

int vgpu_copy_2d_on_device(struct vgpu *vgpu, vgpu_devptr dst, size_t dst_pitch, vgpu_devptr src,
			   size_t src_pitch, size_t width, size_t height)
{
	return copy(vgpu, (struct copy){ .kind = VGPU_COPY_ON_DEVICE,
					 .device = dst,
					 .device_pitch = dst_pitch,
					 .other_device = src,
					 .host_pitch = src_pitch,
					 .width = width,
					 .height = height });
}

int vgpu_copy_to_device(struct vgpu *vgpu, vgpu_devptr dst, const void *src, size_t bytes)
{
	return vgpu_copy_2d_to_device(vgpu, dst, bytes, src, bytes, bytes, 1);
}

int vgpu_copy_from_device(struct vgpu *vgpu, void *dst, vgpu_devptr src, size_t bytes)
{
	return vgpu_copy_2d_from_device(vgpu, dst, bytes, src, bytes, bytes, 1);
}

int vgpu_copy_on_device(struct vgpu *vgpu, vgpu_devptr dst, vgpu_devptr src, size_t bytes)
{
	return vgpu_copy_2d_on_device(vgpu, dst, bytes, src, bytes, bytes, 1);
}

int vgpu_copy_to_device_async(struct vgpu *vgpu, vgpu_devptr dst, const void *src, size_t bytes,
			      vgpu_stream stream)
{
	return vgpu_copy_2d_to_device_async(vgpu, dst, bytes, src, bytes, bytes, 1, stream);
}

int vgpu_copy_from_device_async(struct vgpu *vgpu, void *dst, vgpu_devptr src, size_t bytes,
				vgpu_stream stream)
{
	return vgpu_copy_2d_from_device_async(vgpu, dst, bytes, src, bytes, bytes, 1, stream);
}

int vgpu_copy_on_device_async(struct vgpu *vgpu, vgpu_devptr dst, vgpu_devptr src, size_t bytes,
			      vgpu_stream stream)
{
	return vgpu_copy_2d_on_device_async(vgpu, dst, bytes, src, bytes, bytes, 1, stream);
}

/* ---- memset ---- */

int vgpu_memset_2d_async(struct vgpu *vgpu, vgpu_devptr dst, size_t pitch, int value, size_t width,
			 size_t height, vgpu_stream stream)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MEMSET };
	struct vgpu_memset_args args = {
		.dst = dst,
		.pitch = height == 1 ? 0 : pitch,
		.width = width,
		.height = height,
		.value = (uint8_t)value,
		.element = 1,
		.stream = stream,
	};
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0 && stream && !handles_get(&vgpu->gpu.streams, stream))
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc || width == 0 || height == 0)
		return call_end(&c, rc);
	if (height > 1 && pitch < width)
		rc = GPU_ERROR_INVALID_VALUE; /* a pitch is named in copies only */
	else if (!on_device(&c, dst, args.pitch, width, height))
		rc = GPU_ERROR_INVALID_VALUE;
	else
		rc = gpu_work(&vgpu->gpu, stream);
	call_args(&req, args);
	if (rc == 0)
		rc = call_post(&c, &req);
	return call_end(&c, rc);
}

int vgpu_memset_async(struct vgpu *vgpu, vgpu_devptr dst, int value, size_t bytes,
		      vgpu_stream stream)
{
	return vgpu_memset_2d_async(vgpu, dst, bytes, value, bytes, 1, stream);
}

int vgpu_memset(struct vgpu *vgpu, vgpu_devptr dst, int value, size_t bytes)
{
	return vgpu_memset_async(vgpu, dst, value, bytes, 0);
}
