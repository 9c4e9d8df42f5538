// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fences. Most wait for one stream. Where that is busy it writes a word of ours when it comes to
 * it, and to look is to read that: cheaper than to ask the driver, and the GPU is there 0.5 to 0.8
 * us before the driver tells (docs/benchmarks.md). A stream that failed never writes, so now and
 * then the driver is asked all the same. Which stream is busy the driver is asked only where what
 * was put into them does not tell.
 *
 * A read is a fence of that kind, and the bytes come to lie beside the word.
 *
 * A fence that waits for several streams, or finds no free word, looks at the streams themselves,
 * until something else is about to go into one: then events are recorded, and it looks at those.
 */
#include "cuda_backend.h"

#include <stdlib.h>

#include "../common/errors.h"
#include "../common/shm.h"

#define NO_WORD UINT32_MAX

/* Looks at a word between two questions to the driver: some 3 us, or so many of a worker's naps. */
#define LOOKS_PER_QUERY 64u

struct backend_fence {
	LIST_ENTRY(backend_fence) link; /* of a word, or unmarked */
	struct backend_fence *next;     /* of the free ones */
	uint32_t kind;
	bool marked;
	struct backend_stream
		*stream; /* that is waited for, unless it is the default one, or left */
	uint32_t device; /* of it */
	bool left;       /* the stream was destroyed */
	uint32_t busy;   /* streams that were found so at first; a second one ends the search */
	uint32_t word, looks;
	uint64_t given;            /* into its stream when the word was */
	uint32_t bytes;            /* of a read */
	struct cuda_event *events; /* marked without a word: done when all of them are */
	int error;                 /* of marking it */
};

static void fence_free(struct backend *b, struct backend_fence *f)
{
	f->next = b->fences.free;
	b->fences.free = f;
}

static struct backend_fence *fence_new(struct backend *b)
{
	struct backend_fence *f = b->fences.free;

	if (!f)
		f = malloc(sizeof(*f));
	else
		b->fences.free = f->next;
	if (f)
		*f = (struct backend_fence){ .word = NO_WORD };
	return f;
}

int cuda_fences_init(struct backend *b)
{
	void *p = NULL;
	int rc = cuda_pinned_words(CUDA_WORDS * sizeof(struct cuda_word), &p, &b->fences.address);

	b->fences.words = p;
	return rc;
}

void cuda_fences_dispose(struct backend *b)
{
	struct backend_fence *f;

	while ((f = b->fences.free)) {
		b->fences.free = f->next;
		free(f);
	}
	cudaFreeHost(b->fences.words);
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

typedef int (*stream_fn)(struct backend *b, struct backend_fence *f, uint32_t device,
			 struct backend_stream *s);

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
			rc = fn(b, f, s->device, s);
			if (rc)
				return rc;
		}
	}
	return 0;
}

/* ---- words ---- */

/* A word that nobody waits for and no stream has still to write. */
static uint32_t word_take(struct cuda_fences *all)
{
	uint32_t i;

	for (uint32_t n = 0; n < CUDA_WORDS; n++) {
		i = all->next++ % CUDA_WORDS;
		if (all->used[i] || shm_load(&all->words[i].round) != all->rounds[i])
			continue;
		all->used[i] = true;
		return i;
	}
	return NO_WORD;
}

/* Have the fence's stream write the word. */
static int word_write(struct backend *b, struct backend_fence *f, uint32_t word)
{
	struct cuda_fences *all = &b->fences;
	int rc = cuda_device_use(b, f->device);

	if (rc == 0)
		rc = (int)cuda_driver.cuStreamWriteValue32(
			cuda_stream_handle(f->stream), all->address + word * sizeof(*all->words),
			all->rounds[word] + 1, CU_STREAM_WRITE_VALUE_DEFAULT);
	if (rc)
		return rc;
	all->rounds[word]++;
	f->given = cuda_progress(b, f->device, f->stream)->given;
	f->word = word;
	f->marked = true;
	return 0;
}

