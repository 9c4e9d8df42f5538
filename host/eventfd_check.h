/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is a stranger's descriptor an eventfd? Reading, writing or closing anything else could do
 * anything: a terminal, a full pipe, FUSE. Asks the kernel only, so this never blocks.
 */
#ifndef HOST_EVENTFD_CHECK_H
#define HOST_EVENTFD_CHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline bool fd_is_eventfd(int fd)
{
	char path[32], target[32];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	return strcmp(target, "anon_inode:[eventfd]") == 0;
}

#endif
