/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cli_print(const struct cli *cli, const char *format, ...)
{
	va_list ap;

	if (cli->json)
		return;
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
}

void cli_add(struct cli *cli, const char *key, json_object *value)
{
	json_object_object_add(cli->result, key, value);
}

const char *cli_safe(const char *text)
{
	static char copies[4][256];
	static unsigned int next;
	char *copy = copies[next++ % 4];
	size_t i;

	for (i = 0; text[i] && i < sizeof(copies[0]) - 1; i++) {
		unsigned char c = (unsigned char)text[i];

		copy[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	copy[i] = '\0';
	return copy;
}

static void report(struct cli *cli, const char *name, int number, const char *text)
{
	json_object *error;

	if (!cli->json) {
		fflush(stdout);
		fprintf(stderr, "Error: %s\n", text);
		return;
	}
	error = json_object_new_object();
	json_object_object_add(error, "name", json_object_new_string(name));
	json_object_object_add(error, "number", json_object_new_int(number));
	json_object_object_add(error, "text", json_object_new_string(text));
	cli_add(cli, "error", error);
}

int cli_usage(struct cli *cli, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	report(cli, "usage", CLI_USAGE, text);
	if (!cli->json)
		fprintf(stderr, "Try: vgpu-cli help\n");
	return CLI_USAGE;
}

int cli_fail_text(struct cli *cli, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	report(cli, "failed", CLI_FAILED, text);
	return CLI_FAILED;
}

int cli_fail(struct cli *cli, int error, const char *why)
{
	char text[768];

	snprintf(text, sizeof(text), "%s: %s (%s)", cli->command,
		 why && *why ? why : vgpu_strerror(error), vgpu_strerrorname(error));
	report(cli, vgpu_strerrorname(error), error, text);
	switch (error) {
	case VGPU_ENODEV:
	case VGPU_ENOTBOUND:
	case VGPU_ENOMEDIATOR:
		return CLI_NO_DEVICE;
	default:
		return CLI_FAILED;
	}
}

int cli_finish(struct cli *cli, int code)
{
	if (cli->json) {
		cli_add(cli, "ok", json_object_new_boolean(code == CLI_DONE));
		printf("%s\n",
		       json_object_to_json_string_ext(
			       cli->result, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	}
	json_object_put(cli->result);
	/* What was not written was not done: a full disk must not look like success. */
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "vgpu-cli: standard output: write: %s\n", strerror(errno));
		return CLI_FAILED;
	}
	return code;
}

int cli_open(struct cli *cli, struct vgpu **out)
{
	int rc = vgpu_open(out, &cli->options);

	return rc ? cli_fail(cli, rc, vgpu_last_error(NULL)) : CLI_DONE;
}

bool cli_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
	unsigned long long v;

	if (!*text || text[strspn(text, "0123456789")])
		return false;
	errno = 0;
	v = strtoull(text, NULL, 10);
	if (errno || v < min || v > max)
		return false;
	*out = v;
	return true;
}

const char *cli_backend(uint32_t backend)
{
	switch (backend) {
	case VGPU_BACKEND_CPU:
		return "cpu";
	case VGPU_BACKEND_CUDA:
		return "cuda";
	default:
		return "unknown";
	}
}
