/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_stderr.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* Enough for the longest crash report of a sanitizer. */
#define LINES_PER_SECOND 50
#define LINES_BURST 500

static void flush(struct stderr_pipe *p, size_t len)
{
	char text[LOG_LINE_MAX - 64];

	if (len == 0)
		return;
	if (throttle_take(&p->lines, LINES_PER_SECOND, LINES_BURST, clock_us())) {
		p->untold++;
		return;
	}
	if (p->untold)
		log_warn("worker's stderr: %u lines left out", p->untold);
	p->untold = 0;
	log_escape(text, sizeof(text), p->line, len);
	log_warn("worker's stderr: %s", text);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stderr_pipe *p = arg;
	ssize_t n = read(fd, p->line + p->have, sizeof(p->line) - p->have);
	char *end;

	(void)what;
	if (n <= 0)
		return;
	p->have += (size_t)n;
	while ((end = memchr(p->line, '\n', p->have))) {
		size_t len = (size_t)(end - p->line);

		flush(p, len);
		p->have -= len + 1;
		memmove(p->line, end + 1, p->have);
	}
	if (p->have == sizeof(p->line)) {
		flush(p, p->have);
		p->have = 0;
	}
}

int stderr_pipe_open(struct stderr_pipe *p, struct mediator *m)
{
	*p = (struct stderr_pipe)STDERR_PIPE_NONE;
	if (pipe2(p->fds, O_CLOEXEC) < 0)
		return -errno;
	/* only our end: workers expect an ordinary stderr */
	fcntl(p->fds[0], F_SETFL, O_NONBLOCK);
	p->readable = event_new(m->base, p->fds[0], EV_READ | EV_PERSIST, on_readable, p);
	if (!p->readable) {
		stderr_pipe_close(p);
		return -ENOMEM;
	}
	event_add(p->readable, NULL);
	m->pool.worker_stderr = p->fds[1];
	return 0;
}

void stderr_pipe_close(struct stderr_pipe *p)
{
	if (p->readable)
		event_free(p->readable);
	p->readable = NULL;
	for (int i = 0; i < 2; i++) {
		if (p->fds[i] >= 0)
			close(p->fds[i]);
		p->fds[i] = -1;
	}
}
