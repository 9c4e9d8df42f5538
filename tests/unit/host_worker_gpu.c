// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * GPU work: what each command accepts, refuses and does, on the backend `cpu`; fences are
 * replaced by ones that are done when the test says so, where that matters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../host/worker_commands.h"
#include "../../protocol/vgpu_errors.h"

#define WINDOW 65536u
#define STREAM 0x10001u
#define OTHER 0x20002u
#define EVENT 0x30001u
#define MODULE 0x40001u
#define KERNEL 0x50001u
#define GRAPH 0x60001u
#define DEADLINE_MS 1000u
#define DEADLINE_US (DEADLINE_MS * 1000u)

static _Alignas(4096) uint8_t window[WINDOW];
static struct commands c;
static struct backend_info info;
static struct backend_ops ops;
static struct vgpu_response rsp;

#define REQUEST(command, type, ...)                                                                \
	request(VGPU_CMD_##command, &(const struct vgpu_##type##_args){ __VA_ARGS__ },             \
		sizeof(struct vgpu_##type##_args))

static struct vgpu_request request(uint32_t cmd, const void *args, size_t bytes)
{
	static uint32_t id;
	struct vgpu_request req = { .cmd = cmd, .id = ++id };

	memcpy(req.args, args, bytes);
	return req;
}

/* What it answers at once. */
static int32_t now(struct vgpu_request req)
{
	memset(&rsp, 0xee, sizeof(rsp));
	assert_true(commands_run(&c, &req, &rsp));
	assert_int_equal(rsp.id, req.id);
	return rsp.status;
}

/* It answers later; returns its id. */
static uint32_t later(struct vgpu_request req)
{
	assert_false(commands_run(&c, &req, &rsp));
	assert_int_equal(c.sticky, 0);
	return req.id;
}

/* It answers when done, which it is at once. */
static int32_t done(struct vgpu_request req)
{
	memset(&rsp, 0xee, sizeof(rsp));
	if (!commands_run(&c, &req, &rsp))
		assert_true(commands_poll(&c, &rsp));
	assert_int_equal(rsp.id, req.id);
	return rsp.status;
}

/* What it would answer, had it a response. */
static int32_t quiet(struct vgpu_request req)
{
	int32_t status;

	req.flags = VGPU_REQ_NO_RESPONSE;
	assert_false(commands_run(&c, &req, &rsp));
	status = c.sticky;
	c.sticky = 0;
	return status;
}

static struct vgpu_request with_data(struct vgpu_request req, uint64_t ptr, uint32_t len)
{
	req.data_ptr = ptr;
	req.data_len = len;
	return req;
}

static uint64_t alloc(uint64_t bytes)
{
	struct vgpu_alloc_reply reply;

	assert_int_equal(now(REQUEST(ALLOC, alloc, bytes)), 0);
	memcpy(&reply, rsp.data, sizeof(reply));
	assert_int_equal(reply.address % 256, 0);
	return reply.address;
}

static int32_t free_at(uint64_t address)
{
	return now(REQUEST(FREE, free, address));
}

static uint32_t value_at(uint64_t address)
{
	uint32_t value;

	assert_int_equal(done(REQUEST(READ, read, address, 4, 0)), 0);
	memcpy(&value, rsp.data, sizeof(value));
	return value;
}

static int32_t make_stream(uint32_t handle, uint32_t flags)
{
	return now(REQUEST(STREAM_CREATE, stream_create, handle, flags, 0, 0));
}

static int32_t load(uint32_t module)
{
	assert_int_equal(now(with_data(REQUEST(MODULE_DATA, module_data, module, 0, 0, 16), 0, 16)),
			 0);
	return now(REQUEST(MODULE_LOAD, module, module, 0));
}

static int32_t get_kernel(uint32_t kernel, const char *name)
{
	memcpy(window, name, strlen(name));
	return now(
		with_data(REQUEST(KERNEL_GET, kernel, MODULE, kernel), 0, (uint32_t)strlen(name)));
}

static struct vgpu_request launch_of(uint32_t kernel, uint32_t stream, const void *params,
				     uint16_t bytes)
{
	struct vgpu_launch_args args = {
		.kernel = kernel,
		.stream = stream,
		.grid = { 4, 1, 1 },
		.block = { 32, 1, 1 },
		.param_bytes = bytes,
	};

	memcpy(args.params, params, bytes);
	return request(VGPU_CMD_LAUNCH, &args, sizeof(args));
}

struct add_one {
	uint64_t p, n;
};

static struct vgpu_request add_one(uint32_t stream, uint64_t p, uint64_t n)
{
	const struct add_one params = { p, n };

	return launch_of(KERNEL, stream, &params, sizeof(params));
}

static void use_add_one(void)
{
	assert_int_equal(load(MODULE), 0);
	assert_int_equal(get_kernel(KERNEL, "add_one"), 0);
}

static int setup(void **state)
{
	char why[64];

	(void)state;
	memset(window, 0, sizeof(window));
	ops = backend_cpu;
	c = (struct commands){
		.ops = &ops,
		.info = &info,
		.window = window,
		.window_bytes = WINDOW,
		.deadline_ms = DEADLINE_MS,
	};
	if (backend_cpu.open(&c.backend, 0, &info, why, sizeof(why)))
		return -1;
	commands_init(&c);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	commands_dispose(&c);
	backend_cpu.close(c.backend);
	return 0;
}

/* ---- fences as the test wants them ---- */

struct backend_fence {
	uint32_t number;
};

#define FENCES 512u

static struct {
	struct backend_fence fences[FENCES];
	int status[FENCES];
	uint32_t marks[FENCES];
	uint32_t bytes[FENCES]; /* of a read */
	bool gone[FENCES];
	uint32_t taken;
	int mark_rc;
} hand;

static int hand_fence(struct backend *b, uint32_t kind, void *object, struct backend_fence **out)
{
	(void)b;
	(void)kind;
	(void)object;
	assert_true(hand.taken < FENCES);
	hand.fences[hand.taken].number = hand.taken;
	hand.status[hand.taken] = VGPU_EBUSY;
	*out = &hand.fences[hand.taken++];
	return 0;
}

static int hand_read(struct backend *b, struct backend_stream *s, uint64_t src, uint32_t bytes,
		     struct backend_fence **out)
{
	(void)s;
	(void)src;
	hand.bytes[hand.taken] = bytes;
	return hand_fence(b, VGPU_SYNC_STREAM, NULL, out);
}

static int hand_mark(struct backend *b, struct backend_fence *f)
{
	(void)b;
	assert_false(hand.gone[f->number]);
	hand.marks[f->number]++;
	return hand.mark_rc;
}

static int hand_done(struct backend *b, struct backend_fence *f, void *data)
{
	(void)b;
	assert_false(hand.gone[f->number]);
	if (hand.status[f->number] == 0 && hand.bytes[f->number])
		memset(data, 0x40 + (int)f->number, hand.bytes[f->number]);
	hand.gone[f->number] = hand.status[f->number] != VGPU_EBUSY;
	return hand.status[f->number];
}

static void hand_drop(struct backend *b, struct backend_fence *f)
{
	(void)b;
	assert_false(hand.gone[f->number]);
	hand.gone[f->number] = true;
}

static void fences_by_hand(void)
{
	memset(&hand, 0, sizeof(hand));
	ops.fence = hand_fence;
	ops.read = hand_read;
	ops.fence_mark = hand_mark;
	ops.fence_done = hand_done;
	ops.fence_drop = hand_drop;
}

/* As often as it takes: held copies, with two fences each, may be behind each other. */
static bool polled(void)
{
	const uint32_t looks = 2 * commands_pending(&c) * commands_pending(&c);

	for (uint32_t i = 0; i <= looks; i++)
		if (commands_poll(&c, &rsp))
			return true;
	return false;
}

static struct vgpu_request nop(void)
{
	return (struct vgpu_request){ .cmd = VGPU_CMD_NOP, .id = 7 };
}

/* ---- devices and memory ---- */

static void test_device(void **state)
{
	struct vgpu_request req = REQUEST(DEVICE_INFO, device, 0, 0);
	struct vgpu_device_info device;

	(void)state;
	assert_int_equal(now(req), VGPU_EINVAL); /* no room */
	assert_int_equal(now(with_data(req, 64, 1000)), 0);
	assert_int_equal(rsp.data_len, sizeof(device));
	memcpy(&device, window + 64, sizeof(device));
	assert_int_equal(device.devices, 1);
	assert_int_equal(device.backend, VGPU_BACKEND_CPU);
	assert_true(device.memory_total > 0 && device.name[0]);
	memset(window, 0xaa, 64);
	assert_int_equal(now(with_data(req, 0, 8)), 0);
	assert_int_equal(rsp.data_len, 8);
	assert_int_equal(window[8], 0xaa);
	assert_int_equal(now(with_data(REQUEST(DEVICE_INFO, device, 1, 0), 0, 64)), 101);
	assert_int_equal(now(with_data(REQUEST(DEVICE_INFO, device, 0, 1), 0, 64)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(DEVICE_SET, device, 0, 0)), 0);
	assert_int_equal(now(REQUEST(DEVICE_SET, device, 1, 0)), 101);
	assert_int_equal(now(REQUEST(DEVICE_SET, device, 0, 1)), VGPU_EINVAL);
}

static void test_alloc(void **state)
{
	struct vgpu_memory_reply before, after;
	uint64_t a, b;

	(void)state;
	assert_int_equal(now(REQUEST(ALLOC, alloc, 0)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(ALLOC, alloc, UINT64_MAX)), 2);
	assert_int_equal(quiet(REQUEST(ALLOC, alloc, 64)), VGPU_EINVAL);
	assert_int_equal(now((struct vgpu_request){ .cmd = VGPU_CMD_MEMORY_INFO }), 0);
	memcpy(&before, rsp.data, sizeof(before));
	a = alloc(4096);
	b = alloc(1);
	assert_int_equal(now((struct vgpu_request){ .cmd = VGPU_CMD_MEMORY_INFO }), 0);
	memcpy(&after, rsp.data, sizeof(after));
	assert_int_equal(before.total, after.total);
	assert_int_equal(free_at(0), 1);
	assert_int_equal(free_at(a + 1), 1);
	assert_int_equal(free_at(a), 0);
	assert_int_equal(free_at(a), 1);
	assert_int_equal(free_at(b), 0);
}

static int alloc_the_same(struct backend *b, uint64_t bytes, uint64_t *address)
{
	(void)b;
	(void)bytes;
	*address = 4096;
	return 0;
}

static int free_nothing(struct backend *b, uint64_t address)
{
	(void)b;
	(void)address;
	return 0;
}

static void test_alloc_overlap(void **state)
{
	(void)state;
	ops.alloc = alloc_the_same;
	ops.free = free_nothing;
	assert_int_equal(now(REQUEST(ALLOC, alloc, 4096)), 0);
	assert_int_equal(now(REQUEST(ALLOC, alloc, 4096)), VGPU_EBACKEND);
	assert_int_equal(now(REQUEST(FREE, free, 4096)), 0);
	assert_int_equal(now(REQUEST(ALLOC, alloc, UINT64_MAX)), VGPU_EBACKEND);
}

static int32_t copy(uint32_t kind, uint64_t dst, uint64_t src, uint64_t bytes)
{
	return done(REQUEST(COPY, copy, dst, src, 0, 0, bytes, 1, kind, 0));
}

static void test_copy(void **state)
{
	uint64_t a = alloc(1000), b = alloc(1000);

	(void)state;
	for (int i = 0; i < 1000; i++)
		window[i] = (uint8_t)(i * 7);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, a, 0, 1000), 0);
	assert_int_equal(copy(VGPU_COPY_ON_DEVICE, b, a, 1000), 0);
	assert_int_equal(copy(VGPU_COPY_FROM_DEVICE, 2000, b, 1000), 0);
	assert_memory_equal(window, window + 2000, 1000);
	assert_int_equal(quiet(REQUEST(COPY, copy, 3000, b, 0, 0, 1000, 1, 2, 0)), 0);
	assert_memory_equal(window, window + 3000, 1000);
	assert_int_equal(commands_pending(&c), 0);
}

