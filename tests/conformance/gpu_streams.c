// SPDX-License-Identifier: GPL-2.0-or-later
/* Streams: order in each, order between them by events, and threads that share a handle. */
#include "gpu.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

static void create_and_destroy(void)
{
	enum {
		MANY = 300
	};
	static const int priorities[] = { 0, -1, 1, -1000, 1000, INT32_MIN, INT32_MAX };
	vgpu_stream s[MANY];
	struct kernels k;
	auto_close g = NULL;
	vgpu_devptr p;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, MANY * 256));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++) {
			EXPECT_ON(g, 0,
				  vgpu_stream_create(g, &s[i], (unsigned int)i % 2,
						     priorities[i % 7]));
			EXPECT(0, fill(g, &k, s[i], p + (vgpu_devptr)i * 256, (uint32_t)i, 64));
		}
		for (int i = 0; i < MANY; i++)
			EXPECT(0, vgpu_stream_destroy(g, s[i])); /* its work is finished */
		EXPECT_ON(g, 0, vgpu_synchronize(g));
		for (int i = 0; i < MANY; i += 13)
			CHECK(device_is(g, p + (vgpu_devptr)i * 256, (uint32_t)i, 64, 0));
	}
	EXPECT(0, told(g, 0));
}

static void stale_streams(void)
{
	vgpu_stream gone[30], s;
	auto_close g = NULL;
	auto_close other = NULL;
	uint8_t data[4] = { 0 };
	vgpu_devptr p;

	EXPECT(0, test_open(&g));
	EXPECT(0, test_open(&other));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, 64));
	for (int i = 0; i < 30; i++) {
		EXPECT_ON(g, 0, vgpu_stream_create(g, &gone[i], VGPU_STREAM_DEFAULT, 0));
		EXPECT(0, vgpu_stream_destroy(g, gone[i]));
	}
	EXPECT_ON(g, 0, vgpu_stream_create(g, &s, VGPU_STREAM_DEFAULT, 0));
	for (int i = 0; i < 30; i++) {
		CHECK(gone[i] != s);
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_stream_destroy(g, gone[i])));
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_stream_synchronize(g, gone[i])));
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_stream_query(g, gone[i])));
		EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_memset_async(g, p, 0, 64, gone[i])));
		EXPECT(CUDA_INVALID_HANDLE,
		       told(g, vgpu_copy_to_device_async(g, p, data, 4, gone[i])));
		EXPECT(CUDA_INVALID_HANDLE,
		       told(g, vgpu_copy_from_device_async(g, data, p, 4, gone[i])));
	}
	EXPECT(CUDA_INVALID_HANDLE, told(other, vgpu_stream_synchronize(other, s)));
	EXPECT(CUDA_INVALID_HANDLE, told(other, vgpu_stream_destroy(other, s)));
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_stream_destroy(g, 0)));
	EXPECT(CUDA_INVALID_HANDLE, told(g, vgpu_stream_wait_event(g, s, 4711)));
	EXPECT_REFUSAL(told(g, vgpu_stream_create(g, NULL, VGPU_STREAM_DEFAULT, 0)));
	EXPECT_REFUSAL(told(g, vgpu_stream_create(g, &s, 0x40, 0)));
	EXPECT_ON(g, 0, vgpu_stream_synchronize(g, 0));
	EXPECT_ON(g, 0, vgpu_stream_query(g, 0));
}

/* A number walks to and fro between two streams; each step needs the one before. */
static void two_streams_by_events(void)
{
	const uint32_t words = 5000, rounds = (uint32_t)test_rounds(100);
	vgpu_stream s[2];
	vgpu_event e[2];
	struct kernels k;
	auto_close g = NULL;
	vgpu_devptr p[2];

	HELPED(open_with_kernels(&g, &k));
	for (int i = 0; i < 2; i++) {
		EXPECT_ON(g, 0, vgpu_stream_create(g, &s[i], VGPU_STREAM_NONBLOCKING, 0));
		EXPECT_ON(g, 0, vgpu_event_create(g, &e[i], VGPU_EVENT_DISABLE_TIMING));
		EXPECT_ON(g, 0, vgpu_malloc(g, &p[i], words * 4));
	}
	EXPECT(0, fill(g, &k, s[0], p[1], 0, words));
	EXPECT(0, vgpu_event_record(g, e[1], s[0]));
	for (uint32_t r = 0; r < rounds; r++) {
		for (int i = 0; i < 2; i++) {
			EXPECT(0, vgpu_stream_wait_event(g, s[i], e[!i]));
			/* one of them is late, and the other must not care */
			EXPECT(0, r % 8 == 4 * (uint32_t)i ? spin(g, &k, s[i], 2) : 0);
			EXPECT(0, vgpu_copy_on_device_async(g, p[i], p[!i], words * 4, s[i]));
			EXPECT(0, add_one(g, &k, s[i], p[i], words));
			EXPECT(0, vgpu_event_record(g, e[i], s[i]));
		}
	}
	EXPECT_ON(g, 0, vgpu_event_synchronize(g, e[1]));
	CHECK(device_is(g, p[1], 2 * rounds, words, s[1]));
	CHECK(device_is(g, p[0], 2 * rounds - 1, words, s[0]));
	EXPECT(0, told(g, 0));
}

