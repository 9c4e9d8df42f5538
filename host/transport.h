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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../protocol/vgpu_channel.h"
#include "worker_control.h"

struct transport;

#define TRANSPORT_FOREVER (-1)

struct transport_ops {
	/*
	 * Map the channel, and copy its header page, once, to @header; what in it is the
	 * transport's own is checked, used and 0 afterwards. On success the descriptors belong
	 * to @t, on failure they stay the caller's. Returns 0 or a negative VGPU_E*; @why gets
	 * the cause.
	 */
	int (*attach)(struct transport *t, const struct worker_assign *assign, const int *fds,
		      uint32_t nfds, struct vgpu_channel_header *header, char *why, size_t why_len);

	/*
	 * Sleep until the guest signals, or for @timeout_us (TRANSPORT_FOREVER: no limit). Returns
	 * false when that time was up. Also returns, for no reason, when a signal came in.
	 */
	bool (*wait)(struct transport *t, int64_t timeout_us);

	/* Wake the guest. May block as long as the guest wants: the deadline covers it. */
	void (*notify)(struct transport *t);

	/*
	 * Does the guest's side of the channel live no more? Asked after a wait() that brought no
	 * request, and now and then by the control thread while a command runs. NULL: others tell.
	 */
	bool (*gone)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
	void *base;          /* of the channel; the guest can write all of it at any time */
	uint64_t length;     /* bytes that are mapped */
	uint32_t idle_wakes; /* the last so many returns of wait() brought no request */
	bool registrable;    /* the GPU's driver may pin these pages */
	int wait_fd;
	int notify_fd;
};

extern const struct transport_ops transport_memfd;

#endif
