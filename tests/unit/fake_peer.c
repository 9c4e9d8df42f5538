/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_peer.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "../../common/memfd.h"
#include "../../host/log.h"
#include "../../host/mediator_throttle.h"
#include "../../protocol/vgpu_version.h"
#include "fake_worker.h"

static char logged[65536];
static size_t logged_bytes;

static void capture(void *ctx, enum log_level level, const char *text, size_t len)
{
	(void)ctx;
	(void)level;
	if (logged_bytes + len + 2 > sizeof(logged))
		return;
	memcpy(logged + logged_bytes, text, len);
	logged_bytes += len;
	logged[logged_bytes++] = '\n';
	logged[logged_bytes] = '\0';
}

bool log_said(const char *text)
{
	if (strstr(logged, text))
		return true;
	print_message("# the log lacks \"%s\":\n# %s\n", text, logged);
	return false;
}

unsigned int log_count(const char *text)
{
	unsigned int n = 0;

	for (const char *p = logged; (p = strstr(p, text)); p++)
		n++;
	return n;
}

void log_forget(void)
{
	logged_bytes = 0;
	logged[0] = '\0';
}

unsigned int open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 3; /* ., .. and the directory */
}

struct mediator *fake_mediator(const struct mediator_config *config)
{
	struct mediator *m = malloc(sizeof(*m));
	struct mediator_config defaults;

	log_forget();
	log_set_sink(capture, NULL);
	log_set_level(LOG_LEVEL_DEBUG);
	fake_start_error = 0;
	fake_assign_error = 0;
	fake_started = 0;
	fake_killed = 0;
	config_init(&defaults);
	assert_int_equal(mediator_init(m, config ? config : &defaults), 0);
	return m;
}

void fake_mediator_free(struct mediator *m)
{
	mediator_dispose(m);
	mediator_dispose(m); /* as promised */
	free(m);
	log_set_sink(NULL, NULL);
}

void fake_run(struct mediator *m)
{
	event_base_loop(m->base, EVLOOP_NONBLOCK); /* until nothing is ready any more */
}

bool fake_run_until(struct mediator *m, bool (*done)(void *), void *ctx)
{
	uint64_t end = clock_us() + 10000000;

	while (!done(ctx)) {
		if (clock_us() > end)
			return false;
		event_base_loop(m->base, EVLOOP_NONBLOCK);
		usleep(1000);
	}
	return true;
}

void fake_connect(struct fake_peer *p, struct mediator *m, enum peer_kind kind)
{
	int pair[2];

	memset(p, 0, sizeof(*p));
	p->m = m;
	frame_rx_init(&p->rx);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p->fd = pair[0];
	peer_new(m, kind, pair[1]);
}

void fake_disconnect(struct fake_peer *p)
{
	frame_rx_dispose(&p->rx);
	close(p->fd);
	p->fd = -1;
	fake_run(p->m);
}

void fake_send_raw(struct fake_peer *p, const void *bytes, size_t len, const int *fds, int nfds)
{
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE((size_t)nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)nfds * sizeof(int));
	}
	assert_int_equal(sendmsg(p->fd, &msg, MSG_NOSIGNAL), len);
	fake_run(p->m);
}

static struct vgpu_frame frame(struct fake_peer *p, uint32_t type, size_t length)
{
	return (struct vgpu_frame){ .type = type, .length = (uint32_t)length, .seq = ++p->seq };
}

static void send_hello(struct fake_peer *p, const char *name, uint32_t channels, uint32_t version)
{
	struct vgpu_msg_hello msg = {
		.frame = frame(p, VGPU_MSG_HELLO, sizeof(msg)),
		.magic = VGPU_SOCKET_MAGIC,
		.version = version,
		.channels = channels,
	};

	snprintf(msg.name, sizeof(msg.name), "%s", name);
	fake_send_raw(p, &msg, sizeof(msg), NULL, 0);
}

void fake_hello(struct fake_peer *p, const char *name, uint32_t channels)
{
	send_hello(p, name, channels, VGPU_PROTOCOL_VERSION);
}

void fake_hello_version(struct fake_peer *p, uint32_t version)
{
	send_hello(p, "alpha", 4, version);
}

void fake_open_fds(struct fake_peer *p, uint32_t channel, uint64_t offset, uint64_t length,
		   const int fds[3])
{
	struct vgpu_msg_open msg = {
		.frame = frame(p, VGPU_MSG_OPEN, sizeof(msg)),
		.channel = channel,
		.offset = offset,
		.length = length,
	};

	fake_send_raw(p, &msg, sizeof(msg), fds, 3);
}

void fake_open(struct fake_peer *p, uint32_t channel, uint64_t length)
{
	int fds[3] = { memfd_new_sealed("t", length), eventfd(0, EFD_CLOEXEC),
		       eventfd(0, EFD_CLOEXEC) };

	fake_open_fds(p, channel, 0, length, fds);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

void fake_close(struct fake_peer *p, uint32_t channel)
{
	struct vgpu_msg_close msg = {
		.frame = frame(p, VGPU_MSG_CLOSE, sizeof(msg)),
		.channel = channel,
	};

	fake_send_raw(p, &msg, sizeof(msg), NULL, 0);
}

void fake_ping(struct fake_peer *p)
{
	struct vgpu_msg_ping msg = { .frame = frame(p, VGPU_MSG_PING, sizeof(msg)) };

	fake_send_raw(p, &msg, sizeof(msg), NULL, 0);
}

static int next(struct fake_peer *p, union frame_message *msg)
{
	int fds[VGPU_FRAME_FDS_MAX];

	for (;;) {
		int rc = frame_rx_next(&p->rx, msg, fds);

		if (rc != -EAGAIN)
			return rc;
		rc = frame_rx_read(&p->rx, p->fd);
		if (rc < 0)
			return rc;
	}
}

const union frame_message *fake_expect(struct fake_peer *p, uint32_t type)
{
	static union frame_message msg;

	assert_int_equal(next(p, &msg), 0);
	assert_int_equal(msg.frame.type, type);
	return &msg;
}

void fake_expect_nothing(struct fake_peer *p)
{
	union frame_message msg;

	assert_int_equal(next(p, &msg), -EAGAIN);
}

void fake_expect_hangup(struct fake_peer *p)
{
	union frame_message msg;
	int rc = next(p, &msg);

	/* reset: it had not read all that we sent */
	assert_true(rc == -ENOTCONN || rc == -ECONNRESET);
}

void fake_meet(struct fake_peer *p, struct mediator *m, enum peer_kind kind, uint32_t channels)
{
	fake_connect(p, m, kind);
	fake_hello(p, "alpha", channels);
	fake_expect(p, VGPU_MSG_WELCOME);
}

void fake_serve(struct fake_peer *p, uint32_t channel, uint64_t length)
{
	fake_open(p, channel, length);
	fake_ready_all(p->m);
	fake_attached(fake_find(p->m, WORKER_STATE_ASSIGNED), 0, "");
	assert_int_equal(fake_expect(p, VGPU_MSG_OPENED)->opened.status, 0);
}
