/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "mediator_peer.h"
#include "mediator_scheduler.h"
#include "mediator_worker.h"
#include "mediator_xen.h"

static struct event_base *new_base(void)
{
	struct event_config *cfg = event_config_new();
	struct event_base *base;

	if (!cfg)
		return NULL;
	event_config_set_flag(cfg, EVENT_BASE_FLAG_NOLOCK);
	base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	return base;
}

int mediator_init(struct mediator *m, const struct mediator_config *config)
{
	memset(m, 0, sizeof(*m));
	m->config = *config;
	TAILQ_INIT(&m->vms);
	TAILQ_INIT(&m->peers);
	TAILQ_INIT(&m->channels);
	TAILQ_INIT(&m->pool.workers);
	m->base = new_base();
	if (!m->base || pool_init(m) < 0) {
		mediator_dispose(m);
		return -ENOMEM;
	}
	return 0;
}

void mediator_dispose(struct mediator *m)
{
	struct channel *ch;

	if (!m->base)
		return;
	m->on_status = NULL;
	m->on_drained = NULL;
	m->on_started = NULL;
	m->draining = true; /* nothing new starts from here on */
	xen_stop(m);
	while (!TAILQ_EMPTY(&m->peers))
		peer_free(TAILQ_FIRST(&m->peers));
	/* What is left are channels without peer whose workers were asked to end. */
	while ((ch = TAILQ_FIRST(&m->channels))) {
		struct worker_proc *w = ch->worker;

		sched_worker_gone(w, "the mediator ends");
		proc_abandon(w);
	}
	pool_dispose(m);
	event_base_free(m->base);
	m->base = NULL;
}

void mediator_drain(struct mediator *m, uint32_t timeout_ms)
{
	struct worker_proc *w;

	m->draining = true;
	sched_drain(m, timeout_ms);
	TAILQ_FOREACH(w, &m->pool.workers, link)
		if (!w->channel || timeout_ms == 0)
			proc_stop(w, timeout_ms < STOP_GRACE_MS ? timeout_ms : STOP_GRACE_MS);
	if (m->pool.total == 0 && m->on_drained)
		m->on_drained(m);
}

void mediator_reconfigured(struct mediator *m)
{
	pool_balance(m);
	xen_reconfigured(m);
	if (m->on_status)
		m->on_status(m);
}
