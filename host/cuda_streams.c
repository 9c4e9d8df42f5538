// SPDX-License-Identifier: GPL-2.0-or-later
/* Streams, and how they wait for functions that the guest runs. */
#include "cuda_backend.h"

#include <stdlib.h>

#include "../common/errors.h"
#include "../common/shm.h"

/* Destroyed streams that are kept until their work is done; a guest that leaves more waits. */
#define LEAVING_MAX 256u

int cuda_streams_init(struct backend *b)
{
	void *p = NULL;
	int rc = cuda_pinned_words(VGPU_HOST_FUNCS_MAX * sizeof(uint32_t), &p, &b->holds.address);

	b->holds.words = p;
	return rc;
}

/* No stream may stay behind that waits for us. */
static void release_all(struct cuda_holds *h)
{
	for (uint32_t i = 0; h->words && i < VGPU_HOST_FUNCS_MAX; i++)
		shm_store_release(&h->words[i], h->rounds[i]);
}

static void stream_free(struct backend *b, struct backend_stream *s)
{
	cuda_fences_leave(b, s);
	LIST_REMOVE(s, link);
	cuda_result(cudaStreamDestroy(s->handle));
	free(s);
}

void cuda_streams_dispose(struct backend *b)
{
	struct backend_stream *s;

	release_all(&b->holds);
	while ((s = LIST_FIRST(&b->streams)) || (s = LIST_FIRST(&b->leaving))) {
		cudaStreamSynchronize(s->handle);
		stream_free(b, s);
	}
	cudaFreeHost(b->holds.words);
}

bool cuda_stream_captures(const struct backend *b, const struct backend_stream *s)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

	if (!s)
		return b->blocking_captures != 0;
	/* Also one that joined another's capture. */
	return s->capturing ||
	       (cuda_driver.cuStreamIsCapturing(s->handle, &status) == CUDA_SUCCESS &&
		status != CU_STREAM_CAPTURE_STATUS_NONE);
}

/* Forget destroyed streams whose work is done. */
static void reap(struct backend *b)
{
	struct backend_stream *s = LIST_FIRST(&b->leaving), *next;

	for (; s; s = next) {
		next = LIST_NEXT(s, link);
		if (cuda_driver.cuStreamQuery(s->handle) == CUDA_ERROR_NOT_READY) {
			if (b->leaving_count < LEAVING_MAX)
				continue;
			cuda_driver.cuStreamSynchronize(s->handle);
		}
		b->leaving_count--;
		stream_free(b, s);
	}
}

int cuda_stream_look(struct backend *b, uint32_t device, struct backend_stream *s)
{
	struct cuda_progress *p = cuda_progress(b, device, s);
	int rc = cuda_device_use(b, device);

	if (rc == 0)
		rc = (int)cuda_driver.cuStreamQuery(cuda_stream_handle(s));
	if (rc == 0)
		p->done = p->given;
	return rc;
}

int cuda_stream_create(struct backend *b, uint32_t flags, int32_t priority,
		       struct backend_stream **out)
{
	bool blocking = !(flags & VGPU_STREAM_NON_BLOCKING);
	struct backend_stream *s;
	int rc = cuda_device_use(b, b->selected);

	if (rc)
		return rc;
	reap(b);
	s = calloc(1, sizeof(*s));
	if (!s)
		return VGPU_ENOMEM;
	rc = cudaStreamCreateWithPriority(
		&s->handle, blocking ? cudaStreamDefault : cudaStreamNonBlocking, priority);
	if (rc != cudaSuccess) {
		free(s);
		return cuda_result(rc);
	}
	s->device = b->selected;
	s->blocking = blocking;
	LIST_INSERT_HEAD(&b->streams, s, link);
	*out = s;
	return 0;
}

/* Streams that joined it are free again. */
static void drop_capture(struct backend *b, struct backend_stream *s)
{
	cudaGraph_t graph = NULL;

	if (cuda_stream_use(b, s) == 0 &&
	    cuda_result(cudaStreamEndCapture(s->handle, &graph)) == cudaSuccess)
		cudaGraphDestroy(graph);
	cuda_capture_left(b, s);
}

/* A stream that captures is not asked: that would spoil a capture which it has joined. */
static bool is_busy(const struct backend *b, const struct backend_stream *s)
{
	return !(b->captures && cuda_stream_captures(b, s)) &&
	       cuda_driver.cuStreamQuery(s->handle) == CUDA_ERROR_NOT_READY;
}

/* What is under way in it still counts as the device's, so it stays until that is done. */
void cuda_stream_destroy(struct backend *b, struct backend_stream *s)
{
	if (s->capturing)
		drop_capture(b, s);
	if (is_busy(b, s)) {
		LIST_REMOVE(s, link);
		LIST_INSERT_HEAD(&b->leaving, s, link);
		b->leaving_count++;
		return;
	}
	stream_free(b, s);
}

int cuda_stream_wait(struct backend *b, struct backend_stream *s, struct backend_event *e)
{
	int rc = cuda_stream_use(b, s);

	if (rc)
		return rc;
	return cuda_result(cudaStreamWaitEvent(cuda_stream_handle(s), e->event->handle, 0));
}

int cuda_stream_query(struct backend *b, struct backend_stream *s)
{
	return cuda_stream_look(b, cuda_stream_device(b, s), s);
}

/*
 * A number is used again and again, perhaps before the GPU has looked at its last release: so
 * rounds only rise, and the stream waits for its own or a later one.
 */
int cuda_hold(struct backend *b, struct backend_stream *s, uint32_t number)
{
	struct cuda_holds *h = &b->holds;
	int rc = cuda_stream_use(b, s);

	if (rc)
		return rc;
	if (number >= VGPU_HOST_FUNCS_MAX)
		return VGPU_EINVAL;
	/* A graph would wait for this round each time, and find it over. */
	if (b->captures && cuda_stream_captures(b, s))
		return cudaErrorStreamCaptureUnsupported;
	rc = cuda_driver.cuStreamWaitValue32(cuda_stream_handle(s),
					     h->address + number * sizeof(uint32_t),
					     h->rounds[number] + 1, CU_STREAM_WAIT_VALUE_GEQ);
	if (rc)
		return rc;
	h->rounds[number]++;
	h->under_way++;
	return 0;
}

void cuda_release(struct backend *b, uint32_t number)
{
	struct cuda_holds *h = &b->holds;

	if (number >= VGPU_HOST_FUNCS_MAX || h->under_way == 0)
		return;
	h->under_way--;
	shm_store_release(&h->words[number], h->rounds[number]);
}
