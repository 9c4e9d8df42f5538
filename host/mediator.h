/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor: one thread, one event loop, no GPU, no guest memory.
 *
 *   listener -> peer -> vm -> channel -> worker
 *
 * A peer is a connection; a vm is who pays for it: the QEMU behind a device connection, or a
 * local user with all his connections. A channel belongs to a peer and is served by a worker
 * process. Each side may vanish at any time; a channel outlives its peer until its worker is
 * gone, so that limits count what really runs.
 */
#ifndef HOST_MEDIATOR_H
#define HOST_MEDIATOR_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "mediator_config.h"
#include "mediator_pool.h"
#include "mediator_throttle.h"

struct listener;
struct peer;
struct vm;
struct channel;
struct xen_service;

TAILQ_HEAD(vm_list, vm);
TAILQ_HEAD(peer_list, peer);
TAILQ_HEAD(channel_list, channel);

/*
 * What users cost merely by connecting, by a hash of the user: those who share a place share its
 * limits, which costs a flooding user's neighbour some patience and nobody any memory.
 */
#define USER_SLOTS 64

struct user_slot {
	struct throttle greetings;
	struct throttle lines; /* of the log, about connections */
	uint32_t untold;       /* lines left out since the last one */
};

struct mediator {
	struct event_base *base;
	struct mediator_config config;

	struct vm_list vms;
	struct peer_list peers;
	uint32_t peer_count;
	uint32_t next_id; /* of peers, for the log */
	struct user_slot users[USER_SLOTS];

	struct channel_list channels; /* oldest first */
	uint32_t channel_count;
	uint64_t window_bytes;

	struct pool pool;
	struct xen_service *xen; /* NULL: Xen guests are not served */

	bool draining;

	/* The first worker reported: 0, or why there is none. Called once; may be NULL. */
	void (*on_started)(struct mediator *m, int status);
	/* What a supervisor of ours should show changed; may be NULL. */
	void (*on_status)(struct mediator *m);
	/* Draining, and the last worker is gone; may be NULL. */
	void (*on_drained)(struct mediator *m);
};

/* 0 or -ENOMEM. @config is copied. */
int mediator_init(struct mediator *m, const struct mediator_config *config);

/* Drops peers, kills workers, frees all; may be called twice. */
void mediator_dispose(struct mediator *m);

/*
 * No new channels; running commands may finish for @timeout_ms, then the workers are killed.
 * Calling it again with a shorter time is how a second signal hurries it.
 */
void mediator_drain(struct mediator *m, uint32_t timeout_ms);

/* The configuration's run-time part changed. */
void mediator_reconfigured(struct mediator *m);

#endif
