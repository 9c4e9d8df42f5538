/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library's files know of each other. Never installed. */
#ifndef GUEST_PRIVATE_H
#define GUEST_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "last_error.h"
#include "log.h"
#include "transport.h"
#include "vgpuguest.h"

#define OPEN_TIMEOUT_MS 30000 /* of vgpu_open() where the caller sets none */

struct vgpu {
	pthread_mutex_t lock; /* one call at a time; guards all up to `error_lock` */
	uint32_t fork_epoch;  /* that of the process that opened this */
	int dead;             /* 0, or what every further call returns */
	bool failed;          /* `error` is not empty */
	int timeout_ms;       /* of a call; -1 none */
	int64_t spin_ns;      /* 0: sleep at once */
	struct channel channel;
	struct transport *transport;
	struct log log;

	pthread_mutex_t error_lock; /* so that vgpu_last_error() need not wait for a call */
	struct cause error;
};

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t clock_now_ns(void);

/* The instant @timeout_ms from now; -1 (never) stays -1. */
int64_t clock_deadline(int timeout_ms);

/* Milliseconds until @deadline_ns, rounded up, for poll(); -1 for never, 0 if it passed. */
int clock_left_ms(int64_t deadline_ns);

/*
 * The channel is over: @rc is what the call under way returns, @why has its cause. Where the
 * memory itself went away, which looks like a broken protocol, both are put right.
 */
int wait_end(struct vgpu *vgpu, int rc, struct cause *why);

/*
 * Wait for the answer to the oldest request in flight. @deadline_ns: -1 never.
 * Returns 0 with *@rsp checked as far as every response can be (its status is the
 * caller's to look at), VGPU_ETIMEDOUT, or why the channel ended, which is final.
 */
int wait_response(struct vgpu *vgpu, struct vgpu_response *rsp, int64_t deadline_ns,
		  struct cause *why);

#endif
