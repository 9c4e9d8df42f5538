// SPDX-License-Identifier: GPL-2.0-or-later
#include "worker_gpu.h"

#include <stdlib.h>
#include <string.h>

#include "../common/errors.h"
#include "../common/shm.h"

/* An object costs the host some memory: more of a kind than programs have use for is refused. */
#define STREAMS_MAX 4096u
#define MODULES_MAX 4096u
#define GRAPHS_MAX 4096u

void gpu_init(struct gpu *g)
{
	g->streams.limit = STREAMS_MAX;
	g->events.limit = VGPU_PLACES;
	g->modules.limit = MODULES_MAX;
	g->kernels.limit = VGPU_PLACES;
	g->graphs.limit = GRAPHS_MAX;
	LIST_INIT(&g->unmarked);
}

static void drop_fences(struct gpu *g)
{
	struct markers *m = &g->markers;

	for (uint32_t i = 0; i < g->pending.count; i++)
		if (g->pending.at[i].fence)
			g->ops->fence_drop(g->backend, g->pending.at[i].fence);
	for (; m->head != m->tail; m->head++)
		g->ops->fence_drop(g->backend, m->fences[m->head % MARKERS_MAX]);
}

void gpu_dispose(struct gpu *g)
{
	drop_fences(g);
	for (uint32_t i = 0; g->host_funcs && i < VGPU_HOST_FUNCS_MAX; i++)
		if (g->host_funcs[i].number)
			g->ops->release(g->backend, i);
	gpu_run_postponed(g);
	gpu_streams_dispose(g);
	gpu_modules_dispose(g);
	for (uint32_t i = 0; i < g->memory.count; i++)
		g->ops->free(g->backend, g->memory.at[i].start);
	allocations_dispose(&g->memory);
	free(g->pending.at);
	free(g->host_funcs);
	free(g->postponed);
	free(g->params);
}

int gpu_device_info(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_device_info info = { 0 };
	uint32_t n = sizeof(info);
	struct vgpu_device_args args;
	int rc;

	memcpy(&args, req->args, sizeof(args));
	if (args.reserved || !req->data_len)
		return VGPU_EINVAL;
	rc = g->ops->device_info(g->backend, args.device, &info);
	if (rc)
		return rc;
	if (n > req->data_len)
		n = req->data_len;
	shm_write_bytes(g->window + req->data_ptr, &info, n);
	rsp->data_len = n;
	return 0;
}

int gpu_device_set(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_device_args args;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.reserved)
		return VGPU_EINVAL;
	gpu_mark_last(g, &g->default_stream);
	return g->ops->device_set(g->backend, args.device);
}

int gpu_memory_info(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_memory_reply reply;
	int rc;

	(void)req;
	rc = g->ops->memory(g->backend, &reply.total, &reply.free);
	if (rc == 0)
		memcpy(rsp->data, &reply, sizeof(reply));
	return rc;
}
