/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../common/memfd.h"
#include "../../common/rings.h"
#include "../../common/shm.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_version.h"

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fake host: %s: %s\n", what, strerror(errno));
		abort();
	}
}

uint32_t *fake_host_index(struct fake_host *h, uint32_t offset)
{
	return (uint32_t *)(h->memory + h->header.index_offset + offset);
}

const char *fake_host_device(const struct fake_host *h)
{
	static _Thread_local char name[128];

	snprintf(name, sizeof(name), "unix:%s", h->address.sun_path);
	return name;
}

/* ---- a GPU of one's own: addresses are this process's ---- */

static struct fake_allocation *allocation_at(struct fake_host *h, uint64_t address)
{
	for (size_t i = 0; i < FAKE_ALLOCATIONS; i++)
		if (h->allocations[i].memory && h->allocations[i].address == address)
			return &h->allocations[i];
	return NULL;
}

/* Whether those bytes are inside one allocation. */
static int on_device(const struct fake_host *h, uint64_t address, uint64_t bytes)
{
	for (size_t i = 0; i < FAKE_ALLOCATIONS; i++) {
		const struct fake_allocation *a = &h->allocations[i];

		if (a->memory && address >= a->address && address - a->address <= a->bytes &&
		    bytes <= a->bytes - (address - a->address))
			return 1;
	}
	return 0;
}

static int32_t gpu_alloc(struct fake_host *h, uint64_t bytes, struct vgpu_response *rsp)
{
	struct vgpu_alloc_reply reply;

	if (bytes > h->memory_left)
		return 2;
	for (size_t i = 0; i < FAKE_ALLOCATIONS; i++) {
		struct fake_allocation *a = &h->allocations[i];

		if (a->memory)
			continue;
		a->memory = malloc(bytes + 256);
		must(a->memory != NULL, "malloc");
		a->address = ((uint64_t)(uintptr_t)a->memory + 255) / 256 * 256;
		a->bytes = bytes;
		h->memory_left -= bytes;
		reply.address = a->address;
		memcpy(rsp->data, &reply, sizeof(reply));
		return 0;
	}
	return 2;
}

static int32_t gpu_free(struct fake_host *h, uint64_t address)
{
	struct fake_allocation *a = allocation_at(h, address);

	if (!a)
		return 1;
	free(a->memory);
	a->memory = NULL;
	h->memory_left += a->bytes;
	return 0;
}

/* A row's place: in the window, or on the device and there. */
static uint8_t *row_at(struct fake_host *h, int window, uint64_t base, uint64_t pitch, uint64_t row,
		       uint64_t width)
{
	uint64_t at = base + row * pitch;

	if (window)
		return at + width <= h->header.window_bytes ? h->window + at : NULL;
	return on_device(h, at, width) ? (uint8_t *)(uintptr_t)at : NULL;
}

static int32_t gpu_copy(struct fake_host *h, const struct vgpu_copy_args *c)
{
	if (c->height == 0 || c->width == 0 || (c->height == 1 && (c->dst_pitch || c->src_pitch)))
		return 1;
	for (uint64_t row = 0; row < c->height; row++) {
		uint8_t *dst = row_at(h, c->kind == VGPU_COPY_FROM_DEVICE, c->dst, c->dst_pitch,
				      row, c->width);
		uint8_t *src = row_at(h, c->kind == VGPU_COPY_TO_DEVICE, c->src, c->src_pitch, row,
				      c->width);

		if (!dst || !src)
			return 1;
		memmove(dst, src, c->width);
	}
	return 0;
}

static int32_t gpu_memset(struct fake_host *h, const struct vgpu_memset_args *m)
{
	for (uint64_t row = 0; row < m->height; row++) {
		uint8_t *dst = row_at(h, 0, m->dst, m->pitch, row, m->width);

		if (!dst || m->element != 1)
			return 1;
		memset(dst, (int)m->value, m->width);
	}
	return 0;
}

