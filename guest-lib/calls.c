/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public calls on a handle. */
#include <string.h>

#include "call.h"
#include "../common/checked.h"
#include "../common/shm.h"

int vgpu_nop(struct vgpu *vgpu)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };
	struct vgpu_response rsp;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = call_round_trip(&c, &req, &rsp, NULL);
	return call_end(&c, rc);
}

static void take_result(struct vgpu_vector_add_result *result, const struct vgpu_response *rsp)
{
	struct vgpu_vector_add_reply reply;

	memcpy(&reply, rsp->data, sizeof(reply));
	result->elements += reply.elements;
	result->errors += reply.errors;
	result->backend = reply.backend;
	call_text(result->device, sizeof(result->device), reply.device, sizeof(reply.device));
}

int vgpu_vector_add_self_test(struct vgpu *vgpu, struct vgpu_vector_add_result *result)
{
	const struct vgpu_vector_add_args args = { .flags = VGPU_VECTOR_ADD_SELF_TEST };
	struct vgpu_request req = { .cmd = VGPU_CMD_VECTOR_ADD };
	struct vgpu_response rsp;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	if (result)
		memset(result, 0, sizeof(*result));
	call_args(&req, args);
	rc = call_ready(&c);
	if (rc == 0)
		rc = call_round_trip(&c, &req, &rsp, NULL);
	if (rc == 0 && result)
		take_result(result, &rsp);
	return call_end(&c, rc);
}

/*
 * A vector_add in pieces. Two halves of a block of the window take turns: while the host adds in
 * one, the other is filled or emptied. A half holds a (or c) and b, one after the other.
 */
struct pieces {
	const float *a, *b;
	float *c;
	size_t n;
	size_t piece; /* elements of a whole piece */
	size_t sent, done;
	struct window_block *block;
	struct answer answers[2]; /* by half */
	struct vgpu_vector_add_result *result;
};

static size_t piece_length(const struct pieces *p, size_t at)
{
	return p->n - at < p->piece ? p->n - at : p->piece;
}

/* Which half the piece is in that starts at element @at. */
static size_t piece_half(const struct pieces *p, size_t at)
{
	return at / p->piece % 2;
}

static uint64_t piece_offset(const struct pieces *p, size_t at)
{
	return p->block->offset + piece_half(p, at) * p->piece * 2 * sizeof(float);
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
	int rc;

	call_pause(c);
	shm_write_bytes(window + args.a, p->a + p->sent, n * sizeof(float));
	shm_write_bytes(window + args.b, p->b + p->sent, n * sizeof(float));
	call_resume(c);
	call_args(&req, args);
	rc = call_ready(c);
	if (rc == 0)
		rc = call_send(c, &req, &p->answers[piece_half(p, p->sent)]);
	if (rc == 0)
		p->sent += n;
	return rc;
}

static int reap_piece(struct call *c, struct pieces *p)
{
	struct answer *answer = &p->answers[piece_half(p, p->done)];
	size_t n = piece_length(p, p->done);
	struct vgpu_vector_add_reply reply;
	int rc = call_wait(c, answer, NULL);

	if (rc)
		return rc;
	memcpy(&reply, answer->rsp.data, sizeof(reply));
	if (reply.elements != n) {
		because(&c->why, VGPU_EPROTO, "host: added %u elements of %zu", reply.elements, n);
		return wait_end(c->vgpu, VGPU_EPROTO, &c->why);
	}
	call_pause(c);
	shm_read_bytes(p->c + p->done, c->vgpu->channel.window + piece_offset(p, p->done),
		       n * sizeof(float));
	call_resume(c);
	p->done += n;
	if (p->result)
		take_result(p->result, &answer->rsp);
	return 0;
}

/* One piece if all is small, else two halves of as much as there is. */
static int stage_pieces(struct call *c, struct pieces *p)
{
	const size_t align = 16; /* elements: pieces start on cache lines */
	const uint64_t bytes = c->vgpu->heap.bytes, whole = 2 * sizeof(float);
	uint64_t want = p->n <= bytes / (2 * whole) ? p->n * whole : bytes;
	int rc = call_stage(c, want, want < bytes / 8 ? want : bytes / 8, &p->block);

	if (rc)
		return rc;
	p->piece = p->block->bytes / whole;
	if (p->piece < p->n)
		p->piece = p->block->bytes / (2 * whole) / align * align;
	if (p->piece > UINT32_MAX / align * align)
		p->piece = UINT32_MAX / align * align;
	return 0;
}

