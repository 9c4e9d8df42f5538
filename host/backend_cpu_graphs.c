// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A graph is the ops that its streams were given, in the order in which they came: that is one of
 * the orders which the streams and their events allow.
 */
#include "backend_cpu.h"

#include <stdlib.h>

#include "../common/errors.h"

int cpu_capture_begin(struct backend *b, struct backend_stream *s, uint32_t mode)
{
	struct backend_graph *g;

	(void)mode; /* which calls of other threads it forbids: there are none */
	if (b->fault)
		return b->fault;
	if (!s)
		return CPU_CAPTURE_UNSUPPORTED;
	if (s->capture)
		return CPU_ILLEGAL_STATE;
	g = calloc(1, sizeof(*g));
	if (!g)
		return VGPU_ENOMEM;
	TAILQ_INIT(&g->ops);
	g->number = ++b->last_capture;
	g->origin = s;
	s->capture = g;
	LIST_INSERT_HEAD(&b->captures, g, link);
	return 0;
}

struct backend_graph *cpu_capture_find(struct backend *b, uint64_t number)
{
	struct backend_graph *g;

	LIST_FOREACH(g, &b->captures, link)
		if (g->number == number)
			return g;
	return NULL;
}

int cpu_capture_refuse(struct backend *b, const struct backend_stream *s, int rc)
{
	struct backend_graph *g;

	LIST_FOREACH(g, &b->captures, link)
		if (s == &b->default_stream ? !g->origin->non_blocking : s->capture == g)
			g->spoiled = true;
	return rc;
}

int cpu_capture_refuse_event(struct backend *b, const struct backend_event *e)
{
	struct backend_graph *g = cpu_capture_find(b, e->capture);

	if (g)
		g->spoiled = true;
	return CPU_CAPTURED_EVENT;
}

int cpu_capture_end(struct backend *b, struct backend_stream *s, struct backend_graph **out)
{
	struct backend_graph *g = s ? s->capture : NULL;
	struct backend_stream *other;

	if (!g)
		return CPU_ILLEGAL_STATE;
	if (g->origin != s)
		return CPU_CAPTURE_UNMATCHED;
	LIST_FOREACH(other, &b->streams, link)
		if (other->capture == g)
			other->capture = NULL;
	LIST_REMOVE(g, link);
	g->origin = NULL;
	if (b->fault || g->spoiled) {
		cpu_graph_destroy(b, g);
		return b->fault ? b->fault : CPU_CAPTURE_INVALIDATED;
	}
	*out = g;
	return 0;
}

int cpu_graph_launch(struct backend *b, struct backend_graph *g, struct backend_stream *s)
{
	struct cpu_op *op;
	int rc = b->fault;

	TAILQ_FOREACH(op, &g->ops, link) {
		op->stream = cpu_stream(b, s);
		rc = cpu_submit(b, op);
		if (rc)
			break;
	}
	return rc;
}

void cpu_graph_destroy(struct backend *b, struct backend_graph *g)
{
	struct cpu_op *op;

	(void)b;
	while ((op = TAILQ_FIRST(&g->ops))) {
		TAILQ_REMOVE(&g->ops, op, link);
		free(op);
	}
	free(g);
}
