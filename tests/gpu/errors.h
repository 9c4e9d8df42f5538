/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors, provoked one by one: what does a program get told by CUDA, and what by libvgpuguest?
 *
 * The cases (errors_*.c) are the same for both; native_errors has this GPU from CUDA
 * (native_errors.c), vgpu_errors from the library (vgpu_errors.c), with calls that correspond one
 * for one. All calls return CUDA's number, or VGPU_E*. What the library tells only later
 * (vgpuguest_gpu.h) vgpu_errors.c has asked for when a call returns.
 */
#ifndef TESTS_GPU_ERRORS_H
#define TESTS_GPU_ERRORS_H

#include <stddef.h>
#include <stdint.h>

struct error_case {
	const char *name; /* CASES_END: NULL */
	int (*run)(void); /* in a process of its own; returns the number */

	/* Where the library is not to be as CUDA: its number, and what says so. */
	int documented;
	const char *why;
};

#define CASE(name, run)                                                                            \
	{                                                                                          \
		name, run, 0, NULL                                                                 \
	}
#define BY_DESIGN(name, run, number, why)                                                          \
	{                                                                                          \
		name, run, number, why                                                             \
	}
/* A handle that is none, or no more, where CUDA's manual promises nothing. */
#define UNDEFINED(name, run)                                                                       \
	BY_DESIGN(name, run, 400, "undefined in CUDA; vgpuguest_gpu.h: such a number means nothing")
#define CASES_END CASE(NULL, NULL)

extern const struct error_case device_errors[], memory_errors[], copy_errors[], module_errors[],
	launch_errors[], fault_errors[], stream_errors[], event_errors[], capture_errors[];

/* What leads to the case must work; else the process ends. */
#define NEED(call) errors_need((call), #call)
void errors_need(int rc, const char *call);

/* ---- the GPU ---- */

typedef uint64_t gpu_ptr;
typedef uint64_t gpu_handle; /* 0: none, and of streams the default stream */

/* @where: a device of the library's. Ends the process if it fails. */
void gpu_open(const char *where);

int gpu_select(unsigned int gpu);
int gpu_properties(unsigned int gpu);

int gpu_malloc(gpu_ptr *out, size_t bytes);
int gpu_malloc_pitch(gpu_ptr *out, size_t *pitch, size_t width, size_t height);
int gpu_free(gpu_ptr p);
int gpu_host_alloc(void **out, size_t bytes);
int gpu_host_free(void *p);
int gpu_memset(gpu_ptr dst, size_t bytes);
int gpu_memset_2d(gpu_ptr dst, size_t pitch, size_t width, size_t height);

int gpu_write(gpu_ptr dst, const void *src, size_t bytes);
int gpu_read(void *dst, gpu_ptr src, size_t bytes);
int gpu_copy(gpu_ptr dst, gpu_ptr src, size_t bytes);
int gpu_write_async(gpu_ptr dst, const void *src, size_t bytes, gpu_handle stream);
int gpu_write_2d(gpu_ptr dst, size_t dst_pitch, const void *src, size_t src_pitch, size_t width,
		 size_t height);

int gpu_load(gpu_handle *out, const void *image, size_t bytes);
int gpu_load_file(gpu_handle *out, const char *path);
int gpu_unload(gpu_handle module);
int gpu_kernel(gpu_handle module, const char *name, gpu_handle *out);
int gpu_set_dynamic_shared(gpu_handle kernel, int bytes);
int gpu_occupancy(gpu_handle kernel, unsigned int block);

struct gpu_launch {
	gpu_handle kernel;
	uint32_t grid[3], block[3];
	size_t shared;
	gpu_handle stream;
	void **args;
};
int gpu_launch(const struct gpu_launch *l);

int gpu_stream_create(gpu_handle *out, unsigned int flags);
int gpu_stream_destroy(gpu_handle stream);
int gpu_stream_synchronize(gpu_handle stream);
int gpu_stream_query(gpu_handle stream);
int gpu_stream_wait(gpu_handle stream, gpu_handle event);
int gpu_host_func(gpu_handle stream, void (*fn)(void *opaque));
int gpu_synchronize(void);

#define GPU_EVENT_NO_TIMING 1u
int gpu_event_create(gpu_handle *out, unsigned int flags);
int gpu_event_destroy(gpu_handle event);
int gpu_event_record(gpu_handle event, gpu_handle stream);
int gpu_event_synchronize(gpu_handle event);
int gpu_event_query(gpu_handle event);
int gpu_event_elapsed(float *ms, gpu_handle start, gpu_handle stop);

#define GPU_CAPTURE_GLOBAL 0u
#define GPU_CAPTURE_RELAXED 2u
int gpu_capture_begin(gpu_handle stream, unsigned int mode);
int gpu_capture_end(gpu_handle stream, gpu_handle *graph);
int gpu_graph_launch(gpu_handle graph, gpu_handle stream);
int gpu_graph_destroy(gpu_handle graph);

int gpu_last_error(void);

/* ---- errors_launch.c ---- */

/* Kernels of errors_kernels.cu. */
gpu_handle errors_module(void);
gpu_handle errors_kernel(const char *name);

/* One thread that keeps @stream busy for @ms. */
int errors_spin(gpu_handle stream, uint32_t ms);

/* ---- errors_memory.c ---- */

/* The first byte behind it belongs to nobody. */
#define LARGE ((size_t)8 << 20)
gpu_ptr errors_large(void);

#endif
