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

/* Both locks or none. */
static int try_both(struct file_lock *l)
{
	int rc;

	if (pthread_mutex_trylock(&l->mutex))
		return -EAGAIN;
	rc = file_lock_try(l->fd, l->byte);
	if (rc)
		pthread_mutex_unlock(&l->mutex);
	return rc;
}

int file_lock_take(struct file_lock *l, int64_t deadline_ns)
{
	struct timespec pause = { .tv_nsec = 50000 };
	int rc;

	/* F_OFD_SETLKW has no deadline, and its holder may have been stopped. */
	while ((rc = try_both(l)) == -EAGAIN || rc == -EINTR) {
		if (clock_left_ms(deadline_ns) == 0)
			return -ETIMEDOUT;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 2000000)
			pause.tv_nsec *= 2;
	}
	return rc;
}

void file_lock_drop(struct file_lock *l)
{
	struct flock u = at(l->byte, F_UNLCK);

	fcntl(l->fd, F_OFD_SETLK, &u);
	pthread_mutex_unlock(&l->mutex);
}