/* Wait for the fence's one busy stream by a word, if there is one; failing that, nothing is lost. */
static void await_word(struct backend *b, struct backend_fence *f)
{
	uint32_t word = word_take(&b->fences);

	if (word != NO_WORD && word_write(b, f, word))
		b->fences.used[word] = false;
}

static void word_seen(struct backend *b, const struct backend_fence *f)
{
	struct cuda_progress *p;

	if (f->left)
		return;
	p = cuda_progress(b, f->device, f->stream);
	if (p->done < f->given)
		p->done = f->given;
}

static int look_at_word(struct backend *b, struct backend_fence *f)
{
	const struct cuda_fences *all = &b->fences;
	int rc;

	if (shm_load_acquire(&all->words[f->word].round) == all->rounds[f->word]) {
		word_seen(b, f);
		return 0;
	}
	if (++f->looks % LOOKS_PER_QUERY)
		return CUDA_ERROR_NOT_READY;
	/* To ask would spoil the capture. */
	if (b->captures && cuda_stream_captures(b, f->stream))
		return CUDA_ERROR_NOT_READY;
	/* Of a stream that was destroyed nothing but an error of the whole device can be known. */
	rc = cuda_stream_look(b, f->device, f->stream);
	return rc == 0 && f->left ? CUDA_ERROR_NOT_READY : rc;
}

/* ---- fences ---- */

static int find_at_work(struct backend *b, struct backend_fence *f, uint32_t device,
			struct backend_stream *s)
{
	const struct cuda_progress *p = cuda_progress(b, device, s);

	if (p->done == p->given)
		return 0;
	f->busy++;
	f->device = device;
	f->stream = s;
	return f->busy > 1;
}

/*
 * Is one stream at work, of all, and the one that is waited for? Beside others a word might wait
 * for them: where one of the two is the default stream.
 */
static bool is_alone_at_work(struct backend *b, struct backend_fence *f)
{
	struct backend_fence found = { 0 };

	each_stream(b, &found, find_at_work);
	if (found.busy != 1)
		return false;
	if (f->kind == VGPU_SYNC_STREAM)
		return f->stream == found.stream && f->device == found.device;
	f->stream = found.stream;
	f->device = found.device;
	return true;
}

/* One stream that is busy is the fence's. */
static int find_busy(struct backend *b, struct backend_fence *f, uint32_t device,
		     struct backend_stream *s)
{
	int rc = cuda_stream_look(b, device, s);

	if (rc != CUDA_ERROR_NOT_READY)
		return rc;
	f->busy++;
	f->device = device;
	f->stream = s;
	return f->busy == 1 ? 0 : rc;
}

static void fence_begin(struct backend *b, struct backend_fence *f)
{
	int rc = 0;

	if (is_alone_at_work(b, f))
		await_word(b, f);
	if (!f->marked) {
		rc = f->kind == VGPU_SYNC_DEVICE ? each_stream(b, f, find_busy)
						 : find_busy(b, f, f->device, f->stream);
		if (rc == 0 && f->busy == 0) {
			f->marked = true; /* and done */
			return;
		}
		if (rc == 0)
			await_word(b, f);
	}
	if (!f->marked && f->kind == VGPU_SYNC_DEVICE)
		f->stream = NULL; /* it is not that one's alone */
	LIST_INSERT_HEAD(&b->fences.list, f, link);
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
		fence_begin(b, f);
	}
	*out = f;
	return 0;
}

static int read_start(struct backend *b, struct backend_fence *f, uint64_t src)
{
	struct cuda_fences *all = &b->fences;
	uint32_t word = word_take(all);
	int rc;

	if (word == NO_WORD)
		return VGPU_EQUOTA;
	rc = (int)cuda_driver.cuMemcpyDtoHAsync(all->words[word].data, src, f->bytes,
						cuda_stream_handle(f->stream));
	if (rc)
		all->used[word] = false;
	/* If this fails the bytes may still come, and the word stays taken. */
	return rc ? rc : word_write(b, f, word);
}

