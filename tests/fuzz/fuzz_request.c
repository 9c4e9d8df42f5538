// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests of a hostile guest, executed by the worker's command code on the cpu backend.
 * The window is an allocation of exactly its size: a byte beyond it is seen by ASan.
 *
 * Input: window size, then records. A record's first byte chooses between a raw request and
 * one that is nearly right, which gets further: its handles are few, and its addresses are near
 * those of memory that was allocated.
 */
#include "fuzz.h"

#include "../../host/backend.h"
#include "../../host/worker_commands.h"
#include "../../protocol/vgpu_errors.h"

#define REQUESTS_MAX 64
#define ALLOC_MAX 65536u /* a kernel over more of it takes too long */
#define HANDLES 4u
#define CUDA_ERROR_MAX 999
#define DEADLINE_MS 86400000u /* never, but there are markers */

static struct backend_info info;
static struct backend_ops ops;
static uint64_t memory; /* allocated last */

static int alloc_little(struct backend *b, uint64_t bytes, uint64_t *address)
{
	int rc = bytes > ALLOC_MAX ? 2 : backend_cpu.alloc(b, bytes, address);

	if (rc == 0)
		memory = *address;
	return rc;
}

/* All but those that take as long as they are told to. */
static int get_quick_kernel(struct backend *b, struct backend_module *m, const char *name,
			    struct backend_kernel **out, struct vgpu_kernel_reply *reply)
{
	if (strcmp(name, "mandelbrot") == 0 || strcmp(name, "spin_ms") == 0)
		return 500;
	return backend_cpu.kernel_get(b, m, name, out, reply);
}

static int take_message(void *opaque, const char *text, uint32_t length)
{
	uint32_t sum = 0;

	(void)opaque;
	MUST(length >= 1 && length <= VGPU_MESSAGE_MAX);
	for (uint32_t i = 0; i < length; i++)
		sum += (uint8_t)text[i];
	return sum % 7 ? 0 : VGPU_ETHROTTLED;
}

static uint32_t handle(struct input *in)
{
	return input_u8(in) % HANDLES;
}

static uint64_t address(struct input *in)
{
	return memory + input_near(in, 256);
}

#define ARGS(type, ...)                                                                            \
	do {                                                                                       \
		const struct vgpu_##type##_args args = { __VA_ARGS__ };                            \
                                                                                                   \
		memcpy(req->args, &args, sizeof(args));                                            \
	} while (0)

static void memory_args(struct vgpu_request *req, struct input *in, uint64_t window)
{
	const uint32_t kind = input_u8(in) % 4;
	const uint64_t height = input_u8(in) % 4;
	const uint64_t pitch = height == 1 ? 0 : 32 + input_near(in, 32);

	switch (req->cmd) {
	case VGPU_CMD_ALLOC:
		ARGS(alloc, input_near(in, ALLOC_MAX));
		break;
	case VGPU_CMD_FREE:
		ARGS(free, memory + handle(in) / 3);
		break;
	case VGPU_CMD_MEMSET:
		ARGS(memset, address(in), pitch, input_near(in, 16), height, 7, 1u << kind,
		     handle(in), 0);
		break;
	case VGPU_CMD_COPY:
		ARGS(copy, kind == 2 ? input_near(in, window) : address(in),
		     kind == 1 ? input_near(in, window) : address(in), pitch, pitch,
		     input_near(in, 32), height, kind, handle(in));
		break;
	case VGPU_CMD_WRITE:
		ARGS(write, address(in), input_u8(in) % 96, handle(in), { input_u8(in) });
		break;
	default:
		ARGS(read, address(in), input_u8(in) % 64, handle(in));
		break;
	}
}

