// SPDX-License-Identifier: GPL-2.0-or-later
/* What is done now, and what is kept until it can be. */
#include "backend_cpu.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../common/errors.h"
#include "mediator_throttle.h"

/* What is kept costs the host memory. */
#define KEPT_BYTES_MAX (64ull << 20)
#define WAIT_US 50u

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

struct backend_fence *cpu_point_new(void)
{
	struct backend_fence *point = calloc(1, sizeof(*point));

	if (point)
		point->refs = 1;
	return point;
}

void cpu_point_put(struct backend_fence *point)
{
	if (point && --point->refs == 0)
		free(point);
}

static void point_reached(struct backend_fence *point)
{
	point->done = true;
	point->ns = clock_ns();
}

struct cpu_op *cpu_op_copy(const struct cpu_op *op)
{
	struct cpu_op *copy = malloc(sizeof(*copy) + op->bytes);

	if (!copy)
		return NULL;
	memcpy(copy, op, sizeof(*copy));
	if (op->bytes)
		memcpy(copy->own, op->data, op->bytes);
	copy->data = copy->own;
	if (copy->point)
		copy->point->refs++;
	return copy;
}

static void op_free(struct cpu_op *op)
{
	cpu_point_put(op->point);
	free(op);
}

static int launch(struct backend *b, const struct cpu_op *op)
{
	struct backend_launch l = op->launch;

	l.params = op->data;
	l.param_bytes = op->bytes;
	return op->kernel->run(b, &l);
}

static void execute(struct backend *b, const struct cpu_op *op)
{
	switch (op->kind) {
	case CPU_COPY:
		b->fault = cpu_do_copy(b, &op->copy);
		break;
	case CPU_MEMSET:
		b->fault = cpu_do_memset(b, &op->set);
		break;
	case CPU_WRITE:
		b->fault = cpu_do_write(b, op->dst, op->data, op->bytes);
		break;
	case CPU_LAUNCH:
		b->fault = launch(b, op);
		break;
	case CPU_READ:
		b->fault = cpu_do_read(b, &op->read, op->point);
		point_reached(op->point);
		break;
	case CPU_RECORD:
		point_reached(op->point);
		break;
	case CPU_WAIT:
	case CPU_HOLD:
		break;
	}
}

/* Does it take longer yet? Its time begins when its turn has come. */
static bool takes_time(struct cpu_op *op)
{
	struct backend_launch l = op->launch;

	if (!op->kernel->takes_us)
		return false;
	if (!op->end_us) {
		l.params = op->data;
		op->end_us = clock_us() + op->kernel->takes_us(&l);
	}
	return clock_us() < op->end_us;
}

/* For a reason of its own, not because of its place in the order. */
static bool has_to_wait(struct backend *b, struct cpu_op *op)
{
	switch (op->kind) {
	case CPU_LAUNCH:
		return takes_time(op);
	case CPU_WAIT:
		return !op->point->done;
	case CPU_HOLD:
		return !b->released[op->number];
	default:
		return false;
	}
}

static void remove_kept(struct backend *b, struct cpu_op *op)
{
	struct backend_stream *s = op->stream;

	TAILQ_REMOVE(&b->kept, op, link);
	b->kept_bytes -= sizeof(*op) + op->bytes;
	if (s && --s->ops == 0 && s->destroyed)
		free(s);
	op_free(op);
}

/* The context has ended: nothing is done any more, and nobody waits in vain. */
static void drop_kept(struct backend *b)
{
	struct cpu_op *op;

	while ((op = TAILQ_FIRST(&b->kept))) {
		if (op->kind == CPU_RECORD || op->kind == CPU_READ)
			point_reached(op->point);
		remove_kept(b, op);
	}
}

/* One look at the list: what cannot go on stops what comes behind it in its stream. */
struct pass {
	bool any;           /* stopped */
	bool any_blocking;  /* of the streams that the default stream waits for */
	bool default_stops; /* and that wait for it */
};