static int32_t gpu_module_load(struct fake_host *h, const struct vgpu_request *req)
{
	static const char log[] = "line 7: no such instruction";

	if (!h->script.bad_module)
		return 0;
	memcpy(h->window + req->data_ptr, log, sizeof(log));
	return 218;
}

/* A kernel "k<N>" has N parameters of 8 bytes each. */
static int32_t gpu_kernel_get(struct fake_host *h, const struct vgpu_request *req,
			      struct vgpu_response *rsp)
{
	struct vgpu_kernel_reply reply = { .threads_max = 1024 };
	char name[16] = "";

	memcpy(name, h->window + req->data_ptr, req->data_len < 15 ? req->data_len : 15);
	if (name[0] != 'k')
		return 500;
	reply.params = (uint32_t)atoi(name + 1);
	reply.param_bytes = reply.params * 8;
	memcpy(rsp->data, &reply, sizeof(reply));
	return 0;
}

static void gpu_kernel_params(struct fake_host *h, const struct vgpu_request *req,
			      struct vgpu_response *rsp)
{
	for (uint32_t i = 0; i < req->data_len / 8; i++) {
		struct vgpu_kernel_param p = { .offset = i * 8, .bytes = 8 };

		memcpy(h->window + req->data_ptr + i * sizeof(p), &p, sizeof(p));
	}
	rsp->data_len = req->data_len;
}

/* The kernel: *param[0] += the sum of the others, as 64-bit numbers. */
static int32_t gpu_launch(struct fake_host *h, const struct vgpu_request *req)
{
	struct vgpu_launch_args args;
	uint64_t params[512] = { 0 }, sum = 0;
	uint32_t n;

	memcpy(&args, req->args, sizeof(args));
	n = req->data_len ? req->data_len : args.param_bytes;
	if (n > sizeof(params))
		return 1;
	memcpy(params, req->data_len ? h->window + req->data_ptr : args.params, n);
	if (args.grid[0] == 0)
		return 9;
	if (!n)
		return 0;
	for (uint32_t i = 1; i < n / 8; i++)
		sum += params[i];
	if (!on_device(h, params[0], 8))
		return 700;
	*(uint64_t *)(uintptr_t)params[0] += sum;
	return 0;
}

static int32_t gpu_execute(struct fake_host *h, const struct vgpu_request *req,
			   struct vgpu_response *rsp)
{
	struct vgpu_device_info info = { .devices = 2, .warp_size = 32, .name = "fake GPU" };
	struct vgpu_memory_reply memory = { .total = 1 << 30, .free = h->memory_left };
	struct vgpu_write_args write;
	struct vgpu_read_args read;
	struct vgpu_copy_args copy;
	struct vgpu_memset_args set;
	uint64_t address;
	uint32_t number;

	memcpy(&address, req->args, sizeof(address));
	memcpy(&number, req->args, sizeof(number));
	switch (req->cmd) {
	case VGPU_CMD_DEVICE_INFO:
		if (number >= info.devices)
			return 101;
		info.device = number;
		memcpy(h->window + req->data_ptr, &info, sizeof(info));
		rsp->data_len = sizeof(info);
		return 0;
	case VGPU_CMD_MEMORY_INFO:
		memcpy(rsp->data, &memory, sizeof(memory));
		return 0;
	case VGPU_CMD_ALLOC:
		return gpu_alloc(h, address, rsp);
	case VGPU_CMD_FREE:
		return gpu_free(h, address);
	case VGPU_CMD_MEMSET:
		memcpy(&set, req->args, sizeof(set));
		return gpu_memset(h, &set);
	case VGPU_CMD_COPY:
		memcpy(&copy, req->args, sizeof(copy));
		return gpu_copy(h, &copy);
	case VGPU_CMD_WRITE:
		memcpy(&write, req->args, sizeof(write));
		if (write.bytes > VGPU_WRITE_MAX || !on_device(h, write.dst, write.bytes))
			return 1;
		memcpy((void *)(uintptr_t)write.dst, write.data, write.bytes);
		return 0;
	case VGPU_CMD_READ:
		memcpy(&read, req->args, sizeof(read));
		if (read.bytes > VGPU_READ_MAX || !on_device(h, read.src, read.bytes))
			return 1;
		memcpy(rsp->data, (void *)(uintptr_t)read.src, read.bytes);
		return 0;
	case VGPU_CMD_MODULE_LOAD:
		return gpu_module_load(h, req);
	case VGPU_CMD_KERNEL_GET:
		return gpu_kernel_get(h, req, rsp);
	case VGPU_CMD_KERNEL_PARAMS:
		gpu_kernel_params(h, req, rsp);
		return 0;
	case VGPU_CMD_LAUNCH:
		return gpu_launch(h, req);
	default:
		return req->cmd <= VGPU_CMD_GRAPH_DESTROY ? 0 : VGPU_ENOCMD;
	}
}

