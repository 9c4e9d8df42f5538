/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the supervisor's lines go: a file, the journal or stderr. Writing never waits and never
 * fails the caller: lines that cannot be written are counted, and their number is logged as
 * soon as writing works again.
 */
#ifndef HOST_MEDIATOR_LOG_H
#define HOST_MEDIATOR_LOG_H

#include <stdbool.h>
#include <stddef.h>

#define MEDIATOR_LOG_FILE "/var/log/gpu_mediator.log"

/*
 * Send log lines to @to: "stderr", "journal", a path, or "auto": the journal under systemd, else
 * stderr in the foreground and MEDIATOR_LOG_FILE otherwise. Opening the same path again is how
 * a rotated file is let go. On failure, a negative errno, lines go where they went before.
 */
int mediator_log_open(const char *to, bool foreground);

/* Errors and warnings also to stderr, for as long as somebody waits there for the start. */
void mediator_log_tee(bool on);

/* Back to plain stderr; may be called twice. */
void mediator_log_close(void);

/* Lines lost since the last one that could be written. */
unsigned long mediator_log_lost(void);

#endif
