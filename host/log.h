/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One line of log, from anywhere in the host program.
 *
 * The supervisor's sink writes to the file, the journal or stderr (mediator_log.h); a worker's
 * sends the line to its supervisor over the control socket. Before a sink is set, lines go to
 * stderr. Set level and sink before threads start; after that any thread may log, and the sink
 * must bear it. Nothing here blocks beyond what the sink does, and errno is kept.
 *
 * A message names subject, action and cause: "vm 7: map channel 3: Permission denied".
 * What a guest wrote goes through log_escape() first.
 */
#ifndef HOST_LOG_H
#define HOST_LOG_H

#include <stddef.h>

enum log_level { /* travels in struct worker_text: numbers stay */
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Longest line, cut beyond it; no newline in it, the sink adds what it needs. */
#define LOG_LINE_MAX 1024

/* @text has @len bytes, is NUL-terminated and has no newline. */
typedef void log_sink_fn(void *ctx, enum log_level level, const char *text, size_t len);

/* NULL: stderr again. */
void log_set_sink(log_sink_fn *sink, void *ctx);

void log_set_level(enum log_level most);
enum log_level log_get_level(void);

/* "error", "warning", "info", "debug"; NULL or -EINVAL for anything else. */
const char *log_level_name(unsigned int level);
int log_level_parse(const char *name, enum log_level *out);

__attribute__((format(printf, 2, 3))) void log_write(enum log_level level, const char *fmt, ...);

#define log_err(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Make @len bytes of a stranger's text fit for a log line or a terminal: control characters,
 * backslashes and what is not UTF-8 become \xNN; what does not fit into @size is cut and "..."
 * put in its place. @out is always terminated. Returns the length of @out.
 */
size_t log_escape(char *out, size_t size, const void *text, size_t len);

#endif
