/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transport `unix`: the mediator runs on this machine. The channel is a sealed memfd of
 * ours, each direction has an eventfd, and the socket says who lives. vgpu_socket.h
 * states the messages.
 *
 * One epoll descriptor watches eventfd and socket. The eventfd is watched edge-triggered,
 * so that its counter need not be read: sleeping costs one system call.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "fork_guard.h"
#include "private.h"
#include "../common/errors.h"
#include "../common/frame.h"
#include "../common/memfd.h"

#define DEFAULT_WINDOW_BYTES (16u << 20)

struct unix_transport {
	struct transport base;
	struct fork_guarded guarded;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int sock;
	int epoll;
	int memory;
	int to_host;
	int to_guest;
	int lost; /* 0, or why the channel ended */
	struct frame_rx rx;
};

static struct unix_transport *of(struct transport *t)
{
	return (struct unix_transport *)((char *)t - offsetof(struct unix_transport, base));
}

static void close_all(struct unix_transport *u)
{
	int *fds[] = { &u->sock, &u->epoll, &u->memory, &u->to_host, &u->to_guest };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static void unix_forked(struct fork_guarded *g)
{
	struct unix_transport *u =
		(struct unix_transport *)((char *)g - offsetof(struct unix_transport, guarded));

	close_all(u);
	frame_rx_dispose(&u->rx);
}

/* The next message, waiting for it until @deadline_ns. */
static int receive(struct unix_transport *u, union frame_message *m, int64_t deadline_ns,
		   struct cause *why)
{
	int fds[VGPU_FRAME_FDS_MAX];

	for (;;) {
		struct pollfd p = { .fd = u->sock, .events = POLLIN };
		int rc = frame_rx_next(&u->rx, m, fds);

		if (rc == -EAGAIN)
			rc = frame_rx_read(&u->rx, u->sock);
		else if (rc == 0)
			break;
		if (rc == 0)
			continue;
		if (rc == -EPROTO)
			return because(why, VGPU_EPROTO,
				       "mediator: sent no message of the protocol");
		if (rc == -ENOTCONN || rc == -ECONNRESET)
			return because(why, VGPU_EDEVLOST, "mediator: closed the connection");
		if (rc != -EAGAIN)
			return because(why, VGPU_EIO, "mediator: receive: %s", strerror(-rc));
		rc = poll(&p, 1, clock_left_ms(deadline_ns));
		if (rc == 0)
			return because(why, VGPU_ETIMEDOUT, "mediator: no answer in time");
	}
	if (fds[0] >= 0) { /* only OPEN brings descriptors, and that is ours to send */
		for (size_t i = 0; i < VGPU_FRAME_FDS_MAX; i++)
			close(fds[i]);
		return because(why, VGPU_EPROTO, "mediator: sent descriptors");
	}
	return 0;
}

static int send_message(struct unix_transport *u, const void *message, const int *fds,
			uint32_t nfds, int64_t deadline_ns, struct cause *why)
{
	int rc = frame_send(u->sock, message, fds, nfds, clock_left_ms(deadline_ns));

	if (rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN) {
		union frame_message last;

		/* It may have said why before it closed: REFUSED is worth more than EPIPE. */
		if (receive(u, &last, 0, why) == 0 && last.frame.type == VGPU_MSG_REFUSED)
			return because(why, channel_reason(last.refused.error),
				       "mediator: refused: %s", last.refused.text);
		return because(why, VGPU_EDEVLOST, "mediator: closed the connection");
	}
	if (rc < 0)
		return because(why, rc == -ETIMEDOUT ? VGPU_ETIMEDOUT : error_from_errno(rc),
			       "mediator: send: %s", strerror(-rc));
	return 0;
}

static int connect_failed(struct cause *why, int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return because(why, VGPU_ENOMEDIATOR, "connect: %s: is gpu_mediator running?",
			       strerror(error));
	case EACCES:
	case EPERM:
		return because(
			why, VGPU_EACCES,
			"connect: %s: the socket's group may use it; see `group` of [clients] in "
			"gpu_mediator.conf(5)",
			strerror(error));
	case EAGAIN:
		return because(why, VGPU_ETIMEDOUT, "connect: the mediator accepts no connections");
	default:
		return because(why, error_from_errno(-error), "connect: %s", strerror(error));
	}
}

