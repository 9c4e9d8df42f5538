/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "admin.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void admin_print(const struct admin *a, const char *format, ...)
{
	va_list ap;

	if (a->json)
		return;
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
}

void admin_add_text(struct admin *a, const char *key, const char *text)
{
	json_object_object_add(a->result, key, json_object_new_string(text));
}

void admin_add_number(struct admin *a, const char *key, uint32_t number)
{
	json_object_object_add(a->result, key, json_object_new_int64(number));
}

void admin_add_bool(struct admin *a, const char *key, bool value)
{
	json_object_object_add(a->result, key, json_object_new_boolean(value));
}

const char *admin_safe(const char *text)
{
	static char copies[8][256];
	static unsigned int next;
	char *copy = copies[next++ % 8];
	size_t i;

	for (i = 0; text[i] && i < sizeof(copies[0]) - 1; i++) {
		unsigned char c = (unsigned char)text[i];

		copy[i] = c < 0x20 || c >= 0x7f ? '?' : (char)c;
	}
	copy[i] = '\0';
	return copy;
}

static int report(struct admin *a, int code, const char *text)
{
	json_object *error;

	if (!a->json) {
		fflush(stdout);
		fprintf(stderr, "vgpu-admin: %s\n", text);
		return code;
	}
	error = json_object_new_object();
	json_object_object_add(error, "code", json_object_new_int(code));
	json_object_object_add(error, "text", json_object_new_string(text));
	json_object_object_add(a->result, "error", error);
	return code;
}

int admin_fail(struct admin *a, int code, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return report(a, code, text);
}

int admin_usage(struct admin *a, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	report(a, ADMIN_USAGE, text);
	if (!a->json)
		fprintf(stderr, "Try: vgpu-admin --help\n");
	return ADMIN_USAGE;
}

int admin_fail_errno(struct admin *a, const char *what, int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		return admin_fail(a, ADMIN_NOT_PERMITTED, "%s: %s: %s", what, strerror(-error),
				  geteuid() ? "run it as root, in dom0"
					    : "only dom0 may do that: run it there");
	case -EAGAIN:
		return admin_fail(a, ADMIN_FAILED,
				  "%s: XenStore is too busy: others changed the same nodes all the "
				  "time; try again",
				  what);
	case -EDQUOT:
	case -ENOSPC:
		return admin_fail(a, ADMIN_FAILED,
				  "%s: %s: a domain has used up its quota of XenStore nodes", what,
				  strerror(-error));
	default:
		return admin_fail(a, ADMIN_FAILED, "%s: %s", what, strerror(-error));
	}
}

int admin_finish(struct admin *a, int code)
{
	if (a->json) {
		admin_add_bool(a, "ok", code == ADMIN_DONE);
		printf("%s\n",
		       json_object_to_json_string_ext(
			       a->result, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						  JSON_C_TO_STRING_NOSLASHESCAPE));
	}
	json_object_put(a->result);
	/* What was not written was not done: a full disk must not look like success. */
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "vgpu-admin: standard output: write: %s\n", strerror(errno));
		return ADMIN_FAILED;
	}
	return code;
}
