/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor: is all well on this machine? A line a check, each with what to do. */
#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>

void say(struct doctor *d, enum verdict verdict, const char *check, const char *format, ...)
{
	static const char *const words[] = { "ok", "note", "FAIL" };
	static const char *const json_words[] = { "ok", "note", "fail" };
	json_object *o = json_object_new_object();
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	admin_print(d->a, "%-5s %-12s %s\n", words[verdict], check, text);
	json_object_object_add(o, "check", json_object_new_string(check));
	json_object_object_add(o, "result", json_object_new_string(json_words[verdict]));
	json_object_object_add(o, "text", json_object_new_string(text));
	json_object_array_add(d->checks, o);
	d->failed += verdict == VERDICT_FAIL;
}

int command_doctor(struct admin *a, int argc, char **argv)
{
	struct doctor d = { .a = a, .checks = json_object_new_array() };
	uint32_t only = UINT32_MAX;
	int code = ADMIN_DONE;

	json_object_object_add(a->result, "checks", d.checks);
	if (argc > 1)
		return admin_usage(a, "doctor: at most one domain");
	check_xen(&d);
	if (argc && !a->xs)
		return admin_fail(a, ADMIN_NO_XENSTORE,
				  "doctor: a domain was asked for, and XenStore cannot be reached");
	if (argc)
		code = admin_domain(a, argv[0], &only);
	if (code != ADMIN_DONE)
		return code;
	admin_bound(false);
	check_mediator(&d);
	admin_bound(true);
	check_attached(&d, only);
	return d.failed ? ADMIN_FAILED : ADMIN_DONE;
}
