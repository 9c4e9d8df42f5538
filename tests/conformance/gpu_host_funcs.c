// SPDX-License-Identifier: GPL-2.0-or-later
/* Host functions: in their stream's order, with the stream behind them waiting. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trace {
	uint32_t *seen; /* numbers in the order in which the functions ran */
	uint32_t n;
};

struct step {
	struct trace *trace;
	uint32_t number;
};

static void note(void *opaque)
{
	struct step *s = opaque;
	struct trace *t = s->trace;

	t->seen[__atomic_fetch_add(&t->n, 1, __ATOMIC_RELAXED)] = s->number;
}

static void one_stream(void)
{
	const uint32_t n = (uint32_t)test_rounds(600);
	auto_free struct step *steps = calloc(n, sizeof(*steps));
	auto_free uint32_t *seen = calloc(n, sizeof(*seen));
	struct trace trace = { .seen = seen };
	auto_close g = NULL;
	vgpu_stream streams[2] = { 0, 0 };

	CHECK(steps && seen);
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &streams[1], VGPU_STREAM_NONBLOCKING, 0));
	for (int s = 0; s < 2; s++) {
		trace.n = 0;
		for (uint32_t i = 0; i < n; i++) {
			steps[i] = (struct step){ &trace, i };
			EXPECT(0, vgpu_launch_host_func(g, streams[s], note, &steps[i]));
		}
		EXPECT_ON(g, 0, vgpu_stream_synchronize(g, streams[s]));
		CHECK(trace.n == n, "(%u of %u)", trace.n, n);
		for (uint32_t i = 0; i < n; i++)
			CHECK(seen[i] == i, "(function %u ran as number %u)", seen[i], i);
	}
}

struct relay {
	uint32_t *from; /* vgpu_host_alloc()'s */
	uint32_t *to;
	uint32_t words;
};

static void add_seven(void *opaque)
{
	struct relay *r = opaque;

	for (uint32_t i = 0; i < r->words; i++)
		r->to[i] = r->from[i] + 7;
}

/* Device to host, a function over it, back to the device: each waits for the one before. */
static void between_copies(struct vgpu *g, const struct kernels *k, vgpu_stream stream,
			   uint32_t words)
{
	const size_t bytes = words * sizeof(uint32_t);
	struct relay relay = { .words = words };
	vgpu_devptr p;

	EXPECT_ON(g, 0, vgpu_host_alloc(g, (void **)&relay.from, bytes));
	EXPECT_ON(g, 0, vgpu_host_alloc(g, (void **)&relay.to, bytes));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, bytes));
	for (int i = test_rounds(50); i > 0; i--) {
		uint32_t start = (uint32_t)test_random();

		memset(relay.from, POISON, bytes);
		memset(relay.to, POISON, bytes);
		EXPECT(0, spin(g, k, stream, 1));
		EXPECT(0, fill(g, k, stream, p, start, words));
		for (int again = 0; again < 3; again++) {
			EXPECT(0, vgpu_copy_from_device_async(g, relay.from, p, bytes, stream));
			EXPECT(0, vgpu_launch_host_func(g, stream, add_seven, &relay));
			EXPECT(0, vgpu_copy_to_device_async(g, p, relay.to, bytes, stream));
			EXPECT(0, add_one(g, k, stream, p, words));
		}
		EXPECT_ON(g, 0, vgpu_stream_synchronize(g, stream));
		CHECK(device_is(g, p, start + 24, words, stream), "(%u words)", words);
	}
	EXPECT_ON(g, 0, vgpu_host_free(g, relay.from));
	EXPECT_ON(g, 0, vgpu_host_free(g, relay.to));
}

static void work_around_them_waits(void)
{
	struct kernels k;
	auto_close g = NULL;
	vgpu_stream stream;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &stream, VGPU_STREAM_NONBLOCKING, 0));
	HELPED(between_copies(g, &k, stream, 1));
	HELPED(between_copies(g, &k, stream, 1500));
	HELPED(between_copies(g, &k, 0, 20));
	EXPECT(0, told(g, 0));
}

static void other_handles(void)
{
	auto_close g = NULL;
	auto_close other = NULL;
	struct trace trace;
	uint32_t seen[2] = { 0 };
	struct step steps[2] = { { &trace, 1 }, { &trace, 2 } };

	trace = (struct trace){ .seen = seen };
	EXPECT(0, test_open(&g));
	EXPECT(0, test_open(&other));
	EXPECT(0, vgpu_launch_host_func(g, 0, note, &steps[0]));
	EXPECT(0, vgpu_launch_host_func(other, 0, note, &steps[1]));
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	EXPECT_ON(other, 0, vgpu_synchronize(other));
	CHECK(trace.n == 2 && seen[0] + seen[1] == 3);
}

static void refused(void)
{
	auto_close g = NULL;
	struct trace trace = { 0 };
	struct step step = { &trace, 0 };

	EXPECT(0, test_open(&g));
	EXPECT_REFUSAL(told(g, vgpu_launch_host_func(g, 0, NULL, NULL)));
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_launch_host_func(g, 4711, note, &step)));
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	CHECK(trace.n == 0);
}

/* Closing with functions under way ends; none runs afterwards. */
static void close_with_some_under_way(void)
{
	for (int i = test_rounds(20); i > 0; i--) {
		uint32_t seen[10], ran;
		struct trace trace = { .seen = seen };
		struct step step = { &trace, 0 };
		auto_close g = NULL;

		EXPECT(0, test_open(&g));
		for (int f = 0; f < 10; f++)
			EXPECT(0, vgpu_launch_host_func(g, 0, note, &step));
		close_handle(&g);
		ran = __atomic_load_n(&trace.n, __ATOMIC_ACQUIRE);
		usleep(1000);
		CHECK(ran <= 10 && ran == __atomic_load_n(&trace.n, __ATOMIC_ACQUIRE));
	}
}

const struct test_case gpu_host_func_tests[] = {
	{ "host functions run in order", one_stream },
	{ "work around a host function waits", work_around_them_waits },
	{ "host functions of two handles", other_handles },
	{ "malformed host functions are refused", refused },
	{ "close with host functions under way", close_with_some_under_way },
	{ NULL, NULL },
};
