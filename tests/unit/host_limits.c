/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one VM, one user and all together may have, and how fast. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "../../host/mediator_throttle.h"
#include "../../host/mediator_scheduler.h"
#include "../../host/mediator_vm.h"
#include "../../protocol/vgpu_errors.h"
#include "fake_peer.h"
#include "fake_worker.h"

#define MIB (1u << 20)

static struct mediator_config config;
static struct mediator *m;

static int setup(void **state)
{
	(void)state;
	config_init(&config);
	config.limits.open_rate = 0; /* the test of it has its own */
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_mediator_free(m);
	return 0;
}

static void expect_refusal(struct fake_peer *p, uint32_t channel, uint64_t length, int32_t error,
			   const char *text)
{
	const union frame_message *msg;

	fake_open(p, channel, length);
	msg = fake_expect(p, VGPU_MSG_OPENED);
	assert_int_equal(msg->opened.status, error);
	if (!strstr(msg->opened.text, text))
		fail_msg("\"%s\" lacks \"%s\"", msg->opened.text, text);
}

static bool was_let_in(void *ctx)
{
	(void)ctx;
	return sched_waiting(m) || fake_find(m, WORKER_STATE_ASSIGNED);
}

/* An OPEN that was sent earlier and had to wait for room is served now. */
static void expect_served_late(struct fake_peer *p)
{
	assert_true(fake_run_until(m, was_let_in, NULL));
	fake_ready_all(m);
	fake_attached(fake_find(m, WORKER_STATE_ASSIGNED), 0, "");
	assert_int_equal(fake_expect(p, VGPU_MSG_OPENED)->opened.status, 0);
}

static void test_channels_of_a_vm(void **state)
{
	const union frame_message *msg;
	struct fake_peer a, b;

	(void)state;
	config.limits.channels_per_vm = 2;
	m = fake_mediator(&config);
	fake_connect(&a, m, PEER_DEVICE);
	fake_hello(&a, "a", 24);
	assert_int_equal(fake_expect(&a, VGPU_MSG_WELCOME)->welcome.max_channels, 2);
	fake_meet(&b, m, PEER_DEVICE, 24);
	fake_serve(&a, 5, MIB);
	fake_serve(&a, 6, MIB);
	expect_refusal(&a, 7, MIB, VGPU_EQUOTA, "limits.channels_per_vm is 2");
	fake_serve(&b, 0, MIB); /* another VM has its own */

	/* a slot is free again when its worker is gone, not before, and is waited for */
	fake_close(&a, 5);
	fake_open(&a, 7, MIB);
	fake_expect_nothing(&a);
	fake_gone(fake_find(m, WORKER_STATE_SERVING), 0, "stopped");
	msg = fake_expect(&a, VGPU_MSG_CLOSED);
	assert_int_equal(msg->closed.channel, 5);
	expect_served_late(&a);
	fake_disconnect(&a);
	fake_disconnect(&b);
}

/* All programs of a user are one VM, also those that have left while their workers end. */
static void test_channels_of_a_user(void **state)
{
	struct fake_peer a, b, c;

	(void)state;
	config.limits.channels_per_vm = 2;
	m = fake_mediator(&config);
	fake_meet(&a, m, PEER_CLIENT, 4);
	fake_meet(&b, m, PEER_CLIENT, 4);
	fake_serve(&a, 0, MIB);
	fake_serve(&b, 0, MIB);
	expect_refusal(&b, 1, MIB, VGPU_EQUOTA, "channels_per_vm");
	fake_disconnect(&a);
	fake_meet(&c, m, PEER_CLIENT, 4);
	fake_open(&c, 0, MIB);
	fake_expect_nothing(&c);
	fake_gone(fake_find(m, WORKER_STATE_SERVING), 0, "stopped");
	expect_served_late(&c);
	fake_disconnect(&b);
	fake_disconnect(&c);
}

static void test_channels_in_all(void **state)
{
	struct fake_peer a, b;

	(void)state;
	config.limits.channels_total = 3;
	m = fake_mediator(&config);
	fake_meet(&a, m, PEER_DEVICE, 24);
	fake_meet(&b, m, PEER_DEVICE, 24);
	fake_serve(&a, 0, MIB);
	fake_serve(&a, 1, MIB);
	fake_serve(&b, 0, MIB);
	expect_refusal(&b, 1, MIB, VGPU_ENOCHANNEL, "channels_total");
	fake_disconnect(&a);
	fake_disconnect(&b);
}

