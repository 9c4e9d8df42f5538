/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One direction of a channel: a ring with one producer and one consumer that do
 * not trust each other. The guest produces requests and consumes responses, the
 * host the other way round; all four ends are this code. vgpu_channel.h states
 * the protocol.
 *
 * A slot's first four bytes are its number, which the ring writes: one more with each
 * slot, modulo 2^32, from 1 on. What a caller has there is not looked at.
 *
 * Each end belongs to one thread at a time. Nothing here blocks, logs or calls
 * the system: whoever is told "signal" or "sleep" does it.
 */
#ifndef COMMON_SPSC_H
#define COMMON_SPSC_H

#include <stdbool.h>
#include <stdint.h>

/* Where a ring lies in shared memory. */
struct spsc_shape {
	uint32_t *cons; /* index lines */
	uint32_t *event;
	void *slots;         /* entries * slot_bytes, aligned to 64 */
	uint32_t slot_bytes; /* 64 or 128 */
	uint32_t entries;    /* a power of two */
};

struct spsc_producer {
	struct spsc_shape at;
	uint32_t prod; /* slots produced */
	uint32_t cons; /* as last seen */
	int dead;
};

struct spsc_consumer {
	struct spsc_shape at;
	uint32_t cons; /* slots taken */
};

/* Both ends start with slot 1; the memory's creator zeroes slots and index page. */
void spsc_producer_init(struct spsc_producer *p, const struct spsc_shape *at);
void spsc_consumer_init(struct spsc_consumer *c, const struct spsc_shape *at);

/*
 * Hand over one slot, a copy of @slot.
 * Returns 1, the peer sleeps and must be signalled; 0; -ENOSPC, full; -EPROTO, the peer's index
 * is impossible, which is final.
 */
int spsc_produce(struct spsc_producer *p, const void *slot);

/* Slots that can be produced now, by a fresh look at the peer's index; 0 if dead. */
uint32_t spsc_room(struct spsc_producer *p);

/* Copy the next slot out of the ring and give its place back. False: there is none. */
bool spsc_consume(struct spsc_consumer *c, void *slot);

/*
 * Ask to be signalled at the next slot. True: sleep now, the signal will come.
 * False: a slot came in meanwhile; consume instead.
 */
bool spsc_sleep(struct spsc_consumer *c);

/* A cheap look for polling loops: is there something to consume? */
bool spsc_pending(const struct spsc_consumer *c);

#endif
