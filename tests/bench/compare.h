/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of the program `compare`. */
#ifndef TESTS_BENCH_COMPARE_H
#define TESTS_BENCH_COMPARE_H

#include <stdbool.h>

#include "bench.h"
#include "mediator.h"
#include "peer.h"
#include "report.h"

enum {
	OTHER, /* without the mediator */
	VGPU,
};

struct setup {
	bool gpu;
	const char *vgpu, *other, *image;
	const char *device; /* for the library */
	const char *window_bytes;
	bool ended_badly;
	const char *only; /* rows whose name has this in it; NULL: all */
	struct bench_mediator mediator;
	cpu_set_t client_cpus, mediator_cpus;
	struct peer peers[2]; /* other, vgpu */
	int sitting;
	struct report report;
};

/* ---- compare.c ---- */

bool compare_wants(const struct setup *s, const char *name);

/* @where: NULL for what the two of the table have. */
void compare_start_peer(struct setup *s, struct peer *p, int which, const char *where,
			const cpu_set_t *cpus);

/*
 * Both do it in turn, @turns times in this sitting. What is answered, @room samples a row and turn,
 * is added to rows[0], or split over several. After a failure there is a new process.
 */
void compare_pair(struct setup *s, struct row *const *rows, size_t n, size_t room,
		  unsigned int turns, const char *command);

/* How often all of it is measured, each time by new processes. */
#define COMPARE_SITTINGS 7

/*
 * Turns of a sitting. A VM's processor is slower by a quarter for some 100 ms whenever its
 * neighbour of the same core is at work: both sides are to meet that equally often.
 */
#define COMPARE_TURNS 5

/* ---- compare_copies.c ---- */

void compare_four_bytes(struct setup *s);
/* From 4 KiB to @largest. */
void compare_copies(struct setup *s, size_t largest);

/* ---- compare_apart.c: not pair by pair ---- */

void compare_idle(struct setup *s);
void compare_first(struct setup *s);
void compare_crowd(struct setup *s);

#endif