static void test_window_bytes(void **state)
{
	struct fake_peer a, b;

	(void)state;
	config.limits.window_bytes_per_channel = 4 * MIB;
	config.limits.window_bytes_per_vm = 6 * MIB;
	config.limits.window_bytes_total = 8 * MIB;
	m = fake_mediator(&config);
	fake_connect(&a, m, PEER_DEVICE);
	fake_hello(&a, "a", 24);
	assert_true(fake_expect(&a, VGPU_MSG_WELCOME)->welcome.max_window_bytes == 4 * MIB);
	fake_meet(&b, m, PEER_DEVICE, 24);
	expect_refusal(&a, 0, 4 * MIB + 4096, VGPU_EQUOTA, "per_channel is 4194304");
	fake_serve(&a, 0, 4 * MIB);
	expect_refusal(&a, 1, 2 * MIB + 4096, VGPU_EQUOTA, "4194304 + 2101248 bytes");
	fake_serve(&a, 1, 2 * MIB);
	expect_refusal(&b, 0, 2 * MIB + 4096, VGPU_ENOCHANNEL, "window_bytes_total");
	fake_serve(&b, 0, 2 * MIB);
	fake_disconnect(&a);
	fake_disconnect(&b);
}

static void test_connections_of_a_user(void **state)
{
	const union frame_message *msg;
	struct fake_peer a, b, c;

	(void)state;
	config.limits.connections_per_user = 2;
	m = fake_mediator(&config);
	fake_meet(&a, m, PEER_CLIENT, 4);
	fake_connect(&b, m, PEER_DEVICE); /* before its HELLO it counts as well */
	fake_connect(&c, m, PEER_CLIENT);
	msg = fake_expect(&c, VGPU_MSG_REFUSED);
	assert_int_equal(msg->refused.error, VGPU_ETHROTTLED);
	assert_non_null(strstr(msg->refused.text, "limits.connections_per_user"));
	fake_expect_hangup(&c);
	fake_disconnect(&c);
	fake_disconnect(&b);
	fake_meet(&c, m, PEER_CLIENT, 4);
	fake_disconnect(&c);
	fake_disconnect(&a);
}

static void test_connections_in_all(void **state)
{
	struct fake_peer a, b;

	(void)state;
	config.limits.connections_total = 1;
	m = fake_mediator(&config);
	fake_meet(&a, m, PEER_DEVICE, 4);
	fake_connect(&b, m, PEER_CLIENT);
	assert_non_null(strstr(fake_expect(&b, VGPU_MSG_REFUSED)->refused.text,
			       "limits.connections_total"));
	fake_disconnect(&b);
	fake_disconnect(&a);
}

static bool has_answer(void *ctx)
{
	struct fake_peer *p = ctx;

	frame_rx_read(&p->rx, p->fd);
	return p->rx.have > 0;
}

/* Opening too fast is slowed down, not refused, and others are not. */
static void test_open_rate(void **state)
{
	uint64_t start = clock_us(), took_us;
	struct fake_peer a, b;

	(void)state;
	config.limits.channels_per_vm = 2; /* also what may come at once */
	config.limits.open_rate = 5;
	m = fake_mediator(&config);
	fake_meet(&a, m, PEER_DEVICE, 24);
	fake_meet(&b, m, PEER_DEVICE, 24);
	for (uint32_t i = 0; i < 4; i++)
		fake_open(&a, 24, MIB); /* no such channel: answered at once */
	fake_expect(&a, VGPU_MSG_OPENED);
	fake_expect(&a, VGPU_MSG_OPENED);
	fake_expect_nothing(&a);
	fake_open(&b, 24, MIB);
	fake_expect(&b, VGPU_MSG_OPENED);
	assert_true(fake_run_until(m, has_answer, &a));
	fake_expect(&a, VGPU_MSG_OPENED);
	assert_true(fake_run_until(m, has_answer, &a));
	fake_expect(&a, VGPU_MSG_OPENED);
	took_us = clock_us() - start;
	assert_true(took_us > 350000);
	fake_open(&a, 24, MIB);
	fake_disconnect(&a); /* in the middle of its waiting */
	fake_disconnect(&b);
}

