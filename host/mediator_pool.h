/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Warm workers. Bringing up a GPU takes the third of a second, so a few workers wait ready.
 * Workers that fail to come up are tried again after growing pauses, never in a storm.
 */
#ifndef HOST_MEDIATOR_POOL_H
#define HOST_MEDIATOR_POOL_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "worker_control.h"

struct mediator;
struct worker_proc;

TAILQ_HEAD(worker_list, worker_proc);

struct pool {
	struct worker_list workers; /* all there are, serving ones too */
	uint32_t warming;
	uint32_t idle;
	uint32_t total;
	int worker_stderr;   /* where workers' stderr goes, -1: ours */
	bool started;        /* the first worker has reported */
	uint32_t failures;   /* in a row */
	bool hopeless;       /* a channel that needs a new worker had better be told so now */
	char cause[200];     /* of the last failure */
	struct event *retry; /* pending: no new workers before it fires */

	bool have_info;
	bool fallback; /* auto found no GPU: the last READY said so */
	struct backend_info info;
};

int pool_init(struct mediator *m);
void pool_dispose(struct mediator *m);

/* Start or retire workers so that pool_size are ready besides @waiting channels' ones. */
void pool_balance(struct mediator *m);

/* An idle worker, or NULL. It is the scheduler's from here on. */
struct worker_proc *pool_take(struct mediator *m);

/* From worker.c, for workers without a channel. */
void pool_worker_ready(struct mediator *m, struct worker_proc *w);
void pool_worker_gone(struct mediator *m, struct worker_proc *w, const char *how);

#endif
