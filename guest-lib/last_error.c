/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "last_error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fork_guard.h"
#include "private.h"
#include "../common/errors.h"

static _Thread_local struct cause of_thread; /* of calls without a handle */
static _Thread_local struct cause shown;     /* what vgpu_last_error() of a handle returns */

static void defuse(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int because(struct cause *why, int code, const char *format, ...)
{
	int saved = errno;
	va_list ap;

	if (!why)
		return code;
	va_start(ap, format);
	errno = saved; /* for %m */
	vsnprintf(why->text, sizeof(why->text), format, ap);
	va_end(ap);
	defuse(why->text);
	return code;
}

int because_of(struct cause *why, int code, const char *format, ...)
{
	char before[CAUSE_BYTES], cause[CAUSE_BYTES];
	va_list ap;

	if (!why)
		return code;
	va_start(ap, format);
	vsnprintf(before, sizeof(before), format, ap);
	va_end(ap);
	memcpy(cause, why->text, sizeof(cause));
	/* Cut the end where both do not fit: that is what the warning is about. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-truncation"
	snprintf(why->text, sizeof(why->text), "%s: %s", before, cause);
#pragma GCC diagnostic pop
	defuse(why->text);
	return code;
}

void last_error_set(const struct cause *why)
{
	if (why)
		of_thread = *why;
	else
		of_thread.text[0] = '\0';
}

const char *vgpu_last_error(const struct vgpu *vgpu)
{
	/* Locking changes nothing that the caller can see. */
	struct vgpu *h = (struct vgpu *)(uintptr_t)vgpu;

	if (!h)
		return of_thread.text;
	if (h->fork_epoch != fork_guard_epoch)
		return error_text(VGPU_EFORKED);
	pthread_mutex_lock(&h->error_lock);
	shown = h->error;
	pthread_mutex_unlock(&h->error_lock);
	return shown.text;
}