int cuda_read(struct backend *b, struct backend_stream *s, uint64_t src, uint32_t bytes,
	      struct backend_fence **out)
{
	struct backend_fence *f;
	int rc = cuda_stream_use(b, s);

	if (rc == 0 && b->captures && cuda_stream_captures(b, s))
		rc = cudaErrorStreamCaptureUnsupported;
	if (rc)
		return rc;
	f = fence_new(b);
	if (!f)
		return VGPU_ENOMEM;
	f->kind = VGPU_SYNC_STREAM;
	f->stream = s;
	f->device = cuda_stream_device(b, s);
	f->bytes = bytes;
	rc = read_start(b, f, src);
	if (rc) {
		fence_free(b, f);
		return rc;
	}
	LIST_INSERT_HEAD(&b->fences.list, f, link);
	*out = f;
	return 0;
}

/* Have @f wait for what is in a stream now, if that is not done. */
static int mark_stream(struct backend *b, struct backend_fence *f, uint32_t device,
		       struct backend_stream *s)
{
	struct cuda_event *e;
	int rc = cuda_stream_look(b, device, s);

	if (rc != CUDA_ERROR_NOT_READY)
		return rc;
	rc = cuda_event_take(b, device, cuda_stream_handle(s), &e);
	if (rc)
		return rc;
	e->next = f->events;
	f->events = e;
	return 0;
}

int cuda_fence_mark(struct backend *b, struct backend_fence *f)
{
	if (f->marked)
		return 0;
	f->marked = true;
	LIST_REMOVE(f, link);
	f->error = f->kind == VGPU_SYNC_DEVICE ? each_stream(b, f, mark_stream)
					       : mark_stream(b, f, f->device, f->stream);
	return f->error;
}

void cuda_fences_leave(struct backend *b, struct backend_stream *s)
{
	struct backend_fence *f = LIST_FIRST(&b->fences.list), *next;

	for (; f; f = next) {
		next = LIST_NEXT(f, link);
		if (f->stream != s)
			continue;
		cuda_fence_mark(b, f);
		f->stream = NULL;
		f->left = true;
	}
}

static int query_only(struct backend *b, struct backend_fence *f, uint32_t device,
		      struct backend_stream *s)
{
	(void)f;
	return cuda_stream_look(b, device, s);
}

static int look(struct backend *b, struct backend_fence *f)
{
	struct cuda_event *e;
	int rc;

	if (f->word != NO_WORD)
		return look_at_word(b, f);
	if (!f->marked)
		return f->kind == VGPU_SYNC_DEVICE ? each_stream(b, f, query_only)
						   : cuda_stream_look(b, f->device, f->stream);
	while ((e = f->events) && !f->error) {
		rc = cuda_driver.cuEventQuery(e->handle);
		if (rc)
			return rc;
		f->events = e->next;
		cuda_event_put(b, e);
	}
	return f->error;
}

int cuda_fence_done(struct backend *b, struct backend_fence *f, void *data)
{
	int rc = look(b, f);

	if (rc == CUDA_ERROR_NOT_READY)
		return VGPU_EBUSY;
	if (rc == 0 && f->bytes)
		shm_read_bytes(data, b->fences.words[f->word].data, f->bytes);
	cuda_fence_drop(b, f);
	return rc;
}

void cuda_fence_drop(struct backend *b, struct backend_fence *f)
{
	struct cuda_event *e;

	if (f->word != NO_WORD)
		b->fences.used[f->word] = false;
	if (f->word != NO_WORD || !f->marked)
		LIST_REMOVE(f, link);
	while ((e = f->events)) {
		f->events = e->next;
		cuda_event_put(b, e);
	}
	fence_free(b, f);
}