static void test_copy_arguments(void **state)
{
	uint64_t a = alloc(1000);

	(void)state;
	assert_int_equal(copy(0, a, 0, 8), VGPU_EINVAL);
	assert_int_equal(copy(4, a, 0, 8), VGPU_EINVAL);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, a, 0, 0), VGPU_EINVAL);
	assert_int_equal(done(REQUEST(COPY, copy, a, 0, 0, 0, 8, 0, 1, 0)), VGPU_EINVAL);
	assert_int_equal(done(REQUEST(COPY, copy, a, 0, 8, 0, 8, 1, 1, 0)), VGPU_EINVAL);
	assert_int_equal(done(REQUEST(COPY, copy, a, 0, 0, 8, 8, 1, 1, 0)), VGPU_EINVAL);
	assert_int_equal(done(REQUEST(COPY, copy, a, 0, 0, 0, 8, 1, 1, 5)), 400);
	assert_int_equal(done(with_data(REQUEST(COPY, copy, a, 0, 0, 0, 8, 1, 1, 0), 0, 8)),
			 VGPU_EINVAL);
}

static void test_copy_ranges(void **state)
{
	uint64_t a = alloc(1000), freed = alloc(1000);

	(void)state;
	assert_int_equal(free_at(freed), 0);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, a, WINDOW - 7, 8), VGPU_ERANGE);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, a, UINT64_MAX - 3, 8), VGPU_ERANGE);
	assert_int_equal(copy(VGPU_COPY_FROM_DEVICE, WINDOW, a, 1), VGPU_ERANGE);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, a, 0, 1001), 1);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, a - 1, 0, 8), 1);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, a + 993, 0, 8), 1);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, 0, 0, 8), 1);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, freed, 0, 8), 1);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, (uintptr_t)window, 0, 8), 1);
	assert_int_equal(copy(VGPU_COPY_FROM_DEVICE, 0, (uintptr_t)&c, 8), 1);
	assert_int_equal(copy(VGPU_COPY_ON_DEVICE, a, UINT64_MAX - 3, 8), 1);
	assert_int_equal(copy(VGPU_COPY_ON_DEVICE, a, a, UINT64_MAX), 1);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, a + 992, WINDOW - 8, 8), 0);
}

static int32_t copy_2d(uint64_t dst, uint64_t dst_pitch, uint64_t src, uint64_t src_pitch,
		       uint64_t width, uint64_t height)
{
	return done(REQUEST(COPY, copy, dst, src, dst_pitch, src_pitch, width, height,
			    VGPU_COPY_TO_DEVICE, 0));
}

static void test_copy_2d(void **state)
{
	uint64_t a = alloc(1000);

	(void)state;
	for (int i = 0; i < 1000; i++)
		window[i] = (uint8_t)i;
	assert_int_equal(copy_2d(a, 100, 0, 10, 10, 10), 0);
	assert_int_equal(value_at(a + 300), 0x21201f1e);
	assert_int_equal(copy_2d(a, 9, 0, 10, 10, 10), 12);
	assert_int_equal(copy_2d(a, 10, 0, 9, 10, 10), 12);
	assert_int_equal(copy_2d(a, 110, 0, 10, 10, 10), 0); /* the last row ends with it */
	assert_int_equal(copy_2d(a, 111, 0, 10, 10, 10), 1);
	assert_int_equal(copy_2d(a, 10, WINDOW - 99, 10, 10, 10), VGPU_ERANGE);
	assert_int_equal(copy_2d(a, 10, 0, 1ull << 63, 10, 3), VGPU_ERANGE);
	assert_int_equal(copy_2d(a, 1ull << 63, 0, 10, 10, 3), 1);
	assert_int_equal(copy_2d(a, 10, 0, 10, 10, UINT64_MAX), VGPU_ERANGE);
	assert_int_equal(copy_2d(a, UINT64_MAX, 0, 10, 10, 2), 1);
}

