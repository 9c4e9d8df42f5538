/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is measured, in a program that has a GPU by gpu.h:
 *
 *   PROGRAM WHERE IMAGE WINDOW-BYTES [COMMAND...]
 *
 * Commands come on stdin, a line each, and are answered on stdout by "ok" and what was measured,
 * in microseconds; or one comes as arguments and is all. Every command warms up, works on fresh
 * random data, poisons what it will read, and ends the program if a result is wrong.
 */
#ifndef TESTS_BENCH_WORK_H
#define TESTS_BENCH_WORK_H

#include <stddef.h>
#include <stdint.h>

#include "bench.h"
#include "gpu.h"

#define WORK_ARGS 4

struct work_command {
	const char *name; /* NULL ends a table */
	int numbers;      /* that follow the name */
	/* Answers by itself: work_answer(). */
	void (*run)(const uint64_t *numbers);
};

/* Beside those that work.c has. */
extern const struct work_command more_work[];

#define WORK_WARM_UP 3

void work_answer(const struct samples *s, size_t sets);
void work_fill_random(void *p, size_t bytes);
void *work_alloc(size_t bytes); /* never NULL; touched */

/* add_one of @counter, once. */
struct work_count {
	gpu_ptr counter;
	uint32_t expected;
	struct {
		uint64_t p, n;
	} params;
	void *args[2];
	struct gpu_launch launch;
};

void work_count_init(struct work_count *c);
/* All launches must have counted, no more and no less. */
void work_count_check(struct work_count *c, uint64_t launches);
void work_count_dispose(struct work_count *c);

/*
 * Comes before each part that is timed and follows the making of its data: whoever serves us is
 * awake then, and neither its processor nor ours has just slept.
 */
void work_settle(void);

static inline double work_us_since(uint64_t start_ns)
{
	return (double)(bench_now_ns() - start_ns) / 1e3;
}

#endif
