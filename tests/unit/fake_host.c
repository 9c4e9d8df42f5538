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
		rsp->status = VGPU_ENOCMD;
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
	struct vgpu_response rsp;
	struct vgpu_msg_closed closed = {
		.frame = { .type = VGPU_MSG_CLOSED, .length = sizeof(closed) },
		.reason = h->script.reason,
	};
	struct vgpu_msg_ping ping = { { .type = VGPU_MSG_PING, .length = sizeof(ping) } };
	uint64_t one = 1;

	while (spsc_consume(&h->req, &req, h->header.req_entries) == 0) {
		enum fake_fate fate = FAKE_ANSWER;

		h->requests++;
		execute(h, &req, &rsp);
		if (h->script.answer)
			fate = h->script.answer(h, &req, &rsp);
		switch (fate) {
		case FAKE_ANSWER:
			spsc_produce(&h->rsp, &rsp);
			if (spsc_publish(&h->rsp))
				must(write(h->to_guest, &one, 8) == 8, "signal");
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

	must(memfd_check(memory, 0, h->bytes) == 0, "memory is not sealed");
	h->memory = mmap(NULL, h->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	must(h->memory != MAP_FAILED, "mmap");
	shm_copy_in(&h->header, h->memory, sizeof(h->header));
	must(h->header.magic == VGPU_CHANNEL_MAGIC && h->header.total_bytes == h->bytes, "header");
	h->window = h->memory + h->header.window_offset;
	shape = (struct spsc_shape){
		.prod = fake_host_index(h, VGPU_INDEX_REQ_PROD),
		.cons = fake_host_index(h, VGPU_INDEX_REQ_CONS),
		.event = fake_host_index(h, VGPU_INDEX_REQ_EVENT),
		.slots = h->memory + h->header.req_offset,
		.slot_bytes = sizeof(struct vgpu_request),
		.entries = h->header.req_entries,
	};
	spsc_consumer_init(&h->req, &shape);
	shape = (struct spsc_shape){
		.prod = fake_host_index(h, VGPU_INDEX_RSP_PROD),
		.cons = fake_host_index(h, VGPU_INDEX_RSP_CONS),
		.event = fake_host_index(h, VGPU_INDEX_RSP_EVENT),
		.slots = h->memory + h->header.rsp_offset,
		.slot_bytes = sizeof(struct vgpu_response),
		.entries = h->header.rsp_entries,
	};
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
