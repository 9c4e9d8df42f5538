/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvgpuguest: GPU work of your own. Part of vgpuguest.h; include that.
 *
 * The calls follow the CUDA Runtime, one for one where there is one (named in brackets), with its
 * semantics: work in a stream runs in order, stream 0 is the legacy default stream, a call named
 * _async returns before the work is done.
 *
 * What differs:
 *  - A handle (struct vgpu) takes the place of the context: its memory, streams, modules and errors
 *    are its own. Numbers of one handle mean nothing to another: cudaErrorInvalidResourceHandle
 * (400).
 *  - What returns nothing is only put on the ring and costs no round trip: launches, asynchronous
 *    copies, memsets, creating and destroying streams and events, records, waits. What CUDA would
 * find wrong with such a call at once is told by the next call that waits for an answer, and by
 *    vgpu_get_last_error().
 *  - An error that CUDA calls sticky (an illegal address, a kernel that failed) ends the handle:
 * the call that learns of it returns CUDA's number, later ones VGPU_EDEVLOST. Open another.
 *
 * Threads: as vgpuguest.h says; a call that waits for the GPU lets other threads' calls on the same
 * handle pass.
 */
#ifndef VGPUGUEST_GPU_H
#define VGPUGUEST_GPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct vgpu;

/* An address of the GPU's memory; never one of this process. 0: none. */
typedef uint64_t vgpu_devptr;

/* 0: none, and of streams the default stream. */
typedef uint32_t vgpu_stream;
typedef uint32_t vgpu_event;
typedef uint32_t vgpu_module;
typedef uint32_t vgpu_kernel;
typedef uint32_t vgpu_graph;

/* ---- GPUs ---- */

/* As cudaDeviceProp has them; sizes in bytes. */
struct vgpu_gpu_properties {
	char name[96]; /* "NVIDIA H200"; of the backend `cpu` the processor's */
	uint8_t uuid[16];
	uint32_t backend; /* VGPU_BACKEND_* */
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
	int32_t priority_least;    /* of streams; numerically the largest */
	int32_t priority_greatest; /* numerically the smallest */
	uint32_t pci_domain;
	uint32_t pci_bus;
	uint32_t pci_device;
};

/* How many GPUs this handle may use [cudaGetDeviceCount]. */
int vgpu_gpu_count(struct vgpu *vgpu, uint32_t *count);

/* Asked once and kept [cudaGetDeviceProperties]. cudaErrorInvalidDevice (101): no such. */
int vgpu_get_gpu_properties(struct vgpu *vgpu, uint32_t gpu, struct vgpu_gpu_properties *out);

/* For what is allocated and created from here on, by all threads; 0 at first [cudaSetDevice]. */
int vgpu_select_gpu(struct vgpu *vgpu, uint32_t gpu);

/* Of the selected GPU, bytes [cudaMemGetInfo]. What the library's pool holds counts as used. */
int vgpu_memory_info(struct vgpu *vgpu, size_t *free_bytes, size_t *total_bytes);

/* ---- memory ---- */

/*
 * Memory of the selected GPU, aligned to 256 bytes, contents undefined [cudaMalloc]. Small sizes
 * come from a pool and cost no round trip: what the pool has it gives while a stream captures, too,
 * where CUDA refuses. 0 bytes: *@out is 0. cudaErrorMemoryAllocation (2).
 */
int vgpu_malloc(struct vgpu *vgpu, vgpu_devptr *out, size_t bytes);

/* Rows of @width bytes, *@pitch apart [cudaMallocPitch]. cudaErrorInvalidValue (1): more bytes than
 * a number holds. */
int vgpu_malloc_pitch(struct vgpu *vgpu, vgpu_devptr *out, size_t *pitch, size_t width,
		      size_t height);

/*
 * 0 is allowed [cudaFree]. Work under way that uses it is finished first, if it is in a stream
 * other than the default one. cudaErrorInvalidValue (1): not what vgpu_malloc() gave.
 */
int vgpu_free(struct vgpu *vgpu, vgpu_devptr ptr);

/*
 * Memory of this process that the GPU copies from and to at full speed: it is part of the window,
 * which window_bytes limits [cudaMallocHost]. Aligned to 256. VGPU_EQUOTA: the window is full.
 */
int vgpu_host_alloc(struct vgpu *vgpu, void **out, size_t bytes);
int vgpu_host_free(struct vgpu *vgpu, void *ptr);

