/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for the host: spin briefly, then sleep; never longer than the host lives. */
#include <errno.h>
#include <time.h>

#include "private.h"
#include "../common/shm.h"

/* With a `pause` each, about a microsecond: an answer that comes at once costs no clock. */
#define LOOKS_PER_CLOCK 32

int64_t clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? -1 : clock_now_ns() + (int64_t)timeout_ms * 1000000;
}

int clock_left_ms(int64_t deadline_ns)
{
	int64_t left;

	if (deadline_ns < 0)
		return -1;
	left = (deadline_ns - clock_now_ns() + 999999) / 1000000;
	return left > 0 ? (int)left : 0;
}

/* Is there something to take? Looks for spin_ns at most. */
static bool spin(const struct vgpu *vgpu)
{
	const struct spsc_consumer *rsp = &vgpu->channel.rsp;
	int64_t now, end = 0;

	if (!vgpu->spin_ns)
		return false;
	do {
		for (int i = 0; i < LOOKS_PER_CLOCK; i++) {
			if (spsc_pending(rsp))
				return true;
			/* Also where it costs nothing: looks that come less often leave the
			 * lines alone while the other side fills them. */
			shm_relax();
		}
		now = clock_now_ns();
		if (!end)
			end = now + vgpu->spin_ns;
	} while (now < end);
	return false;
}

int wait_end(struct vgpu *vgpu, int rc, struct cause *why)
{
	struct transport *t = vgpu->transport;

	if (rc == VGPU_EPROTO && t->ops->gone && t->ops->gone(t))
		rc = because(why, VGPU_EDEVLOST, "the device was unplugged");
	/* A peer that breaks the protocol stays one; everything else is a lost host. */
	vgpu->dead = rc == VGPU_EPROTO ? channel_poison(&vgpu->channel) : VGPU_EDEVLOST;
	log_line(&vgpu->log, VGPU_LOG_ERROR, "%s: %s", t->name, why->text);
	return rc;
}

/* The transport says that nobody serves the channel: @rc. The host may have said why. */
static int end_lost(struct vgpu *vgpu, int rc, struct cause *why)
{
	int32_t reason = (int32_t)shm_load_acquire(vgpu->channel.host_closed);

	if (rc == VGPU_EDEVLOST && reason) {
		rc = channel_reason(reason);
		because(why, rc, "host: closed the channel: %s", vgpu_strerror(rc));
	}
	return wait_end(vgpu, rc, why);
}

int wait_response(struct vgpu *vgpu, struct vgpu_response *rsp, int64_t deadline_ns,
		  struct cause *why)
{
	struct channel *ch = &vgpu->channel;
	struct transport *t = vgpu->transport;
	bool spun = false;
	int rc, lost;

	for (;;) {
		if (!spun) {
			spin(vgpu);
			spun = true;
		}
		rc = channel_take(ch, rsp, why);
		if (rc == 0)
			return 0;
		if (rc != -EAGAIN)
			return wait_end(vgpu, rc, why);
		if (!spsc_sleep(&ch->rsp))
			continue;
		rc = t->ops->wait(t, clock_left_ms(deadline_ns));
		if (spsc_pending(&ch->rsp))
			continue;
		lost = t->ops->check(t, why);
		if (lost && !spsc_pending(&ch->rsp)) /* the last answer may have come before */
			return end_lost(vgpu, lost, why);
		why->text[0] = '\0'; /* what the look found is no failure of this call */
		if (rc == -ETIMEDOUT && !lost)
			return because(why, VGPU_ETIMEDOUT, "request %u: no answer in time",
				       ch->oldest_id);
	}
}
