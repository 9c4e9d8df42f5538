/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public calls on a handle. */
#include <string.h>

#include "fork_guard.h"
#include "private.h"
#include "../common/checked.h"
#include "../common/errors.h"
#include "../common/shm.h"

/* What one public call needs on its way. */
struct call {
	struct vgpu *vgpu;
	int64_t deadline_ns; /* -1 never */
	struct cause why;    /* valid after a failure */
};

/* Answers that earlier calls gave up on, before the window is used for anything else. */
static int drain(struct call *c)
{
	struct vgpu_response late;
	int rc = 0;

	while (rc == 0 && channel_in_flight(&c->vgpu->channel))
		rc = wait_response(c->vgpu, &late, c->deadline_ns, &c->why);
	return rc;
}

/* Take the handle; on failure it is not held. */
static int begin(struct call *c, struct vgpu *vgpu)
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

/* A finished call's result, told to vgpu_last_error(); gives the handle back. */
static int end(struct call *c, int rc)
{
	struct vgpu *h = c->vgpu;

	if (__builtin_expect(rc || h->failed, 0)) {
		if (rc && !c->why.text[0])
			because(&c->why, rc, "%s: %s", h->transport->name, error_text(rc));
		pthread_mutex_lock(&h->error_lock);
		memcpy(&h->error, &c->why, sizeof(h->error));
		pthread_mutex_unlock(&h->error_lock);
		h->failed = rc != 0;
	}
	pthread_mutex_unlock(&h->lock);
	return rc;
}

/* May requests be sent? Not on a dead channel, and not while late answers are due. */
static int ready(struct call *c)
{
	if (__builtin_expect(c->vgpu->dead, 0))
		return c->vgpu->dead;
	if (__builtin_expect(channel_in_flight(&c->vgpu->channel), 0))
		return drain(c);
	return 0;
}

static int submit(struct call *c, struct vgpu_request *req)
{
	struct vgpu *h = c->vgpu;
	int rc = channel_submit(&h->channel, req, &c->why);

	if (rc > 0) {
		h->transport->ops->notify(h->transport);
		rc = 0;
	}
	return rc == VGPU_EPROTO ? wait_end(h, rc, &c->why) : rc;
}

/* One request and its answer. Returns the response's status where one came. */
static int round_trip(struct call *c, struct vgpu_request *req, struct vgpu_response *rsp)
{
	int rc = submit(c, req);

	if (rc == 0)
		rc = wait_response(c->vgpu, rsp, c->deadline_ns, &c->why);
	return rc ? rc : rsp->status;
}

int vgpu_nop(struct vgpu *vgpu)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };
	struct vgpu_response rsp;
	struct call c;
	int rc = begin(&c, vgpu);

	if (rc)
		return rc;
	rc = ready(&c);
	if (rc == 0)
		rc = round_trip(&c, &req, &rsp);
	return end(&c, rc);
}

/* Copy a string of the host's, terminated whatever it sent. */
static void take_text(char *out, size_t out_size, const char *in, size_t in_size)
{
	size_t n = strnlen(in, in_size);

	if (n >= out_size)
		n = out_size - 1;
	memcpy(out, in, n);
	out[n] = '\0';
}

static void take_result(struct vgpu_vector_add_result *result, const struct vgpu_response *rsp)
{
	struct vgpu_vector_add_reply reply;

	memcpy(&reply, rsp->data, sizeof(reply));
	result->elements += reply.elements;
	result->errors += reply.errors;
	result->backend = reply.backend;
	take_text(result->device, sizeof(result->device), reply.device, sizeof(reply.device));
}

int vgpu_vector_add_self_test(struct vgpu *vgpu, struct vgpu_vector_add_result *result)
{
	const struct vgpu_vector_add_args args = { .flags = VGPU_VECTOR_ADD_SELF_TEST };
	struct vgpu_request req = { .cmd = VGPU_CMD_VECTOR_ADD };
	struct vgpu_response rsp;
	struct call c;
	int rc = begin(&c, vgpu);

	if (rc)
		return rc;
	if (result)
		memset(result, 0, sizeof(*result));
	memcpy(req.args, &args, sizeof(args));
	rc = ready(&c);
	if (rc == 0)
		rc = round_trip(&c, &req, &rsp);
	if (rc == 0 && result)
		take_result(result, &rsp);
	return end(&c, rc);
}

