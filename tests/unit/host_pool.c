/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Warm workers: how many, what happens when they fail, who gets them, how all of it ends. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "../../host/mediator_vm.h"
#include "../../protocol/vgpu_errors.h"
#include "fake_peer.h"
#include "fake_worker.h"

#define MIB (1u << 20)

static struct mediator *m;
static int started_with;
static unsigned int started_calls, drained_calls;

static void on_started(struct mediator *which, int status)
{
	(void)which;
	started_with = status;
	started_calls++;
}

static void on_drained(struct mediator *which)
{
	(void)which;
	drained_calls++;
}

static int setup(void **state)
{
	(void)state;
	m = fake_mediator(NULL);
	m->on_started = on_started;
	m->on_drained = on_drained;
	started_calls = 0;
	drained_calls = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_mediator_free(m);
	return 0;
}

static bool one_warming(void *ctx)
{
	(void)ctx;
	return m->pool.warming > 0;
}

static void test_keeps_its_size(void **state)
{
	struct fake_peer p;

	(void)state;
	pool_balance(m);
	assert_int_equal(m->pool.warming, 2);
	assert_int_equal(started_calls, 0);
	fake_ready_all(m);
	assert_int_equal(started_calls, 1);
	assert_int_equal(started_with, 0);
	assert_int_equal(m->pool.idle, 2);
	fake_meet(&p, m, PEER_CLIENT, 24);
	fake_open(&p, 0, MIB);
	assert_int_equal(m->pool.idle, 1);
	assert_int_equal(m->pool.warming, 1);
	fake_ready_all(m);
	/* a larger pool, then a smaller one */
	m->config.pool_size = 4;
	mediator_reconfigured(m);
	fake_ready_all(m);
	assert_int_equal(m->pool.idle, 4);
	m->config.pool_size = 1;
	mediator_reconfigured(m);
	while (m->pool.idle > 1) {
		struct worker_proc *w;

		TAILQ_FOREACH(w, &m->pool.workers, link)
			if (w->asked)
				break;
		assert_non_null(w);
		fake_gone(w, 0, "stopped");
	}
	assert_int_equal(m->pool.idle, 1);
	assert_int_equal(m->pool.warming, 0);
	assert_int_equal(log_count("failed"), 0);
	fake_disconnect(&p);
}

/* Many at once start some at once, not all. */
static void test_burst(void **state)
{
	struct fake_peer p;

	(void)state;
	fake_meet(&p, m, PEER_CLIENT, 24);
	for (uint32_t i = 0; i < 20; i++)
		fake_open(&p, i, MIB);
	assert_int_equal(m->pool.warming, 8);
	fake_ready_all(m);
	assert_int_equal(fake_count(m, WORKER_STATE_ASSIGNED), 20);
	assert_int_equal(m->pool.idle, 2);
	fake_disconnect(&p);
}

/* Who has least is served first, and among equals who came first. */
static void test_turns(void **state)
{
	struct fake_peer greedy, modest;

	(void)state;
	fake_meet(&greedy, m, PEER_DEVICE, 24);
	fake_meet(&modest, m, PEER_DEVICE, 24);
	for (uint32_t i = 0; i < 5; i++)
		fake_open(&greedy, i, MIB);
	fake_open(&modest, 7, MIB);
	fake_ready(fake_find(m, WORKER_STATE_WARMING), false);
	assert_int_equal(fake_assign.channel, 0);
	fake_ready(fake_find(m, WORKER_STATE_WARMING), false);
	assert_int_equal(fake_assign.channel, 7);
	fake_ready(fake_find(m, WORKER_STATE_WARMING), false);
	assert_int_equal(fake_assign.channel, 1);
	fake_disconnect(&greedy);
	fake_disconnect(&modest);
}

static void test_fallback_is_loud(void **state)
{
	(void)state;
	pool_balance(m);
	fake_ready(fake_find(m, WORKER_STATE_WARMING), true);
	assert_true(log_said("NO GPU IS USED"));
	assert_true(log_said("no GPU because: no driver"));
	assert_true(m->pool.fallback);
	log_forget();
	fake_ready(fake_find(m, WORKER_STATE_WARMING), true);
	assert_int_equal(log_count("NO GPU"), 0); /* once */
}

