/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared memory as a sealed memfd: once F_SEAL_SHRINK stands, nobody can cut the
 * file under a mapping, so reading the mapping cannot end in SIGBUS.
 */
#ifndef COMMON_MEMFD_H
#define COMMON_MEMFD_H

#include <stdint.h>

/*
 * A new memfd of @bytes zero bytes, sealed against shrinking, growing and further seals.
 * Returns the descriptor, close-on-exec and the caller's, or a negative errno.
 */
int memfd_new_sealed(const char *name, uint64_t bytes);

/*
 * May [offset, offset + length) of @fd be mapped without fear?
 * Returns 0; -EINVAL, not a memfd that supports seals; -EPERM, not sealed against
 * shrinking, or sealed against writing; -ERANGE, it ends before the range does.
 */
int memfd_check(int fd, uint64_t offset, uint64_t length);

#endif
