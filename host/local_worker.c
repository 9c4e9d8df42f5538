// SPDX-License-Identifier: GPL-2.0-or-later
#include "local_worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/errors.h"
#include "../common/memfd.h"
#include "../common/rings.h"
#include "../common/shm.h"
#include "../protocol/vgpu_version.h"
#include "mediator_throttle.h"

extern char **environ;

/* Creating a GPU context takes a third of a second, on a loaded machine a few seconds. */
#define START_MS 60000
#define ATTACH_MS 10000

static int spawn(struct local_worker *lw, const char *program, char *const argv[])
{
	posix_spawn_file_actions_t actions;
	int pair[2];
	int rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	rc = -posix_spawn_file_actions_init(&actions);
	if (rc == 0) {
		rc = -posix_spawn_file_actions_adddup2(&actions, pair[1], WORKER_CONTROL_FD);
		if (rc == 0)
			rc = -posix_spawn(&lw->pid, program, &actions, NULL, argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(pair[1]);
	if (rc < 0) {
		close(pair[0]);
		lw->pid = 0;
		return rc;
	}
	lw->control = pair[0];
	return 0;
}

static int wait_until_warm(struct local_worker *lw, char *why, size_t why_len)
{
	union {
		uint32_t type;
		struct worker_ready ready;
		struct worker_failed failed;
		struct worker_text text;
	} m;
	ssize_t n;

	for (;;) {
		n = local_worker_receive(lw, &m, sizeof(m), START_MS);
		if (n <= 0) {
			snprintf(why, why_len, "worker: start: %s",
				 n ? strerror((int)-n) : "it ended without a word");
			return n ? (int)n : -ECHILD;
		}
		if (m.type == WORKER_READY && n == sizeof(m.ready)) {
			lw->ready = m.ready;
			return 0;
		}
		if (m.type == WORKER_FAILED && n == sizeof(m.failed)) {
			snprintf(why, why_len, "%.*s", (int)sizeof(m.failed.why), m.failed.why);
			return m.failed.status;
		}
	}
}

int local_worker_start(struct local_worker *lw, const char *program, const char *backend,
		       const char *cuda_library, int device, const char *user, char *why,
		       size_t why_len)
{
	char backend_arg[64], library_arg[4200], device_arg[32], user_arg[64];
	char name[] = "gpu_mediator", worker_arg[] = "--worker";
	char *const argv[] = {
		name, worker_arg, backend_arg, library_arg, device_arg, user ? user_arg : NULL,
		NULL,
	};
	int rc;

	*lw = (struct local_worker){ .control = -1 };
	snprintf(backend_arg, sizeof(backend_arg), "--backend=%s", backend);
	snprintf(library_arg, sizeof(library_arg), "--cuda-library=%s", cuda_library);
	snprintf(device_arg, sizeof(device_arg), "--device=%d", device);
	snprintf(user_arg, sizeof(user_arg), "--user=%s", user ? user : "");
	rc = spawn(lw, program, argv);
	if (rc < 0) {
		snprintf(why, why_len, "worker: start %s: %s", program, strerror(-rc));
		return rc;
	}
	rc = wait_until_warm(lw, why, why_len);
	if (rc)
		local_worker_dispose(lw);
	return rc;
}

ssize_t local_worker_receive(struct local_worker *lw, void *message, size_t bytes, int timeout_ms)
{
	struct pollfd p = { .fd = lw->control, .events = POLLIN };
	ssize_t n;

	n = poll(&p, 1, timeout_ms);
	if (n <= 0)
		return n < 0 ? -errno : -ETIMEDOUT;
	/* Reset: it ended with something of ours unread. What it said before is still there. */
	do {
		n = recv(lw->control, message, bytes, 0);
	} while (n < 0 && (errno == ECONNRESET || errno == EINTR));
	return n < 0 ? -errno : n;
}

ssize_t local_worker_expect(struct local_worker *lw, uint32_t type, void *message, size_t bytes,
			    int timeout_ms)
{
	uint32_t got;
	ssize_t n;

	do {
		n = local_worker_receive(lw, message, bytes, timeout_ms);
		if (n < (ssize_t)sizeof(got))
			return n < 0 ? n : 0;
		memcpy(&got, message, sizeof(got));
	} while (got != type);
	return n;
}

int local_worker_dispose(struct local_worker *lw)
{
	int status = -1;

	if (lw->control >= 0)
		close(lw->control);
	lw->control = -1;
	if (lw->pid) {
		kill(lw->pid, SIGKILL); /* does nothing to one that has ended */
		while (waitpid(lw->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	lw->pid = 0;
	return status;
}

static uint64_t pages(uint64_t bytes)
{
	return (bytes + VGPU_PAGE_BYTES - 1) & ~(uint64_t)(VGPU_PAGE_BYTES - 1);
}

int local_channel_init(struct local_channel *c, uint32_t entries, uint64_t window_bytes)
{
	const uint64_t req = 2 * VGPU_PAGE_BYTES;
	const uint64_t rsp = req + pages((uint64_t)entries * sizeof(struct vgpu_request));
	const uint64_t window = rsp + pages((uint64_t)entries * sizeof(struct vgpu_response));
	struct vgpu_channel_header *h;
	struct spsc_shape at;
	int rc;

	*c = (struct local_channel){
		.length = window + pages(window_bytes),
		.to_host = eventfd(0, EFD_CLOEXEC),
		.to_guest = eventfd(0, EFD_CLOEXEC),
	};
	c->memfd = memfd_new_sealed("vgpu-local", c->length);
	rc = c->memfd;
	if (rc >= 0 && (c->to_host < 0 || c->to_guest < 0))
		rc = -EMFILE;
	if (rc >= 0) {
		c->base = mmap(NULL, c->length, PROT_READ | PROT_WRITE, MAP_SHARED, c->memfd, 0);
		rc = c->base == MAP_FAILED ? -errno : 0;
	}
	if (rc < 0) {
		c->base = NULL;
		local_channel_dispose(c);
		return rc;
	}
	h = (void *)c->base;
	*h = (struct vgpu_channel_header){
		.magic = VGPU_CHANNEL_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.total_bytes = c->length,
		.index_offset = VGPU_PAGE_BYTES,
		.req_offset = (uint32_t)req,
		.req_entries = entries,
		.rsp_offset = (uint32_t)rsp,
		.rsp_entries = entries,
		.window_offset = (uint32_t)window,
		.window_bytes = window_bytes,
	};
	c->index = c->base + VGPU_PAGE_BYTES;
	c->window = c->base + window;
	at = rings_requests(c->index, c->base + req, entries);
	spsc_producer_init(&c->req, &at);
	at = rings_responses(c->index, c->base + rsp, entries);
	spsc_consumer_init(&c->rsp, &at);
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void local_channel_dispose(struct local_channel *c)
{
	if (c->base)
		munmap(c->base, c->length);
	c->base = NULL;
	close_fd(&c->memfd);
	close_fd(&c->to_host);
	close_fd(&c->to_guest);
}

int local_worker_assign(struct local_worker *lw, const struct local_channel *c,
			struct worker_assign *assign, char *why, size_t why_len)
{
	const int fds[] = { c->memfd, c->to_host, c->to_guest };
	union {
		char buf[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { assign, sizeof(*assign) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&msg);
	union {
		struct worker_attached attached;
		struct worker_text text;
	} m;
	ssize_t n;

	assign->type = WORKER_ASSIGN;
	assign->transport = WORKER_TRANSPORT_MEMFD;
	assign->offset = 0;
	assign->length = c->length;
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(cm), fds, sizeof(fds));
	n = sendmsg(lw->control, &msg, MSG_NOSIGNAL);
	if (n < 0)
		n = -errno;
	else
		n = local_worker_expect(lw, WORKER_ATTACHED, &m, sizeof(m), ATTACH_MS);
	if (n != sizeof(m.attached)) {
		snprintf(why, why_len, "worker: hand over a channel: %s",
			 n < 0 ? strerror((int)-n) : "it ended");
		return n < 0 ? (int)n : -ENOTCONN;
	}
	snprintf(why, why_len, "%.*s", (int)sizeof(m.attached.why), m.attached.why);
	return m.attached.status;
}

/* Sleep until the worker signals or hangs up. 0, -ETIMEDOUT or -ENOTCONN. */
static int wait_for_response(struct local_channel *c, const struct local_worker *lw,
			     uint64_t end_us)
{
	struct pollfd p[] = {
		{ .fd = c->to_guest, .events = POLLIN },
		{ .fd = lw->control, .events = 0 }, /* hang-up only: messages are not ours */
	};
	uint64_t now_us = clock_us();
	eventfd_t count;

	if (now_us >= end_us)
		return -ETIMEDOUT;
	poll(p, 2, (int)((end_us - now_us) / 1000 + 1));
	if (p[0].revents)
		eventfd_read(c->to_guest, &count);
	else if (p[1].revents)
		return -ENOTCONN;
	return 0;
}

int local_channel_send(struct local_channel *c, const struct vgpu_request *req)
{
	const int rc = spsc_produce(&c->req, req);

	if (rc > 0)
		eventfd_write(c->to_host, 1);
	return rc;
}

int local_channel_call(struct local_channel *c, const struct local_worker *lw,
		       struct vgpu_request *req, struct vgpu_response *rsp, int timeout_ms)
{
	const uint64_t end_us = clock_us() + (uint64_t)timeout_ms * 1000;
	int rc;

	req->id = ++c->next_id;
	rc = local_channel_send(c, req);
	if (rc < 0)
		return rc;
	while (!spsc_consume(&c->rsp, rsp)) {
		if (!spsc_sleep(&c->rsp))
			continue;
		rc = wait_for_response(c, lw, end_us);
		if (rc < 0)
			return rc;
	}
	return rsp->id == req->id ? 0 : -EPROTO;
}
