// SPDX-License-Identifier: GPL-2.0-or-later
/* Events: the guest's, and those that fences wait for. */
#include "cuda_backend.h"

#include <stdlib.h>

#include "../common/errors.h"

static int event_new(struct backend *b, uint32_t device, unsigned int flags, bool pooled,
		     struct cuda_event **out)
{
	struct cuda_event *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return VGPU_ENOMEM;
	rc = cuda_device_use(b, device);
	if (rc == 0)
		rc = cuda_result(cudaEventCreateWithFlags(&e->handle, flags));
	if (rc) {
		free(e);
		return rc;
	}
	e->device = device;
	e->refs = 1;
	e->pooled = pooled;
	*out = e;
	return 0;
}

int cuda_event_take(struct backend *b, uint32_t device, cudaStream_t handle,
		    struct cuda_event **out)
{
	struct cuda_event *e = b->devices[device].events;
	int rc;

	if (e) {
		b->devices[device].events = e->next;
		e->next = NULL;
		e->refs = 1;
	} else {
		rc = event_new(b, device, cudaEventDisableTiming, true, &e);
		if (rc)
			return rc;
	}
	rc = cuda_device_use(b, device);
	if (rc == 0)
		rc = cuda_driver.cuEventRecord(e->handle, handle);
	if (rc) {
		cuda_event_put(b, e);
		return rc;
	}
	*out = e;
	return 0;
}

void cuda_event_put(struct backend *b, struct cuda_event *e)
{
	if (--e->refs)
		return;
	if (e->pooled) {
		e->next = b->devices[e->device].events;
		b->devices[e->device].events = e;
		return;
	}
	cuda_result(cudaEventDestroy(e->handle));
	free(e);
}

void cuda_events_dispose(struct backend *b)
{
	struct cuda_event *e;

	for (uint32_t i = 0; i < b->device_count; i++) {
		while ((e = b->devices[i].events)) {
			b->devices[i].events = e->next;
			cudaEventDestroy(e->handle);
			free(e);
		}
	}
}

int cuda_event_create(struct backend *b, uint32_t flags, struct backend_event **out)
{
	struct backend_event *e = calloc(1, sizeof(*e));
	int rc;

	if (!e)
		return VGPU_ENOMEM;
	e->flags = flags & VGPU_EVENT_NO_TIMING ? cudaEventDisableTiming : cudaEventDefault;
	rc = event_new(b, b->selected, e->flags, false, &e->event);
	if (rc) {
		free(e);
		return rc;
	}
	*out = e;
	return 0;
}

void cuda_event_destroy(struct backend *b, struct backend_event *e)
{
	cuda_event_put(b, e->event);
	free(e);
}

/* Who waits for the event waits for what it stands for now: theirs stays, ours is a new one. */
static int replace(struct backend *b, struct backend_event *e)
{
	struct cuda_event *new;
	int rc = event_new(b, e->event->device, e->flags, false, &new);

	if (rc)
		return rc;
	cuda_event_put(b, e->event);
	e->event = new;
	return 0;
}

int cuda_event_record(struct backend *b, struct backend_event *e, struct backend_stream *s)
{
	int rc = e->event->refs > 1 ? replace(b, e) : 0;

	if (rc == 0)
		rc = cuda_stream_use(b, s);
	if (rc == 0)
		rc = cuda_driver.cuEventRecord(e->event->handle, cuda_stream_handle(s));
	return rc;
}

int cuda_event_query(struct backend *b, struct backend_event *e)
{
	(void)b;
	return cuda_driver.cuEventQuery(e->event->handle);
}

int cuda_event_elapsed(struct backend *b, struct backend_event *start, struct backend_event *stop,
		       float *ms)
{
	(void)b;
	return cuda_result(cudaEventElapsedTime(ms, start->event->handle, stop->event->handle));
}
