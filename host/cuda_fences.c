// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fences. Most are done by the time they are asked, or before the next request comes: so a fence
 * first looks at the stream itself, which costs nothing in advance. Only when something else is
 * about to go into the stream is an event recorded, and the fence looks at that from then on.
 */
#include "cuda_backend.h"

#include <stdlib.h>

#include "../common/errors.h"

struct backend_fence {
	LIST_ENTRY(backend_fence) link; /* unmarked ones */
	struct backend_fence *next;     /* of the free ones */
	uint32_t kind;
	bool marked;
	struct backend_stream *stream; /* VGPU_SYNC_STREAM, unmarked */
	uint32_t device;               /* of it */
	struct cuda_event *events;     /* once marked: done when all of them are */
	int error;                     /* of marking it */
};

static void fence_free(struct backend *b, struct backend_fence *f)
{
	f->next = b->fences;
	b->fences = f;
}

static struct backend_fence *fence_new(struct backend *b)
{
	struct backend_fence *f = b->fences;

	if (!f)
		return calloc(1, sizeof(*f));
	b->fences = f->next;
	*f = (struct backend_fence){ 0 };
	return f;
}

void cuda_fences_dispose(struct backend *b)
{
	struct backend_fence *f;

	while ((f = b->fences)) {
		b->fences = f->next;
		free(f);
	}
}

/* To wait for what is only recorded, CUDA refuses; and so it does here, where a query ends it. */
static int refuse_captures(const struct backend *b, uint32_t kind, const struct backend_stream *s)
{
	if (!b->captures || kind == VGPU_SYNC_EVENT)
		return 0;
	if (kind == VGPU_SYNC_DEVICE)
		return cudaErrorStreamCaptureUnsupported;
	if (!cuda_stream_captures(b, s))
		return 0;
	return s ? cudaErrorStreamCaptureUnsupported : cudaErrorStreamCaptureImplicit;
}

int cuda_fence(struct backend *b, uint32_t kind, void *object, struct backend_fence **out)
{
	struct backend_event *event = object;
	struct backend_fence *f;
	int rc;

	rc = refuse_captures(b, kind, object);
	if (rc)
		return rc;
	f = fence_new(b);
	if (!f)
		return VGPU_ENOMEM;
	f->kind = kind;
	if (kind == VGPU_SYNC_EVENT) {
		f->marked = true;
		f->events = event->event;
		f->events->refs++;
	} else {
		if (kind == VGPU_SYNC_STREAM) {
			f->stream = object;
			f->device = cuda_stream_device(b, object);
		}
		LIST_INSERT_HEAD(&b->unmarked, f, link);
	}
	*out = f;
	return 0;
}

static int query(struct backend *b, uint32_t device, cudaStream_t handle)
{
	int rc = cuda_device_use(b, device);

	return rc ? rc : (int)cuda_driver.cuStreamQuery(handle);
}

/* Have @f wait for what is in a stream now, if that is not done. */
static int mark_stream(struct backend *b, struct backend_fence *f, uint32_t device,
		       cudaStream_t handle)
{
	struct cuda_event *e;
	int rc = query(b, device, handle);

	if (rc != CUDA_ERROR_NOT_READY)
		return rc;
	rc = cuda_event_take(b, device, handle, &e);
	if (rc)
		return rc;
	e->next = f->events;
	f->events = e;
	return 0;
}

typedef int (*stream_fn)(struct backend *b, struct backend_fence *f, uint32_t device,
			 cudaStream_t handle);

/* All streams of all devices, until one call returns other than 0. */
static int each_stream(struct backend *b, struct backend_fence *f, stream_fn fn)
{
	struct cuda_streams *lists[] = { &b->streams, &b->leaving };
	struct backend_stream *s;
	int rc;

	for (uint32_t i = 0; i < b->device_count; i++) {
		rc = b->devices[i].used ? fn(b, f, i, NULL) : 0;
		if (rc)
			return rc;
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		LIST_FOREACH(s, lists[i], link) {
			rc = fn(b, f, s->device, s->handle);
			if (rc)
				return rc;
		}
	}
	return 0;
}

int cuda_fence_mark(struct backend *b, struct backend_fence *f)
{
	if (f->marked)
		return 0;
	f->marked = true;
	LIST_REMOVE(f, link);
	f->error = f->kind == VGPU_SYNC_DEVICE
			   ? each_stream(b, f, mark_stream)
			   : mark_stream(b, f, f->device, cuda_stream_handle(f->stream));
	return f->error;
}

void cuda_fences_leave(struct backend *b, struct backend_stream *s)
{
	struct backend_fence *f = LIST_FIRST(&b->unmarked), *next;

	for (; f; f = next) {
		next = LIST_NEXT(f, link);
		if (f->stream == s)
			cuda_fence_mark(b, f);
	}
}

static int query_only(struct backend *b, struct backend_fence *f, uint32_t device,
		      cudaStream_t handle)
{
	(void)f;
	return query(b, device, handle);
}

static int look(struct backend *b, struct backend_fence *f)
{
	struct cuda_event *e;
	int rc;

	if (!f->marked)
		return f->kind == VGPU_SYNC_DEVICE
			       ? each_stream(b, f, query_only)
			       : query(b, f->device, cuda_stream_handle(f->stream));
	while ((e = f->events) && !f->error) {
		rc = cuda_driver.cuEventQuery(e->handle);
		if (rc)
			return rc;
		f->events = e->next;
		cuda_event_put(b, e);
	}
	return f->error;
}

int cuda_fence_done(struct backend *b, struct backend_fence *f)
{
	int rc = look(b, f);

	if (rc == CUDA_ERROR_NOT_READY)
		return VGPU_EBUSY;
	cuda_fence_drop(b, f);
	return rc;
}

void cuda_fence_drop(struct backend *b, struct backend_fence *f)
{
	struct cuda_event *e;

	if (!f->marked)
		LIST_REMOVE(f, link);
	while ((e = f->events)) {
		f->events = e->next;
		cuda_event_put(b, e);
	}
	fence_free(b, f);
}
