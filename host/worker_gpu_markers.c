// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Does the GPU get on? A marker is a fence behind what a stream was given, set every
 * GPU_MARK_EVERY requests and when the channel goes idle. Only the oldest is asked. It may stay
 * the oldest for as long as the deadline allows: then one of at most so many requests took too
 * long, however many stood before them.
 */
#include "worker_gpu.h"

#include "../common/errors.h"
#include "mediator_throttle.h"

/* Streams that get too little for GPU_MARK_EVERY. */
#define MARK_ALL_US 100000u

static bool full(const struct markers *m)
{
	return m->tail - m->head == MARKERS_MAX;
}

static void push(struct gpu *g, struct backend_fence *fence, uint64_t now_us)
{
	struct markers *m = &g->markers;

	if (m->head == m->tail)
		m->head_us = now_us;
	m->fences[m->tail++ % MARKERS_MAX] = fence;
}

/*
 * With no room the stream stays on the list, and is seen to when the oldest are done. While a
 * stream captures it can have no fence.
 */
static void mark(struct gpu *g, struct gpu_stream *s, uint64_t now_us)
{
	struct backend_fence *fence;
	int rc;

	if (full(&g->markers) || s->capture || (!s->object && g->captures)) {
		s->unmarked = 1;
		return;
	}
	s->unmarked = 0;
	LIST_REMOVE(s, link);
	rc = g->ops->fence(g->backend, VGPU_SYNC_STREAM, s->object, &fence);
	if (rc) {
		gpu_failed(g, rc);
		return;
	}
	rc = g->ops->fence_mark(g->backend, fence);
	if (rc) {
		g->ops->fence_drop(g->backend, fence);
		gpu_failed(g, rc);
		return;
	}
	push(g, fence, now_us);
}

void gpu_mark_stream(struct gpu *g, struct gpu_stream *s)
{
	mark(g, s, clock_us());
}

void gpu_mark_last(struct gpu *g, struct gpu_stream *s)
{
	if (!s->unmarked)
		return;
	mark(g, s, clock_us());
	if (!s->unmarked)
		return;
	s->unmarked = 0;
	LIST_REMOVE(s, link);
}

static void mark_all(struct gpu *g, uint64_t now_us)
{
	struct gpu_stream *s = LIST_FIRST(&g->unmarked), *next;

	for (; s; s = next) {
		next = LIST_NEXT(s, link);
		mark(g, s, now_us);
	}
	g->markers.marked_us = now_us;
}

int gpu_tend(struct gpu *g, uint64_t now_us, bool idle)
{
	struct markers *m = &g->markers;
	int rc;

	if (!LIST_EMPTY(&g->unmarked) && (idle || now_us - m->marked_us >= MARK_ALL_US))
		mark_all(g, now_us);
	while (m->head != m->tail) {
		rc = g->ops->fence_done(g->backend, m->fences[m->head % MARKERS_MAX], NULL);
		if (rc == VGPU_EBUSY)
			return now_us - m->head_us < g->deadline_us ? 0 : VGPU_EDEADLINE;
		if (rc)
			gpu_failed(g, rc);
		m->head++;
		m->head_us = now_us;
	}
	return 0;
}
