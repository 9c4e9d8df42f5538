/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "frame.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../protocol/vgpu_version.h"

/* At most one message's descriptors are kept between reads, and a read brings two's. */
#define FDS_ROOM (sizeof(((struct frame_rx *)0)->fds) / sizeof(int))

void frame_rx_init(struct frame_rx *rx)
{
	memset(rx, 0, sizeof(*rx));
}

void frame_rx_dispose(struct frame_rx *rx)
{
	while (rx->nfds)
		close(rx->fds[--rx->nfds]);
	rx->have = 0;
	rx->dead = -ENOTCONN;
}

/* Take all descriptors of one recvmsg(). One too many is final. */
static int take_fds(struct frame_rx *rx, struct msghdr *msg)
{
	struct cmsghdr *c;
	int rc = msg->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

	for (c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n, i;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (rx->nfds == FDS_ROOM) {
				close(fd);
				continue;
			}
			rx->fds[rx->nfds++] = fd;
			if (rx->nfds > VGPU_FRAME_FDS_MAX)
				rc = -EPROTO;
		}
	}
	return rc;
}

int frame_rx_read(struct frame_rx *rx, int sock)
{
	/* Room for more than is allowed, so that an excess is seen. */
	union {
		char buf[CMSG_SPACE(2 * VGPU_FRAME_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { rx->buf + rx->have, sizeof(rx->buf) - rx->have };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	ssize_t n;

	if (rx->dead)
		return rx->dead;
	if (iov.iov_len == 0)
		return 0; /* the caller has messages to take first */
	do {
		n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	if (n == 0)
		return rx->dead = -ENOTCONN;
	rx->have += (uint32_t)n;
	if (take_fds(rx, &msg) < 0)
		return rx->dead = -EPROTO;
	return 0;
}

int frame_rx_feed(struct frame_rx *rx, const void *bytes, uint32_t n)
{
	if (n > sizeof(rx->buf) - rx->have)
		return -ENOSPC;
	memcpy(rx->buf + rx->have, bytes, n);
	rx->have += n;
	return 0;
}

static uint32_t length_of_type(uint32_t type)
{
	switch (type) {
	case VGPU_MSG_HELLO:
		return sizeof(struct vgpu_msg_hello);
	case VGPU_MSG_WELCOME:
		return sizeof(struct vgpu_msg_welcome);
	case VGPU_MSG_REFUSED:
		return sizeof(struct vgpu_msg_refused);
	case VGPU_MSG_OPEN:
		return sizeof(struct vgpu_msg_open);
	case VGPU_MSG_OPENED:
		return sizeof(struct vgpu_msg_opened);
	case VGPU_MSG_CLOSE:
		return sizeof(struct vgpu_msg_close);
	case VGPU_MSG_CLOSED:
		return sizeof(struct vgpu_msg_closed);
	case VGPU_MSG_PING:
		return sizeof(struct vgpu_msg_ping);
	case VGPU_MSG_PONG:
		return sizeof(struct vgpu_msg_pong);
	default:
		return 0;
	}
}

/* Messages that carry magic and version at the same place in every version. */
static bool is_greeting(uint32_t type)
{
	return type == VGPU_MSG_HELLO || type == VGPU_MSG_WELCOME || type == VGPU_MSG_REFUSED;
}

static bool is_foreign_greeting(const union frame_message *m)
{
	/* frame, magic and version are all that may be relied on */
	return is_greeting(m->frame.type) && m->frame.length >= sizeof(m->frame) + 12 &&
	       m->hello.magic == VGPU_SOCKET_MAGIC &&
	       VGPU_VERSION_MAJOR(m->hello.version) != VGPU_PROTOCOL_MAJOR;
}

static bool terminated(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool content_ok(const union frame_message *m)
{
	switch (m->frame.type) {
	case VGPU_MSG_HELLO:
		return m->hello.magic == VGPU_SOCKET_MAGIC &&
		       terminated(m->hello.name, sizeof(m->hello.name));
	case VGPU_MSG_WELCOME:
		return m->welcome.magic == VGPU_SOCKET_MAGIC &&
		       terminated(m->welcome.release, sizeof(m->welcome.release));
	case VGPU_MSG_REFUSED:
		return m->refused.magic == VGPU_SOCKET_MAGIC &&
		       terminated(m->refused.text, sizeof(m->refused.text));
	case VGPU_MSG_OPEN:
		return m->open.reserved == 0;
	case VGPU_MSG_OPENED:
		return terminated(m->opened.text, sizeof(m->opened.text));
	case VGPU_MSG_CLOSE:
		return m->close.reserved == 0;
	case VGPU_MSG_PONG:
		return terminated(m->pong.release, sizeof(m->pong.release));
	default:
		return true;
	}
}

int frame_rx_next(struct frame_rx *rx, union frame_message *out, int fds[VGPU_FRAME_FDS_MAX])
{
	struct vgpu_frame head;
	uint32_t wants_fds;

	for (uint32_t i = 0; i < VGPU_FRAME_FDS_MAX; i++)
		fds[i] = -1;
	if (rx->dead && rx->dead != -ENOTCONN)
		return rx->dead;
	if (rx->have < sizeof(head))
		return -EAGAIN;
	memcpy(&head, rx->buf, sizeof(head));
	if (head.length < sizeof(head) || head.length > VGPU_FRAME_BYTES_MAX || head.reserved)
		return rx->dead = -EPROTO;
	if (rx->have < head.length)
		return -EAGAIN;

	memset(out, 0, sizeof(*out));
	memcpy(out, rx->buf, head.length);
	if (!is_foreign_greeting(out) &&
	    (head.length != length_of_type(head.type) || !content_ok(out)))
		return rx->dead = -EPROTO;

	wants_fds = head.type == VGPU_MSG_OPEN ? VGPU_FRAME_FDS_MAX : 0;
	/* Descriptors of a later message may have come with this one's bytes. */
	if (wants_fds > rx->nfds)
		return rx->dead = -EPROTO;
	if (wants_fds) {
		memcpy(fds, rx->fds, VGPU_FRAME_FDS_MAX * sizeof(int));
		rx->nfds = 0;
	} else if (rx->nfds && rx->have == head.length) {
		return rx->dead = -EPROTO;
	}
	rx->have -= head.length;
	memmove(rx->buf, rx->buf + head.length, rx->have);
	return 0;
}

static int wait_writable(int sock, int timeout_ms)
{
	struct pollfd p = { .fd = sock, .events = POLLOUT };
	int n;

	do {
		n = poll(&p, 1, timeout_ms);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

int frame_send(int sock, const void *message, const int *fds, uint32_t nfds, int timeout_ms)
{
	const struct vgpu_frame *head = message;
	union {
		char buf[CMSG_SPACE(VGPU_FRAME_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	uint32_t sent = 0;

	if (nfds > VGPU_FRAME_FDS_MAX)
		return -EINVAL;
	while (sent < head->length) {
		struct iovec iov = { (char *)(uintptr_t)message + sent, head->length - sent };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (nfds && sent == 0) {
			struct cmsghdr *c;

			msg.msg_control = control.buf;
			msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
			c = CMSG_FIRSTHDR(&msg);
			c->cmsg_level = SOL_SOCKET;
			c->cmsg_type = SCM_RIGHTS;
			c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
			memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
		}
		n = sendmsg(sock, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			sent += (uint32_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			int rc = wait_writable(sock, timeout_ms);

			if (rc < 0)
				return rc;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}
