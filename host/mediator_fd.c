/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_fd.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "eventfd_check.h"
#include "log.h"

/* Only shared memory of the kernel's own has seals; to close it waits for nobody. */
static bool closes_at_once(int fd)
{
	return fd_is_eventfd(fd) || fcntl(fd, F_GET_SEALS) >= 0;
}

static void *close_it(void *arg)
{
	close((int)(intptr_t)arg);
	return NULL;
}

/*
 * A thread of its own for each: one that hangs holds up no other. Those who make them hang are
 * limited in connections and messages, and so in threads.
 */
static void close_aside(int fd)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 16384);
	sigfillset(&all); /* signals are the event loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, &attr, close_it, (void *)(intptr_t)fd);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		log_warn("descriptor %d of a peer stays open: start a thread to close it: %s", fd,
			 strerror(rc));
}

void fd_discard(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < 0)
			continue;
		if (closes_at_once(fds[i]))
			close(fds[i]);
		else
			close_aside(fds[i]);
		fds[i] = -1;
	}
}
