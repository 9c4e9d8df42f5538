// SPDX-License-Identifier: GPL-2.0-or-later
/* Device memory, and copies. Each range must be inside one allocation of this channel's. */
#include "worker_gpu.h"

#include <stdlib.h>
#include <string.h>

#include "../common/checked.h"
#include "../common/errors.h"

#define POSTPONED_MAX ALLOCATIONS_MAX

int gpu_alloc(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_alloc_args args;
	struct vgpu_alloc_reply reply;
	int rc;

	memcpy(&args, req->args, sizeof(args));
	if (!args.bytes)
		return VGPU_EINVAL;
	rc = allocations_reserve(&g->memory);
	if (rc == 0)
		rc = g->ops->alloc(g->backend, args.bytes, &reply.address);
	if (rc)
		return rc;
	if (!allocations_add(&g->memory, reply.address, args.bytes)) {
		g->ops->free(g->backend, reply.address);
		return VGPU_EBACKEND;
	}
	memcpy(rsp->data, &reply, sizeof(reply));
	return 0;
}

static int do_postponed(struct gpu *g, const struct postponed *what)
{
	if (!what->module)
		return g->ops->free(g->backend, what->address);
	g->ops->module_unload(g->backend, what->module);
	return 0;
}

/* These wait for the device; it may wait for a function that the guest runs; that, for us. */
int gpu_postpone(struct gpu *g, const struct postponed *what)
{
	if (!g->host_funcs_active)
		return do_postponed(g, what);
	g->postponed[g->postponed_count++] = *what;
	return 0;
}

int gpu_postpone_reserve(struct gpu *g)
{
	if (!g->host_funcs_active)
		return 0;
	if (!g->postponed)
		g->postponed = malloc(POSTPONED_MAX * sizeof(g->postponed[0]));
	if (!g->postponed)
		return VGPU_ENOMEM;
	return g->postponed_count < POSTPONED_MAX ? 0 : VGPU_EQUOTA;
}

void gpu_run_postponed(struct gpu *g)
{
	while (g->postponed_count)
		do_postponed(g, &g->postponed[--g->postponed_count]);
}

int gpu_free(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_free_args args;
	int rc = gpu_postpone_reserve(g);

	(void)rsp;
	if (rc)
		return rc;
	memcpy(&args, req->args, sizeof(args));
	if (!allocations_remove(&g->memory, args.address))
		return GPU_INVALID_VALUE;
	return gpu_postpone(g, &(struct postponed){ .address = args.address });
}

/* The bytes from the first row's start to the last one's end. 0, or why that is no rectangle. */
static int extent(uint64_t pitch, uint64_t width, uint64_t height, uint64_t *bytes)
{
	uint64_t rows;

	if (height == 1) {
		*bytes = width;
		return pitch ? VGPU_EINVAL : 0;
	}
	if (pitch < width)
		return GPU_INVALID_PITCH;
	if (!checked_mul(pitch, height - 1, &rows) || !checked_add(rows, width, bytes))
		return GPU_INVALID_VALUE;
	return 0;
}

static int check_device(struct gpu *g, uint64_t *address, uint64_t pitch, uint64_t width,
			uint64_t height)
{
	uint64_t bytes;
	int rc = extent(pitch, width, height, &bytes);

	if (rc)
		return rc;
	return allocations_have(&g->memory, *address, bytes) ? 0 : GPU_INVALID_VALUE;
}

/* *@address becomes the worker's. */
static int check_window(struct gpu *g, uint64_t *address, uint64_t pitch, uint64_t width,
			uint64_t height)
{
	uint64_t bytes;
	int rc = extent(pitch, width, height, &bytes);

	if (rc)
		return rc == GPU_INVALID_VALUE ? VGPU_ERANGE : rc;
	if (!checked_range(*address, bytes, g->window_bytes))
		return VGPU_ERANGE;
	*address += (uintptr_t)g->window;
	return 0;
}