static int32_t set(uint64_t dst, uint64_t pitch, uint64_t width, uint64_t height, uint32_t element)
{
	return now(REQUEST(MEMSET, memset, dst, pitch, width, height, 0x01020304, element, 0, 0));
}

static void test_memset(void **state)
{
	uint64_t a = alloc(1000);

	(void)state;
	assert_int_equal(set(a, 0, 1000, 1, 1), 0);
	assert_int_equal(value_at(a + 996), 0x04040404);
	assert_int_equal(set(a, 0, 4, 1, 2), 0);
	assert_int_equal(value_at(a + 4), 0x03040304);
	assert_int_equal(value_at(a + 8), 0x04040404);
	assert_int_equal(set(a, 16, 1, 2, 4), 0);
	assert_int_equal(value_at(a + 16), 0x01020304);
	assert_int_equal(value_at(a + 20), 0x04040404);
	assert_int_equal(set(a, 0, 1001, 1, 1), 1);
	assert_int_equal(set(a, 0, 251, 1, 4), 1);
	assert_int_equal(set(a, 0, 1ull << 62, 1, 4), 1);
	assert_int_equal(set(a, 0, UINT64_MAX, 1, 2), 1);
	assert_int_equal(set(a, 0, 4, 1, 3), VGPU_EINVAL);
	assert_int_equal(set(a, 0, 4, 1, 0), VGPU_EINVAL);
	assert_int_equal(set(a, 0, 4, 1, 8), VGPU_EINVAL);
	assert_int_equal(set(a, 0, 0, 1, 1), VGPU_EINVAL);
	assert_int_equal(set(a, 0, 4, 0, 1), VGPU_EINVAL);
	assert_int_equal(set(a + 2, 0, 4, 1, 4), 1);
	assert_int_equal(set(a, 18, 4, 2, 4), 1);
	assert_int_equal(set(a, 8, 4, 2, 4), 1);
	assert_int_equal(now(REQUEST(MEMSET, memset, a, 0, 4, 1, 0, 1, STREAM, 0)), 400);
	assert_int_equal(now(REQUEST(MEMSET, memset, a, 0, 4, 1, 0, 1, 0, 1)), VGPU_EINVAL);
}

static void test_write_and_read(void **state)
{
	struct vgpu_write_args w = { .bytes = 80 };
	uint64_t a = alloc(100);

	(void)state;
	w.dst = a + 20;
	memset(w.data, 0x5a, sizeof(w.data));
	assert_int_equal(now(request(VGPU_CMD_WRITE, &w, sizeof(w))), 0);
	assert_int_equal(value_at(a + 96), 0x5a5a5a5a);
	w.bytes = 79;
	assert_int_equal(now(request(VGPU_CMD_WRITE, &w, sizeof(w))), VGPU_EINVAL);
	w.bytes = 81;
	assert_int_equal(now(request(VGPU_CMD_WRITE, &w, sizeof(w))), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(WRITE, write, a, 0, 0, { 0 })), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(WRITE, write, a + 97, 4, 0, { 0 })), 1);
	assert_int_equal(now(REQUEST(WRITE, write, a, 4, 9, { 0 })), 400);
	assert_int_equal(now(REQUEST(READ, read, a, 0, 0)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(READ, read, a, 49, 0)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(READ, read, a + 53, 48, 0)), 1);
	assert_int_equal(now(REQUEST(READ, read, a, 4, 9)), 400);
	assert_int_equal(quiet(REQUEST(READ, read, a, 4, 0)), VGPU_EINVAL);
	assert_int_equal(done(REQUEST(READ, read, a + 52, 48, 0)), 0);
}

/* ---- handles ---- */

static void test_handles(void **state)
{
	(void)state;
	assert_int_equal(make_stream(0, 0), VGPU_EINVAL);
	assert_int_equal(make_stream(0x10000, 0), VGPU_EINVAL);
	assert_int_equal(make_stream(STREAM, 2), VGPU_EINVAL);
	assert_int_equal(make_stream(STREAM, 0), 0);
	assert_int_equal(make_stream(STREAM, 0), VGPU_EINVAL);
	assert_int_equal(make_stream(STREAM + 0x10000, 0), VGPU_EINVAL); /* the place is taken */
	assert_int_equal(make_stream(0x1ffff, 0), VGPU_EQUOTA);
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, STREAM, 0)), 0);
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, STREAM, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, STREAM + 0x10000, 0)), 400);
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, 1, 0)), 400);
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, 0xffff, 0)), 400);
	assert_int_equal(now(REQUEST(STREAM_DESTROY, stream, 0, 0)), 400);
	assert_int_equal(now(REQUEST(STREAM_DESTROY, stream, STREAM, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(STREAM_DESTROY, stream, STREAM + 0x10000, 0)), 400);
	assert_int_equal(now(REQUEST(STREAM_DESTROY, stream, STREAM, 0)), 0);
	assert_int_equal(now(REQUEST(STREAM_DESTROY, stream, STREAM, 0)), 400);
	assert_int_equal(make_stream(STREAM + 0x10000, 0), 0);
	/* another kind's handle is none */
	assert_int_equal(now(REQUEST(EVENT_QUERY, event, STREAM + 0x10000, 0)), 400);
}

static void test_events(void **state)
{
	struct vgpu_elapsed_reply elapsed;

	(void)state;
	assert_int_equal(now(REQUEST(EVENT_CREATE, event_create, EVENT, 2)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(EVENT_CREATE, event_create, EVENT, 0)), 0);
	assert_int_equal(now(REQUEST(EVENT_CREATE, event_create, EVENT + 1, 0)), 0);
	assert_int_equal(now(REQUEST(EVENT_CREATE, event_create, EVENT + 2, 1)), 0);
	assert_int_equal(now(REQUEST(EVENT_QUERY, event, EVENT, 0)), 0);
	assert_int_equal(now(REQUEST(EVENT_QUERY, event, EVENT, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(EVENT_ELAPSED, elapsed, EVENT, EVENT + 1)), 400);
	assert_int_equal(now(REQUEST(EVENT_RECORD, event, EVENT, STREAM)), 400);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(now(REQUEST(EVENT_RECORD, event, EVENT + i, 0)), 0);
	assert_int_equal(now(REQUEST(EVENT_ELAPSED, elapsed, EVENT, EVENT + 1)), 0);
	memcpy(&elapsed, rsp.data, sizeof(elapsed));
	assert_true(elapsed.ms >= 0 && elapsed.ms < 1000 && !elapsed.reserved);
	assert_int_equal(now(REQUEST(EVENT_ELAPSED, elapsed, EVENT, EVENT + 2)), 400);
	assert_int_equal(now(REQUEST(EVENT_ELAPSED, elapsed, EVENT, EVENT + 3)), 400);
	assert_int_equal(now(REQUEST(STREAM_WAIT, stream, 0, EVENT)), 0);
	assert_int_equal(now(REQUEST(STREAM_WAIT, stream, 0, 0)), 400);
	assert_int_equal(done(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_EVENT, EVENT)), 0);
	assert_int_equal(now(REQUEST(EVENT_DESTROY, event, EVENT, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(EVENT_DESTROY, event, EVENT, 0)), 0);
	assert_int_equal(now(REQUEST(EVENT_DESTROY, event, EVENT, 0)), 400);
	assert_int_equal(done(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_EVENT, EVENT)), 400);
}

