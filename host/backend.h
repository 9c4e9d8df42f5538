/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What executes a channel's GPU work. `cpu` is part of gpu_mediator; `cuda` is a shared
 * object, gpu_mediator_cuda.so, which exports BACKEND_SYMBOL and which the worker loads,
 * so that the mediator itself depends on no CUDA library.
 *
 * A worker has one backend and calls it from its ring thread only. Pointers are the worker's
 * own mapping of the window, whose bytes the guest may change at any time: a backend treats
 * them as data and never as numbers to steer by.
 *
 * worker_gpu.c stands between requests and these functions: it keeps the tables of handles, has
 * checked every range (of the window and of device memory), every size and every flag, and passes
 * objects that this backend made and has not destroyed.
 *
 * Functions return 0, a negative VGPU_E*, or a positive CUDA error number. Unless something else
 * is said, they hand work to the GPU and do not wait for it. A NULL stream is the legacy default
 * stream of the selected device.
 */
#ifndef HOST_BACKEND_H
#define HOST_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../protocol/vgpu_gpu.h"

#define BACKEND_ABI 3u
#define BACKEND_SYMBOL "vgpu_backend_cuda"

struct backend; /* one per worker, the backend's own */

struct backend_info {
	uint32_t kind; /* VGPU_BACKEND_* */
	uint32_t compute_major;
	uint32_t compute_minor;
	uint32_t driver_version;
	uint32_t runtime_version;
	uint32_t multiprocessors;
	uint32_t host_exposed; /* kernels can reach all of this process's memory (HMM, ATS) */
	uint64_t memory_total;
	char device[96];
};

struct backend_stream;
struct backend_event;
struct backend_module;
struct backend_kernel;
struct backend_graph;
struct backend_fence; /* something to be done, that somebody waits for */

/* One row or many. Host addresses are in the window; the others are the device's. */
struct backend_copy {
	uint32_t kind; /* VGPU_COPY_* */
	uint64_t dst;  /* a host's (uintptr_t) or a device's */
	uint64_t src;
	uint64_t dst_pitch;
	uint64_t src_pitch;
	uint64_t width; /* bytes, at least 1 */
	uint64_t height;
};

struct backend_memset {
	uint64_t dst;
	uint64_t pitch;
	uint64_t width; /* elements */
	uint64_t height;
	uint32_t value;
	uint32_t element; /* 1, 2 or 4 bytes */
};

struct backend_launch {
	uint32_t grid[3];
	uint32_t block[3];
	uint32_t dynamic_shared;
	uint32_t param_bytes; /* as many as the kernel has */
	const void *params;   /* packed; private memory */
};

struct backend_ops {
	uint32_t abi; /* BACKEND_ABI */
	const char *name;

	/*
	 * Bring up device number @device so far that the first request finds everything warm
	 * (context, modules, scratch memory). On failure @why gets the cause.
	 */
	int (*open)(struct backend **out, int device, struct backend_info *info, char *why,
		    size_t why_len);
	void (*close)(struct backend *b);

	int (*memory)(struct backend *b, uint64_t *total, uint64_t *free_bytes);

	/*
	 * The channel's window, once, before the first request that uses it. @registrable: the
	 * driver may pin it (cudaHostRegister), which it may not on pages that another domain
	 * granted.
	 */
	int (*window)(struct backend *b, void *base, size_t bytes, bool registrable);

	/* c[i] = a[i] + b[i]; complete when it returns. Pointers into the window or private memory.
	 */
	int (*vector_add)(struct backend *b, const float *a, const float *bb, float *c, size_t n);

	/* ---- devices: a channel may use all that the backend sees; 0 is the one it opened ---- */

	int (*device_info)(struct backend *b, uint32_t device, struct vgpu_device_info *info);
	int (*device_set)(struct backend *b, uint32_t device);

	/* ---- memory ---- */

	int (*alloc)(struct backend *b, uint64_t bytes, uint64_t *address);
	/* Waits for the device. */
	int (*free)(struct backend *b, uint64_t address);
	int (*memset)(struct backend *b, struct backend_stream *s, const struct backend_memset *m);
	/*
	 * Into or from the window: without a stop where the window could be registered, else
	 * through staging memory of the backend's, and then it may wait.
	 */
	int (*copy)(struct backend *b, struct backend_stream *s, const struct backend_copy *c);
	/* @data, private memory, can be used again at once. */
	int (*write)(struct backend *b, struct backend_stream *s, uint64_t dst, const void *data,
		     uint32_t bytes);
	/*
	 * At most VGPU_READ_MAX bytes, as they are when the stream gets there: fence_done() gives
	 * them. VGPU_EQUOTA: some hundreds of reads are under way. Where a capture forbids it this
	 * refuses, and does no harm.
	 */
	int (*read)(struct backend *b, struct backend_stream *s, uint64_t src, uint32_t bytes,
		    struct backend_fence **out);

