// SPDX-License-Identifier: GPL-2.0-or-later
/* Requests whose answer waits for the GPU. */
#include "worker_gpu.h"

#include <stdlib.h>
#include <string.h>

#include "../common/errors.h"

#define ROOM_AT_FIRST 16u

/* An honest guest has no more on their way than its response ring has room for. */
#define PENDING_MAX VGPU_RING_ENTRIES_MAX

int gpu_pending_reserve(struct gpu *g)
{
	struct pending_table *t = &g->pending;
	uint32_t room = t->room ? 2 * t->room : ROOM_AT_FIRST;
	struct pending *at;

	if (t->count < t->room)
		return 0;
	if (t->count >= PENDING_MAX)
		return VGPU_EQUOTA;
	at = realloc(t->at, room * sizeof(*at));
	if (!at)
		return VGPU_ENOMEM;
	t->at = at;
	t->room = room;
	return 0;
}

int gpu_defer_fence(struct gpu *g, const struct pending *p)
{
	struct pending_table *t = &g->pending;

	t->at[t->count++] = *p;
	return GPU_DEFERRED;
}

int gpu_defer(struct gpu *g, const struct pending *p, uint32_t kind, void *object)
{
	struct pending full = *p;
	int rc = g->ops->fence(g->backend, kind, object, &full.fence);

	if (rc)
		return rc;
	g->pending.unmarked = g->pending.count + 1;
	return gpu_defer_fence(g, &full);
}

void gpu_mark_pending(struct gpu *g)
{
	struct pending *p;
	int rc;

	if (__builtin_expect(!g->pending.unmarked, 1))
		return;
	p = &g->pending.at[g->pending.unmarked - 1];
	g->pending.unmarked = 0;
	rc = g->ops->fence_mark(g->backend, p->fence);
	if (rc == 0)
		return;
	g->ops->fence_drop(g->backend, p->fence);
	p->fence = NULL;
	p->status = rc;
}

/* The last one takes its place. */
static void remove_at(struct pending_table *t, uint32_t i)
{
	if (t->unmarked == i + 1)
		t->unmarked = 0;
	else if (t->unmarked == t->count)
		t->unmarked = i + 1;
	t->at[i] = t->at[--t->count];
}

/* Its fence came to @status. Returns whether that was all; @p may have another one now. */
static bool is_over(struct gpu *g, struct pending *p, int *status)
{
	switch (p->kind) {
	case PENDING_WORK:
		break;
	case PENDING_HOST_FUNC:
		if (*status == 0)
			g->host_funcs[p->slot].reached = true;
		break;
	case PENDING_COPY_HELD:
		if (*status == 0)
			*status = gpu_copy_start(g, p);
		if (*status == 0)
			return false;
		/* fallthrough */
	case PENDING_COPY:
		gpu_copy_end(g, p, *status);
		break;
	}
	return true;
}

bool gpu_poll(struct gpu *g, struct vgpu_response *rsp, int lost)
{
	struct pending_table *t = &g->pending;
	struct pending p;
	int status;

	if (!t->count)
		return false;
	if (t->next >= t->count)
		t->next = 0;
	p = t->at[t->next];
	if (lost && p.fence)
		g->ops->fence_drop(g->backend, p.fence);
	*rsp = (struct vgpu_response){ .id = p.id };
	if (lost)
		status = lost;
	else
		status = p.fence ? g->ops->fence_done(g->backend, p.fence, rsp->data) : p.status;
	if (status == VGPU_EBUSY) {
		t->next++;
		return false;
	}
	if (!is_over(g, &p, &status)) {
		t->at[t->next++] = p;
		return false;
	}
	remove_at(t, t->next);
	rsp->status = status;
	return !p.silent;
}