/*
 * A vector_add in pieces. The window's two halves take turns: while the host adds in one,
 * the other is filled or emptied. A half holds a (or c) and b, one after the other.
 */
struct pieces {
	const float *a, *b;
	float *c;
	size_t n;
	size_t piece; /* elements of a whole piece */
	size_t sent, done;
	struct vgpu_vector_add_result *result;
};

static size_t piece_length(const struct pieces *p, size_t at)
{
	return p->n - at < p->piece ? p->n - at : p->piece;
}

/* Window offset of the piece that starts at element @at. */
static uint64_t piece_offset(const struct pieces *p, size_t at)
{
	return at / p->piece % 2 * p->piece * 2 * sizeof(float);
}

static int send_piece(struct call *c, struct pieces *p)
{
	size_t n = piece_length(p, p->sent);
	uint64_t at = piece_offset(p, p->sent);
	uint8_t *window = c->vgpu->channel.window;
	struct vgpu_request req = { .cmd = VGPU_CMD_VECTOR_ADD };
	struct vgpu_vector_add_args args = {
		.a = at,
		.b = at + p->piece * sizeof(float),
		.c = at,
		.n = (uint32_t)n,
	};

	shm_write_bytes(window + args.a, p->a + p->sent, n * sizeof(float));
	shm_write_bytes(window + args.b, p->b + p->sent, n * sizeof(float));
	memcpy(req.args, &args, sizeof(args));
	p->sent += n;
	return submit(c, &req);
}

static int reap_piece(struct call *c, struct pieces *p)
{
	size_t n = piece_length(p, p->done);
	struct vgpu_vector_add_reply reply;
	struct vgpu_response rsp;
	int rc = wait_response(c->vgpu, &rsp, c->deadline_ns, &c->why);

	if (rc == 0)
		rc = rsp.status;
	if (rc)
		return rc;
	memcpy(&reply, rsp.data, sizeof(reply));
	if (reply.elements != n) {
		because(&c->why, VGPU_EPROTO, "host: added %u elements of %zu", reply.elements, n);
		return wait_end(c->vgpu, VGPU_EPROTO, &c->why);
	}
	shm_read_bytes(p->c + p->done, c->vgpu->channel.window + piece_offset(p, p->done),
		       n * sizeof(float));
	p->done += n;
	if (p->result)
		take_result(p->result, &rsp);
	return 0;
}

static int add_pieces(struct call *c, struct pieces *p)
{
	const size_t align = 16; /* elements: pieces start on cache lines */
	int rc = 0;

	p->piece = c->vgpu->channel.window_bytes / (4 * sizeof(float)) / align * align;
	if (p->piece > UINT32_MAX / align * align)
		p->piece = UINT32_MAX / align * align;
	while (rc == 0 && p->done < p->n) {
		if (p->sent < p->n && channel_in_flight(&c->vgpu->channel) < 2)
			rc = send_piece(c, p);
		else
			rc = reap_piece(c, p);
	}
	return rc; /* after a failure a piece may be under way: the next call drains it */
}

/* May the result go there? Onto an operand exactly, or clear of it. */
static bool result_fits(const float *c, const float *operand, uint64_t bytes)
{
	return c == operand || !checked_overlap((uintptr_t)c, bytes, (uintptr_t)operand, bytes);
}

int vgpu_vector_add(struct vgpu *vgpu, const float *a, const float *b, float *c, size_t n,
		    struct vgpu_vector_add_result *result)
{
	struct pieces p = { .a = a, .b = b, .c = c, .n = n, .result = result };
	struct call call;
	uint64_t bytes;
	int rc = begin(&call, vgpu);

	if (rc)
		return rc;
	if (result)
		memset(result, 0, sizeof(*result));
	rc = call.vgpu->dead;
	if (rc == 0 && n && (!a || !b || !c))
		rc = because(&call.why, VGPU_EINVAL, "vector_add: an array is NULL");
	else if (rc == 0 && !checked_mul(n, sizeof(float), &bytes))
		rc = because(&call.why, VGPU_EINVAL, "vector_add: %zu elements are no array", n);
	else if (rc == 0 && n && !(result_fits(c, a, bytes) && result_fits(c, b, bytes)))
		rc = because(&call.why, VGPU_EINVAL, "vector_add: c overlaps a or b partly");
	if (rc == 0 && n)
		rc = ready(&call);
	if (rc == 0)
		rc = add_pieces(&call, &p);
	return end(&call, rc);
}