/*
 * Make memory of the program's such memory, where it is and with what is in it [cudaHostRegister].
 * Pages of the window take its place, with a copy of it; while the call copies, no other thread may
 * write there. @ptr and @bytes are whole pages of the machine's, for the host can read and write
 * all of it from then on; the memory is private, readable and writable, and no file's nor locked
 * (mlock), as what aligned_alloc() gives. It remains the caller's: unregister it before it is freed
 * or mapped anew. A forked child does not have it. Where the window is slow for the processor (on
 * `pci`, if the host's is AMD's), it is as slow.
 *
 * cudaErrorInvalidValue (1): not such memory; vgpu_last_error() says why.
 * cudaErrorHostMemoryAlreadyRegistered (712): some of it is, on this handle, or is
 * vgpu_host_alloc()'s. cudaErrorMemoryAllocation (2): the window is full, see window_bytes.
 * VGPU_ENOMEM. VGPU_ENOTSUP: on `xen`; ordinary memory can be copied there all the same. On failure
 * the memory is as it was.
 */
int vgpu_host_register(struct vgpu *vgpu, void *ptr, size_t bytes);

/*
 * Private memory again, with what is in it, once all work that uses the window is done: blocks for
 * that, and while it copies no other thread may write there [cudaHostUnregister]. @ptr: as it was
 * registered. vgpu_close() does the same, but does not wait for work under way. When the handle is
 * lost, the contents stay; but where the device was unplugged they are zeros.
 * cudaErrorHostMemoryNotRegistered (713): nothing that was registered starts there. After any other
 * failure it is still registered, unless the handle was lost meanwhile.
 */
int vgpu_host_unregister(struct vgpu *vgpu, void *ptr);

/* Every byte [cudaMemset, cudaMemsetAsync]. The first is complete when it returns for what the
 * caller can see: later calls on this handle find it done. */
int vgpu_memset(struct vgpu *vgpu, vgpu_devptr dst, int value, size_t bytes);
int vgpu_memset_async(struct vgpu *vgpu, vgpu_devptr dst, int value, size_t bytes,
		      vgpu_stream stream);

/* @height rows of @width bytes [cudaMemset2DAsync]. A pitch below @width: cudaErrorInvalidValue
 * (1), but it means nothing of a single row. */
int vgpu_memset_2d_async(struct vgpu *vgpu, vgpu_devptr dst, size_t pitch, int value, size_t width,
			 size_t height, vgpu_stream stream);

/*
 * Copies [cudaMemcpy]: complete when they return; to the device from ordinary memory, as in CUDA,
 * @src can be used again, and work that is given to the GPU later finds the copy done. Device
 * memory must lie in one allocation: cudaErrorInvalidValue (1). 0 bytes do nothing.
 */
int vgpu_copy_to_device(struct vgpu *vgpu, vgpu_devptr dst, const void *src, size_t bytes);
int vgpu_copy_from_device(struct vgpu *vgpu, void *dst, vgpu_devptr src, size_t bytes);
int vgpu_copy_on_device(struct vgpu *vgpu, vgpu_devptr dst, vgpu_devptr src, size_t bytes);

/*
 * [cudaMemcpyAsync] From and to vgpu_host_alloc()'s memory, or registered memory, they only put the
 * work in the stream; it must lie in one piece of it, or cudaErrorInvalidValue (1).
 * With ordinary memory, as in CUDA: to the device, @src can be used again when the call returns;
 * from the device, the call returns when @dst is complete.
 */
int vgpu_copy_to_device_async(struct vgpu *vgpu, vgpu_devptr dst, const void *src, size_t bytes,
			      vgpu_stream stream);
int vgpu_copy_from_device_async(struct vgpu *vgpu, void *dst, vgpu_devptr src, size_t bytes,
				vgpu_stream stream);
int vgpu_copy_on_device_async(struct vgpu *vgpu, vgpu_devptr dst, vgpu_devptr src, size_t bytes,
			      vgpu_stream stream);

/* @height rows of @width bytes [cudaMemcpy2D]. A pitch is from row to row, at least @width:
 * cudaErrorInvalidPitchValue (12), and of a single row cudaErrorInvalidValue (1). */
int vgpu_copy_2d_to_device(struct vgpu *vgpu, vgpu_devptr dst, size_t dst_pitch, const void *src,
			   size_t src_pitch, size_t width, size_t height);
int vgpu_copy_2d_from_device(struct vgpu *vgpu, void *dst, size_t dst_pitch, vgpu_devptr src,
			     size_t src_pitch, size_t width, size_t height);
int vgpu_copy_2d_on_device(struct vgpu *vgpu, vgpu_devptr dst, size_t dst_pitch, vgpu_devptr src,
			   size_t src_pitch, size_t width, size_t height);
int vgpu_copy_2d_to_device_async(struct vgpu *vgpu, vgpu_devptr dst, size_t dst_pitch,
				 const void *src, size_t src_pitch, size_t width, size_t height,
				 vgpu_stream stream);
