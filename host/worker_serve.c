// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ring thread: take a request, run it, answer.
 *
 * Between requests it polls, then it sleeps in the transport. While something of the GPU's is
 * waited for it looks at that and at the ring in turn, and sleeps for short times only.
 * While requests come in there is no system call, no clock and no lock on this path.
 */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

#include "worker_spin.h"
#include "../common/errors.h"
#include "../common/shm.h"

/*
 * Looks at the ring between two looks at the clock, with a `pause` each: about 3 us. Looking
 * more often would take the lines away from the guest while it fills them.
 */
#define LOOKS_PER_CLOCK 64u

/*
 * Polling for longer than spin_us, for up to spin_max_us: for what the GPU is doing, as a program
 * that has the GPU for itself does, whose synchronize polls to the end; and for the next request
 * where the last one that woke us came that soon. A processor that has slept is slow for a while:
 * its clock is low, its caches are cold. After the first part of it others may have the processor,
 * and if one does, this ends.
 *
 * While the GPU is waited for, then comes sleeping between looks, for a share of the time that has
 * been waited, so that the answer is late by no more than that.
 */
#define YIELD_US 50u
#define DOZE_US_MIN 15u
#define DOZE_US_MAX 1000u
#define DOZE_SHARE 128u
/* How late the kernel may end a sleep, for the sake of others that it could end with it. */
#define TIMER_SLACK_NS 1000ul
/* The same when nobody waits: only the deadline does. */
#define WATCH_MS_MIN 2u
#define WATCH_MS_MAX 100u
#define WATCHES_PER_DEADLINE 8u
/* A worker whose backend is lost waits so long for somebody to tell. */
#define LOST_US 1000000u
/* Requests between two looks at the clock while they come without a pause. */
#define REQUESTS_PER_CLOCK 256u

static void enter(struct worker *w, enum worker_phase phase)
{
	shm_store(&w->watch.state, w->number * WORKER_PHASES + phase);
}

/*
 * A full response ring is the guest's fault, not something to wait for: it must have taken
 * its responses before it lets more than rsp_entries requests be on their way.
 */
static void answer(struct worker *w, const struct vgpu_response *rsp)
{
	int rc = spsc_produce(&w->rsp, rsp);

	if (rc < 0)
		worker_end(w, VGPU_EPROTO,
			   w->rsp.dead ? "impossible index in the response ring"
				       : "more responses than the response ring holds");
	if (rc) {
		/* The guest's descriptor may block: under the deadline as the command was. */
		enter(w, WORKER_NOTIFYING);
		w->transport.ops->notify(&w->transport);
	}
}

/* Once the guest was told, others of its requests that wait are told the same. */
static void end_if_lost(struct worker *w)
{
	struct vgpu_response rsp;

	if (__builtin_expect(!w->commands.backend_lost, 1))
		return;
	while (commands_pending(&w->commands))
		if (commands_poll(&w->commands, &rsp))
			answer(w, &rsp);
	worker_end(w, VGPU_EBACKEND, "the backend failed and does not recover");
}

/* Look at up to @count of what waits for the GPU. Returns whether something was answered. */
static bool poll_pending(struct worker *w, uint32_t count)
{
	struct vgpu_response rsp;
	bool any = false;

	w->number++;
	enter(w, WORKER_RUNNING);
	while (count-- && commands_pending(&w->commands)) {
		if (!commands_poll(&w->commands, &rsp))
			continue;
		answer(w, &rsp);
		any = true;
	}
	enter(w, WORKER_POLLING);
	end_if_lost(w);
	return any;
}

static void tend(struct worker *w, uint64_t now_us, bool is_idle)
{
	char why[96];
	int rc;

	if (!gpu_watched(&w->commands.gpu))
		return;
	w->number++;
	enter(w, WORKER_RUNNING);
	rc = commands_tend(&w->commands, now_us, is_idle);
	enter(w, WORKER_POLLING);
	/* Who waits is told what was found; if nobody does, who asks next is. */
	if (w->commands.lost)
		poll_pending(w, commands_pending(&w->commands));
	if (rc == 0)
		return;
	snprintf(why, sizeof(why), "GPU work ran longer than %u ms", w->assign.deadline_ms);
	worker_end(w, rc, why);
}

/* A look at the ring and at the GPU. Returns whether there is, or was, something to do. */
static bool look(struct worker *w)
{
	const uint32_t pending = commands_pending(&w->commands);

	if (spsc_pending(&w->req))
		return true;
	return pending && poll_pending(w, pending);
}

/* Yield at @now_us. Returns whether others want the processor. */
static bool gave_way(struct spin_yields *yields, uint64_t now_us)
{
	sched_yield();
	return spin_others_wait(yields, now_us, clock_us());
}

