/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locks that the processes of this machine share: bytes of the device's resource0, locked
 * through open file descriptions, so that the kernel lets go of them when a process dies.
 *
 *   byte k < VGPU_CHANNELS_MAX   channel k belongs to the holder; each handle has a
 *                                description of its own for it, held while the channel lives
 *   FILE_LOCK_MAILBOX            the mailbox: held from writing the payload to reading the
 *                                result, which may take the mediator seconds
 *   FILE_LOCK_CLAIM              held for microseconds: taking a channel's byte, counting
 *                                who lives and telling the device, changing IRQ_MASK
 *
 * Order: none of them is waited for while another is held, but for a channel's byte, which
 * is tried only, under FILE_LOCK_CLAIM.
 */
#ifndef GUEST_FILE_LOCK_H
#define GUEST_FILE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define FILE_LOCK_MAILBOX 0x1000
#define FILE_LOCK_CLAIM 0x1001

/* For locks that the threads of a process share as well: one description, so a mutex too. */
struct file_lock {
	pthread_mutex_t mutex;
	int fd; /* not owned */
	uint32_t byte;
};

void file_lock_init(struct file_lock *l, int fd, uint32_t byte);
void file_lock_dispose(struct file_lock *l);

/* Returns 0, -ETIMEDOUT or a negative errno. */
int file_lock_take(struct file_lock *l, int64_t deadline_ns);
void file_lock_drop(struct file_lock *l);

/* Lock @byte for @fd's description. 0; -EAGAIN, another one has it; or a negative errno. */
int file_lock_try(int fd, uint32_t byte);

/* Has any other description a lock on @byte? */
bool file_lock_held(int fd, uint32_t byte);

#endif
