/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages on the mediator's Unix stream sockets: between QEMU's vgpu-stub and
 * the mediator (device socket), and between libvgpuguest's `unix` transport and
 * the mediator (client socket). Little-endian, each message one struct that
 * starts with vgpu_frame. Which of the two a peer is follows from the socket it
 * connected to, never from what it says.
 *
 *   peer                       mediator
 *   HELLO            ->
 *                    <-        WELCOME, or REFUSED and the end
 *   OPEN + 3 fds     ->
 *                    <-        OPENED (status 0 or an error)
 *   CLOSE            ->
 *                    <-        CLOSED; also unasked, when the host ends a channel
 *   PING             ->
 *                    <-        PONG
 *
 * seq is the sender's choice and comes back in the answer; it is 0 in a CLOSED
 * that was not asked for. A frame of unknown type, of a wrong length, with
 * descriptors where none belong or a reserved byte that is not 0 ends the
 * connection. HELLO, WELCOME and REFUSED begin alike in every version.
 */
#ifndef VGPU_SOCKET_H
#define VGPU_SOCKET_H

#include <stdint.h>

#define VGPU_SOCKET_MAGIC 0x4b434f5355504756ull /* "VGPUSOCK", little-endian */

#define VGPU_FRAME_BYTES_MAX 256u
#define VGPU_FRAME_FDS_MAX 3u

#define VGPU_MSG_HELLO 1u
#define VGPU_MSG_WELCOME 2u
#define VGPU_MSG_REFUSED 3u
#define VGPU_MSG_OPEN 4u
#define VGPU_MSG_OPENED 5u
#define VGPU_MSG_CLOSE 6u
#define VGPU_MSG_CLOSED 7u
#define VGPU_MSG_PING 8u
#define VGPU_MSG_PONG 9u

struct vgpu_frame {
	uint32_t type;   /* VGPU_MSG_* */
	uint32_t length; /* bytes of the whole message, this header included */
	uint32_t seq;
	uint32_t reserved; /* 0 */
};

struct vgpu_msg_hello {
	struct vgpu_frame frame;
	uint64_t magic;    /* VGPU_SOCKET_MAGIC */
	uint32_t version;  /* VGPU_PROTOCOL_VERSION */
	uint32_t channels; /* most that the peer will have open at once */
	uint8_t uuid[16];  /* the VM's; all 0 if it has none. Ignored on the client socket */
	char name[64];     /* the VM's or program's, NUL-terminated UTF-8; a label, not trusted */
};

struct vgpu_msg_welcome {
	struct vgpu_frame frame;
	uint64_t magic;
	uint32_t version;
	uint32_t max_channels;     /* that this peer may have */
	uint64_t max_window_bytes; /* of one channel, all of its pages counted */
	char release[32];          /* the mediator's, NUL-terminated */
};

struct vgpu_msg_refused {
	struct vgpu_frame frame;
	uint64_t magic;
	uint32_t version;
	int32_t error;  /* negative VGPU_E* */
	char text[128]; /* why, NUL-terminated; names both versions if that is the reason */
};

/* With three descriptors: shared memory (sealed memfd), eventfd to the host, eventfd to the guest. */
struct vgpu_msg_open {
	struct vgpu_frame frame;
	uint32_t channel;
	uint32_t reserved; /* 0 */
	uint64_t offset;   /* of the channel in the shared memory, page-aligned */
	uint64_t length;   /* bytes, page-aligned */
};

struct vgpu_msg_opened {
	struct vgpu_frame frame;
	uint32_t channel;
	int32_t status; /* 0 or a negative VGPU_E* */
	char text[104]; /* reason, NUL-terminated, empty on success */
};

struct vgpu_msg_close {
	struct vgpu_frame frame;
	uint32_t channel;
	uint32_t reserved; /* 0 */
};

struct vgpu_msg_closed {
	struct vgpu_frame frame;
	uint32_t channel;
	int32_t reason; /* 0: as asked; negative VGPU_E*: why the host ended it */
};

struct vgpu_msg_ping {
	struct vgpu_frame frame;
};

struct vgpu_msg_pong {
	struct vgpu_frame frame;
	uint32_t version;
	uint32_t max_channels;
	char release[32];
};

_Static_assert(sizeof(struct vgpu_frame) == 16, "wire size");
_Static_assert(sizeof(struct vgpu_msg_hello) == 112, "wire size");
_Static_assert(sizeof(struct vgpu_msg_welcome) == 72, "wire size");
_Static_assert(sizeof(struct vgpu_msg_refused) == 160, "wire size");
_Static_assert(sizeof(struct vgpu_msg_open) == 40, "wire size");
_Static_assert(sizeof(struct vgpu_msg_opened) == 128, "wire size");
_Static_assert(sizeof(struct vgpu_msg_close) == 24, "wire size");
_Static_assert(sizeof(struct vgpu_msg_closed) == 24, "wire size");
_Static_assert(sizeof(struct vgpu_msg_pong) == 56, "wire size");

#endif
