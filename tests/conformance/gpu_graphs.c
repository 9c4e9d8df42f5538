// SPDX-License-Identifier: GPL-2.0-or-later
/* Graphs: recorded without being run, and run as often as one likes. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>

#define WORDS 1500u
#define BYTES (WORDS * sizeof(uint32_t))

struct bed {
	struct kernels k;
	struct vgpu *g;
	vgpu_stream s;
	vgpu_devptr a, b;
};

/* Memory is zero, the stream is new. */
static void open_bed(struct vgpu **g, struct bed *bed)
{
	HELPED(open_with_kernels(g, &bed->k));
	bed->g = *g;
	EXPECT_ON(*g, 0, vgpu_stream_create(*g, &bed->s, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(*g, 0, vgpu_malloc(*g, &bed->a, BYTES));
	EXPECT_ON(*g, 0, vgpu_malloc(*g, &bed->b, BYTES));
	EXPECT_ON(*g, 0, vgpu_memset(*g, bed->a, 0, BYTES));
	EXPECT_ON(*g, 0, vgpu_memset(*g, bed->b, 0, BYTES));
}

/* a = a + @adds. */
static void capture_adds(const struct bed *x, int adds, vgpu_graph *graph)
{
	EXPECT_ON(x->g, 0, vgpu_capture_begin(x->g, x->s, VGPU_CAPTURE_MODE_THREAD_LOCAL));
	for (int i = 0; i < adds; i++)
		EXPECT(0, add_one(x->g, &x->k, x->s, x->a, WORDS));
	EXPECT_ON(x->g, 0, vgpu_capture_end(x->g, x->s, graph));
	CHECK(*graph != 0);
}

static void replay(void)
{
	auto_close g = NULL;
	struct bed x;
	vgpu_graph one, ten;
	uint32_t wanted = 0;

	HELPED(open_bed(&g, &x));
	HELPED(capture_adds(&x, 1, &one));
	HELPED(capture_adds(&x, 10, &ten));
	CHECK(one != ten);
	CHECK(device_is(g, x.a, 0, WORDS, x.s), "(a capture ran)");
	for (int i = test_rounds(300); i > 0; i--) {
		bool big = test_random() % 2;

		EXPECT(0, vgpu_graph_launch(g, big ? ten : one, x.s));
		wanted += big ? 10 : 1;
	}
	CHECK(device_is(g, x.a, wanted, WORDS, x.s));
	EXPECT(0, vgpu_graph_launch(g, ten, 0)); /* in any stream */
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	CHECK(device_is(g, x.a, wanted + 10, WORDS, x.s));
	EXPECT(0, vgpu_graph_launch(g, one, x.s));
	EXPECT(0, vgpu_graph_destroy(g, one)); /* under way, it is finished */
	CHECK(device_is(g, x.a, wanted + 11, WORDS, x.s));
	EXPECT(0, told(g, vgpu_graph_destroy(g, ten)));
}

/* All that may be in a graph. */
static void all_kinds_of_work(void)
{
	auto_close g = NULL;
	vgpu_stream side;
	vgpu_event fork, join;
	uint32_t *host;
	vgpu_graph graph;
	struct bed x;

	HELPED(open_bed(&g, &x));
	EXPECT_ON(g, 0, vgpu_host_alloc(g, (void **)&host, 2 * BYTES));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &side, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_event_create(g, &fork, VGPU_EVENT_DISABLE_TIMING));
	EXPECT_ON(g, 0, vgpu_event_create(g, &join, VGPU_EVENT_DISABLE_TIMING));
	EXPECT_ON(g, 0, vgpu_capture_begin(g, x.s, VGPU_CAPTURE_MODE_THREAD_LOCAL));
	EXPECT(0, vgpu_copy_to_device_async(g, x.a, host, BYTES, x.s));
	EXPECT(0, spin(g, &x.k, x.s, 1)); /* who does not wait comes too early */
	EXPECT(0, add_one(g, &x.k, x.s, x.a, WORDS));
	EXPECT(0, vgpu_event_record(g, fork, x.s));
	EXPECT(0, vgpu_stream_wait_event(g, side, fork));
	EXPECT(0, vgpu_copy_on_device_async(g, x.b, x.a, BYTES, side));
	EXPECT(0, spin(g, &x.k, side, 1));
	EXPECT(0, add_one(g, &x.k, side, x.b, WORDS));
	EXPECT(0, vgpu_event_record(g, join, side));
	EXPECT(0, vgpu_stream_wait_event(g, x.s, join));
	EXPECT(0, vgpu_memset_async(g, x.a, 0x33, BYTES, x.s));
	EXPECT(0, vgpu_copy_from_device_async(g, host + WORDS, x.b, BYTES, x.s));
	EXPECT_ON(g, 0, vgpu_capture_end(g, x.s, &graph));
	for (int i = test_rounds(50); i > 0; i--) {
		uint32_t start = (uint32_t)test_random();

		for (uint32_t w = 0; w < WORDS; w++)
			host[w] = start + w;
		memset(host + WORDS, POISON, BYTES);
		EXPECT(0, vgpu_graph_launch(g, graph, x.s));
		EXPECT_ON(g, 0, vgpu_stream_synchronize(g, x.s));
		for (uint32_t w = 0; w < WORDS; w++)
			CHECK(host[WORDS + w] == start + w + 2, "(word %u)", w);
		CHECK(device_is(g, x.a, 0x33333333, WORDS, x.s));
	}
	EXPECT(0, told(g, 0));
}

static void empty_graph(void)
{
	auto_close g = NULL;
	vgpu_graph graph;
	struct bed x;

	HELPED(open_bed(&g, &x));
	HELPED(capture_adds(&x, 0, &graph));
	EXPECT(0, told(g, vgpu_graph_launch(g, graph, x.s)));
	EXPECT_ON(g, 0, vgpu_stream_synchronize(g, x.s));
}

/* What a capture forbids. @e is recorded in it, @before was before it. */
enum forbidden {
	SYNCHRONIZE,
	QUERY,
	SYNCHRONIZE_ALL,
	SYNCHRONIZE_EVENT,
	QUERY_EVENT,
	ELAPSED,
	FORBIDDEN /* how many, and a copy from ordinary memory */
};

static int do_forbidden(const struct bed *x, enum forbidden what, vgpu_event before, vgpu_event e)
{
	uint8_t data[64] = { 0 };
	float ms;

	switch (what) {
	case SYNCHRONIZE:
		return vgpu_stream_synchronize(x->g, x->s);
	case QUERY:
		return vgpu_stream_query(x->g, x->s);
	case SYNCHRONIZE_ALL:
		return vgpu_synchronize(x->g);
	case SYNCHRONIZE_EVENT:
		return vgpu_event_synchronize(x->g, e);
	case QUERY_EVENT:
		return vgpu_event_query(x->g, e);
	case ELAPSED:
		return vgpu_event_elapsed(x->g, &ms, before, e);
	default:
		return vgpu_copy_from_device_async(x->g, data, x->b, 64, x->s);
	}
}

/* To wait spoils the capture; after it another one works. */
static void waiting_in_a_capture(void)
{
	auto_close g = NULL;
	vgpu_event e, before;
	vgpu_graph graph;
	struct bed x;

	HELPED(open_bed(&g, &x));
	EXPECT_ON(g, 0, vgpu_event_create(g, &e, VGPU_EVENT_DEFAULT));
	EXPECT_ON(g, 0, vgpu_event_create(g, &before, VGPU_EVENT_DEFAULT));
	EXPECT(0, vgpu_event_record(g, before, x.s));
	for (enum forbidden what = SYNCHRONIZE; what <= FORBIDDEN; what++) {
		int wanted = what >= SYNCHRONIZE_EVENT && what < FORBIDDEN
				     ? CUDA_CAPTURED_EVENT
				     : CUDA_CAPTURE_UNSUPPORTED;
		int rc;

		EXPECT_ON(g, 0, vgpu_capture_begin(g, x.s, VGPU_CAPTURE_MODE_RELAXED));
		EXPECT(0, add_one(g, &x.k, x.s, x.a, WORDS));
		EXPECT(0, vgpu_event_record(g, e, x.s));
		rc = do_forbidden(&x, what, before, e);
		CHECK(rc == wanted, "(%u: %s)", what, vgpu_strerrorname(rc));
		rc = vgpu_capture_end(g, x.s, &graph);
		if (what <= QUERY)
			CHECK(rc == CUDA_CAPTURE_INVALIDATED, "(%u: %s)", what,
			      vgpu_strerrorname(rc));
		else if (rc == 0)
			EXPECT(0, vgpu_graph_destroy(g, graph));
		vgpu_get_last_error(g);
		HELPED(capture_adds(&x, 1, &graph));
		EXPECT_ON(g, 0, vgpu_graph_destroy(g, graph));
	}
	CHECK(device_is(g, x.a, 0, WORDS, x.s));
}

/* The host looks after what was begun before, and the capture does not notice. */
static void capture_while_at_work(void)
{
	auto_close g = NULL;
	vgpu_stream waits;
	vgpu_graph graph;
	struct bed x;

	HELPED(open_bed(&g, &x));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &waits, VGPU_STREAM_DEFAULT, 0));
	for (int what = 0; what < 3; what++) {
		vgpu_stream s = what ? waits : x.s;

		EXPECT(0, spin(g, &x.k, what == 2 ? 0 : s, 100));
		EXPECT_ON(g, 0, vgpu_capture_begin(g, s, VGPU_CAPTURE_MODE_THREAD_LOCAL));
		EXPECT(0, add_one(g, &x.k, s, x.a, WORDS));
		for (int i = test_rounds(3000); i > 0; i--)
			EXPECT_ON(g, 0, vgpu_nop(g));
		EXPECT_ON(g, 0, vgpu_capture_end(g, s, &graph));
		EXPECT(0, vgpu_graph_launch(g, graph, s));
		EXPECT_ON(g, 0, vgpu_synchronize(g));
		CHECK(device_is(g, x.a, (uint32_t)what + 1, WORDS, s));
	}
}

