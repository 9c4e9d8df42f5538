/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands for GPU work: memory, copies, modules, kernels, streams, events, graphs.
 *
 * Semantics are those of the CUDA Runtime: work in a stream runs in the order of its requests,
 * stream 0 is the legacy default stream, and a failure of work that ran asynchronously is kept
 * and answers later requests. Statuses are CUDA's error numbers (enum cudaError, driver_types.h).
 *
 * Objects (streams, events, modules, kernels, graphs) have handles that the guest chooses:
 *
 *   bits 0..15   place in the host's table of that kind, 1 to VGPU_PLACES
 *   bits 16..31  generation: any number; a handle whose generation is not that of the object
 *                in its place is refused with cudaErrorInvalidResourceHandle (400)
 *
 * Handle 0 is no object, or the default stream. To create one in a place that is taken is
 * refused with VGPU_EINVAL.
 *
 * Device addresses are the GPU's own, so that kernels can be given them. The host refuses copies
 * and memsets that are not inside one allocation of this channel (cudaErrorInvalidValue); what a
 * kernel touches is the GPU's to check. A pitch counts bytes from row to row, at least the width.
 *
 * "Answered when done": the response, if one is wanted, comes when the GPU has finished the work,
 * and other requests run meanwhile. All other responses come when the request was taken from the
 * ring and handed to the GPU. So responses of a channel may overtake each other; the id tells them
 * apart, and no two requests that want a response and are under way share one.
 * While a stream captures, requests into it must have VGPU_REQ_NO_RESPONSE; those that wait for it
 * or ask how far it is are refused and spoil the capture.
 */
#ifndef VGPU_GPU_H
#define VGPU_GPU_H

#include <stddef.h>
#include <stdint.h>

#include "vgpu_channel.h"

#define VGPU_CMD_DEVICE_INFO 16 /* window: struct vgpu_device_info, data_len its room */
#define VGPU_CMD_DEVICE_SET 17  /* of what is created or allocated from here on */
#define VGPU_CMD_MEMORY_INFO 18 /* data: vgpu_memory_reply */
#define VGPU_CMD_ALLOC 19       /* data: vgpu_alloc_reply */
#define VGPU_CMD_FREE 20        /* waits for the device, as cudaFree does */
#define VGPU_CMD_MEMSET 21
#define VGPU_CMD_COPY 22        /* answered when done */
#define VGPU_CMD_WRITE 23       /* a few bytes, in the request itself */
#define VGPU_CMD_READ 24        /* a few bytes, in the response; answered when done */
#define VGPU_CMD_MODULE_DATA 25 /* window: the next piece of a module's image */
#define VGPU_CMD_MODULE_LOAD 26 /* of the pieces; window: why it failed, cut to fit, and a NUL */
#define VGPU_CMD_MODULE_UNLOAD 27
#define VGPU_CMD_KERNEL_GET 28    /* window: name; data: vgpu_kernel_reply */
#define VGPU_CMD_KERNEL_PARAMS 29 /* window: struct vgpu_kernel_param[], data_len its room */
#define VGPU_CMD_KERNEL_SET 30
#define VGPU_CMD_OCCUPANCY 31 /* data: vgpu_occupancy_reply */
#define VGPU_CMD_LAUNCH 32    /* window: parameters that do not fit the request */
#define VGPU_CMD_STREAM_CREATE 33
#define VGPU_CMD_STREAM_DESTROY 34 /* what is under way in it is finished */
#define VGPU_CMD_STREAM_WAIT 35    /* for an event */
#define VGPU_CMD_STREAM_QUERY 36   /* 0, or cudaErrorNotReady (600) */
#define VGPU_CMD_SYNCHRONIZE 37    /* answered when done */
#define VGPU_CMD_EVENT_CREATE 38
#define VGPU_CMD_EVENT_DESTROY 39
#define VGPU_CMD_EVENT_RECORD 40
#define VGPU_CMD_EVENT_QUERY 41   /* 0, or cudaErrorNotReady (600) */
#define VGPU_CMD_EVENT_ELAPSED 42 /* data: vgpu_elapsed_reply */
#define VGPU_CMD_HOST_FUNC 43     /* answered when the stream gets there; it waits for: */
#define VGPU_CMD_HOST_FUNC_DONE 44
#define VGPU_CMD_CAPTURE_BEGIN 45
#define VGPU_CMD_CAPTURE_END 46 /* and make an executable graph of it */
#define VGPU_CMD_GRAPH_LAUNCH 47
#define VGPU_CMD_GRAPH_DESTROY 48

#define VGPU_PLACES 65535u /* of a kind; the host may allow fewer: VGPU_EQUOTA */

