/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GPU work of a channel (vgpu_gpu.h): what each command checks and asks of the backend.
 *
 * A command that is answered when done takes a fence of the backend's and is put into the table
 * of what is pending; gpu_poll() looks after that between other requests.
 *
 * Markers are fences that nobody waits for: by them the worker sees that the GPU gets on with what
 * it was handed. Work that was handed over is either marked, or its stream is on the list of those
 * that have something unmarked.
 */
#ifndef HOST_WORKER_GPU_H
#define HOST_WORKER_GPU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../protocol/vgpu_gpu.h"
#include "allocations.h"
#include "backend.h"
#include "worker_handles.h"

/* What a command returns whose answer comes from gpu_poll(). No status has this number. */
#define GPU_DEFERRED INT32_MIN

/* CUDA's numbers (driver_types.h, enum cudaError) that the checks here answer with. */
enum gpu_error {
	GPU_INVALID_VALUE = 1,
	GPU_INVALID_PITCH = 12,
	GPU_INVALID_FUNCTION = 98,
	GPU_INVALID_HANDLE = 400,
	GPU_NOT_READY = 600,
	GPU_CAPTURE_UNSUPPORTED = 900, /* the first of those about captures */
	GPU_CAPTURE_LAST = 908,
};

struct gpu_stream {
	struct backend_stream *object; /* NULL: the default stream */
	uint32_t unmarked;             /* requests into it since its last marker */
	uint32_t capture;              /* the capture that it is part of, or 0 */
	bool non_blocking;             /* it and the default stream pass each other */
	bool captures;                 /* its capture began here */
	LIST_ENTRY(gpu_stream) link;   /* while something is unmarked */
};

struct gpu_event {
	struct backend_event *object;
	uint32_t capture; /* recorded in it, or 0 */
};

struct gpu_kernel {
	struct backend_kernel *object;
	uint32_t handle;
	uint32_t params;
	uint32_t param_bytes;
	LIST_ENTRY(gpu_kernel) link; /* of its module's */
};

struct gpu_module {
	struct backend_module *object; /* NULL until it is loaded */
	uint8_t *image;                /* the pieces, until then */
	uint64_t got;
	uint64_t total;
	bool failed; /* its place can be used anew */
	LIST_HEAD(, gpu_kernel) kernels;
};

enum pending_kind {
	PENDING_WORK,
	PENDING_HOST_FUNC,
	PENDING_COPY_HELD, /* until its stream gets there */
	PENDING_COPY,      /* until it is made */
};

struct pending {
	uint32_t id;
	enum pending_kind kind;
	struct backend_fence *fence; /* NULL: it came to nothing, for this reason: */
	int status;
	uint32_t slot; /* of the host function, or where its stream stops for a copy */
	bool silent;   /* nobody waits for the copy */
	struct backend_copy copy;
};

struct pending_table {
	struct pending *at;
	uint32_t count;
	uint32_t room;
	uint32_t next;     /* to look at */
	uint32_t unmarked; /* its place + 1; 0: all fences are marked */
};

struct host_func {
	uint32_t number; /* 0: free */
	bool reached;    /* the guest was told to run it */
};

/* What would wait for the device, while that may be waiting for the guest. */
struct postponed {
	uint64_t address;
	struct backend_module *module; /* or this */
};

#define MARKERS_MAX 256u /* a power of two */

struct markers {
	struct backend_fence *fences[MARKERS_MAX];
	uint32_t head; /* free-running: the oldest */
	uint32_t tail;
	uint64_t head_us;   /* when the oldest became that */
	uint64_t marked_us; /* when all streams were last marked */
};

struct gpu {
	const struct backend_ops *ops;
	struct backend *backend;
	uint8_t *window; /* the guest can write it at any time */
	uint64_t window_bytes;
	bool copies_wait;     /* those of the window may, in the backend */
	uint64_t deadline_us; /* 0: none, and no markers */

	struct allocations memory;
	struct handles streams, events, modules, kernels, graphs;
	struct gpu_stream default_stream;
	struct backend_stream *copier; /* of the worker's own, when it is needed */
	uint64_t image_bytes;          /* of modules that are being sent */
	uint8_t *params;               /* of a launch whose parameters are in the window */

	uint32_t captures;     /* under way in streams that the default stream would wait for */
	uint32_t last_capture; /* number */

	struct pending_table pending;
	struct host_func *host_funcs; /* VGPU_HOST_FUNCS_MAX */
	uint32_t host_funcs_active;
	uint32_t last_host_func; /* number */
	struct postponed *postponed;
	uint32_t postponed_count;

	LIST_HEAD(, gpu_stream) unmarked;
	struct markers markers;
	int failure; /* of work that nobody waits for: the first, until it is taken from here */
};

/* @g is all 0 but its first six members. */
void gpu_init(struct gpu *g);
void gpu_dispose(struct gpu *g);

/* Must come before each request: no fence may wait for what comes after it. */
void gpu_mark_pending(struct gpu *g);

/*
 * Look at one of those that are pending. Returns whether it is done and @rsp, complete, the
 * answer. With @lost, any one is done, with that status.
 */
bool gpu_poll(struct gpu *g, struct vgpu_response *rsp, int lost);

