/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the library's files know of each other. Never installed. */
#ifndef GUEST_PRIVATE_H
#define GUEST_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "gpu.h"
#include "last_error.h"
#include "log.h"
#include "transport.h"
#include "vgpuguest.h"
#include "window_heap.h"

#define OPEN_TIMEOUT_MS 30000 /* of vgpu_open() where the caller sets none */

/* A response that a thread waits for. */
struct answer {
	struct vgpu_response rsp;
	uint32_t id;
	bool come;
};

/* What becomes of a response, by its id's place. */
struct flight {
	struct answer *answer;      /* NULL: nobody waits for it */
	struct window_block *block; /* of the window: free then */
	struct host_func *func;     /* due then */
	uint32_t sent;              /* requests, this one included */
	bool late;                  /* its call has given up */
};

struct sleeper;

struct vgpu {
	pthread_mutex_t lock; /* guards all up to `error_lock`; a call that waits gives it up */
	uint32_t fork_epoch;  /* that of the process that opened this */
	int dead;             /* 0, or what every further call returns */
	int ended;            /* what those return that were waiting then */
	bool failed;          /* `error` is not empty */
	bool told;            /* a call has returned an error that ends the handle */
	bool reading;         /* a thread takes responses, for all that wait */
	bool reader_looks;    /* and what it waits for itself may come without one */
	bool unanswered;      /* requests without a response since the last one with one */
	int timeout_ms;       /* of a call; -1 none */
	int64_t spin_ns;      /* 0: sleep at once */
	bool spin_gives_way;  /* to others who want the processor: unless it was asked for */
	uint32_t sent;        /* requests */
	uint32_t unmarked;    /* requests since the last mark, see call.h */
	uint32_t late;        /* responses due that nobody waits for any more */
	uint32_t news;        /* counts what those that wait may be waiting for */
	int pending;          /* error of a request that nobody waited for; not told yet */
	int last_error;       /* for vgpu_get_last_error() */
	struct channel channel;
	struct transport *transport;
	struct log log;
	struct sleeper *sleepers; /* threads that wait and do not read */
	struct flight flights[CHANNEL_ENTRIES];
	struct window_heap heap;
	struct gpu gpu;

	pthread_mutex_t error_lock; /* so that vgpu_last_error() need not wait for a call */
	struct cause error;
};

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t clock_now_ns(void);

/* The instant @timeout_ms from now; -1 (never) stays -1. */
int64_t clock_deadline(int timeout_ms);

/* Milliseconds until @deadline_ns, rounded up, for poll(); -1 for never, 0 if it passed. */
int clock_left_ms(int64_t deadline_ns);

/* How many CPUs this process may use. */
unsigned int usable_cpus(void);

/* A thread of the library's: signals are the program's own business. Returns 0 or an errno. */
int thread_start(pthread_t *thread, void *(*run)(void *), void *opaque);

/*
 * The channel is over: @rc is what the call under way returns, @why has its cause. Where the
 * memory itself went away, which looks like a broken protocol, both are put right.
 */
int wait_end(struct vgpu *vgpu, int rc, struct cause *why);

/*
 * Wait until channel_take() has something to say. By one thread at a time, which has the reader's
 * part, and without the lock. Returns 0, VGPU_ETIMEDOUT, or why nobody serves the channel.
 */
int wait_pending(struct vgpu *vgpu, int64_t deadline_ns, struct cause *why);

/*
 * With the lock, which is given up meanwhile: wait until @come says so. @of: the answer that this
 * is about; NULL: look whenever anything has changed. One of the threads that wait has the reader's
 * part: it takes responses for all. @deadline_ns: -1 never.
 * Returns 0, VGPU_ETIMEDOUT, or why the channel ended, which is final.
 */
int wait_until(struct vgpu *vgpu, bool (*come)(struct vgpu *vgpu, void *opaque), void *opaque,
	       const struct answer *of, int64_t deadline_ns, struct cause *why);

/* Something else changed that others may be waiting for. */
void wait_wake(struct vgpu *vgpu);

#endif
