/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A listening socket in the file system, from its lock to the connections it brings. */
#ifndef HOST_MEDIATOR_LISTEN_H
#define HOST_MEDIATOR_LISTEN_H

#include "mediator_lockfile.h"
#include "mediator_peer.h"

struct listener {
	struct mediator *m;
	enum peer_kind kind;
	const char *what; /* "device socket", "client socket" */
	struct lockfile lock;
	char path[CONFIG_TEXT_MAX];
	int fd;
	uint64_t dev; /* of the socket file we made */
	uint64_t ino;
	struct event *ready;
	struct event *resume;
	bool complained; /* of descriptors being short, since it last worked */
};

#define LISTENER_NONE                                                                              \
	{                                                                                          \
		.fd = -1, .lock = LOCKFILE_NONE                                                    \
	}

/*
 * Serve the socket that @c describes. Logs. Returns 0; -EBUSY, somebody else serves it; or
 * another negative errno; then nothing changed.
 */
int listener_open(struct listener *l, struct mediator *m, enum peer_kind kind,
		  const struct endpoint_config *c);

/* Stop, and remove the socket file if it is still ours; may be called twice. */
void listener_close(struct listener *l);

#endif
