/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Conversations with the mediator: what it answers, to whom, and whom it drops. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "../../common/memfd.h"
#include "../../host/mediator_vm.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_version.h"
#include "fake_peer.h"
#include "fake_worker.h"

#define MIB (1u << 20)

static struct mediator *m;
static unsigned int descriptors;

static int setup(void **state)
{
	(void)state;
	descriptors = open_descriptors();
	m = fake_mediator(NULL);
	return 0;
}

/* Nothing may be left over by any of these conversations. */
static int teardown(void **state)
{
	(void)state;
	fake_mediator_free(m);
	return open_descriptors() == descriptors ? 0 : -1;
}

static void test_welcome(void **state)
{
	const union frame_message *msg;
	struct fake_peer p;

	(void)state;
	fake_connect(&p, m, PEER_DEVICE);
	fake_hello(&p, "al\x1bpha\"", 24);
	msg = fake_expect(&p, VGPU_MSG_WELCOME);
	assert_int_equal(msg->frame.seq, 1);
	assert_true(msg->welcome.magic == VGPU_SOCKET_MAGIC);
	assert_int_equal(msg->welcome.version, VGPU_PROTOCOL_VERSION);
	assert_int_equal(msg->welcome.max_channels, 24);
	assert_true(msg->welcome.max_window_bytes == 1u << 30);
	assert_true(log_said("vm 1 \"al\\x1bpha'\": connected by device connection 1 "));
	fake_ping(&p);
	msg = fake_expect(&p, VGPU_MSG_PONG);
	assert_int_equal(msg->frame.seq, 2);
	assert_int_equal(msg->pong.max_channels, 24);
	fake_disconnect(&p);
	assert_int_equal(m->peer_count, 0);
	assert_true(TAILQ_EMPTY(&m->vms));
}

static void test_other_version(void **state)
{
	const union frame_message *msg;
	struct fake_peer p;

	(void)state;
	fake_connect(&p, m, PEER_CLIENT);
	fake_hello_version(&p, 7 << 16 | 3);
	msg = fake_expect(&p, VGPU_MSG_REFUSED);
	assert_int_equal(msg->refused.error, VGPU_EVERSION);
	assert_int_equal(msg->refused.version, VGPU_PROTOCOL_VERSION);
	assert_string_equal(msg->refused.text,
			    "peer speaks protocol version 7.3, this mediator 2.0");
	fake_expect_hangup(&p);
	assert_true(log_said("7.3"));
	fake_disconnect(&p);
}

static void test_newer_minor_is_welcome(void **state)
{
	struct fake_peer p;

	(void)state;
	fake_connect(&p, m, PEER_CLIENT);
	fake_hello_version(&p, VGPU_PROTOCOL_VERSION + 1);
	fake_expect(&p, VGPU_MSG_WELCOME);
	fake_disconnect(&p);
}

static void test_open_close(void **state)
{
	const union frame_message *msg;
	struct worker_proc *w;
	struct fake_peer p;

	(void)state;
	fake_meet(&p, m, PEER_DEVICE, 4);
	fake_open(&p, 2, MIB);
	fake_expect_nothing(&p); /* nobody serves it yet */
	fake_ready_all(m);
	fake_expect_nothing(&p); /* assigned, but not attached */
	w = fake_find(m, WORKER_STATE_ASSIGNED);
	assert_non_null(w);
	assert_int_equal(fake_assign.channel, 2);
	assert_int_equal(fake_assign.transport, WORKER_TRANSPORT_MEMFD);
	assert_true(fake_assign.length == MIB);
	assert_int_equal(fake_assign.deadline_ms, 30000);
	assert_string_equal(fake_assign.vm, "alpha");
	fake_attached(w, 0, "");
	msg = fake_expect(&p, VGPU_MSG_OPENED);
	assert_int_equal(msg->frame.seq, 2);
	assert_int_equal(msg->opened.channel, 2);
	assert_int_equal(msg->opened.status, 0);
	assert_string_equal(msg->opened.text, "");
	assert_int_equal(m->channel_count, 1);
	assert_true(m->window_bytes == MIB);

	fake_message(w, "TE\nST");
	assert_true(log_said("vm 1 \"alpha\": channel 2: message: TE\\x0aST"));

	fake_close(&p, 2);
	assert_true(w->asked);
	fake_expect_nothing(&p); /* its worker may still touch the memory */
	fake_gone(w, 0, "stopped");
	msg = fake_expect(&p, VGPU_MSG_CLOSED);
	assert_int_equal(msg->frame.seq, 3);
	assert_int_equal(msg->closed.channel, 2);
	assert_int_equal(msg->closed.reason, 0);
	assert_int_equal(m->channel_count, 0);
	assert_true(m->window_bytes == 0);
	assert_true(TAILQ_FIRST(&m->vms)->channels == 0);
	assert_true(TAILQ_FIRST(&m->vms)->window_bytes == 0);
	fake_serve(&p, 2, MIB); /* the number is free again */
	fake_disconnect(&p);
}