static int connect_socket(struct unix_transport *u, int64_t deadline_ns, struct cause *why)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	const struct timespec pause = { .tv_nsec = 1000000 };

	fork_guard_lock();
	u->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fork_guard_unlock();
	if (u->sock < 0)
		return because(why, error_from_errno(-errno), "socket: %m");
	memcpy(sa.sun_path, u->path, sizeof(sa.sun_path));
	while (connect(u->sock, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		/* EAGAIN: the queue of connections is full, and nothing tells when it is not. */
		if ((errno != EAGAIN && errno != EINTR) || clock_left_ms(deadline_ns) == 0)
			return connect_failed(why, errno);
		if (errno == EAGAIN)
			nanosleep(&pause, NULL);
	}
	return 0;
}

static int greet(struct unix_transport *u, struct vgpu_msg_welcome *welcome, int64_t deadline_ns,
		 struct cause *why)
{
	struct vgpu_msg_hello hello = {
		.frame = { .type = VGPU_MSG_HELLO, .length = sizeof(hello), .seq = 1 },
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.channels = 1,
	};
	union frame_message m;
	int rc;

	snprintf(hello.name, sizeof(hello.name), "%s", program_invocation_short_name);
	rc = send_message(u, &hello, NULL, 0, deadline_ns, why);
	if (rc == 0)
		rc = receive(u, &m, deadline_ns, why);
	if (rc < 0)
		return rc;
	if (m.frame.type == VGPU_MSG_REFUSED)
		return because(why, channel_reason(m.refused.error), "mediator: refused: %s",
			       VGPU_VERSION_MAJOR(m.refused.version) == VGPU_PROTOCOL_MAJOR
				       ? m.refused.text
				       : "it speaks another protocol version");
	if (m.frame.type != VGPU_MSG_WELCOME || (m.frame.seq != hello.frame.seq))
		return because(why, VGPU_EPROTO, "mediator: greeted with message %u", m.frame.type);
	if (VGPU_VERSION_MAJOR(m.welcome.version) != VGPU_PROTOCOL_MAJOR)
		return because(why, VGPU_EVERSION,
			       "mediator: speaks protocol %u.%u, this library %u.%u",
			       VGPU_VERSION_MAJOR(m.welcome.version),
			       VGPU_VERSION_MINOR(m.welcome.version), VGPU_PROTOCOL_MAJOR,
			       VGPU_PROTOCOL_MINOR);
	*welcome = m.welcome;
	return 0;
}

/* The whole channel's bytes for a wished window, within what the host takes. */
static int choose_bytes(uint64_t *bytes, uint64_t window_bytes, uint64_t max, struct cause *why)
{
	const uint64_t page = VGPU_PAGE_BYTES;
	uint64_t want = window_bytes ? window_bytes : DEFAULT_WINDOW_BYTES;

	want = (want + page - 1) / page * page + CHANNEL_OVERHEAD;
	if (want > max && !window_bytes && max >= CHANNEL_BYTES_MIN)
		want = max / page * page;
	if (want > max)
		return because(why, VGPU_EQUOTA,
			       "window: a channel of %llu bytes is over the host's limit of %llu",
			       (unsigned long long)want, (unsigned long long)max);
	*bytes = want;
	return 0;
}

