// SPDX-License-Identifier: GPL-2.0-or-later
/* errors.h in plain CUDA: what to compare with. */
#include "errors.h"

#include <cuda_runtime_api.h>

static void *pointer(uint64_t p)
{
	return (void *)(uintptr_t)p;
}

static cudaStream_t stream_of(gpu_handle s)
{
	return (cudaStream_t)pointer(s);
}

static cudaEvent_t event_of(gpu_handle e)
{
	return (cudaEvent_t)pointer(e);
}

/* CUDA's pointer to @made, or NULL if the case gives it none. */
#define INTO(out, made) ((out) ? &(made) : NULL)

/* And what it made, to the case. */
#define MADE(call, out, made)                                                                      \
	({                                                                                         \
		int made_rc_ = (call);                                                             \
		if (made_rc_ == 0 && (out))                                                        \
			*(out) = (uintptr_t)(made);                                                \
		made_rc_;                                                                          \
	})

void gpu_open(const char *where)
{
	(void)where;
	NEED(cudaSetDevice(0));
	NEED(cudaFree(NULL));
}

int gpu_select(unsigned int gpu)
{
	return cudaSetDevice((int)gpu);
}

int gpu_properties(unsigned int gpu)
{
	struct cudaDeviceProp p;

	return cudaGetDeviceProperties(&p, (int)gpu);
}

/* ---- memory ---- */

int gpu_malloc(gpu_ptr *out, size_t bytes)
{
	void *p = NULL;

	return MADE(cudaMalloc(INTO(out, p), bytes), out, p);
}

int gpu_malloc_pitch(gpu_ptr *out, size_t *pitch, size_t width, size_t height)
{
	void *p = NULL;

	return MADE(cudaMallocPitch(INTO(out, p), pitch, width, height), out, p);
}

int gpu_free(gpu_ptr p)
{
	return cudaFree(pointer(p));
}

int gpu_host_alloc(void **out, size_t bytes)
{
	return cudaMallocHost(out, bytes);
}

int gpu_host_free(void *p)
{
	return cudaFreeHost(p);
}

int gpu_memset(gpu_ptr dst, size_t bytes)
{
	return cudaMemset(pointer(dst), 0, bytes);
}

int gpu_memset_2d(gpu_ptr dst, size_t pitch, size_t width, size_t height)
{
	return cudaMemset2DAsync(pointer(dst), pitch, 0, width, height, NULL);
}

int gpu_write(gpu_ptr dst, const void *src, size_t bytes)
{
	return cudaMemcpy(pointer(dst), src, bytes, cudaMemcpyHostToDevice);
}

int gpu_read(void *dst, gpu_ptr src, size_t bytes)
{
	return cudaMemcpy(dst, pointer(src), bytes, cudaMemcpyDeviceToHost);
}

int gpu_copy(gpu_ptr dst, gpu_ptr src, size_t bytes)
{
	return cudaMemcpy(pointer(dst), pointer(src), bytes, cudaMemcpyDeviceToDevice);
}

int gpu_write_async(gpu_ptr dst, const void *src, size_t bytes, gpu_handle stream)
{
	return cudaMemcpyAsync(pointer(dst), src, bytes, cudaMemcpyHostToDevice, stream_of(stream));
}

int gpu_write_2d(gpu_ptr dst, size_t dst_pitch, const void *src, size_t src_pitch, size_t width,
		 size_t height)
{
	return cudaMemcpy2D(pointer(dst), dst_pitch, src, src_pitch, width, height,
			    cudaMemcpyHostToDevice);
}

/* ---- modules and launches ---- */

int gpu_load(gpu_handle *out, const void *image, size_t bytes)
{
	cudaLibrary_t l = NULL;

	(void)bytes;
	return MADE(cudaLibraryLoadData(&l, image, NULL, NULL, 0, NULL, NULL, 0), out, l);
}

int gpu_load_file(gpu_handle *out, const char *path)
{
	cudaLibrary_t l = NULL;

	return MADE(cudaLibraryLoadFromFile(&l, path, NULL, NULL, 0, NULL, NULL, 0), out, l);
}

