// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A worker's life: bring the backend up, drop privileges, wait for a channel, serve it.
 * worker_control.h is its conversation with the supervisor.
 */
#include "worker.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/errors.h"
#include "../common/rings.h"
#include "transport_xen.h"

struct worker_options {
	const char *backend;
	const char *cuda_library;
	const char *user;
	int device;
	bool xen;
};

static struct worker the_worker;

static int parse(struct worker_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "worker", no_argument, NULL, 'w' },
		{ "backend", required_argument, NULL, 'b' },
		{ "cuda-library", required_argument, NULL, 'c' },
		{ "device", required_argument, NULL, 'd' },
		{ "user", required_argument, NULL, 'u' },
		{ "xen", no_argument, NULL, 'x' },
		{ 0 },
	};
	char *end;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'w':
			break;
		case 'b':
			o->backend = optarg;
			break;
		case 'c':
			o->cuda_library = optarg;
			break;
		case 'd':
			o->device = (int)strtol(optarg, &end, 10);
			if (end == optarg || *end || o->device < 0)
				return -EINVAL;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'x':
			o->xen = true;
			break;
		default:
			return -EINVAL;
		}
	}
	return optind == argc ? 0 : -EINVAL;
}

static void memory_fault(int signal_number)
{
	static const struct worker_ended m = {
		.type = WORKER_ENDED,
		.reason = VGPU_EMEMORY,
		.why = "the shared memory shrank",
	};

	/* The mapping is broken, so nothing is written to it; the supervisor tells the guest. */
	(void)signal_number;
	worker_send(&m, sizeof(m));
	_exit(1);
}

/*
 * Signals as a worker wants them, whatever the supervisor blocks and handles. It lives and dies
 * with the supervisor, which tells it to stop; signals that go to a whole terminal or service
 * are the supervisor's to act upon.
 */
