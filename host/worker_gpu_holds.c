// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where streams stop: for functions that the guest runs, and for copies behind them that the
 * backend would wait in.
 *
 * Those are copies of a window that cannot be registered. Were the backend to wait for a stream
 * that waits for a function of the guest's, nobody would hear that the function is done. So the
 * stream stops there, too; when it has got there, the copy is made in a stream of ours, and
 * then the other is let go.
 */
#include "worker_gpu.h"

#include <stdlib.h>
#include <string.h>

#include "../common/errors.h"

/* In the place of a function's number, which never gets as far. */
#define OURS UINT32_MAX

/* Numbers rise, so that the next place is free but for functions that take long. */
static uint32_t free_slot(const struct gpu *g, uint32_t number)
{
	uint32_t slot = number % VGPU_HOST_FUNCS_MAX;

	while (g->host_funcs[slot].number)
		slot = (slot + 1) % VGPU_HOST_FUNCS_MAX;
	return slot;
}

static int reserve(struct gpu *g)
{
	if (g->host_funcs_active == VGPU_HOST_FUNCS_MAX)
		return VGPU_EQUOTA;
	if (!g->host_funcs)
		g->host_funcs = calloc(VGPU_HOST_FUNCS_MAX, sizeof(g->host_funcs[0]));
	return g->host_funcs ? gpu_pending_reserve(g) : VGPU_ENOMEM;
}

/* The stream gets here (the fence), and no further (the hold). */
static int hold(struct gpu *g, struct gpu_stream *s, struct pending *p, uint32_t number)
{
	int rc = g->ops->fence(g->backend, VGPU_SYNC_STREAM, s->object, &p->fence);

	if (rc)
		return rc;
	rc = g->ops->fence_mark(g->backend, p->fence);
	if (rc == 0)
		rc = g->ops->hold(g->backend, s->object, p->slot);
	if (rc) {
		g->ops->fence_drop(g->backend, p->fence);
		return rc;
	}
	g->host_funcs[p->slot] = (struct host_func){ .number = number };
	g->host_funcs_active++;
	gpu_submitted(g, s);
	return gpu_defer_fence(g, p);
}

static void let_go(struct gpu *g, uint32_t slot)
{
	g->ops->release(g->backend, slot);
	g->host_funcs[slot] = (struct host_func){ 0 };
	if (--g->host_funcs_active == 0)
		gpu_run_postponed(g);
}

int gpu_host_func(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct pending p = { .id = req->id, .kind = PENDING_HOST_FUNC };
	struct vgpu_host_func_args args;
	struct gpu_stream *s;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (!args.number || args.number != g->last_host_func + 1)
		return VGPU_EINVAL;
	g->last_host_func = args.number;
	s = gpu_stream_find(g, args.stream);
	if (!s)
		return GPU_INVALID_HANDLE;
	if (s->capture)
		return GPU_CAPTURE_UNSUPPORTED;
	rc = reserve(g);
	if (rc)
		return rc;
	p.slot = free_slot(g, args.number);
	return hold(g, s, &p, args.number);
}

int gpu_host_func_done(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_host_func_args args;
	uint32_t slot, looked = 0;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.stream || !args.number || !g->host_funcs_active)
		return VGPU_EINVAL;
	slot = args.number % VGPU_HOST_FUNCS_MAX;
	while (g->host_funcs[slot].number != args.number) {
		if (++looked == VGPU_HOST_FUNCS_MAX)
			return VGPU_EINVAL;
		slot = (slot + 1) % VGPU_HOST_FUNCS_MAX;
	}
	/* The guest cannot have run what it was not told to run. */
	if (!g->host_funcs[slot].reached)
		return VGPU_EINVAL;
	let_go(g, slot);
	return 0;
}

int gpu_copy_held(struct gpu *g, struct gpu_stream *s, const struct vgpu_request *req,
		  const struct backend_copy *c)
{
	struct pending p = { .id = req->id, .kind = PENDING_COPY_HELD, .copy = *c };
	int rc = reserve(g);

	if (rc == 0 && !g->copier)
		rc = g->ops->stream_create(g->backend, VGPU_STREAM_NON_BLOCKING, 0, &g->copier);
	if (rc)
		return rc;
	p.silent = req->flags & VGPU_REQ_NO_RESPONSE;
	p.slot = free_slot(g, g->last_host_func);
	return hold(g, s, &p, OURS);
}

int gpu_copy_start(struct gpu *g, struct pending *p)
{
	int rc = g->ops->copy(g->backend, g->copier, &p->copy);

	if (rc == 0)
		rc = g->ops->fence(g->backend, VGPU_SYNC_STREAM, g->copier, &p->fence);
	if (rc)
		return rc;
	p->kind = PENDING_COPY;
	rc = g->ops->fence_mark(g->backend, p->fence);
	if (rc)
		g->ops->fence_drop(g->backend, p->fence);
	return rc;
}

void gpu_copy_end(struct gpu *g, const struct pending *p, int status)
{
	if (p->silent && status)
		gpu_failed(g, status);
	let_go(g, p->slot);
}