int gpu_memset(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct backend_memset m;
	struct vgpu_memset_args args;
	struct gpu_stream *s;
	uint64_t bytes;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.reserved || !args.width || !args.height)
		return VGPU_EINVAL;
	if (args.element != 1 && args.element != 2 && args.element != 4)
		return VGPU_EINVAL;
	if (!checked_aligned(args.dst | args.pitch, args.element))
		return GPU_INVALID_VALUE;
	s = gpu_stream_find(g, args.stream);
	if (!s)
		return GPU_INVALID_HANDLE;
	if (!checked_mul(args.width, args.element, &bytes))
		return GPU_INVALID_VALUE;
	rc = check_device(g, &args.dst, args.pitch, bytes, args.height);
	if (rc) /* a pitch is named in copies only, as in CUDA */
		return rc == GPU_INVALID_PITCH ? GPU_INVALID_VALUE : rc;
	m = (struct backend_memset){ args.dst,    args.pitch, args.width,
				     args.height, args.value, args.element };
	return gpu_handed_over(g, s, g->ops->memset(g->backend, s->object, &m));
}

static int check_copy(struct gpu *g, struct backend_copy *c)
{
	bool from_window = c->kind == VGPU_COPY_TO_DEVICE;
	bool to_window = c->kind == VGPU_COPY_FROM_DEVICE;
	int rc;

	if (!from_window && !to_window && c->kind != VGPU_COPY_ON_DEVICE)
		return VGPU_EINVAL;
	if (!c->width || !c->height)
		return VGPU_EINVAL;
	rc = (from_window ? check_window : check_device)(g, &c->src, c->src_pitch, c->width,
							 c->height);
	if (rc)
		return rc;
	return (to_window ? check_window : check_device)(g, &c->dst, c->dst_pitch, c->width,
							 c->height);
}

int gpu_copy(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	bool answered = !(req->flags & VGPU_REQ_NO_RESPONSE);
	struct vgpu_copy_args args;
	struct backend_copy c;
	struct gpu_stream *s;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	c = (struct backend_copy){ args.kind,      args.dst,   args.src,   args.dst_pitch,
				   args.src_pitch, args.width, args.height };
	rc = check_copy(g, &c);
	if (rc)
		return rc;
	s = gpu_stream_find(g, args.stream);
	if (!s)
		return GPU_INVALID_HANDLE;
	if (answered && s->capture)
		return gpu_capture_spoil(g, VGPU_SYNC_STREAM, s->object, GPU_CAPTURE_UNSUPPORTED);
	if (g->copies_wait && g->host_funcs_active && !s->capture && c.kind != VGPU_COPY_ON_DEVICE)
		return gpu_copy_held(g, s, req, &c);
	rc = answered ? gpu_pending_reserve(g) : 0;
	if (rc == 0)
		rc = gpu_handed_over(g, s, g->ops->copy(g->backend, s->object, &c));
	if (rc || !answered)
		return rc;
	return gpu_defer(g, &(struct pending){ .id = req->id, .kind = PENDING_WORK },
			 VGPU_SYNC_STREAM, s->object);
}

static bool zero_behind(const uint8_t *data, uint32_t from, uint32_t to)
{
	uint8_t any = 0;

	while (from < to)
		any |= data[from++];
	return !any;
}

int gpu_write(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_write_args args;
	struct gpu_stream *s;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (!args.bytes || args.bytes > VGPU_WRITE_MAX ||
	    !zero_behind(args.data, args.bytes, VGPU_WRITE_MAX))
		return VGPU_EINVAL;
	s = gpu_stream_find(g, args.stream);
	if (!s)
		return GPU_INVALID_HANDLE;
	if (!allocations_have(&g->memory, args.dst, args.bytes))
		return GPU_INVALID_VALUE;
	return gpu_handed_over(
		g, s, g->ops->write(g->backend, s->object, args.dst, args.data, args.bytes));
}

int gpu_read(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct pending p = { .id = req->id, .kind = PENDING_WORK };
	struct vgpu_read_args args;
	struct gpu_stream *s;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (!args.bytes || args.bytes > VGPU_READ_MAX)
		return VGPU_EINVAL;
	s = gpu_stream_find(g, args.stream);
	if (!s)
		return GPU_INVALID_HANDLE;
	if (!allocations_have(&g->memory, args.src, args.bytes))
		return GPU_INVALID_VALUE;
	if (s->capture)
		return gpu_capture_spoil(g, VGPU_SYNC_STREAM, s->object, GPU_CAPTURE_UNSUPPORTED);
	rc = gpu_pending_reserve(g);
	if (rc)
		return rc;
	rc = g->ops->read(g->backend, s->object, args.src, args.bytes, &p.fence);
	if (rc)
		return gpu_capture_spoil(g, VGPU_SYNC_STREAM, s->object, rc);
	return gpu_defer_fence(g, &p);
}