/* As the worker does: the error of a request without a response answers the next one. */
static void settle(struct fake_host *h, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	if (req->flags & VGPU_REQ_NO_RESPONSE) {
		if (!h->sticky)
			h->sticky = rsp->status;
		return;
	}
	if (rsp->status == 0) {
		rsp->status = h->sticky;
		h->sticky = 0;
	}
	if (rsp->status)
		*rsp = (struct vgpu_response){ .id = rsp->id, .status = rsp->status };
}

/* The right answer. */
static void execute(struct fake_host *h, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_vector_add_args add;
	struct vgpu_vector_add_reply reply = { .backend = VGPU_BACKEND_CPU, .device = "fake" };
	struct vgpu_status_reply status = {
		.protocol_version = VGPU_PROTOCOL_VERSION,
		.backend = VGPU_BACKEND_CPU,
		.flags = VGPU_STATUS_FALLBACK,
		.requests = h->requests,
		.window_bytes = h->header.window_bytes,
		.device = "fake",
		.mediator = "0.0",
		.vm = "test",
	};

	*rsp = (struct vgpu_response){ .id = req->id };
	switch (req->cmd) {
	case VGPU_CMD_NOP:
	case VGPU_CMD_MESSAGE:
		settle(h, req, rsp);
		return;
	case VGPU_CMD_QUERY_STATUS:
		memcpy(h->window + req->data_ptr, &status, req->data_len);
		rsp->data_len = req->data_len;
		return;
	case VGPU_CMD_VECTOR_ADD:
		memcpy(&add, req->args, sizeof(add));
		reply.elements = VGPU_SELF_TEST_ELEMENTS;
		if (!(add.flags & VGPU_VECTOR_ADD_SELF_TEST)) {
			float *a = (float *)(h->window + add.a), *b = (float *)(h->window + add.b);
			float *c = (float *)(h->window + add.c);

			for (uint32_t i = 0; i < add.n; i++)
				c[i] = a[i] + b[i];
			reply.elements = add.n;
		}
		memcpy(rsp->data, &reply, sizeof(reply));
		return;
	default:
		rsp->status =
			req->cmd >= VGPU_CMD_DEVICE_INFO ? gpu_execute(h, req, rsp) : VGPU_ENOCMD;
		settle(h, req, rsp);
	}
}

static void say(struct fake_host *h, void *message)
{
	frame_send(h->sock, message, NULL, 0, 1000);
}