/* ---- modules, kernels, launches ---- */

static int32_t piece(uint32_t module, uint64_t offset, uint64_t total, uint32_t bytes)
{
	return now(
		with_data(REQUEST(MODULE_DATA, module_data, module, 0, offset, total), 0, bytes));
}

static void test_module_pieces(void **state)
{
	(void)state;
	assert_int_equal(piece(MODULE, 0, 100, 0), VGPU_EINVAL);
	assert_int_equal(piece(MODULE, 0, 100, 101), VGPU_EINVAL);
	assert_int_equal(piece(MODULE, 0, VGPU_MODULE_BYTES_MAX + 1, 8), VGPU_ETOOBIG);
	assert_int_equal(piece(MODULE, UINT64_MAX - 3, 100, 8), VGPU_EINVAL);
	assert_int_equal(piece(MODULE, 60, 100, 40), 400); /* not from the start */
	assert_int_equal(piece(MODULE, 0, 100, 60), 0);
	assert_int_equal(piece(MODULE, 0, 100, 60), VGPU_EINVAL);
	assert_int_equal(piece(MODULE, 61, 100, 39), VGPU_EINVAL); /* a gap */
	assert_int_equal(piece(MODULE, 59, 100, 40), VGPU_EINVAL);
	assert_int_equal(piece(MODULE, 60, 101, 40), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(MODULE_LOAD, module, MODULE, 0)), VGPU_EINVAL);
	assert_int_equal(get_kernel(KERNEL, "add_one"), 400); /* not loaded yet */
	assert_int_equal(piece(MODULE + 1, 0, VGPU_MODULE_BYTES_MAX - 99, 8), VGPU_EQUOTA);
	assert_int_equal(piece(MODULE, 60, 100, 40), 0);
	assert_int_equal(now(REQUEST(MODULE_LOAD, module, MODULE, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(MODULE_LOAD, module, MODULE, 0)), 0);
	assert_int_equal(now(REQUEST(MODULE_LOAD, module, MODULE, 0)), VGPU_EINVAL);
	assert_int_equal(piece(MODULE, 0, 100, 60), VGPU_EINVAL); /* the place is taken */
	assert_int_equal(piece(MODULE + 1, 0, VGPU_MODULE_BYTES_MAX, 8), 0);
	assert_int_equal(now(REQUEST(MODULE_UNLOAD, module, MODULE + 1, 0)), 0);
	assert_int_equal(c.gpu.image_bytes, 0);
	assert_int_equal(now(REQUEST(MODULE_UNLOAD, module, MODULE + 1, 0)), 400);
}

static int fail_to_load(struct backend *b, const void *image, size_t bytes,
			struct backend_module **out, char *log, size_t log_len)
{
	(void)b;
	(void)image;
	(void)bytes;
	(void)out;
	memset(log, 'x', log_len);
	memcpy(log, "line 1: ", 8);
	return 218;
}

static void test_module_fails(void **state)
{
	(void)state;
	ops.module_load = fail_to_load;
	assert_int_equal(piece(MODULE, 0, 8, 8), 0);
	memset(window, 0xaa, 64);
	assert_int_equal(now(with_data(REQUEST(MODULE_LOAD, module, MODULE, 0), 0, 9)), 218);
	assert_int_equal(rsp.data_len, 9);
	assert_string_equal((char *)window, "line 1: ");
	assert_int_equal(window[9], 0xaa);
	assert_int_equal(get_kernel(KERNEL, "add_one"), 400);
	assert_int_equal(piece(MODULE + 0x10000, 0, 8, 8), 0); /* its place is free */
	assert_int_equal(now(REQUEST(MODULE_LOAD, module, MODULE + 0x10000, 0)), 218);
	assert_int_equal(rsp.data_len, 0);
	assert_int_equal(now(REQUEST(MODULE_UNLOAD, module, MODULE + 0x10000, 0)), 0);
}

static void test_kernel_names(void **state)
{
	struct vgpu_request req = REQUEST(KERNEL_GET, kernel, MODULE, KERNEL);

	(void)state;
	assert_int_equal(load(MODULE), 0);
	assert_int_equal(now(req), VGPU_EINVAL);
	assert_int_equal(now(with_data(req, 0, VGPU_KERNEL_NAME_MAX + 1)), VGPU_ETOOBIG);
	memset(window, 'a', VGPU_KERNEL_NAME_MAX);
	assert_int_equal(now(with_data(req, 0, VGPU_KERNEL_NAME_MAX)), 500);
	memcpy(window, "add\0one", 8);
	assert_int_equal(now(with_data(req, 0, 8)), VGPU_EINVAL);
	assert_int_equal(get_kernel(KERNEL, "add_on"), 500);
	memcpy(window, "add_one", 8);
	assert_int_equal(now(with_data(req, 0, 8)), 0); /* with its NUL */
	assert_int_equal(get_kernel(KERNEL, "add_one"), VGPU_EINVAL);
	assert_int_equal(get_kernel(0x10000, "add_one"), VGPU_EINVAL);
}

static void test_kernel(void **state)
{
	struct vgpu_kernel_reply reply;
	struct vgpu_kernel_param params[4];
	struct vgpu_occupancy_reply occupancy;

	(void)state;
	assert_int_equal(load(MODULE), 0);
	assert_int_equal(get_kernel(KERNEL, "saxpy"), 0);
	memcpy(&reply, rsp.data, sizeof(reply));
	assert_int_equal(reply.params, 4);
	assert_int_equal(reply.param_bytes, 32);
	assert_int_equal(now(REQUEST(KERNEL_PARAMS, kernel_params, KERNEL, 0)), VGPU_EINVAL);
	assert_int_equal(now(with_data(REQUEST(KERNEL_PARAMS, kernel_params, 5, 0), 0, 64)), 400);
	assert_int_equal(now(with_data(REQUEST(KERNEL_PARAMS, kernel_params, KERNEL, 0), 0, 64)),
			 0);
	assert_int_equal(rsp.data_len, 32);
	memcpy(params, window, sizeof(params));
	assert_int_equal(params[1].offset, 8);
	assert_int_equal(params[1].bytes, 4);
	assert_int_equal(params[2].offset, 16);
	assert_int_equal(now(with_data(REQUEST(KERNEL_PARAMS, kernel_params, KERNEL, 0), 0, 15)),
			 0);
	assert_int_equal(rsp.data_len, 8);
	assert_int_equal(now(REQUEST(KERNEL_SET, kernel_set, KERNEL, 8, 1024, 0)), 0);
	assert_int_equal(now(REQUEST(KERNEL_SET, kernel_set, KERNEL, 8, -1, 0)), 1);
	assert_int_equal(now(REQUEST(KERNEL_SET, kernel_set, KERNEL, 7, 0, 0)), 1);
	assert_int_equal(now(REQUEST(KERNEL_SET, kernel_set, 5, 8, 0, 0)), 400);
	assert_int_equal(now(REQUEST(OCCUPANCY, occupancy, KERNEL, 256, 0)), 0);
	memcpy(&occupancy, rsp.data, sizeof(occupancy));
	assert_int_equal(occupancy.blocks, 8);
	assert_int_equal(now(REQUEST(OCCUPANCY, occupancy, KERNEL, 0, 0)), 1);
	assert_int_equal(now(REQUEST(OCCUPANCY, occupancy, 5, 1, 0)), 400);
}

