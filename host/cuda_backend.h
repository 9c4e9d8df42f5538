/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside gpu_mediator_cuda.so: what its files share.
 *
 * Calls that the guest waits for in great numbers go to the driver's own functions, which cost less
 * than the runtime's and have the same handles and error numbers. All others are the runtime's.
 *
 * Memory that is pinned for the GPU can be reached by the guest's kernels: it holds the guest's
 * bytes and nothing to steer by.
 */
#ifndef HOST_CUDA_BACKEND_H
#define HOST_CUDA_BACKEND_H

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "backend.h"

#if CUDART_VERSION < 12040
#error "the cuda backend needs CUDA 12.4 or later"
#endif

#define CUDA_DEVICES_MAX 32u

/* cuda.h renames some of these to their latest versions, here as where they are called. */
#define CUDA_DRIVER_CALLS(X)                                                                       \
	X(cuEventQuery)                                                                            \
	X(cuEventRecord)                                                                           \
	X(cuFuncGetAttribute)                                                                      \
	X(cuFuncLoad)                                                                              \
	X(cuFuncSetAttribute)                                                                      \
	X(cuGraphLaunch)                                                                           \
	X(cuKernelGetFunction)                                                                     \
	X(cuKernelGetParamInfo)                                                                    \
	X(cuLaunchKernel)                                                                          \
	X(cuLibraryGetKernel)                                                                      \
	X(cuLibraryGetModule)                                                                      \
	X(cuLibraryLoadData)                                                                       \
	X(cuLibraryUnload)                                                                         \
	X(cuMemGetInfo)                                                                            \
	X(cuMemcpyAsync)                                                                           \
	X(cuMemcpyDtoHAsync)                                                                       \
	X(cuMemcpyHtoDAsync)                                                                       \
	X(cuMemsetD16Async)                                                                        \
	X(cuMemsetD2D16Async)                                                                      \
	X(cuMemsetD2D32Async)                                                                      \
	X(cuMemsetD2D8Async)                                                                       \
	X(cuMemsetD32Async)                                                                        \
	X(cuMemsetD8Async)                                                                         \
	X(cuOccupancyMaxActiveBlocksPerMultiprocessor)                                             \
	X(cuStreamIsCapturing)                                                                     \
	X(cuStreamQuery)                                                                           \
	X(cuStreamSynchronize)                                                                     \
	X(cuStreamWaitValue32)                                                                     \
	X(cuStreamWriteValue32)                                                                    \
	X(cuStreamWriteValue64)

#define CUDA_DRIVER_MEMBER(name) __typeof__(&name) name;
struct cuda_driver {
	CUDA_DRIVER_CALLS(CUDA_DRIVER_MEMBER)
};

/* Of this process; filled once, by the first open. */
extern struct cuda_driver cuda_driver;

/* An event that several may want: it goes when the last of them lets go. */
struct cuda_event {
	struct cuda_event *next; /* of a pool, or of a fence */
	cudaEvent_t handle;
	uint32_t device;
	uint32_t refs;
	bool pooled; /* made for fences, without times, and used again */
};

struct backend_event {
	struct cuda_event *event;
	unsigned int flags; /* cudaEventDisableTiming or 0 */
};

/* Counts what was put into a stream. */
struct cuda_progress {
	uint64_t given;
	uint64_t done; /* so many are known to be */
};

struct backend_stream {
	LIST_ENTRY(backend_stream) link;
	cudaStream_t handle;
	struct cuda_progress progress;
	uint32_t device;
	bool blocking; /* waits for the default stream, and it for this one */
	bool capturing;
};
LIST_HEAD(cuda_streams, backend_stream);

struct cuda_device {
	int ordinal;    /* CUDA's number; ours is the place in backend.devices, 0 the one opened */
	bool used;      /* it has a context */
	uint32_t peers; /* bit n: its access to device n was asked for */
	struct cuda_event *events;
	struct cuda_progress progress; /* of its default stream */
};

/* cuda_vector_add.c */
#define CUDA_ADD_SLOTS 3

struct cuda_triple {
	float *a, *b, *c;
};

struct cuda_add_slot {
	cudaStream_t stream;
	struct cuda_triple device;
};

struct cuda_adder {
	struct cuda_add_slot slots[CUDA_ADD_SLOTS];
	struct cuda_triple pinned;        /* as the host sees it */
	struct cuda_triple pinned_device; /* and as the device does */
};

/* cuda_memory.c: pinned memory between a window that is not registered and the GPU. */
#define CUDA_STAGES 8u
#define CUDA_STAGE_BYTES (512u << 10)

