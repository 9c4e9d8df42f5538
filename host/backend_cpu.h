/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The backend `cpu`, within itself. Work is done at once, on the caller's thread. Only what has
 * to wait (for a hold, for an event that waits for one, for spin_ms()) is kept, in one list in the
 * order in which it came, and done when somebody asks and it can be.
 */
#ifndef HOST_BACKEND_CPU_H
#define HOST_BACKEND_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "allocations.h"
#include "backend.h"

/* CUDA's numbers (driver_types.h, enum cudaError). */
enum cpu_error {
	CPU_INVALID_VALUE = 1,
	CPU_OUT_OF_MEMORY = 2,
	CPU_INVALID_DEVICE = 101,
	CPU_INVALID_HANDLE = 400,
	CPU_ILLEGAL_STATE = 401,
	CPU_SYMBOL_NOT_FOUND = 500,
	CPU_NOT_READY = 600,
	CPU_ILLEGAL_ADDRESS = 700,
	CPU_CAPTURE_UNSUPPORTED = 900,
	CPU_CAPTURE_INVALIDATED = 901,
	CPU_CAPTURE_MERGE = 902,
	CPU_CAPTURE_UNMATCHED = 903,
	CPU_CAPTURE_ISOLATION = 905,
	CPU_CAPTURE_IMPLICIT = 906,
	CPU_CAPTURED_EVENT = 907,
};

/* What it says of itself, and what launches are held to. */
#define CPU_WARP 32u
#define CPU_THREADS_PER_BLOCK 1024u
#define CPU_THREADS_PER_MULTIPROCESSOR 2048u
#define CPU_BLOCK_Z_MAX 64u
#define CPU_GRID_X_MAX 0x7fffffffu
#define CPU_GRID_YZ_MAX 65535u
#define CPU_BLOCKS_PER_MULTIPROCESSOR 32u
#define CPU_SHARED_PER_BLOCK (48u << 10)
#define CPU_SHARED_PER_MULTIPROCESSOR (64u << 10)
#define CPU_REGISTERS 32u /* that each thread of any kernel is said to have */
#define CPU_REGISTERS_PER_MULTIPROCESSOR (64u << 10)

/* A point in the order of work. Fences are these, and so is what an event recorded. */
struct backend_fence {
	uint32_t refs;
	bool done;
	uint64_t ns;    /* when it was */
	uint32_t bytes; /* of a read */
	uint8_t data[VGPU_READ_MAX];
};

struct cpu_kernel {
	const char *name;
	const struct vgpu_kernel_param *params;
	uint32_t param_count;
	uint32_t param_bytes;
	/* 0 or a CUDA error, which ends the context. */
	int (*run)(struct backend *b, const struct backend_launch *l);
	/* NULL, or how long it takes though nothing is computed. */
	uint64_t (*takes_us)(const struct backend_launch *l);
};

enum cpu_op_kind {
	CPU_COPY,
	CPU_MEMSET,
	CPU_WRITE,
	CPU_READ,
	CPU_LAUNCH,
	CPU_RECORD,
	CPU_WAIT,
	CPU_HOLD
};

struct cpu_read {
	uint64_t src;
	uint32_t bytes;
};

struct cpu_op {
	TAILQ_ENTRY(cpu_op) link;
	enum cpu_op_kind kind;
	struct backend_stream *stream; /* NULL: the whole device */
	bool passive;                  /* only looks: nothing waits for it */
	uint64_t end_us;               /* of a launch that takes a while, once it started */
	struct backend_fence *point;   /* of RECORD, READ, WAIT */
	uint32_t number;               /* of HOLD */
	const struct cpu_kernel *kernel;
	union {
		struct backend_copy copy;
		struct backend_memset set;
		struct backend_launch launch;
		uint64_t dst; /* of WRITE */
		struct cpu_read read;
	};
	uint32_t bytes; /* of WRITE's data or LAUNCH's parameters, */
	const void *data;
	_Alignas(16) uint8_t own[]; /* which are here in an op that is kept */
};

TAILQ_HEAD(cpu_ops, cpu_op);

struct backend_stream {
	LIST_ENTRY(backend_stream) link;
	bool non_blocking;
	bool destroyed; /* it goes with its last op */
	uint32_t ops;   /* kept */
	uint64_t pass;  /* of the last look at the list that it could not go on in */
	struct backend_graph *capture;
};

struct backend_graph {
	LIST_ENTRY(backend_graph) link; /* while it is being captured */
	uint64_t number;
	struct backend_stream *origin;
	bool spoiled; /* by a call that it forbids: nothing will come of it */
	struct cpu_ops ops;
};

struct backend_event {
	bool timing;
	struct backend_fence *point; /* as last recorded, or NULL */
	uint64_t capture;            /* number of the graph that it was captured in, or 0 */
};

struct backend {
	struct allocations memory;
	uint64_t memory_total;
	uint64_t memory_used;
	int fault; /* what ended the context, or 0 */

	struct backend_stream default_stream;
	LIST_HEAD(, backend_stream) streams;
	struct cpu_ops kept;
	uint64_t kept_bytes;
	uint64_t pass;
	bool released[VGPU_HOST_FUNCS_MAX];

	LIST_HEAD(, backend_graph) captures;
	uint64_t last_capture;
};