/* False: the connection is over. */
static int serve_ring(struct fake_host *h)
{
	struct vgpu_request req;
	_Alignas(8) struct vgpu_response rsp;
	struct vgpu_msg_closed closed = {
		.frame = { .type = VGPU_MSG_CLOSED, .length = sizeof(closed) },
		.reason = h->script.reason,
	};
	struct vgpu_msg_ping ping = { { .type = VGPU_MSG_PING, .length = sizeof(ping) } };
	uint64_t one = 1;

	while (spsc_consume(&h->req, &req)) {
		enum fake_fate fate = FAKE_ANSWER;
		bool signal;

		h->requests++;
		h->commands[req.cmd % 64]++;
		execute(h, &req, &rsp);
		if (h->script.answer)
			fate = h->script.answer(h, &req, &rsp);
		switch (fate) {
		case FAKE_ANSWER:
			if (req.flags & VGPU_REQ_NO_RESPONSE)
				break;
			signal = spsc_produce(&h->rsp, &rsp) > 0;
			while (h->later_count) {
				rsp = h->later[--h->later_count];
				signal |= spsc_produce(&h->rsp, &rsp) > 0;
			}
			if (signal)
				must(write(h->to_guest, &one, 8) == 8, "signal");
			break;
		case FAKE_LATER:
			h->later[h->later_count++ % FAKE_LATER_MAX] = rsp;
			break;
		case FAKE_SILENCE:
			break;
		case FAKE_HANG_UP:
			return 0;
		case FAKE_CLOSED:
			say(h, &closed);
			break;
		case FAKE_JUNK:
			say(h, &ping);
			break;
		}
	}
	return 1;
}

