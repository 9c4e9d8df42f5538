/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Waiting for the host: spin briefly, then sleep; never longer than the host lives. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "call.h"
#include "private.h"
#include "../common/shm.h"

/* With a `pause` each, about a microsecond: an answer that comes at once costs no clock. */
#define LOOKS_PER_CLOCK 32

/* Who polls for longer than this waits for the GPU: others may have the processor. */
#define YIELD_NS 50000

/* A processor that is given back so late was wanted by others: who polls on takes it from them. */
#define GAVE_WAY_NS 20000

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

/* Yield at *@now, which is brought up to date. Returns whether to poll no longer. */
static bool gave_way(const struct vgpu *vgpu, int64_t *now)
{
	const int64_t before = *now;

	sched_yield();
	*now = clock_now_ns();
	return vgpu->spin_gives_way && *now - before > GAVE_WAY_NS;
}

/* Is there something to take? Looks for spin_ns at most. */
static bool spin(const struct vgpu *vgpu)
{
	const struct spsc_consumer *rsp = &vgpu->channel.rsp;
	int64_t now, end = 0, yield = 0;

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
		if (!end) {
			end = now + vgpu->spin_ns;
			yield = now + YIELD_NS;
		}
		if (now > yield && gave_way(vgpu, &now))
			break;
	} while (now < end);
	return false;
}

/* A thread that waits while another one reads. */
struct sleeper {
	struct sleeper *next;
	const struct answer *of; /* NULL: anything */
	pthread_cond_t cond;
};

/* Wake those that wait for @of, or, if that is NULL, for anything. */
static void wake(struct vgpu *vgpu, const struct answer *of)
{
	__atomic_store_n(&vgpu->news, vgpu->news + 1, __ATOMIC_RELAXED);
	for (struct sleeper *s = vgpu->sleepers; s; s = s->next)
		if (s->of == of)
			pthread_cond_signal(&s->cond);
}

void wait_wake(struct vgpu *vgpu)
{
	wake(vgpu, NULL);
}

static void wake_all(struct vgpu *vgpu)
{
	__atomic_store_n(&vgpu->news, vgpu->news + 1, __ATOMIC_RELAXED);
	for (struct sleeper *s = vgpu->sleepers; s; s = s->next)
		pthread_cond_signal(&s->cond);
}

int wait_end(struct vgpu *vgpu, int rc, struct cause *why)
{
	struct transport *t = vgpu->transport;

	if (rc == VGPU_EPROTO && t->ops->gone && t->ops->gone(t))
		rc = because(why, VGPU_EDEVLOST, "the device was unplugged");
	/* A peer that breaks the protocol stays one; everything else is a lost host. */
	vgpu->dead = rc == VGPU_EPROTO ? channel_poison(&vgpu->channel) : VGPU_EDEVLOST;
	vgpu->ended = rc;
	wake_all(vgpu);
	log_line(&vgpu->log, VGPU_LOG_ERROR, "%s: %s", t->name, why->text);
	return rc;
}

/* The transport says that nobody serves the channel: @rc. The host may have said why. */
static int end_lost(struct vgpu *vgpu, int rc, struct cause *why)
{
	int32_t reason = (int32_t)shm_load_acquire(vgpu->channel.host_closed);
	bool sticky = error_ends_handle(reason);

	if ((rc == VGPU_EDEVLOST && reason) || (rc == VGPU_EBACKEND && sticky)) {
		rc = sticky ? reason : channel_reason(reason);
		because(why, rc, "host: closed the channel: %s", vgpu_strerror(rc));
	}
	/* A call has returned CUDA's own number for it already. */
	if ((rc == VGPU_EBACKEND || sticky) && vgpu->told)
		rc = VGPU_EDEVLOST;
	return wait_end(vgpu, rc, why);
}

static int timed_out(struct cause *why)
{
	return because(why, VGPU_ETIMEDOUT, "no answer in time");
}

int wait_pending(struct vgpu *vgpu, int64_t deadline_ns, struct cause *why)
{
	struct spsc_consumer *rsp = &vgpu->channel.rsp;
	struct transport *t = vgpu->transport;
	int rc, lost;

	if (spin(vgpu))
		return 0;
	for (;;) {
		if (!spsc_sleep(rsp))
			return 0;
		rc = t->ops->wait(t, clock_left_ms(deadline_ns));
		if (spsc_pending(rsp))
			return 0;
		lost = t->ops->check(t, why);
		if (lost && !spsc_pending(rsp)) /* the last answer may have come before */
			return lost;
		why->text[0] = '\0'; /* what the look found is no failure of this call */
		if (rc == -ETIMEDOUT && !lost)
			return timed_out(why);
	}
}

