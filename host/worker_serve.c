// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ring thread: take a request, run it, answer.
 *
 * Between requests it polls, then it sleeps in the transport.
 * While requests come in there is no system call, no clock and no lock on this path.
 */
#include "worker.h"

#include <errno.h>
#include <sys/eventfd.h>

#include "../common/errors.h"
#include "../common/shm.h"

/*
 * Looks at the ring between two looks at the clock, with a `pause` each: about 3 us. Looking
 * more often would take the lines away from the guest while it fills them.
 */
#define LOOKS_PER_CLOCK 64u

static void enter(struct worker *w, uint32_t number, enum worker_phase phase)
{
	shm_store(&w->watch.state, number * WORKER_PHASES + phase);
}

static void sleep_for_request(struct worker *w, uint32_t number)
{
	if (!spsc_sleep(&w->req))
		return;
	enter(w, number, WORKER_SLEEPING);
	w->transport.ops->wait(&w->transport);
	enter(w, number, WORKER_POLLING);
	w->transport.idle_wakes = spsc_pending(&w->req) ? 0 : w->transport.idle_wakes + 1;
	if (w->transport.idle_wakes && worker_guest_gone(w))
		worker_end(w, VGPU_EDEVLOST, "the guest's program is gone");
	/*
	 * The watchdog parks when it sees us asleep. Either it sees us awake after it has said
	 * so, or we see here that it did: both fence between their own word and the other's.
	 */
	shm_full_fence();
	if (shm_load(&w->watch.parked))
		eventfd_write(w->watch_fd, 1);
}

static void idle(struct worker *w, uint32_t number)
{
	uint64_t now_us, end_us = 0;

	if (w->assign.spin_us) {
		do {
			for (uint32_t i = 0; i < LOOKS_PER_CLOCK; i++) {
				if (spsc_pending(&w->req))
					return;
				shm_relax();
			}
			now_us = clock_us();
			if (!end_us)
				end_us = now_us + w->assign.spin_us;
		} while (now_us < end_us && !shm_load(&w->watch.stop));
	}
	if (!shm_load(&w->watch.stop))
		sleep_for_request(w, number);
}

/*
 * A full response ring is the guest's fault, not something to wait for: it must have taken
 * its responses before it lets more than rsp_entries requests be on their way.
 */
static void answer(struct worker *w, uint32_t number, const struct vgpu_response *rsp)
{
	if (spsc_produce(&w->rsp, rsp) < 0)
		worker_end(w, VGPU_EPROTO,
			   w->rsp.dead ? "impossible index in the response ring"
				       : "more responses than the response ring holds");
	if (spsc_publish(&w->rsp)) {
		/* The guest's descriptor may block: under the deadline as the command was. */
		enter(w, number, WORKER_NOTIFYING);
		w->transport.ops->notify(&w->transport);
	}
}

_Noreturn void worker_serve(struct worker *w)
{
	const uint32_t entries = w->geometry.req_entries;
	struct vgpu_request req;
	struct vgpu_response rsp;
	uint32_t number = 0;
	int rc;

	for (;;) {
		rc = spsc_consume(&w->req, &req, entries);
		if (rc == 0) {
			enter(w, ++number, WORKER_RUNNING);
			if (commands_run(&w->commands, &req, &rsp))
				answer(w, number, &rsp);
			enter(w, number, WORKER_POLLING);
			if (w->commands.backend_lost)
				worker_end(w, VGPU_EBACKEND,
					   "the backend failed and does not recover");
		} else if (rc == -EAGAIN) {
			idle(w, number);
		} else {
			worker_end(w, VGPU_EPROTO, "impossible index in the request ring");
		}
		if (shm_load(&w->watch.stop))
			worker_end(w, 0, "stopped");
	}
}
