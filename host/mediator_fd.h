/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Descriptors that came from strangers. Closing one can block for as long as its owner likes
 * (a file of his own FUSE mount), which must not be the supervisor's time.
 */
#ifndef HOST_MEDIATOR_FD_H
#define HOST_MEDIATOR_FD_H

#include <stddef.h>

/* Close @n descriptors, those that are -1 left out, and set them to -1. Never blocks. */
void fd_discard(int *fds, size_t n);

#endif