static void test_worker_ends_by_itself(void **state)
{
	static const struct {
		int32_t reason;
		const char *why;
		int32_t told;
	} table[] = {
		{ 0, NULL, VGPU_EWORKER },
		{ VGPU_EDEADLINE, "command 2 ran for 30000 ms", VGPU_EDEADLINE },
		{ VGPU_EPROTO, "index beyond the ring", VGPU_EPROTO },
	};
	const union frame_message *msg;
	struct fake_peer p, other;

	(void)state;
	fake_meet(&p, m, PEER_CLIENT, 4);
	fake_meet(&other, m, PEER_CLIENT, 4);
	fake_serve(&other, 1, MIB);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct worker_proc *w;

		fake_serve(&p, 1, MIB);
		TAILQ_FOREACH(w, &m->pool.workers, link)
			if (w->channel && w->state == WORKER_STATE_SERVING)
				break;
		w = TAILQ_NEXT(w, link);
		while (w->state != WORKER_STATE_SERVING)
			w = TAILQ_NEXT(w, link);
		fake_gone(w, table[i].reason, table[i].why);
		msg = fake_expect(&p, VGPU_MSG_CLOSED);
		assert_int_equal(msg->frame.seq, 0);
		assert_int_equal(msg->closed.channel, 1);
		assert_int_equal(msg->closed.reason, table[i].told);
	}
	fake_expect_nothing(&other);
	fake_disconnect(&p);
	fake_disconnect(&other);
}

static void test_attach_fails(void **state)
{
	const union frame_message *msg;
	struct worker_proc *w;
	struct fake_peer p;

	(void)state;
	fake_meet(&p, m, PEER_CLIENT, 4);
	fake_open(&p, 0, MIB);
	fake_ready_all(m);
	w = fake_find(m, WORKER_STATE_ASSIGNED);
	fake_attached(w, VGPU_EPROTO, "bad magic");
	fake_gone(w, 0, NULL);
	msg = fake_expect(&p, VGPU_MSG_OPENED);
	assert_int_equal(msg->opened.status, VGPU_EPROTO);
	assert_string_equal(msg->opened.text, "bad magic");
	fake_expect_nothing(&p);
	assert_int_equal(m->channel_count, 0);
	fake_disconnect(&p);
}

static void test_worker_dies_while_attaching(void **state)
{
	const union frame_message *msg;
	struct fake_peer p;

	(void)state;
	fake_meet(&p, m, PEER_CLIENT, 4);
	fake_open(&p, 0, MIB);
	fake_ready_all(m);
	fake_gone(fake_find(m, WORKER_STATE_ASSIGNED), 0, NULL);
	msg = fake_expect(&p, VGPU_MSG_OPENED);
	assert_int_equal(msg->opened.status, VGPU_EWORKER);
	assert_non_null(strstr(msg->opened.text, "signal 9"));
	fake_expect_nothing(&p);
	fake_disconnect(&p);
}

static void test_close_before_open_is_answered(void **state)
{
	const union frame_message *msg;
	struct worker_proc *w;
	struct fake_peer p;

	(void)state;
	fake_meet(&p, m, PEER_CLIENT, 4);
	/* waiting for a worker */
	fake_open(&p, 0, MIB);
	fake_close(&p, 0);
	msg = fake_expect(&p, VGPU_MSG_OPENED);
	assert_int_equal(msg->frame.seq, 2);
	assert_int_not_equal(msg->opened.status, 0);
	msg = fake_expect(&p, VGPU_MSG_CLOSED);
	assert_int_equal(msg->frame.seq, 3);
	assert_int_equal(msg->closed.reason, 0);
	/* while the worker attaches: its word comes too late */
	fake_open(&p, 0, MIB);
	fake_ready_all(m);
	w = fake_find(m, WORKER_STATE_ASSIGNED);
	fake_close(&p, 0);
	fake_attached(w, 0, "");
	fake_expect_nothing(&p);
	fake_gone(w, 0, "stopped");
	assert_int_not_equal(fake_expect(&p, VGPU_MSG_OPENED)->opened.status, 0);
	assert_int_equal(fake_expect(&p, VGPU_MSG_CLOSED)->frame.seq, 5);
	fake_disconnect(&p);
}

