/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "private.h"

void file_lock_init(struct file_lock *l, int fd, uint32_t byte)
{
	pthread_mutex_init(&l->mutex, NULL);
	l->fd = fd;
	l->byte = byte;
}

void file_lock_dispose(struct file_lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

static struct flock at(uint32_t byte, short type)
{
	return (struct flock){
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = byte,
		.l_len = 1,
	};
}

int file_lock_try(int fd, uint32_t byte)
{
	struct flock l = at(byte, F_WRLCK);

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

bool file_lock_held(int fd, uint32_t byte)
{
	struct flock l = at(byte, F_WRLCK);

	/* Where the kernel cannot say, assume life: a wrong "dead" would close a channel. */
	return fcntl(fd, F_OFD_GETLK, &l) < 0 || l.l_type != F_UNLCK;
}

int file_lock_take(struct file_lock *l, int64_t deadline_ns)
{
	struct timespec until = {
		.tv_sec = deadline_ns / 1000000000,
		.tv_nsec = deadline_ns % 1000000000,
	};
	struct timespec pause = { .tv_nsec = 50000 };
	int rc;

	if (pthread_mutex_clocklock(&l->mutex, CLOCK_MONOTONIC, &until))
		return -ETIMEDOUT;
	/* F_OFD_SETLKW has no deadline, and its holder may have been stopped. */
	while ((rc = file_lock_try(l->fd, l->byte)) == -EAGAIN || rc == -EINTR) {
		if (clock_left_ms(deadline_ns) == 0) {
			rc = -ETIMEDOUT;
			break;
		}
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 2000000)
			pause.tv_nsec *= 2;
	}
	if (rc)
		pthread_mutex_unlock(&l->mutex);
	return rc;
}

void file_lock_drop(struct file_lock *l)
{
	struct flock u = at(l->byte, F_UNLCK);

	fcntl(l->fd, F_OFD_SETLK, &u);
	pthread_mutex_unlock(&l->mutex);
}