static int make_memory(struct unix_transport *u, struct cause *why)
{
	struct epoll_event ring = { .events = EPOLLIN | EPOLLET };
	struct epoll_event sock = { .events = EPOLLIN | EPOLLRDHUP };
	int rc = 0;

	fork_guard_lock();
	rc = u->memory = memfd_new_sealed("vgpu-channel", u->base.bytes);
	u->to_host = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->to_guest = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->epoll = epoll_create1(EPOLL_CLOEXEC);
	fork_guard_unlock();
	if (rc < 0)
		return because(why, error_from_errno(rc), "memfd of %llu bytes: %s",
			       (unsigned long long)u->base.bytes, strerror(-rc));
	if (u->to_host < 0 || u->to_guest < 0 || u->epoll < 0)
		return because(why, error_from_errno(-errno), "eventfd: %m");
	if (epoll_ctl(u->epoll, EPOLL_CTL_ADD, u->to_guest, &ring) < 0 ||
	    epoll_ctl(u->epoll, EPOLL_CTL_ADD, u->sock, &sock) < 0)
		return because(why, error_from_errno(-errno), "epoll_ctl: %m");

	u->base.base = mmap(NULL, u->base.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, u->memory, 0);
	if (u->base.base == MAP_FAILED) {
		u->base.base = NULL;
		return because(why, error_from_errno(-errno), "map %llu bytes: %m",
			       (unsigned long long)u->base.bytes);
	}
	if (madvise(u->base.base, u->base.bytes, MADV_DONTFORK) < 0)
		return because(why, VGPU_EIO, "madvise: %m");
	return 0;
}

static int unix_attach(struct transport *t, uint64_t window_bytes, int64_t deadline_ns,
		       struct cause *why)
{
	struct unix_transport *u = of(t);
	struct vgpu_msg_welcome welcome = { .max_window_bytes = 0 };
	int rc;

	rc = connect_socket(u, deadline_ns, why);
	if (rc == 0)
		rc = greet(u, &welcome, deadline_ns, why);
	if (rc == 0)
		rc = choose_bytes(&t->bytes, window_bytes, welcome.max_window_bytes, why);
	if (rc == 0)
		rc = make_memory(u, why);
	return rc;
}

static int unix_start(struct transport *t, int64_t deadline_ns, struct cause *why)
{
	struct unix_transport *u = of(t);
	struct vgpu_msg_open open_msg = {
		.frame = { .type = VGPU_MSG_OPEN, .length = sizeof(open_msg), .seq = 2 },
		.length = t->bytes,
	};
	const int fds[] = { u->memory, u->to_host, u->to_guest };
	union frame_message m;
	int rc;

	rc = send_message(u, &open_msg, fds, 3, deadline_ns, why);
	if (rc == 0)
		rc = receive(u, &m, deadline_ns, why);
	if (rc < 0)
		return rc;
	if (m.frame.type == VGPU_MSG_CLOSED && m.closed.channel == 0)
		return because(why, channel_reason(m.closed.reason), "mediator: open: %s",
			       error_text(channel_reason(m.closed.reason)));
	if (m.frame.type != VGPU_MSG_OPENED || m.frame.seq != open_msg.frame.seq ||
	    m.opened.channel != 0 || m.opened.status > 0)
		return because(why, VGPU_EPROTO, "mediator: answered OPEN with message %u",
			       m.frame.type);
	if (m.opened.status < 0) {
		rc = channel_reason(m.opened.status);
		return because(why, rc, "mediator: open: %s",
			       m.opened.text[0] ? m.opened.text : error_text(rc));
	}
	/* The host has its own by now, and the mapping holds the pages. */
	fork_guard_close(&u->memory);
	return 0;
}

static void unix_notify(struct transport *t)
{
	const uint64_t one = 1;

	/* Full means that the host has not looked for 2^64 signals: it is awake or dead. */
	if (write(of(t)->to_host, &one, sizeof(one)) < 0 && errno != EAGAIN)
		log_line(t->log, VGPU_LOG_ERROR, "%s: notify: %m", t->name);
}

static int unix_wait(struct transport *t, int timeout_ms)
{
	int64_t deadline_ns = clock_deadline(timeout_ms);
	struct epoll_event events[2];
	int n;

	while ((n = epoll_wait(of(t)->epoll, events, 2, timeout_ms)) < 0 && errno == EINTR)
		timeout_ms = clock_left_ms(deadline_ns);
	return n == 0 ? -ETIMEDOUT : 0;
}

