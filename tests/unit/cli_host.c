/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host for tests of vgpu-cli: prints its device's name and serves until its standard input
 * ends. With an argument it is a bad one: "wrong" adds wrongly, "rude" has a name that would
 * drive a terminal, "dead" hangs up at the first request.
 */
#include "fake_host.h"

#include <stdio.h>
#include <string.h>

static enum fake_fate answer(struct fake_host *h, const struct vgpu_request *req,
			     struct vgpu_response *rsp)
{
	const char *how = h->script.text;
	struct vgpu_vector_add_reply reply;

	if (!strcmp(how, "dead"))
		return FAKE_HANG_UP;
	if (req->cmd != VGPU_CMD_VECTOR_ADD)
		return FAKE_ANSWER;
	memcpy(&reply, rsp->data, sizeof(reply));
	if (!strcmp(how, "wrong")) {
		struct vgpu_vector_add_args args;

		memcpy(&args, req->args, sizeof(args));
		reply.errors = args.flags ? 3 : 0;
		*(float *)(h->window + args.c) += 1.0f;
	} else if (!strcmp(how, "rude")) {
		snprintf(reply.device, sizeof(reply.device), "\033[31mevil\n");
	}
	memcpy(rsp->data, &reply, sizeof(reply));
	return FAKE_ANSWER;
}

int main(int argc, char **argv)
{
	struct fake_script script = { .text = argc > 1 ? argv[1] : "good", .answer = answer };
	struct fake_host host;

	fake_host_start(&host, &script);
	printf("%s\n", fake_host_device(&host));
	fflush(stdout);
	while (getchar() != EOF)
		;
	fake_host_stop(&host);
	return 0;
}