int vgpu_copy_2d_from_device_async(struct vgpu *vgpu, void *dst, size_t dst_pitch, vgpu_devptr src,
				   size_t src_pitch, size_t width, size_t height,
				   vgpu_stream stream);
int vgpu_copy_2d_on_device_async(struct vgpu *vgpu, vgpu_devptr dst, size_t dst_pitch,
				 vgpu_devptr src, size_t src_pitch, size_t width, size_t height,
				 vgpu_stream stream);

/* ---- modules and kernels ---- */

/*
 * PTX (text, with or without its NUL), cubin or fatbin, up to 256 MiB [cuLibraryLoadData]. A
 * failure's cause, a compiler's words included, is in vgpu_last_error(). The backend `cpu` takes
 * any image: it has kernels of its own, found by name.
 */
int vgpu_module_load(struct vgpu *vgpu, vgpu_module *out, const void *image, size_t bytes);
int vgpu_module_load_file(struct vgpu *vgpu, vgpu_module *out, const char *path);

/* Its kernels are invalid then. Work under way is finished first. */
int vgpu_module_unload(struct vgpu *vgpu, vgpu_module module);

/*
 * By its name in the module: write it `extern "C"`, or give the mangled one [cuLibraryGetKernel].
 * The same name again gives the same number. cudaErrorSymbolNotFound (500): not in this module, as
 * no kernel has an empty name; of the backend `cpu`: it does not know the kernel.
 *
 * Calls that take a kernel return cudaErrorInvalidDeviceFunction (98) for number 0, and
 * cudaErrorInvalidResourceHandle (400) for one that is none, or no longer.
 */
int vgpu_module_get_kernel(struct vgpu *vgpu, vgpu_module module, const char *name,
			   vgpu_kernel *out);

/* As cudaFuncAttributes has them; bytes. */
struct vgpu_kernel_attributes {
	uint32_t threads_max; /* in a block */
	uint32_t registers;   /* of a thread */
	uint32_t shared_bytes;
	uint32_t constant_bytes;
	uint32_t local_bytes; /* of a thread */
	uint32_t dynamic_shared_max;
	uint32_t ptx_version; /* 90 is 9.0 */
	uint32_t binary_version;
	uint32_t params;      /* how many */
	uint32_t param_bytes; /* all of them, packed */
};

/* No round trip: it was told with the kernel [cudaFuncGetAttributes]. */
int vgpu_get_kernel_attributes(struct vgpu *vgpu, vgpu_kernel kernel,
			       struct vgpu_kernel_attributes *out);

/* Where parameter @index stands in the packed ones, and its size [cuKernelGetParamInfo]. */
int vgpu_get_kernel_param(struct vgpu *vgpu, vgpu_kernel kernel, uint32_t index, size_t *offset,
			  size_t *bytes);

enum vgpu_kernel_attribute {
	VGPU_MAX_DYNAMIC_SHARED = 8, /* bytes */
	VGPU_SHARED_CARVEOUT = 9,    /* per cent; -1: the driver's choice */
};

/* [cudaFuncSetAttribute] */
int vgpu_set_kernel_attribute(struct vgpu *vgpu, vgpu_kernel kernel,
			      enum vgpu_kernel_attribute attribute, int value);

/* How many blocks of @block threads a multiprocessor can run at a time
 * [cudaOccupancyMaxActiveBlocksPerMultiprocessor]. */
int vgpu_get_occupancy(struct vgpu *vgpu, vgpu_kernel kernel, uint32_t block, size_t dynamic_shared,
		       uint32_t *blocks);

struct vgpu_dim3 {
	uint32_t x, y, z;
};

/*
 * Launch [cudaLaunchKernel]. @params: the kernel's parameters packed, each at its offset and
 * alignment as a C struct of the same members has them; @param_bytes as many as the kernel has, up
 * to 32,764. They are copied. Nothing waits; up to 72 bytes of parameters go with the request
 * itself. cudaErrorInvalidValue (1): a grid or block that is empty or too large, or more shared
 * memory than the kernel may have; of @dynamic_shared CUDA itself looks at 32 bits only.
 */
int vgpu_launch(struct vgpu *vgpu, vgpu_kernel kernel, struct vgpu_dim3 grid,
		struct vgpu_dim3 block, size_t dynamic_shared, vgpu_stream stream,
		const void *params, size_t param_bytes);

/* The same from pointers to the parameters, one each, as CUDA's own call takes them. */
int vgpu_launch_args(struct vgpu *vgpu, vgpu_kernel kernel, struct vgpu_dim3 grid,
		     struct vgpu_dim3 block, size_t dynamic_shared, vgpu_stream stream,
		     void *const *args);

/* ---- streams and events ---- */

