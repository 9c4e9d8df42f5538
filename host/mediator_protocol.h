/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the messages of vgpu_socket.h mean to the mediator. */
#ifndef HOST_MEDIATOR_PROTOCOL_H
#define HOST_MEDIATOR_PROTOCOL_H

#include "mediator_peer.h"

/*
 * Handle one message; descriptors that it carried are the callee's. Breaches doom the peer.
 * Returns 0, or the microseconds after which it is to be handed in again, unchanged.
 */
uint64_t protocol_message(struct peer *p, const union frame_message *msg,
			  const int fds[VGPU_FRAME_FDS_MAX]);

void protocol_refuse(struct peer *p, int32_t error, const char *text);

/* How a connection's channels report. */
extern const struct owner_ops protocol_owner_ops;

#endif