static void map_channel(struct fake_host *h, int memory)
{
	struct spsc_shape shape;
	uint8_t *index;

	must(memfd_check(memory, 0, h->bytes) == 0, "memory is not sealed");
	h->memory = mmap(NULL, h->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	must(h->memory != MAP_FAILED, "mmap");
	shm_copy_in(&h->header, h->memory, sizeof(h->header));
	must(h->header.magic == VGPU_CHANNEL_MAGIC && h->header.total_bytes == h->bytes, "header");
	h->window = h->memory + h->header.window_offset;
	index = h->memory + h->header.index_offset;
	shape = rings_requests(index, h->memory + h->header.req_offset, h->header.req_entries);
	spsc_consumer_init(&h->req, &shape);
	shape = rings_responses(index, h->memory + h->header.rsp_offset, h->header.rsp_entries);
	spsc_producer_init(&h->rsp, &shape);
}

/* False: the connection is over. */
static int take_message(struct fake_host *h, const union frame_message *m, const int *fds)
{
	struct vgpu_msg_welcome welcome = {
		.frame = { .type = VGPU_MSG_WELCOME,
			   .length = sizeof(welcome),
			   .seq = m->frame.seq },
		.magic = VGPU_SOCKET_MAGIC,
		.version = h->script.version ? h->script.version : VGPU_PROTOCOL_VERSION,
		.max_channels = 1,
		.max_window_bytes = h->script.max_bytes ? h->script.max_bytes : 1u << 30,
	};
	struct vgpu_msg_refused refused = {
		.frame = { .type = VGPU_MSG_REFUSED,
			   .length = sizeof(refused),
			   .seq = m->frame.seq },
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.error = h->script.refuse,
	};
	struct vgpu_msg_opened opened = {
		.frame = { .type = VGPU_MSG_OPENED, .length = sizeof(opened), .seq = m->frame.seq },
		.status = h->script.open_status,
	};
	struct vgpu_msg_closed closed = {
		.frame = { .type = VGPU_MSG_CLOSED, .length = sizeof(closed), .seq = m->frame.seq },
	};

	switch (m->frame.type) {
	case VGPU_MSG_HELLO:
		memcpy(h->peer_name, m->hello.name, sizeof(h->peer_name));
		if (h->script.refuse) {
			snprintf(refused.text, sizeof(refused.text), "%s", h->script.text);
			say(h, &refused);
			return 0;
		}
		say(h, &welcome);
		return 1;
	case VGPU_MSG_OPEN:
		h->bytes = m->open.length;
		h->to_host = fds[1];
		h->to_guest = fds[2];
		map_channel(h, fds[0]);
		close(fds[0]);
		if (h->script.text)
			snprintf(opened.text, sizeof(opened.text), "%s", h->script.text);
		say(h, &opened);
		return 1;
	case VGPU_MSG_CLOSE:
		h->closes++;
		say(h, &closed);
		return 1;
	default:
		return 0;
	}
}

static void serve_connection(struct fake_host *h)
{
	struct frame_rx rx;
	int alive = 1;

	frame_rx_init(&rx);
	while (alive) {
		struct pollfd p[3] = {
			{ .fd = h->stop[0], .events = POLLIN },
			{ .fd = h->sock, .events = POLLIN },
			{ .fd = h->to_host, .events = POLLIN },
		};
		union frame_message m;
		int fds[VGPU_FRAME_FDS_MAX];
		uint64_t count;

		if (h->memory) {
			for (int i = 0; i < 2000 && !spsc_pending(&h->req); i++)
				shm_relax();
			if (!serve_ring(h))
				break;
		}
		if ((!h->memory || spsc_sleep(&h->req)) && poll(p, 3, -1) < 0)
			continue;
		if (p[0].revents)
			break;
		if (p[2].revents && read(h->to_host, &count, sizeof(count)) < 0 && errno != EAGAIN)
			break;
		if (p[1].revents && !h->script.deaf) {
			int rc = frame_rx_read(&rx, h->sock);

			if (rc < 0 && rc != -EAGAIN)
				break;
			while (alive && frame_rx_next(&rx, &m, fds) == 0)
				alive = take_message(h, &m, fds);
		} else if (p[1].revents & (POLLHUP | POLLERR)) {
			break;
		} else if (p[1].revents) {
			poll(p, 1, 5);
		}
	}
	frame_rx_dispose(&rx);
}

static void end_connection(struct fake_host *h)
{
	close(h->sock);
	h->sock = -1;
	if (h->to_host >= 0)
		close(h->to_host);
	if (h->to_guest >= 0)
		close(h->to_guest);
	h->to_host = h->to_guest = -1;
	if (h->memory) {
		h->guest_closed =
			(int32_t)shm_load_acquire(fake_host_index(h, VGPU_INDEX_GUEST_CLOSED));
		munmap(h->memory, h->bytes);
	}
	h->memory = NULL;
	for (size_t i = 0; i < FAKE_ALLOCATIONS; i++) {
		free(h->allocations[i].memory);
		h->allocations[i].memory = NULL;
	}
	h->memory_left = 1ull << 30;
	h->sticky = 0;
	h->later_count = 0;
	h->disconnected++;
}

static void *run(void *opaque)
{
	struct fake_host *h = opaque;

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = h->stop[0], .events = POLLIN },
			{ .fd = h->listener, .events = POLLIN },
		};

		if (poll(p, 2, -1) < 0)
			continue;
		if (p[0].revents)
			return NULL;
		h->sock = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (h->sock < 0)
			continue;
		h->connections++;
		serve_connection(h);
		end_connection(h);
	}
}

void fake_host_start(struct fake_host *h, const struct fake_script *script)
{
	memset(h, 0, sizeof(*h));
	if (script)
		h->script = *script;
	h->to_host = h->to_guest = h->sock = -1;
	h->memory_left = h->script.gpu_memory ? h->script.gpu_memory : 1ull << 30;
	snprintf(h->dir, sizeof(h->dir), "/tmp/vgpu-test-XXXXXX");
	must(mkdtemp(h->dir) != NULL, "mkdtemp");
	h->address.sun_family = AF_UNIX;
	snprintf(h->address.sun_path, sizeof(h->address.sun_path), "%.60s/s", h->dir);
	h->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(bind(h->listener, (void *)&h->address, sizeof(h->address)) == 0, "bind");
	must(listen(h->listener, 8) == 0, "listen");
	must(pipe2(h->stop, O_CLOEXEC) == 0, "pipe");
	must(pthread_create(&h->thread, NULL, run, h) == 0, "thread");
}

void fake_host_stop(struct fake_host *h)
{
	close(h->stop[1]);
	pthread_join(h->thread, NULL);
	close(h->stop[0]);
	close(h->listener);
	unlink(h->address.sun_path);
	rmdir(h->dir);
}
