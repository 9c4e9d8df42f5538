/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../protocol/vgpu_errors.h"
#include "mediator_fd.h"
#include "mediator_protocol.h"
#include "mediator_scheduler.h"
#include "mediator_vm.h"

#define HELLO_TIMEOUT_S 5

/* Far above what a peer has reason to send; beyond it, the peer waits. */
#define FRAMES_PER_SECOND 2000
#define FRAMES_BURST 400

#define LINES_PER_SECOND 20
#define LINES_BURST 100

struct user_slot *peer_user(struct peer *p)
{
	return &p->owner.m->users[p->uid % USER_SLOTS];
}

void peer_log(struct peer *p, enum log_level level, const char *fmt, ...)
{
	struct user_slot *user = peer_user(p);
	char text[512];
	va_list args;

	if (throttle_take(&user->lines, LINES_PER_SECOND, LINES_BURST, clock_us())) {
		user->untold++;
		return;
	}
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (user->untold)
		log_write(level, "%s: %s (after %u lines of this user's that were left out)",
			  p->owner.label, text, user->untold);
	else
		log_write(level, "%s: %s", p->owner.label, text);
	user->untold = 0;
}

static void pause_reading(struct peer *p, uint64_t wait_us)
{
	const struct timeval wait = { (time_t)(wait_us / 1000000),
				      (suseconds_t)(wait_us % 1000000) };

	event_del(p->read);
	event_add(p->timer, &wait);
}

static void hold(struct peer *p, const union frame_message *msg, const int *fds)
{
	p->holding = true;
	p->held = *msg;
	memcpy(p->held_fds, fds, sizeof(p->held_fds));
}

/* True: done with it. False: it is held, and reading pauses. */
static bool take_message(struct peer *p, const union frame_message *msg, const int *fds)
{
	uint64_t wait_us = protocol_message(p, msg, fds);

	if (wait_us == 0)
		return true;
	hold(p, msg, fds);
	pause_reading(p, wait_us);
	return false;
}

/*
 * Take what was read, at most one buffer full: other peers have their turn before the next
 * read. Returns a negative errno if the peer is to be dropped.
 */
static int take_messages(struct peer *p)
{
	int fds[VGPU_FRAME_FDS_MAX];
	union frame_message msg;
	uint64_t wait_us;
	int rc;

	while (!p->doom[0]) {
		wait_us = throttle_take(&p->frames, FRAMES_PER_SECOND, FRAMES_BURST, clock_us());
		if (wait_us) {
			pause_reading(p, wait_us);
			return 0;
		}
		rc = frame_rx_next(&p->rx, &msg, fds);
		if (rc == -EAGAIN)
			return 0;
		if (rc < 0) {
			peer_doom(p, "sent what is no message of the protocol");
			return rc;
		}
		if (!take_message(p, &msg, fds))
			return 0;
	}
	return -EPROTO;
}

static void drop(struct peer *p)
{
	if (p->doom[0])
		peer_log(p, LOG_LEVEL_WARNING, "dropped: %s", p->doom);
	else
		log_debug("%s: disconnected", p->owner.label);
	peer_free(p);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	int rc;

	(void)what;
	if (p->doom[0]) {
		drop(p);
		return;
	}
	rc = frame_rx_read(&p->rx, fd);
	if (rc == -EAGAIN)
		return;
	if (rc == -EPROTO)
		peer_doom(p, "sent more descriptors than a message has or than fit here");
	if (rc == 0)
		rc = take_messages(p);
	if (rc < 0)
		drop(p);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;

	(void)fd;
	(void)what;
	if (!p->owner.vm && !p->holding)
		peer_doom(p, "no HELLO within %d s", HELLO_TIMEOUT_S);
	if (p->doom[0]) {
		drop(p);
		return;
	}
	event_add(p->read, NULL);
	if (p->holding) {
		p->holding = false;
		if (!take_message(p, &p->held, p->held_fds))
			return;
	}
	if (take_messages(p) < 0)
		drop(p);
}