static void test_close_of_nothing(void **state)
{
	const union frame_message *msg;
	struct fake_peer p;

	(void)state;
	fake_meet(&p, m, PEER_CLIENT, 4);
	fake_close(&p, 3);
	msg = fake_expect(&p, VGPU_MSG_CLOSED);
	assert_int_equal(msg->closed.reason, 0);
	fake_close(&p, 0xffffffff);
	fake_expect(&p, VGPU_MSG_CLOSED);
	fake_disconnect(&p);
}

static void test_peer_goes(void **state)
{
	struct worker_proc *w;
	struct fake_peer p;

	(void)state;
	fake_meet(&p, m, PEER_DEVICE, 4);
	fake_serve(&p, 0, MIB);
	fake_open(&p, 1, MIB);
	fake_disconnect(&p);
	w = fake_find(m, WORKER_STATE_SERVING);
	assert_true(w->asked);
	/* its memory counts until it is gone */
	assert_true(m->channel_count >= 1);
	fake_gone(w, 0, "stopped");
	while ((w = fake_find(m, WORKER_STATE_ASSIGNED)))
		fake_gone(w, 0, "stopped");
	assert_int_equal(m->channel_count, 0);
	assert_true(m->window_bytes == 0);
	assert_true(TAILQ_EMPTY(&m->vms));
}

static void bad_open(struct fake_peer *p, uint32_t channel, uint64_t offset, uint64_t length,
		     const int fds[3], int32_t wanted, const char *text)
{
	const union frame_message *msg;

	fake_open_fds(p, channel, offset, length, fds);
	msg = fake_expect(p, VGPU_MSG_OPENED);
	assert_int_equal(msg->opened.status, wanted);
	if (!strstr(msg->opened.text, text))
		fail_msg("\"%s\" lacks \"%s\"", msg->opened.text, text);
}