/* The default stream would wait for the stream that only records. */
static void default_stream_in_a_capture(void)
{
	auto_close g = NULL;
	vgpu_stream waits;
	vgpu_graph graph;
	struct bed x;

	HELPED(open_bed(&g, &x));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &waits, VGPU_STREAM_DEFAULT, 0));
	for (int what = 0; what < 2; what++) {
		EXPECT_ON(g, 0, vgpu_capture_begin(g, waits, VGPU_CAPTURE_MODE_GLOBAL));
		EXPECT(CUDA_CAPTURE_IMPLICIT, what ? told(g, add_one(g, &x.k, 0, x.a, WORDS))
						   : vgpu_stream_synchronize(g, 0));
		CHECK(vgpu_capture_end(g, waits, &graph) != 0 || !what);
		vgpu_get_last_error(g);
	}
	EXPECT(0, add_one(g, &x.k, 0, x.a, WORDS));
	CHECK(device_is(g, x.a, 1, WORDS, 0));
}

/* A capture is ended where it began, and once. */
static void captures_ended_wrongly(void)
{
	auto_close g = NULL;
	vgpu_stream other;
	vgpu_graph graph;
	vgpu_event e;
	struct bed x;

	HELPED(open_bed(&g, &x));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &other, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_event_create(g, &e, VGPU_EVENT_DISABLE_TIMING));
	EXPECT_ON(g, CUDA_ILLEGAL_STATE, vgpu_capture_end(g, x.s, &graph));
	EXPECT_ON(g, CUDA_ILLEGAL_STATE, vgpu_capture_end(g, 0, &graph));
	EXPECT_ON(g, 0, vgpu_capture_begin(g, x.s, VGPU_CAPTURE_MODE_RELAXED));
	EXPECT_ON(g, CUDA_ILLEGAL_STATE, vgpu_capture_begin(g, x.s, VGPU_CAPTURE_MODE_RELAXED));
	vgpu_capture_end(g, x.s, &graph); /* that may have spoiled it */
	EXPECT_ON(g, CUDA_ILLEGAL_STATE, vgpu_capture_end(g, x.s, &graph));
	EXPECT_ON(g, 0, vgpu_capture_begin(g, x.s, VGPU_CAPTURE_MODE_RELAXED));
	EXPECT(0, vgpu_event_record(g, e, x.s));
	EXPECT(0, vgpu_stream_wait_event(g, other, e));
	EXPECT(0, add_one(g, &x.k, other, x.a, WORDS));
	EXPECT_ON(g, CUDA_CAPTURE_UNMATCHED, vgpu_capture_end(g, other, &graph));
	vgpu_capture_end(g, x.s, &graph);
	EXPECT_ON(g, CUDA_ILLEGAL_STATE, vgpu_capture_end(g, x.s, &graph));
	vgpu_get_last_error(g);
	EXPECT(0, add_one(g, &x.k, other, x.a, WORDS));
	CHECK(device_is(g, x.a, 1, WORDS, other));
	HELPED(capture_adds(&x, 1, &graph));
}