static void test_no_fork_storm(void **state)
{
	unsigned int before;

	(void)state;
	m->config.pool_size = 1;
	pool_balance(m);
	fake_gone(fake_find(m, WORKER_STATE_WARMING), 0, NULL);
	assert_int_equal(started_calls, 1);
	assert_int_equal(started_with, VGPU_EWORKER);
	assert_int_equal(m->pool.warming, 0); /* not at once */
	for (int i = 0; i < 3; i++) {
		assert_true(fake_run_until(m, one_warming, NULL));
		fake_gone(fake_find(m, WORKER_STATE_WARMING), 0, NULL);
	}
	assert_true(log_said("next try in 0.1 s"));
	assert_true(log_said("next try in 0.2 s"));
	assert_true(log_said("next try in 0.4 s"));
	assert_true(log_said("next try in 0.8 s"));
	before = fake_started;
	for (int i = 0; i < 20; i++)
		pool_balance(m);
	fake_run(m);
	assert_int_equal(fake_started, before);
	assert_int_equal(started_calls, 1);
}

static void test_worker_cannot_even_start(void **state)
{
	const union frame_message *msg;
	struct fake_peer p;

	(void)state;
	fake_start_error = EAGAIN;
	pool_balance(m);
	assert_true(log_said("a new worker failed: Resource temporarily unavailable"));
	fake_meet(&p, m, PEER_CLIENT, 24);
	fake_open(&p, 0, MIB);
	fake_expect_nothing(&p); /* one failure may be an accident */
	fake_start_error = 0;
	assert_true(fake_run_until(m, one_warming, NULL));
	fake_ready_all(m);
	fake_attached(fake_find(m, WORKER_STATE_ASSIGNED), 0, "");
	msg = fake_expect(&p, VGPU_MSG_OPENED);
	assert_int_equal(msg->opened.status, 0);
	fake_disconnect(&p);
}

static void test_failure_reaches_who_waits(void **state)
{
	const union frame_message *msg;
	struct fake_peer p;

	(void)state;
	m->config.pool_size = 1;
	pool_balance(m);
	fake_meet(&p, m, PEER_CLIENT, 24);
	fake_open(&p, 0, MIB);
	while (m->pool.warming)
		fake_gone(fake_find(m, WORKER_STATE_WARMING), VGPU_ENODEV, "no CUDA device");
	msg = fake_expect(&p, VGPU_MSG_OPENED);
	assert_int_equal(msg->opened.status, VGPU_EBACKEND);
	assert_string_equal(msg->opened.text, "no CUDA device");
	assert_int_equal(started_with, VGPU_ENODEV);
	/* the next one need not wait to hear it */
	fake_open(&p, 1, MIB);
	msg = fake_expect(&p, VGPU_MSG_OPENED);
	assert_int_equal(msg->opened.status, VGPU_EBACKEND);
	assert_string_equal(msg->opened.text, "no CUDA device");
	/* until there is a worker again */
	assert_true(fake_run_until(m, one_warming, NULL));
	fake_ready_all(m);
	fake_serve(&p, 1, MIB);
	fake_disconnect(&p);
}

static void test_idle_worker_dies(void **state)
{
	(void)state;
	m->config.pool_size = 1;
	pool_balance(m);
	fake_ready_all(m);
	/* an old one is replaced at once */
	fake_find(m, WORKER_STATE_IDLE)->since_us -= 6000000;
	fake_gone(fake_find(m, WORKER_STATE_IDLE), 0, NULL);
	assert_int_equal(m->pool.warming, 1);
	fake_ready_all(m);
	/* one that dies young is a failure to come up */
	fake_gone(fake_find(m, WORKER_STATE_IDLE), 0, NULL);
	assert_int_equal(m->pool.warming, 0);
	assert_true(log_said("ended while idle: killed by signal 9"));
	assert_true(fake_run_until(m, one_warming, NULL));
}

