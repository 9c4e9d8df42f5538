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
	gpu_command_fn *gpu; /* or this */
	uint32_t args_bytes; /* what lies behind them in args is 0 */
	enum data_use data;
	bool must_answer; /* it makes no sense with VGPU_REQ_NO_RESPONSE */
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

#define ARGS(type) .args_bytes = sizeof(struct vgpu_##type##_args)
#define WINDOW .data = WINDOW_DATA
#define ANSWERS .must_answer = true

static const struct command commands[] = {
	[VGPU_CMD_NOP] = { .run = run_nop },
	[VGPU_CMD_VECTOR_ADD] = { .run = run_vector_add, ARGS(vector_add) },
	[VGPU_CMD_QUERY_STATUS] = { .run = run_query_status, WINDOW },
	[VGPU_CMD_MESSAGE] = { .run = run_message, WINDOW },
	[VGPU_CMD_DEVICE_INFO] = { .gpu = gpu_device_info, ARGS(device), WINDOW },
	[VGPU_CMD_DEVICE_SET] = { .gpu = gpu_device_set, ARGS(device) },
	[VGPU_CMD_MEMORY_INFO] = { .gpu = gpu_memory_info },
	[VGPU_CMD_ALLOC] = { .gpu = gpu_alloc, ARGS(alloc), ANSWERS },
	[VGPU_CMD_FREE] = { .gpu = gpu_free, ARGS(free) },
	[VGPU_CMD_MEMSET] = { .gpu = gpu_memset, ARGS(memset) },
	[VGPU_CMD_COPY] = { .gpu = gpu_copy, ARGS(copy) },
	[VGPU_CMD_WRITE] = { .gpu = gpu_write, ARGS(write) },
	[VGPU_CMD_READ] = { .gpu = gpu_read, ARGS(read), ANSWERS },
	[VGPU_CMD_MODULE_DATA] = { .gpu = gpu_module_data, ARGS(module_data), WINDOW },
	[VGPU_CMD_MODULE_LOAD] = { .gpu = gpu_module_load, ARGS(module), WINDOW },
	[VGPU_CMD_MODULE_UNLOAD] = { .gpu = gpu_module_unload, ARGS(module) },
	[VGPU_CMD_KERNEL_GET] = { .gpu = gpu_kernel_get, ARGS(kernel), WINDOW },
	[VGPU_CMD_KERNEL_PARAMS] = { .gpu = gpu_kernel_params, ARGS(kernel_params), WINDOW },
	[VGPU_CMD_KERNEL_SET] = { .gpu = gpu_kernel_set, ARGS(kernel_set) },
	[VGPU_CMD_OCCUPANCY] = { .gpu = gpu_occupancy, ARGS(occupancy) },
	[VGPU_CMD_LAUNCH] = { .gpu = gpu_launch, ARGS(launch), WINDOW },
	[VGPU_CMD_STREAM_CREATE] = { .gpu = gpu_stream_create, ARGS(stream_create) },
	[VGPU_CMD_STREAM_DESTROY] = { .gpu = gpu_stream_destroy, ARGS(stream) },
	[VGPU_CMD_STREAM_WAIT] = { .gpu = gpu_stream_wait, ARGS(stream) },
	[VGPU_CMD_STREAM_QUERY] = { .gpu = gpu_stream_query, ARGS(stream), ANSWERS },
	[VGPU_CMD_SYNCHRONIZE] = { .gpu = gpu_synchronize, ARGS(sync), ANSWERS },
	[VGPU_CMD_EVENT_CREATE] = { .gpu = gpu_event_create, ARGS(event_create) },
	[VGPU_CMD_EVENT_DESTROY] = { .gpu = gpu_event_destroy, ARGS(event) },
	[VGPU_CMD_EVENT_RECORD] = { .gpu = gpu_event_record, ARGS(event) },
	[VGPU_CMD_EVENT_QUERY] = { .gpu = gpu_event_query, ARGS(event), ANSWERS },
	[VGPU_CMD_EVENT_ELAPSED] = { .gpu = gpu_event_elapsed, ARGS(elapsed), ANSWERS },
	[VGPU_CMD_HOST_FUNC] = { .gpu = gpu_host_func, ARGS(host_func), ANSWERS },
	[VGPU_CMD_HOST_FUNC_DONE] = { .gpu = gpu_host_func_done, ARGS(host_func) },
	[VGPU_CMD_CAPTURE_BEGIN] = { .gpu = gpu_capture_begin, ARGS(capture_begin) },
	[VGPU_CMD_CAPTURE_END] = { .gpu = gpu_capture_end, ARGS(graph) },
	[VGPU_CMD_GRAPH_LAUNCH] = { .gpu = gpu_graph_launch, ARGS(graph) },
	[VGPU_CMD_GRAPH_DESTROY] = { .gpu = gpu_graph_destroy, ARGS(graph) },
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

	if (req->cmd >= sizeof(commands) / sizeof(commands[0]))
		return VGPU_ENOCMD;
	cmd = &commands[req->cmd];
	if (!cmd->run && !cmd->gpu)
		return VGPU_ENOCMD;
	if (req->flags & ~VGPU_REQ_FLAGS_ALL || !args_are_zero(req, cmd->args_bytes))
		return VGPU_EINVAL;
	if (cmd->must_answer && req->flags & VGPU_REQ_NO_RESPONSE)
		return VGPU_EINVAL;
	if (cmd->data == NO_DATA && (req->data_len || req->data_ptr))
		return VGPU_EINVAL;
	if (!checked_range(req->data_ptr, req->data_len, c->window_bytes))
		return VGPU_ERANGE;
	return cmd->gpu ? cmd->gpu(&c->gpu, req, rsp) : cmd->run(c, req, rsp);
}

