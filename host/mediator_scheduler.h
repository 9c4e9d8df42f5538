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

struct vgpu_msg_open;

#define STOP_GRACE_MS 2000 /* between asking a worker to end and killing it */

enum channel_state {
	CHANNEL_WAITING,
	CHANNEL_ATTACHING,
	CHANNEL_SERVING,
	CHANNEL_ENDING,
};

struct channel {
	TAILQ_ENTRY(channel) link;
	struct mediator *m;
	struct vm *vm;
	struct peer *peer; /* NULL once it is gone */
	struct worker_proc *worker;
	enum channel_state state;
	uint32_t number; /* the peer's */
	uint64_t offset;
	uint64_t length;
	int fds[3]; /* while WAITING, then -1 */
	uint32_t open_seq;
	uint32_t close_seq;
	bool opened; /* the peer was told OPENED with 0 */
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
bool sched_room_soon(const struct peer *peer, uint64_t length);

/* OPEN, with its three descriptors, which are the callee's. The answer goes to the peer. */
void sched_open(struct peer *peer, const struct vgpu_msg_open *open, const int fds[3]);

/* CLOSE. Answered when the channel's worker is gone. */
void sched_close(struct peer *peer, uint32_t number, uint32_t seq);

/* The peer is no more: end its channels. */
void sched_peer_gone(struct peer *peer);

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