/* The default stream waits for the others, and they for it. */
static void default_stream(void)
{
	const uint32_t words = 3000;
	struct kernels k;
	auto_close g = NULL;
	vgpu_stream s;
	vgpu_devptr p;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &s, VGPU_STREAM_DEFAULT, 0));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, words * 4));
	for (int i = test_rounds(30); i > 0; i--) {
		EXPECT(0, spin(g, &k, 0, 1));
		EXPECT(0, fill(g, &k, 0, p, 5, words));
		EXPECT(0, add_one(g, &k, s, p, words));
		EXPECT(0, spin(g, &k, s, 1));
		EXPECT(0, add_one(g, &k, s, p, words));
		EXPECT(0, add_one(g, &k, 0, p, words));
		CHECK(device_is(g, p, 8, words, 0));
	}
}

static void query_and_synchronize(void)
{
	struct kernels k;
	auto_close g = NULL;
	vgpu_stream s;
	vgpu_devptr p;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &s, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, 400));
	EXPECT_ON(g, 0, vgpu_stream_query(g, s));
	for (uint32_t i = 0; i < (uint32_t)test_rounds(30); i++) {
		EXPECT(0, spin(g, &k, s, 2));
		EXPECT(0, fill(g, &k, s, p, i, 100));
		if (i % 3 == 0)
			EXPECT(0, query_until_done(g, s));
		else if (i % 3 == 1)
			EXPECT_ON(g, 0, vgpu_stream_synchronize(g, s));
		else
			EXPECT_ON(g, 0, vgpu_synchronize(g));
		EXPECT_ON(g, 0, vgpu_stream_query(g, s));
		CHECK(device_is(g, p, i, 100, s));
	}
	EXPECT(0, told(g, 0));
}

struct waiter {
	pthread_t thread;
	struct vgpu *g;
	vgpu_stream stream;
	int rc;
	bool done;
};

