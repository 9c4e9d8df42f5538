/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A program of work.h's as the one who asks it sees it. */
#ifndef TESTS_BENCH_PEER_H
#define TESTS_BENCH_PEER_H

#include <sched.h>
#include <stdio.h>
#include <sys/types.h>

#include "bench.h"

struct peer {
	const char *name;
	pid_t pid;
	FILE *commands, *answers;
	char command[96]; /* the last, for complaints */
};

/* @cpus: NULL all. It has opened its GPU when the first answer comes. */
void peer_start(struct peer *p, const char *name, const char *const argv[], const cpu_set_t *cpus);
/* Returns 0, or -1 if it did not end well, after a complaint. */
int peer_stop(struct peer *p);
/* After a failure. */
void peer_kill(struct peer *p);

/* The rest returns 0, or -1 after a complaint: it ended, or does not answer. Kill it then. */
int peer_ask(struct peer *p, const char *command);
/* Adds what it answers to @out. */
int peer_answer(struct peer *p, struct samples *out);
/* Answers in words. */
int peer_answer_text(struct peer *p, char *text, size_t len);

#endif