static int unix_check(struct transport *t, struct cause *why)
{
	struct unix_transport *u = of(t);
	union frame_message m;
	int rc;

	if (u->lost)
		return because(why, u->lost, "mediator: %s", error_text(u->lost));
	rc = receive(u, &m, 0, why);
	if (rc == VGPU_ETIMEDOUT)
		return 0;
	if (rc == 0 && m.frame.type == VGPU_MSG_CLOSED && m.closed.channel == 0) {
		rc = m.closed.reason ? channel_reason(m.closed.reason) : VGPU_EDEVLOST;
		because(why, rc, "mediator: closed the channel: %s", error_text(rc));
	} else if (rc == 0) {
		rc = because(why, VGPU_EPROTO, "mediator: sent message %u unasked", m.frame.type);
	}
	return u->lost = rc;
}

static int unix_map_at(struct transport *t, struct mapping *m, uint64_t offset, struct cause *why)
{
	/* What has size 0 is not moved, but mapped again, and like the first not for children. */
	void *again = mremap((uint8_t *)t->base + offset, 0, m->bytes, MREMAP_MAYMOVE);
	int rc = again == MAP_FAILED ? -errno : mapping_replace(m, again);

	if (rc == 0)
		return 0;
	if (again != MAP_FAILED)
		munmap(again, m->bytes);
	return because(why, error_from_errno(rc), "map the window again: %s", strerror(-rc));
}

static int unix_unmap_at(struct transport *t, struct mapping *m, void *memory, struct cause *why)
{
	int rc = mapping_replace(m, memory);

	(void)t;
	return rc ? because(why, error_from_errno(rc), "move memory: %s", strerror(-rc)) : 0;
}

/* Tell the host that this is no accident. Its worker's end, which can take long, is its own. */
static void say_goodbye(struct unix_transport *u)
{
	struct vgpu_msg_close bye = {
		.frame = { .type = VGPU_MSG_CLOSE, .length = sizeof(bye), .seq = 3 },
	};

	send_message(u, &bye, NULL, 0, clock_now_ns(), NULL);
}

static void unix_discard(struct transport *t)
{
	free(of(t));
}

static void unix_close(struct transport *t, bool orderly)
{
	struct unix_transport *u = of(t);

	if (orderly && u->sock >= 0 && t->base && !u->lost)
		say_goodbye(u);
	fork_guard_lock();
	fork_guard_leave(&u->guarded);
	close_all(u);
	fork_guard_unlock();
	frame_rx_dispose(&u->rx);
	if (t->base)
		munmap(t->base, t->bytes);
	free(u);
}

static const struct transport_ops unix_ops = {
	.attach = unix_attach,
	.start = unix_start,
	.notify = unix_notify,
	.wait = unix_wait,
	.check = unix_check,
	.map_at = unix_map_at,
	.unmap_at = unix_unmap_at,
	.close = unix_close,
	.discard = unix_discard,
};

int transport_unix_new(struct transport **out, const char *path, const struct log *log,
		       struct cause *why)
{
	struct unix_transport *u;

	if (!path || !*path)
		path = TRANSPORT_UNIX_PATH;
	if (strlen(path) >= sizeof(u->path))
		return because(why, VGPU_EINVAL,
			       "unix: socket path of %zu bytes: a path has at most %zu: %s",
			       strlen(path), sizeof(u->path) - 1, path);
	u = calloc(1, sizeof(*u));
	if (!u)
		return because(why, VGPU_ENOMEM, "unix:%s: out of memory", path);
	u->base.ops = &unix_ops;
	u->base.log = log;
	snprintf(u->base.name, sizeof(u->base.name), "unix:%s", path);
	memcpy(u->path, path, strlen(path));
	u->sock = u->epoll = u->memory = u->to_host = u->to_guest = -1;
	frame_rx_init(&u->rx);
	fork_guard_lock();
	fork_guard_join(&u->guarded, unix_forked);
	fork_guard_unlock();
	*out = &u->base;
	return 0;
}