static void refused(void)
{
	auto_close g = NULL;
	auto_close other = NULL;
	vgpu_graph graph, gone;
	struct bed x;

	HELPED(open_bed(&g, &x));
	EXPECT(0, test_open(&other));
	EXPECT(CUDA_CAPTURE_UNSUPPORTED,
	       told(g, vgpu_capture_begin(g, 0, VGPU_CAPTURE_MODE_GLOBAL)));
	EXPECT_REFUSAL(told(g, vgpu_capture_begin(g, x.s, (enum vgpu_capture_mode)9)));
	EXPECT(CUDA_INVALID_HANDLE,
	       told(g, vgpu_capture_begin(g, 4711, VGPU_CAPTURE_MODE_RELAXED)));
	EXPECT(CUDA_INVALID_VALUE, told(g, vgpu_graph_launch(g, 0, x.s)));
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_graph_launch(g, UINT32_MAX, x.s)));
	EXPECT(CUDA_INVALID_VALUE, told(g, vgpu_graph_destroy(g, 0)));
	HELPED(capture_adds(&x, 1, &gone));
	EXPECT(0, vgpu_graph_destroy(g, gone));
	HELPED(capture_adds(&x, 1, &graph));
	CHECK(graph != gone);
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_graph_launch(g, gone, x.s)));
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_graph_destroy(g, gone)));
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_graph_launch(g, graph, 4711)));
	EXPECT(CUDA_INVALID_HANDLE, told(other, vgpu_graph_launch(other, graph, 0)));
	EXPECT(CUDA_INVALID_HANDLE, told(other, vgpu_graph_destroy(other, graph)));
	EXPECT_ON(g, 0, vgpu_capture_begin(g, x.s, VGPU_CAPTURE_MODE_RELAXED));
	EXPECT_REFUSAL(vgpu_capture_end(g, x.s, NULL));
	vgpu_capture_end(g, x.s, &gone); /* the refusals may have ended it */
	vgpu_get_last_error(g);
	EXPECT(0, vgpu_graph_launch(g, graph, x.s));
	CHECK(device_is(g, x.a, 1, WORDS, x.s));
}