struct cuda_stage {
	uint8_t *data;
	struct cuda_event *event; /* it is free when this is done; NULL: it is */
};

struct cuda_staging {
	struct cuda_stage stages[CUDA_STAGES];
	uint32_t turn;
};

struct cuda_window {
	uint8_t *base;
	size_t bytes;
	bool registrable;
	bool registered;
	uint32_t staged; /* copies that went through staging memory meanwhile */
};

/* cuda_streams.c: where streams wait for host functions. */
struct cuda_holds {
	uint32_t *words;     /* pinned: the latest round that was released */
	CUdeviceptr address; /* the same for the GPU */
	uint32_t rounds[VGPU_HOST_FUNCS_MAX];
	uint32_t under_way;
};

/*
 * cuda_fences.c: words that streams write when they come to them, a line of the cache each. There
 * are enough for the reads of an honest guest, whose ring has room for 256.
 */
#define CUDA_WORDS 1024u

struct cuda_word {
	uint32_t round;
	uint32_t unused[3];
	uint8_t data[VGPU_READ_MAX]; /* what read() asked for, there before the round is */
};
_Static_assert(sizeof(struct cuda_word) == 64, "a line of the cache");

struct cuda_fences {
	LIST_HEAD(, backend_fence) list; /* those that have a word, or are not marked */
	struct backend_fence *free;
	struct cuda_word *words;     /* pinned */
	CUdeviceptr address;         /* the same for the GPU */
	uint32_t rounds[CUDA_WORDS]; /* the last that each was to be written */
	bool used[CUDA_WORDS];       /* by a fence */
	uint32_t next;
};

struct backend {
	struct cuda_device devices[CUDA_DEVICES_MAX];
	uint32_t device_count;
	uint32_t used_count;
	uint32_t selected; /* by the guest */
	uint32_t current;  /* in CUDA's eyes */
	int32_t priority_least, priority_greatest;

	uint32_t captures; /* streams that capture */
	uint32_t blocking_captures;
	struct cuda_streams streams;
	struct cuda_streams leaving; /* destroyed, but not done */
	uint32_t leaving_count;
	struct cuda_fences fences;

	struct cuda_window window;
	struct cuda_staging staging;
	struct cuda_holds holds;
	struct cuda_adder adder;
};

/* A passing error must not answer the runtime's next call; one that stays is seen again anyhow. */
static inline int cuda_result(int rc)
{
	if (__builtin_expect(rc != cudaSuccess, 0))
		cudaGetLastError();
	return rc;
}

/* mediator_cuda.c */
int cuda_device_switch(struct backend *b, uint32_t device);

static inline int cuda_device_use(struct backend *b, uint32_t device)
{
	if (__builtin_expect(b->current == device, 1))
		return 0;
	return cuda_device_switch(b, device);
}

/* The default stream is that of the selected device. */
static inline uint32_t cuda_stream_device(const struct backend *b, const struct backend_stream *s)
{
	return s ? s->device : b->selected;
}

static inline cudaStream_t cuda_stream_handle(const struct backend_stream *s)
{
	return s ? s->handle : NULL;
}

static inline struct cuda_progress *cuda_progress(struct backend *b, uint32_t device,
						  struct backend_stream *s)
{
	return s ? &s->progress : &b->devices[device].progress;
}

/* Something is about to be put into the stream: all that is must come by here. */
static inline int cuda_stream_use(struct backend *b, struct backend_stream *s)
{
	const uint32_t device = cuda_stream_device(b, s);

	cuda_progress(b, device, s)->given++;
	return cuda_device_use(b, device);
}

/* cuda_vector_add.c */
int cuda_adder_init(struct backend *b);
void cuda_adder_dispose(struct backend *b);
int cuda_vector_add(struct backend *b, const float *a, const float *bb, float *c, size_t n);

/* cuda_memory.c */
/* Zeroed pinned memory for all devices: *@out, NULL on failure, and *@address for the GPU. */
int cuda_pinned_words(size_t bytes, void **out, CUdeviceptr *address);
int cuda_memory_init(struct backend *b);
void cuda_memory_dispose(struct backend *b);
/* Let the driver pin the window, if it may and has not yet. */
void cuda_window_register(struct backend *b);
int cuda_window(struct backend *b, void *base, size_t bytes, bool registrable);
int cuda_memory(struct backend *b, uint64_t *total, uint64_t *free_bytes);
int cuda_alloc(struct backend *b, uint64_t bytes, uint64_t *address);
int cuda_free(struct backend *b, uint64_t address);
int cuda_memset(struct backend *b, struct backend_stream *s, const struct backend_memset *m);

