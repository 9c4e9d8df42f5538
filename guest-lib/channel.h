/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The guest's end of a channel: two ring halves and the window. The host is not
 * trusted: what it writes is copied once and checked here.
 */
#ifndef GUEST_CHANNEL_H
#define GUEST_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "last_error.h"
#include "vgpuguest.h"
#include "../common/spsc.h"
#include "../protocol/vgpu_channel.h"

/*
 * Of both rings. Once around, each side looks at how far the other one is, which costs a cache miss
 * each: few enough entries make that part of the 99th percentile.
 */
#define CHANNEL_ENTRIES 256u

/* Bytes before the window; the smallest channel has one page of window. */
#define CHANNEL_OVERHEAD                                                                           \
	(2 * VGPU_PAGE_BYTES +                                                                     \
	 CHANNEL_ENTRIES * (uint32_t)(sizeof(struct vgpu_request) + sizeof(struct vgpu_response)))
#define CHANNEL_BYTES_MIN (CHANNEL_OVERHEAD + VGPU_PAGE_BYTES)

struct channel {
	struct spsc_producer req;
	struct spsc_consumer rsp;
	int dead;           /* 0 or VGPU_EPROTO */
	uint32_t next_id;   /* of the next request that wants a response */
	uint32_t in_flight; /* how many of those have none yet */
	struct {
		bool due;
		uint32_t id;
		uint32_t asked;     /* the request's data_len */
	} flights[CHANNEL_ENTRIES]; /* by id: no two at a time have the same place */
	uint8_t *window;
	uint64_t window_bytes;
	uint32_t *host_closed; /* shared words that say why a side gave up */
	uint32_t *guest_closed;
};

/*
 * Lay a channel out in @bytes of shared memory at @base: clears index page and rings
 * and writes the header. @bytes: whole pages, at least CHANNEL_BYTES_MIN.
 */
void channel_format(struct channel *ch, void *base, uint64_t bytes);

static inline uint32_t channel_in_flight(const struct channel *ch)
{
	return ch->in_flight;
}

/*
 * Put a request (its id is set here) on the ring. The caller has seen that the ring has room, or
 * knows that the host has taken what it answered.
 * Returns 1: the host sleeps and must be notified; 0; VGPU_EBUSY, as many requests as may be wait
 * for a response; VGPU_EPROTO, final.
 */
int channel_submit(struct channel *ch, struct vgpu_request *req, struct cause *why);

/*
 * Take the next answer, to any of the requests in flight: its id says which. Does not block.
 * Returns 0; -EAGAIN, none yet; VGPU_EPROTO, the host broke the protocol: final, and
 * the host can read so in GUEST_CLOSED.
 */
int channel_take(struct channel *ch, struct vgpu_response *rsp, struct cause *why);

/* Give up on the host, which broke the protocol, and let it read so. Returns VGPU_EPROTO. */
int channel_poison(struct channel *ch);

/* A VGPU_E* as the host may send it: @code if it can be one, else VGPU_EPROTO. */
int channel_reason(int32_t code);

#endif
