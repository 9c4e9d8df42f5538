/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions of the program's that streams wait for. A thread of the library's runs them, and takes
 * part in waiting as long as any is under way; the first one starts it.
 */
#include <stdlib.h>

#include "call.h"

/* Under way at a time; the host allows more, and each keeps a place for its answer. */
#define FUNCS_MAX (CHANNEL_ENTRIES / 2)

/* How often the thread looks whether it is to stop: its sleep is in the transport. */
#define LOOK_MS 50

_Static_assert(FUNCS_MAX <= VGPU_HOST_FUNCS_MAX, "the host has room for them");

struct host_func {
	struct host_func *next; /* due after it; of the list of all: `all` */
	struct host_func *all;
	vgpu_host_fn fn;
	void *opaque;
	uint32_t number;
};

struct host_funcs {
	pthread_t thread;
	pthread_cond_t work; /* there is something to wait for or to run, or to stop */
	bool stop;
	uint32_t number; /* of the last */
	uint32_t count;  /* under way, those that are due included */
	struct host_func *all;
	struct host_func *due, **due_end;
};

static void forget(struct host_funcs *funcs, struct host_func *f)
{
	struct host_func **at = &funcs->all;

	while (*at != f)
		at = &(*at)->all;
	*at = f->all;
	funcs->count--;
	free(f);
}

void host_func_due(struct vgpu *vgpu, struct host_func *f, int status)
{
	struct host_funcs *funcs = vgpu->gpu.host_funcs;

	if (status) {
		forget(funcs, f);
		return;
	}
	*funcs->due_end = f;
	funcs->due_end = &f->next;
}

static bool due_or_stop(struct vgpu *vgpu, void *opaque)
{
	(void)opaque;
	return vgpu->gpu.host_funcs->due || vgpu->gpu.host_funcs->stop;
}

/* Run the first that is due, without the lock, and tell the host. */
static void run_one(struct call *c, struct host_funcs *funcs)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_HOST_FUNC_DONE };
	struct host_func *f = funcs->due;
	struct vgpu_host_func_args args = { .number = f->number };

	funcs->due = f->next;
	if (!f->next)
		funcs->due_end = &funcs->due;
	call_pause(c);
	f->fn(f->opaque);
	call_resume(c);
	call_args(&req, args);
	if (!funcs->stop && call_ready(c) == 0)
		call_post(c, &req);
	forget(funcs, f);
	call_changed(c);
}

static void *host_funcs_run(void *opaque)
{
	struct vgpu *vgpu = opaque;
	struct host_funcs *funcs;
	struct call c = { .vgpu = vgpu, .deadline_ns = -1 };

	call_resume(&c);
	funcs = vgpu->gpu.host_funcs;
	while (!funcs->stop) {
		if (funcs->due)
			run_one(&c, funcs);
		else if (funcs->count && !vgpu->dead)
			wait_until(vgpu, due_or_stop, NULL, NULL, clock_deadline(LOOK_MS), &c.why);
		else
			pthread_cond_wait(&funcs->work, &vgpu->lock);
	}
	call_pause(&c);
	return NULL;
}

static int start(struct call *c)
{
	struct gpu *g = &c->vgpu->gpu;
	struct host_funcs *funcs;
	int rc;

	if (g->host_funcs)
		return 0;
	funcs = calloc(1, sizeof(*funcs));
	if (!funcs)
		return because(&c->why, VGPU_ENOMEM, "host function: out of memory");
	funcs->due_end = &funcs->due;
	pthread_cond_init(&funcs->work, NULL);
	g->host_funcs = funcs; /* the thread takes the lock first */
	rc = thread_start(&funcs->thread, host_funcs_run, c->vgpu);
	if (rc == 0)
		return 0;
	g->host_funcs = NULL;
	pthread_cond_destroy(&funcs->work);
	free(funcs);
	return because(&c->why, VGPU_ENOMEM, "host function: start thread: %s", strerror(rc));
}

void host_funcs_stop(struct vgpu *vgpu)
{
	struct host_funcs *funcs = vgpu->gpu.host_funcs;

	if (!funcs)
		return;
	pthread_mutex_lock(&vgpu->lock);
	funcs->stop = true;
	pthread_cond_signal(&funcs->work);
	wait_wake(vgpu);
	pthread_mutex_unlock(&vgpu->lock);
	pthread_join(funcs->thread, NULL);
	while (funcs->all)
		forget(funcs, funcs->all);
	pthread_cond_destroy(&funcs->work);
	free(funcs);
	vgpu->gpu.host_funcs = NULL;
}

static bool fewer(struct vgpu *vgpu, void *opaque)
{
	(void)opaque;
	return vgpu->gpu.host_funcs->count < FUNCS_MAX;
}

static int launch(struct call *c, vgpu_stream stream, vgpu_host_fn fn, void *opaque)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_HOST_FUNC };
	struct vgpu_host_func_args args = { .stream = stream };
	struct vgpu *h = c->vgpu;
	struct host_funcs *funcs;
	struct host_func *f;
	int rc = start(c);

	if (rc == 0)
		rc = wait_until(h, fewer, NULL, NULL, c->deadline_ns, &c->why);
	if (rc == 0)
		rc = call_ready(c);
	if (rc == 0 && gpu_captures(&h->gpu, stream))
		rc = GPU_ERROR_CAPTURE_UNSUPPORTED;
	if (rc == 0)
		rc = gpu_work(&h->gpu, stream);
	if (rc)
		return rc;
	f = malloc(sizeof(*f));
	if (!f)
		return because(&c->why, VGPU_ENOMEM, "host function: out of memory");
	funcs = h->gpu.host_funcs;
	args.number = ++funcs->number;
	*f = (struct host_func){
		.all = funcs->all, .fn = fn, .opaque = opaque, .number = args.number
	};
	funcs->all = f;
	funcs->count++;
	call_args(&req, args);
	rc = call_detach(c, &req, NULL, f);
	pthread_cond_signal(&funcs->work);
	return rc;
}

int vgpu_launch_host_func(struct vgpu *vgpu, vgpu_stream stream, vgpu_host_fn fn, void *opaque)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = vgpu->dead;
	if (rc == 0)
		rc = fn ? launch(&c, stream, fn, opaque) : GPU_ERROR_INVALID_VALUE;
	return call_end(&c, rc);
}