static void deliver(struct vgpu *vgpu, const struct vgpu_response *rsp)
{
	struct flight *f = &vgpu->flights[rsp->id % CHANNEL_ENTRIES];
	struct flight was = *f;

	*f = (struct flight){ 0 };
	/* As good as a mark: the host has taken all up to it. */
	if (vgpu->unmarked > vgpu->sent - was.sent)
		vgpu->unmarked = vgpu->sent - was.sent;
	if (was.answer) {
		was.answer->rsp = *rsp;
		was.answer->come = true;
		wake(vgpu, was.answer);
		if (vgpu->channel.in_flight > CHANNEL_ENTRIES / 2) /* one may wait to send */
			wake(vgpu, NULL);
		return;
	}
	if (rsp->status && rsp->status != GPU_ERROR_NOT_READY && !vgpu->pending)
		vgpu->pending = rsp->status;
	if (was.block)
		window_free(&vgpu->heap, was.block);
	if (was.func)
		host_func_due(vgpu, was.func, rsp->status);
	if (was.late)
		vgpu->late--;
	wake(vgpu, NULL);
}

/* The reader's part, once: wait for responses, and take them until it has come. */
static int read_some(struct vgpu *vgpu, bool (*come)(struct vgpu *vgpu, void *opaque), void *opaque,
		     int64_t deadline_ns, struct cause *why)
{
	_Alignas(8) struct vgpu_response rsp;
	int rc;

	vgpu->reading = true;
	pthread_mutex_unlock(&vgpu->lock);
	rc = wait_pending(vgpu, deadline_ns, why);
	pthread_mutex_lock(&vgpu->lock);
	vgpu->reading = false;
	if (vgpu->dead || rc == VGPU_ETIMEDOUT)
		return rc;
	if (rc)
		return end_lost(vgpu, rc, why);
	while ((rc = channel_take(&vgpu->channel, &rsp, why)) == 0) {
		deliver(vgpu, &rsp);
		if (come(vgpu, opaque))
			return 0;
	}
	return rc == -EAGAIN ? 0 : wait_end(vgpu, rc, why);
}

/* Another thread reads: poll for news of it until *@end, 0 at first. False: that has passed. */
static bool spin_for_news(struct vgpu *vgpu, int64_t *end)
{
	uint32_t seen = vgpu->news;
	int64_t now = clock_now_ns();
	int64_t yield = now + YIELD_NS;
	bool news = false;

	if (!*end)
		*end = now + vgpu->spin_ns;
	if (now >= *end)
		return false;
	pthread_mutex_unlock(&vgpu->lock);
	while (!news && now < *end) {
		for (int i = 0; !news && i < LOOKS_PER_CLOCK; i++) {
			shm_relax();
			news = __atomic_load_n(&vgpu->news, __ATOMIC_RELAXED) != seen;
		}
		now = clock_now_ns();
		if (now > yield && gave_way(vgpu, &now))
			*end = now;
	}
	pthread_mutex_lock(&vgpu->lock);
	return true;
}

static int sleep_for_news(struct vgpu *vgpu, const struct answer *of, int64_t deadline_ns,
			  struct cause *why)
{
	struct timespec until = { .tv_sec = deadline_ns / 1000000000,
				  .tv_nsec = deadline_ns % 1000000000 };
	struct sleeper self = { .next = vgpu->sleepers, .of = of };
	struct sleeper **at = &vgpu->sleepers;
	int rc = 0;

	pthread_cond_init(&self.cond, NULL);
	vgpu->sleepers = &self;
	if (deadline_ns < 0)
		pthread_cond_wait(&self.cond, &vgpu->lock);
	else
		rc = pthread_cond_clockwait(&self.cond, &vgpu->lock, CLOCK_MONOTONIC, &until);
	while (*at != &self)
		at = &(*at)->next;
	*at = self.next;
	pthread_cond_destroy(&self.cond);
	return rc == ETIMEDOUT ? timed_out(why) : 0;
}

int wait_until(struct vgpu *vgpu, bool (*come)(struct vgpu *vgpu, void *opaque), void *opaque,
	       const struct answer *of, int64_t deadline_ns, struct cause *why)
{
	int64_t spin_end = 0;
	int rc = 0;

	while (rc == 0 && !come(vgpu, opaque)) {
		if (vgpu->dead) {
			rc = because(why, vgpu->ended, "%s: %s", vgpu->transport->name,
				     vgpu_strerror(vgpu->ended));
		} else if (!vgpu->reading) {
			vgpu->reader_looks = !of;
			rc = read_some(vgpu, come, opaque, deadline_ns, why);
		} else if (!vgpu->spin_ns || !spin_for_news(vgpu, &spin_end)) {
			rc = sleep_for_news(vgpu, of, deadline_ns, why);
		}
		/* Others' answers may come all the time. */
		if (rc == 0 && deadline_ns >= 0 && clock_now_ns() >= deadline_ns)
			rc = timed_out(why);
	}
	if (!vgpu->reading) { /* somebody else's turn to read */
		__atomic_store_n(&vgpu->news, vgpu->news + 1, __ATOMIC_RELAXED);
		if (vgpu->sleepers)
			pthread_cond_signal(&vgpu->sleepers->cond);
	}
	if (rc == VGPU_ETIMEDOUT && come(vgpu, opaque)) { /* since the last look at the clock */
		why->text[0] = '\0';
		rc = 0;
	}
	return rc;
}

unsigned int usable_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned int)CPU_COUNT(&set) : 1;
}

int thread_start(pthread_t *thread, void *(*run)(void *), void *opaque)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(thread, NULL, run, opaque);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}