static void set_signals(void)
{
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ };
	static const int defaults[] = { SIGALRM, SIGCHLD, SIGUSR1, SIGUSR2 };
	struct sigaction sa = { .sa_handler = memory_fault };
	sigset_t none;
	size_t i;

	for (i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
		signal(defaults[i], SIG_DFL);
	sigaction(SIGBUS, &sa, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The parent that made our control socket: if it has died already, no signal will say so. */
static bool parent_lives(void)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(WORKER_CONTROL_FD, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	return cred.pid == getppid();
}

static void say_failed(int status, const char *why)
{
	struct worker_failed m = { .type = WORKER_FAILED, .status = status };

	snprintf(m.why, sizeof(m.why), "%s", why);
	worker_send(&m, sizeof(m));
}

static int bring_up(struct worker *w, const struct worker_options *o)
{
	struct worker_ready m = { .type = WORKER_READY };
	char why[sizeof(m.why)] = "";
	int rc;

	rc = backend_choose(o->backend, o->cuda_library, o->device, &w->ops, &w->backend, &w->info,
			    &w->fallback, m.why, sizeof(m.why));
	if (rc) {
		say_failed(rc, m.why);
		return rc;
	}
#ifndef VGPU_NO_XEN
	rc = o->xen ? transport_xen_prepare(why, sizeof(why)) : 0;
	if (rc < 0) {
		say_failed(error_from_errno(rc), why);
		return rc;
	}
#endif
	rc = worker_drop_privileges(o->user, why, sizeof(why));
	if (rc < 0) {
		say_failed(error_from_errno(rc), why);
		return rc;
	}
	/* Again, with the signal armed: one of the two looks sees a parent that died meanwhile. */
	if (!parent_lives())
		return -ESRCH;
	m.fallback = (uint32_t)w->fallback;
	m.info = w->info;
	return worker_send(&m, sizeof(m));
}

static void close_all(int *fds, uint32_t n)
{
	while (n)
		close(fds[--n]);
}

/* Sleep until the supervisor has a channel for us. Returns 0, or -ENOTCONN: the end has come. */
static int wait_for_channel(struct worker *w, int fds[WORKER_FDS_MAX], uint32_t *nfds)
{
	union {
		char buf[CMSG_SPACE(WORKER_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { &w->assign, sizeof(w->assign) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct worker_ended ended = { .type = WORKER_ENDED, .why = "stopped" };
	struct cmsghdr *c;
	ssize_t n;

	do {
		n = recvmsg(WORKER_CONTROL_FD, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	*nfds = 0;
	c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		*nfds = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), *nfds * sizeof(int));
	}
	if (n == sizeof(w->assign) && w->assign.type == WORKER_ASSIGN)
		return 0;
	close_all(fds, *nfds);
	if (n == sizeof(struct worker_stop) && w->assign.type == WORKER_STOP)
		worker_send(&ended, sizeof(ended));
	return -ENOTCONN;
}

static void *at(const struct worker *w, uint64_t offset)
{
	return (uint8_t *)w->transport.base + offset;
}

static void set_up_rings(struct worker *w)
{
	const struct channel_geometry *g = &w->geometry;
	uint8_t *index = at(w, g->index_offset);
	struct spsc_shape req = rings_requests(index, at(w, g->req_offset), g->req_entries);
	struct spsc_shape rsp = rings_responses(index, at(w, g->rsp_offset), g->rsp_entries);

	spsc_consumer_init(&w->req, &req);
	spsc_producer_init(&w->rsp, &rsp);
	w->host_closed = (uint32_t *)(void *)(index + VGPU_INDEX_HOST_CLOSED);
}

static int pass_message(void *opaque, const char *text, uint32_t length)
{
	struct worker_text m = { .type = WORKER_MESSAGE, .level = LOG_LEVEL_INFO };

	(void)opaque;
	m.length = length;
	memcpy(m.text, text, length);
	/* A log that is slow must not hold up the ring. */
	return worker_send(&m, sizeof(m)) < 0 ? VGPU_ETHROTTLED : 0;
}

static void set_up_commands(struct worker *w)
{
	w->commands = (struct commands){
		.ops = w->ops,
		.backend = w->backend,
		.info = &w->info,
		.window = at(w, w->geometry.window_offset),
		.window_bytes = w->geometry.window_bytes,
		.copies_wait = !w->transport.registrable,
		.channel = w->assign.channel,
		.status_flags = w->fallback ? VGPU_STATUS_FALLBACK : 0,
		.deadline_ms = w->assign.deadline_ms,
		.message_rate = w->assign.message_rate,
		.message = pass_message,
	};
	w->assign.vm[sizeof(w->assign.vm) - 1] = '\0';
	snprintf(w->commands.vm, sizeof(w->commands.vm), "%s", w->assign.vm);
	commands_init(&w->commands);
}

/* The operations of a WORKER_TRANSPORT_*, or NULL. */
static const struct transport_ops *transport_find(uint32_t number)
{
	switch (number) {
	case WORKER_TRANSPORT_MEMFD:
		return &transport_memfd;
#ifndef VGPU_NO_XEN
	case WORKER_TRANSPORT_XEN:
		return &transport_xen;
#endif
	default:
		return NULL;
	}
}

/* Take the channel into service. Returns 0 or a negative VGPU_E* and @why. */
static int attach(struct worker *w, const int *fds, uint32_t nfds, char *why, size_t why_len)
{
	const struct transport_ops *ops = transport_find(w->assign.transport);
	static struct vgpu_channel_header header;
	const char *text = "";
	int rc;

	if (!ops) {
		snprintf(why, why_len, "channel %u: unknown transport %u", w->assign.channel,
			 w->assign.transport);
		return VGPU_ENOTSUP;
	}
	w->transport.ops = ops;
	rc = ops->attach(&w->transport, &w->assign, fds, nfds, &header, why, why_len);
	if (rc < 0)
		return rc;
	rc = channel_header_check(&header, w->transport.length, &w->geometry, &text);
	if (rc < 0) {
		snprintf(why, why_len, "channel %u: %s", w->assign.channel, text);
		return rc;
	}
	set_up_rings(w);
	set_up_commands(w);
	/*
	 * Polling on the only processor would keep the guest from sending what it waits for. Under
	 * Xen a domain's processors are its own.
	 */
	if (sysconf(_SC_NPROCESSORS_ONLN) == 1 && w->assign.transport != WORKER_TRANSPORT_XEN)
		w->assign.spin_us = 0;
	if (w->geometry.window_bytes)
		rc = w->ops->window(w->backend, w->commands.window, w->geometry.window_bytes,
				    w->transport.registrable);
	if (rc == 0)
		rc = error_from_errno(worker_control_start(w));
	if (rc)
		snprintf(why, why_len, "channel %u: prepare: %s", w->assign.channel,
			 error_text(rc));
	return rc;
}

int worker_main(int argc, char **argv)
{
	struct worker_options o = { .backend = "auto", .cuda_library = "" };
	struct worker_attached m = { .type = WORKER_ATTACHED };
	struct worker *w = &the_worker;
	int fds[WORKER_FDS_MAX];
	uint32_t nfds;

	if (parse(&o, argc, argv) < 0 || !parent_lives()) {
		fprintf(stderr, "gpu_mediator: --worker is for the mediator's own use\n");
		return 2;
	}
	prctl(PR_SET_NAME, "vgpu-worker", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (!worker_has_tool())
		close_range(WORKER_CONTROL_FD + 1, ~0u, 0);
	umask(077);
	set_signals();
	log_set_sink(worker_log_sink, NULL);

	/*
	 * From here on the process ends by _exit(): destructors of the backend's libraries could
	 * hang, and those of sanitizers want system calls that are denied by now.
	 */
	if (bring_up(w, &o))
		_exit(1);
	if (wait_for_channel(w, fds, &nfds) < 0)
		_exit(0);
	m.status = attach(w, fds, nfds, m.why, sizeof(m.why));
	/* Not from the control thread: ATTACHED comes before anything that serving can say. */
	if (worker_send(&m, sizeof(m)) < 0 || m.status)
		_exit(1);
	worker_serve(w);
}
