/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What workers, and the libraries in them, write to stderr, as lines of the log. One pipe for
 * all: a worker that floods it makes itself wait, never the supervisor.
 */
#ifndef HOST_MEDIATOR_STDERR_H
#define HOST_MEDIATOR_STDERR_H

#include "mediator.h"

struct stderr_pipe {
	int fds[2];
	struct event *readable;
	char line[512];
	size_t have;
	struct throttle lines;
	unsigned int untold;
};

#define STDERR_PIPE_NONE                                                                           \
	{                                                                                          \
		.fds = { -1, -1 }                                                                  \
	}

/* From here on workers get the pipe. 0 or a negative errno. */
int stderr_pipe_open(struct stderr_pipe *p, struct mediator *m);
void stderr_pipe_close(struct stderr_pipe *p); /* may be called twice */

#endif