static bool is_stopped(struct backend *b, const struct pass *p, const struct cpu_op *op)
{
	const struct backend_stream *s = op->stream;

	if (!s)
		return p->any;
	if (s->pass == b->pass)
		return true;
	if (s->non_blocking)
		return false;
	return s == &b->default_stream ? p->any_blocking : p->default_stops;
}

static void stops(struct backend *b, struct pass *p, struct cpu_op *op)
{
	struct backend_stream *s = op->stream;

	p->any = true;
	if (op->passive)
		return;
	s->pass = b->pass;
	if (s == &b->default_stream)
		p->default_stops = true;
	else if (!s->non_blocking)
		p->any_blocking = true;
}

void cpu_progress(struct backend *b)
{
	struct cpu_op *op = TAILQ_FIRST(&b->kept), *next;
	struct pass p = { 0 };

	b->pass++;
	for (; op && !b->fault; op = next) {
		next = TAILQ_NEXT(op, link);
		if (is_stopped(b, &p, op) || has_to_wait(b, op)) {
			stops(b, &p, op);
			continue;
		}
		execute(b, op);
		remove_kept(b, op);
	}
	if (b->fault)
		drop_kept(b);
}

static int keep(struct backend *b, const struct cpu_op *op)
{
	const uint64_t bytes = sizeof(*op) + op->bytes;
	struct cpu_op *copy;

	if (b->kept_bytes + bytes > KEPT_BYTES_MAX)
		cpu_progress(b);
	if (b->kept_bytes + bytes > KEPT_BYTES_MAX)
		return VGPU_EQUOTA;
	copy = cpu_op_copy(op);
	if (!copy)
		return VGPU_ENOMEM;
	TAILQ_INSERT_TAIL(&b->kept, copy, link);
	b->kept_bytes += bytes;
	if (copy->stream)
		copy->stream->ops++;
	return 0;
}

static int capture(struct backend_graph *g, const struct cpu_op *op)
{
	struct cpu_op *copy;

	if (g->spoiled)
		return CPU_CAPTURE_INVALIDATED;
	copy = cpu_op_copy(op);
	if (!copy)
		return VGPU_ENOMEM;
	TAILQ_INSERT_TAIL(&g->ops, copy, link);
	return 0;
}

/* Would the default stream have to wait for a stream that only records? */
static bool implies_capture(const struct backend *b)
{
	const struct backend_graph *g;

	LIST_FOREACH(g, &b->captures, link)
		if (!g->origin->non_blocking)
			return true;
	return false;
}

int cpu_may_wait(struct backend *b, const struct backend_stream *s)
{
	if (s->capture)
		return CPU_CAPTURE_UNSUPPORTED;
	return s == &b->default_stream && implies_capture(b) ? CPU_CAPTURE_IMPLICIT : 0;
}

int cpu_submit(struct backend *b, const struct cpu_op *op)
{
	struct cpu_op now = *op;

	if (b->fault)
		return b->fault;
	if (op->stream && op->stream->capture)
		return capture(op->stream->capture, op);
	if (op->stream == &b->default_stream && implies_capture(b))
		return cpu_capture_refuse(b, op->stream, CPU_CAPTURE_IMPLICIT);
	if (!TAILQ_EMPTY(&b->kept) || has_to_wait(b, &now))
		return keep(b, op);
	execute(b, op);
	return 0;
}

int cpu_submit_point(struct backend *b, struct cpu_op *op, struct backend_fence **out)
{
	int rc;

	op->point = cpu_point_new();
	if (!op->point)
		return VGPU_ENOMEM;
	rc = cpu_submit(b, op);
	if (rc)
		cpu_point_put(op->point);
	else
		*out = op->point;
	return rc;
}

void cpu_wait(struct backend *b, const struct backend_fence *point)
{
	for (;;) {
		cpu_progress(b);
		if (point->done || b->fault)
			return;
		usleep(WAIT_US);
	}
}

void cpu_queue_init(struct backend *b)
{
	TAILQ_INIT(&b->kept);
	LIST_INIT(&b->streams);
	LIST_INIT(&b->captures);
}

void cpu_queue_dispose(struct backend *b)
{
	drop_kept(b);
}