static void test_bad_opens(void **state)
{
	int good[3] = { memfd_new_sealed("t", MIB), eventfd(0, EFD_CLOEXEC),
			eventfd(0, EFD_CLOEXEC) };
	int unsealed = memfd_create("u", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	int read_only = memfd_create("r", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct fake_peer p;

	(void)state;
	assert_int_equal(ftruncate(unsealed, MIB), 0);
	assert_int_equal(ftruncate(read_only, MIB), 0);
	assert_int_equal(fcntl(read_only, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_WRITE), 0);
	fake_meet(&p, m, PEER_DEVICE, 4);

	bad_open(&p, 4, 0, MIB, good, VGPU_EINVAL, "channel 4 of 4");
	bad_open(&p, 0xffffffff, 0, MIB, good, VGPU_EINVAL, "channel");
	bad_open(&p, 0, 1, 65536, good, VGPU_EINVAL, "whole pages");
	bad_open(&p, 0, 0, 65537, good, VGPU_EINVAL, "whole pages");
	bad_open(&p, 0, 0, 0, good, VGPU_EINVAL, "whole pages");
	bad_open(&p, 0, 0, 2 * MIB, good, VGPU_EMEMORY, "ends before");
	bad_open(&p, 0, MIB, 65536, good, VGPU_EMEMORY, "ends before");
	bad_open(&p, 0, 0xfffffffffffff000, 65536, good, VGPU_EMEMORY, "ends before");
	bad_open(&p, 0, 0, 0xfffffffffffff000, good, VGPU_EQUOTA, "window_bytes_per_channel");
	bad_open(&p, 0, 0, MIB, (int[]){ unsealed, good[1], good[2] }, VGPU_EMEMORY, "sealed");
	bad_open(&p, 0, 0, MIB, (int[]){ read_only, good[1], good[2] }, VGPU_EMEMORY, "sealed");
	bad_open(&p, 0, 0, MIB, (int[]){ null, good[1], good[2] }, VGPU_EMEMORY, "no memfd");
	bad_open(&p, 0, 0, MIB, (int[]){ good[0], null, good[2] }, VGPU_EINVAL, "descriptor 2");
	bad_open(&p, 0, 0, MIB, (int[]){ good[0], good[1], good[0] }, VGPU_EINVAL, "descriptor 3");
	assert_int_equal(m->channel_count, 0);

	/* the connection lives on */
	fake_serve(&p, 0, MIB);
	bad_open(&p, 0, 0, MIB, good, VGPU_EBUSY, "in use");
	fake_disconnect(&p);
	for (int i = 0; i < 3; i++)
		close(good[i]);
	close(unsealed);
	close(read_only);
	close(null);
	usleep(50000); /* what closes slowly is closed aside */
}

/* A descriptor whose last close() takes 3 s: unsent data and a peer that does not take it. */
static int slow_to_close(int *peer)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 3 };
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(sa);
	static char data[1 << 16];

	assert_int_equal(bind(server, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(server, 1), 0);
	assert_int_equal(getsockname(server, (struct sockaddr *)&sa, &len), 0);
	connect(fd, (struct sockaddr *)&sa, sizeof(sa));
	*peer = accept(server, NULL, NULL);
	close(server);
	assert_true(*peer >= 0);
	while (send(fd, data, sizeof(data), 0) > 0)
		;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	fcntl(fd, F_SETFL, 0);
	return fd;
}

/* What a stranger's descriptor does on being closed is not the others' business. */
static void test_slow_close(void **state)
{
	struct vgpu_msg_open msg = { .frame = { VGPU_MSG_OPEN, sizeof(msg), 9, 0 }, .length = MIB };
	uint64_t start;
	struct fake_peer p;
	int fds[3], sink;

	(void)state;
	fake_meet(&p, m, PEER_CLIENT, 4);
	fds[0] = slow_to_close(&sink);
	fds[1] = eventfd(0, EFD_CLOEXEC);
	fds[2] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(frame_send(p.fd, &msg, fds, 3, 1000), 0);
	/* from here on the mediator's copies are the last ones */
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	start = clock_us();
	fake_run(m);
	assert_int_equal(fake_expect(&p, VGPU_MSG_OPENED)->opened.status, VGPU_EMEMORY);
	assert_true(clock_us() - start < 1000000);
	fake_disconnect(&p);
	close(sink); /* which ends the waiting */
	usleep(100000);
}

/* Each breach costs the connection, and the log names peer and cause. */
static void breach(const void *bytes, size_t len, const int *fds, int nfds, bool hello,
		   const char *cause)
{
	struct fake_peer p;

	log_forget();
	if (hello)
		fake_meet(&p, m, PEER_CLIENT, 4);
	else
		fake_connect(&p, m, PEER_CLIENT);
	fake_send_raw(&p, bytes, len, fds, nfds);
	fake_expect_hangup(&p);
	assert_true(log_said("dropped: "));
	assert_true(log_said(cause));
	fake_disconnect(&p);
	assert_int_equal(m->peer_count, 0);
}

static void test_breaches(void **state)
{
	struct vgpu_msg_hello hello = {
		.frame = { VGPU_MSG_HELLO, sizeof(hello), 0, 0 },
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
	};
	struct vgpu_msg_open open_msg = { .frame = { VGPU_MSG_OPEN, sizeof(open_msg), 0, 0 },
					  .length = MIB };
	struct vgpu_frame odd = { 99, 16, 0, 0 };
	struct vgpu_msg_ping ping = { .frame = { VGPU_MSG_PING, sizeof(ping), 0, 0 } };
	struct vgpu_msg_pong pong = { .frame = { VGPU_MSG_PONG, sizeof(pong), 0, 0 } };
	int fds[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	breach("GET / HTTP/1.1\r\nHost: example\r\n\r\n", 33, NULL, 0, false, "no message");
	breach(&ping, sizeof(ping), NULL, 0, false, "before HELLO");
	breach(&open_msg, sizeof(open_msg), fds, 3, false, "before HELLO");
	breach(&hello, sizeof(hello), NULL, 0, true, "HELLO twice");
	breach(&odd, sizeof(odd), NULL, 0, true, "no message");
	odd = (struct vgpu_frame){ VGPU_MSG_PING, 0, 0, 0 };
	breach(&odd, sizeof(odd), NULL, 0, true, "no message");
	odd = (struct vgpu_frame){ VGPU_MSG_PING, 16, 0, 1 };
	breach(&odd, sizeof(odd), NULL, 0, true, "no message");
	breach(&pong, sizeof(pong), NULL, 0, true, "mediator's to send");
	breach(&ping, sizeof(ping), fds, 1, true, "no message");
	breach(&open_msg, sizeof(open_msg), NULL, 0, true, "no message");
	breach(&open_msg, sizeof(open_msg), fds, 2, true, "no message");
	breach(&open_msg, sizeof(open_msg), fds, 5, true, "more descriptors");
	open_msg.reserved = 1;
	breach(&open_msg, sizeof(open_msg), fds, 3, true, "no message");
	hello.magic++;
	breach(&hello, sizeof(hello), NULL, 0, false, "no message");
	hello.magic--;
	memset(hello.name, 'x', sizeof(hello.name));
	breach(&hello, sizeof(hello), NULL, 0, false, "no message");
	for (int i = 0; i < 5; i++)
		close(fds[i]);
}

static void test_byte_by_byte(void **state)
{
	struct vgpu_msg_hello hello = {
		.frame = { VGPU_MSG_HELLO, sizeof(hello), 5, 0 },
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.channels = 1,
	};
	struct fake_peer p;

	(void)state;
	fake_connect(&p, m, PEER_CLIENT);
	for (size_t i = 0; i < sizeof(hello); i++) {
		fake_expect_nothing(&p);
		fake_send_raw(&p, (const char *)&hello + i, 1, NULL, 0);
	}
	assert_int_equal(fake_expect(&p, VGPU_MSG_WELCOME)->frame.seq, 5);
	fake_disconnect(&p);
}

static bool nobody_left(void *ctx)
{
	(void)ctx;
	return m->peer_count == 0;
}

static void test_silent_peer(void **state)
{
	struct fake_peer p;

	(void)state;
	fake_connect(&p, m, PEER_CLIENT);
	fake_send_raw(&p, "\1", 1, NULL, 0);
	assert_true(fake_run_until(m, nobody_left, NULL));
	assert_true(log_said("no HELLO within 5 s"));
	fake_expect_hangup(&p);
	fake_disconnect(&p);
}

/* It asks and asks, and reads no answer. */
static void test_peer_that_does_not_read(void **state)
{
	struct vgpu_msg_ping ping[16];
	struct fake_peer p, other;

	(void)state;
	fake_meet(&other, m, PEER_CLIENT, 1);
	fake_meet(&p, m, PEER_CLIENT, 1);
	for (int i = 0; i < 16; i++)
		ping[i] = (struct vgpu_msg_ping){ { VGPU_MSG_PING, sizeof(ping[0]), 1, 0 } };
	for (int i = 0; i < 4000 && m->peer_count == 2; i++) {
		if (send(p.fd, ping, sizeof(ping), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			usleep(1000);
		event_base_loop(m->base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(m->peer_count, 1);
	assert_true(log_said("does not read"));
	fake_ping(&other);
	fake_expect(&other, VGPU_MSG_PONG);
	fake_disconnect(&p);
	fake_disconnect(&other);
}

/* One peer keeps the mediator as busy as it can; the other's question is answered in its turn. */
static void test_flood_starves_nobody(void **state)
{
	struct vgpu_msg_ping ping[64];
	struct fake_peer p, other;
	union frame_message sink[64];
	int passes = 0;

	(void)state;
	fake_meet(&p, m, PEER_CLIENT, 1);
	fake_meet(&other, m, PEER_CLIENT, 1);
	for (int i = 0; i < 64; i++)
		ping[i] = (struct vgpu_msg_ping){ { VGPU_MSG_PING, sizeof(ping[0]), 1, 0 } };
	for (int i = 0; i < 50; i++) {
		ssize_t n = send(p.fd, ping, sizeof(ping), MSG_NOSIGNAL | MSG_DONTWAIT);

		assert_true(n > 0 || errno == EAGAIN);
	}
	assert_int_equal(send(other.fd, ping, sizeof(ping[0]), 0), sizeof(ping[0]));
	while (recv(other.fd, sink, sizeof(sink[0]), MSG_DONTWAIT) < 0) {
		while (recv(p.fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			;
		event_base_loop(m->base, EVLOOP_ONCE | EVLOOP_NONBLOCK); /* one pass */
		assert_true(++passes < 5);
	}
	assert_int_equal(m->peer_count, 2);
	fake_disconnect(&p);
	fake_disconnect(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_welcome),
		TEST(test_other_version),
		TEST(test_newer_minor_is_welcome),
		TEST(test_open_close),
		TEST(test_worker_ends_by_itself),
		TEST(test_attach_fails),
		TEST(test_worker_dies_while_attaching),
		TEST(test_close_before_open_is_answered),
		TEST(test_close_of_nothing),
		TEST(test_peer_goes),
		TEST(test_bad_opens),
		TEST(test_slow_close),
		TEST(test_breaches),
		TEST(test_byte_by_byte),
		TEST(test_silent_peer),
		TEST(test_peer_that_does_not_read),
		TEST(test_flood_starves_nobody),
#undef TEST
	};

	return cmocka_run_group_tests_name("protocol", tests, NULL, NULL);
}
