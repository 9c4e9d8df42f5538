/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams and events, and waiting for them. */
#include <string.h>

#include "call.h"

bool gpu_captures(const struct gpu *g, uint32_t stream)
{
	const struct gpu_stream *s;

	if (!g->capturing)
		return false;
	s = handles_get(&g->streams, stream);
	return s && s->capture;
}

static void stream_is_idle(struct gpu *g, struct gpu_stream *s, uint64_t work)
{
	if (!s->busy || s->work > work)
		return;
	s->busy = false;
	g->busy--;
}

/* All that was in all streams, up to @work, is done. */
static void all_is_done(struct gpu *g, uint64_t work)
{
	struct gpu_stream *s;

	if (g->synchronized < work)
		g->synchronized = work;
	if (g->default_done < work)
		g->default_done = work;
	for (uint32_t i = 0; g->busy && i < g->streams.used; i++) {
		s = handles_at(&g->streams, i);
		if (s)
			stream_is_idle(g, s, work);
	}
}

void gpu_stream_done(struct gpu *g, uint32_t handle, uint64_t work)
{
	struct gpu_stream *s = handle ? handles_get(&g->streams, handle) : NULL;

	if (s)
		stream_is_idle(g, s, work);
	else if (!handle && g->default_done < work)
		g->default_done = work;
}

/* Nothing is in there, and nothing that could tell of a failure is on its way. @kind: VGPU_SYNC_* */
static bool is_known_idle(const struct vgpu *vgpu, uint32_t kind, uint32_t handle)
{
	const struct gpu *g = &vgpu->gpu;
	const struct gpu_stream *s;

	if (vgpu->unmarked || vgpu->pending || g->capturing) /* a capture may forbid the question */
		return false;
	switch (kind) {
	case VGPU_SYNC_DEVICE:
		return g->default_work <= g->default_done && !g->busy &&
		       g->orphan_work <= g->synchronized;
	case VGPU_SYNC_STREAM:
		if (!handle)
			return g->default_work <= g->default_done;
		s = handles_get(&g->streams, handle);
		return s && !s->busy;
	default:
		return false;
	}
}

/* @kind: VGPU_SYNC_*. Where a capture forbids it the host says so, and what becomes of that. */
static int synchronize(struct call *c, uint32_t kind, uint32_t handle)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_SYNCHRONIZE };
	struct vgpu_sync_args args = { .kind = kind, .handle = handle };
	struct gpu *g = &c->vgpu->gpu;
	uint64_t work = g->work;
	struct vgpu_response rsp;
	int rc = 0;

	call_args(&req, args);
	if (!is_known_idle(c->vgpu, kind, handle))
		rc = call_round_trip(c, &req, &rsp, NULL);
	if (rc)
		return rc;
	if (kind == VGPU_SYNC_DEVICE)
		all_is_done(g, work);
	else if (kind == VGPU_SYNC_STREAM)
		gpu_stream_done(g, handle, work);
	return 0;
}

int gpu_synchronize(struct call *c)
{
	if (c->vgpu->gpu.capturing)
		return GPU_ERROR_CAPTURE_UNSUPPORTED;
	return synchronize(c, VGPU_SYNC_DEVICE, 0);
}

int vgpu_synchronize(struct vgpu *vgpu)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = synchronize(&c, VGPU_SYNC_DEVICE, 0);
	return call_end(&c, rc);
}

int vgpu_stream_create(struct vgpu *vgpu, vgpu_stream *out, unsigned int flags, int priority)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_STREAM_CREATE };
	struct vgpu_stream_create_args args = { .flags = flags, .priority = priority };
	struct gpu_stream *s;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0 && (!out || flags & ~VGPU_STREAM_NONBLOCKING))
		rc = GPU_ERROR_INVALID_VALUE;
	if (rc == 0)
		rc = handles_new(&vgpu->gpu.streams, &args.stream);
	if (rc)
		return call_end(&c, rc);
	s = handles_get(&vgpu->gpu.streams, args.stream);
	s->non_blocking = flags & VGPU_STREAM_NONBLOCKING;
	vgpu->gpu.non_blocking += s->non_blocking;
	call_args(&req, args);
	*out = args.stream;
	return call_end(&c, call_post(&c, &req));
}

int vgpu_stream_destroy(struct vgpu *vgpu, vgpu_stream stream)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_STREAM_DESTROY };
	struct vgpu_stream_args args = { .stream = stream };
	struct gpu_stream *s;
	struct gpu *g;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	g = &vgpu->gpu;
	rc = call_ready(&c);
	s = handles_get(&g->streams, stream);
	if (rc == 0 && !s)
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc)
		return call_end(&c, rc);
	if (s->capture == stream)
		gpu_capture_ended(g, stream);
	if (s->busy) {
		g->orphan_work = g->orphan_work > s->work ? g->orphan_work : s->work;
		g->busy--;
	}
	g->non_blocking -= s->non_blocking;
	handles_free(&g->streams, stream);
	call_args(&req, args);
	return call_end(&c, call_post(&c, &req));
}

int vgpu_stream_synchronize(struct vgpu *vgpu, vgpu_stream stream)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0 && stream && !handles_get(&vgpu->gpu.streams, stream))
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc == 0)
		rc = synchronize(&c, VGPU_SYNC_STREAM, stream);
	return call_end(&c, rc);
}

/* Whether something is done is no error, and vgpu_get_last_error() does not know of it. */
static int end_query(struct call *c, int rc)
{
	return rc == GPU_ERROR_NOT_READY ? call_end_quietly(c, rc) : call_end(c, rc);
}