static void module_args(struct vgpu_request *req, struct input *in, uint64_t window, uint8_t *bytes)
{
	static const char *const names[] = { "add_one",    "saxpy", "vector_add", "matmul",
					     "reduce_sum", "fault", "store_many", "fill_u32" };
	const char *name = names[input_u8(in) % 8];
	struct vgpu_launch_args launch = { 0 };

	req->data_ptr = 0;
	req->data_len = window ? 16 : 0;
	switch (req->cmd) {
	case VGPU_CMD_MODULE_DATA:
		ARGS(module_data, handle(in), 0, input_u8(in) % 2 * 16, 16);
		break;
	case VGPU_CMD_KERNEL_GET:
		if (window)
			memcpy(bytes, name, strlen(name));
		req->data_len = window ? (uint32_t)strlen(name) : 0;
		ARGS(kernel, handle(in), handle(in));
		break;
	case VGPU_CMD_LAUNCH:
		launch.kernel = handle(in);
		launch.stream = handle(in);
		for (int i = 0; i < 3; i++) {
			launch.grid[i] = input_u8(in);
			launch.block[i] = input_u8(in) % 16;
		}
		launch.param_bytes = 8 * (input_u8(in) % 10);
		for (int i = 0; i < 3; i++)
			((uint64_t *)(void *)launch.params)[i] = address(in);
		input_bytes(in, launch.params + 24, 16);
		memcpy(req->args, &launch, sizeof(launch));
		req->data_len = window && launch.param_bytes == 0 ? 4008 : 0;
		break;
	case VGPU_CMD_KERNEL_SET:
		req->data_len = 0;
		ARGS(kernel_set, handle(in), 7 + handle(in), (int32_t)input_u32(in), 0);
		break;
	case VGPU_CMD_OCCUPANCY:
		req->data_len = 0;
		ARGS(occupancy, handle(in), input_u8(in) * 8u, input_near(in, 1024));
		break;
	default: /* a handle, and little else */
		ARGS(sync, handle(in), handle(in));
		break;
	}
}

static void gpu_args(struct vgpu_request *req, struct input *in, uint64_t window, uint8_t *bytes)
{
	if (req->cmd <= VGPU_CMD_MEMORY_INFO) {
		ARGS(device, input_u8(in) % 2, 0);
		req->data_len = (uint32_t)input_near(in, 300);
	} else if (req->cmd <= VGPU_CMD_READ) {
		memory_args(req, in, window);
	} else if (req->cmd <= VGPU_CMD_LAUNCH) {
		module_args(req, in, window, bytes);
	} else if (req->cmd == VGPU_CMD_STREAM_CREATE) {
		ARGS(stream_create, handle(in), handle(in), 0, 0);
	} else {
		ARGS(sync, handle(in), handle(in));
	}
}

static void nearly_right(struct vgpu_request *req, struct input *in, uint64_t window,
			 uint8_t *bytes)
{
	struct vgpu_vector_add_args add = { 0 };
	uint8_t how = input_u8(in);

	memset(req, 0, sizeof(*req));
	req->cmd = input_u8(in) % (VGPU_CMD_GRAPH_DESTROY + 2);
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
	} else if (req->cmd >= VGPU_CMD_DEVICE_INFO) {
		gpu_args(req, in, window, bytes);
	} else {
		req->data_ptr = input_near(in, window);
		req->data_len = (uint32_t)input_near(in, 500);
	}
	if ((how & 0xc0) == 0x40)
		req->args[input_u8(in) % sizeof(req->args)] ^= 1;
	if ((how & 0xc0) == 0x80)
		req->flags ^= (uint16_t)input_u32(in);
}

static void check_status(const struct vgpu_response *rsp)
{
	MUST(rsp->status <= CUDA_ERROR_MAX);
	MUST(rsp->status >= 0 || (rsp->status <= VGPU_EINVAL && rsp->status >= VGPU_EMEMORY));
}