/* A worker that died a moment ago is found out when it is to be used. */
static void test_hand_over_fails(void **state)
{
	struct fake_peer p;

	(void)state;
	m->config.pool_size = 1;
	pool_balance(m);
	fake_ready_all(m);
	fake_assign_error = EPIPE;
	fake_meet(&p, m, PEER_CLIENT, 24);
	fake_open(&p, 0, MIB);
	fake_expect_nothing(&p);
	fake_assign_error = 0;
	fake_gone(fake_find(m, WORKER_STATE_IDLE), 0, NULL);
	assert_true(fake_run_until(m, one_warming, NULL));
	fake_ready_all(m);
	fake_attached(fake_find(m, WORKER_STATE_ASSIGNED), 0, "");
	assert_int_equal(fake_expect(&p, VGPU_MSG_OPENED)->opened.status, 0);
	assert_int_equal(m->pool.idle, fake_count(m, WORKER_STATE_IDLE));
	assert_int_equal(m->pool.total, m->pool.idle + m->pool.warming + 1);
	fake_disconnect(&p);
}

static void test_drain(void **state)
{
	const union frame_message *msg;
	struct worker_proc *w, *next;
	struct fake_peer p, late;

	(void)state;
	pool_balance(m);
	fake_ready_all(m);
	fake_meet(&p, m, PEER_CLIENT, 24);
	fake_serve(&p, 0, MIB);
	fake_open(&p, 1, MIB);
	for (uint32_t i = 2; i < 6; i++)
		fake_open(&p, i, MIB); /* some will be waiting */
	mediator_drain(m, 5000);
	assert_int_equal(drained_calls, 0);
	TAILQ_FOREACH(w, &m->pool.workers, link)
		assert_true(w->asked);

	fake_connect(&late, m, PEER_CLIENT);
	fake_hello(&late, "late", 1);
	assert_int_equal(fake_expect(&late, VGPU_MSG_REFUSED)->refused.error, VGPU_ESHUTDOWN);
	fake_disconnect(&late);

	for (w = TAILQ_FIRST(&m->pool.workers); w; w = next) {
		next = TAILQ_NEXT(w, link);
		fake_gone(w, 0, "stopped");
	}
	assert_int_equal(drained_calls, 1);
	assert_int_equal(m->channel_count, 0);
	for (int i = 0; i < 6; i++) {
		int rc = frame_rx_read(&p.rx, p.fd);
		int fds[3];
		union frame_message any;

		(void)rc;
		assert_int_equal(frame_rx_next(&p.rx, &any, fds), 0);
		msg = &any;
		if (msg->frame.type == VGPU_MSG_CLOSED)
			assert_int_equal(msg->closed.reason, VGPU_ESHUTDOWN);
		else
			assert_int_equal(msg->opened.status, VGPU_ESHUTDOWN);
	}
	fake_open(&p, 9, MIB);
	assert_int_equal(fake_expect(&p, VGPU_MSG_OPENED)->opened.status, VGPU_ESHUTDOWN);
	fake_disconnect(&p);
}

static void test_second_signal_hurries(void **state)
{
	struct fake_peer p;

	(void)state;
	pool_balance(m);
	fake_ready_all(m);
	fake_meet(&p, m, PEER_CLIENT, 24);
	fake_serve(&p, 0, MIB);
	mediator_drain(m, 5000);
	assert_int_equal(fake_killed, 0);
	mediator_drain(m, 0);
	assert_int_equal(fake_killed, m->pool.total);
	fake_disconnect(&p);
}

static void test_drain_of_nothing(void **state)
{
	(void)state;
	mediator_drain(m, 1000);
	assert_int_equal(drained_calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_keeps_its_size),
		TEST(test_burst),
		TEST(test_turns),
		TEST(test_fallback_is_loud),
		TEST(test_no_fork_storm),
		TEST(test_worker_cannot_even_start),
		TEST(test_failure_reaches_who_waits),
		TEST(test_idle_worker_dies),
		TEST(test_hand_over_fails),
		TEST(test_drain),
		TEST(test_second_signal_hurries),
		TEST(test_drain_of_nothing),
#undef TEST
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