int gpu_unload(gpu_handle module)
{
	return cudaLibraryUnload((cudaLibrary_t)pointer(module));
}

int gpu_kernel(gpu_handle module, const char *name, gpu_handle *out)
{
	cudaKernel_t k = NULL;

	return MADE(cudaLibraryGetKernel(&k, (cudaLibrary_t)pointer(module), name), out, k);
}

int gpu_set_dynamic_shared(gpu_handle kernel, int bytes)
{
	return cudaFuncSetAttribute(pointer(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
				    bytes);
}

int gpu_occupancy(gpu_handle kernel, unsigned int block)
{
	int blocks;

	return cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, pointer(kernel), (int)block,
							     0);
}

/* A cudaKernel_t, which is what nvcc makes of <<<>>> hands to this call, too. */
int gpu_launch(const struct gpu_launch *l)
{
	const dim3 grid = { l->grid[0], l->grid[1], l->grid[2] };
	const dim3 block = { l->block[0], l->block[1], l->block[2] };

	return cudaLaunchKernel(pointer(l->kernel), grid, block, l->args, l->shared,
				stream_of(l->stream));
}

/* ---- streams and events ---- */

int gpu_stream_create(gpu_handle *out, unsigned int flags)
{
	cudaStream_t s = NULL;

	return MADE(cudaStreamCreateWithFlags(INTO(out, s), flags), out, s);
}

int gpu_stream_destroy(gpu_handle stream)
{
	return cudaStreamDestroy(stream_of(stream));
}

int gpu_stream_synchronize(gpu_handle stream)
{
	return cudaStreamSynchronize(stream_of(stream));
}

int gpu_stream_query(gpu_handle stream)
{
	return cudaStreamQuery(stream_of(stream));
}

int gpu_stream_wait(gpu_handle stream, gpu_handle event)
{
	return cudaStreamWaitEvent(stream_of(stream), event_of(event), 0);
}

int gpu_host_func(gpu_handle stream, void (*fn)(void *opaque))
{
	return cudaLaunchHostFunc(stream_of(stream), fn, NULL);
}

int gpu_synchronize(void)
{
	return cudaDeviceSynchronize();
}

int gpu_event_create(gpu_handle *out, unsigned int flags)
{
	unsigned int cuda = flags == GPU_EVENT_NO_TIMING ? cudaEventDisableTiming : flags;
	cudaEvent_t e = NULL;

	return MADE(cudaEventCreateWithFlags(INTO(out, e), cuda), out, e);
}

int gpu_event_destroy(gpu_handle event)
{
	return cudaEventDestroy(event_of(event));
}

int gpu_event_record(gpu_handle event, gpu_handle stream)
{
	return cudaEventRecord(event_of(event), stream_of(stream));
}

int gpu_event_synchronize(gpu_handle event)
{
	return cudaEventSynchronize(event_of(event));
}

int gpu_event_query(gpu_handle event)
{
	return cudaEventQuery(event_of(event));
}

int gpu_event_elapsed(float *ms, gpu_handle start, gpu_handle stop)
{
	return cudaEventElapsedTime(ms, event_of(start), event_of(stop));
}

/* ---- graphs ---- */

int gpu_capture_begin(gpu_handle stream, unsigned int mode)
{
	return cudaStreamBeginCapture(stream_of(stream), (enum cudaStreamCaptureMode)mode);
}

int gpu_capture_end(gpu_handle stream, gpu_handle *graph)
{
	cudaGraphExec_t g = NULL;
	cudaGraph_t recorded = NULL;
	int rc = cudaStreamEndCapture(stream_of(stream), INTO(graph, recorded));

	if (rc == 0)
		rc = cudaGraphInstantiate(&g, recorded, 0);
	return MADE(rc, graph, g);
}

int gpu_graph_launch(gpu_handle graph, gpu_handle stream)
{
	return cudaGraphLaunch((cudaGraphExec_t)pointer(graph), stream_of(stream));
}

int gpu_graph_destroy(gpu_handle graph)
{
	return cudaGraphExecDestroy((cudaGraphExec_t)pointer(graph));
}

int gpu_last_error(void)
{
	return cudaGetLastError();
}
