/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the benchmarks share: a mediator of their own, CPUs to pin to, sorted samples. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Nanoseconds of CLOCK_MONOTONIC, the same in all processes. */
uint64_t bench_now_ns(void);

/* Complain on stderr and end with status 1; a mediator that runs is stopped. */
__attribute__((format(printf, 1, 2))) _Noreturn void bench_die(const char *fmt, ...);

/*
 * Start @program with a socket in a folder of its own, pinned to @cpu (-1: to none), and wait
 * until it serves. Returns the device string for libvgpuguest. One at a time.
 */
const char *bench_mediator_start(const char *program, const char *backend, const char *library,
				 unsigned int spin_us, int cpu);
void bench_mediator_stop(void);

void bench_pin(int cpu);

/*
 * Two CPUs of different cores where there are such; else two threads of one core, else twice the
 * same. Returns what they are to each other, in words.
 */
const char *bench_two_cpus(int cpus[2]);

struct samples {
	double *us; /* sorted by samples_sort() */
	size_t n, room;
};

void samples_init(struct samples *s, size_t room);
void samples_add(struct samples *s, double us);
void samples_sort(struct samples *s);
double samples_at(const struct samples *s, double fraction);
void samples_free(struct samples *s);

#endif
