/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads that help to copy between a program's memory and the window: one core alone moves less
 * than a GPU takes.
 */
#ifndef GUEST_GPU_COPY_THREADS_H
#define GUEST_GPU_COPY_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct copy_threads;

/* Rows of bytes from one place to another; one of them is the window. */
struct copy_job {
	uint8_t *to;
	const uint8_t *from;
	size_t to_pitch; /* of no meaning where height is 1 */
	size_t from_pitch;
	size_t width;
	size_t height;
	bool into_window;
};

/* NULL: this process has one CPU, or there is no thread to be had. They poll for @spin_ns. */
struct copy_threads *copy_threads_start(int64_t spin_ns);

/* NULL is allowed. */
void copy_threads_stop(struct copy_threads *t);

/*
 * Copy; the caller takes part. @t may be NULL, or be busy with another caller's: it copies alone
 * then. Any thread.
 */
void copy_threads_do(struct copy_threads *t, const struct copy_job *job);

#endif
