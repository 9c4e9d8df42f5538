/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_scheduler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/checked.h"
#include "../common/errors.h"
#include "../common/memfd.h"
#include "../protocol/vgpu_channel.h"
#include "../protocol/vgpu_socket.h"
#include "eventfd_check.h"
#include "log.h"
#include "mediator_fd.h"
#include "mediator_protocol.h"
#include "mediator_vm.h"
#include "mediator_worker.h"

/* Header, indices, two rings: less cannot be a channel. */
#define CHANNEL_BYTES_MIN (4 * VGPU_PAGE_BYTES)

static struct channel *find(const struct peer *peer, uint32_t number)
{
	struct channel *ch;

	TAILQ_FOREACH(ch, &peer->m->channels, link)
		if (ch->peer == peer && ch->number == number)
			return ch;
	return NULL;
}

uint32_t sched_waiting(const struct mediator *m)
{
	const struct channel *ch;
	uint32_t n = 0;

	TAILQ_FOREACH(ch, &m->channels, link)
		n += ch->state == CHANNEL_WAITING;
	return n;
}

/* Tell the peer, if it is still there, how its OPEN or its channel ended; then forget it. */
static void channel_end(struct channel *ch)
{
	struct mediator *m = ch->m;
	int32_t status = ch->reason ? ch->reason : VGPU_EDEVLOST;

	if (ch->opened)
		log_info("%s: closed: %s%s%s", ch->label,
			 ch->reason ? error_text(ch->reason) : "as asked", ch->why[0] ? ": " : "",
			 ch->why);
	else
		log_warn("%s: not opened: %s%s%s", ch->label, error_text(status),
			 ch->why[0] ? ": " : "", ch->why);
	if (ch->peer) {
		if (!ch->opened)
			protocol_opened(ch->peer, ch->open_seq, ch->number, status, ch->why);
		if (ch->opened || ch->close_asked)
			protocol_closed(ch->peer, ch->close_seq, ch->number,
					ch->opened ? ch->reason : 0);
	}
	TAILQ_REMOVE(&m->channels, ch, link);
	m->channel_count--;
	m->window_bytes -= ch->length;
	ch->vm->channels--;
	ch->vm->window_bytes -= ch->length;
	fd_discard(ch->fds, 3);
	vm_unref(ch->vm);
	free(ch);
	if (m->on_status)
		m->on_status(m);
}

static void set_reason(struct channel *ch, int32_t reason, const char *why)
{
	if (ch->state == CHANNEL_ENDING)
		return; /* the first reason stands */
	ch->reason = reason;
	snprintf(ch->why, sizeof(ch->why), "%s", why);
}

static void set_ending(struct channel *ch)
{
	if (ch->state == CHANNEL_ENDING)
		return;
	ch->state = CHANNEL_ENDING;
	ch->ending_us = clock_us();
}

/* Bring it to its end: at once, or as soon as its worker is gone. */
static void channel_stop(struct channel *ch, int32_t reason, const char *why, uint32_t grace_ms)
{
	set_reason(ch, reason, why);
	set_ending(ch);
	if (ch->worker)
		proc_stop(ch->worker, grace_ms);
	else
		channel_end(ch);
}

/* Room for one more? 0, or the error with @text naming the limit. */
static int32_t check_limits(const struct peer *peer, uint64_t length, char *text, size_t size)
{
	const struct limits_config *l = &peer->m->config.limits;
	const struct mediator *m = peer->m;
	const struct vm *vm = peer->vm;

	if (vm->channels >= l->channels_per_vm) {
		snprintf(text, size, "%u channels in use, limits.channels_per_vm is %u",
			 vm->channels, l->channels_per_vm);
		return VGPU_EQUOTA;
	}
	if (length > l->window_bytes_per_channel) {
		snprintf(text, size, "%llu bytes, limits.window_bytes_per_channel is %llu",
			 (unsigned long long)length,
			 (unsigned long long)l->window_bytes_per_channel);
		return VGPU_EQUOTA;
	}
	if (!checked_range(vm->window_bytes, length, l->window_bytes_per_vm)) {
		snprintf(text, size, "%llu + %llu bytes, limits.window_bytes_per_vm is %llu",
			 (unsigned long long)vm->window_bytes, (unsigned long long)length,
			 (unsigned long long)l->window_bytes_per_vm);
		return VGPU_EQUOTA;
	}
	/* what others have is not this one's business: no numbers */
	if (m->channel_count >= l->channels_total) {
		snprintf(text, size, "the host's limits.channels_total is reached");
		return VGPU_ENOCHANNEL;
	}
	if (!checked_range(m->window_bytes, length, l->window_bytes_total)) {
		snprintf(text, size, "the host's limits.window_bytes_total is reached");
		return VGPU_ENOCHANNEL;
	}
	return 0;
}