static void test_launch(void **state)
{
	uint64_t a = alloc(4096);
	struct vgpu_request req;

	(void)state;
	use_add_one();
	assert_int_equal(set(a, 0, 1024, 1, 4), 0);
	assert_int_equal(quiet(add_one(0, a, 1024)), 0);
	assert_int_equal(quiet(add_one(0, a, 1024)), 0);
	assert_int_equal(value_at(a), 0x01020306);
	assert_int_equal(value_at(a + 4092), 0x01020306);
	assert_int_equal(now(add_one(STREAM, a, 1)), 400);
	assert_int_equal(now(launch_of(KERNEL + 0x10000, 0, window, 16)), 400);
	assert_int_equal(now(launch_of(0, 0, window, 16)), 98);
	assert_int_equal(now(launch_of(KERNEL, 0, window, 8)), VGPU_EINVAL);
	assert_int_equal(now(launch_of(KERNEL, 0, window, 72)), VGPU_EINVAL);
	req = launch_of(KERNEL, 0, window, 16);
	req.args[offsetof(struct vgpu_launch_args, param_bytes)] = 73;
	assert_int_equal(now(req), VGPU_EINVAL);
	req = add_one(0, a, 1);
	assert_int_equal(now(with_data(req, 0, 16)), VGPU_EINVAL); /* in both places */
	assert_int_equal(now(with_data(req, 16, 0)), VGPU_EINVAL);
	for (size_t i = 0; i < 3; i++) {
		req = add_one(0, a, 1);
		memset(req.args + offsetof(struct vgpu_launch_args, grid) + 4 * i, 0, 4);
		assert_int_equal(now(req), 1);
		req = add_one(0, a, 1);
		memset(req.args + offsetof(struct vgpu_launch_args, block) + 2 * i, 0, 2);
		assert_int_equal(now(req), 1);
	}
	req = add_one(0, a, 1);
	memset(req.args + offsetof(struct vgpu_launch_args, block), 0xff, 2);
	assert_int_equal(now(req), 1);
	assert_int_equal(now(REQUEST(MODULE_UNLOAD, module, MODULE, 0)), 0);
	assert_int_equal(now(add_one(0, a, 1)), 400);
	assert_false(c.backend_lost);
}

static void test_launch_params_in_window(void **state)
{
	uint64_t a = alloc(4000);
	struct vgpu_request req;

	(void)state;
	assert_int_equal(load(MODULE), 0);
	assert_int_equal(get_kernel(KERNEL, "store_many"), 0);
	req = launch_of(KERNEL, 0, window, 0);
	memset(window, 0x11, 8192);
	memcpy(window + 1024, &a, 8);
	assert_int_equal(now(with_data(req, 1024, 4008)), 0);
	assert_int_equal(value_at(a + 3996), 0x11111111);
	assert_int_equal(now(with_data(req, 1024, 4007)), VGPU_EINVAL);
	assert_int_equal(now(with_data(req, 0, VGPU_LAUNCH_PARAMS_MAX + 1)), VGPU_EINVAL);
	assert_int_equal(now(with_data(req, WINDOW - 8, 4008)), VGPU_ERANGE);
	assert_int_equal(now(req), VGPU_EINVAL);
}

/* A kernel's faults come later, end the context, and are told before the worker ends. */
static void test_fault(void **state)
{
	struct vgpu_request req;

	(void)state;
	assert_int_equal(load(MODULE), 0);
	assert_int_equal(get_kernel(KERNEL, "fault"), 0);
	req = launch_of(KERNEL, 0, window, 0);
	req.flags = VGPU_REQ_NO_RESPONSE;
	assert_false(commands_run(&c, &req, &rsp));
	assert_int_equal(c.lost, 0);
	assert_false(commands_run(&c, &req, &rsp));
	assert_int_equal(c.lost, 700);
	assert_false(c.backend_lost);
	assert_int_equal(now(nop()), 700);
	assert_true(c.backend_lost);
}

static void test_pointers_of_the_host(void **state)
{
	(void)state;
	use_add_one();
	assert_int_equal(now(add_one(0, (uintptr_t)window, 4)), 0);
	assert_int_equal(window[0], 'a'); /* the name's, not one more */
	assert_int_equal(done(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0)), 700);
	assert_true(c.backend_lost);
}

/* ---- answers that come later ---- */

static void test_sync_arguments(void **state)
{
	(void)state;
	assert_int_equal(make_stream(STREAM, 0), 0);
	assert_int_equal(now(REQUEST(SYNCHRONIZE, sync, 0, 0)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(SYNCHRONIZE, sync, 4, 0)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_STREAM, 77)), 400);
	assert_int_equal(quiet(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0)), VGPU_EINVAL);
	assert_int_equal(done(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_STREAM, STREAM)), 0);
	assert_int_equal(done(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_STREAM, 0)), 0);
}

static void test_answers_overtake(void **state)
{
	uint32_t first, second;

	(void)state;
	fences_by_hand();
	first = later(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0));
	assert_int_equal(hand.marks[0], 0);
	assert_false(polled());
	second = later(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_STREAM, 0));
	assert_int_equal(hand.marks[0], 1); /* before the next request ran */
	assert_int_equal(now(nop()), 0);
	assert_int_equal(now(nop()), 0);
	assert_int_equal(hand.marks[0], 1);
	assert_int_equal(hand.marks[1], 1);
	assert_false(polled());
	hand.status[1] = 0;
	assert_true(polled());
	assert_int_equal(rsp.id, second);
	assert_false(polled());
	hand.status[0] = 0;
	assert_true(polled());
	assert_int_equal(rsp.id, first);
	assert_int_equal(commands_pending(&c), 0);
}

/* Behind work of any length: what comes next runs, and bytes go to who asked for them. */
static void test_reads_hold_nobody_up(void **state)
{
	uint64_t a = alloc(64);
	uint32_t first, second;

	(void)state;
	fences_by_hand();
	first = later(REQUEST(READ, read, a, 4, 0));
	second = later(REQUEST(READ, read, a, 48, 0));
	later(REQUEST(READ, read, a, 4, 0));
	assert_int_equal(now(nop()), 0);
	assert_int_equal(hand.marks[0], 0); /* it has its place already */
	assert_false(polled());
	hand.status[1] = 0;
	assert_true(polled());
	assert_int_equal(rsp.id, second);
	assert_int_equal(rsp.data[0], 0x41);
	assert_int_equal(rsp.data[47], 0x41);
	hand.status[0] = 0;
	assert_true(polled());
	assert_int_equal(rsp.id, first);
	assert_int_equal(rsp.data[3], 0x40);
	assert_int_equal(rsp.data[4], 0);
	hand.status[2] = 999;
	assert_true(polled());
	assert_int_equal(rsp.status, 999);
	assert_int_equal(commands_pending(&c), 0);
}

/* One that was done before the next request came is not marked. */
static void test_no_mark_when_done(void **state)
{
	(void)state;
	fences_by_hand();
	later(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0));
	hand.status[0] = 0;
	assert_true(polled());
	assert_int_equal(now(nop()), 0);
	assert_int_equal(hand.marks[0], 0);
}

static void test_mark_fails(void **state)
{
	uint32_t id;

	(void)state;
	fences_by_hand();
	id = later(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0));
	hand.mark_rc = 400;
	assert_int_equal(now(nop()), 0);
	assert_true(hand.gone[0]);
	assert_true(polled());
	assert_int_equal(rsp.id, id);
	assert_int_equal(rsp.status, 400);
}

static void test_kept_failure_answers_what_waited(void **state)
{
	struct vgpu_request bad = { .cmd = 999, .flags = VGPU_REQ_NO_RESPONSE };

	(void)state;
	fences_by_hand();
	later(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0));
	assert_false(commands_run(&c, &bad, &rsp));
	hand.status[0] = 0;
	assert_true(polled());
	assert_int_equal(rsp.status, VGPU_ENOCMD);
	assert_int_equal(now(nop()), 0);
}

