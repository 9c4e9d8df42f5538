/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GUEST_LOG_H
#define GUEST_LOG_H

#include "vgpuguest.h"

/* Where the messages of a handle go. */
struct log {
	vgpu_log_fn fn; /* NULL: nowhere */
	void *opaque;
	enum vgpu_log_level level;
};

/* One line to the callback, if its level asks for it. Keeps errno. */
void log_line(const struct log *log, enum vgpu_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