static void check_response(const struct vgpu_request *req, const struct vgpu_response *rsp)
{
	static const uint8_t zero[sizeof(rsp->data)];

	check_status(rsp);
	MUST(rsp->id == req->id);
	MUST(rsp->data_len <= req->data_len);
	if (rsp->status)
		MUST(rsp->data_len == 0 && memcmp(rsp->data, zero, sizeof(zero)) == 0);
	if (req->cmd == VGPU_CMD_VECTOR_ADD && rsp->status == 0) {
		struct vgpu_vector_add_reply reply;

		memcpy(&reply, rsp->data, sizeof(reply));
		MUST(reply.errors == 0 && reply.backend == VGPU_BACKEND_CPU && !reply.reserved);
		MUST(memchr(reply.device, 0, sizeof(reply.device)));
	}
	if (req->cmd < VGPU_CMD_NOP || req->cmd > VGPU_CMD_GRAPH_DESTROY ||
	    (req->cmd > VGPU_CMD_MESSAGE && req->cmd < VGPU_CMD_DEVICE_INFO))
		MUST(rsp->status != 0);
}

/* Whatever waits is answered once, or waits on. */
static void poll_pending(struct commands *c)
{
	uint32_t count = commands_pending(c);
	struct vgpu_response rsp;

	if (!commands_poll(c, &rsp)) {
		MUST(commands_pending(c) == count);
		return;
	}
	MUST(commands_pending(c) == count - 1 && rsp.data_len == 0);
	check_status(&rsp);
}

static void allocate_some(struct commands *c)
{
	const struct vgpu_alloc_args args = { 8192 };
	struct vgpu_request req = { .cmd = VGPU_CMD_ALLOC };
	struct vgpu_response rsp;

	memcpy(req.args, &args, sizeof(args));
	MUST(commands_run(c, &req, &rsp) && rsp.status == 0);
}

static void run_one(struct commands *c, const struct vgpu_request *req)
{
	const int32_t sticky = c->sticky;
	const uint32_t pending = commands_pending(c);
	struct vgpu_response rsp;

	if (commands_run(c, req, &rsp)) {
		check_response(req, &rsp);
		/* kept: answers now, or stays behind a failure of this one's own */
		MUST(!sticky || rsp.status);
		MUST(c->sticky == 0 || c->sticky == sticky);
		MUST(c->backend_lost == (c->lost != 0));
	} else {
		MUST(req->flags & VGPU_REQ_NO_RESPONSE || commands_pending(c) == pending + 1);
	}
	MUST(!c->gpu.pending.unmarked || commands_pending(c) > pending);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	uint64_t window_bytes = (uint64_t)(input_u8(&in) % 5) * 4096;
	struct commands c = {
		.ops = &ops,
		.info = &info,
		.window_bytes = window_bytes,
		.message_rate = input_u8(&in),
		.deadline_ms = DEADLINE_MS,
		.vm = "fuzz",
		.message = take_message,
	};
	char why[128];

	ops = backend_cpu;
	ops.alloc = alloc_little;
	ops.kernel_get = get_quick_kernel;
	memory = 0;
	MUST(backend_cpu.open(&c.backend, 0, &info, why, sizeof(why)) == 0);
	c.window = aligned_alloc(4096, window_bytes ? window_bytes : 4096);
	MUST(c.window);
	memset(c.window, 0x41, window_bytes);
	commands_init(&c);
	allocate_some(&c);

	for (int i = 0; i < REQUESTS_MAX && in.left && !c.backend_lost; i++) {
		struct vgpu_request req;
		uint8_t how = input_u8(&in);

		if (how & 1)
			input_bytes(&in, &req, sizeof(req));
		else
			nearly_right(&req, &in, window_bytes, c.window);
		run_one(&c, &req);
		MUST(c.requests == (uint64_t)i + 2);
		if (how & 2)
			poll_pending(&c);
		if (how & 4)
			MUST(commands_tend(&c, clock_us(), how & 8) == 0);
	}
	commands_dispose(&c);
	backend_cpu.close(c.backend);
	free(c.window);
	return 0;
}
