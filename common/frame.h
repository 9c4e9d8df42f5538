/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages of vgpu_socket.h over a Unix stream socket, with descriptors.
 *
 * The receiver owns every descriptor that arrives, from the moment it arrives:
 * those that no message took are closed with the connection. Does not log.
 */
#ifndef COMMON_FRAME_H
#define COMMON_FRAME_H

#include <stdint.h>

#include "../protocol/vgpu_socket.h"

/* Any whole message. */
union frame_message {
	struct vgpu_frame frame;
	struct vgpu_msg_hello hello;
	struct vgpu_msg_welcome welcome;
	struct vgpu_msg_refused refused;
	struct vgpu_msg_open open;
	struct vgpu_msg_opened opened;
	struct vgpu_msg_close close;
	struct vgpu_msg_closed closed;
	struct vgpu_msg_ping ping;
	struct vgpu_msg_pong pong;
	uint8_t bytes[VGPU_FRAME_BYTES_MAX];
};

struct frame_rx {
	uint8_t buf[2 * VGPU_FRAME_BYTES_MAX];
	uint32_t have;
	int fds[3 *
		VGPU_FRAME_FDS_MAX]; /* those too many as well: how to close them is the owner's */
	uint32_t nfds;
	int dead;
};

void frame_rx_init(struct frame_rx *rx);

/* Closes descriptors that no message took; may be called twice. */
void frame_rx_dispose(struct frame_rx *rx);

/*
 * Read what is there, at most once, without blocking.
 * Returns 0; -EAGAIN, nothing there; -ENOTCONN, the peer closed; -EPROTO, more
 * descriptors than any message has; or another negative errno of recvmsg().
 */
int frame_rx_read(struct frame_rx *rx, int sock);

/* Feed bytes that came another way (tests, fuzzers). -ENOSPC if they do not fit. */
int frame_rx_feed(struct frame_rx *rx, const void *bytes, uint32_t n);

/*
 * Take the next whole message. Type, length, reserved bytes, NUL termination and
 * number of descriptors are those of its type; all else is the caller's to check.
 * @fds gets three descriptors, now the caller's, for OPEN, and -1 otherwise.
 * Returns 0; -EAGAIN, none complete; -EPROTO, not a message, which is final.
 * A HELLO, WELCOME or REFUSED of another major version is taken at any length, cut
 * to what this version knows, so that both versions can be named.
 */
int frame_rx_next(struct frame_rx *rx, union frame_message *out, int fds[VGPU_FRAME_FDS_MAX]);

/*
 * Send one message; frame.length says how long it is. Waits up to @timeout_ms (-1
 * for ever) where the socket is full. The descriptors stay the caller's.
 * Returns 0, -ETIMEDOUT, or the negative errno of sendmsg(); never SIGPIPE.
 */
int frame_send(int sock, const void *message, const int *fds, uint32_t nfds, int timeout_ms);

#endif
