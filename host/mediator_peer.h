/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One connection. It is read a little at a time, never waited for, and dropped when it does
 * not read what it is sent, says nothing at first, or breaks the protocol.
 */
#ifndef HOST_MEDIATOR_PEER_H
#define HOST_MEDIATOR_PEER_H

#include <sys/types.h>

#include "../common/frame.h"
#include "log.h"
#include "mediator.h"
#include "mediator_owner.h"

enum peer_kind {
	PEER_DEVICE,
	PEER_CLIENT
};

struct peer {
	TAILQ_ENTRY(peer) link;
	struct owner owner; /* its vm comes with HELLO */
	enum peer_kind kind;
	uint32_t id;
	uid_t uid;
	pid_t pid;
	int fd;
	struct event *read;
	struct event *timer; /* HELLO is due, or reading goes on */
	struct frame_rx rx;
	char doom[160]; /* not empty: to be dropped for this */

	struct throttle frames;
	bool holding; /* a message that must wait for its turn */
	union frame_message held;
	int held_fds[VGPU_FRAME_FDS_MAX];
};

/* Takes over @fd, also when it fails. 0 or a negative errno. */
int peer_new(struct mediator *m, enum peer_kind kind, int fd);

/* Hang up and forget; its channels end. */
void peer_free(struct peer *p);

/* Send one message without waiting. A peer that does not take it is as good as gone. */
void peer_send(struct peer *p, const void *message);

/*
 * A line about the peer, unless there were too many about its user's connections: then their
 * number stands in a later one.
 */
__attribute__((format(printf, 3, 4))) void peer_log(struct peer *p, enum log_level level,
						    const char *fmt, ...);

/* The state of this peer's user. */
struct user_slot *peer_user(struct peer *p);

/* Drop it soon, from the event loop, and say why in the log. */
__attribute__((format(printf, 2, 3))) void peer_doom(struct peer *p, const char *fmt, ...);

#endif