/* Errors of a single call pass; those of a broken context answer every later call as well. */
static bool backend_is_lost(struct commands *c)
{
	uint64_t total, free_bytes;

	return c->ops->memory(c->backend, &total, &free_bytes) != 0;
}

/* Not a failure, or one of a capture's, during which the backend is not asked for memory. */
static bool is_harmless(int status)
{
	return status == GPU_NOT_READY ||
	       (status >= GPU_CAPTURE_UNSUPPORTED && status <= GPU_CAPTURE_LAST);
}

static void failed(struct commands *c, int status)
{
	c->errors += status != GPU_NOT_READY;
	if (is_harmless(status) || c->lost)
		return;
	if ((status > 0 || status == VGPU_EBACKEND) && backend_is_lost(c))
		c->lost = status;
}

/* The answer to a request that came to @status: its own, or what was kept. */
static void complete(struct commands *c, struct vgpu_response *rsp, int status)
{
	const uint32_t log_bytes = status ? rsp->data_len : 0;

	if (status == 0) {
		status = c->sticky;
		c->sticky = 0;
	}
	if (__builtin_expect(status != 0, 0)) {
		*rsp = (struct vgpu_response){ .id = rsp->id };
		rsp->status = status;
		rsp->data_len = log_bytes;
	}
	c->backend_lost = c->lost != 0;
}

void commands_init(struct commands *c)
{
	c->requests = 0;
	c->errors = 0;
	c->sticky = 0;
	c->lost = 0;
	c->backend_lost = false;
	c->started_us = clock_us();
	c->messages = (struct throttle){ 0 };
	c->gpu = (struct gpu){
		.ops = c->ops,
		.backend = c->backend,
		.window = c->window,
		.window_bytes = c->window_bytes,
		.copies_wait = c->copies_wait,
		.deadline_us = (uint64_t)c->deadline_ms * 1000,
	};
	gpu_init(&c->gpu);
}

void commands_dispose(struct commands *c)
{
	gpu_dispose(&c->gpu);
}

bool commands_run(struct commands *c, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	int status;

	*rsp = (struct vgpu_response){ .id = req->id };
	c->requests++;
	gpu_mark_pending(&c->gpu);
	status = __builtin_expect(c->lost != 0, 0) ? c->lost : dispatch(c, req, rsp);
	if (status == GPU_DEFERRED)
		return false;
	if (__builtin_expect(status != 0, 0))
		failed(c, status);

	if (req->flags & VGPU_REQ_NO_RESPONSE) {
		if (!c->sticky)
			c->sticky = status;
		return false;
	}
	complete(c, rsp, status);
	return true;
}

/* What befell work that nobody waits for. */
static void keep_failure(struct commands *c)
{
	if (__builtin_expect(!c->gpu.failure, 1))
		return;
	failed(c, c->gpu.failure);
	if (!c->sticky)
		c->sticky = c->gpu.failure;
	c->gpu.failure = 0;
}

bool commands_poll(struct commands *c, struct vgpu_response *rsp)
{
	bool answers = gpu_poll(&c->gpu, rsp, c->lost);

	keep_failure(c);
	if (!answers)
		return false;
	if (rsp->status)
		failed(c, rsp->status);
	complete(c, rsp, rsp->status);
	return true;
}

int commands_tend(struct commands *c, uint64_t now_us, bool idle)
{
	int rc = c->lost ? 0 : gpu_tend(&c->gpu, now_us, idle);

	keep_failure(c);
	return rc;
}