static int add_pieces(struct call *c, struct pieces *p)
{
	int rc = p->n ? stage_pieces(c, p) : 0;

	while (rc == 0 && p->done < p->n) {
		if (p->sent < p->n && p->sent - p->done <= p->piece)
			rc = send_piece(c, p);
		else
			rc = reap_piece(c, p);
	}
	if (!p->block)
		return rc;
	if (p->sent > p->done && p->sent - p->done > p->piece)
		call_abandon(c, &p->answers[piece_half(p, p->done)], NULL);
	/* After a failure a piece may be under way: the last one's answer frees the block. */
	if (p->sent > p->done)
		call_abandon(c, &p->answers[piece_half(p, p->sent - 1)], p->block);
	else
		call_unstage(c, p->block);
	return rc;
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
	int rc = call_begin(&call, vgpu);

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
		rc = call_ready(&call);
	if (rc == 0)
		rc = call_result(&call, add_pieces(&call, &p));
	return call_end(&call, rc);
}

int vgpu_query_status(struct vgpu *vgpu, struct vgpu_status *status)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_QUERY_STATUS };
	struct vgpu_status_reply r = { 0 };
	struct window_block *block;
	struct vgpu_response rsp;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	req.data_len = sizeof(r);
	rc = status ? call_stage_ready(&c, sizeof(r), &block)
		    : because(&c.why, VGPU_EINVAL, "query_status: no place for the answer");
	if (rc)
		return call_end(&c, rc);
	req.data_ptr = block->offset;
	rc = call_round_trip(&c, &req, &rsp, block);
	if (rc)
		return call_end(&c, rc);
	shm_read_bytes(&r, call_window(&c, block), rsp.data_len); /* at most what was asked */
	call_unstage(&c, block);
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
	call_text(status->device, sizeof(status->device), r.device, sizeof(r.device));
	call_text(status->mediator, sizeof(status->mediator), r.mediator, sizeof(r.mediator));
	call_text(status->vm, sizeof(status->vm), r.vm, sizeof(r.vm));
	call_text(status->transport, sizeof(status->transport), vgpu->transport->name,
		  sizeof(vgpu->transport->name));
	return call_end(&c, 0);
}

int vgpu_message(struct vgpu *vgpu, const char *text)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MESSAGE };
	size_t n = text ? strlen(text) : 0;
	struct window_block *block;
	struct vgpu_response rsp;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = c.vgpu->dead;
	if (rc == 0 && n == 0)
		rc = because(&c.why, VGPU_EINVAL, "message: empty");
	else if (rc == 0 && n > VGPU_MESSAGE_MAX)
		rc = because(&c.why, VGPU_ETOOBIG, "message: %zu bytes, at most %u go", n,
			     VGPU_MESSAGE_MAX);
	if (rc == 0)
		rc = call_stage_ready(&c, n, &block);
	if (rc)
		return call_end(&c, rc);
	shm_write_bytes(call_window(&c, block), text, n);
	req.data_ptr = block->offset;
	req.data_len = (uint32_t)n;
	rc = call_round_trip(&c, &req, &rsp, block);
	if (rc == 0)
		call_unstage(&c, block);
	return call_end(&c, rc);
}

int vgpu_call(struct vgpu *vgpu, uint32_t cmd, const void *args, size_t args_len, void *data,
	      size_t *data_len, uint8_t reply[48])
{
	size_t n = data && data_len ? *data_len : 0;
	struct vgpu_request req = { .cmd = (uint16_t)cmd };
	struct window_block *block = NULL;
	struct answer answer;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = c.vgpu->dead;
	if (rc == 0 && cmd > UINT16_MAX) /* a request has no room for it */
		rc = VGPU_ENOCMD;
	else if (rc == 0 && (args_len > sizeof(req.args) || (args_len && !args)))
		rc = because(&c.why, VGPU_EINVAL, "call: %zu bytes of arguments, at most %zu go",
			     args_len, sizeof(req.args));
	else if (rc == 0 && (n > vgpu->channel.window_bytes || n > UINT32_MAX))
		rc = because(&c.why, VGPU_ERANGE, "call: %zu bytes of data, the window has %llu", n,
			     (unsigned long long)vgpu->channel.window_bytes);
	if (rc == 0)
		rc = n ? call_stage_ready(&c, n, &block) : call_ready(&c);
	if (rc)
		return call_end(&c, rc);
	if (args_len)
		memcpy(req.args, args, args_len);
	if (n) {
		shm_write_bytes(call_window(&c, block), data, n);
		req.data_ptr = block->offset;
	}
	req.data_len = (uint32_t)n;
	rc = call_send(&c, &req, &answer);
	if (rc == 0)
		rc = call_wait(&c, &answer, block);
	if (!answer.come)
		return call_end(&c, rc);
	if (data_len)
		*data_len = answer.rsp.data_len;
	if (answer.rsp.data_len)
		shm_read_bytes(data, call_window(&c, block), answer.rsp.data_len);
	if (reply)
		memcpy(reply, answer.rsp.data, sizeof(answer.rsp.data));
	call_unstage(&c, block);
	return call_end(&c, rc);
}
