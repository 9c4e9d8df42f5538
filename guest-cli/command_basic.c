/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* nop and message: one call each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int command_nop(struct cli *cli, int argc, char **argv)
{
	struct vgpu *vgpu;
	int code, rc;

	(void)argv;
	if (argc)
		return cli_usage(cli, "nop: takes no arguments");
	code = cli_open(cli, &vgpu);
	if (code)
		return code;
	rc = vgpu_nop(vgpu);
	if (rc)
		code = cli_fail(cli, rc, vgpu_last_error(vgpu));
	else
		cli_print(cli, "NOP command successful\n");
	vgpu_close(vgpu);
	return code;
}

/* The words, joined by spaces; NULL: no memory. */
static char *join(int argc, char **argv)
{
	size_t bytes = 1;
	char *text;

	for (int i = 0; i < argc; i++)
		bytes += strlen(argv[i]) + 1;
	text = calloc(1, bytes);
	if (!text)
		return NULL;
	for (int i = 0; i < argc; i++) {
		if (i)
			strcat(text, " ");
		strcat(text, argv[i]);
	}
	return text;
}

int command_message(struct cli *cli, int argc, char **argv)
{
	struct vgpu *vgpu = NULL;
	char *text;
	int code, rc;

	text = join(argc, argv);
	if (!text)
		return cli_fail(cli, VGPU_ENOMEM, NULL);
	if (!*text) {
		code = cli_usage(cli, "message: no text");
		goto out;
	}
	if (strlen(text) > VGPU_MESSAGE_MAX) {
		code = cli_usage(cli, "message: %zu bytes, at most %u go", strlen(text),
				 VGPU_MESSAGE_MAX);
		goto out;
	}
	code = cli_open(cli, &vgpu);
	if (code)
		goto out;
	rc = vgpu_message(vgpu, text);
	if (rc)
		code = cli_fail(cli, rc, vgpu_last_error(vgpu));
	else
		cli_print(cli, "Message sent\n");
out:
	vgpu_close(vgpu);
	free(text);
	return code;
}
