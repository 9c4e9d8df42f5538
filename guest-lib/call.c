/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "call.h"

#include <string.h>

#include "fork_guard.h"
#include "../common/errors.h"

/* Of the requests in flight that wait for an answer; the others are for marks. */
#define FLIGHTS_MAX (CHANNEL_ENTRIES - 2 * CALL_REQUESTS)

int call_begin(struct call *c, struct vgpu *vgpu)
{
	if (!vgpu)
		return VGPU_EINVAL;
	if (__builtin_expect(vgpu->fork_epoch != fork_guard_epoch, 0))
		return VGPU_EFORKED;
	c->vgpu = vgpu;
	c->why.text[0] = '\0';
	pthread_mutex_lock(&vgpu->lock);
	c->deadline_ns = -1;
	if (vgpu->timeout_ms >= 0)
		c->deadline_ns = clock_deadline(vgpu->timeout_ms);
	return 0;
}

bool error_ends_handle(int rc)
{
	if (rc == GPU_ERROR_ALREADY_REGISTERED || rc == GPU_ERROR_NOT_REGISTERED)
		return false;
	return rc == GPU_ERROR_ECC || (rc >= GPU_ERROR_FAULT_FIRST && rc <= GPU_ERROR_FAULT_LAST);
}

int call_end_quietly(struct call *c, int rc)
{
	struct vgpu *h = c->vgpu;

	if (__builtin_expect(rc || h->failed, 0)) {
		if (rc && !c->why.text[0])
			because(&c->why, rc, "%s: %s", h->transport->name, error_text(rc));
		pthread_mutex_lock(&h->error_lock);
		memcpy(&h->error, &c->why, sizeof(h->error));
		pthread_mutex_unlock(&h->error_lock);
		h->failed = rc != 0;
		h->told |= error_ends_handle(rc);
	}
	pthread_mutex_unlock(&h->lock);
	return rc;
}

int call_end(struct call *c, int rc)
{
	if (__builtin_expect(rc, 0))
		c->vgpu->last_error = rc;
	return call_end_quietly(c, rc);
}

/* Is there room for what one call sends, with its marks? A ring that is broken has all. */
static bool has_room(struct vgpu *h, bool look)
{
	const struct spsc_producer *req = &h->channel.req;

	if (req->prod - req->cons <= CHANNEL_ENTRIES - 2 * CALL_REQUESTS)
		return true;
	return look && (spsc_room(&h->channel.req) >= 2 * CALL_REQUESTS || req->dead);
}

static bool may_send(struct vgpu *h, void *opaque)
{
	(void)opaque;
	return !h->late && h->channel.in_flight <= FLIGHTS_MAX && has_room(h, true);
}

int call_ready(struct call *c)
{
	struct vgpu *h = c->vgpu;

	if (__builtin_expect(h->dead, 0))
		return h->dead;
	if (__builtin_expect(!h->late && h->channel.in_flight <= FLIGHTS_MAX && has_room(h, false),
			     1))
		return 0;
	return wait_until(h, may_send, NULL, NULL, c->deadline_ns, &c->why);
}

static int put(struct call *c, struct vgpu_request *req)
{
	struct vgpu *h = c->vgpu;
	int rc = channel_submit(&h->channel, req, &c->why);

	if (rc > 0) {
		h->transport->ops->notify(h->transport);
		rc = 0;
	}
	h->sent++;
	h->unmarked++;
	return __builtin_expect(rc == VGPU_EPROTO, 0) ? wait_end(h, rc, &c->why) : rc;
}

static int put_mark(struct call *c)
{
	struct vgpu_request nop = { .cmd = VGPU_CMD_NOP };

	int rc = put(c, &nop);

	c->vgpu->unanswered = false;
	c->vgpu->unmarked = 0;
	if (rc == 0)
		c->vgpu->flights[nop.id % CHANNEL_ENTRIES].sent = c->vgpu->sent;
	return rc;
}

static int mark_if_due(struct call *c)
{
	return __builtin_expect(c->vgpu->unmarked >= CHANNEL_ENTRIES / 2, 0) ? put_mark(c) : 0;
}

int call_post(struct call *c, struct vgpu_request *req)
{
	int rc;

	req->flags |= VGPU_REQ_NO_RESPONSE;
	rc = put(c, req);
	c->vgpu->unanswered = true;
	return rc ? rc : mark_if_due(c);
}

static int put_flight(struct call *c, struct vgpu_request *req, struct flight flight)
{
	int rc = put(c, req);

	if (rc)
		return rc;
	flight.sent = c->vgpu->sent;
	c->vgpu->flights[req->id % CHANNEL_ENTRIES] = flight;
	c->vgpu->unanswered = false;
	return mark_if_due(c);
}

