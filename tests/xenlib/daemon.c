/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenlibd SOCKET: the poll loop. Requests of the libraries come over SOCKET, XenStore's over
 * SOCKET.xs.<domid>, one for each domain, so that who connects says thereby who it is.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNS_MAX 1024

struct conn_list conns = LIST_HEAD_INITIALIZER(conns);
static const char *socket_path;
static int ended[2]; /* pipe: a signal asks to end */

static struct conn *conn_new(int fd)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return NULL;
	}
	c->fd = fd;
	c->events = -1;
	c->restricted = WIRE_NONE;
	LIST_INSERT_HEAD(&conns, c, link);
	return c;
}

static void conn_free(struct conn *c)
{
	LIST_REMOVE(c, link);
	/* Mappings first: as when a process ends, whose memory goes before its files. */
	grants_conn_gone(c);
	ports_conn_gone(c);
	xs_client_free(c->xs);
	if (c->events >= 0)
		close(c->events);
	close(c->fd);
	free(c);
}

/* ---- listening ---- */

static void xs_path(struct sockaddr_un *a, uint32_t id)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "%.90s.xs.%u", socket_path, id);
}

/* The name appears once connecting to it works: who waits for the file need not try twice. */
static struct conn *listen_at(const struct sockaddr_un *a, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un hidden = { .sun_family = AF_UNIX };
	struct conn *c;

	snprintf(hidden.sun_path, sizeof(hidden.sun_path), "%.100s.new", a->sun_path);
	unlink(hidden.sun_path);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&hidden, sizeof(hidden)) < 0 ||
	    listen(fd, CONNS_MAX) < 0 || rename(hidden.sun_path, a->sun_path) < 0) {
		fprintf(stderr, "xenlibd: listen at %s: %s\n", a->sun_path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	c = conn_new(fd);
	if (c)
		c->listener = true;
	return c;
}

int daemon_listen_xs(uint32_t id)
{
	struct sockaddr_un a;
	struct conn *c;

	xs_path(&a, id);
	c = listen_at(&a, SOCK_STREAM);
	if (!c)
		return -EIO;
	c->greeted = true; /* XenStore's: who comes is known */
	c->domid = id;
	return 0;
}

static void accept_conn(struct conn *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct conn *c = fd < 0 ? NULL : conn_new(fd);

	if (!c || !listener->greeted)
		return;
	c->domid = listener->domid;
	c->greeted = true;
	c->xs = xs_client_new(c);
	if (!c->xs)
		c->dead = true;
}

void daemon_drop_domain(uint32_t id)
{
	struct conn *c, *next;
	struct sockaddr_un a;

	xs_path(&a, id);
	unlink(a.sun_path);
	for (c = LIST_FIRST(&conns); c; c = next) {
		next = LIST_NEXT(c, link);
		if (!c->greeted || c->domid != id ||
		    (!c->xs && c->kind == WIRE_KIND_CONTROL && !c->listener))
			continue;
		/* The loop frees it; what it had goes now, mappings before ports. */
		grants_conn_gone(c);
		c->dead = true;
	}
	LIST_FOREACH(c, &conns, link)
		if (c->dead)
			ports_conn_gone(c);
}

/* ---- requests ---- */

static int hello(struct conn *c, const struct wire_request *rq, int *fds, uint32_t *nfds, int *mine)
{
	int ends[2];

	if (c->greeted || rq->a > WIRE_KIND_GNTSHR)
		return -EINVAL;
	if (rq->a != WIRE_KIND_CONTROL && !domain_find(rq->domid))
		return -ENODEV;
	c->greeted = true;
	c->domid = rq->domid;
	c->kind = rq->a;
	if (c->kind != WIRE_KIND_EVTCHN)
		return 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* Only the end that writes: the other is the program's, which may choose to block. */
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	c->events = ends[1];
	*mine = fds[(*nfds)++] = ends[0];
	return 0;
}

static int evtchn_request(struct conn *c, const struct wire_request *rq)
{
	switch (rq->op) {
	case WIRE_EVTCHN_ALLOC:
		return port_alloc(c, rq->a);
	case WIRE_EVTCHN_BIND:
		return port_bind(c, rq->a, rq->b);
	case WIRE_EVTCHN_UNBIND:
		return port_unbind(c, rq->a);
	case WIRE_EVTCHN_NOTIFY:
		return port_notify(c, rq->a);
	case WIRE_EVTCHN_UNMASK:
		return port_unmask(c, rq->a);
	case WIRE_EVTCHN_RESTRICT:
		return port_restrict(c, rq->a);
	default:
		return -ENOTTY;
	}
}

static int grant_request(struct conn *c, const struct wire_request *rq, struct wire_reply *reply,
			 int *fds, uint32_t *nfds)
{
	int rc;

	if (rq->op == WIRE_UNMAP)
		return grants_unmap(c, rq->va, rq->count);
	if (rq->op == WIRE_MAPPED)
		return (int)grants_mapped(c);
	if (rq->op == WIRE_MAP && c->kind == WIRE_KIND_GNTTAB)
		return grants_map(c, rq, fds, nfds);
	if (rq->op != WIRE_SHARE || c->kind != WIRE_KIND_GNTSHR)
		return -ENOTTY;
	rc = grants_share(c, rq, reply->refs, &fds[0]);
	if (rc == 0) {
		reply->count = rq->count;
		*nfds = 1;
	}
	return rc;
}

static bool send_reply(struct conn *c, struct wire_reply *reply, size_t bytes, const int *fds,
		       uint32_t nfds)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { reply, bytes };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *cm;

		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		cm = CMSG_FIRSTHDR(&msg);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(cm), fds, sizeof(int) * nfds);
	}
	return sendmsg(c->fd, &msg, MSG_NOSIGNAL) >= 0;
}

