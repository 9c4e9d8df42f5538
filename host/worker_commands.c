// SPDX-License-Identifier: GPL-2.0-or-later
#include "worker_commands.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "../common/checked.h"
#include "../common/errors.h"
#include "../common/shm.h"
#include "../protocol/vgpu_version.h"

/* Does the command use bytes of the window through data_ptr and data_len? */
enum data_use {
	NO_DATA,
	WINDOW_DATA
};

struct command {
	int (*run)(struct commands *c, const struct vgpu_request *req, struct vgpu_response *rsp);
	uint32_t args_bytes; /* what lies behind them in args is 0 */
	enum data_use data;
};

static int run_nop(struct commands *c, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	(void)c;
	(void)req;
	(void)rsp;
	return 0;
}

static void vector_add_reply(const struct commands *c, struct vgpu_response *rsp, uint32_t elements,
			     uint32_t errors)
{
	struct vgpu_vector_add_reply reply = {
		.elements = elements,
		.errors = errors,
		.backend = c->info->kind,
	};

	memcpy(reply.device, c->info->device, strnlen(c->info->device, sizeof(reply.device) - 1));
	memcpy(rsp->data, &reply, sizeof(reply));
}

/* Floats in [-1000, 1000): their sums are exact in any order that IEEE 754 allows: there is one. */
static void fill_random(float *v, size_t n)
{
	uint64_t x = 0;

	if (getrandom(&x, sizeof(x), GRND_NONBLOCK) != sizeof(x))
		x = clock_us();
	x |= 1;
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13; /* xorshift64 */
		x ^= x >> 7;
		x ^= x << 17;
		v[i] = (float)(int32_t)(x >> 32) * (1000.0f / 2147483648.0f);
	}
}

/* The host's own elements, never the guest's memory: is the backend right? */
static int vector_add_self_test(struct commands *c, struct vgpu_response *rsp)
{
	enum {
		N = VGPU_SELF_TEST_ELEMENTS
	};
	_Alignas(64) float a[N], b[N], sum[N];
	uint32_t errors = 0;
	int rc;

	fill_random(a, N);
	fill_random(b, N);
	memset(sum, 0xff, sizeof(sum)); /* NaNs: an element left out cannot pass */
	rc = c->ops->vector_add(c->backend, a, b, sum, N);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < N; i++)
		errors += !(sum[i] == a[i] + b[i]);
	vector_add_reply(c, rsp, N, errors);
	return 0;
}

/* c may be a or b; one that is neither must keep clear of both. */
static bool result_overlaps(uint64_t result, uint64_t operand, uint64_t bytes)
{
	return result != operand && checked_overlap(result, bytes, operand, bytes);
}

static int run_vector_add(struct commands *c, const struct vgpu_request *req,
			  struct vgpu_response *rsp)
{
	struct vgpu_vector_add_args args;
	uint64_t bytes;
	int rc;

	memcpy(&args, req->args, sizeof(args));
	if (args.flags & ~VGPU_VECTOR_ADD_SELF_TEST)
		return VGPU_EINVAL;
	if (args.flags & VGPU_VECTOR_ADD_SELF_TEST) {
		if (args.a || args.b || args.c || args.n)
			return VGPU_EINVAL;
		return vector_add_self_test(c, rsp);
	}

	if (args.n == 0 || !checked_aligned(args.a | args.b | args.c, sizeof(float)))
		return VGPU_EINVAL;
	bytes = (uint64_t)args.n * sizeof(float);
	if (!checked_range(args.a, bytes, c->window_bytes) ||
	    !checked_range(args.b, bytes, c->window_bytes) ||
	    !checked_range(args.c, bytes, c->window_bytes))
		return VGPU_ERANGE;
	if (result_overlaps(args.c, args.a, bytes) || result_overlaps(args.c, args.b, bytes))
		return VGPU_EINVAL;

	rc = c->ops->vector_add(c->backend, (const float *)(const void *)(c->window + args.a),
				(const float *)(const void *)(c->window + args.b),
				(float *)(void *)(c->window + args.c), args.n);
	if (rc == 0)
		vector_add_reply(c, rsp, args.n, 0);
	return rc;
}

