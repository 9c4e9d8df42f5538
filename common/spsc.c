/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spsc.h"

#include <errno.h>

#include "shm.h"

void spsc_producer_init(struct spsc_producer *p, const struct spsc_shape *at)
{
	*p = (struct spsc_producer){ .at = *at };
}

void spsc_consumer_init(struct spsc_consumer *c, const struct spsc_shape *at)
{
	*c = (struct spsc_consumer){ .at = *at };
}

static void *slot_at(const struct spsc_shape *at, uint32_t index)
{
	return (char *)at->slots + (size_t)(index & (at->entries - 1)) * at->slot_bytes;
}

uint32_t spsc_room(struct spsc_producer *p)
{
	uint32_t used;

	if (p->dead)
		return 0;
	/* Acquire: the consumer has finished reading the slots that it gives back. */
	p->cons = shm_load_acquire(p->at.cons);
	used = p->prod - p->cons; /* mod 2^32 */
	/* Only published slots can have been taken, so used never exceeds entries. */
	if (used > p->at.entries || used < p->prod - p->published) {
		p->dead = -EPROTO;
		return 0;
	}
	return p->at.entries - used;
}

int spsc_produce(struct spsc_producer *p, const void *slot)
{
	if (p->dead)
		return p->dead;
	if (p->prod - p->cons == p->at.entries && spsc_room(p) == 0)
		return p->dead ? p->dead : -ENOSPC;

	shm_copy_out(slot_at(&p->at, p->prod), slot, p->at.slot_bytes);
	p->prod++;
	return 0;
}

bool spsc_publish(struct spsc_producer *p)
{
	uint32_t old = p->published;
	uint32_t event;

	if (p->prod == old)
		return false;
	p->published = p->prod;
	shm_store_release(p->at.prod, p->prod);
	/* Our index must be out before we look whether the peer went to sleep. */
	shm_full_fence();
	event = shm_load(p->at.event);
	/* event in (old, prod], modulo 2^32 */
	return p->prod - event < p->prod - old;
}

static void fetch_next(const struct spsc_consumer *c)
{
	const char *slot = slot_at(&c->at, c->cons);

	shm_prefetch(slot);
	if (c->at.slot_bytes > 64)
		shm_prefetch(slot + 64);
}

bool spsc_pending(const struct spsc_consumer *c)
{
	/*
	 * Fetch the slot together with the index: when the index is seen to move,
	 * the slot's lines are already on their way instead of a second miss later.
	 */
	fetch_next(c);
	return c->dead || c->prod != c->cons || shm_load(c->at.prod) != c->cons;
}

int spsc_consume(struct spsc_consumer *c, void *slot, uint32_t limit)
{
	if (c->dead)
		return c->dead;
	if (c->prod == c->cons) {
		uint32_t prod = shm_load_acquire(c->at.prod);

		if (prod - c->cons > limit || prod - c->cons > c->at.entries) {
			c->dead = -EPROTO;
			return c->dead;
		}
		c->prod = prod;
		if (prod == c->cons)
			return -EAGAIN;
	}
	shm_copy_in(slot, slot_at(&c->at, c->cons), c->at.slot_bytes);
	c->cons++;
	/* Release: the slot is read before the producer may fill it again. */
	shm_store_release(c->at.cons, c->cons);
	/* The next one's lines come while this one is worked on. */
	if (c->prod != c->cons)
		fetch_next(c);
	return 0;
}

bool spsc_sleep(struct spsc_consumer *c)
{
	if (c->dead || c->prod != c->cons)
		return false;
	shm_store(c->at.event, c->cons + 1);
	/* The wish must be out before the last look, or both sides wait for ever. */
	shm_full_fence();
	return shm_load(c->at.prod) == c->cons;
}