/* It is gone, and the capture with it; a stream that has joined it is as before. */
static void destroy_in_a_capture(void)
{
	auto_close g = NULL;
	vgpu_stream other;
	vgpu_graph graph;
	vgpu_event e;
	struct bed x;

	HELPED(open_bed(&g, &x));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &other, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_event_create(g, &e, VGPU_EVENT_DISABLE_TIMING));
	EXPECT_ON(g, 0, vgpu_capture_begin(g, x.s, VGPU_CAPTURE_MODE_RELAXED));
	EXPECT(0, add_one(g, &x.k, x.s, x.a, WORDS));
	EXPECT(0, told(g, vgpu_event_record(g, e, x.s)));
	EXPECT(0, told(g, vgpu_stream_wait_event(g, other, e)));
	EXPECT(0, told(g, vgpu_stream_destroy(g, x.s)));
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_capture_end(g, x.s, &graph)));
	EXPECT(CUDA_ILLEGAL_STATE, told(g, vgpu_capture_end(g, other, &graph)));
	EXPECT_ON(g, 0, vgpu_stream_synchronize(g, other));
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	for (uint32_t i = 1; i <= 5; i++) {
		vgpu_stream s;

		EXPECT_ON(g, 0, vgpu_stream_create(g, &s, VGPU_STREAM_NONBLOCKING, 0));
		EXPECT(0, add_one(g, &x.k, s, x.a, WORDS));
		CHECK(device_is(g, x.a, i, WORDS, s));
	}
	EXPECT(0, told(g, 0));
}

/* The handle goes in the middle of a capture. */
static void close_in_a_capture(void)
{
	for (int i = 0; i < 3; i++) {
		auto_close g = NULL;
		struct bed x;

		HELPED(open_bed(&g, &x));
		EXPECT_ON(g, 0, vgpu_capture_begin(g, x.s, VGPU_CAPTURE_MODE_RELAXED));
		EXPECT(0, add_one(g, &x.k, x.s, x.a, WORDS));
	}
}

const struct test_case gpu_graph_tests[] = {
	{ "graphs are replayed, a capture does not run", replay },
	{ "a graph of all kinds of work over two streams", all_kinds_of_work },
	{ "an empty graph", empty_graph },
	{ "waiting in a capture is refused, and spoils it", waiting_in_a_capture },
	{ "the default stream in a capture", default_stream_in_a_capture },
	{ "a capture begins while its stream is at work", capture_while_at_work },
	{ "captures that are begun twice or ended wrongly", captures_ended_wrongly },
	{ "stale, foreign and malformed graphs", refused },
	{ "a stream is destroyed in a capture", destroy_in_a_capture },
	{ "close in a capture", close_in_a_capture },
	{ NULL, NULL },
};
