// SPDX-License-Identifier: GPL-2.0-or-later
/* Streams, events, waiting for them, and functions of the guest's that streams wait for. */
#include "worker_gpu.h"

#include <stdlib.h>
#include <string.h>

#include "../common/errors.h"

int gpu_stream_create(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_stream_create_args args;
	struct gpu_stream *s;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.reserved || args.flags & ~VGPU_STREAM_NON_BLOCKING)
		return VGPU_EINVAL;
	rc = handles_reserve(&g->streams, args.stream);
	if (rc)
		return rc;
	s = calloc(1, sizeof(*s));
	if (!s)
		return VGPU_ENOMEM;
	rc = g->ops->stream_create(g->backend, args.flags, args.priority, &s->object);
	if (rc) {
		free(s);
		return rc;
	}
	s->non_blocking = args.flags & VGPU_STREAM_NON_BLOCKING;
	handles_put(&g->streams, args.stream, s);
	return 0;
}

int gpu_stream_destroy(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_stream_args args;
	struct gpu_stream *s;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.event)
		return VGPU_EINVAL;
	s = handles_find(&g->streams, args.stream);
	if (!s)
		return GPU_INVALID_HANDLE;
	if (s->captures)
		gpu_capture_forget(g, s);
	handles_take(&g->streams, args.stream);
	gpu_mark_last(g, s);
	g->ops->stream_destroy(g->backend, s->object);
	free(s);
	return 0;
}

int gpu_stream_wait(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_stream_args args;
	struct gpu_stream *s;
	struct gpu_event *e;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	s = gpu_stream_find(g, args.stream);
	e = handles_find(&g->events, args.event);
	if (!s || !e)
		return GPU_INVALID_HANDLE;
	if (e->capture && !s->capture)
		gpu_mark_last(g, s); /* what it does from here on is of the capture */
	rc = g->ops->stream_wait(g->backend, s->object, e->object);
	if (rc == 0 && e->capture)
		s->capture = e->capture;
	return gpu_handed_over(g, s, rc);
}

int gpu_stream_query(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_stream_args args;
	struct gpu_stream *s;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.event)
		return VGPU_EINVAL;
	s = gpu_stream_find(g, args.stream);
	if (!s)
		return GPU_INVALID_HANDLE;
	return g->ops->stream_query(g->backend, s->object);
}

/* What a fence is asked for. 0, or why not. */
static int sync_object(struct gpu *g, const struct vgpu_sync_args *args, void **object)
{
	struct gpu_stream *s;
	struct gpu_event *e;

	*object = NULL;
	switch (args->kind) {
	case VGPU_SYNC_DEVICE:
		return args->handle ? VGPU_EINVAL : 0;
	case VGPU_SYNC_STREAM:
		s = gpu_stream_find(g, args->handle);
		if (!s)
			return GPU_INVALID_HANDLE;
		*object = s->object;
		return 0;
	case VGPU_SYNC_EVENT:
		e = handles_find(&g->events, args->handle);
		if (!e)
			return GPU_INVALID_HANDLE;
		*object = e->object;
		return 0;
	default:
		return VGPU_EINVAL;
	}
}

int gpu_synchronize(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_sync_args args;
	void *object;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	rc = sync_object(g, &args, &object);
	if (rc == 0)
		rc = gpu_pending_reserve(g);
	if (rc)
		return rc;
	rc = gpu_defer(g, &(struct pending){ .id = req->id, .kind = PENDING_WORK }, args.kind,
		       object);
	return rc == GPU_DEFERRED ? rc : gpu_capture_spoil(g, args.kind, object, rc);
}

int gpu_event_create(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_event_create_args args;
	struct gpu_event *e;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.flags & ~VGPU_EVENT_NO_TIMING)
		return VGPU_EINVAL;
	rc = handles_reserve(&g->events, args.event);
	if (rc)
		return rc;
	e = calloc(1, sizeof(*e));
	if (!e)
		return VGPU_ENOMEM;
	rc = g->ops->event_create(g->backend, args.flags, &e->object);
	if (rc)
		free(e);
	else
		handles_put(&g->events, args.event, e);
	return rc;
}

int gpu_event_destroy(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_event_args args;
	struct gpu_event *e;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.stream)
		return VGPU_EINVAL;
	e = handles_take(&g->events, args.event);
	if (!e)
		return GPU_INVALID_HANDLE;
	g->ops->event_destroy(g->backend, e->object);
	free(e);
	return 0;
}

int gpu_event_record(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_event_args args;
	struct gpu_stream *s;
	struct gpu_event *e;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	s = gpu_stream_find(g, args.stream);
	e = handles_find(&g->events, args.event);
	if (!s || !e)
		return GPU_INVALID_HANDLE;
	rc = g->ops->event_record(g->backend, e->object, s->object);
	if (rc == 0)
		e->capture = s->capture;
	return gpu_handed_over(g, s, rc);
}

int gpu_event_query(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_event_args args;
	struct gpu_event *e;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.stream)
		return VGPU_EINVAL;
	e = handles_find(&g->events, args.event);
	if (!e)
		return GPU_INVALID_HANDLE;
	return g->ops->event_query(g->backend, e->object);
}

int gpu_event_elapsed(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_elapsed_reply reply = { 0 };
	struct vgpu_elapsed_args args;
	struct gpu_event *start, *stop;
	int rc;

	memcpy(&args, req->args, sizeof(args));
	start = handles_find(&g->events, args.start);
	stop = handles_find(&g->events, args.stop);
	if (!start || !stop)
		return GPU_INVALID_HANDLE;
	rc = g->ops->event_elapsed(g->backend, start->object, stop->object, &reply.ms);
	if (rc == 0)
		memcpy(rsp->data, &reply, sizeof(reply));
	return rc;
}

void gpu_streams_dispose(struct gpu *g)
{
	struct gpu_stream *s;
	struct gpu_event *e;

	for (uint32_t i = 0; i < g->graphs.count; i++)
		if (g->graphs.places[i].object)
			g->ops->graph_destroy(g->backend, g->graphs.places[i].object);
	for (uint32_t i = 0; i < g->events.count; i++) {
		e = g->events.places[i].object;
		if (e)
			g->ops->event_destroy(g->backend, e->object);
		free(e);
	}
	for (uint32_t i = 0; i < g->streams.count; i++) {
		s = g->streams.places[i].object;
		if (s)
			g->ops->stream_destroy(g->backend, s->object);
		free(s);
	}
	if (g->copier)
		g->ops->stream_destroy(g->backend, g->copier);
	handles_dispose(&g->graphs);
	handles_dispose(&g->events);
	handles_dispose(&g->streams);
}
