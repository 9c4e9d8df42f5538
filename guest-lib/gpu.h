/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a handle knows of its GPU work. The handle's lock guards it. */
#ifndef GUEST_GPU_H
#define GUEST_GPU_H

#include "gpu_host_memory.h"
#include "gpu_memory.h"
#include "handles.h"
#include "vgpuguest.h"
#include "../protocol/vgpu_gpu.h"

/* Of CUDA's numbers, those that the library gives or knows (driver_types.h, enum cudaError). */
#define GPU_ERROR_INVALID_VALUE 1
#define GPU_ERROR_OUT_OF_MEMORY 2
#define GPU_ERROR_INVALID_PITCH 12
#define GPU_ERROR_INVALID_FUNCTION 98
#define GPU_ERROR_INVALID_DEVICE 101
#define GPU_ERROR_ECC 214
#define GPU_ERROR_FILE_NOT_FOUND 301
#define GPU_ERROR_INVALID_HANDLE 400
#define GPU_ERROR_NOT_FOUND 500
#define GPU_ERROR_NOT_READY 600
#define GPU_ERROR_FAULT_FIRST 700 /* an illegal address and its like, */
#define GPU_ERROR_FAULT_LAST 719  /* to a launch that failed */
#define GPU_ERROR_ALREADY_REGISTERED 712
#define GPU_ERROR_NOT_REGISTERED 713
#define GPU_ERROR_CAPTURE_UNSUPPORTED 900

struct copy_threads;
struct host_funcs;
struct host_func;
struct call;

struct gpu_stream {
	struct handle_slot slot;
	uint64_t work; /* gpu.work of the last */
	bool busy;     /* work was put into it since it was last synchronized */
	bool non_blocking;
	uint32_t capture; /* stream whose capture it takes part in, or 0 */
};

struct gpu_event {
	struct handle_slot slot;
	uint32_t capture; /* stream in whose capture it was recorded, or 0 */
};

struct gpu_module {
	struct handle_slot slot;
	uint32_t kernels; /* the first, or 0 */
	bool loaded;
};

struct gpu_kernel {
	struct handle_slot slot;
	uint32_t module;
	uint32_t next; /* kernel of the module, or 0 */
	bool ready;    /* the host has told of it */
	char *name;
	struct vgpu_kernel_attributes attributes;
	struct vgpu_kernel_param *params; /* NULL: not asked for yet */
};

struct gpu_graph {
	struct handle_slot slot;
};

struct gpu {
	uint32_t selected;
	uint32_t count; /* of GPUs; 0: not asked yet */
	struct vgpu_gpu_properties *properties;
	struct pool pool;
	struct host_ranges host_ranges;
	struct handles streams, events, modules, kernels, graphs;

	uint64_t work;         /* counts what was put into streams */
	uint64_t default_work; /* of the last in the default stream */
	uint64_t default_done; /* what is known to be done in it */
	uint64_t orphan_work;  /* of the last in a stream that was destroyed */
	uint64_t window_work;  /* of the last that uses the program's memory in the window */
	uint64_t synchronized; /* all work up to here is done */
	uint32_t busy;         /* streams */
	uint32_t non_blocking; /* streams */
	uint32_t capturing;    /* streams that began to */

	struct copy_threads *copy_threads; /* NULL: none yet */
	struct host_funcs *host_funcs;     /* NULL: none yet */
};

/* On a handle that is all zero; dispose() after one thread only is left. */
void gpu_init(struct gpu *g);
void gpu_dispose(struct vgpu *vgpu);

/* Work is about to be put into a stream: 0, or GPU_ERROR_INVALID_HANDLE. */
static inline int gpu_work(struct gpu *g, uint32_t handle)
{
	struct gpu_stream *s;

	if (!handle) {
		g->default_work = ++g->work;
		return 0;
	}
	s = handles_get(&g->streams, handle);
	if (!s)
		return GPU_ERROR_INVALID_HANDLE;
	s->work = ++g->work;
	g->busy += !s->busy;
	s->busy = true;
	return 0;
}

/* All that was put into it up to @work is done. */
void gpu_stream_done(struct gpu *g, uint32_t handle, uint64_t work);

/* Does the stream capture? Then nothing may be put into it that is answered. */
bool gpu_captures(const struct gpu *g, uint32_t stream);

/* The capture that began in @stream is over: what took part in it is as it was. */
void gpu_capture_ended(struct gpu *g, uint32_t stream);

/*
 * All work is done, of which a call wants to be sure before it does what it is for: while a stream
 * captures it is refused, and the capture not spoiled. The lock is given up meanwhile.
 */
int gpu_synchronize(struct call *c);

/* Its part of the end: no threads are left. */
void copy_threads_stop(struct copy_threads *t);
void host_funcs_stop(struct vgpu *vgpu);

/* The stream got to the function; or, @status not 0, never will. */
void host_func_due(struct vgpu *vgpu, struct host_func *f, int status);

#endif
