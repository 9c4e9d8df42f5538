/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* The process number in it, or 0. */
static long read_pid(int fd)
{
	char text[24];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	long pid;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	pid = strtol(text, NULL, 10);
	return pid > 0 ? pid : 0;
}

/* Is what we locked still what the name stands for? Its last owner may have removed it. */
static bool still_there(int fd, const char *path)
{
	struct stat ours, named;

	return fstat(fd, &ours) == 0 && lstat(path, &named) == 0 && ours.st_dev == named.st_dev &&
	       ours.st_ino == named.st_ino;
}

/* A locked descriptor of the file, or a negative errno. */
static int open_locked(const char *path, const char *what)
{
	int fd, rc;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
		if (fd < 0) {
			rc = -errno;
			log_err("%s %s: create: %s", what, path, strerror(-rc));
			return rc;
		}
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			rc = -errno;
			if (rc == -EWOULDBLOCK) {
				log_err("%s %s: in use by process %ld", what, path, read_pid(fd));
				rc = -EBUSY;
			} else {
				log_err("%s %s: lock: %s", what, path, strerror(-rc));
			}
			close(fd);
			return rc;
		}
		if (still_there(fd, path))
			return fd;
		close(fd);
	}
}

static int write_pid(int fd)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
		return errno ? -errno : -EIO;
	return 0;
}

int lockfile_take(struct lockfile *l, const char *path, const char *what)
{
	int fd = open_locked(path, what);
	long before;
	int rc;

	if (fd < 0)
		return fd;
	before = read_pid(fd);
	if (before)
		log_info("%s %s: left behind by process %ld, which no longer runs: taken over",
			 what, path, before);
	rc = write_pid(fd);
	if (rc < 0) {
		log_err("%s %s: write: %s", what, path, strerror(-rc));
		if (!before)
			unlink(path);
		close(fd);
		return rc;
	}
	snprintf(l->path, sizeof(l->path), "%s", path);
	l->fd = fd;
	return 0;
}

void lockfile_release(struct lockfile *l)
{
	if (l->fd < 0)
		return;
	if (still_there(l->fd, l->path))
		unlink(l->path);
	close(l->fd);
	l->fd = -1;
}
