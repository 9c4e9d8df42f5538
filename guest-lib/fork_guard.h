/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What fork() must not do: leave copies of our descriptors in the child. As long as a
 * copy of the socket, of /dev/uioN or of a locked file lives anywhere, the host and the
 * other processes of this VM cannot see that the opener died.
 *
 * Every object with descriptors joins the guard's list. Descriptors are made and stored,
 * and closed and forgotten, between fork_guard_lock() and _unlock(); the handlers of
 * pthread_atfork() hold that lock across fork(), so the child sees each descriptor either
 * in its object or not at all, and closes it. Sections are short: nothing in them blocks.
 */
#ifndef GUEST_FORK_GUARD_H
#define GUEST_FORK_GUARD_H

#include <stdint.h>

struct fork_guarded {
	/* In the child, before fork() returns there: close descriptors, take no locks. */
	void (*forked)(struct fork_guarded *self);
	struct fork_guarded *next;
};

void fork_guard_lock(void);
void fork_guard_unlock(void);

/* With the lock held. Leaving is harmless for what has not joined. */
void fork_guard_join(struct fork_guarded *g, void (*forked)(struct fork_guarded *self));
void fork_guard_leave(struct fork_guarded *g);

/* Close *@fd and set it to -1, under the lock. */
void fork_guard_close(int *fd);

/* How often this process and its ancestors forked: changes in a child, never in a parent. */
extern uint32_t fork_guard_epoch;

#endif