/* cuda_copy.c */
/* So that the first short write finds its kernel loaded. */
int cuda_copy_init(struct backend *b);
int cuda_copy(struct backend *b, struct backend_stream *s, const struct backend_copy *c);
int cuda_write(struct backend *b, struct backend_stream *s, uint64_t dst, const void *data,
	       uint32_t bytes);

/* cuda_modules.c */
int cuda_module_load(struct backend *b, const void *image, size_t bytes,
		     struct backend_module **out, char *log, size_t log_len);
void cuda_module_unload(struct backend *b, struct backend_module *m);
int cuda_kernel_get(struct backend *b, struct backend_module *m, const char *name,
		    struct backend_kernel **out, struct vgpu_kernel_reply *info);
int cuda_kernel_param(struct backend *b, struct backend_kernel *k, uint32_t index,
		      struct vgpu_kernel_param *out);
int cuda_kernel_set(struct backend *b, struct backend_kernel *k, uint32_t attribute, int32_t value);
int cuda_occupancy(struct backend *b, struct backend_kernel *k, uint32_t block,
		   uint64_t dynamic_shared, uint32_t *blocks);
int cuda_launch(struct backend *b, struct backend_stream *s, struct backend_kernel *k,
		const struct backend_launch *l);

/* cuda_streams.c */
int cuda_streams_init(struct backend *b);
void cuda_streams_dispose(struct backend *b);
/* Does it capture? Of the default stream: does one capture that waits for it? */
bool cuda_stream_captures(const struct backend *b, const struct backend_stream *s);
/* Ask the driver how far the stream is; NULL is @device's default one. */
int cuda_stream_look(struct backend *b, uint32_t device, struct backend_stream *s);
int cuda_stream_create(struct backend *b, uint32_t flags, int32_t priority,
		       struct backend_stream **out);
void cuda_stream_destroy(struct backend *b, struct backend_stream *s);
int cuda_stream_wait(struct backend *b, struct backend_stream *s, struct backend_event *e);
int cuda_stream_query(struct backend *b, struct backend_stream *s);
int cuda_hold(struct backend *b, struct backend_stream *s, uint32_t number);
void cuda_release(struct backend *b, uint32_t number);

/* cuda_events.c */
void cuda_events_dispose(struct backend *b);
/* One of @device's pool, recorded in @handle, a stream of the same. */
int cuda_event_take(struct backend *b, uint32_t device, cudaStream_t handle,
		    struct cuda_event **out);
void cuda_event_put(struct backend *b, struct cuda_event *e);
int cuda_event_create(struct backend *b, uint32_t flags, struct backend_event **out);
void cuda_event_destroy(struct backend *b, struct backend_event *e);
int cuda_event_record(struct backend *b, struct backend_event *e, struct backend_stream *s);
int cuda_event_query(struct backend *b, struct backend_event *e);
int cuda_event_elapsed(struct backend *b, struct backend_event *start, struct backend_event *stop,
		       float *ms);

/* cuda_fences.c */
int cuda_fences_init(struct backend *b);
void cuda_fences_dispose(struct backend *b);
/* @s goes: fences of it get along without from here on. */
void cuda_fences_leave(struct backend *b, struct backend_stream *s);
int cuda_fence(struct backend *b, uint32_t kind, void *object, struct backend_fence **out);
int cuda_read(struct backend *b, struct backend_stream *s, uint64_t src, uint32_t bytes,
	      struct backend_fence **out);
int cuda_fence_mark(struct backend *b, struct backend_fence *f);
int cuda_fence_done(struct backend *b, struct backend_fence *f, void *data);
void cuda_fence_drop(struct backend *b, struct backend_fence *f);

/* cuda_graphs.c */
int cuda_capture_begin(struct backend *b, struct backend_stream *s, uint32_t mode);
int cuda_capture_end(struct backend *b, struct backend_stream *s, struct backend_graph **out);
int cuda_graph_launch(struct backend *b, struct backend_graph *g, struct backend_stream *s);
void cuda_graph_destroy(struct backend *b, struct backend_graph *g);
/* Account for a stream whose capture ends. */
void cuda_capture_left(struct backend *b, struct backend_stream *s);

/* cuda_kernels.cu. The address of the host's stub names the kernel. */
struct cuda_written {
	uint8_t bytes[VGPU_WRITE_MAX];
};
_Static_assert(sizeof(struct cuda_written) == 80, "as cuda_kernels.cu has it");

void kernel_vector_add(const float *a, const float *b, float *c, unsigned long long n);
void kernel_write(unsigned char *dst, struct cuda_written data, unsigned int n);

#endif
