/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file that says "this is taken, by process N": the PID file, and one beside each socket. The
 * lock counts, not the file: one that a dead process left behind is taken over.
 */
#ifndef HOST_MEDIATOR_LOCKFILE_H
#define HOST_MEDIATOR_LOCKFILE_H

#include "mediator_config.h"

struct lockfile {
	char path[CONFIG_TEXT_MAX + 8];
	int fd; /* -1: not held */
};

#define LOCKFILE_NONE                                                                              \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/*
 * Take @path; @what names it in the log. Returns 0; -EBUSY, a living process holds it, which is
 * logged with its number; or another negative errno, logged too. On failure nothing changed.
 */
int lockfile_take(struct lockfile *l, const char *path, const char *what);

/* Remove it, if it is still ours; may be called twice. */
void lockfile_release(struct lockfile *l);

#endif
