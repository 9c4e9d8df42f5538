// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A hostile host against the guest library's end of a channel: indices, slots and closing
 * words of its choice, between any two steps of the guest.
 */
#include "fuzz.h"

#include <errno.h>

#include "../../guest-lib/channel.h"
#include "../../host/worker_channel.h"

static uint32_t *word(uint8_t *base, uint32_t offset)
{
	return (uint32_t *)(void *)(base + VGPU_PAGE_BYTES + offset);
}

/* The page that the guest writes is one that the host accepts. */
static void check_header(const uint8_t *base, uint64_t bytes)
{
	struct channel_geometry geometry;
	struct vgpu_channel_header header;
	const char *why;

	memcpy(&header, base, sizeof(header));
	MUST(channel_header_check(&header, bytes, &geometry, &why) == 0);
	MUST(geometry.index_offset == VGPU_PAGE_BYTES && geometry.total_bytes <= bytes);
}

static uint32_t produced; /* by the host */

/* A response that is nearly right, at the place where the next one belongs. */
static void answer(struct channel *ch, struct input *in)
{
	uint8_t how = input_u8(in);
	/* to one of the last requests, in any order */
	struct vgpu_response rsp = { .id = ch->next_id - 1 - (how >> 5) };
	uint32_t slot = produced & (ch->rsp.at.entries - 1);

	if (how & 1)
		rsp.id += (uint32_t)input_u8(in) - 128;
	if (how & 2)
		rsp.status = (int32_t)input_u32(in);
	if (how & 4)
		rsp.status = VGPU_EINVAL - input_u8(in);
	if (how & 8)
		rsp.data_len = (uint32_t)input_near(in, ch->window_bytes);
	rsp.seq = produced + 1;
	if (how & 16)
		rsp.seq = input_u32(in);
	else
		produced++;
	memcpy((uint8_t *)ch->rsp.at.slots + slot * sizeof(rsp), &rsp, sizeof(rsp));
}

static void take(struct channel *ch)
{
	uint32_t in_flight = channel_in_flight(ch), place;
	int was_dead = ch->dead;
	struct vgpu_response rsp;
	struct cause why = { 0 };
	int rc = channel_take(ch, &rsp, &why);

	MUST(rc == 0 || rc == -EAGAIN || rc == VGPU_EPROTO);
	MUST(!was_dead || rc == VGPU_EPROTO);
	if (rc == 0) {
		place = rsp.id % CHANNEL_ENTRIES;
		MUST(in_flight > 0 && rsp.id == ch->flights[place].id);
		MUST(!ch->flights[place].due);
		MUST(rsp.data_len <= ch->flights[place].asked);
		MUST(rsp.status >= 0 || rsp.status <= VGPU_EINVAL);
		MUST(channel_in_flight(ch) == in_flight - 1);
	} else if (rc == VGPU_EPROTO) {
		MUST(*ch->guest_closed == (uint32_t)VGPU_EPROTO);
	}
}

static void submit(struct channel *ch, uint32_t data_len, uint32_t flags)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP, .flags = flags, .data_len = data_len };
	struct cause why = { 0 };
	int rc = channel_submit(ch, &req, &why);

	MUST(rc == 0 || rc == 1 || rc == VGPU_EBUSY || rc == VGPU_EPROTO);
	MUST(channel_in_flight(ch) <= CHANNEL_ENTRIES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint64_t bytes = CHANNEL_BYTES_MIN + (uint64_t)(input_u8(&in) % 4) * VGPU_PAGE_BYTES;
	uint8_t *base = aligned_alloc(VGPU_PAGE_BYTES, bytes);
	struct channel ch;

	MUST(base);
	memset(base, 0xa5, bytes);
	channel_format(&ch, base, bytes);
	produced = 0;
	check_header(base, bytes);

	while (in.left) {
		uint8_t op = input_u8(&in);

		switch (op % 8) {
		case 0:
			submit(&ch, (op >> 3) * 100u, op >> 7 ? VGPU_REQ_NO_RESPONSE : 0);
			break;
		case 1:
			take(&ch);
			break;
		case 2:
		case 3:
			answer(&ch, &in);
			break;
		case 4:
			produced = ch.rsp.cons + (op >> 4); /* from here on, leaving some out */
			break;
		case 5:
			*ch.req.at.cons = ch.req.prod - (op >> 4);
			break;
		case 6:
			*word(base, (uint32_t)(op >> 3) * 128 % VGPU_PAGE_BYTES) = input_u32(&in);
			break;
		default:
			base[input_u32(&in) % bytes] ^= (uint8_t)(op >> 3);
			MUST(channel_reason((int32_t)input_u32(&in)) <= VGPU_EINVAL);
		}
	}
	free(base);
	return 0;
}
