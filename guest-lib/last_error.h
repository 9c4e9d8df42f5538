/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why something failed, in a line for people. */
#ifndef GUEST_LAST_ERROR_H
#define GUEST_LAST_ERROR_H

#define CAUSE_BYTES 512

struct cause {
	char text[CAUSE_BYTES];
};

/*
 * Note subject, action and cause; returns @code, so that a failing function can
 * `return because(why, VGPU_EACCES, "%s: open: %m", path)`. Control characters, which
 * may come from the other side, become '?'. @why may be NULL.
 */
int because(struct cause *why, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Like because(), but puts the subject before what is there already. */
int because_of(struct cause *why, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The thread's own: of calls that have no handle. @why NULL: success. */
void last_error_set(const struct cause *why);

#endif
