/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A public call on its way: take the handle, wait until requests may be sent, send, wait.
 *
 * Between call_begin() and call_end() the thread holds the handle's lock, except while one of these
 * functions waits; what it has looked up in tables may be another then.
 *
 * Nobody signals that the request ring has room. So that a full ring never has to be polled, every
 * CHANNEL_ENTRIES / 2 requests that no answer has come behind a mark goes with them, a NOP that is
 * answered: its answer says that the host has taken all before it.
 */
#ifndef GUEST_CALL_H
#define GUEST_CALL_H

#include <string.h>

#include "private.h"

struct call {
	struct vgpu *vgpu;
	int64_t deadline_ns; /* -1 never */
	struct cause why;    /* valid after a failure */
};

/* Take the handle; on failure it is not held. */
int call_begin(struct call *c, struct vgpu *vgpu);

/* An error that CUDA calls sticky: the context is done for, and so is the host's worker. */
bool error_ends_handle(int rc);

/* A finished call's result, told to vgpu_last_error(); gives the handle back. */
int call_end(struct call *c, int rc);

/* What call_end() does, for a result that is no failure of the call itself: a state, asked for. */
int call_end_quietly(struct call *c, int rc);

/* Requests that may follow a call_ready() before the next one, marks not counted. */
#define CALL_REQUESTS 4u

/* Wait until requests may be sent: the ring has room, and no late answer is due. */
int call_ready(struct call *c);

/* Send a request that has no response. */
int call_post(struct call *c, struct vgpu_request *req);

/* Send a request and go on: call_wait() gets its answer, if it is waited for. */
int call_send(struct call *c, struct vgpu_request *req, struct answer *answer);

/*
 * Send a request whose answer nobody waits for: @block, if any, is free then, and @func due. An
 * error in it answers a later call.
 */
int call_detach(struct call *c, struct vgpu_request *req, struct window_block *block,
		struct host_func *func);

/*
 * Wait for the answer. Where it does not come, @block is freed when it does, else it stays the
 * caller's. Returns the response's status where there is one.
 */
int call_wait(struct call *c, struct answer *answer, struct window_block *block);

/* Do not wait for it: as if call_wait() had timed out. */
void call_abandon(struct call *c, struct answer *answer, struct window_block *block);

/*
 * One request and its answer: the response's status where one came, else an error that a request
 * without an answer had before. @block: where the answer goes; it is freed on failure.
 */
int call_round_trip(struct call *c, struct vgpu_request *req, struct vgpu_response *rsp,
		    struct window_block *block);

/* The same, but errors of earlier requests stay for another call: this one makes something. */
int call_create(struct call *c, struct vgpu_request *req, struct vgpu_response *rsp,
		struct window_block *block);

/* @rc, or, if it is 0, the error that is still to be told. */
int call_result(struct call *c, int rc);

/*
 * Bytes of the window until call_unstage(): @want, or at least @least. Waits until there are.
 * VGPU_EQUOTA: there never will.
 */
int call_stage(struct call *c, uint64_t want, uint64_t least, struct window_block **out);

/* All @bytes, for a request that may be sent now: what call_ready() says too. */
int call_stage_ready(struct call *c, uint64_t bytes, struct window_block **out);
void call_unstage(struct call *c, struct window_block *block);

/* Others may be waiting for what has changed here: tell them. */
void call_changed(struct call *c);

/* Give up the lock for something that takes long, and take it again. */
void call_pause(struct call *c);
void call_resume(struct call *c);

/* Copy a string of the host's, terminated whatever it sent. */
void call_text(char *out, size_t out_size, const char *in, size_t in_size);

/* @args is a struct of the protocol. */
#define call_args(req, args)                                                                       \
	do {                                                                                       \
		_Static_assert(sizeof(args) <= sizeof((req)->args), "arguments fit");              \
		memcpy((req)->args, &(args), sizeof(args));                                        \
	} while (0)

static inline uint8_t *call_window(const struct call *c, const struct window_block *block)
{
	return c->vgpu->channel.window + block->offset;
}

#endif
