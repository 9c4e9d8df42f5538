// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both ends of a ring against a peer that writes what it likes into indices and slots. They
 * stay inside the ring, take nothing but the next slot, and once dead remain so.
 */
#include "fuzz.h"

#include <errno.h>

#include "../../common/spsc.h"

#define SLOT_BYTES 64u

struct hostile {
	uint32_t cons, event;
};

static void *aligned(size_t bytes)
{
	void *p = aligned_alloc(64, bytes);

	MUST(p);
	memset(p, 0x5a, bytes);
	return p;
}

static void drive_producer(struct spsc_producer *p, struct hostile *h, struct input *in)
{
	uint8_t slot[SLOT_BYTES] = { 1 };
	uint32_t room, before;
	int rc;

	while (in->left) {
		uint8_t op = input_u8(in);
		int was_dead = p->dead;

		switch (op % 5) {
		case 0:
			h->cons = p->prod - (op >> 4);
			break;
		case 1:
			h->cons = input_u32(in);
			break;
		case 2:
			h->event = p->prod + (uint32_t)(op >> 4) - 8;
			break;
		case 3:
			room = spsc_room(p);
			MUST(room <= p->at.entries && (!p->dead || room == 0));
			break;
		default:
			before = p->prod;
			rc = spsc_produce(p, slot);
			MUST(rc == 0 || rc == 1 || rc == -ENOSPC || rc == -EPROTO);
			MUST(rc < 0 || (rc == 1) == (h->event == p->prod));
			MUST(p->prod == before + (rc >= 0));
			MUST(!was_dead || rc == -EPROTO);
		}
		MUST(!was_dead || p->dead == was_dead);
		MUST(p->dead || p->prod - p->cons <= p->at.entries);
	}
}

/* The number in the place of the slot behind @index others. */
static uint32_t *number_at(const struct spsc_consumer *c, uint32_t index)
{
	return (uint32_t *)((uint8_t *)c->at.slots + index % c->at.entries * SLOT_BYTES);
}

static void drive_consumer(struct spsc_consumer *c, struct hostile *h, struct input *in)
{
	uint8_t slot[SLOT_BYTES];
	uint32_t before, *seq;
	bool next;

	while (in->left) {
		uint8_t op = input_u8(in);

		before = c->cons;
		/* of the next slot, or of one behind it */
		seq = number_at(c, before + (op >> 7));
		next = *number_at(c, before) == before + 1;
		switch (op % 5) {
		case 0:
			*seq = before + (op >> 4 & 7);
			break;
		case 1:
			*seq = input_u32(in);
			break;
		case 2:
			MUST(spsc_pending(c) == next);
			break;
		case 3:
			MUST(spsc_sleep(c) == !next);
			MUST(h->event == before + 1);
			break;
		default:
			MUST(spsc_consume(c, slot) == next);
			MUST(c->cons == before + next);
			MUST(h->cons == c->cons);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct hostile *h = aligned(64);
	uint8_t mode = input_u8(&in);
	struct spsc_shape at = {
		.cons = &h->cons,
		.event = &h->event,
		.slot_bytes = SLOT_BYTES,
		.entries = 2u << (mode >> 1) % 4,
	};
	struct spsc_producer p;
	struct spsc_consumer c;

	memset(h, 0, sizeof(*h));
	at.slots = aligned((size_t)at.entries * SLOT_BYTES);
	if (mode & 1) {
		spsc_producer_init(&p, &at);
		drive_producer(&p, h, &in);
	} else {
		spsc_consumer_init(&c, &at);
		drive_consumer(&c, h, &in);
	}
	free(at.slots);
	free(h);
	return 0;
}
