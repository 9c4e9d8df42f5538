// SPDX-License-Identifier: GPL-2.0-or-later
#include "backend_cpu.h"

#include <stdlib.h>
#include <string.h>

#include "../common/errors.h"

int cpu_stream_create(struct backend *b, uint32_t flags, int32_t priority,
		      struct backend_stream **out)
{
	struct backend_stream *s;

	(void)priority; /* one after the other in any case */
	if (b->fault)
		return b->fault;
	s = calloc(1, sizeof(*s));
	if (!s)
		return VGPU_ENOMEM;
	s->non_blocking = flags & VGPU_STREAM_NON_BLOCKING;
	LIST_INSERT_HEAD(&b->streams, s, link);
	*out = s;
	return 0;
}

void cpu_stream_destroy(struct backend *b, struct backend_stream *s)
{
	struct backend_graph *unfinished;

	if (s->capture && s->capture->origin == s && cpu_capture_end(b, s, &unfinished) == 0)
		cpu_graph_destroy(b, unfinished);
	LIST_REMOVE(s, link);
	s->destroyed = true;
	if (!s->ops)
		free(s);
}

/* A stream that waits for an event of a capture becomes part of it. */
static int join(struct backend *b, struct backend_stream *s, struct backend_event *e)
{
	struct backend_graph *g = cpu_capture_find(b, e->capture);

	if (!g)
		return CPU_CAPTURED_EVENT;
	if (g->spoiled)
		return CPU_CAPTURE_INVALIDATED;
	if (s == &b->default_stream)
		return cpu_capture_refuse(b, s, CPU_CAPTURE_IMPLICIT);
	if (s->capture && s->capture != g)
		return cpu_capture_refuse(b, s, CPU_CAPTURE_MERGE);
	s->capture = g;
	return 0;
}

int cpu_stream_wait(struct backend *b, struct backend_stream *stream, struct backend_event *e)
{
	struct backend_stream *s = cpu_stream(b, stream);
	const struct cpu_op op = { .kind = CPU_WAIT, .stream = s, .point = e->point };

	if (b->fault)
		return b->fault;
	if (e->capture)
		return join(b, s, e);
	if (s->capture)
		return cpu_capture_refuse(b, s, CPU_CAPTURE_ISOLATION);
	return e->point && !e->point->done ? cpu_submit(b, &op) : 0;
}

/* A point behind all that is there now, in a stream or (NULL) on the device. */
static int point_behind(struct backend *b, struct backend_stream *s, struct backend_fence **out)
{
	struct cpu_op op = { .kind = CPU_RECORD, .stream = s, .passive = true };
	int rc = s ? cpu_may_wait(b, s) : 0;

	if (rc)
		return rc;
	if (!s && !LIST_EMPTY(&b->captures))
		return CPU_CAPTURE_UNSUPPORTED;
	return cpu_submit_point(b, &op, out);
}

int cpu_stream_query(struct backend *b, struct backend_stream *stream)
{
	struct backend_stream *s = cpu_stream(b, stream);
	struct backend_fence *point;
	int rc = cpu_may_wait(b, s);

	if (rc)
		return cpu_capture_refuse(b, s, rc);
	rc = point_behind(b, s, &point);
	if (rc)
		return rc;
	cpu_progress(b);
	rc = point->done ? b->fault : CPU_NOT_READY;
	cpu_point_put(point);
	return rc;
}

int cpu_event_create(struct backend *b, uint32_t flags, struct backend_event **out)
{
	struct backend_event *e;

	if (b->fault)
		return b->fault;
	e = calloc(1, sizeof(*e));
	if (!e)
		return VGPU_ENOMEM;
	e->timing = !(flags & VGPU_EVENT_NO_TIMING);
	*out = e;
	return 0;
}

void cpu_event_destroy(struct backend *b, struct backend_event *e)
{
	(void)b;
	cpu_point_put(e->point);
	free(e);
}

int cpu_event_record(struct backend *b, struct backend_event *e, struct backend_stream *stream)
{
	struct backend_stream *s = cpu_stream(b, stream);
	struct cpu_op op = { .kind = CPU_RECORD, .stream = s };
	struct backend_fence *point;
	int rc;

	if (s->capture) {
		if (s->capture->spoiled)
			return CPU_CAPTURE_INVALIDATED;
		e->capture = s->capture->number;
		return 0;
	}
	rc = cpu_submit_point(b, &op, &point);
	if (rc)
		return rc;
	cpu_point_put(e->point);
	e->point = point;
	e->capture = 0;
	return 0;
}

int cpu_event_query(struct backend *b, struct backend_event *e)
{
	if (e->capture)
		return cpu_capture_refuse_event(b, e);
	cpu_progress(b);
	if (b->fault)
		return b->fault;
	return !e->point || e->point->done ? 0 : CPU_NOT_READY;
}

int cpu_event_elapsed(struct backend *b, struct backend_event *start, struct backend_event *stop,
		      float *ms)
{
	cpu_progress(b);
	if (b->fault)
		return b->fault;
	if (start->capture || stop->capture)
		return cpu_capture_refuse_event(b, start->capture ? start : stop);
	if (!start->timing || !stop->timing || !start->point || !stop->point)
		return CPU_INVALID_HANDLE;
	if (!start->point->done || !stop->point->done)
		return CPU_NOT_READY;
	*ms = (float)((double)(int64_t)(stop->point->ns - start->point->ns) / 1e6);
	return 0;
}

static int event_fence(struct backend *b, struct backend_event *e, struct backend_fence **out)
{
	if (e->capture)
		return cpu_capture_refuse_event(b, e);
	if (e->point) {
		e->point->refs++;
		*out = e->point;
		return 0;
	}
	*out = cpu_point_new();
	if (!*out)
		return VGPU_ENOMEM;
	(*out)->done = true; /* never recorded: there is nothing to wait for */
	return 0;
}

int cpu_fence(struct backend *b, uint32_t kind, void *object, struct backend_fence **out)
{
	if (b->fault)
		return b->fault;
	switch (kind) {
	case VGPU_SYNC_EVENT:
		return event_fence(b, object, out);
	case VGPU_SYNC_STREAM:
		return point_behind(b, cpu_stream(b, object), out);
	default:
		return point_behind(b, NULL, out);
	}
}

int cpu_fence_mark(struct backend *b, struct backend_fence *f)
{
	(void)b;
	(void)f; /* it stands in the order of work from the start */
	return 0;
}

int cpu_fence_done(struct backend *b, struct backend_fence *f, void *data)
{
	if (!f->done)
		cpu_progress(b);
	if (!f->done && !b->fault)
		return VGPU_EBUSY;
	if (f->bytes && !b->fault)
		memcpy(data, f->data, f->bytes);
	cpu_point_put(f);
	return b->fault;
}

void cpu_fence_drop(struct backend *b, struct backend_fence *f)
{
	(void)b;
	cpu_point_put(f);
}

int cpu_hold(struct backend *b, struct backend_stream *stream, uint32_t number)
{
	const struct cpu_op op = {
		.kind = CPU_HOLD,
		.stream = cpu_stream(b, stream),
		.number = number,
	};

	if (op.stream->capture)
		return CPU_CAPTURE_UNSUPPORTED;
	b->released[number] = false;
	return cpu_submit(b, &op);
}

void cpu_release(struct backend *b, uint32_t number)
{
	b->released[number] = true;
	cpu_progress(b);
}
