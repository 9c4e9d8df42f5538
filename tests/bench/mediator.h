/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mediator of a benchmark's own, with a socket in a folder of its own. One at a time. */
#ifndef TESTS_BENCH_MEDIATOR_H
#define TESTS_BENCH_MEDIATOR_H

#include <sched.h>
#include <sys/types.h>

struct bench_mediator {
	const char *program;
	const char *backend;
	const char *library;    /* the cuda backend; NULL: where the program finds it */
	int spin_us;            /* -1: its default */
	unsigned int pool_size; /* 0: its default */
	const cpu_set_t *cpus;  /* NULL: all */
};

/*
 * Start it and wait until it serves. Returns the device string for libvgpuguest, valid until
 * bench_mediator_stop(), which the end of this process calls, too.
 */
const char *bench_mediator_start(const struct bench_mediator *m);
void bench_mediator_stop(void);

pid_t bench_mediator_pid(void);

#endif
