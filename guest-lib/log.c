/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void log_line(const struct log *log, enum vgpu_log_level level, const char *format, ...)
{
	int saved = errno;
	char text[512];
	va_list ap;

	if (!log->fn || level > log->level)
		return;
	va_start(ap, format);
	errno = saved; /* for %m */
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	log->fn(log->opaque, level, text);
	errno = saved;
}