/* Is the request as long as it says? */
static bool whole(const struct wire_request *rq, ssize_t n)
{
	if (n < (ssize_t)WIRE_REQUEST_BYTES(0) || rq->count > WIRE_REFS_MAX)
		return false;
	if (rq->op == WIRE_MAP)
		return n == (ssize_t)WIRE_REQUEST_BYTES(2 * sizeof(uint32_t) * rq->count);
	return true;
}

/* False: the connection is over. */
static bool serve(struct conn *c)
{
	static struct wire_request rq;
	static struct wire_reply reply;
	int fds[WIRE_FDS_MAX], mine = -1;
	size_t bytes = WIRE_REPLY_BYTES(0);
	uint32_t nfds = 0;
	ssize_t n = recv(c->fd, &rq, sizeof(rq), 0);
	bool alive;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (!whole(&rq, n))
		return false;
	reply.count = 0;
	if (rq.op == WIRE_HELLO) {
		reply.rc = hello(c, &rq, fds, &nfds, &mine);
	} else if (!c->greeted) {
		reply.rc = -ENOTCONN;
	} else if (c->kind == WIRE_KIND_EVTCHN) {
		reply.rc = evtchn_request(c, &rq);
	} else if (c->kind != WIRE_KIND_CONTROL) {
		reply.rc = grant_request(c, &rq, &reply, fds, &nfds);
		bytes += reply.count * sizeof(reply.refs[0]);
	} else {
		size_t length = (size_t)n - WIRE_REQUEST_BYTES(0);

		reply.rc = control_run(rq.text, length, reply.text, sizeof(reply.text));
		bytes += strlen(reply.text) + 1;
	}
	alive = send_reply(c, &reply, bytes, fds, nfds);
	if (mine >= 0)
		close(mine);
	return alive;
}

/* ---- loop ---- */

static void handle(struct conn *c)
{
	if (c->xs) {
		if ((c->revents & POLLIN) && !xs_client_readable(c->xs))
			c->dead = true;
		if ((c->revents & POLLOUT) && !c->dead && !xs_client_writable(c->xs))
			c->dead = true;
	} else if (!c->listener && (c->revents & POLLIN) && !serve(c)) {
		c->dead = true;
	}
	if ((c->revents & (POLLHUP | POLLERR)) && !(c->revents & POLLIN))
		c->dead = true;
}

/*
 * Whoever is gone first, and newcomers last: what a program closed before it, or another one,
 * asked again is closed.
 */
static void turn(void)
{
	struct conn *c, *next;

	LIST_FOREACH(c, &conns, link)
		if (!c->dead && (c->revents & (POLLHUP | POLLERR)))
			handle(c);
	for (int pass = 0; pass < 2; pass++) {
		for (c = LIST_FIRST(&conns); c; c = next) {
			next = LIST_NEXT(c, link);
			if (pass == 0 && !c->dead && !(c->revents & (POLLHUP | POLLERR)))
				handle(c);
			if (c->dead)
				conn_free(c);
		}
	}
	LIST_FOREACH(c, &conns, link)
		if (c->listener && (c->revents & POLLIN))
			accept_conn(c);
}

static void on_signal(int number)
{
	int saved = errno;

	(void)number;
	if (write(ended[1], "", 1) < 0)
		_exit(1);
	errno = saved;
}

static void loop(void)
{
	static struct pollfd p[CONNS_MAX + 1];
	static struct conn *of[CONNS_MAX + 1];

	for (;;) {
		struct conn *c;
		nfds_t n = 0;

		p[n++] = (struct pollfd){ .fd = ended[0], .events = POLLIN };
		LIST_FOREACH(c, &conns, link) {
			c->revents = 0;
			if (n > CONNS_MAX)
				continue;
			p[n] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
			if (c->xs && xs_client_wants_write(c->xs))
				p[n].events |= POLLOUT;
			of[n++] = c;
		}
		if (poll(p, n, -1) < 0)
			continue;
		if (p[0].revents)
			return;
		for (nfds_t i = 1; i < n; i++)
			of[i]->revents = p[i].revents;
		turn();
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct sigaction end = { .sa_handler = on_signal };
	struct domain *d;
	struct conn *c;

	if (argc != 2 || strlen(argv[1]) > 90) {
		fputs("usage: xenlibd SOCKET\n", stderr);
		return 2;
	}
	socket_path = argv[1];
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", socket_path);
	signal(SIGPIPE, SIG_IGN);
	if (pipe2(ended, O_CLOEXEC) < 0 || sigaction(SIGTERM, &end, NULL) < 0 ||
	    sigaction(SIGINT, &end, NULL) < 0)
		return 1;
	if (domain_create(0, "Domain-0", "00000000-0000-0000-0000-000000000000") < 0)
		return 1;
	if (!listen_at(&a, SOCK_SEQPACKET))
		return 1;
	loop();
	do { /* those that are dead already stay until nobody maps their pages */
		LIST_FOREACH(d, &domains, link)
			if (!d->dead)
				break;
	} while (d && domain_destroy(d->id) == 0);
	while ((c = LIST_FIRST(&conns)))
		conn_free(c);
	unlink(socket_path);
	return 0;
}