static int run_query_status(struct commands *c, const struct vgpu_request *req,
			    struct vgpu_response *rsp)
{
	struct vgpu_status_reply reply = {
		.protocol_version = VGPU_PROTOCOL_VERSION,
		.backend = c->info->kind,
		.flags = c->status_flags,
		.channel = c->channel,
		.requests = c->requests,
		.errors = c->errors,
		.uptime_ms = (clock_us() - c->started_us) / 1000,
		.window_bytes = c->window_bytes,
		.compute_major = c->info->compute_major,
		.compute_minor = c->info->compute_minor,
		.driver_version = c->info->driver_version,
		.runtime_version = c->info->runtime_version,
		.deadline_ms = c->deadline_ms,
		.mediator = VGPU_RELEASE,
	};
	uint32_t n = sizeof(reply);
	int rc;

	if (req->data_len == 0)
		return VGPU_EINVAL;
	rc = c->ops->memory(c->backend, &reply.memory_total, &reply.memory_free);
	if (rc)
		return rc;
	snprintf(reply.device, sizeof(reply.device), "%s", c->info->device);
	snprintf(reply.vm, sizeof(reply.vm), "%s", c->vm);
	if (n > req->data_len)
		n = req->data_len;
	shm_write_bytes(c->window + req->data_ptr, &reply, n);
	rsp->data_len = n;
	return 0;
}

static int run_message(struct commands *c, const struct vgpu_request *req,
		       struct vgpu_response *rsp)
{
	char text[VGPU_MESSAGE_MAX];

	(void)rsp;
	if (req->data_len == 0)
		return VGPU_EINVAL;
	if (req->data_len > sizeof(text))
		return VGPU_ETOOBIG;
	if (throttle_take(&c->messages, c->message_rate, c->message_rate, clock_us()))
		return VGPU_ETHROTTLED;
	shm_read_bytes(text, c->window + req->data_ptr, req->data_len);
	return c->message(c->message_opaque, text, req->data_len);
}

static const struct command commands[] = {
	[VGPU_CMD_NOP] = { run_nop, 0, NO_DATA },
	[VGPU_CMD_VECTOR_ADD] = { run_vector_add, sizeof(struct vgpu_vector_add_args), NO_DATA },
	[VGPU_CMD_QUERY_STATUS] = { run_query_status, 0, WINDOW_DATA },
	[VGPU_CMD_MESSAGE] = { run_message, 0, WINDOW_DATA },
};

static bool args_are_zero(const struct vgpu_request *req, uint32_t from)
{
	uint64_t any = 0, word;

	/* args_bytes of every command is a multiple of 8, as sizeof(args) is */
	for (; from < sizeof(req->args); from += sizeof(word)) {
		memcpy(&word, req->args + from, sizeof(word));
		any |= word;
	}
	return any == 0;
}

static int dispatch(struct commands *c, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	const struct command *cmd;

	if (req->cmd >= sizeof(commands) / sizeof(commands[0]) || !commands[req->cmd].run)
		return VGPU_ENOCMD;
	cmd = &commands[req->cmd];
	if (req->flags & ~VGPU_REQ_FLAGS_ALL || !args_are_zero(req, cmd->args_bytes))
		return VGPU_EINVAL;
	if (cmd->data == NO_DATA && (req->data_len || req->data_ptr))
		return VGPU_EINVAL;
	if (!checked_range(req->data_ptr, req->data_len, c->window_bytes))
		return VGPU_ERANGE;
	return cmd->run(c, req, rsp);
}

/* Errors of a single call pass; those of a broken context answer every later call as well. */
static bool backend_is_lost(struct commands *c)
{
	uint64_t total, free_bytes;

	return c->ops->memory(c->backend, &total, &free_bytes) != 0;
}

void commands_init(struct commands *c)
{
	c->requests = 0;
	c->errors = 0;
	c->sticky = 0;
	c->backend_lost = false;
	c->started_us = clock_us();
	c->messages = (struct throttle){ 0 };
}

bool commands_run(struct commands *c, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	int status;

	*rsp = (struct vgpu_response){ .id = req->id };
	c->requests++;
	status = dispatch(c, req, rsp);
	if (__builtin_expect(status != 0, 0)) {
		c->errors++;
		if (status > 0 || status == VGPU_EBACKEND)
			c->backend_lost = backend_is_lost(c);
	}

	if (req->flags & VGPU_REQ_NO_RESPONSE) {
		if (!c->sticky)
			c->sticky = status;
		return false;
	}
	if (status == 0) {
		status = c->sticky;
		c->sticky = 0;
	}
	if (__builtin_expect(status != 0, 0))
		*rsp = (struct vgpu_response){ .id = req->id, .status = status };
	return true;
}