/* DEVICE_INFO, DEVICE_SET */
struct vgpu_device_args {
	uint32_t device; /* from 0; of those that the channel may use */
	uint32_t reserved;
};
_Static_assert(sizeof(struct vgpu_device_args) == 8, "wire size");

/* As cudaDeviceProp has them, bytes where nothing else is said. Later minor versions append. */
struct vgpu_device_info {
	uint32_t device;
	uint32_t devices; /* how many the channel may use */
	uint32_t compute_major;
	uint32_t compute_minor;
	uint64_t memory_total;
	uint64_t shared_per_block;
	uint64_t shared_per_block_optin;
	uint64_t shared_per_multiprocessor;
	uint64_t constant_memory;
	uint64_t l2_cache;
	uint64_t pitch_max;
	uint32_t multiprocessors;
	uint32_t registers_per_block;
	uint32_t warp_size;
	uint32_t threads_per_block;
	uint32_t threads_per_multiprocessor;
	uint32_t block_max[3];
	uint32_t grid_max[3];
	uint32_t memory_bus_bits;
	uint32_t clock_khz;
	uint32_t memory_clock_khz;
	uint32_t copy_engines;
	uint32_t concurrent_kernels;
	int32_t priority_least;    /* numerically the largest */
	int32_t priority_greatest; /* numerically the smallest */
	uint32_t pci_domain;
	uint32_t pci_bus;
	uint32_t pci_device;
	uint32_t backend; /* VGPU_BACKEND_* */
	uint8_t uuid[16];
	char name[96];
};
_Static_assert(offsetof(struct vgpu_device_info, multiprocessors) == 72, "wire offset");
_Static_assert(sizeof(struct vgpu_device_info) == 272, "wire size");

struct vgpu_memory_reply {
	uint64_t total; /* of the selected device, bytes */
	uint64_t free;
};

struct vgpu_alloc_args {
	uint64_t bytes; /* at least 1 */
};

struct vgpu_alloc_reply {
	uint64_t address; /* aligned to 256 or more */
};

struct vgpu_free_args {
	uint64_t address; /* as ALLOC gave it */
};

struct vgpu_memset_args {
	uint64_t dst;
	uint64_t pitch; /* 0 if height is 1 */
	uint64_t width; /* elements */
	uint64_t height;
	uint32_t value;
	uint32_t element; /* its bytes: 1, 2 or 4; dst and pitch are multiples of it */
	uint32_t stream;
	uint32_t reserved;
};
_Static_assert(sizeof(struct vgpu_memset_args) == 48, "wire size");

#define VGPU_COPY_TO_DEVICE 1u   /* src is an offset into the window */
#define VGPU_COPY_FROM_DEVICE 2u /* dst is */
#define VGPU_COPY_ON_DEVICE 3u   /* also from one GPU to another */

struct vgpu_copy_args {
	uint64_t dst;
	uint64_t src;
	uint64_t dst_pitch; /* 0 if height is 1 */
	uint64_t src_pitch;
	uint64_t width; /* bytes */
	uint64_t height;
	uint32_t kind; /* VGPU_COPY_* */
	uint32_t stream;
};
_Static_assert(sizeof(struct vgpu_copy_args) == 56, "wire size");

#define VGPU_WRITE_MAX 80u

struct vgpu_write_args {
	uint64_t dst;
	uint32_t bytes; /* 1 to VGPU_WRITE_MAX; those behind are 0 */
	uint32_t stream;
	uint8_t data[VGPU_WRITE_MAX];
};
_Static_assert(sizeof(struct vgpu_write_args) == 96, "wire size");

#define VGPU_READ_MAX 48u

struct vgpu_read_args {
	uint64_t src;
	uint32_t bytes; /* 1 to VGPU_READ_MAX */
	uint32_t stream;
};
_Static_assert(sizeof(struct vgpu_read_args) == 16, "wire size");

/* PTX, cubin or fatbin, in pieces that follow each other from offset 0. */
#define VGPU_MODULE_BYTES_MAX (256ull << 20)

struct vgpu_module_data_args {
	uint32_t module;
	uint32_t reserved;
	uint64_t offset;
	uint64_t total; /* bytes of the image, the same in all pieces */
};
_Static_assert(sizeof(struct vgpu_module_data_args) == 24, "wire size");

/* MODULE_LOAD, MODULE_UNLOAD (which forgets pieces, too, and makes its kernels invalid) */
struct vgpu_module_args {
	uint32_t module;
	uint32_t reserved;
};

#define VGPU_KERNEL_NAME_MAX 4096u /* C++ names are long */

/* KERNEL_GET: the name is in the window, data_len bytes, no NUL needed. */
struct vgpu_kernel_args {
	uint32_t module;
	uint32_t kernel; /* its handle from here on */
};

