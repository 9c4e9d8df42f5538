/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a worker reaches a channel's pages and the guest behind them. Everything above this seam
 * is the same for all transports; everything below trusts neither the guest nor what the
 * supervisor says about the guest's memory.
 *
 * wait() belongs to the ring thread; notify() may be called by any thread. Does not log.
 */
#ifndef HOST_TRANSPORT_H
#define HOST_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include "worker_control.h"

struct transport;

struct transport_ops {
	/*
	 * Map the channel. On success the descriptors belong to @t, on failure they stay the
	 * caller's and nothing is left. Returns 0 or a negative VGPU_E*; @why gets the cause.
	 */
	int (*attach)(struct transport *t, const struct worker_assign *assign, const int *fds,
		      uint32_t nfds, char *why, size_t why_len);

	/* Sleep until the guest signals. Also returns, for no reason, when a signal came in. */
	void (*wait)(struct transport *t);

	/* Wake the guest. May block as long as the guest wants: the deadline covers it. */
	void (*notify)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
	void *base;      /* of the channel; the guest can write all of it at any time */
	uint64_t length; /* bytes that are mapped */
	int wait_fd;
	int notify_fd;
};

extern const struct transport_ops transport_memfd;

/* The operations of a WORKER_TRANSPORT_*, or NULL. */
const struct transport_ops *transport_find(uint32_t number);

#endif