/* backend_cpu_queue.c */
void cpu_queue_init(struct backend *b);
void cpu_queue_dispose(struct backend *b);
/* Do @op now, keep a copy of it, or put one into the graph that its stream captures. */
int cpu_submit(struct backend *b, const struct cpu_op *op);
/* The same with a point of its own, which is *@out's then. */
int cpu_submit_point(struct backend *b, struct cpu_op *op, struct backend_fence **out);
/* Do of what is kept all that can be. */
void cpu_progress(struct backend *b);
/* Until it is done. */
void cpu_wait(struct backend *b, const struct backend_fence *point);
struct cpu_op *cpu_op_copy(const struct cpu_op *op);
/* NULL: the default stream, as a caller names it. */
static inline struct backend_stream *cpu_stream(struct backend *b, struct backend_stream *s)
{
	return s ? s : &b->default_stream;
}
struct backend_fence *cpu_point_new(void);
void cpu_point_put(struct backend_fence *point);
/* May the stream be asked how far it is? 0, or how a capture forbids that. */
int cpu_may_wait(struct backend *b, const struct backend_stream *s);

/* backend_cpu_streams.c */
int cpu_stream_create(struct backend *b, uint32_t flags, int32_t priority,
		      struct backend_stream **out);
void cpu_stream_destroy(struct backend *b, struct backend_stream *s);
int cpu_stream_wait(struct backend *b, struct backend_stream *s, struct backend_event *e);
int cpu_stream_query(struct backend *b, struct backend_stream *s);
int cpu_event_create(struct backend *b, uint32_t flags, struct backend_event **out);
void cpu_event_destroy(struct backend *b, struct backend_event *e);
int cpu_event_record(struct backend *b, struct backend_event *e, struct backend_stream *s);
int cpu_event_query(struct backend *b, struct backend_event *e);
int cpu_event_elapsed(struct backend *b, struct backend_event *start, struct backend_event *stop,
		      float *ms);
int cpu_fence(struct backend *b, uint32_t kind, void *object, struct backend_fence **out);
int cpu_fence_mark(struct backend *b, struct backend_fence *f);
int cpu_fence_done(struct backend *b, struct backend_fence *f, void *data);
void cpu_fence_drop(struct backend *b, struct backend_fence *f);
int cpu_hold(struct backend *b, struct backend_stream *s, uint32_t number);
void cpu_release(struct backend *b, uint32_t number);

/* backend_cpu_graphs.c */
int cpu_capture_begin(struct backend *b, struct backend_stream *s, uint32_t mode);
int cpu_capture_end(struct backend *b, struct backend_stream *s, struct backend_graph **out);
int cpu_graph_launch(struct backend *b, struct backend_graph *g, struct backend_stream *s);
void cpu_graph_destroy(struct backend *b, struct backend_graph *g);
struct backend_graph *cpu_capture_find(struct backend *b, uint64_t number);
/* Spoil the captures that forbade something in @s, and return @rc. */
int cpu_capture_refuse(struct backend *b, const struct backend_stream *s, int rc);
/* The same for what was asked of an event that is part of a capture. */
int cpu_capture_refuse_event(struct backend *b, const struct backend_event *e);

/* backend_cpu_memory.c */
int cpu_alloc(struct backend *b, uint64_t bytes, uint64_t *address);
int cpu_free(struct backend *b, uint64_t address);
int cpu_memset(struct backend *b, struct backend_stream *s, const struct backend_memset *m);
int cpu_copy(struct backend *b, struct backend_stream *s, const struct backend_copy *c);
int cpu_write(struct backend *b, struct backend_stream *s, uint64_t dst, const void *data,
	      uint32_t bytes);
int cpu_read(struct backend *b, struct backend_stream *s, uint64_t src, uint32_t bytes,
	     struct backend_fence **out);
void cpu_memory_dispose(struct backend *b);
/* The work itself: 0, or a CUDA error, which ends the context. */
int cpu_do_copy(struct backend *b, const struct backend_copy *c);
int cpu_do_memset(struct backend *b, const struct backend_memset *m);
int cpu_do_write(struct backend *b, uint64_t dst, const void *data, uint32_t bytes);
int cpu_do_read(struct backend *b, const struct cpu_read *r, struct backend_fence *point);

/* backend_cpu_modules.c */
int cpu_module_load(struct backend *b, const void *image, size_t bytes, struct backend_module **out,
		    char *log, size_t log_len);
void cpu_module_unload(struct backend *b, struct backend_module *m);
int cpu_kernel_get(struct backend *b, struct backend_module *m, const char *name,
		   struct backend_kernel **out, struct vgpu_kernel_reply *info);
int cpu_kernel_param(struct backend *b, struct backend_kernel *k, uint32_t index,
		     struct vgpu_kernel_param *out);
int cpu_kernel_set(struct backend *b, struct backend_kernel *k, uint32_t attribute, int32_t value);
int cpu_occupancy(struct backend *b, struct backend_kernel *k, uint32_t block,
		  uint64_t dynamic_shared, uint32_t *blocks);
int cpu_launch(struct backend *b, struct backend_stream *s, struct backend_kernel *k,
	       const struct backend_launch *l);

/* backend_cpu_kernels.c: by name, or NULL. */
const struct cpu_kernel *cpu_kernel_find(const char *name);

#endif
