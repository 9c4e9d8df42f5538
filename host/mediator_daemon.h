/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming a daemon, in the old way: the command returns when the service is up, or says why not. */
#ifndef HOST_MEDIATOR_DAEMON_H
#define HOST_MEDIATOR_DAEMON_H

/*
 * Fork. Returns in the child only: a descriptor for daemon_report(), or a negative errno without
 * having forked. The parent waits for the report and exits with its code.
 */
int daemon_fork(void);

/* Tell the waiting parent, let go of the terminal. */
void daemon_report(int fd, int exit_code);

#endif
