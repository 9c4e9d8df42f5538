/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The GPU as the benchmarks' work (work.c) uses it. One program has it from CUDA (native_gpu.c),
 * one from libvgpuguest (vgpu_gpu.c), and one, of the first part only, from nothing but shared
 * memory (raw_gpu.c): they do the same work, with calls that correspond one for one.
 *
 * Whatever fails ends the program with a complaint. Work goes into the default stream.
 */
#ifndef TESTS_BENCH_GPU_H
#define TESTS_BENCH_GPU_H

#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpu_ptr;

/* Those of bench_kernels.cu, which the backend `cpu` has of its own. */
enum gpu_kernel {
	GPU_ADD_ONE,
	GPU_SAXPY,
	GPU_VECTOR_ADD,
	GPU_MATMUL,
	GPU_KERNELS,
};

extern const char *const gpu_kernel_names[GPU_KERNELS];

struct gpu_launch {
	enum gpu_kernel kernel;
	uint32_t grid[2], block[2];
	const void *params; /* packed */
	size_t param_bytes;
	void **args; /* a pointer to each of them */
};

/* ---- all three ---- */

/* For native CUDA: the process sleeps while it waits, instead of polling. */
#define GPU_SLEEPS "sleeps"

/* @where: what the program was told, a device, a CPU or the above. @image: a file with the kernels.
 */
void gpu_open(const char *where, const char *image, size_t window_bytes);
void gpu_close(void);

gpu_ptr gpu_alloc(size_t bytes);
void gpu_free(gpu_ptr p);

/* Memory of this process that the GPU copies from and to by itself. */
void *gpu_window_alloc(size_t bytes);
void gpu_window_free(void *p);

/* As cudaMemcpy(): the host's memory can be used again. */
void gpu_write(gpu_ptr dst, const void *src, size_t bytes);
void gpu_read(void *dst, gpu_ptr src, size_t bytes);

void gpu_launch(const struct gpu_launch *l);
void gpu_synchronize(void);

/* A round trip to whoever serves us, who is awake then. */
void gpu_wake(void);

/* ---- CUDA and libvgpuguest ---- */

const char *gpu_name(void);
void gpu_memory_info(size_t *free_bytes, size_t *total_bytes);

/* Of the default stream, in which all is done. */
void gpu_query(void);

/* What is launched between the two becomes a graph. */
void gpu_graph_begin(void);
void gpu_graph_end(void);
void gpu_graph_launch(void);
void gpu_graph_free(void);

#endif