static int memory_gone(struct backend *b, uint64_t *total, uint64_t *free_bytes)
{
	(void)b;
	*total = *free_bytes = 0;
	return 700;
}

static void test_fault_tells_all_that_wait(void **state)
{
	(void)state;
	fences_by_hand();
	later(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0));
	later(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0));
	ops.memory = memory_gone;
	hand.status[1] = 700;
	assert_true(polled());
	assert_int_equal(rsp.status, 700);
	assert_true(c.backend_lost);
	assert_true(polled());
	assert_int_equal(rsp.status, 700);
	assert_true(hand.gone[0]);
}

static void test_many_wait(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VGPU_RING_ENTRIES_MAX; i++)
		later(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0));
	assert_int_equal(now(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0)), VGPU_EQUOTA);
	for (uint32_t i = 0; i < VGPU_RING_ENTRIES_MAX; i++)
		assert_true(commands_poll(&c, &rsp));
	assert_false(commands_poll(&c, &rsp));
}

/* ---- functions of the guest's ---- */

static void test_host_func_numbers(void **state)
{
	(void)state;
	assert_int_equal(now(REQUEST(HOST_FUNC, host_func, 0, 0)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(HOST_FUNC, host_func, 0, 2)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 1)), VGPU_EINVAL);
	assert_int_equal(quiet(REQUEST(HOST_FUNC, host_func, 0, 1)), VGPU_EINVAL);
	later(REQUEST(HOST_FUNC, host_func, 0, 1));
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 1)), VGPU_EINVAL); /* not told */
	assert_true(polled());
	assert_int_equal(rsp.status, 0);
	assert_int_equal(now(REQUEST(HOST_FUNC, host_func, 0, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 1, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 2)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 1)), 0);
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(HOST_FUNC, host_func, 77, 2)), 400);
	later(REQUEST(HOST_FUNC, host_func, 0, 3)); /* the number was used all the same */
}

static void test_host_funcs_quota(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= VGPU_HOST_FUNCS_MAX; i++)
		later(REQUEST(HOST_FUNC, host_func, 0, i));
	assert_int_equal(now(REQUEST(HOST_FUNC, host_func, 0, VGPU_HOST_FUNCS_MAX + 1)),
			 VGPU_EQUOTA);
	for (uint32_t i = 1; i <= VGPU_HOST_FUNCS_MAX; i++) {
		assert_true(polled());
		assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, i)), 0);
	}
	assert_int_equal(c.gpu.host_funcs_active, 0);
}

/* A number that maps to a place in use gets another one. */
static void test_host_funcs_out_of_order(void **state)
{
	const uint32_t far = VGPU_HOST_FUNCS_MAX + 1;

	(void)state;
	assert_int_equal(make_stream(STREAM, VGPU_STREAM_NON_BLOCKING), 0);
	later(REQUEST(HOST_FUNC, host_func, STREAM, 1));
	assert_true(polled());
	for (uint32_t i = 2; i <= far; i++) {
		later(REQUEST(HOST_FUNC, host_func, 0, i));
		assert_true(polled());
		if (i < far)
			assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, i)), 0);
	}
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 1)), 0);
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, far)), 0);
}

/* While a stream stops there, nothing that waits may keep HOST_FUNC_DONE from being taken. */
static void test_waiting_behind_a_host_func(void **state)
{
	uint64_t a = alloc(4096), b = alloc(4096);
	uint32_t value, read;

	(void)state;
	use_add_one();
	assert_int_equal(set(a, 0, 1024, 1, 4), 0);
	later(REQUEST(HOST_FUNC, host_func, 0, 1));
	assert_true(polled());
	assert_int_equal(quiet(add_one(0, a, 1024)), 0);
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, 0, 0)), 600);
	read = later(REQUEST(READ, read, a, 4, 0));
	later(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0));
	assert_int_equal(free_at(b), 0);
	assert_int_equal(free_at(b), 1);
	assert_int_equal(now(REQUEST(MODULE_UNLOAD, module, MODULE, 0)), 0);
	assert_int_equal(copy(VGPU_COPY_TO_DEVICE, b, 0, 8), 1);
	assert_false(polled());
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 1)), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(polled());
		assert_int_equal(rsp.status, 0);
		memcpy(&value, rsp.data, sizeof(value));
		assert_int_equal(value, rsp.id == read ? 0x01020305 : 0);
	}
	assert_int_equal(c.gpu.postponed_count, 0);
	assert_int_equal(c.errors, 2); /* the two that were refused, not the query */
}

static uint32_t copies_made;
static int copy_rc;

static int counted_copy(struct backend *b, struct backend_stream *s, const struct backend_copy *cp)
{
	copies_made++;
	return copy_rc ? copy_rc : backend_cpu.copy(b, s, cp);
}

/* A stream that stands at a function of the guest's; copies of the window would be waited in. */
static void copies_wait(void)
{
	copies_made = 0;
	copy_rc = 0;
	ops.copy = counted_copy;
	c.gpu.copies_wait = true;
	later(REQUEST(HOST_FUNC, host_func, 0, 1));
	assert_true(polled());
	assert_int_equal(rsp.status, 0);
}

static struct vgpu_request copy_out(uint64_t window_at, uint64_t src, uint32_t stream)
{
	return REQUEST(COPY, copy, window_at, src, 0, 0, 64, 1, VGPU_COPY_FROM_DEVICE, stream);
}

static void post(struct vgpu_request req)
{
	req.flags = VGPU_REQ_NO_RESPONSE;
	assert_false(commands_run(&c, &req, &rsp));
	assert_int_equal(c.sticky, 0);
}

static struct vgpu_request fill_with(uint64_t dst, uint32_t value)
{
	return REQUEST(MEMSET, memset, dst, 0, 64, 1, value, 1, 0, 0);
}

/* They are made when their turn has come, nobody is kept from saying that the function is done. */
static void test_copies_behind_a_host_func(void **state)
{
	uint64_t a = alloc(64), b = alloc(64), e = alloc(64);
	uint32_t answered;

	(void)state;
	assert_int_equal(make_stream(STREAM, VGPU_STREAM_NON_BLOCKING), 0);
	copies_wait();
	memset(window + 128, 0x33, 64);
	post(fill_with(a, 0x11));
	post(copy_out(0, a, 0));
	post(fill_with(a, 0x22));
	answered = later(copy_out(64, a, 0));
	post(REQUEST(COPY, copy, b, 128, 0, 0, 64, 1, VGPU_COPY_TO_DEVICE, 0));
	post(REQUEST(COPY, copy, e, b, 0, 0, 64, 1, VGPU_COPY_ON_DEVICE, 0));
	assert_int_equal(free_at(b), 0);
	assert_false(polled());
	assert_int_equal(now(nop()), 0);
	assert_int_equal(copies_made, 1); /* the one on the device: the stream has it to do */
	/* another stream does not stand there */
	assert_int_equal(later(copy_out(192, e, STREAM)) != 0, 1);
	assert_true(polled());
	assert_int_equal(rsp.status, 0);
	assert_int_equal(copies_made, 2);
	assert_int_equal(window[0], 0);
	assert_int_equal(c.gpu.host_funcs_active, 4);
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, UINT32_MAX)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 1)), 0);
	assert_true(polled());
	assert_int_equal(rsp.id, answered);
	assert_int_equal(rsp.status, 0);
	assert_false(polled());
	assert_int_equal(commands_pending(&c), 0);
	assert_int_equal(c.gpu.host_funcs_active, 0);
	assert_int_equal(copies_made, 5);
	assert_int_equal(window[0], 0x11);
	assert_int_equal(window[63], 0x11);
	assert_int_equal(window[64], 0x22);
	assert_int_equal(value_at(e), 0x33333333);
	assert_int_equal(c.gpu.postponed_count, 0);
}

