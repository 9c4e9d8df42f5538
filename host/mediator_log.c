/* SPDX-License-Identifier: GPL-2.0-or-later */
#define SD_JOURNAL_SUPPRESS_LOCATION /* ours would be this file, always */
#include "mediator_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

enum target {
	TO_STDERR,
	TO_PREFIXED_STDERR,
	TO_JOURNAL,
	TO_FILE
};

static struct {
	enum target target;
	int fd; /* the file's */
	bool tee;
	bool torn; /* a line was written in part */
	unsigned long lost;
	int lost_error;
} out = { .target = TO_STDERR, .fd = -1 };

static const int priorities[] = {
	[LOG_LEVEL_ERROR] = LOG_ERR,
	[LOG_LEVEL_WARNING] = LOG_WARNING,
	[LOG_LEVEL_INFO] = LOG_INFO,
	[LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

/* Is our stderr what the service manager connected to the journal? */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return text && sscanf(text, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static size_t stamp(char *buf, size_t size)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(buf + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

static void lose(int error)
{
	out.lost++;
	out.lost_error = error;
}

/* One whole line to a descriptor. A pipe or terminal that nobody reads is not waited for. */
static void put(int fd, bool may_block, const char *line, size_t len)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	ssize_t n;

	if (may_block && (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))) {
		lose(EAGAIN);
		return;
	}
	do {
		n = write(fd, line, len);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)len)
		return;
	lose(n < 0 ? errno : ENOSPC);
	if (n > 0)
		out.torn = true;
}

static void stamped(int fd, bool may_block, enum log_level level, const char *text, size_t len)
{
	char line[LOG_LINE_MAX + 64];
	size_t n = 0;

	if (out.torn && fd == out.fd)
		line[n++] = '\n';
	n += stamp(line + n, sizeof(line) - n);
	n += (size_t)snprintf(line + n, sizeof(line) - n, " %s: %.*s\n", log_level_name(level),
			      (int)len, text);
	out.torn = false;
	put(fd, may_block, line, n);
}

static void emit(enum log_level level, const char *text, size_t len)
{
	char line[LOG_LINE_MAX + 64];
	int n;

	switch (out.target) {
	case TO_FILE:
		stamped(out.fd, false, level, text, len);
		break;
	case TO_STDERR:
		stamped(STDERR_FILENO, true, level, text, len);
		break;
	case TO_PREFIXED_STDERR:
		n = snprintf(line, sizeof(line), "<%d>%.*s\n", priorities[level], (int)len, text);
		put(STDERR_FILENO, true, line, (size_t)n);
		break;
	case TO_JOURNAL:
		n = sd_journal_send("MESSAGE=%.*s", (int)len, text, "PRIORITY=%d",
				    priorities[level], "SYSLOG_IDENTIFIER=gpu_mediator", NULL);
		if (n < 0)
			lose(-n);
		break;
	}
}

static void sink(void *ctx, enum log_level level, const char *text, size_t len)
{
	unsigned long lost = out.lost;
	char note[120];
	int n;

	(void)ctx;
	if (lost) {
		n = snprintf(note, sizeof(note), "log: %lu lines were lost: %s", lost,
			     strerror(out.lost_error));
		emit(LOG_LEVEL_WARNING, note, (size_t)n);
		if (out.lost > lost)
			out.lost--; /* the note is no line of its own */
		else
			out.lost = 0;
	}
	emit(level, text, len);
	if (out.tee && level <= LOG_LEVEL_WARNING && out.target != TO_STDERR &&
	    out.target != TO_PREFIXED_STDERR)
		dprintf(STDERR_FILENO, "gpu_mediator: %s: %.*s\n", log_level_name(level), (int)len,
			text);
}

static int open_file(const char *path)
{
	/* O_NONBLOCK: a fifo in its place must not stop us. */
	int fd =
		open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	return fd < 0 ? -errno : fd;
}

int mediator_log_open(const char *to, bool foreground)
{
	enum target target = TO_FILE;
	int fd = -1;

	if (strcmp(to, "auto") == 0)
		to = stderr_is_journal() ? "journal" : foreground ? "stderr" : MEDIATOR_LOG_FILE;
	if (strcmp(to, "stderr") == 0)
		target = stderr_is_journal() ? TO_PREFIXED_STDERR : TO_STDERR;
	else if (strcmp(to, "journal") == 0)
		target = stderr_is_journal() ? TO_PREFIXED_STDERR : TO_JOURNAL;
	if (target == TO_FILE) {
		fd = open_file(to);
		if (fd < 0)
			return fd;
	}
	if (out.fd >= 0)
		close(out.fd);
	out.fd = fd;
	out.target = target;
	out.torn = false;
	log_set_sink(sink, NULL);
	return 0;
}

void mediator_log_tee(bool on)
{
	out.tee = on;
}

void mediator_log_close(void)
{
	log_set_sink(NULL, NULL);
	if (out.fd >= 0)
		close(out.fd);
	out.fd = -1;
	out.target = TO_STDERR;
}

unsigned long mediator_log_lost(void)
{
	return out.lost;
}