#define VGPU_STREAM_DEFAULT 0u
#define VGPU_STREAM_NONBLOCKING 1u /* does not wait for the default stream */

/* [cudaStreamCreateWithPriority] A lower number is more urgent; 0 is usual. */
int vgpu_stream_create(struct vgpu *vgpu, vgpu_stream *out, unsigned int flags, int priority);

/* What is under way in it is finished; does not wait for that. If a capture began in it, that is
 * gone, and streams that joined it are as before. */
int vgpu_stream_destroy(struct vgpu *vgpu, vgpu_stream stream);
int vgpu_stream_synchronize(struct vgpu *vgpu, vgpu_stream stream);

/* 0: all done; cudaErrorNotReady (600). */
int vgpu_stream_query(struct vgpu *vgpu, vgpu_stream stream);

/* Later work in @stream waits for the event as it was last recorded [cudaStreamWaitEvent]. */
int vgpu_stream_wait_event(struct vgpu *vgpu, vgpu_stream stream, vgpu_event event);

#define VGPU_EVENT_DEFAULT 0u
#define VGPU_EVENT_DISABLE_TIMING 1u

int vgpu_event_create(struct vgpu *vgpu, vgpu_event *out, unsigned int flags);
int vgpu_event_destroy(struct vgpu *vgpu, vgpu_event event);
int vgpu_event_record(struct vgpu *vgpu, vgpu_event event, vgpu_stream stream);
int vgpu_event_synchronize(struct vgpu *vgpu, vgpu_event event);

/* 0: done, or never recorded; cudaErrorNotReady (600). */
int vgpu_event_query(struct vgpu *vgpu, vgpu_event event);
int vgpu_event_elapsed(struct vgpu *vgpu, float *ms, vgpu_event start, vgpu_event stop);

/*
 * All work of this handle [cudaDeviceSynchronize]. Where the library knows that nothing is under
 * way this and vgpu_stream_synchronize() return at once and ask nobody: whether the host lives
 * vgpu_nop() tells.
 */
int vgpu_synchronize(struct vgpu *vgpu);

/*
 * @fn runs in this process when the stream gets there, and the stream waits for it
 * [cudaLaunchHostFunc]. It runs in a thread of the library's, one function at a time, and must not
 * call this library with the same handle.
 */
typedef void (*vgpu_host_fn)(void *opaque);
int vgpu_launch_host_func(struct vgpu *vgpu, vgpu_stream stream, vgpu_host_fn fn, void *opaque);

/*
 * The last error that a call on this handle returned, or that work without an answer has caused
 * until now; then 0 is the last [cudaGetLastError]. One round trip. vgpu_peek_last_error() keeps
 * it.
 */
int vgpu_get_last_error(struct vgpu *vgpu);
int vgpu_peek_last_error(struct vgpu *vgpu);

/* ---- graphs ---- */

enum vgpu_capture_mode {
	VGPU_CAPTURE_MODE_GLOBAL = 0,
	VGPU_CAPTURE_MODE_THREAD_LOCAL = 1,
	VGPU_CAPTURE_MODE_RELAXED = 2,
};

/*
 * What is put into @stream from here on is recorded and not run [cudaStreamBeginCapture]. It can be
 * launches, memsets, records and waits, copies on the device and of vgpu_host_alloc()'s or
 * registered memory; calls that wait for the stream return cudaErrorStreamCaptureUnsupported (900).
 *
 * As in CUDA, some calls spoil the capture, and vgpu_capture_end() returns
 * cudaErrorStreamCaptureInvalidated (901): to synchronize or query a stream that takes part, or all
 * work (900), to ask or wait for an event that was recorded in it (cudaErrorCapturedEvent, 907),
 * and to use the default stream if @stream and that wait for each other
 * (cudaErrorStreamCaptureImplicit, 906). cudaErrorIllegalState (401): @stream captures already.
 */
int vgpu_capture_begin(struct vgpu *vgpu, vgpu_stream stream, enum vgpu_capture_mode mode);

/*
 * The graph, ready to be launched [cudaStreamEndCapture, cudaGraphInstantiate]. Whatever it
 * returns, the capture that began in @stream is over. cudaErrorIllegalState (401): none is under
 * way in it. cudaErrorStreamCaptureUnmatched (903): it joined one that began elsewhere.
 */
int vgpu_capture_end(struct vgpu *vgpu, vgpu_stream stream, vgpu_graph *out);

/* All of it, as one message [cudaGraphLaunch]. cudaErrorInvalidValue (1): @graph is 0. */
int vgpu_graph_launch(struct vgpu *vgpu, vgpu_graph graph, vgpu_stream stream);
int vgpu_graph_destroy(struct vgpu *vgpu, vgpu_graph graph);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
