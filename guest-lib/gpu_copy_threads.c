/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_copy_threads.h"

#include <stdlib.h>

#include "private.h"
#include "../common/shm.h"

#define THREADS_MAX 4u
#define PART_BYTES ((size_t)32 << 10) /* that a thread takes at a time: few wait for the last */
#define LOOKS_PER_CLOCK 32

struct copy_threads {
	pthread_mutex_t owner; /* whose job it is: one at a time */
	pthread_mutex_t lock;  /* guards what follows */
	pthread_cond_t work;   /* parts are left, or stop */
	pthread_cond_t done;
	struct copy_job job;
	uint32_t left;   /* parts that nobody has taken */
	uint32_t undone; /* parts that are not copied */
	uint32_t sleeping;
	bool stop;
	int64_t spin_ns;
	uint32_t count;
	pthread_t threads[THREADS_MAX];
};

static void copy_bytes(const struct copy_job *job, uint8_t *to, const uint8_t *from, size_t n)
{
	if (job->into_window)
		shm_write_bytes(to, from, n);
	else
		shm_read_bytes(to, from, n);
}

/* How many parts a job has: pieces of its one row, or groups of rows. */
static size_t rows_of_part(const struct copy_job *job)
{
	return job->width < PART_BYTES ? PART_BYTES / job->width : 1;
}

static uint32_t parts_of(const struct copy_job *job)
{
	size_t rows = rows_of_part(job);

	if (job->height == 1)
		return (uint32_t)((job->width + PART_BYTES - 1) / PART_BYTES);
	return (uint32_t)((job->height + rows - 1) / rows);
}

static void copy_part(const struct copy_job *job, uint32_t part)
{
	size_t rows = rows_of_part(job), first = part * rows, end = first + rows;
	size_t at = part * PART_BYTES;

	if (job->height == 1) {
		copy_bytes(job, job->to + at, job->from + at,
			   job->width - at < PART_BYTES ? job->width - at : PART_BYTES);
		return;
	}
	for (size_t row = first; row < end && row < job->height; row++)
		copy_bytes(job, job->to + row * job->to_pitch, job->from + row * job->from_pitch,
			   job->width);
}

/* With the lock, which is given up meanwhile: copy parts until none is left. */
static void take_parts(struct copy_threads *t)
{
	while (t->left) {
		uint32_t part = t->left - 1;

		__atomic_store_n(&t->left, part, __ATOMIC_RELAXED);
		pthread_mutex_unlock(&t->lock);
		copy_part(&t->job, part); /* it changes only when nothing is undone */
		pthread_mutex_lock(&t->lock);
		__atomic_store_n(&t->undone, t->undone - 1, __ATOMIC_RELAXED);
	}
	if (!t->undone)
		pthread_cond_signal(&t->done);
}

/* Look at a number until it is zero, or is not: for a while, without the lock. */
static void spin(const struct copy_threads *t, const uint32_t *number, bool until_zero)
{
	int64_t end;

	if (!t->spin_ns)
		return;
	end = clock_now_ns() + t->spin_ns;
	do {
		for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
			if (!__atomic_load_n(number, __ATOMIC_RELAXED) == until_zero)
				return;
			shm_relax();
		}
	} while (clock_now_ns() < end);
}

static void *run(void *opaque)
{
	struct copy_threads *t = opaque;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		take_parts(t);
		pthread_mutex_unlock(&t->lock);
		spin(t, &t->left, false);
		pthread_mutex_lock(&t->lock);
		if (t->left || t->stop)
			continue;
		t->sleeping++;
		pthread_cond_wait(&t->work, &t->lock);
		t->sleeping--;
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

struct copy_threads *copy_threads_start(int64_t spin_ns)
{
	uint32_t wanted = usable_cpus() - 1;
	struct copy_threads *t;

	if (wanted > THREADS_MAX)
		wanted = THREADS_MAX;
	t = wanted ? calloc(1, sizeof(*t)) : NULL;
	if (!t)
		return NULL;
	pthread_mutex_init(&t->owner, NULL);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	pthread_cond_init(&t->done, NULL);
	t->spin_ns = spin_ns;
	while (t->count < wanted && thread_start(&t->threads[t->count], run, t) == 0)
		t->count++;
	if (t->count)
		return t;
	copy_threads_stop(t);
	return NULL;
}

void copy_threads_stop(struct copy_threads *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	for (uint32_t i = 0; i < t->count; i++)
		pthread_join(t->threads[i], NULL);
	pthread_cond_destroy(&t->done);
	pthread_cond_destroy(&t->work);
	pthread_mutex_destroy(&t->lock);
	pthread_mutex_destroy(&t->owner);
	free(t);
}

static void copy_alone(const struct copy_job *job)
{
	for (size_t row = 0; row < job->height; row++)
		copy_bytes(job, job->to + row * job->to_pitch, job->from + row * job->from_pitch,
			   job->width);
}

void copy_threads_do(struct copy_threads *t, const struct copy_job *job)
{
	uint32_t parts = parts_of(job);

	if (!t || parts < 2 || pthread_mutex_trylock(&t->owner)) {
		copy_alone(job);
		return;
	}
	pthread_mutex_lock(&t->lock);
	t->job = *job;
	t->undone = parts;
	__atomic_store_n(&t->left, parts, __ATOMIC_RELAXED);
	if (t->sleeping)
		pthread_cond_broadcast(&t->work);
	take_parts(t);
	if (t->undone) {
		pthread_mutex_unlock(&t->lock);
		spin(t, &t->undone, true);
		pthread_mutex_lock(&t->lock);
	}
	while (t->undone)
		pthread_cond_wait(&t->done, &t->lock);
	pthread_mutex_unlock(&t->lock);
	pthread_mutex_unlock(&t->owner);
}
