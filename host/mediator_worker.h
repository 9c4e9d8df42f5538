/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One worker process as its supervisor sees it: started, told, watched, reaped. What it says
 * and how it ends goes to the pool until it serves a channel, and to the scheduler from then on.
 */
#ifndef HOST_MEDIATOR_WORKER_H
#define HOST_MEDIATOR_WORKER_H

#include <sys/types.h>

#include "mediator.h"
#include "mediator_throttle.h"
#include "worker_control.h"

enum worker_state {
	WORKER_STATE_WARMING,
	WORKER_STATE_IDLE,     /* READY, in the pool */
	WORKER_STATE_ASSIGNED, /* has a channel, not ATTACHED yet */
	WORKER_STATE_SERVING,
};

struct worker_proc {
	TAILQ_ENTRY(worker_proc) link; /* in the pool's list of all workers */
	struct mediator *m;
	struct channel *channel; /* from ASSIGNED on, never changed back */
	enum worker_state state;
	pid_t pid;
	int pidfd;
	int control;
	struct event *exit_event;
	struct event *control_event;
	struct event *timer; /* it should have reported, or be gone, by then */
	bool asked;          /* to end, by us */
	bool ending;         /* told to stop, or said that it ends */
	bool told_why;       /* FAILED or ENDED came */
	bool killed;         /* by us */
	int32_t reason;
	char why[200];
	uint64_t since_us; /* of this state */
	struct throttle lines;
	struct worker_ready ready;
};

/* 0, or a negative errno; the worker is then WARMING, in m->pool's list. */
int proc_start(struct mediator *m, struct worker_proc **out);

/* Hand over a channel. The descriptors stay the caller's. 0 or a negative errno. */
int proc_assign(struct worker_proc *w, struct channel *ch, const struct worker_assign *assign,
		const int *fds, uint32_t nfds);

/* Ask it to end; kill it when @grace_ms are over. Again with less time hurries it. */
void proc_stop(struct worker_proc *w, uint32_t grace_ms);
void proc_kill(struct worker_proc *w);

/* Kill, reap and forget it without telling anybody: for the very end. */
void proc_abandon(struct worker_proc *w);

#endif