static void *wait_for_stream(void *arg)
{
	struct waiter *w = arg;

	w->rc = vgpu_stream_synchronize(w->g, w->stream);
	__atomic_store_n(&w->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void wait_for_gate(void *gate)
{
	while (sem_wait(gate))
		;
}

/* What other threads get done while one waits; the gate holds its stream until they have. */
static void beside_a_waiter(struct vgpu *g, const struct kernels *k, struct waiter *w)
{
	const uint32_t words = 2000, steps = (uint32_t)test_rounds(200);
	vgpu_stream s;
	vgpu_devptr p;

	EXPECT_ON(g, 0, vgpu_stream_create(g, &s, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, words * 4));
	EXPECT(0, fill(g, k, s, p, 0, words));
	for (uint32_t i = 0; i < steps; i++) {
		EXPECT(0, add_one(g, k, s, p, words));
		if (i % 20)
			continue;
		EXPECT_ON(g, 0, vgpu_stream_synchronize(g, s));
		EXPECT(CUDA_NOT_READY, vgpu_stream_query(g, w->stream));
		EXPECT_ON(g, 0, vgpu_nop(g));
	}
	CHECK(device_is(g, p, steps, words, s));
	CHECK(!__atomic_load_n(&w->done, __ATOMIC_ACQUIRE), "(the waiter did not wait)");
}

static void others_pass_a_waiter(void)
{
	struct kernels k;
	auto_close g = NULL;
	struct waiter w = { 0 };
	sem_t gate;

	HELPED(open_with_kernels(&g, &k));
	w.g = g;
	EXPECT_ON(g, 0, vgpu_stream_create(g, &w.stream, VGPU_STREAM_NONBLOCKING, 0));
	sem_init(&gate, 0, 0);
	EXPECT(0, vgpu_launch_host_func(g, w.stream, wait_for_gate, &gate));
	EXPECT(0, spin(g, &k, w.stream, 20));
	if (pthread_create(&w.thread, NULL, wait_for_stream, &w) == 0) {
		beside_a_waiter(g, &k, &w);
		sem_post(&gate);
		pthread_join(w.thread, NULL);
	} else {
		sem_post(&gate);
		test_failed(__FILE__, __LINE__, "pthread_create", "()");
	}
	HELPED((void)0);
	EXPECT(0, w.rc);
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	sem_destroy(&gate);
}

/* While a kernel runs: every call may find the stream busy or not, and all ends well. */
static void launch_behind_a_long_kernel(void)
{
	struct kernels k;
	auto_close g = NULL;
	struct waiter w = { 0 };
	vgpu_stream s;
	vgpu_devptr p;
	int rc;

	HELPED(open_with_kernels(&g, &k));
	w.g = g;
	EXPECT_ON(g, 0, vgpu_stream_create(g, &w.stream, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &s, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, 4000));
	EXPECT_ON(g, 0, vgpu_memset(g, p, 0, 4000));
	EXPECT(0, spin(g, &k, w.stream, 200));
	CHECK(pthread_create(&w.thread, NULL, wait_for_stream, &w) == 0);
	do {
		rc = add_one(g, &k, s, p, 1000);
		if (rc == 0)
			rc = vgpu_stream_query(g, w.stream);
	} while (rc == CUDA_NOT_READY);
	pthread_join(w.thread, NULL);
	EXPECT(0, rc);
	EXPECT(0, w.rc);
	EXPECT_ON(g, 0, vgpu_stream_synchronize(g, s));
}

struct job {
	pthread_t thread;
	struct vgpu *g;
	const struct kernels *k;
	int rounds, rc;
	bool wrong;
};

/* One round in a stream and memory of its own. */
static int one_round(struct job *j, vgpu_stream s, vgpu_devptr p, uint32_t words)
{
	uint32_t start = (uint32_t)test_random(), adds = 1 + (uint32_t)test_random() % 10;
	int rc = fill(j->g, j->k, s, p, start, words);

	for (uint32_t i = 0; rc == 0 && i < adds; i++)
		rc = add_one(j->g, j->k, s, p, words);
	if (rc == 0)
		rc = vgpu_stream_synchronize(j->g, s);
	j->wrong |= rc == 0 && !device_is(j->g, p, start + adds, words, s);
	return rc;
}

static void *work(void *arg)
{
	struct job *j = arg;

	while (j->rc == 0 && j->rounds-- > 0) {
		uint32_t words = 1 + (uint32_t)test_random() % 20000;
		vgpu_devptr p = 0;
		vgpu_stream s = 0;

		j->rc = vgpu_malloc(j->g, &p, words * 4);
		if (j->rc == 0)
			j->rc = vgpu_stream_create(j->g, &s, VGPU_STREAM_NONBLOCKING, 0);
		if (j->rc == 0)
			j->rc = one_round(j, s, p, words);
		if (j->rc == 0)
			j->rc = vgpu_stream_destroy(j->g, s);
		if (j->rc == 0)
			j->rc = vgpu_free(j->g, p);
	}
	return NULL;
}

static void threads(void)
{
	struct job jobs[6] = { 0 };
	struct kernels k;
	auto_close g = NULL;
	int n = 0;

	HELPED(open_with_kernels(&g, &k));
	for (; n < 6; n++) {
		jobs[n] = (struct job){ .g = g, .k = &k, .rounds = test_rounds(100) };
		if (pthread_create(&jobs[n].thread, NULL, work, &jobs[n]))
			break;
	}
	for (int i = 0; i < n; i++)
		pthread_join(jobs[i].thread, NULL);
	CHECK(n == 6);
	for (int i = 0; i < n; i++)
		CHECK(jobs[i].rc == 0 && !jobs[i].wrong, "(thread %d: %s%s)", i,
		      vgpu_strerrorname(jobs[i].rc), jobs[i].wrong ? ", wrong data" : "");
	EXPECT(0, told(g, 0));
}

const struct test_case gpu_stream_tests[] = {
	{ "hundreds of streams, destroyed at work", create_and_destroy },
	{ "stale, foreign and malformed streams", stale_streams },
	{ "two streams in order by events", two_streams_by_events },
	{ "order around the default stream", default_stream },
	{ "query and synchronize", query_and_synchronize },
	{ "other threads pass one that waits", others_pass_a_waiter },
	{ "launches behind a long kernel", launch_behind_a_long_kernel },
	{ "threads with a stream each", threads },
	{ NULL, NULL },
};
