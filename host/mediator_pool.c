/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_pool.h"

#include <stdio.h>
#include <string.h>

#include "../common/errors.h"
#include "../protocol/vgpu_commands.h"
#include "log.h"
#include "mediator.h"
#include "mediator_scheduler.h"
#include "mediator_worker.h"

/* At once in coming up: more would only take the processors from each other. */
#define WARMING_MAX 8
#define RETRY_FIRST_MS 100
#define RETRY_MOST_MS 30000
#define LIVED_WELL_US 5000000

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	pool_balance(arg);
}

int pool_init(struct mediator *m)
{
	struct pool *p = &m->pool;

	TAILQ_INIT(&p->workers);
	p->worker_stderr = -1;
	p->retry = evtimer_new(m->base, on_retry, m);
	return p->retry ? 0 : -1;
}

void pool_dispose(struct mediator *m)
{
	struct pool *p = &m->pool;

	while (!TAILQ_EMPTY(&p->workers))
		proc_abandon(TAILQ_FIRST(&p->workers));
	if (p->retry)
		event_free(p->retry);
	p->retry = NULL;
}

static void retire_idle(struct mediator *m, uint32_t surplus)
{
	struct worker_proc *w;

	TAILQ_FOREACH(w, &m->pool.workers, link) {
		if (surplus == 0)
			return;
		if (w->state == WORKER_STATE_IDLE && !w->ending) {
			proc_stop(w, STOP_GRACE_MS);
			surplus--;
		}
	}
}

static void started(struct mediator *m, int status)
{
	if (m->pool.started)
		return;
	m->pool.started = true;
	if (m->on_started)
		m->on_started(m, status);
}

/* Something went wrong with a worker that served nobody: wait before the next one. */
static void note_failure(struct mediator *m, bool final, int status, const char *cause)
{
	struct pool *p = &m->pool;
	uint32_t ms = RETRY_FIRST_MS << (p->failures < 9 ? p->failures : 9);
	struct timeval wait;

	if (ms > RETRY_MOST_MS)
		ms = RETRY_MOST_MS;
	p->failures++;
	wait = (struct timeval){ ms / 1000, (suseconds_t)(ms % 1000) * 1000 };
	event_add(p->retry, &wait);
	snprintf(p->cause, sizeof(p->cause), "%s", cause);
	log_err("a new worker failed: %s; next try in %u.%u s", cause, ms / 1000, ms % 1000 / 100);

	/* One crash can be an accident; a worker that says why it cannot work is believed. */
	p->hopeless = final || p->failures > 1;
	if (p->hopeless && p->idle == 0)
		sched_fail_waiting(m, VGPU_EBACKEND, cause);
	if (m->on_status)
		m->on_status(m);
	started(m, status);
}

void pool_balance(struct mediator *m)
{
	struct pool *p = &m->pool;
	uint32_t wanted = m->config.pool_size + sched_waiting(m);
	struct worker_proc *w;
	int rc;

	if (m->draining)
		return;
	if (p->idle + p->warming > wanted && p->idle > m->config.pool_size)
		retire_idle(m, p->idle - m->config.pool_size);
	while (p->idle + p->warming < wanted && p->warming < WARMING_MAX &&
	       !event_pending(p->retry, EV_TIMEOUT, NULL)) {
		rc = proc_start(m, &w);
		if (rc < 0) {
			note_failure(m, false, VGPU_EWORKER, strerror(-rc));
			return;
		}
	}
}

struct worker_proc *pool_take(struct mediator *m)
{
	struct worker_proc *w;

	TAILQ_FOREACH(w, &m->pool.workers, link) {
		if (w->state != WORKER_STATE_IDLE || w->ending)
			continue;
		m->pool.idle--;
		m->pool.failures = 0;
		return w;
	}
	return NULL;
}

/* Nobody who reads the log at all shall miss it. */
static void warn_of_fallback(const char *why)
{
	log_warn("*******************************************************************");
	log_warn("** NO GPU IS USED: backend = auto found none it can work with.   **");
	log_warn("** All work is done by the CPU, which is slow.                   **");
	log_warn("** To stop rather than fall back, set backend = cuda.            **");
	log_warn("*******************************************************************");
	log_warn("no GPU because: %s", why[0] ? why : "unknown");
}

static void note_backend(struct mediator *m, const struct worker_ready *ready)
{
	struct pool *p = &m->pool;
	const struct backend_info *i = &ready->info;
	bool changed = !p->have_info || p->fallback != !!ready->fallback ||
		       strcmp(p->info.device, i->device) != 0;

	p->have_info = true;
	p->fallback = ready->fallback;
	p->info = *i;
	if (!changed)
		return;
	if (i->kind == VGPU_BACKEND_CUDA)
		log_info("backend cuda: %s, %llu MiB, compute capability %u.%u, driver %u.%u, "
			 "runtime %u.%u",
			 i->device, (unsigned long long)(i->memory_total >> 20), i->compute_major,
			 i->compute_minor, i->driver_version / 1000, i->driver_version % 1000 / 10,
			 i->runtime_version / 1000, i->runtime_version % 1000 / 10);
	else
		log_info("backend cpu: %s", i->device);
	if (p->fallback)
		warn_of_fallback(ready->why);
	if (i->host_exposed)
		log_warn("the driver lets kernels reach all memory of the worker that runs them "
			 "(HMM or "
			 "ATS), and could not be told not to: a guest can take its worker over; "
			 "load "
			 "nvidia-uvm with uvm_disable_hmm=1");
	if (m->on_status)
		m->on_status(m);
}

void pool_worker_ready(struct mediator *m, struct worker_proc *w)
{
	m->pool.warming--;
	m->pool.idle++;
	m->pool.hopeless = false;
	note_backend(m, &w->ready);
	log_debug("worker %d: ready", (int)w->pid);
	started(m, 0);
	sched_dispatch(m);
	pool_balance(m);
}

void pool_worker_gone(struct mediator *m, struct worker_proc *w, const char *how)
{
	if (w->state == WORKER_STATE_WARMING) {
		/* not counted while sched_fail_waiting() looks */
		if (!m->draining)
			note_failure(m, w->told_why, w->told_why ? w->reason : VGPU_EWORKER, how);
		return;
	}
	if (w->asked)
		return; /* retired */
	log_warn("worker %d: ended while idle: %s", (int)w->pid, how);
	if (clock_us() - w->since_us < LIVED_WELL_US)
		note_failure(m, false, VGPU_EWORKER, how);
	else
		m->pool.failures = 0;
}
