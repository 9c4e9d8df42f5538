/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../host/mediator_scheduler.h"
#include "../../protocol/vgpu_commands.h"

int fake_start_error;
int fake_assign_error;
unsigned int fake_started;
unsigned int fake_killed;
struct worker_assign fake_assign;

int proc_start(struct mediator *m, struct worker_proc **out)
{
	struct worker_proc *w;

	if (fake_start_error)
		return -fake_start_error;
	w = calloc(1, sizeof(*w));
	w->m = m;
	w->pid = (pid_t)(100000 + fake_started++);
	w->state = WORKER_STATE_WARMING;
	TAILQ_INSERT_TAIL(&m->pool.workers, w, link);
	m->pool.total++;
	m->pool.warming++;
	*out = w;
	return 0;
}

int proc_assign(struct worker_proc *w, struct channel *ch, const struct worker_assign *assign,
		const int *fds, uint32_t nfds)
{
	if (fake_assign_error)
		return -fake_assign_error;
	for (uint32_t i = 0; i < nfds; i++)
		if (fds[i] < 0)
			abort();
	fake_assign = *assign;
	w->channel = ch;
	w->state = WORKER_STATE_ASSIGNED;
	return 0;
}

void proc_stop(struct worker_proc *w, uint32_t grace_ms)
{
	w->asked = true;
	w->ending = true;
	if (grace_ms == 0)
		proc_kill(w);
}

void proc_kill(struct worker_proc *w)
{
	w->ending = true;
	fake_killed += !w->killed;
	w->killed = true;
}

void proc_abandon(struct worker_proc *w)
{
	TAILQ_REMOVE(&w->m->pool.workers, w, link);
	w->m->pool.total--;
	if (w->state == WORKER_STATE_WARMING)
		w->m->pool.warming--;
	else if (w->state == WORKER_STATE_IDLE)
		w->m->pool.idle--;
	free(w);
}

struct worker_proc *fake_find(struct mediator *m, enum worker_state state)
{
	struct worker_proc *w;

	TAILQ_FOREACH(w, &m->pool.workers, link)
		if (w->state == state)
			return w;
	return NULL;
}

unsigned int fake_count(struct mediator *m, enum worker_state state)
{
	struct worker_proc *w;
	unsigned int n = 0;

	TAILQ_FOREACH(w, &m->pool.workers, link)
		n += w->state == state;
	return n;
}

void fake_ready(struct worker_proc *w, bool fallback)
{
	w->ready.type = WORKER_READY;
	w->ready.fallback = fallback;
	w->ready.info.kind = VGPU_BACKEND_CPU;
	strcpy(w->ready.info.device, "fake");
	strcpy(w->ready.why, fallback ? "no driver" : "");
	w->state = WORKER_STATE_IDLE;
	w->since_us = clock_us();
	pool_worker_ready(w->m, w);
}

void fake_ready_all(struct mediator *m)
{
	struct worker_proc *w;

	while ((w = fake_find(m, WORKER_STATE_WARMING)))
		fake_ready(w, false);
}

void fake_attached(struct worker_proc *w, int32_t status, const char *why)
{
	w->state = WORKER_STATE_SERVING;
	sched_worker_attached(w, status, why);
}

void fake_message(struct worker_proc *w, const char *text)
{
	sched_worker_message(w, text, strlen(text));
}

void fake_gone(struct worker_proc *w, int32_t reason, const char *why)
{
	struct mediator *m = w->m;

	w->told_why = why != NULL;
	w->reason = reason;
	if (!why)
		why = "killed by signal 9 (Killed)";
	if (w->channel)
		sched_worker_gone(w, why);
	else
		pool_worker_gone(m, w, why);
	proc_abandon(w);
	pool_balance(m);
	if (m->draining && m->pool.total == 0 && m->on_drained)
		m->on_drained(m);
}
