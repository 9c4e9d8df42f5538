// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Backend "cuda": NVIDIA GPUs through the CUDA Runtime. Built as gpu_mediator_cuda.so with the
 * runtime linked statically; the driver's libcuda.so.1 is found by the runtime when it starts.
 *
 * This file brings the backend up and knows the devices; cuda_*.c do the work.
 *
 * Errors of CUDA calls are returned as they are; whether the context survived is for the worker
 * to find out, by memory().
 */
#include "cuda_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/errors.h"
#include "../protocol/vgpu_commands.h"

#define LIBRARY "gpu_mediator_cuda.so"

struct cuda_driver cuda_driver;

static int failed(char *why, size_t why_len, int device, const char *what, int rc)
{
	snprintf(why, why_len, LIBRARY ": device %d: %s: %s", device, what,
		 cudaGetErrorString((cudaError_t)rc));
	return rc;
}

/* Is there a driver, new enough, and this device? */
static int find_device(int device, int *count, struct backend_info *info, char *why, size_t why_len)
{
	int driver = 0, runtime = 0;
	int rc;

	cudaRuntimeGetVersion(&runtime);
	cudaDriverGetVersion(&driver); /* 0 where there is none */
	info->driver_version = (uint32_t)driver;
	info->runtime_version = (uint32_t)runtime;
	if (!driver) {
		snprintf(why, why_len, LIBRARY ": no NVIDIA driver: libcuda.so.1 is missing");
		return cudaErrorInsufficientDriver;
	}
	rc = cudaGetDeviceCount(count);
	if (rc == cudaErrorInsufficientDriver) {
		snprintf(why, why_len, LIBRARY ": driver too old: has CUDA %d.%d, runtime is %d.%d",
			 driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
		return rc;
	}
	if (rc == cudaErrorNoDevice || (rc == cudaSuccess && *count == 0)) {
		snprintf(why, why_len, LIBRARY ": no CUDA-capable device");
		return cudaErrorNoDevice;
	}
	if (rc != cudaSuccess)
		return failed(why, why_len, device, "look for GPUs", rc);
	if (device >= *count) {
		snprintf(why, why_len, LIBRARY ": device %d: the machine has %d, from 0", device,
			 *count);
		return cudaErrorInvalidDevice;
	}
	return 0;
}

static int find_call(const char *name, void **call)
{
	enum cudaDriverEntryPointQueryResult found;
	int rc;

#if CUDART_VERSION >= 12050
	rc = cudaGetDriverEntryPointByVersion(name, call, CUDA_VERSION, cudaEnableDefault, &found);
#else
	rc = cudaGetDriverEntryPoint(name, call, cudaEnableDefault, &found);
#endif
	if (rc == cudaSuccess && found != cudaDriverEntryPointSuccess)
		rc = cudaErrorInsufficientDriver;
	return rc;
}

static int find_calls(char *why, size_t why_len)
{
	void *call;
	int rc;

#define FIND_CALL(name)                                                                            \
	rc = find_call(#name, &call);                                                              \
	if (rc) {                                                                                  \
		snprintf(why, why_len, LIBRARY ": the driver has no " #name);                      \
		return rc;                                                                         \
	}                                                                                          \
	cuda_driver.name = (__typeof__(cuda_driver.name))call;
	CUDA_DRIVER_CALLS(FIND_CALL)
#undef FIND_CALL
	return 0;
}

static uint32_t attribute(int ordinal, enum cudaDeviceAttr which)
{
	int value = 0;

	cuda_result(cudaDeviceGetAttribute(&value, which, ordinal));
	return (uint32_t)value;
}

/* The device that was asked for is the guest's 0; the others follow in CUDA's order. */
static void number_devices(struct backend *b, int first, int count)
{
	b->devices[b->device_count++].ordinal = first;
	for (int i = 0; i < count && b->device_count < CUDA_DEVICES_MAX; i++)
		if (i != first)
			b->devices[b->device_count++].ordinal = i;
}

static int start_device(struct backend *b, uint32_t device)
{
	struct cuda_device *d = &b->devices[device];
	/*
	 * Spinning, not sleeping, in synchronize: a wake-up costs more than most commands run,
	 * and the worker has nothing else to do. Must come before the context is made.
	 */
	int rc = cudaInitDevice(d->ordinal, cudaDeviceScheduleSpin, cudaInitDeviceFlagsAreValid);

	if (rc == cudaSuccess)
		rc = cudaSetDevice(d->ordinal);
	if (rc != cudaSuccess)
		return cuda_result(rc);
	b->current = device;
	b->used_count++;
	d->used = true;
	return 0;
}

int cuda_device_switch(struct backend *b, uint32_t device)
{
	int rc = cudaSetDevice(b->devices[device].ordinal);

	if (rc == cudaSuccess)
		b->current = device;
	return cuda_result(rc);
}

static int cuda_device_set(struct backend *b, uint32_t device)
{
	int rc;

	if (device >= b->device_count)
		return cudaErrorInvalidDevice;
	rc = b->devices[device].used ? cuda_device_use(b, device) : start_device(b, device);
	if (rc == 0)
		b->selected = device;
	return rc;
}

static void fill_limits(struct vgpu_device_info *info, const struct cudaDeviceProp *p)
{
	info->compute_major = (uint32_t)p->major;
	info->compute_minor = (uint32_t)p->minor;
	info->memory_total = p->totalGlobalMem;
	info->shared_per_block = p->sharedMemPerBlock;
	info->shared_per_block_optin = p->sharedMemPerBlockOptin;
	info->shared_per_multiprocessor = p->sharedMemPerMultiprocessor;
	info->constant_memory = p->totalConstMem;
	info->l2_cache = (uint64_t)p->l2CacheSize;
	info->pitch_max = p->memPitch;
	info->multiprocessors = (uint32_t)p->multiProcessorCount;
	info->registers_per_block = (uint32_t)p->regsPerBlock;
	info->warp_size = (uint32_t)p->warpSize;
	info->threads_per_block = (uint32_t)p->maxThreadsPerBlock;
	info->threads_per_multiprocessor = (uint32_t)p->maxThreadsPerMultiProcessor;
	for (int i = 0; i < 3; i++) {
		info->block_max[i] = (uint32_t)p->maxThreadsDim[i];
		info->grid_max[i] = (uint32_t)p->maxGridSize[i];
	}
}

static int cuda_device_info(struct backend *b, uint32_t device, struct vgpu_device_info *info)
{
	struct cudaDeviceProp p;
	int ordinal, rc;

	if (device >= b->device_count)
		return cudaErrorInvalidDevice;
	ordinal = b->devices[device].ordinal;
	rc = cudaGetDeviceProperties(&p, ordinal);
	if (rc != cudaSuccess)
		return cuda_result(rc);
	memset(info, 0, sizeof(*info));
	info->device = device;
	info->devices = b->device_count;
	info->backend = VGPU_BACKEND_CUDA;
	fill_limits(info, &p);
	info->memory_bus_bits = (uint32_t)p.memoryBusWidth;
	info->clock_khz = attribute(ordinal, cudaDevAttrClockRate);
	info->memory_clock_khz = attribute(ordinal, cudaDevAttrMemoryClockRate);
	info->copy_engines = (uint32_t)p.asyncEngineCount;
	info->concurrent_kernels = (uint32_t)p.concurrentKernels;
	/* To ask for another device's takes a context there; they do not differ. */
	info->priority_least = b->priority_least;
	info->priority_greatest = b->priority_greatest;
	info->pci_domain = (uint32_t)p.pciDomainID;
	info->pci_bus = (uint32_t)p.pciBusID;
	info->pci_device = (uint32_t)p.pciDeviceID;
	memcpy(info->uuid, &p.uuid, sizeof(info->uuid));
	snprintf(info->name, sizeof(info->name), "%.*s", (int)sizeof(info->name) - 1, p.name);
	return 0;
}

static int describe(int device, struct backend_info *info)
{
	struct cudaDeviceProp prop;
	int rc = cudaGetDeviceProperties(&prop, device);

	if (rc != cudaSuccess)
		return rc;
	info->kind = VGPU_BACKEND_CUDA;
	info->compute_major = (uint32_t)prop.major;
	info->compute_minor = (uint32_t)prop.minor;
	info->multiprocessors = (uint32_t)prop.multiProcessorCount;
	info->host_exposed = prop.pageableMemoryAccess != 0;
	info->memory_total = prop.totalGlobalMem;
	snprintf(info->device, sizeof(info->device), "%.*s", (int)sizeof(info->device) - 1,
		 prop.name);
	return 0;
}

static void cuda_close(struct backend *b)
{
	if (!b)
		return;
	cuda_device_use(b, 0);
	cuda_streams_dispose(b);
	cuda_fences_dispose(b);
	cuda_memory_dispose(b);
	cuda_events_dispose(b);
	cuda_adder_dispose(b);
	free(b);
}

/*
 * While a stream captures, the guest's other streams are looked after as ever: calls that CUDA
 * would refuse then, lest they end up in the graph, are ours and keep clear of it.
 */
static int keep_clear_of_captures(void)
{
	enum cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;

	return cudaThreadExchangeStreamCaptureMode(&mode);
}

static int bring_up(struct backend *b, struct backend_info *info, const char **what)
{
	int least = 0, greatest = 0;
	int rc;

	*what = "create a context";
	rc = start_device(b, 0);
	if (rc)
		return rc;
	*what = "read its properties";
	rc = describe(b->devices[0].ordinal, info);
	if (rc == cudaSuccess)
		rc = cudaDeviceGetStreamPriorityRange(&least, &greatest);
	if (rc != cudaSuccess)
		return rc;
	b->priority_least = least;
	b->priority_greatest = greatest;
	*what = "allocate";
	rc = cuda_memory_init(b);
	if (rc == cudaSuccess)
		rc = cuda_streams_init(b);
	if (rc == cudaSuccess)
		rc = cuda_fences_init(b);
	if (rc == cudaSuccess)
		rc = keep_clear_of_captures();
	if (rc != cudaSuccess)
		return rc;
	*what = "run the first kernel";
	rc = cuda_copy_init(b);
	return rc == cudaSuccess ? cuda_adder_init(b) : rc;
}

static int cuda_open(struct backend **out, int device, struct backend_info *info, char *why,
		     size_t why_len)
{
	struct backend *b;
	const char *what;
	int count = 0, rc;

	memset(info, 0, sizeof(*info));
	/* What guests have compiled is not to be found on the host's disk. */
	setenv("CUDA_CACHE_DISABLE", "1", 0);
	rc = find_device(device, &count, info, why, why_len);
	if (rc == 0)
		rc = find_calls(why, why_len);
	if (rc)
		return rc;
	b = calloc(1, sizeof(*b));
	if (!b) {
		snprintf(why, why_len, LIBRARY ": out of memory");
		return VGPU_ENOMEM;
	}
	number_devices(b, device, count);
	rc = bring_up(b, info, &what);
	if (rc) {
		failed(why, why_len, device, what, rc);
		cuda_close(b);
		return rc;
	}
	*out = b;
	return 0;
}

extern const struct backend_ops vgpu_backend_cuda;
__attribute__((visibility("default"))) const struct backend_ops vgpu_backend_cuda = {
	.abi = BACKEND_ABI,
	.name = "cuda",
	.open = cuda_open,
	.close = cuda_close,
	.memory = cuda_memory,
	.window = cuda_window,
	.vector_add = cuda_vector_add,
	.device_info = cuda_device_info,
	.device_set = cuda_device_set,
	.alloc = cuda_alloc,
	.free = cuda_free,
	.memset = cuda_memset,
	.copy = cuda_copy,
	.write = cuda_write,
	.read = cuda_read,
	.module_load = cuda_module_load,
	.module_unload = cuda_module_unload,
	.kernel_get = cuda_kernel_get,
	.kernel_param = cuda_kernel_param,
	.kernel_set = cuda_kernel_set,
	.occupancy = cuda_occupancy,
	.launch = cuda_launch,
	.stream_create = cuda_stream_create,
	.stream_destroy = cuda_stream_destroy,
	.stream_wait = cuda_stream_wait,
	.stream_query = cuda_stream_query,
	.event_create = cuda_event_create,
	.event_destroy = cuda_event_destroy,
	.event_record = cuda_event_record,
	.event_query = cuda_event_query,
	.event_elapsed = cuda_event_elapsed,
	.fence = cuda_fence,
	.fence_mark = cuda_fence_mark,
	.fence_done = cuda_fence_done,
	.fence_drop = cuda_fence_drop,
	.hold = cuda_hold,
	.release = cuda_release,
	.capture_begin = cuda_capture_begin,
	.capture_end = cuda_capture_end,
	.graph_launch = cuda_graph_launch,
	.graph_destroy = cuda_graph_destroy,
};
