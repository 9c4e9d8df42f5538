/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the benchmarks share: a clock, CPUs to pin to, sorted samples, starting programs. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* Nanoseconds of CLOCK_MONOTONIC, the same in all processes. */
uint64_t bench_now_ns(void);

/* Complain on stderr and end with status 1; a mediator that runs is stopped. */
__attribute__((format(printf, 1, 2))) _Noreturn void bench_die(const char *fmt, ...);

void bench_pin(int cpu);
void bench_pin_set(const cpu_set_t *set);

/*
 * Two CPUs of different cores where there are such; else two threads of one core, else twice the
 * same. Returns what they are to each other, in words.
 */
const char *bench_two_cpus(int cpus[2]);

/*
 * CPUs for a client, whose library may copy with several threads, and for the mediator: of
 * different cores where there are enough, and at least one each.
 */
void bench_cpu_sets(cpu_set_t *client, cpu_set_t *mediator);

/* "2,3,4" */
const char *bench_cpu_text(const cpu_set_t *set, char *buf, size_t len);

/*
 * Run a program to its end, whose output is the time at which it was ready and a name. Returns
 * how long after its start that was, in ms, or -1 if it failed. @quiet: its complaints are lost.
 */
double bench_time_to_ready(const char *const argv[], bool quiet, char *name, size_t name_len);

struct samples {
	double *us; /* sorted by samples_sort() */
	size_t n, room;
};

void samples_init(struct samples *s, size_t room);
void samples_add(struct samples *s, double us); /* beyond the room it is left out */
void samples_sort(struct samples *s);
double samples_at(const struct samples *s, double fraction);
void samples_free(struct samples *s);

#endif