int call_send(struct call *c, struct vgpu_request *req, struct answer *answer)
{
	int rc;

	answer->come = false;
	rc = put_flight(c, req, (struct flight){ .answer = answer });
	answer->id = req->id;
	return rc;
}

int call_detach(struct call *c, struct vgpu_request *req, struct window_block *block,
		struct host_func *func)
{
	return put_flight(c, req, (struct flight){ .block = block, .func = func });
}

void call_abandon(struct call *c, struct answer *answer, struct window_block *block)
{
	struct flight *f = &c->vgpu->flights[answer->id % CHANNEL_ENTRIES];

	if (answer->come || f->answer != answer) {
		call_unstage(c, block);
		return;
	}
	f->answer = NULL;
	f->block = block;
	f->late = true;
	c->vgpu->late++;
}

static bool answer_came(struct vgpu *h, void *opaque)
{
	(void)h;
	return ((const struct answer *)opaque)->come;
}

int call_wait(struct call *c, struct answer *answer, struct window_block *block)
{
	int rc = wait_until(c->vgpu, answer_came, answer, answer, c->deadline_ns, &c->why);

	if (rc == 0)
		return answer->rsp.status;
	call_abandon(c, answer, block);
	return rc;
}

static int round_trip(struct call *c, struct vgpu_request *req, struct vgpu_response *rsp,
		      struct window_block *block)
{
	struct answer answer;
	int rc = call_send(c, req, &answer);

	if (rc == 0) {
		rc = call_wait(c, &answer, block);
		if (!answer.come)
			return rc;
		*rsp = answer.rsp;
	}
	if (rc)
		call_unstage(c, block);
	return rc;
}

int call_result(struct call *c, int rc)
{
	if (__builtin_expect(rc == 0 && c->vgpu->pending, 0)) {
		rc = c->vgpu->pending;
		c->vgpu->pending = 0;
	}
	return rc;
}

int call_round_trip(struct call *c, struct vgpu_request *req, struct vgpu_response *rsp,
		    struct window_block *block)
{
	int rc = round_trip(c, req, rsp, block);

	if (rc || !c->vgpu->pending)
		return rc;
	call_unstage(c, block);
	return call_result(c, 0);
}

int call_create(struct call *c, struct vgpu_request *req, struct vgpu_response *rsp,
		struct window_block *block)
{
	int rc = c->vgpu->unanswered ? put_mark(c) : 0;

	if (rc == 0)
		return round_trip(c, req, rsp, block);
	call_unstage(c, block);
	return rc;
}

struct stage {
	uint64_t want, least;
	struct window_block *block;
};

static bool stage_now(struct vgpu *h, void *opaque)
{
	struct stage *s = opaque;

	if (!s->block)
		s->block = window_stage(&h->heap, s->want, s->least);
	return s->block || !window_could_stage(&h->heap, s->least);
}

int call_stage(struct call *c, uint64_t want, uint64_t least, struct window_block **out)
{
	struct stage s = { .want = want, .least = least };
	int rc = wait_until(c->vgpu, stage_now, &s, NULL, c->deadline_ns, &c->why);

	*out = s.block;
	if (rc == 0 && !s.block)
		rc = because(&c->why, VGPU_EQUOTA,
			     "window: no %llu bytes are left beside "
			     "vgpu_host_alloc()'s",
			     (unsigned long long)least);
	return rc;
}

int call_stage_ready(struct call *c, uint64_t bytes, struct window_block **out)
{
	int rc = call_ready(c);

	*out = NULL;
	if (rc == 0)
		rc = call_stage(c, bytes, bytes, out);
	if (rc == 0)
		rc = call_ready(c);
	if (rc)
		call_unstage(c, *out);
	return rc;
}

void call_unstage(struct call *c, struct window_block *block)
{
	window_free(&c->vgpu->heap, block);
	if (block)
		call_changed(c);
}

void call_changed(struct call *c)
{
	struct vgpu *h = c->vgpu;

	wait_wake(h);
	/* The reader sleeps until there is a response: let there be one. */
	if (h->reading && h->reader_looks && !h->dead && has_room(h, true) &&
	    h->channel.in_flight < CHANNEL_ENTRIES)
		put_mark(c);
}

void call_pause(struct call *c)
{
	pthread_mutex_unlock(&c->vgpu->lock);
}

void call_resume(struct call *c)
{
	pthread_mutex_lock(&c->vgpu->lock);
}

void call_text(char *out, size_t out_size, const char *in, size_t in_size)
{
	size_t n = strnlen(in, in_size);

	if (n >= out_size)
		n = out_size - 1;
	memcpy(out, in, n);
	out[n] = '\0';
}