/*
 * Look after the markers. @idle: mark all work, since no request will. Returns 0, or
 * VGPU_EDEADLINE: the GPU has got nowhere for that long.
 */
int gpu_tend(struct gpu *g, uint64_t now_us, bool idle);

/* Is there work that only gpu_tend() watches over? */
static inline bool gpu_watched(const struct gpu *g)
{
	return g->markers.head != g->markers.tail || !LIST_EMPTY(&g->unmarked);
}

/* ---- within worker_gpu*.c ---- */

/* Work was handed over in @s. */
#define GPU_MARK_EVERY 64u
void gpu_mark_stream(struct gpu *g, struct gpu_stream *s);
static inline void gpu_submitted(struct gpu *g, struct gpu_stream *s)
{
	if (!g->deadline_us || s->capture)
		return;
	if (s->unmarked++ == 0)
		LIST_INSERT_HEAD(&g->unmarked, s, link);
	else if (s->unmarked >= GPU_MARK_EVERY)
		gpu_mark_stream(g, s);
}

/* As gpu_submitted(), if @rc, which it returns, says that work was handed over. */
static inline int gpu_handed_over(struct gpu *g, struct gpu_stream *s, int rc)
{
	if (__builtin_expect(rc == 0, 1))
		gpu_submitted(g, s);
	return rc;
}

/* Work failed that nobody waits for. */
static inline void gpu_failed(struct gpu *g, int rc)
{
	if (!g->failure)
		g->failure = rc;
}

/* Before @s goes, or what "the default stream" means changes. */
void gpu_mark_last(struct gpu *g, struct gpu_stream *s);

/* The stream, or NULL: no such handle. */
static inline struct gpu_stream *gpu_stream_find(struct gpu *g, uint32_t handle)
{
	return handle ? handles_find(&g->streams, handle) : &g->default_stream;
}

/* Of a kernel and a graph that are not there; 0 is CUDA's NULL. */
static inline int gpu_no_kernel(uint32_t handle)
{
	return handle ? GPU_INVALID_HANDLE : GPU_INVALID_FUNCTION;
}

static inline int gpu_no_graph(uint32_t handle)
{
	return handle ? GPU_INVALID_HANDLE : GPU_INVALID_VALUE;
}

/* Can one more be pending? */
int gpu_pending_reserve(struct gpu *g);

/* A fence of the stream, device or event, and @p pending until it is done. GPU_DEFERRED, or why
 * not. After gpu_pending_reserve(). */
int gpu_defer(struct gpu *g, const struct pending *p, uint32_t kind, void *object);
int gpu_defer_fence(struct gpu *g, const struct pending *p);

/* The capture that began in @origin is over for all streams and events of it. */
void gpu_capture_forget(struct gpu *g, struct gpu_stream *origin);

/*
 * A fence of these came to @rc, which is returned. If captures forbid it, they are spoiled, as CUDA
 * does for a wait that it refuses.
 */
int gpu_capture_spoil(struct gpu *g, uint32_t kind, struct backend_stream *stream, int rc);

/* Free or unload once no host function is under way: at once if none is. Reserve first. */
int gpu_postpone_reserve(struct gpu *g);
int gpu_postpone(struct gpu *g, const struct postponed *what);
void gpu_run_postponed(struct gpu *g);

/*
 * A copy that the backend could wait in, while streams wait for functions of the guest's: later,
 * when @s has got to it. GPU_DEFERRED, or why not.
 */
int gpu_copy_held(struct gpu *g, struct gpu_stream *s, const struct vgpu_request *req,
		  const struct backend_copy *c);
/* Its stream is there: @p waits for the copy itself from here on, or why it cannot. */
int gpu_copy_start(struct gpu *g, struct pending *p);
/* It is over, and its stream goes on. */
void gpu_copy_end(struct gpu *g, const struct pending *p, int status);

void gpu_modules_dispose(struct gpu *g);
void gpu_streams_dispose(struct gpu *g);

/*
 * The commands. @req is in private memory; flags, the zeros behind its arguments and its range of
 * the window are checked.
 */
typedef int gpu_command_fn(struct gpu *g, const struct vgpu_request *req,
			   struct vgpu_response *rsp);

gpu_command_fn gpu_device_info, gpu_device_set, gpu_memory_info;
gpu_command_fn gpu_alloc, gpu_free, gpu_memset, gpu_copy, gpu_write, gpu_read;
gpu_command_fn gpu_module_data, gpu_module_load, gpu_module_unload;
gpu_command_fn gpu_kernel_get, gpu_kernel_params, gpu_kernel_set, gpu_occupancy, gpu_launch;
gpu_command_fn gpu_stream_create, gpu_stream_destroy, gpu_stream_wait, gpu_stream_query;
gpu_command_fn gpu_synchronize;
gpu_command_fn gpu_event_create, gpu_event_destroy, gpu_event_record, gpu_event_query;
gpu_command_fn gpu_event_elapsed;
gpu_command_fn gpu_host_func, gpu_host_func_done;
gpu_command_fn gpu_capture_begin, gpu_capture_end, gpu_graph_launch, gpu_graph_destroy;

#endif