/* How long to poll, 0 not at all. */
static uint32_t spin_us(const struct worker *w)
{
	uint32_t us = commands_pending(&w->commands) ? w->assign.spin_max_us : w->pause_spin_us;

	return w->assign.spin_us && us > w->assign.spin_us ? us : w->assign.spin_us;
}

/* Returns whether there is something to do. */
static bool spin(struct worker *w)
{
	uint64_t now_us, end_us = 0, yield_us = 0, own_us = 0;
	const uint32_t us = spin_us(w);
	struct spin_yields yields = { 0 };

	if (w->doze_us)
		return look(w);
	if (!us) {
		w->idle_since_us = clock_us();
		return look(w);
	}
	do {
		for (uint32_t i = 0; i < LOOKS_PER_CLOCK; i++) {
			if (look(w))
				return true;
			shm_relax();
		}
		now_us = clock_us();
		if (!end_us) {
			w->idle_since_us = now_us;
			end_us = now_us + us;
			own_us = now_us + w->assign.spin_us;
			yield_us = now_us + YIELD_US;
		}
		tend(w, now_us, false);
		if (now_us > yield_us && gave_way(&yields, now_us) && now_us > own_us)
			break;
	} while (now_us < end_us && !shm_load(&w->watch.stop));
	return false;
}

static int64_t watch_us(const struct worker *w)
{
	uint32_t ms = w->assign.deadline_ms / WATCHES_PER_DEADLINE;

	if (ms < WATCH_MS_MIN)
		ms = WATCH_MS_MIN;
	return (int64_t)(ms < WATCH_MS_MAX ? ms : WATCH_MS_MAX) * 1000;
}

/* How long to sleep if the guest does not signal. */
static int64_t sleep_us(const struct worker *w)
{
	uint64_t us;

	if (w->commands.lost)
		return LOST_US;
	if (commands_pending(&w->commands)) {
		us = (clock_us() - w->idle_since_us) / DOZE_SHARE;
		if (us < DOZE_US_MIN)
			return DOZE_US_MIN;
		return us < DOZE_US_MAX ? (int64_t)us : DOZE_US_MAX;
	}
	return gpu_watched(&w->commands.gpu) ? watch_us(w) : TRANSPORT_FOREVER;
}

static void sleep_for_request(struct worker *w)
{
	bool signalled;
	int64_t us;

	us = sleep_us(w);
	if (!spsc_sleep(&w->req))
		return;
	/* What woke us last may have told of a request and of this: it will not come again. */
	if (worker_guest_gone(w))
		worker_end(w, VGPU_EDEVLOST, "the guest's program is gone");
	enter(w, us == TRANSPORT_FOREVER ? WORKER_SLEEPING : WORKER_DOZING);
	signalled = w->transport.ops->wait(&w->transport, us);
	enter(w, WORKER_POLLING);
	w->doze_us = signalled ? 0 : (uint32_t)us;
	if (spsc_pending(&w->req)) {
		w->transport.idle_wakes = 0;
		w->pause_spin_us =
			spin_through_pause_us(clock_us() - w->idle_since_us, w->assign.spin_max_us);
	} else if (signalled) {
		w->transport.idle_wakes++;
	}
	if (w->commands.lost && !signalled && !spsc_pending(&w->req))
		worker_end(w, VGPU_EBACKEND, "the backend failed and does not recover");
	/*
	 * The watchdog parks when it sees us asleep. Either it sees us awake after it has said
	 * so, or we see here that it did: both fence between their own word and the other's.
	 */
	shm_full_fence();
	if (shm_load(&w->watch.parked))
		eventfd_write(w->watch_fd, 1);
}

static void idle(struct worker *w)
{
	if (spin(w)) {
		w->doze_us = 0;
		return;
	}
	if (shm_load(&w->watch.stop))
		return;
	tend(w, clock_us(), true);
	sleep_for_request(w);
}

static void run(struct worker *w, const struct vgpu_request *req)
{
	struct vgpu_response rsp;

	w->number++;
	w->doze_us = 0;
	enter(w, WORKER_RUNNING);
	if (commands_run(&w->commands, req, &rsp))
		answer(w, &rsp);
	enter(w, WORKER_POLLING);
	end_if_lost(w);
	if (__builtin_expect(commands_pending(&w->commands), 0))
		poll_pending(w, 1);
	if (w->commands.requests % REQUESTS_PER_CLOCK == 0)
		tend(w, clock_us(), false);
}

_Noreturn void worker_serve(struct worker *w)
{
	struct vgpu_request req;

	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
	for (;;) {
		if (spsc_consume(&w->req, &req))
			run(w, &req);
		else
			idle(w);
		if (shm_load(&w->watch.stop))
			worker_end(w, 0, "stopped");
	}
}