int vgpu_stream_query(struct vgpu *vgpu, vgpu_stream stream)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_STREAM_QUERY };
	struct vgpu_stream_args args = { .stream = stream };
	struct vgpu_response rsp;
	struct call c;
	uint64_t work;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	work = vgpu->gpu.work;
	rc = call_ready(&c);
	if (rc == 0 && stream && !handles_get(&vgpu->gpu.streams, stream))
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc || is_known_idle(vgpu, VGPU_SYNC_STREAM, stream))
		return call_end(&c, rc);
	call_args(&req, args);
	rc = call_round_trip(&c, &req, &rsp, NULL);
	if (rc == 0)
		gpu_stream_done(&vgpu->gpu, stream, work);
	return end_query(&c, rc);
}

int vgpu_stream_wait_event(struct vgpu *vgpu, vgpu_stream stream, vgpu_event event)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_STREAM_WAIT };
	struct vgpu_stream_args args = { .stream = stream, .event = event };
	struct gpu_stream *s;
	struct gpu_event *e;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	e = handles_get(&vgpu->gpu.events, event);
	if (rc == 0 && !e)
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc == 0)
		rc = gpu_work(&vgpu->gpu, stream);
	if (rc)
		return call_end(&c, rc);
	s = handles_get(&vgpu->gpu.streams, stream);
	if (s && e->capture) /* so it joins the capture */
		s->capture = e->capture;
	call_args(&req, args);
	return call_end(&c, call_post(&c, &req));
}

int vgpu_event_create(struct vgpu *vgpu, vgpu_event *out, unsigned int flags)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_EVENT_CREATE };
	struct vgpu_event_create_args args = { .flags = flags };
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0 && (!out || flags & ~VGPU_EVENT_DISABLE_TIMING))
		rc = GPU_ERROR_INVALID_VALUE;
	if (rc == 0)
		rc = handles_new(&vgpu->gpu.events, &args.event);
	if (rc)
		return call_end(&c, rc);
	call_args(&req, args);
	*out = args.event;
	return call_end(&c, call_post(&c, &req));
}

int vgpu_event_destroy(struct vgpu *vgpu, vgpu_event event)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_EVENT_DESTROY };
	struct vgpu_event_args args = { .event = event };
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0 && !handles_get(&vgpu->gpu.events, event))
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc)
		return call_end(&c, rc);
	handles_free(&vgpu->gpu.events, event);
	call_args(&req, args);
	return call_end(&c, call_post(&c, &req));
}

int vgpu_event_record(struct vgpu *vgpu, vgpu_event event, vgpu_stream stream)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_EVENT_RECORD };
	struct vgpu_event_args args = { .event = event, .stream = stream };
	const struct gpu_stream *s;
	struct gpu_event *e;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	e = handles_get(&vgpu->gpu.events, event);
	if (rc == 0 && !e)
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc == 0)
		rc = gpu_work(&vgpu->gpu, stream);
	if (rc)
		return call_end(&c, rc);
	s = handles_get(&vgpu->gpu.streams, stream);
	e->capture = s ? s->capture : 0;
	call_args(&req, args);
	return call_end(&c, call_post(&c, &req));
}

static int event_is_there(const struct gpu *g, uint32_t event)
{
	return handles_get(&g->events, event) ? 0 : GPU_ERROR_INVALID_HANDLE;
}

int vgpu_event_synchronize(struct vgpu *vgpu, vgpu_event event)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = event_is_there(&vgpu->gpu, event);
	if (rc == 0)
		rc = synchronize(&c, VGPU_SYNC_EVENT, event);
	return call_end(&c, rc);
}

int vgpu_event_query(struct vgpu *vgpu, vgpu_event event)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_EVENT_QUERY };
	struct vgpu_event_args args = { .event = event };
	struct vgpu_response rsp;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = event_is_there(&vgpu->gpu, event);
	call_args(&req, args);
	if (rc == 0)
		rc = call_round_trip(&c, &req, &rsp, NULL);
	return end_query(&c, rc);
}

int vgpu_event_elapsed(struct vgpu *vgpu, float *ms, vgpu_event start, vgpu_event stop)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_EVENT_ELAPSED };
	struct vgpu_elapsed_args args = { .start = start, .stop = stop };
	struct vgpu_elapsed_reply reply;
	struct vgpu_response rsp;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = ms ? call_ready(&c) : GPU_ERROR_INVALID_VALUE;
	if (rc == 0)
		rc = event_is_there(&vgpu->gpu, start);
	if (rc == 0)
		rc = event_is_there(&vgpu->gpu, stop);
	call_args(&req, args);
	if (rc == 0)
		rc = call_round_trip(&c, &req, &rsp, NULL);
	if (rc == 0) {
		memcpy(&reply, rsp.data, sizeof(reply));
		*ms = reply.ms;
	}
	return end_query(&c, rc);
}

static int last_error(struct vgpu *vgpu, bool keep)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };
	struct vgpu_response rsp;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = call_round_trip(&c, &req, &rsp, NULL);
	if (rc == 0)
		rc = vgpu->last_error;
	vgpu->last_error = keep ? rc : 0;
	return call_end_quietly(&c, rc);
}

int vgpu_get_last_error(struct vgpu *vgpu)
{
	return last_error(vgpu, false);
}

int vgpu_peek_last_error(struct vgpu *vgpu)
{
	return last_error(vgpu, true);
}
