// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests of a hostile guest, executed by the worker's command code on the cpu backend.
 * The window is an allocation of exactly its size: a byte beyond it is seen by ASan.
 *
 * Input: window size, then records. A record's first byte chooses between a raw request and
 * one that is nearly right, which gets further.
 */
#include "fuzz.h"

#include "../../host/backend.h"
#include "../../host/worker_commands.h"
#include "../../protocol/vgpu_errors.h"

#define REQUESTS_MAX 64

static struct backend_info info;
static struct backend *backend;

static int take_message(void *opaque, const char *text, uint32_t length)
{
	uint32_t sum = 0;

	(void)opaque;
	MUST(length >= 1 && length <= VGPU_MESSAGE_MAX);
	for (uint32_t i = 0; i < length; i++)
		sum += (uint8_t)text[i];
	return sum % 7 ? 0 : VGPU_ETHROTTLED;
}

static void nearly_right(struct vgpu_request *req, struct input *in, uint64_t window)
{
	struct vgpu_vector_add_args add = { 0 };
	uint8_t how = input_u8(in);

	memset(req, 0, sizeof(*req));
	req->cmd = how & 7;
	req->flags = how & 8 ? VGPU_REQ_NO_RESPONSE : 0;
	req->id = input_u8(in);
	if (req->cmd == VGPU_CMD_VECTOR_ADD) {
		add.a = input_near(in, window) & ~3ull;
		add.b = input_near(in, window) & ~3ull;
		add.c = input_near(in, window) & ~3ull;
		add.n = (uint32_t)(input_near(in, window) / 4);
		if (how & 16)
			add.c = add.a;
		if (how & 32)
			add.flags = VGPU_VECTOR_ADD_SELF_TEST;
		if ((how & 48) == 48)
			add = (struct vgpu_vector_add_args){ .flags = VGPU_VECTOR_ADD_SELF_TEST };
		memcpy(req->args, &add, sizeof(add));
	} else {
		req->data_ptr = input_near(in, window);
		req->data_len = (uint32_t)input_near(in, 500);
	}
	if (how & 64)
		req->args[input_u8(in) % sizeof(req->args)] ^= 1;
	if (how & 128)
		req->flags ^= input_u32(in);
}

static void check_response(const struct vgpu_request *req, const struct vgpu_response *rsp)
{
	static const uint8_t zero[sizeof(rsp->data)];

	MUST(rsp->id == req->id && rsp->reserved == 0);
	MUST(rsp->status == 0 || (rsp->status <= VGPU_EINVAL && rsp->status >= VGPU_EMEMORY));
	MUST(rsp->data_len <= req->data_len);
	if (rsp->status)
		MUST(rsp->data_len == 0 && memcmp(rsp->data, zero, sizeof(zero)) == 0);
	if (req->cmd == VGPU_CMD_VECTOR_ADD && rsp->status == 0) {
		struct vgpu_vector_add_reply reply;

		memcpy(&reply, rsp->data, sizeof(reply));
		MUST(reply.errors == 0 && reply.backend == VGPU_BACKEND_CPU && !reply.reserved);
		MUST(memchr(reply.device, 0, sizeof(reply.device)));
	}
	if (req->cmd < VGPU_CMD_NOP || req->cmd > VGPU_CMD_MESSAGE)
		MUST(rsp->status < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint64_t window_bytes = (uint64_t)(input_u8(&in) % 5) * 4096;
	struct commands c = {
		.ops = &backend_cpu,
		.info = &info,
		.window_bytes = window_bytes,
		.message_rate = input_u8(&in),
		.vm = "fuzz",
		.message = take_message,
	};
	char why[128];

	if (!info.kind)
		MUST(backend_cpu.open(&backend, 0, &info, why, sizeof(why)) == 0);
	c.backend = backend;
	c.window = aligned_alloc(4096, window_bytes ? window_bytes : 4096);
	MUST(c.window);
	memset(c.window, 0x41, window_bytes);
	commands_init(&c);

	for (int i = 0; i < REQUESTS_MAX && in.left; i++) {
		struct vgpu_request req;
		struct vgpu_response rsp;
		int32_t sticky = c.sticky;

		if (input_u8(&in) & 1)
			input_bytes(&in, &req, sizeof(req));
		else
			nearly_right(&req, &in, window_bytes);
		if (commands_run(&c, &req, &rsp)) {
			check_response(&req, &rsp);
			/* kept: answers now, or stays behind a failure of this one's own */
			MUST(!sticky || rsp.status);
			MUST(c.sticky == 0 || c.sticky == sticky);
		} else {
			MUST(req.flags & VGPU_REQ_NO_RESPONSE);
		}
		MUST(c.requests == (uint64_t)i + 1 && c.errors <= c.requests);
		MUST(!c.backend_lost);
	}
	free(c.window);
	return 0;
}
