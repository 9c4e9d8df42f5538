/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum log_level level_most = LOG_LEVEL_INFO;
static log_sink_fn *sink_fn;
static void *sink_ctx;

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};

void log_set_sink(log_sink_fn *sink, void *ctx)
{
	sink_fn = sink;
	sink_ctx = ctx;
}

void log_set_level(enum log_level most)
{
	level_most = most;
}

enum log_level log_get_level(void)
{
	return level_most;
}

const char *log_level_name(unsigned int level)
{
	return level < sizeof(level_names) / sizeof(level_names[0]) ? level_names[level] : NULL;
}

int log_level_parse(const char *name, enum log_level *out)
{
	for (unsigned int i = 0; log_level_name(i); i++) {
		if (strcmp(name, log_level_name(i)) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static void stderr_line(enum log_level level, const char *text, size_t len)
{
	char line[LOG_LINE_MAX + 32];
	int n = snprintf(line, sizeof(line), "gpu_mediator: %s: %.*s\n", log_level_name(level),
			 (int)len, text);
	ssize_t rc = write(STDERR_FILENO, line, (size_t)n);

	(void)rc; /* nobody is left to tell */
}

void log_write(enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char text[LOG_LINE_MAX];
	va_list args;
	size_t len;
	int n;

	if (level > level_most)
		return;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (n < 0)
		return;
	len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;

	/* One call, one line, whatever a library's error text holds. */
	for (char *p = text; (p = strpbrk(p, "\r\n")); p++)
		*p = ' ';

	if (sink_fn)
		sink_fn(sink_ctx, level, text, len);
	else
		stderr_line(level, text, len);
	errno = saved_errno;
}

/* Bytes of the UTF-8 character at @p that is fit to print, or 0. */
static size_t printable_char(const uint8_t *p, size_t len)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = p[0];
	size_t n;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f && c != '\\';
	if (c >= 0xc2 && c < 0xe0)
		n = 2, c &= 0x1f;
	else if (c >= 0xe0 && c < 0xf0)
		n = 3, c &= 0x0f;
	else if (c >= 0xf0 && c < 0xf5)
		n = 4, c &= 0x07;
	else
		return 0;
	if (n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < smallest[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	if (c < 0xa0) /* C1 control characters, which terminals obey too */
		return 0;
	if (c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069)) /* line separators and direction overrides */
		return 0;
	return n;
}

size_t log_escape(char *out, size_t size, const void *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *p = text;
	size_t used = 0, cut = 0;

	if (size == 0)
		return 0;
	for (size_t i = 0; i < len;) {
		size_t n = printable_char(p + i, len - i);
		size_t need = n ? n : 4;

		if (used + need + 1 > size) {
			used = cut;
			for (int dots = 0; dots < 3 && used + 1 < size; dots++)
				out[used++] = '.';
			break;
		}
		if (n) {
			memcpy(out + used, p + i, n);
		} else {
			memcpy(out + used, "\\x", 2);
			out[used + 2] = hex[p[i] >> 4];
			out[used + 3] = hex[p[i] & 15];
		}
		used += need;
		i += n ? n : 1;
		if (used + 3 + 1 <= size)
			cut = used; /* the last place where the dots still fit */
	}
	out[used] = '\0';
	return used;
}