/* Who asked is told; if nobody did, who asks next is. The stream goes on. */
static void test_held_copy_fails(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	copies_wait();
	later(copy_out(0, a, 0));
	post(copy_out(0, a, 0));
	copy_rc = 999;
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 1)), 0);
	assert_true(polled());
	assert_int_equal(rsp.status, 999);
	assert_false(polled());
	assert_int_equal(commands_pending(&c), 0);
	assert_int_equal(now(nop()), 999);
	copy_rc = 0;
	assert_int_equal(done(copy_out(0, a, 0)), 0);
	assert_int_equal(c.errors, 2);
}

static void test_fault_before_a_held_copy(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	copies_wait();
	post(copy_out(0, a, 0));
	later(copy_out(0, a, 0));
	c.lost = 700;
	assert_true(polled());
	assert_int_equal(rsp.status, 700);
	assert_false(polled());
	assert_int_equal(commands_pending(&c), 0);
	assert_int_equal(copies_made, 0);
}

/* The memory stays until the read has been done. */
static void test_read_of_freed_memory(void **state)
{
	uint64_t a = alloc(4096);
	uint32_t value;

	(void)state;
	assert_int_equal(set(a, 0, 1024, 1, 4), 0);
	later(REQUEST(HOST_FUNC, host_func, 0, 1));
	assert_true(polled());
	later(REQUEST(READ, read, a, 4, 0));
	assert_int_equal(free_at(a), 0);
	assert_int_equal(now(REQUEST(READ, read, a, 4, 0)), 1);
	assert_int_equal(now(REQUEST(HOST_FUNC_DONE, host_func, 0, 1)), 0);
	assert_true(polled());
	assert_int_equal(rsp.status, 0);
	memcpy(&value, rsp.data, sizeof(value));
	assert_int_equal(value, 0x01020304);
}

/* ---- markers and the deadline ---- */

static void test_marker_each_64(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	fences_by_hand();
	for (int i = 0; i < 63; i++)
		assert_int_equal(quiet(add_one(0, a, 1)), 0);
	assert_int_equal(hand.taken, 0);
	assert_int_equal(quiet(add_one(0, a, 1)), 0);
	assert_int_equal(hand.taken, 1);
	assert_int_equal(hand.marks[0], 1);
	assert_true(gpu_watched(&c.gpu));
	hand.status[0] = 0;
	assert_int_equal(commands_tend(&c, 1, false), 0);
	assert_false(gpu_watched(&c.gpu));
}

static void test_marker_when_idle(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	assert_int_equal(make_stream(STREAM, 0), 0);
	fences_by_hand();
	c.gpu.markers.marked_us = 1000;
	assert_int_equal(quiet(add_one(0, a, 1)), 0);
	assert_int_equal(quiet(add_one(STREAM, a, 1)), 0);
	assert_int_equal(commands_tend(&c, 1001, false), 0);
	assert_int_equal(hand.taken, 0);
	assert_int_equal(commands_tend(&c, 1002, true), 0);
	assert_int_equal(hand.taken, 2); /* one a stream */
	assert_int_equal(quiet(add_one(0, a, 1)), 0);
	assert_int_equal(commands_tend(&c, 1002 + 99999, false), 0);
	assert_int_equal(hand.taken, 2);
	assert_int_equal(commands_tend(&c, 1002 + 100000, false), 0);
	assert_int_equal(hand.taken, 3);
}

static void test_deadline(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	assert_int_equal(make_stream(STREAM, 0), 0);
	fences_by_hand();
	assert_int_equal(quiet(add_one(0, a, 1)), 0);
	assert_int_equal(quiet(add_one(STREAM, a, 1)), 0);
	assert_int_equal(commands_tend(&c, 5, true), 0);
	assert_int_equal(commands_tend(&c, 5 + DEADLINE_US - 1, true), 0);
	hand.status[0] = 0; /* one got on: the other has its time from now */
	assert_int_equal(commands_tend(&c, 5 + DEADLINE_US, true), 0);
	assert_int_equal(commands_tend(&c, 5 + 2 * DEADLINE_US - 1, true), 0);
	assert_int_equal(commands_tend(&c, 5 + 2 * DEADLINE_US, true), VGPU_EDEADLINE);
}

static void test_no_deadline_no_markers(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	fences_by_hand();
	c.gpu.deadline_us = 0;
	for (int i = 0; i < 200; i++)
		assert_int_equal(quiet(add_one(0, a, 1)), 0);
	assert_int_equal(commands_tend(&c, 1, true), 0);
	assert_int_equal(hand.taken, 0);
}

static void test_markers_full(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	fences_by_hand();
	for (uint32_t i = 0; i < 64 * (MARKERS_MAX + 3); i++)
		assert_int_equal(quiet(add_one(0, a, 1)), 0);
	assert_int_equal(hand.taken, MARKERS_MAX);
	for (uint32_t i = 0; i < MARKERS_MAX; i++)
		hand.status[i] = 0;
	assert_int_equal(commands_tend(&c, 1, true), 0);
	assert_int_equal(commands_tend(&c, 2, true), 0);
	assert_int_equal(hand.taken, MARKERS_MAX + 1);
}

static void test_stream_leaves_a_marker(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	assert_int_equal(make_stream(STREAM, 0), 0);
	fences_by_hand();
	assert_int_equal(quiet(add_one(STREAM, a, 1)), 0);
	assert_int_equal(now(REQUEST(STREAM_DESTROY, stream, STREAM, 0)), 0);
	assert_int_equal(hand.taken, 1);
	assert_int_equal(commands_tend(&c, UINT64_MAX / 2, true), VGPU_EDEADLINE);
}

/* Nobody asks: a marker tells, and the next request that answers passes it on. */
static void test_marker_tells_fault(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	fences_by_hand();
	assert_int_equal(quiet(add_one(0, a, 1)), 0);
	assert_int_equal(commands_tend(&c, 1, true), 0);
	hand.status[0] = 719;
	ops.memory = memory_gone;
	assert_int_equal(commands_tend(&c, 2, true), 0);
	assert_int_equal(c.lost, 719);
	assert_false(c.backend_lost);
	assert_int_equal(now(nop()), 719);
	assert_true(c.backend_lost);
}

/* ---- captures and graphs ---- */

static void test_graph(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	assert_int_equal(set(a, 0, 64, 1, 1), 0);
	assert_int_equal(make_stream(STREAM, 0), 0);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, STREAM, 0)), 0);
	assert_int_equal(quiet(add_one(STREAM, a, 1)), 0);
	assert_int_equal(quiet(add_one(STREAM, a, 1)), 0);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, STREAM)), 0);
	assert_int_equal(value_at(a), 0x04040404);
	assert_int_equal(quiet(REQUEST(GRAPH_LAUNCH, graph, GRAPH, STREAM)), 0);
	assert_int_equal(quiet(REQUEST(GRAPH_LAUNCH, graph, GRAPH, 0)), 0);
	assert_int_equal(value_at(a), 0x04040408);
	assert_int_equal(now(REQUEST(GRAPH_LAUNCH, graph, GRAPH + 0x10000, 0)), 400);
	assert_int_equal(now(REQUEST(GRAPH_LAUNCH, graph, GRAPH, 77)), 400);
	assert_int_equal(now(REQUEST(GRAPH_LAUNCH, graph, 0, 0)), 1);
	assert_int_equal(now(REQUEST(GRAPH_DESTROY, graph, 0, 0)), 1);
	assert_int_equal(now(REQUEST(GRAPH_DESTROY, graph, GRAPH, 1)), VGPU_EINVAL);
	assert_int_equal(now(REQUEST(GRAPH_DESTROY, graph, GRAPH, 0)), 0);
	assert_int_equal(now(REQUEST(GRAPH_DESTROY, graph, GRAPH, 0)), 400);
}

