// SPDX-License-Identifier: GPL-2.0-or-later
/* The reference: every operation on the host's processor. Needs no GPU. */
#include "backend_cpu.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "../common/errors.h"
#include "../protocol/vgpu_commands.h"

/* "model name : Intel(R) Xeon(R) ..." of the first processor. */
static void find_name(char *out, size_t len)
{
	char line[256], *value;
	FILE *f = fopen("/proc/cpuinfo", "re");

	snprintf(out, len, "CPU reference");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		value = strchr(line, ':');
		if (strncmp(line, "model name", 10) == 0 && value) {
			value += 1 + strspn(value + 1, " ");
			value[strcspn(value, "\n")] = '\0';
			snprintf(out, len, "%s", value);
			break;
		}
	}
	fclose(f);
}

static int cpu_memory(struct backend *b, uint64_t *total, uint64_t *free_bytes)
{
	struct sysinfo s;
	uint64_t left;

	if (b->fault)
		return b->fault;
	left = b->memory_total - b->memory_used;
	*total = b->memory_total;
	*free_bytes = left;
	if (sysinfo(&s) == 0 && (uint64_t)s.freeram * s.mem_unit < left)
		*free_bytes = (uint64_t)s.freeram * s.mem_unit;
	return 0;
}

static uint32_t processors(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (uint32_t)n : 1;
}

static int cpu_open(struct backend **out, int device, struct backend_info *info, char *why,
		    size_t why_len)
{
	struct backend *b = calloc(1, sizeof(*b));
	struct sysinfo s;

	(void)device;
	if (!b || sysinfo(&s) < 0) {
		snprintf(why, why_len, "cpu: %s", strerror(errno));
		free(b);
		return VGPU_ENOMEM;
	}
	cpu_queue_init(b);
	b->memory_total = (uint64_t)s.totalram * s.mem_unit;
	*info = (struct backend_info){
		.kind = VGPU_BACKEND_CPU,
		.multiprocessors = processors(),
		.memory_total = b->memory_total,
	};
	find_name(info->device, sizeof(info->device));
	*out = b;
	return 0;
}

static void cpu_close(struct backend *b)
{
	cpu_queue_dispose(b);
	cpu_memory_dispose(b);
	free(b);
}

static int cpu_window(struct backend *b, void *base, size_t bytes, bool registrable)
{
	(void)b;
	(void)base;
	(void)bytes;
	(void)registrable;
	return 0;
}

static int cpu_vector_add(struct backend *b, const float *a, const float *bb, float *c, size_t n)
{
	(void)b;
	/* c may be a or b, so no restrict; elements are independent all the same. */
#pragma GCC ivdep
	for (size_t i = 0; i < n; i++)
		c[i] = a[i] + bb[i];
	return 0;
}

static int cpu_device_info(struct backend *b, uint32_t device, struct vgpu_device_info *info)
{
	if (b->fault)
		return b->fault;
	if (device)
		return CPU_INVALID_DEVICE;
	*info = (struct vgpu_device_info){
		.devices = 1,
		.memory_total = b->memory_total,
		.shared_per_block = CPU_SHARED_PER_BLOCK,
		.shared_per_block_optin = CPU_SHARED_PER_MULTIPROCESSOR,
		.shared_per_multiprocessor = CPU_SHARED_PER_MULTIPROCESSOR,
		.constant_memory = 64 << 10,
		.pitch_max = INT32_MAX,
		.multiprocessors = processors(),
		.registers_per_block = CPU_REGISTERS_PER_MULTIPROCESSOR,
		.warp_size = CPU_WARP,
		.threads_per_block = CPU_THREADS_PER_BLOCK,
		.threads_per_multiprocessor = CPU_THREADS_PER_MULTIPROCESSOR,
		.block_max = { CPU_THREADS_PER_BLOCK, CPU_THREADS_PER_BLOCK, CPU_BLOCK_Z_MAX },
		.grid_max = { CPU_GRID_X_MAX, CPU_GRID_YZ_MAX, CPU_GRID_YZ_MAX },
		.backend = VGPU_BACKEND_CPU,
	};
	find_name(info->name, sizeof(info->name));
	return 0;
}

static int cpu_device_set(struct backend *b, uint32_t device)
{
	return device ? CPU_INVALID_DEVICE : b->fault;
}

const struct backend_ops backend_cpu = {
	.abi = BACKEND_ABI,
	.name = "cpu",
	.open = cpu_open,
	.close = cpu_close,
	.memory = cpu_memory,
	.window = cpu_window,
	.vector_add = cpu_vector_add,
	.device_info = cpu_device_info,
	.device_set = cpu_device_set,
	.alloc = cpu_alloc,
	.free = cpu_free,
	.memset = cpu_memset,
	.copy = cpu_copy,
	.write = cpu_write,
	.read = cpu_read,
	.module_load = cpu_module_load,
	.module_unload = cpu_module_unload,
	.kernel_get = cpu_kernel_get,
	.kernel_param = cpu_kernel_param,
	.kernel_set = cpu_kernel_set,
	.occupancy = cpu_occupancy,
	.launch = cpu_launch,
	.stream_create = cpu_stream_create,
	.stream_destroy = cpu_stream_destroy,
	.stream_wait = cpu_stream_wait,
	.stream_query = cpu_stream_query,
	.event_create = cpu_event_create,
	.event_destroy = cpu_event_destroy,
	.event_record = cpu_event_record,
	.event_query = cpu_event_query,
	.event_elapsed = cpu_event_elapsed,
	.fence = cpu_fence,
	.fence_mark = cpu_fence_mark,
	.fence_done = cpu_fence_done,
	.fence_drop = cpu_fence_drop,
	.hold = cpu_hold,
	.release = cpu_release,
	.capture_begin = cpu_capture_begin,
	.capture_end = cpu_capture_end,
	.graph_launch = cpu_graph_launch,
	.graph_destroy = cpu_graph_destroy,
};