/* Who it is, from the kernel. */
static void identify(struct peer *p)
{
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(cred);

	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		log_warn("connection %u: read the peer's credentials: %s", p->id, strerror(errno));
	p->uid = cred.uid;
	p->pid = cred.pid;
	snprintf(p->owner.label, sizeof(p->owner.label), "%s connection %u (uid %d, pid %d)",
		 p->kind == PEER_DEVICE ? "device" : "client", p->id, (int)p->uid, (int)p->pid);
}

/* 0, or why the connection is one too many. */
static const char *too_many(struct peer *p)
{
	const struct limits_config *limits = &p->owner.m->config.limits;
	uint32_t of_user = 0;
	struct peer *other;

	if (p->owner.m->peer_count >= limits->connections_total)
		return "limits.connections_total";
	TAILQ_FOREACH(other, &p->owner.m->peers, link)
		of_user += other->uid == p->uid;
	return of_user >= limits->connections_per_user ? "limits.connections_per_user" : NULL;
}

static int refuse(struct peer *p, const char *limit)
{
	char text[128];

	snprintf(text, sizeof(text), "too many connections (%s)", limit);
	peer_log(p, LOG_LEVEL_WARNING, "refused: %s", text);
	protocol_refuse(p, VGPU_ETHROTTLED, text);
	return -EMFILE;
}

int peer_new(struct mediator *m, enum peer_kind kind, int fd)
{
	const struct timeval hello = { .tv_sec = HELLO_TIMEOUT_S };
	struct peer *p = calloc(1, sizeof(*p));
	const char *limit;
	int rc = -ENOMEM;

	if (!p) {
		close(fd);
		return -ENOMEM;
	}
	p->owner.m = m;
	p->owner.ops = &protocol_owner_ops;
	p->kind = kind;
	p->fd = fd;
	p->id = ++m->next_id;
	frame_rx_init(&p->rx);
	identify(p);

	limit = too_many(p);
	if (limit) {
		rc = refuse(p, limit);
		goto out;
	}
	p->read = event_new(m->base, fd, EV_READ | EV_PERSIST, on_readable, p);
	p->timer = evtimer_new(m->base, on_timer, p);
	if (!p->read || !p->timer)
		goto out;
	event_add(p->read, NULL);
	event_add(p->timer, &hello);
	TAILQ_INSERT_TAIL(&m->peers, p, link);
	m->peer_count++;
	log_debug("%s: connected", p->owner.label);
	return 0;
out:
	if (p->read)
		event_free(p->read);
	if (p->timer)
		event_free(p->timer);
	close(fd);
	free(p);
	return rc;
}

void peer_free(struct peer *p)
{
	TAILQ_REMOVE(&p->owner.m->peers, p, link);
	p->owner.m->peer_count--;
	sched_owner_gone(&p->owner, STOP_GRACE_MS);
	vm_unref(p->owner.vm);
	if (p->holding)
		fd_discard(p->held_fds, VGPU_FRAME_FDS_MAX);
	fd_discard(p->rx.fds, p->rx.nfds);
	p->rx.nfds = 0;
	frame_rx_dispose(&p->rx);
	event_free(p->read);
	event_free(p->timer);
	close(p->fd);
	free(p);
}

void peer_doom(struct peer *p, const char *fmt, ...)
{
	va_list args;

	if (p->doom[0])
		return; /* the first cause is the one that counts */
	va_start(args, fmt);
	vsnprintf(p->doom, sizeof(p->doom), fmt, args);
	va_end(args);
	/* Makes it readable, and so brings the loop back to it. */
	shutdown(p->fd, SHUT_RDWR);
	if (p->read)
		event_add(p->read, NULL);
}

void peer_send(struct peer *p, const void *message)
{
	int rc;

	if (p->doom[0])
		return;
	rc = frame_send(p->fd, message, NULL, 0, 0);
	if (rc == -ETIMEDOUT)
		peer_doom(p, "does not read what it is sent");
	else if (rc < 0 && rc != -EPIPE && rc != -ECONNRESET)
		peer_doom(p, "send: %s", strerror(-rc));
	/* a peer that hung up is noticed by reading */
}
