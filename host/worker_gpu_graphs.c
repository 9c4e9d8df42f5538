// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Captures and graphs. A capture begins in one stream, and streams that wait for an event of it
 * join it. Here it is only followed which streams those are: they can have no fences meanwhile.
 * What a capture allows, and what spoils it, the backend says.
 */
#include "worker_gpu.h"

#include <string.h>

#include "../common/errors.h"

int gpu_capture_begin(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_capture_begin_args args;
	struct gpu_stream *s;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.mode > VGPU_CAPTURE_RELAXED)
		return GPU_INVALID_VALUE;
	s = gpu_stream_find(g, args.stream);
	if (!s)
		return GPU_INVALID_HANDLE;
	gpu_mark_last(g, s);
	gpu_mark_last(g, &g->default_stream);
	rc = g->ops->capture_begin(g->backend, s->object, args.mode);
	if (rc)
		return rc;
	if (++g->last_capture == 0)
		g->last_capture = 1;
	s->capture = g->last_capture;
	s->captures = true;
	g->captures += !s->non_blocking;
	return 0;
}

void gpu_capture_forget(struct gpu *g, struct gpu_stream *origin)
{
	const uint32_t capture = origin->capture;

	for (uint32_t i = 0; i < g->streams.count; i++) {
		struct gpu_stream *s = g->streams.places[i].object;

		if (s && s->capture == capture)
			s->capture = 0;
	}
	for (uint32_t i = 0; i < g->events.count; i++) {
		struct gpu_event *e = g->events.places[i].object;

		if (e && e->capture == capture)
			e->capture = 0;
	}
	origin->captures = false;
	g->captures -= !origin->non_blocking;
}

int gpu_capture_spoil(struct gpu *g, uint32_t kind, struct backend_stream *stream, int rc)
{
	if (rc < GPU_CAPTURE_UNSUPPORTED || rc > GPU_CAPTURE_LAST || kind == VGPU_SYNC_EVENT)
		return rc;
	if (kind == VGPU_SYNC_STREAM)
		g->ops->stream_query(g->backend, stream);
	for (uint32_t i = 0; kind == VGPU_SYNC_DEVICE && i < g->streams.count; i++) {
		struct gpu_stream *s = g->streams.places[i].object;

		if (s && s->captures)
			g->ops->stream_query(g->backend, s->object);
	}
	return rc;
}

int gpu_capture_end(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct backend_graph *graph;
	struct vgpu_graph_args args;
	struct gpu_stream *s;
	int rc, reserved;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	s = gpu_stream_find(g, args.stream);
	if (!s)
		return GPU_INVALID_HANDLE;
	/* Without a place for it the capture ends all the same. */
	reserved = handles_reserve(&g->graphs, args.graph);
	rc = g->ops->capture_end(g->backend, s->object, &graph);
	if (s->captures)
		gpu_capture_forget(g, s);
	if (rc)
		return rc;
	if (reserved)
		g->ops->graph_destroy(g->backend, graph);
	else
		handles_put(&g->graphs, args.graph, graph);
	return reserved;
}

int gpu_graph_launch(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct backend_graph *graph;
	struct vgpu_graph_args args;
	struct gpu_stream *s;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	graph = handles_find(&g->graphs, args.graph);
	s = gpu_stream_find(g, args.stream);
	if (!graph)
		return gpu_no_graph(args.graph);
	if (!s)
		return GPU_INVALID_HANDLE;
	return gpu_handed_over(g, s, g->ops->graph_launch(g->backend, graph, s->object));
}

int gpu_graph_destroy(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct backend_graph *graph;
	struct vgpu_graph_args args;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.stream)
		return VGPU_EINVAL;
	graph = handles_take(&g->graphs, args.graph);
	if (!graph)
		return gpu_no_graph(args.graph);
	g->ops->graph_destroy(g->backend, graph);
	return 0;
}
