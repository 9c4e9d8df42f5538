/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Messages with descriptors over a socket, whole, in parts, and wrong in every field. */
#include "guest_test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/frame.h"
#include "../../protocol/vgpu_version.h"

static struct frame_rx rx;
static union frame_message m;
static int fds[VGPU_FRAME_FDS_MAX];
static int pair[2];

static int setup(void **state)
{
	(void)state;
	frame_rx_init(&rx);
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state)
{
	(void)state;
	frame_rx_dispose(&rx);
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static struct vgpu_msg_hello hello(void)
{
	return (struct vgpu_msg_hello){
		.frame = { VGPU_MSG_HELLO, sizeof(struct vgpu_msg_hello), 7, 0 },
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.name = "test",
	};
}

static const struct vgpu_msg_open open_msg = {
	.frame = { VGPU_MSG_OPEN, sizeof(struct vgpu_msg_open), 8, 0 },
	.length = 4096,
};

static int feed(const void *bytes, size_t n)
{
	assert_int_equal(frame_rx_feed(&rx, bytes, (uint32_t)n), 0);
	return frame_rx_next(&rx, &m, fds);
}

/* Refused, for good. */
static void refused(const void *message, size_t n)
{
	const struct vgpu_msg_hello good = hello();

	assert_int_equal(feed(message, n), -EPROTO);
	frame_rx_feed(&rx, &good, sizeof(good));
	assert_int_equal(frame_rx_next(&rx, &m, fds), -EPROTO);
	frame_rx_dispose(&rx);
	frame_rx_init(&rx);
}

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void test_whole(void **state)
{
	struct vgpu_msg_hello h = hello();

	(void)state;
	assert_int_equal(frame_send(pair[0], &h, NULL, 0, 1000), 0);
	assert_int_equal(frame_rx_next(&rx, &m, fds), -EAGAIN);
	assert_int_equal(frame_rx_read(&rx, pair[1]), 0);
	assert_int_equal(frame_rx_next(&rx, &m, fds), 0);
	assert_memory_equal(&m, &h, sizeof(h));
	assert_int_equal(fds[0], -1);
	assert_int_equal(frame_rx_next(&rx, &m, fds), -EAGAIN);
	assert_int_equal(frame_rx_read(&rx, pair[1]), -EAGAIN);
}

static void test_byte_by_byte(void **state)
{
	struct vgpu_msg_hello h = hello();

	(void)state;
	for (size_t i = 0; i < sizeof(h); i++)
		assert_int_equal(feed((char *)&h + i, 1), i + 1 < sizeof(h) ? -EAGAIN : 0);
	assert_memory_equal(&m, &h, sizeof(h));
}

static void test_two_at_once(void **state)
{
	struct vgpu_msg_ping ping[2] = {
		{ { VGPU_MSG_PING, sizeof(ping[0]), 1, 0 } },
		{ { VGPU_MSG_PING, sizeof(ping[0]), 2, 0 } },
	};

	(void)state;
	assert_int_equal(feed(ping, sizeof(ping)), 0);
	assert_int_equal(m.frame.seq, 1);
	assert_int_equal(frame_rx_next(&rx, &m, fds), 0);
	assert_int_equal(m.frame.seq, 2);
}

static void test_descriptors(void **state)
{
	int out[3] = { 0, 1, 2 };

	(void)state;
	assert_int_equal(frame_send(pair[0], &open_msg, out, 3, 1000), 0);
	assert_int_equal(frame_rx_read(&rx, pair[1]), 0);
	assert_int_equal(frame_rx_next(&rx, &m, fds), 0);
	for (int i = 0; i < 3; i++) {
		assert_true(fds[i] > 2);
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
	}
}

static void test_missing_descriptors(void **state)
{
	int out[2] = { 0, 1 };
	int before = next_fd();

	(void)state;
	refused(&open_msg, sizeof(open_msg));
	frame_send(pair[0], &open_msg, out, 2, 1000);
	frame_rx_read(&rx, pair[1]);
	assert_int_equal(frame_rx_next(&rx, &m, fds), -EPROTO);
	frame_rx_dispose(&rx); /* what arrived is closed */
	assert_int_equal(next_fd(), before);
}

static void test_descriptors_where_none_belong(void **state)
{
	struct vgpu_msg_hello h = hello();
	int out[1] = { 0 };
	int before = next_fd();

	(void)state;
	frame_send(pair[0], &h, out, 1, 1000);
	frame_rx_read(&rx, pair[1]);
	assert_int_equal(frame_rx_next(&rx, &m, fds), -EPROTO);
	frame_rx_dispose(&rx);
	assert_int_equal(next_fd(), before);
}

static void test_too_many_descriptors(void **state)
{
	int out[3] = { 0, 1, 2 };
	int before = next_fd();

	(void)state;
	/* Two messages' worth before the first is taken. */
	frame_send(pair[0], &open_msg, out, 3, 1000);
	frame_rx_read(&rx, pair[1]);
	frame_send(pair[0], &open_msg, out, 3, 1000);
	assert_int_equal(frame_rx_read(&rx, pair[1]), -EPROTO);
	assert_int_equal(frame_rx_next(&rx, &m, fds), -EPROTO);
	frame_rx_dispose(&rx);
	frame_rx_dispose(&rx);
	assert_int_equal(next_fd(), before);
}

static void test_bad_frames(void **state)
{
	struct vgpu_frame f;

	(void)state;
	f = (struct vgpu_frame){ 0, sizeof(f), 0, 0 };
	refused(&f, sizeof(f));
	f = (struct vgpu_frame){ VGPU_MSG_PONG + 1, sizeof(f), 0, 0 };
	refused(&f, sizeof(f));
	f = (struct vgpu_frame){ VGPU_MSG_PING, sizeof(f) - 1, 0, 0 };
	refused(&f, sizeof(f));
	f = (struct vgpu_frame){ VGPU_MSG_PING, 0, 0, 0 };
	refused(&f, sizeof(f));
	f = (struct vgpu_frame){ VGPU_MSG_PING, VGPU_FRAME_BYTES_MAX + 1, 0, 0 };
	refused(&f, sizeof(f));
	f = (struct vgpu_frame){ VGPU_MSG_PING, UINT32_MAX, 0, 0 };
	refused(&f, sizeof(f));
	f = (struct vgpu_frame){ VGPU_MSG_PING, sizeof(f), 0, 1 };
	refused(&f, sizeof(f));
}

static void test_bad_contents(void **state)
{
	struct vgpu_msg_hello h = hello();
	struct vgpu_msg_close c = { { VGPU_MSG_CLOSE, sizeof(c), 0, 0 }, 0, 1 };
	struct vgpu_msg_opened o = { .frame = { VGPU_MSG_OPENED, sizeof(o), 0, 0 } };
	struct vgpu_msg_pong p = { .frame = { VGPU_MSG_PONG, sizeof(p), 0, 0 } };

	(void)state;
	h.magic++;
	refused(&h, sizeof(h));
	h = hello();
	memset(h.name, 'x', sizeof(h.name));
	refused(&h, sizeof(h));
	refused(&c, sizeof(c));
	memset(o.text, 'x', sizeof(o.text));
	refused(&o, sizeof(o));
	memset(p.release, 'x', sizeof(p.release));
	refused(&p, sizeof(p));
}

static void test_greeting_of_another_version(void **state)
{
	uint8_t bytes[200] = { 0 };
	struct vgpu_msg_hello h = hello();

	(void)state;
	h.frame.length = sizeof(bytes);
	h.version = 9 << 16;
	memset(h.name, 'x', sizeof(h.name)); /* of another meaning there */
	memcpy(bytes, &h, sizeof(h));
	assert_int_equal(feed(bytes, sizeof(bytes)), 0);
	assert_int_equal(VGPU_VERSION_MAJOR(m.hello.version), 9);

	h.version = VGPU_PROTOCOL_VERSION; /* the same major: no licence to be longer */
	memcpy(bytes, &h, sizeof(h));
	refused(bytes, sizeof(bytes));
}

static void test_peer_closed(void **state)
{
	struct vgpu_msg_hello h = hello();

	(void)state;
	frame_send(pair[0], &h, NULL, 0, 1000);
	shutdown(pair[0], SHUT_RDWR);
	assert_int_equal(frame_rx_read(&rx, pair[1]), 0);
	assert_int_equal(frame_rx_read(&rx, pair[1]), -ENOTCONN);
	assert_int_equal(frame_rx_next(&rx, &m, fds), 0); /* its last words still count */
	assert_int_equal(frame_send(pair[1], &h, NULL, 0, 1000), -EPIPE);
}

static void test_full_socket(void **state)
{
	struct vgpu_msg_hello h = hello();
	int rc, sent = 0;

	(void)state;
	while ((rc = frame_send(pair[0], &h, NULL, 0, 1)) == 0)
		assert_true(sent++ < 100000);
	assert_int_equal(rc, -ETIMEDOUT);
}

static void test_feed_too_much(void **state)
{
	uint8_t zeros[2 * VGPU_FRAME_BYTES_MAX + 1] = { 0 };

	(void)state;
	assert_int_equal(frame_rx_feed(&rx, zeros, sizeof(zeros)), -ENOSPC);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_whole),
		T(test_byte_by_byte),
		T(test_two_at_once),
		T(test_descriptors),
		T(test_missing_descriptors),
		T(test_descriptors_where_none_belong),
		T(test_too_many_descriptors),
		T(test_bad_frames),
		T(test_bad_contents),
		T(test_greeting_of_another_version),
		T(test_peer_closed),
		T(test_full_socket),
		T(test_feed_too_much),
	};

	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