bool sched_room_soon(const struct peer *peer, uint64_t length)
{
	const uint64_t soon_us = 2 * STOP_GRACE_MS * 1000; /* longer: the worker cannot be killed */
	const struct channel *ch;
	char text[104];
	int32_t rc = check_limits(peer, length, text, sizeof(text));

	if (rc == 0)
		return false;
	TAILQ_FOREACH(ch, &peer->m->channels, link)
		if (ch->state == CHANNEL_ENDING && (ch->vm == peer->vm || rc == VGPU_ENOCHANNEL) &&
		    clock_us() - ch->ending_us < soon_us)
			return true;
	return false;
}

static int32_t check_memory(const struct vgpu_msg_open *open, const int fds[3], char *text,
			    size_t size)
{
	switch (memfd_check(fds[0], open->offset, open->length)) {
	case 0:
		break;
	case -EINVAL:
		snprintf(text, size, "the shared memory is no memfd that can be sealed");
		return VGPU_EMEMORY;
	case -EPERM:
		snprintf(text, size, "the memfd is not sealed against shrinking, or read-only");
		return VGPU_EMEMORY;
	default:
		snprintf(text, size, "the memfd ends before the channel does");
		return VGPU_EMEMORY;
	}
	for (int i = 1; i < 3; i++) {
		if (!fd_is_eventfd(fds[i])) {
			snprintf(text, size, "descriptor %d of OPEN is no eventfd", i + 1);
			return VGPU_EINVAL;
		}
	}
	return 0;
}

static int32_t check_open(const struct peer *peer, const struct vgpu_msg_open *open,
			  const int fds[3], char *text, size_t size)
{
	const struct pool *pool = &peer->m->pool;
	int32_t rc;

	text[0] = '\0';
	if (peer->m->draining)
		return VGPU_ESHUTDOWN;
	if (open->channel >= peer->channels) {
		snprintf(text, size, "channel %u of %u", open->channel, peer->channels);
		return VGPU_EINVAL;
	}
	if (find(peer, open->channel)) {
		snprintf(text, size, "channel %u is in use", open->channel);
		return VGPU_EBUSY;
	}
	if (!checked_aligned(open->offset, VGPU_PAGE_BYTES) ||
	    !checked_aligned(open->length, VGPU_PAGE_BYTES) || open->length < CHANNEL_BYTES_MIN) {
		snprintf(text, size, "offset and length must be whole pages, %u at least",
			 CHANNEL_BYTES_MIN / VGPU_PAGE_BYTES);
		return VGPU_EINVAL;
	}
	rc = check_limits(peer, open->length, text, size);
	if (rc == 0)
		rc = check_memory(open, fds, text, size);
	if (rc == 0 && pool->hopeless && pool->idle == 0) {
		snprintf(text, size, "%.100s", pool->cause);
		return VGPU_EBACKEND;
	}
	return rc;
}

void sched_open(struct peer *peer, const struct vgpu_msg_open *open, const int fds[3])
{
	struct mediator *m = peer->m;
	struct channel *ch;
	int unused[3];
	char text[104];
	int32_t rc = check_open(peer, open, fds, text, sizeof(text));

	ch = rc == 0 ? calloc(1, sizeof(*ch)) : NULL;
	if (!ch) {
		if (rc == 0)
			rc = VGPU_ENOMEM;
		memcpy(unused, fds, sizeof(unused));
		fd_discard(unused, 3);
		log_warn("%s: channel %u: not opened: %s%s%s", peer->label, open->channel,
			 error_text(rc), text[0] ? ": " : "", text);
		protocol_opened(peer, open->frame.seq, open->channel, rc, text);
		return;
	}
	ch->m = m;
	ch->vm = vm_ref(peer->vm);
	ch->peer = peer;
	ch->number = open->channel;
	ch->offset = open->offset;
	ch->length = open->length;
	ch->open_seq = open->frame.seq;
	snprintf(ch->label, sizeof(ch->label), "%s: channel %u", peer->label, ch->number);
	memcpy(ch->fds, fds, sizeof(ch->fds));
	TAILQ_INSERT_TAIL(&m->channels, ch, link);
	m->channel_count++;
	m->window_bytes += ch->length;
	ch->vm->channels++;
	ch->vm->window_bytes += ch->length;
	sched_dispatch(m);
	pool_balance(m);
}

