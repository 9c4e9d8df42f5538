/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "channel.h"

#include <errno.h>
#include <string.h>

#include "../common/rings.h"
#include "../common/shm.h"

void channel_format(struct channel *ch, void *base, uint64_t bytes)
{
	uint8_t *at = base;
	struct vgpu_channel_header header = {
		.magic = VGPU_CHANNEL_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.total_bytes = bytes,
		.index_offset = VGPU_PAGE_BYTES,
		.req_offset = 2 * VGPU_PAGE_BYTES,
		.req_entries = CHANNEL_ENTRIES,
		.rsp_entries = CHANNEL_ENTRIES,
		.window_offset = CHANNEL_OVERHEAD,
		.window_bytes = bytes - CHANNEL_OVERHEAD,
	};
	static const uint64_t zeros[VGPU_PAGE_BYTES / sizeof(uint64_t)];
	uint8_t *index = at + header.index_offset;
	struct spsc_shape shape;

	header.rsp_offset =
		header.req_offset + CHANNEL_ENTRIES * (uint32_t)sizeof(struct vgpu_request);
	_Static_assert(CHANNEL_ENTRIES * sizeof(struct vgpu_response) % VGPU_PAGE_BYTES == 0,
		       "rings are whole pages");
	for (uint32_t page = header.index_offset; page < header.window_offset;
	     page += VGPU_PAGE_BYTES)
		shm_copy_out(at + page, zeros, sizeof(zeros));
	shm_copy_out(at, &header, sizeof(header));

	*ch = (struct channel){
		.window = at + header.window_offset,
		.window_bytes = header.window_bytes,
		.host_closed = (uint32_t *)(index + VGPU_INDEX_HOST_CLOSED),
		.guest_closed = (uint32_t *)(index + VGPU_INDEX_GUEST_CLOSED),
	};
	shape = rings_requests(index, at + header.req_offset, CHANNEL_ENTRIES);
	spsc_producer_init(&ch->req, &shape);
	shape = rings_responses(index, at + header.rsp_offset, CHANNEL_ENTRIES);
	spsc_consumer_init(&ch->rsp, &shape);
}

int channel_reason(int32_t code)
{
	/* Later minor versions may add to the table, at its end. */
	return code <= VGPU_EINVAL && code > VGPU_EINVAL - 1000 ? code : VGPU_EPROTO;
}

int channel_poison(struct channel *ch)
{
	ch->dead = VGPU_EPROTO;
	shm_store_release(ch->guest_closed, (uint32_t)VGPU_EPROTO);
	return VGPU_EPROTO;
}

/* An id whose place is free: answers may overtake each other, so the next one's need not be. */
static uint32_t choose_id(struct channel *ch)
{
	while (ch->flights[ch->next_id % CHANNEL_ENTRIES].due)
		ch->next_id++;
	return ch->next_id++;
}

/* The request will have a response. */
static int expect(struct channel *ch, struct vgpu_request *req, struct cause *why)
{
	uint32_t place;

	/* Nothing in flight, and yet an answer: caught before it can pass for one. */
	if (ch->in_flight == 0 && spsc_pending(&ch->rsp)) {
		channel_poison(ch);
		return because(why, VGPU_EPROTO, "host: sent a response to no request");
	}
	/* So the response ring cannot overflow. */
	if (ch->in_flight == CHANNEL_ENTRIES)
		return because(why, VGPU_EBUSY, "channel: %u requests in flight", CHANNEL_ENTRIES);
	req->id = choose_id(ch);
	place = req->id % CHANNEL_ENTRIES;
	ch->flights[place].due = true;
	ch->flights[place].id = req->id;
	ch->flights[place].asked = req->data_len;
	ch->in_flight++;
	return 0;
}

int channel_submit(struct channel *ch, struct vgpu_request *req, struct cause *why)
{
	int rc;

	if (__builtin_expect(ch->dead, 0))
		return because(why, ch->dead, "host: broke the protocol");
	if (!(req->flags & VGPU_REQ_NO_RESPONSE)) {
		rc = expect(ch, req, why);
		if (rc)
			return rc;
	}
	rc = spsc_produce(&ch->req, req);
	if (rc >= 0)
		return rc;
	channel_poison(ch);
	return because(why, VGPU_EPROTO, "host: %s",
		       rc == -ENOSPC ? "answered requests that it has not taken"
				     : "moved the index of requests taken beyond the ring");
}

int channel_take(struct channel *ch, struct vgpu_response *rsp, struct cause *why)
{
	uint32_t place, asked;
	int rc = 0;

	if (ch->dead) /* say so again: the host may have written over it */
		return because(why, channel_poison(ch), "host: broke the protocol");
	if (!spsc_consume(&ch->rsp, rsp))
		return -EAGAIN;
	place = rsp->id % CHANNEL_ENTRIES;
	asked = ch->flights[place].asked;
	if (!ch->flights[place].due || ch->flights[place].id != rsp->id)
		rc = because(why, VGPU_EPROTO, "host: response with id %u, which no request has",
			     rsp->id);
	else if (rsp->data_len > asked)
		rc = because(why, VGPU_EPROTO, "host: response %u: %u bytes of data for %u asked",
			     rsp->id, rsp->data_len, asked);
	else if (rsp->status < 0 && channel_reason(rsp->status) != rsp->status)
		rc = because(why, VGPU_EPROTO, "host: response %u: impossible status %d", rsp->id,
			     rsp->status);
	if (rc)
		return channel_poison(ch);
	ch->flights[place].due = false;
	ch->in_flight--;
	return 0;
}
