/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fork_guard.h"

#include <pthread.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct fork_guarded *all;
uint32_t fork_guard_epoch;

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/* One thread only: the one that forked, which holds the lock. */
static void in_child(void)
{
	fork_guard_epoch++;
	while (all) {
		struct fork_guarded *g = all;

		all = g->next;
		g->next = NULL;
		g->forked(g);
	}
	pthread_mutex_unlock(&lock);
}

static void install(void)
{
	pthread_atfork(before_fork, in_parent, in_child);
}

void fork_guard_lock(void)
{
	pthread_once(&once, install);
	pthread_mutex_lock(&lock);
}

void fork_guard_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

void fork_guard_join(struct fork_guarded *g, void (*forked)(struct fork_guarded *self))
{
	g->forked = forked;
	g->next = all;
	all = g;
}

void fork_guard_leave(struct fork_guarded *g)
{
	for (struct fork_guarded **at = &all; *at; at = &(*at)->next) {
		if (*at == g) {
			*at = g->next;
			g->next = NULL;
			return;
		}
	}
}

void fork_guard_close(int *fd)
{
	fork_guard_lock();
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	fork_guard_unlock();
}