void sched_close(struct peer *peer, uint32_t number, uint32_t seq)
{
	struct channel *ch = find(peer, number);

	if (!ch || ch->close_asked) {
		/* it may have ended by itself while the message was under way */
		protocol_closed(peer, seq, number, 0);
		return;
	}
	ch->close_asked = true;
	ch->close_seq = seq;
	channel_stop(ch, 0, ch->opened ? "" : "closed before it was open", STOP_GRACE_MS);
}

void sched_peer_gone(struct peer *peer)
{
	struct channel *ch, *next;

	for (ch = TAILQ_FIRST(&peer->m->channels); ch; ch = next) {
		next = TAILQ_NEXT(ch, link);
		if (ch->peer != peer)
			continue;
		ch->peer = NULL;
		channel_stop(ch, 0, "the peer is gone", STOP_GRACE_MS);
	}
}

/* Whose turn: the oldest of those whose VM has the fewest workers. */
static struct channel *next_waiting(struct mediator *m)
{
	struct channel *ch, *best = NULL;

	TAILQ_FOREACH(ch, &m->channels, link)
		if (ch->state == CHANNEL_WAITING && (!best || ch->vm->served < best->vm->served))
			best = ch;
	return best;
}

static int hand_over(struct channel *ch, struct worker_proc *w)
{
	const struct mediator_config *c = &ch->m->config;
	struct worker_assign assign = {
		.type = WORKER_ASSIGN,
		.transport = WORKER_TRANSPORT_MEMFD,
		.channel = ch->number,
		.deadline_ms = c->limits.deadline_ms,
		.spin_us = c->spin_us,
		.message_rate = c->limits.message_rate,
		.offset = ch->offset,
		.length = ch->length,
	};

	snprintf(assign.vm, sizeof(assign.vm), "%s", ch->vm->name);
	return proc_assign(w, ch, &assign, ch->fds);
}

void sched_dispatch(struct mediator *m)
{
	struct channel *ch;
	struct worker_proc *w;
	int rc;

	while ((ch = next_waiting(m)) && (w = pool_take(m))) {
		rc = hand_over(ch, w);
		if (rc < 0) {
			/* it died a moment ago: its end is about to be noticed */
			log_warn("worker %d: hand over %s: %s", (int)w->pid, ch->label,
				 strerror(-rc));
			m->pool.idle++;
			proc_kill(w);
			continue;
		}
		fd_discard(ch->fds, 3);
		ch->worker = w;
		ch->vm->served++;
		ch->state = CHANNEL_ATTACHING;
	}
}

void sched_fail_waiting(struct mediator *m, int32_t error, const char *why)
{
	struct channel *ch, *next;

	for (ch = TAILQ_FIRST(&m->channels); ch; ch = next) {
		next = TAILQ_NEXT(ch, link);
		if (ch->state == CHANNEL_WAITING)
			channel_stop(ch, error, why, 0);
	}
}

void sched_drain(struct mediator *m, uint32_t timeout_ms)
{
	struct channel *ch, *next;

	for (ch = TAILQ_FIRST(&m->channels); ch; ch = next) {
		next = TAILQ_NEXT(ch, link);
		channel_stop(ch, VGPU_ESHUTDOWN, "", timeout_ms);
	}
}

void sched_worker_attached(struct worker_proc *w, int32_t status, const char *why)
{
	struct channel *ch = w->channel;

	if (ch->state != CHANNEL_ATTACHING)
		return; /* it was told to stop meanwhile */
	if (status != 0) {
		set_reason(ch, status, why);
		set_ending(ch);
		return;
	}
	ch->state = CHANNEL_SERVING;
	ch->opened = true;
	log_info("%s: open: worker %d, %llu KiB at %llu", ch->label, (int)w->pid,
		 (unsigned long long)(ch->length >> 10), (unsigned long long)ch->offset);
	if (ch->peer)
		protocol_opened(ch->peer, ch->open_seq, ch->number, 0, "");
	if (ch->m->on_status)
		ch->m->on_status(ch->m);
}

void sched_worker_message(struct worker_proc *w, const char *text, size_t len)
{
	vm_message(w->channel->vm, w->channel->label, text, len);
}

void sched_worker_gone(struct worker_proc *w, const char *how)
{
	struct channel *ch = w->channel;

	ch->worker = NULL;
	ch->vm->served--;
	if (w->told_why)
		set_reason(ch, w->reason, how);
	else
		set_reason(ch, VGPU_EWORKER, how);
	channel_end(ch);
}
