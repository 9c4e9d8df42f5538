/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors that came from strangers. Closing one can block for as long as its owner likes
 * (a file of his own FUSE mount), which must not be the supervisor's time.
 */
#ifndef HOST_MEDIATOR_FD_H
#define HOST_MEDIATOR_FD_H

#include <stdbool.h>
#include <stddef.h>

/* Close @n descriptors, those that are -1 left out, and set them to -1. Never blocks. */
void fd_discard(int *fds, size_t n);

/* Is it an eventfd? Asks the kernel only, so it does not block either. */
bool fd_is_eventfd(int fd);

#endif
