/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "mediator_options.h"

static void wait_for_report(int fd)
{
	unsigned char code = EXIT_FAILED;
	ssize_t n;

	do {
		n = read(fd, &code, 1);
	} while (n < 0 && errno == EINTR);
	/* nothing: it died; what it could say it said on stderr */
	_exit(n == 1 ? code : EXIT_FAILED);
}

int daemon_fork(void)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		int rc = -errno;

		close(fds[0]);
		close(fds[1]);
		return rc;
	}
	if (pid > 0) {
		close(fds[1]);
		wait_for_report(fds[0]);
	}
	close(fds[0]);
	setsid();
	/* no second fork: nothing here opens a terminal without O_NOCTTY */
	if (chdir("/") < 0)
		return -errno;
	return fds[1];
}

void daemon_report(int fd, int exit_code)
{
	unsigned char code = (unsigned char)exit_code;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (null >= 0)
		for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
			dup2(null, i);
	if (null > STDERR_FILENO)
		close(null);
	n = write(fd, &code, 1);
	(void)n; /* whoever waited may have been killed */
	close(fd);
}