static void test_capture_rules(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	assert_int_equal(make_stream(STREAM, 0), 0);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, 0, 0)), 900);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, 77, 0)), 400);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, STREAM, 3)), 1);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, STREAM)), 401);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, STREAM, 0)), 0);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, STREAM, 0)), 401);
	assert_int_equal(now(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_STREAM, STREAM)), 900);
	assert_int_equal(now(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0)), 900);
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, STREAM, 0)), 900);
	assert_int_equal(now(REQUEST(READ, read, a, 4, STREAM)), 900);
	assert_int_equal(now(REQUEST(COPY, copy, a, 0, 0, 0, 8, 1, 1, STREAM)), 900);
	assert_int_equal(now(REQUEST(HOST_FUNC, host_func, STREAM, 1)), 900);
	assert_int_equal(quiet(REQUEST(MEMSET, memset, a, 0, 4, 1, 0, 1, 0, 0)), 906);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, STREAM)), 901);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, STREAM)), 401);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, 0)), 401);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, STREAM, 0)), 0);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, 0, STREAM)), VGPU_EINVAL); /* it is over */
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, STREAM, 0)), 0);
	assert_int_equal(c.gpu.captures, 0);
}

/* What waits for work of a capture spoils it, and only it. */
static void test_capture_spoiled(void **state)
{
	uint64_t a = alloc(64);
	const struct {
		struct vgpu_request req;
		int status;
		int end; /* of the capture */
	} cases[] = {
		{ REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_STREAM, STREAM), 900, 901 },
		{ REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0), 900, 901 },
		{ REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_STREAM, 0), 906, 901 },
		{ REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_EVENT, EVENT), 907, 901 },
		{ REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_STREAM, OTHER), 0, 0 },
		{ REQUEST(STREAM_QUERY, stream, STREAM, 0), 900, 901 },
		{ REQUEST(STREAM_QUERY, stream, 0, 0), 906, 901 },
		{ REQUEST(STREAM_QUERY, stream, OTHER, 0), 0, 0 },
		{ REQUEST(EVENT_QUERY, event, EVENT, 0), 907, 901 },
		{ REQUEST(EVENT_ELAPSED, elapsed, EVENT, EVENT), 907, 901 },
		{ REQUEST(READ, read, a, 4, STREAM), 900, 901 },
		{ REQUEST(READ, read, a, 4, 0), 900, 901 },
		{ REQUEST(COPY, copy, a, 0, 0, 0, 8, 1, 1, STREAM), 900, 901 },
	};

	(void)state;
	assert_int_equal(make_stream(STREAM, 0), 0);
	assert_int_equal(make_stream(OTHER, 0), 0);
	assert_int_equal(now(REQUEST(EVENT_CREATE, event_create, EVENT, 0)), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, STREAM, 0)), 0);
		assert_int_equal(now(REQUEST(EVENT_RECORD, event, EVENT, STREAM)), 0);
		assert_int_equal(done(cases[i].req), cases[i].status);
		assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, STREAM)), cases[i].end);
		if (!cases[i].end)
			assert_int_equal(now(REQUEST(GRAPH_DESTROY, graph, GRAPH, 0)), 0);
		assert_int_equal(done(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0)), 0);
	}
}

/* The stream goes, and the capture with it. */
static void test_capture_of_a_stream_destroyed(void **state)
{
	(void)state;
	assert_int_equal(make_stream(STREAM, 0), 0);
	assert_int_equal(make_stream(OTHER, 0), 0);
	assert_int_equal(now(REQUEST(EVENT_CREATE, event_create, EVENT, 0)), 0);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, STREAM, 0)), 0);
	assert_int_equal(now(REQUEST(EVENT_RECORD, event, EVENT, STREAM)), 0);
	assert_int_equal(now(REQUEST(STREAM_WAIT, stream, OTHER, EVENT)), 0);
	assert_int_equal(now(REQUEST(STREAM_DESTROY, stream, STREAM, 0)), 0);
	assert_int_equal(c.gpu.captures, 0);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, STREAM)), 400);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, OTHER)), 401);
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, OTHER, 0)), 0);
	assert_int_equal(done(REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0)), 0);
}

static void test_capture_of_two_streams(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	assert_int_equal(make_stream(STREAM, 0), 0);
	assert_int_equal(make_stream(OTHER, 0), 0);
	assert_int_equal(set(a, 0, 64, 1, 1), 0);
	assert_int_equal(now(REQUEST(EVENT_CREATE, event_create, EVENT, 0)), 0);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, STREAM, 0)), 0);
	assert_int_equal(quiet(add_one(STREAM, a, 1)), 0);
	assert_int_equal(now(REQUEST(EVENT_RECORD, event, EVENT, STREAM)), 0);
	assert_int_equal(now(REQUEST(STREAM_WAIT, stream, OTHER, EVENT)), 0);
	assert_int_equal(quiet(add_one(OTHER, a, 1)), 0);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, OTHER)), 903);
	assert_int_equal(now(REQUEST(CAPTURE_END, graph, GRAPH, STREAM)), 0);
	assert_int_equal(now(REQUEST(STREAM_QUERY, stream, OTHER, 0)), 0);
	assert_int_equal(quiet(REQUEST(GRAPH_LAUNCH, graph, GRAPH, OTHER)), 0);
	assert_int_equal(value_at(a), 0x04040406);
}

/* A marker in a stream that captures would be a part of the graph. */
static void test_no_marker_in_a_capture(void **state)
{
	uint64_t a = alloc(64);

	(void)state;
	use_add_one();
	assert_int_equal(make_stream(STREAM, 0), 0);
	fences_by_hand();
	assert_int_equal(quiet(add_one(STREAM, a, 1)), 0);
	assert_int_equal(now(REQUEST(CAPTURE_BEGIN, capture_begin, STREAM, 0)), 0);
	assert_int_equal(hand.taken, 1); /* of what came before it */
	for (int i = 0; i < 100; i++)
		assert_int_equal(quiet(add_one(STREAM, a, 1)), 0);
	assert_int_equal(commands_tend(&c, clock_us(), true), 0);
	assert_int_equal(hand.taken, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(device),
		T(alloc),
		T(alloc_overlap),
		T(copy),
		T(copy_arguments),
		T(copy_ranges),
		T(copy_2d),
		T(memset),
		T(write_and_read),
		T(handles),
		T(events),
		T(module_pieces),
		T(module_fails),
		T(kernel_names),
		T(kernel),
		T(launch),
		T(launch_params_in_window),
		T(fault),
		T(pointers_of_the_host),
		T(sync_arguments),
		T(answers_overtake),
		T(reads_hold_nobody_up),
		T(no_mark_when_done),
		T(mark_fails),
		T(kept_failure_answers_what_waited),
		T(fault_tells_all_that_wait),
		T(many_wait),
		T(host_func_numbers),
		T(host_funcs_quota),
		T(host_funcs_out_of_order),
		T(waiting_behind_a_host_func),
		T(copies_behind_a_host_func),
		T(held_copy_fails),
		T(fault_before_a_held_copy),
		T(read_of_freed_memory),
		T(marker_each_64),
		T(marker_when_idle),
		T(deadline),
		T(no_deadline_no_markers),
		T(markers_full),
		T(stream_leaves_a_marker),
		T(marker_tells_fault),
		T(graph),
		T(capture_rules),
		T(capture_spoiled),
		T(capture_of_a_stream_destroyed),
		T(capture_of_two_streams),
		T(no_marker_in_a_capture),
	};

	return cmocka_run_group_tests_name("host_worker_gpu", tests, NULL, NULL);
}