	/* ---- modules and kernels ---- */

	/* @image, private memory, is not needed any more afterwards. @log gets a compiler's words. */
	int (*module_load)(struct backend *b, const void *image, size_t bytes,
			   struct backend_module **out, char *log, size_t log_len);
	void (*module_unload)(struct backend *b, struct backend_module *m);
	/* @name ends in NUL. Kernels go with their module. */
	int (*kernel_get)(struct backend *b, struct backend_module *m, const char *name,
			  struct backend_kernel **out, struct vgpu_kernel_reply *info);
	int (*kernel_param)(struct backend *b, struct backend_kernel *k, uint32_t index,
			    struct vgpu_kernel_param *out);
	int (*kernel_set)(struct backend *b, struct backend_kernel *k, uint32_t attribute,
			  int32_t value);
	int (*occupancy)(struct backend *b, struct backend_kernel *k, uint32_t block,
			 uint64_t dynamic_shared, uint32_t *blocks);
	int (*launch)(struct backend *b, struct backend_stream *s, struct backend_kernel *k,
		      const struct backend_launch *l);

	/* ---- streams and events ---- */

	int (*stream_create)(struct backend *b, uint32_t flags, int32_t priority,
			     struct backend_stream **out);
	void (*stream_destroy)(struct backend *b, struct backend_stream *s);
	int (*stream_wait)(struct backend *b, struct backend_stream *s, struct backend_event *e);
	/* Where captures forbid it, they are spoiled: capture_end() returns 901. */
	int (*stream_query)(struct backend *b, struct backend_stream *s);
	int (*event_create)(struct backend *b, uint32_t flags, struct backend_event **out);
	void (*event_destroy)(struct backend *b, struct backend_event *e);
	int (*event_record)(struct backend *b, struct backend_event *e, struct backend_stream *s);
	int (*event_query)(struct backend *b, struct backend_event *e);
	int (*event_elapsed)(struct backend *b, struct backend_event *start,
			     struct backend_event *stop, float *ms);

	/* ---- waiting without blocking ---- */

	/*
	 * A fence of what was handed to the GPU until now: in a stream (@kind VGPU_SYNC_STREAM,
	 * @object may be NULL), the device, or behind an event. fence_mark() is called once, before
	 * the next request runs, if it is not done by then: the fence must not wait for what comes
	 * later. Where captures forbid it fence() refuses, and does them no harm. fence_done()
	 * returns VGPU_EBUSY while it is not done; any other answer is final and has freed it. 0
	 * from that of a read() has filled @data, which may be NULL for others. fence_drop()
	 * forgets it.
	 */
	int (*fence)(struct backend *b, uint32_t kind, void *object, struct backend_fence **out);
	int (*fence_mark)(struct backend *b, struct backend_fence *f);
	int (*fence_done)(struct backend *b, struct backend_fence *f, void *data);
	void (*fence_drop)(struct backend *b, struct backend_fence *f);

	/*
	 * Host functions: the stream stops there until release(@number). @number is from 0 to
	 * VGPU_HOST_FUNCS_MAX - 1, and no two under way have the same.
	 */
	int (*hold)(struct backend *b, struct backend_stream *s, uint32_t number);
	void (*release)(struct backend *b, uint32_t number);

	/* ---- graphs: the backend says which streams can begin and end a capture ---- */

	int (*capture_begin)(struct backend *b, struct backend_stream *s, uint32_t mode);
	int (*capture_end)(struct backend *b, struct backend_stream *s, struct backend_graph **out);
	int (*graph_launch)(struct backend *b, struct backend_graph *g, struct backend_stream *s);
	void (*graph_destroy)(struct backend *b, struct backend_graph *g);
};

extern const struct backend_ops backend_cpu;

/*
 * Where gpu_mediator_cuda.so is: beside this program (build tree, bundle) if it is there, else
 * where `make install` puts it. Fills and returns @buf.
 */
const char *backend_cuda_default_path(char *buf, size_t len);

/*
 * Choose by configuration: "cpu", "cuda" (failure is final) or "auto" (cuda, else cpu with
 * *@fallback = 1). @cuda_path: the shared object. @why gets the cause of a failure or of the
 * fallback.
 */
int backend_choose(const char *wish, const char *cuda_path, int device,
		   const struct backend_ops **ops, struct backend **out, struct backend_info *info,
		   int *fallback, char *why, size_t why_len);

#endif
