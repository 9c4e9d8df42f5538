// SPDX-License-Identifier: GPL-2.0-or-later
/* gpu.h in plain CUDA: what to compare with. */
#include "gpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cuda_runtime_api.h>

#include "bench.h"

static cudaLibrary_t library;
static const void *kernels[GPU_KERNELS];
static cudaStream_t graph_stream, stream; /* the second is that of launches */
static cudaGraphExec_t graph;
static struct cudaDeviceProp properties;

static void check(cudaError_t error, const char *what)
{
	if (error != cudaSuccess)
		bench_die("native: %s: %s", what, cudaGetErrorString(error));
}

static void *read_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *image = NULL;
	long bytes = -1;

	if (f && fseek(f, 0, SEEK_END) == 0)
		bytes = ftell(f);
	if (bytes > 0)
		image = malloc((size_t)bytes);
	if (!image)
		bench_die("read %s: %s", path, strerror(errno));
	rewind(f);
	if (fread(image, 1, (size_t)bytes, f) != (size_t)bytes)
		bench_die("read %s: it changed", path);
	fclose(f);
	return image;
}

void gpu_open(const char *where, const char *image, size_t window_bytes)
{
	void *data = read_file(image);

	(void)window_bytes;
	if (strcmp(where, GPU_SLEEPS) == 0)
		check(cudaSetDeviceFlags(cudaDeviceScheduleBlockingSync), "set flags");
	check(cudaLibraryLoadData(&library, data, NULL, NULL, 0, NULL, NULL, 0), "load kernels");
	free(data);
}

void gpu_close(void)
{
	check(cudaLibraryUnload(library), "unload kernels");
}

gpu_ptr gpu_alloc(size_t bytes)
{
	void *p;

	check(cudaMalloc(&p, bytes), "allocate");
	return (uintptr_t)p;
}

void gpu_free(gpu_ptr p)
{
	check(cudaFree((void *)(uintptr_t)p), "free");
}

void *gpu_window_alloc(size_t bytes)
{
	void *p;

	check(cudaMallocHost(&p, bytes), "allocate pinned memory");
	return p;
}

void gpu_window_free(void *p)
{
	check(cudaFreeHost(p), "free pinned memory");
}

void gpu_write(gpu_ptr dst, const void *src, size_t bytes)
{
	check(cudaMemcpy((void *)(uintptr_t)dst, src, bytes, cudaMemcpyHostToDevice), "write");
}

void gpu_read(void *dst, gpu_ptr src, size_t bytes)
{
	check(cudaMemcpy(dst, (const void *)(uintptr_t)src, bytes, cudaMemcpyDeviceToHost), "read");
}

static const void *kernel_of(enum gpu_kernel number)
{
	cudaKernel_t kernel;

	if (!kernels[number]) {
		check(cudaLibraryGetKernel(&kernel, library, gpu_kernel_names[number]),
		      gpu_kernel_names[number]);
		kernels[number] = (const void *)kernel;
	}
	return kernels[number];
}

void gpu_launch(const struct gpu_launch *l)
{
	const dim3 grid = { l->grid[0], l->grid[1], 1 };
	const dim3 block = { l->block[0], l->block[1], 1 };

	check(cudaLaunchKernel(kernel_of(l->kernel), grid, block, l->args, 0, stream), "launch");
}

void gpu_synchronize(void)
{
	check(cudaDeviceSynchronize(), "synchronize");
}

/* Nobody stands between. */
void gpu_wake(void)
{
}

const char *gpu_name(void)
{
	check(cudaGetDeviceProperties(&properties, 0), "properties");
	return properties.name;
}

void gpu_memory_info(size_t *free_bytes, size_t *total_bytes)
{
	check(cudaMemGetInfo(free_bytes, total_bytes), "memory info");
}

void gpu_query(void)
{
	check(cudaStreamQuery(NULL), "query");
}

void gpu_graph_begin(void)
{
	check(cudaStreamCreate(&graph_stream), "create a stream");
	check(cudaStreamBeginCapture(graph_stream, cudaStreamCaptureModeGlobal), "capture");
	stream = graph_stream;
}

void gpu_graph_end(void)
{
	cudaGraph_t captured;

	check(cudaStreamEndCapture(graph_stream, &captured), "end the capture");
	check(cudaGraphInstantiate(&graph, captured, 0), "make a graph");
	check(cudaGraphDestroy(captured), "destroy the captured");
	stream = NULL;
}

void gpu_graph_launch(void)
{
	check(cudaGraphLaunch(graph, graph_stream), "launch the graph");
}

void gpu_graph_free(void)
{
	check(cudaGraphExecDestroy(graph), "destroy the graph");
	check(cudaStreamDestroy(graph_stream), "destroy the stream");
}
