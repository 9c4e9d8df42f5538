// SPDX-License-Identifier: GPL-2.0-or-later
/* Events: recorded, waited for, timed. */
#include "gpu.h"

#include <sched.h>
#include <stdlib.h>

static void new_events(void)
{
	auto_close g = NULL;
	vgpu_event e;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_event_create(g, &e, VGPU_EVENT_DEFAULT));
	CHECK(e != 0);
	EXPECT_ON(g, 0, vgpu_event_query(g, e)); /* as CUDA has it: nothing to wait for */
	EXPECT_ON(g, 0, vgpu_event_synchronize(g, e));
	EXPECT(0, told(g, vgpu_stream_wait_event(g, 0, e)));
	EXPECT(0, told(g, vgpu_event_record(g, e, 0)));
	EXPECT_ON(g, 0, vgpu_event_synchronize(g, e));
	EXPECT_ON(g, 0, vgpu_event_query(g, e));
	EXPECT(0, told(g, vgpu_event_destroy(g, e)));
}

static void events_become_done(void)
{
	struct kernels k;
	auto_close g = NULL;
	vgpu_stream stream;
	vgpu_event e;
	int rc;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &stream, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_event_create(g, &e, VGPU_EVENT_DISABLE_TIMING));
	for (int i = test_rounds(20); i > 0; i--) {
		EXPECT(0, spin(g, &k, stream, 3));
		EXPECT(0, vgpu_event_record(g, e, stream));
		while ((rc = vgpu_event_query(g, e)) == CUDA_NOT_READY)
			sched_yield();
		EXPECT(0, rc);
		EXPECT_ON(g, 0, vgpu_stream_query(g, stream));
		EXPECT(0, spin(g, &k, stream, 3));
		EXPECT(0, vgpu_event_record(g, e, stream));
		EXPECT_ON(g, 0, vgpu_event_synchronize(g, e));
		EXPECT_ON(g, 0, vgpu_event_query(g, e));
	}
	EXPECT(0, told(g, 0)); /* "not ready" is no error to keep */
}

static void elapsed(void)
{
	float whole = -1, first = -1, second = -1;
	vgpu_event e[3];
	struct kernels k;
	auto_close g = NULL;

	HELPED(open_with_kernels(&g, &k));
	for (int i = 0; i < 3; i++)
		EXPECT_ON(g, 0, vgpu_event_create(g, &e[i], VGPU_EVENT_DEFAULT));
	for (int i = 0; i < 3; i++) {
		EXPECT(0, vgpu_event_record(g, e[i], 0));
		EXPECT(0, spin(g, &k, 0, 4));
	}
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	EXPECT_ON(g, 0, vgpu_event_elapsed(g, &whole, e[0], e[2]));
	EXPECT_ON(g, 0, vgpu_event_elapsed(g, &first, e[0], e[1]));
	EXPECT_ON(g, 0, vgpu_event_elapsed(g, &second, e[1], e[2]));
	CHECK(first > 0 && second > 0, "(%g, %g)", (double)first, (double)second);
	CHECK(whole > (first + second) * 0.99f && whole < (first + second) * 1.01f + 0.01f,
	      "(%g, %g, %g)", (double)first, (double)second, (double)whole);
}

static void elapsed_refused(void)
{
	vgpu_event timed, untimed, never;
	auto_close g = NULL;
	float ms;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_event_create(g, &timed, VGPU_EVENT_DEFAULT));
	EXPECT_ON(g, 0, vgpu_event_create(g, &untimed, VGPU_EVENT_DISABLE_TIMING));
	EXPECT_ON(g, 0, vgpu_event_create(g, &never, VGPU_EVENT_DEFAULT));
	EXPECT(0, vgpu_event_record(g, timed, 0));
	EXPECT(0, vgpu_event_record(g, untimed, 0));
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	EXPECT_ON(g, 0, vgpu_event_elapsed(g, &ms, timed, timed));
	CHECK(ms == 0);
	EXPECT_ON(g, CUDA_INVALID_HANDLE, vgpu_event_elapsed(g, &ms, timed, untimed));
	EXPECT_ON(g, CUDA_INVALID_HANDLE, vgpu_event_elapsed(g, &ms, untimed, timed));
	EXPECT_ON(g, CUDA_INVALID_HANDLE, vgpu_event_elapsed(g, &ms, timed, never));
	EXPECT_ON(g, CUDA_INVALID_HANDLE, vgpu_event_elapsed(g, &ms, 0, timed));
	EXPECT_REFUSAL(vgpu_event_elapsed(g, NULL, timed, timed));
	vgpu_get_last_error(g);
}

static void stale_events(void)
{
	vgpu_event gone[50], e;
	auto_close g = NULL;
	auto_close other = NULL;
	float ms;

	EXPECT(0, test_open(&g));
	EXPECT(0, test_open(&other));
	for (int i = 0; i < 50; i++) {
		EXPECT_ON(g, 0, vgpu_event_create(g, &gone[i], VGPU_EVENT_DEFAULT));
		EXPECT(0, vgpu_event_destroy(g, gone[i]));
	}
	EXPECT_ON(g, 0, vgpu_event_create(g, &e, VGPU_EVENT_DEFAULT));
	for (int i = 0; i < 50; i++) {
		CHECK(gone[i] != e);
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_event_destroy(g, gone[i])));
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_event_record(g, gone[i], 0)));
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_stream_wait_event(g, 0, gone[i])));
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_event_query(g, gone[i])));
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_event_synchronize(g, gone[i])));
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_event_elapsed(g, &ms, e, gone[i])));
	}
	EXPECT(CUDA_INVALID_HANDLE, told(other, vgpu_event_record(other, e, 0)));
	EXPECT(CUDA_INVALID_HANDLE, told(other, vgpu_event_synchronize(other, e)));
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_event_destroy(g, 0)));
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_event_record(g, e, 4711)));
	EXPECT_REFUSAL(told(g, vgpu_event_create(g, NULL, VGPU_EVENT_DEFAULT)));
	EXPECT_REFUSAL(told(g, vgpu_event_create(g, &e, 0x80)));
}

static void many_events(void)
{
	enum {
		MANY = 2000
	};
	auto_free vgpu_event *e = calloc(MANY, sizeof(*e));
	auto_close g = NULL;

	CHECK(e);
	EXPECT(0, test_open(&g));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++)
			EXPECT_ON(g, 0, vgpu_event_create(g, &e[i], VGPU_EVENT_DISABLE_TIMING));
		for (int i = 0; i < MANY; i++)
			EXPECT(0, vgpu_event_record(g, e[i], 0));
		EXPECT_ON(g, 0, vgpu_event_synchronize(g, e[MANY - 1]));
		for (int i = 0; i < MANY; i++)
			EXPECT(0, vgpu_event_destroy(g, e[i]));
		EXPECT(0, told(g, 0));
	}
}

const struct test_case gpu_event_tests[] = {
	{ "events that were never recorded", new_events },
	{ "events become done", events_become_done },
	{ "time between events", elapsed },
	{ "time between events that have none", elapsed_refused },
	{ "stale, foreign and malformed events", stale_events },
	{ "thousands of events", many_events },
	{ NULL, NULL },
};
