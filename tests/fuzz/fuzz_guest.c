// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole guest library on the `unix` transport against a hostile mediator. The linker
 * puts connect(), poll() and epoll_wait() aside: wherever the library would wait for the
 * host, the host is this file, and does what the input says with socket and shared memory.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vgpuguest.h"
#include "../../guest-lib/channel.h"
#include "../../protocol/vgpu_gpu.h"
#include "../../protocol/vgpu_socket.h"

#define WAITS_MAX 100

static struct {
	struct input in;
	int sock; /* the mediator's end; -1: hung up */
	int waits;
	uint8_t *shared; /* the channel, once OPEN brought it */
	size_t bytes;
	uint32_t rsp_prod;
	uint32_t taken; /* requests */
} host;

static void hang_up(void)
{
	if (host.sock >= 0)
		close(host.sock);
	host.sock = -1;
}

static void say(const void *message, size_t n)
{
	if (host.sock >= 0)
		(void)!send(host.sock, message, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_welcome(uint8_t how)
{
	struct vgpu_msg_welcome m = {
		.frame = { VGPU_MSG_WELCOME, sizeof(m), 1, 0 },
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.max_channels = 1,
		.max_window_bytes = 1 << 20,
	};

	if (how & 1)
		m.max_window_bytes = input_near(&host.in, CHANNEL_BYTES_MIN);
	if (how & 2)
		m.version = input_u32(&host.in);
	say(&m, sizeof(m));
}

static void say_opened(uint8_t how)
{
	struct vgpu_msg_opened m = { .frame = { VGPU_MSG_OPENED, sizeof(m), 2, 0 } };

	if (how & 1)
		m.status = (int32_t)input_u32(&host.in);
	if (how & 2)
		m.channel = input_u8(&host.in);
	if (how & 4)
		input_bytes(&host.in, m.text, sizeof(m.text) - 1);
	say(&m, sizeof(m));
}

static void say_other(uint8_t how)
{
	struct vgpu_msg_closed closed = { .frame = { VGPU_MSG_CLOSED, sizeof(closed), how & 3,
						     0 } };
	struct vgpu_msg_refused refused = {
		.frame = { VGPU_MSG_REFUSED, sizeof(refused), 0, 0 },
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.error = (int32_t)input_u32(&host.in),
	};
	uint8_t raw[64];

	if (how & 8) {
		input_bytes(&host.in, refused.text, 100);
		say(&refused, sizeof(refused));
	} else if (how & 16) {
		closed.reason = (int32_t)input_u32(&host.in);
		say(&closed, sizeof(closed));
	} else {
		input_bytes(&host.in, raw, sizeof(raw));
		say(raw, 1 + (how >> 2));
	}
}

static void speak(void)
{
	uint8_t op = input_u8(&host.in);

	switch (op % 4) {
	case 0:
		say_welcome(op >> 2);
		break;
	case 1:
		say_opened(op >> 2);
		break;
	case 2:
		say_other(op >> 2);
		break;
	default:
		if (op > 200)
			hang_up();
	}
}

/* Read what the library sent; the memory that OPEN brings is ours to write, too. */
static void listen_once(void)
{
	union {
		char buf[CMSG_SPACE(3 * sizeof(int))];
		struct cmsghdr align;
	} control;
	char bytes[512];
	struct iovec iov = { bytes, sizeof(bytes) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c;
	struct stat st;
	int fds[3];

	if (host.sock < 0 || recvmsg(host.sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
		return;
	c = CMSG_FIRSTHDR(&msg);
	if (!c)
		return;
	MUST(c->cmsg_len == CMSG_LEN(sizeof(fds)) && !host.shared);
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	MUST(fstat(fds[0], &st) == 0);
	host.bytes = (size_t)st.st_size;
	host.shared = mmap(NULL, host.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	MUST(host.shared != MAP_FAILED);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static uint32_t *word(uint32_t offset)
{
	return (uint32_t *)(void *)(host.shared + VGPU_PAGE_BYTES + offset);
}

/* The next request that wants a response; those that do not are taken on the way. */
static void take_request(struct vgpu_request *req)
{
	const uint8_t *reqs = host.shared + 2 * VGPU_PAGE_BYTES;

	for (uint32_t i = 0; i < CHANNEL_ENTRIES; i++) {
		memcpy(req, reqs + host.taken % CHANNEL_ENTRIES * sizeof(*req), sizeof(*req));
		host.taken++;
		if (!(req->flags & VGPU_REQ_NO_RESPONSE))
			break;
	}
	*word(VGPU_INDEX_REQ_CONS) = host.taken;
}

/* What a good host says of GPU work, near enough to get on. */
static void answer_gpu(const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_device_info info = { .devices = 1 + req->args[0] % 2, .name = "fuzz" };
	struct vgpu_kernel_reply kernel = { .params = 2, .param_bytes = 16 };
	struct vgpu_kernel_param params[2] = { { 0, 8 }, { 8, 8 } };
	uint64_t address = ((uint64_t)host.taken + 1) << 30;

	if (req->cmd == VGPU_CMD_ALLOC)
		memcpy(rsp->data, &address, sizeof(address));
	if (req->cmd == VGPU_CMD_KERNEL_GET)
		memcpy(rsp->data, &kernel, sizeof(kernel));
	if (req->data_len == 0 || req->data_ptr > host.bytes - CHANNEL_OVERHEAD - sizeof(info))
		return;
	if (req->cmd == VGPU_CMD_DEVICE_INFO)
		memcpy(host.shared + CHANNEL_OVERHEAD + req->data_ptr, &info, sizeof(info));
	if (req->cmd == VGPU_CMD_KERNEL_PARAMS)
		memcpy(host.shared + CHANNEL_OVERHEAD + req->data_ptr, params, sizeof(params));
	if (req->cmd == VGPU_CMD_DEVICE_INFO || req->cmd == VGPU_CMD_KERNEL_PARAMS)
		rsp->data_len = req->data_len;
}

/* Answer the request that waits, nearly rightly. */
static void answer(uint8_t how)
{
	uint8_t *rsps = host.shared + 2 * VGPU_PAGE_BYTES + CHANNEL_ENTRIES * 128;
	uint32_t slot = host.rsp_prod % CHANNEL_ENTRIES;
	struct vgpu_request req;
	struct vgpu_response rsp = { 0 };

	take_request(&req);
	rsp.id = req.id;
	answer_gpu(&req, &rsp);
	if (req.cmd == VGPU_CMD_QUERY_STATUS)
		rsp.data_len = req.data_len;
	if (req.cmd == VGPU_CMD_VECTOR_ADD)
		memcpy(rsp.data, req.args + 24, 4); /* elements = n */
	if (how & 1)
		rsp.status = VGPU_EINVAL - input_u8(&host.in);
	if (how & 2)
		rsp.data_len = (uint32_t)input_near(&host.in, host.bytes);
	if (how & 4)
		input_bytes(&host.in, rsp.data, sizeof(rsp.data));
	if ((how & 24) == 24)
		rsp.id = input_u32(&host.in);
	if ((how & 48) == 48) /* what it wrote into the window */
		input_bytes(&host.in, host.shared + CHANNEL_OVERHEAD, 300);
	rsp.seq = ++host.rsp_prod;
	memcpy(rsps + slot * sizeof(rsp), &rsp, sizeof(rsp));
}

static void meddle(void)
{
	uint8_t op = input_u8(&host.in);

	switch (op % 8) {
	case 0:
		*word(op / 8 % 8 * 128) = input_u32(&host.in);
		break;
	case 1:
		host.shared[input_u32(&host.in) % host.bytes] = op;
		break;
	case 2:
		speak();
		break;
	case 3:
		if (op > 230)
			hang_up();
		break;
	default:
		answer(input_u8(&host.in));
	}
}

/* The library waits: one step of the host. In the end there is no host. */
static void step(void)
{
	listen_once();
	if (!host.in.left || ++host.waits > WAITS_MAX)
		hang_up();
	else if (host.shared)
		meddle();
	else
		speak();
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int n, int timeout_ms);

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	int pair[2];

	MUST(address->sa_family == AF_UNIX && length > 2);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
	MUST(dup3(pair[0], fd, O_CLOEXEC) == fd);
	close(pair[0]);
	host.sock = pair[1];
	return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	MUST(n == 1);
	step();
	fds->revents = POLLIN;
	/* whoever only looks may also be told that there is nothing */
	return timeout_ms == 0 && host.sock >= 0 && host.in.left ? input_u8(&host.in) & 1 : 1;
}

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int n, int timeout_ms)
{
	(void)epoll;
	(void)n;
	step();
	events->events = EPOLLIN;
	/* a timeout, sometimes, where there can be one */
	return timeout_ms >= 0 && host.in.left && input_u8(&host.in) % 4 == 0 ? 0 : 1;
}

static void check_rc(int rc, const struct vgpu *g)
{
	MUST(rc == 0 || (rc <= VGPU_EINVAL && rc > VGPU_EINVAL - 1000) || rc > 0);
	MUST(!*vgpu_last_error(g) == !rc);
	MUST(vgpu_strerror(rc));
}

static void add(struct vgpu *g, size_t n)
{
	float *a = calloc(n, sizeof(float)), *b = calloc(n, sizeof(float));
	float *c = calloc(n, sizeof(float));
	struct vgpu_vector_add_result r;
	int rc;

	MUST(a && b && c);
	rc = vgpu_vector_add(g, a, b, c, n, &r);
	check_rc(rc, g);
	MUST(memchr(r.device, 0, sizeof(r.device)));
	if (rc == 0)
		MUST(r.elements == n);
	free(a);
	free(b);
	free(c);
}

/* A program that uses the GPU, up to the first error. */
static int use_gpu(struct vgpu *g, uint8_t op)
{
	const struct vgpu_dim3 one = { 1, 1, 1 };
	uint8_t here[3000] = { 0 };
	struct vgpu_gpu_properties properties;
	uint64_t params[2] = { 0 };
	void *args[2] = { &params[0], &params[1] }, *pinned;
	vgpu_module module;
	vgpu_kernel kernel;
	vgpu_devptr p;
	int rc;

	if ((rc = vgpu_malloc(g, &p, 4096)) != 0)
		return rc;
	if (op & 8 && (rc = vgpu_copy_to_device(g, p, here, sizeof(here))) != 0)
		return rc;
	if (op & 16 && (rc = vgpu_copy_from_device(g, here, p, op)) != 0)
		return rc;
	if (op & 32 && (rc = vgpu_get_gpu_properties(g, 0, &properties)) != 0)
		return rc;
	if (op & 64 && vgpu_host_alloc(g, &pinned, 256) == 0) {
		vgpu_copy_from_device_async(g, pinned, p, 256, 0);
		if ((rc = vgpu_host_free(g, pinned)) != 0)
			return rc;
	}
	if (op & 128) {
		if ((rc = vgpu_module_load(g, &module, "image", 5)) != 0 ||
		    (rc = vgpu_module_get_kernel(g, module, "name", &kernel)) != 0 ||
		    (rc = vgpu_launch_args(g, kernel, one, one, 0, 0, args)) != 0)
			return rc;
	}
	if ((rc = vgpu_synchronize(g)) != 0)
		return rc;
	return vgpu_free(g, p);
}

static void call(struct vgpu *g, uint8_t op)
{
	uint8_t data[64] = { 0 }, args[104] = { 0 }, reply[48];
	size_t n = op >> 3;
	struct vgpu_status s;
	int rc;

	switch (op % 8) {
	case 0:
		check_rc(use_gpu(g, op), g);
		break;
	case 1:
		rc = vgpu_query_status(g, &s);
		check_rc(rc, g);
		if (rc == 0)
			MUST(memchr(s.device, 0, sizeof(s.device)) &&
			     memchr(s.vm, 0, sizeof(s.vm)) &&
			     memchr(s.mediator, 0, sizeof(s.mediator)));
		break;
	case 2:
	case 3:
		add(g, 1 + (size_t)(op >> 3) * 97);
		break;
	case 4:
		check_rc(vgpu_message(g, "fuzz"), g);
		break;
	case 5:
		rc = vgpu_call(g, op, args, sizeof(args), data, &n, reply);
		check_rc(rc, g);
		MUST(n <= sizeof(data));
		break;
	case 6:
		check_rc(vgpu_vector_add_self_test(g, NULL), g);
		break;
	default:
		check_rc(vgpu_nop(g), g);
	}
}

static void quiet(void *opaque, enum vgpu_log_level level, const char *text)
{
	(void)opaque;
	(void)level;
	MUST(*text && !strchr(text, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vgpu_options o;
	uint8_t calls[4], mode;
	struct vgpu *g;

	memset(&host, 0, sizeof(host));
	host.in = (struct input){ data, size };
	host.sock = -1;
	mode = input_u8(&host.in);
	input_bytes(&host.in, calls, sizeof(calls));
	vgpu_options_init(&o);
	o.device = "unix:/fuzz";
	o.spin_us = 0;
	o.log = quiet;
	o.log_level = VGPU_LOG_DEBUG;
	o.window_bytes = mode & 1 ? 4096 : 0;
	o.timeout_ms = mode & 2 ? 60000 : -1;
	if (vgpu_open(&g, &o) == 0) {
		for (size_t i = 0; i < sizeof(calls); i++)
			call(g, calls[i]);
		vgpu_close(g);
	} else {
		MUST(!g && *vgpu_last_error(NULL));
	}
	hang_up();
	if (host.shared)
		munmap(host.shared, host.bytes);
	return 0;
}
