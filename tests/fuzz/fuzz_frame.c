// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Socket messages, cut into pieces and with descriptors where the peer likes them. What
 * comes out is well-formed, and no descriptor is lost.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/frame.h"
#include "../../protocol/vgpu_version.h"

static int null_fd = -1;

static unsigned int open_fds(void)
{
	unsigned int n = 0;

	for (int fd = 3; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void check_message(const union frame_message *m, const int *fds)
{
	int open_message = m->frame.type == VGPU_MSG_OPEN;

	MUST(m->frame.type >= VGPU_MSG_HELLO && m->frame.type <= VGPU_MSG_PONG);
	MUST(m->frame.length <= VGPU_FRAME_BYTES_MAX && m->frame.reserved == 0);
	for (unsigned int i = 0; i < VGPU_FRAME_FDS_MAX; i++) {
		MUST((fds[i] >= 0) == open_message);
		if (fds[i] >= 0)
			close(fds[i]);
	}
	switch (m->frame.type) {
	case VGPU_MSG_HELLO:
		MUST(m->hello.magic == VGPU_SOCKET_MAGIC);
		if (VGPU_VERSION_MAJOR(m->hello.version) == VGPU_PROTOCOL_MAJOR)
			MUST(memchr(m->hello.name, 0, sizeof(m->hello.name)));
		break;
	case VGPU_MSG_OPEN:
		MUST(m->frame.length == sizeof(m->open) && m->open.reserved == 0);
		break;
	case VGPU_MSG_OPENED:
		MUST(memchr(m->opened.text, 0, sizeof(m->opened.text)));
		break;
	case VGPU_MSG_PONG:
		MUST(memchr(m->pong.release, 0, sizeof(m->pong.release)));
		break;
	}
}

/* All whole messages that are there; whether the connection may go on. */
static int take_all(struct frame_rx *rx)
{
	union frame_message m;
	int fds[VGPU_FRAME_FDS_MAX];
	int rc;

	while ((rc = frame_rx_next(rx, &m, fds)) == 0)
		check_message(&m, fds);
	MUST(rc == -EAGAIN || rc == -EPROTO);
	if (rc == -EPROTO)
		MUST(frame_rx_next(rx, &m, fds) == -EPROTO);
	return rc == -EAGAIN;
}

/* Send a piece with @nfds descriptors through a real socket. */
static void send_piece(int sock, const uint8_t *bytes, size_t n, unsigned int nfds)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, n };
	union {
		char buf[CMSG_SPACE(8 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (unsigned int i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &null_fd, sizeof(int));
	}
	MUST(sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)n);
}

static void through_socket(struct frame_rx *rx, struct input *in)
{
	int pair[2];

	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	while (in->left > 1) {
		uint8_t cut = input_u8(in);
		size_t n = (cut & 0x0f) ? (cut & 0x0fu) * 16u : in->left;
		int rc;

		if (n > in->left)
			n = in->left;
		if (n > 256)
			n = 256;
		send_piece(pair[0], in->at, n, (cut >> 4) % 8);
		in->at += n;
		in->left -= n;
		rc = frame_rx_read(rx, pair[1]);
		MUST(rc == 0 || rc == -EPROTO);
		if (!take_all(rx))
			break;
	}
	close(pair[0]);
	close(pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint8_t mode = input_u8(&in);
	unsigned int before;
	struct frame_rx rx;

	if (null_fd < 0)
		null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	before = open_fds();
	frame_rx_init(&rx);
	if (mode & 1) {
		through_socket(&rx, &in);
	} else {
		while (in.left) {
			uint32_t n = mode >> 1 ? mode >> 1 : 256;

			if (n > in.left)
				n = (uint32_t)in.left;
			if (frame_rx_feed(&rx, in.at, n) < 0 || !take_all(&rx))
				break;
			in.at += n;
			in.left -= n;
		}
	}
	frame_rx_dispose(&rx);
	frame_rx_dispose(&rx);
	MUST(open_fds() == before);
	return 0;
}