/* As cudaFuncAttributes has them. */
struct vgpu_kernel_reply {
	uint32_t threads_max; /* in a block */
	uint32_t registers;   /* a thread */
	uint32_t shared_bytes;
	uint32_t constant_bytes;
	uint32_t local_bytes; /* a thread */
	uint32_t dynamic_shared_max;
	uint32_t ptx_version; /* 90 is 9.0 */
	uint32_t binary_version;
	uint32_t params;
	uint32_t param_bytes; /* all of them, as LAUNCH takes them */
	uint32_t reserved[2];
};
_Static_assert(sizeof(struct vgpu_kernel_reply) == 48, "wire size");

struct vgpu_kernel_params_args {
	uint32_t kernel;
	uint32_t reserved;
};

struct vgpu_kernel_param {
	uint32_t offset; /* in LAUNCH's parameters */
	uint32_t bytes;
};

/* Numbers as enum cudaFuncAttribute has them. */
#define VGPU_KERNEL_DYNAMIC_SHARED_MAX 8u
#define VGPU_KERNEL_SHARED_CARVEOUT 9u

struct vgpu_kernel_set_args {
	uint32_t kernel;
	uint32_t attribute;
	int32_t value;
	uint32_t reserved;
};
_Static_assert(sizeof(struct vgpu_kernel_set_args) == 16, "wire size");

struct vgpu_occupancy_args {
	uint32_t kernel;
	uint32_t block; /* threads */
	uint64_t dynamic_shared;
};

struct vgpu_occupancy_reply {
	uint32_t blocks; /* that a multiprocessor can run at a time */
	uint32_t reserved;
};

#define VGPU_LAUNCH_INLINE 72u
#define VGPU_LAUNCH_PARAMS_MAX 32764u /* CUDA C++ Programming Guide, "Kernel parameters" */

/*
 * Parameters are packed as the kernel has them: each at its offset. Up to VGPU_LAUNCH_INLINE
 * bytes stand here; more are in the window (data_ptr, data_len), and `params` is 0.
 */
struct vgpu_launch_args {
	uint32_t kernel;
	uint32_t stream;
	uint32_t grid[3];
	uint16_t block[3];
	uint16_t param_bytes; /* of params; 0 if they are in the window or there are none */
	uint32_t dynamic_shared;
	uint8_t params[VGPU_LAUNCH_INLINE];
};
_Static_assert(sizeof(struct vgpu_launch_args) == 104, "wire size");
_Static_assert(offsetof(struct vgpu_launch_args, params) == 32, "wire offset");

#define VGPU_STREAM_NON_BLOCKING (1u << 0) /* as cudaStreamNonBlocking */

struct vgpu_stream_create_args {
	uint32_t stream;
	uint32_t flags;
	int32_t priority; /* brought into the device's range */
	uint32_t reserved;
};
_Static_assert(sizeof(struct vgpu_stream_create_args) == 16, "wire size");

/* STREAM_DESTROY, STREAM_QUERY; STREAM_WAIT with an event */
struct vgpu_stream_args {
	uint32_t stream;
	uint32_t event;
};

#define VGPU_SYNC_DEVICE 1u /* handle is 0 */
#define VGPU_SYNC_STREAM 2u
#define VGPU_SYNC_EVENT 3u

struct vgpu_sync_args {
	uint32_t kind;
	uint32_t handle;
};

#define VGPU_EVENT_NO_TIMING (1u << 0) /* as cudaEventDisableTiming */

struct vgpu_event_create_args {
	uint32_t event;
	uint32_t flags;
};

/* EVENT_DESTROY and EVENT_QUERY (stream 0), EVENT_RECORD */
struct vgpu_event_args {
	uint32_t event;
	uint32_t stream;
};

struct vgpu_elapsed_args {
	uint32_t start;
	uint32_t stop;
};

struct vgpu_elapsed_reply {
	float ms;
	uint32_t reserved;
};

/*
 * HOST_FUNC: the stream gets here, the response says so, the guest runs its function, and says
 * HOST_FUNC_DONE with the number of the HOST_FUNC, from 1, which rises by 1 with each of a channel.
 * They may be done in any order.
 */
#define VGPU_HOST_FUNCS_MAX 1024u /* under way in a channel */

struct vgpu_host_func_args {
	uint32_t stream; /* 0 in HOST_FUNC_DONE */
	uint32_t number;
};

/* As enum cudaStreamCaptureMode has them. */
#define VGPU_CAPTURE_GLOBAL 0u
#define VGPU_CAPTURE_THREAD_LOCAL 1u
#define VGPU_CAPTURE_RELAXED 2u

struct vgpu_capture_begin_args {
	uint32_t stream; /* not the default stream */
	uint32_t mode;
};

/* CAPTURE_END, GRAPH_LAUNCH; GRAPH_DESTROY (stream 0) */
struct vgpu_graph_args {
	uint32_t graph;
	uint32_t stream;
};

#endif
