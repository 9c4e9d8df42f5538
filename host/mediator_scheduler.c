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
#include "eventfd_check.h"
#include "log.h"
#include "mediator_fd.h"
#include "mediator_owner.h"
#include "mediator_vm.h"
#include "mediator_worker.h"

/* Header, indices, two rings: less cannot be a channel. */
#define CHANNEL_BYTES_MIN (4 * VGPU_PAGE_BYTES)

static struct channel *find(const struct owner *owner, uint32_t number)
{
	struct channel *ch;

	TAILQ_FOREACH(ch, &owner->m->channels, link)
		if (ch->owner == owner && ch->rq.number == number)
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

/* Tell the owner, if it is still there, how its OPEN or its channel ended; then forget it. */
static void channel_end(struct channel *ch)
{
	struct mediator *m = ch->m;
	struct owner *o = ch->owner;
	int32_t status = ch->reason ? ch->reason : VGPU_EDEVLOST;

	if (ch->opened)
		log_info("%s: closed: %s%s%s", ch->label,
			 ch->reason ? error_text(ch->reason) : "as asked", ch->why[0] ? ": " : "",
			 ch->why);
	else
		log_warn("%s: not opened: %s%s%s", ch->label, error_text(status),
			 ch->why[0] ? ": " : "", ch->why);
	TAILQ_REMOVE(&m->channels, ch, link);
	m->channel_count--;
	m->window_bytes -= ch->rq.length;
	ch->vm->channels--;
	ch->vm->window_bytes -= ch->rq.length;
	if (o) {
		if (!ch->opened)
			o->ops->opened(o, ch->rq.seq, ch->rq.number, status, ch->why);
		if (ch->opened || ch->close_asked)
			o->ops->closed(o, ch->close_seq, ch->rq.number, ch->opened ? ch->reason : 0,
				       ch->why);
	}
	fd_discard(ch->rq.fds, WORKER_FDS_MAX);
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
static int32_t check_limits(const struct owner *owner, uint64_t length, char *text, size_t size)
{
	const struct limits_config *l = &owner->m->config.limits;
	const struct mediator *m = owner->m;
	const struct vm *vm = owner->vm;

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

bool sched_room_soon(const struct owner *owner, uint64_t length)
{
	const uint64_t soon_us = 2 * STOP_GRACE_MS * 1000; /* longer: the worker cannot be killed */
	const struct channel *ch;
	char text[104];
	int32_t rc = check_limits(owner, length, text, sizeof(text));

	if (rc == 0)
		return false;
	TAILQ_FOREACH(ch, &owner->m->channels, link)
		if (ch->state == CHANNEL_ENDING && (ch->vm == owner->vm || rc == VGPU_ENOCHANNEL) &&
		    clock_us() - ch->ending_us < soon_us)
			return true;
	return false;
}

static int32_t check_memory(const struct channel_request *rq, char *text, size_t size)
{
	switch (memfd_check(rq->fds[0], rq->offset, rq->length)) {
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
		if (!fd_is_eventfd(rq->fds[i])) {
			snprintf(text, size, "descriptor %d of OPEN is no eventfd", i + 1);
			return VGPU_EINVAL;
		}
	}
	return 0;
}

static int32_t check_open(const struct owner *owner, const struct channel_request *rq, char *text,
			  size_t size)
{
	const struct pool *pool = &owner->m->pool;
	int32_t rc;

	text[0] = '\0';
	if (owner->m->draining)
		return VGPU_ESHUTDOWN;
	if (rq->number >= owner->channels) {
		snprintf(text, size, "channel %u of %u", rq->number, owner->channels);
		return VGPU_EINVAL;
	}
	if (find(owner, rq->number)) {
		snprintf(text, size, "channel %u is in use", rq->number);
		return VGPU_EBUSY;
	}
	if (!checked_aligned(rq->offset, VGPU_PAGE_BYTES) ||
	    !checked_aligned(rq->length, VGPU_PAGE_BYTES) || rq->length < CHANNEL_BYTES_MIN) {
		snprintf(text, size, "offset and length must be whole pages, %u at least",
			 CHANNEL_BYTES_MIN / VGPU_PAGE_BYTES);
		return VGPU_EINVAL;
	}
	rc = check_limits(owner, rq->length, text, size);
	if (rc == 0 && rq->transport == WORKER_TRANSPORT_MEMFD)
		rc = check_memory(rq, text, size);
	if (rc == 0 && pool->hopeless && pool->idle == 0) {
		snprintf(text, size, "%.100s", pool->cause);
		return VGPU_EBACKEND;
	}
	return rc;
}

void sched_open(struct owner *owner, const struct channel_request *rq)
{
	struct mediator *m = owner->m;
	struct channel *ch;
	int unused[WORKER_FDS_MAX];
	char text[104];
	int32_t rc = check_open(owner, rq, text, sizeof(text));

	ch = rq->nfds <= WORKER_FDS_MAX && rc == 0 ? calloc(1, sizeof(*ch)) : NULL;
	if (!ch) {
		if (rc == 0)
			rc = VGPU_ENOMEM;
		memcpy(unused, rq->fds, sizeof(unused));
		fd_discard(unused, rq->nfds);
		log_warn("%s: channel %u: not opened: %s%s%s", owner->label, rq->number,
			 error_text(rc), text[0] ? ": " : "", text);
		owner->ops->opened(owner, rq->seq, rq->number, rc, text);
		return;
	}
	ch->m = m;
	ch->vm = vm_ref(owner->vm);
	ch->owner = owner;
	ch->rq = *rq;
	snprintf(ch->label, sizeof(ch->label), "%s: channel %u", owner->label, rq->number);
	TAILQ_INSERT_TAIL(&m->channels, ch, link);
	m->channel_count++;
	m->window_bytes += rq->length;
	ch->vm->channels++;
	ch->vm->window_bytes += rq->length;
	sched_dispatch(m);
	pool_balance(m);
}

void sched_close(struct owner *owner, uint32_t number, uint32_t seq)
{
	struct channel *ch = find(owner, number);

	if (!ch || ch->close_asked) {
		/* it may have ended by itself while the message was under way */
		owner->ops->closed(owner, seq, number, 0, "");
		return;
	}
	ch->close_asked = true;
	ch->close_seq = seq;
	channel_stop(ch, 0, ch->opened ? "" : "closed before it was open", STOP_GRACE_MS);
}

void sched_end(struct owner *owner, uint32_t number, int32_t reason, const char *why,
	       uint32_t grace_ms)
{
	struct channel *ch = find(owner, number);

	if (ch)
		channel_stop(ch, reason, why, grace_ms);
}

void sched_owner_gone(struct owner *owner, uint32_t grace_ms)
{
	struct channel *ch, *next;

	for (ch = TAILQ_FIRST(&owner->m->channels); ch; ch = next) {
		next = TAILQ_NEXT(ch, link);
		if (ch->owner != owner)
			continue;
		ch->owner = NULL;
		channel_stop(ch, 0, "the peer is gone", grace_ms);
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
		.transport = ch->rq.transport,
		.channel = ch->rq.number,
		.deadline_ms = c->limits.deadline_ms,
		.spin_us = c->spin_us,
		.spin_max_us = c->spin_max_us,
		.message_rate = c->limits.message_rate,
		.offset = ch->rq.offset,
		.length = ch->rq.length,
		.xen = ch->rq.xen,
	};

	snprintf(assign.vm, sizeof(assign.vm), "%s", ch->vm->name);
	return proc_assign(w, ch, &assign, ch->rq.fds, ch->rq.nfds);
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
		fd_discard(ch->rq.fds, WORKER_FDS_MAX);
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
		 (unsigned long long)(ch->rq.length >> 10), (unsigned long long)ch->rq.offset);
	if (ch->owner)
		ch->owner->ops->opened(ch->owner, ch->rq.seq, ch->rq.number, 0, "");
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