/* A user who connects and connects: slowed down, and a few lines in the log. */
static void test_connection_flood(void **state)
{
	struct fake_peer a, b;

	(void)state;
	config.limits.open_rate = 5; /* so 10 greetings a second */
	config.limits.connections_per_user = 3;
	m = fake_mediator(&config);
	for (int i = 0; i < 3; i++) {
		fake_meet(&a, m, PEER_CLIENT, 1);
		fake_disconnect(&a);
	}
	fake_connect(&a, m, PEER_CLIENT);
	fake_hello(&a, "a", 1);
	fake_expect_nothing(&a);
	assert_true(fake_run_until(m, has_answer, &a));
	fake_expect(&a, VGPU_MSG_WELCOME);
	fake_disconnect(&a);

	log_forget();
	for (int i = 0; i < 300; i++) {
		fake_connect(&b, m, PEER_CLIENT);
		fake_send_raw(&b, "garbage, and more of it", 23, NULL, 0);
		fake_disconnect(&b);
	}
	assert_true(log_count("dropped: ") > 90);
	assert_true(log_count("dropped: ") < 110);
	usleep(200000);
	fake_connect(&b, m, PEER_CLIENT);
	fake_send_raw(&b, "garbage, and more of it", 23, NULL, 0);
	fake_disconnect(&b);
	assert_true(log_said("lines of this user's that were left out"));
}

static bool note_logged(void *ctx)
{
	(void)ctx;
	return log_count("messages suppressed") > 0;
}

static void test_messages(void **state)
{
	struct worker_proc *w;
	struct fake_peer a;
	char text[480];

	(void)state;
	config.limits.message_rate = 1;
	m = fake_mediator(&config);
	fake_meet(&a, m, PEER_DEVICE, 24);
	fake_serve(&a, 0, MIB);
	w = fake_find(m, WORKER_STATE_SERVING);
	assert_int_equal(fake_assign.message_rate, 1);
	for (int i = 0; i < 50; i++)
		fake_message(w, "hello");
	assert_true(log_count("message: hello") < 25);
	assert_true(log_count("message: hello") > 15);
	assert_true(fake_run_until(m, note_logged, NULL));
	assert_int_equal(log_count("messages suppressed: more than 1 a second"), 1);

	/* a long one is cut where the line ends, whatever it holds */
	log_forget();
	usleep(1100000);
	memset(text, '\n', sizeof(text));
	sched_worker_message(w, text, sizeof(text));
	assert_true(log_said("message: \\x0a"));
	assert_true(log_said("..."));
	fake_disconnect(&a);
}

static void test_throttle(void **state)
{
	struct throttle t = { 0 };
	uint64_t now = 1000000000;

	(void)state;
	m = fake_mediator(NULL);
	for (int i = 0; i < 10; i++)
		assert_int_equal(throttle_take(&t, 100, 10, now), 0);
	assert_int_equal(throttle_take(&t, 100, 10, now), 10000);
	assert_int_equal(throttle_take(&t, 100, 10, now + 9999), 1);
	assert_int_equal(throttle_take(&t, 100, 10, now + 10000), 0);
	assert_int_equal(throttle_take(&t, 100, 10, now + 10000), 10000);
	/* long idle gives no more than one burst */
	now += 3600000000;
	for (int i = 0; i < 10; i++)
		assert_int_equal(throttle_take(&t, 100, 10, now), 0);
	assert_true(throttle_take(&t, 100, 10, now) > 0);
	assert_int_equal(throttle_take(&t, 0, 1, now), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_channels_of_a_vm),
		TEST(test_channels_of_a_user),
		TEST(test_channels_in_all),
		TEST(test_window_bytes),
		TEST(test_connections_of_a_user),
		TEST(test_connections_in_all),
		TEST(test_open_rate),
		TEST(test_connection_flood),
		TEST(test_messages),
		TEST(test_throttle),
#undef TEST
	};

	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