int vgpu_query_status(struct vgpu *vgpu, struct vgpu_status *status)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_QUERY_STATUS };
	struct vgpu_status_reply r = { 0 };
	struct vgpu_response rsp;
	struct call c;
	int rc = begin(&c, vgpu);

	if (rc)
		return rc;
	req.data_len = sizeof(r);
	rc = status ? ready(&c)
		    : because(&c.why, VGPU_EINVAL, "query_status: no place for the answer");
	if (rc == 0)
		rc = round_trip(&c, &req, &rsp);
	if (rc)
		return end(&c, rc);
	shm_read_bytes(&r, vgpu->channel.window, rsp.data_len); /* at most what was asked */
	*status = (struct vgpu_status){
		.protocol_version = r.protocol_version,
		.backend = r.backend,
		.fallback = !!(r.flags & VGPU_STATUS_FALLBACK),
		.channel = r.channel,
		.requests = r.requests,
		.errors = r.errors,
		.uptime_ms = r.uptime_ms,
		.window_bytes = r.window_bytes,
		.memory_total = r.memory_total,
		.memory_free = r.memory_free,
		.compute_major = r.compute_major,
		.compute_minor = r.compute_minor,
		.driver_version = r.driver_version,
		.runtime_version = r.runtime_version,
		.deadline_ms = r.deadline_ms,
	};
	take_text(status->device, sizeof(status->device), r.device, sizeof(r.device));
	take_text(status->mediator, sizeof(status->mediator), r.mediator, sizeof(r.mediator));
	take_text(status->vm, sizeof(status->vm), r.vm, sizeof(r.vm));
	take_text(status->transport, sizeof(status->transport), vgpu->transport->name,
		  sizeof(vgpu->transport->name));
	return end(&c, 0);
}

int vgpu_message(struct vgpu *vgpu, const char *text)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MESSAGE };
	size_t n = text ? strlen(text) : 0;
	struct vgpu_response rsp;
	struct call c;
	int rc = begin(&c, vgpu);

	if (rc)
		return rc;
	rc = c.vgpu->dead;
	if (rc == 0 && n == 0)
		rc = because(&c.why, VGPU_EINVAL, "message: empty");
	else if (rc == 0 && n > VGPU_MESSAGE_MAX)
		rc = because(&c.why, VGPU_ETOOBIG, "message: %zu bytes, at most %u go", n,
			     VGPU_MESSAGE_MAX);
	if (rc == 0)
		rc = ready(&c);
	if (rc)
		return end(&c, rc);
	shm_write_bytes(vgpu->channel.window, text, n);
	req.data_len = (uint32_t)n;
	return end(&c, round_trip(&c, &req, &rsp));
}

int vgpu_call(struct vgpu *vgpu, uint32_t cmd, const void *args, size_t args_len, void *data,
	      size_t *data_len, uint8_t reply[48])
{
	size_t n = data && data_len ? *data_len : 0;
	struct vgpu_request req = { .cmd = cmd };
	struct vgpu_response rsp;
	struct call c;
	int rc = begin(&c, vgpu);

	if (rc)
		return rc;
	rc = c.vgpu->dead;
	if (rc == 0 && (args_len > sizeof(req.args) || (args_len && !args)))
		rc = because(&c.why, VGPU_EINVAL, "call: %zu bytes of arguments, at most %zu go",
			     args_len, sizeof(req.args));
	else if (rc == 0 && (n > vgpu->channel.window_bytes || n > UINT32_MAX))
		rc = because(&c.why, VGPU_ERANGE, "call: %zu bytes of data, the window has %llu", n,
			     (unsigned long long)vgpu->channel.window_bytes);
	if (rc == 0)
		rc = ready(&c);
	if (rc)
		return end(&c, rc);
	if (args_len)
		memcpy(req.args, args, args_len);
	if (n)
		shm_write_bytes(vgpu->channel.window, data, n);
	req.data_len = (uint32_t)n;
	rc = submit(&c, &req);
	if (rc == 0)
		rc = wait_response(vgpu, &rsp, c.deadline_ns, &c.why);
	if (rc)
		return end(&c, rc);
	if (data_len)
		*data_len = rsp.data_len;
	if (rsp.data_len)
		shm_read_bytes(data, vgpu->channel.window, rsp.data_len);
	if (reply)
		memcpy(reply, rsp.data, sizeof(rsp.data));
	return end(&c, rsp.status);
}
