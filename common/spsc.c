/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spsc.h"

#include <errno.h>
#include <string.h>

#include "shm.h"

#define LINE_BYTES 64u

void spsc_producer_init(struct spsc_producer *p, const struct spsc_shape *at)
{
	*p = (struct spsc_producer){ .at = *at };
}

void spsc_consumer_init(struct spsc_consumer *c, const struct spsc_shape *at)
{
	*c = (struct spsc_consumer){ .at = *at };
}

static uint64_t *slot_at(const struct spsc_shape *at, uint32_t index)
{
	return (uint64_t *)at->slots + (index & (at->entries - 1)) * (at->slot_bytes / 8);
}

uint32_t spsc_room(struct spsc_producer *p)
{
	uint32_t used;

	if (p->dead)
		return 0;
	/* Acquire: the consumer has finished reading the slots that it gives back. */
	p->cons = shm_load_acquire(p->at.cons);
	used = p->prod - p->cons; /* mod 2^32 */
	/* Only what was produced can have been taken, so used never exceeds entries. */
	if (used > p->at.entries) {
		p->dead = -EPROTO;
		return 0;
	}
	return p->at.entries - used;
}

/*
 * The line with the number last, and without pause: the consumer looks at it all the time, and
 * would take it away half filled.
 */
static void fill(uint64_t *to, const void *slot, uint32_t bytes, uint32_t seq)
{
	uint32_t beside;

	if (bytes > LINE_BYTES)
		shm_copy_out(to + LINE_BYTES / 8, (const uint8_t *)slot + LINE_BYTES,
			     bytes - LINE_BYTES);
	shm_copy_out(to + 1, (const uint8_t *)slot + 8, LINE_BYTES - 8);
	memcpy(&beside, (const uint8_t *)slot + 4, sizeof(beside));
	/* Release: who sees the number sees the rest of the slot. */
	shm_store_release64(to, (uint64_t)beside << 32 | seq);
}

int spsc_produce(struct spsc_producer *p, const void *slot)
{
	uint32_t at = p->prod;

	if (p->dead)
		return p->dead;
	if (p->prod - p->cons == p->at.entries && spsc_room(p) == 0)
		return p->dead ? p->dead : -ENOSPC;

	p->prod++;
	fill(slot_at(&p->at, at), slot, p->at.slot_bytes, p->prod);
	/* The slot must be out before we look whether the peer went to sleep. */
	shm_full_fence();
	return shm_load(p->at.event) == p->prod;
}

/* Is the next slot there? */
static bool has_come(const struct spsc_consumer *c)
{
	return (uint32_t)shm_load_acquire64(slot_at(&c->at, c->cons)) == c->cons + 1;
}

/* A slot's second line: it comes with the first instead of a second miss later. */
static void fetch_rest(const struct spsc_consumer *c)
{
	if (c->at.slot_bytes > LINE_BYTES)
		shm_prefetch(slot_at(&c->at, c->cons) + LINE_BYTES / 8);
}

bool spsc_pending(const struct spsc_consumer *c)
{
	fetch_rest(c);
	return has_come(c);
}

bool spsc_consume(struct spsc_consumer *c, void *slot)
{
	if (!has_come(c))
		return false;
	shm_copy_in(slot, slot_at(&c->at, c->cons), c->at.slot_bytes);
	c->cons++;
	/* Release: the slot is read before the producer may fill it again. */
	shm_store_release(c->at.cons, c->cons);
	/* The next one's lines come while this one is worked on. */
	shm_prefetch(slot_at(&c->at, c->cons));
	fetch_rest(c);
	return true;
}

bool spsc_sleep(struct spsc_consumer *c)
{
	shm_store(c->at.event, c->cons + 1);
	/* The wish must be out before the last look, or both sides wait for ever. */
	shm_full_fence();
	return !has_come(c);
}
