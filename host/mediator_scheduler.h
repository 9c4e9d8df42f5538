/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Channels: who may have one, when, and with which worker.
 *
 *   OPEN -> WAITING -> ATTACHING -> SERVING -> ENDING -> gone
 *            for a      for the                 for the
 *            worker     worker's word           worker's end
 */
#ifndef HOST_MEDIATOR_SCHEDULER_H
#define HOST_MEDIATOR_SCHEDULER_H

#include "mediator.h"
#include "worker_control.h"

struct owner;

#define STOP_GRACE_MS 2000 /* between asking a worker to end and killing it */

enum channel_state {
	CHANNEL_WAITING,
	CHANNEL_ATTACHING,
	CHANNEL_SERVING,
	CHANNEL_ENDING,
};

/* What an owner asks for. */
struct channel_request {
	uint32_t number;    /* the owner's */
	uint32_t seq;       /* the owner's, comes back when it is opened */
	uint32_t transport; /* WORKER_TRANSPORT_* */
	uint64_t offset;    /* of its memory; 0 on Xen */
	uint64_t length;    /* bytes of it, all pages counted */
	int fds[WORKER_FDS_MAX];
	uint32_t nfds;
	struct worker_xen xen; /* all 0 on other transports */
};

struct channel {
	TAILQ_ENTRY(channel) link;
	struct mediator *m;
	struct vm *vm;
	struct owner *owner; /* NULL once it is gone */
	struct worker_proc *worker;
	enum channel_state state;
	struct channel_request rq; /* its descriptors while WAITING, then -1 */
	uint32_t close_seq;
	bool opened; /* the owner was told so */
	bool close_asked;
	uint64_t ending_us; /* when ENDING began, by clock_us() */
	int32_t reason;     /* why it ends */
	char why[104];
	char label[288]; /* for the log: vm 3 "alpha": channel 0 */
};

/*
 * Is an OPEN of this length over a limit only because of channels that are about to be gone?
 * Closing a channel does not wait for its worker's end, so opening the next one may have to.
 */
bool sched_room_soon(const struct owner *owner, uint64_t length);

/* Open a channel; its descriptors are the callee's. The answer goes to the owner. */
void sched_open(struct owner *owner, const struct channel_request *rq);

/* Close it. The owner is told when the channel's worker is gone, at once if there is none. */
void sched_close(struct owner *owner, uint32_t number, uint32_t seq);

/*
 * The same for owners whose closing has no answer: @reason 0, or the rule that the guest broke.
 * Its worker has @grace_ms to end; again with less hurries it.
 */
void sched_end(struct owner *owner, uint32_t number, int32_t reason, const char *why,
	       uint32_t grace_ms);

/* The owner is no more: end its channels, and let their workers have @grace_ms for that. */
void sched_owner_gone(struct owner *owner, uint32_t grace_ms);

/* Give waiting channels to idle workers. */
void sched_dispatch(struct mediator *m);

/* No worker can be had: tell the waiting channels. */
void sched_fail_waiting(struct mediator *m, int32_t error, const char *why);

/* End all channels. */
void sched_drain(struct mediator *m, uint32_t timeout_ms);

uint32_t sched_waiting(const struct mediator *m);

/* From worker.c. */
void sched_worker_attached(struct worker_proc *w, int32_t status, const char *why);
void sched_worker_message(struct worker_proc *w, const char *text, size_t len);
void sched_worker_gone(struct worker_proc *w, const char *how);

#endif
