/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Children of a process, and its CPU time. */
#ifndef TESTS_BENCH_PROC_H
#define TESTS_BENCH_PROC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_cpu {
	pid_t pid;
	uint64_t start_ns;
};

#define PROC_CHILDREN 64

/* The processes that @parent started. Returns how many, PROC_CHILDREN at most. */
size_t proc_children(pid_t parent, struct proc_cpu children[PROC_CHILDREN]);

/* CPU time of all threads of a process between the two. */
void proc_cpu_start(struct proc_cpu *p);
double proc_cpu_us(const struct proc_cpu *p);

#endif
