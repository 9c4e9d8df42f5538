// SPDX-License-Identifier: GPL-2.0-or-later
/* Any image is taken: the kernels are those of backend_cpu_kernels.c, found by name. */
#include "backend_cpu.h"

#include <stdlib.h>

#include "../common/errors.h"

struct backend_kernel {
	const struct cpu_kernel *fn;
	LIST_ENTRY(backend_kernel) link;
	uint32_t dynamic_shared_max;
};

struct backend_module {
	LIST_HEAD(, backend_kernel) kernels;
};

int cpu_module_load(struct backend *b, const void *image, size_t bytes, struct backend_module **out,
		    char *log, size_t log_len)
{
	(void)image;
	(void)bytes;
	(void)log;
	(void)log_len;
	if (b->fault)
		return b->fault;
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : VGPU_ENOMEM;
}

void cpu_module_unload(struct backend *b, struct backend_module *m)
{
	struct backend_kernel *k;

	(void)b;
	while ((k = LIST_FIRST(&m->kernels))) {
		LIST_REMOVE(k, link);
		free(k);
	}
	free(m);
}

int cpu_kernel_get(struct backend *b, struct backend_module *m, const char *name,
		   struct backend_kernel **out, struct vgpu_kernel_reply *info)
{
	const struct cpu_kernel *fn = cpu_kernel_find(name);
	struct backend_kernel *k;

	if (b->fault)
		return b->fault;
	if (!fn)
		return CPU_SYMBOL_NOT_FOUND;
	k = calloc(1, sizeof(*k));
	if (!k)
		return VGPU_ENOMEM;
	k->fn = fn;
	k->dynamic_shared_max = CPU_SHARED_PER_BLOCK;
	LIST_INSERT_HEAD(&m->kernels, k, link);
	*info = (struct vgpu_kernel_reply){
		.threads_max = CPU_THREADS_PER_BLOCK,
		.registers = CPU_REGISTERS,
		.dynamic_shared_max = k->dynamic_shared_max,
		.params = fn->param_count,
		.param_bytes = fn->param_bytes,
	};
	*out = k;
	return 0;
}

int cpu_kernel_param(struct backend *b, struct backend_kernel *k, uint32_t index,
		     struct vgpu_kernel_param *out)
{
	(void)b;
	if (index >= k->fn->param_count)
		return CPU_INVALID_VALUE;
	*out = k->fn->params[index];
	return 0;
}

int cpu_kernel_set(struct backend *b, struct backend_kernel *k, uint32_t attribute, int32_t value)
{
	if (b->fault)
		return b->fault;
	if (attribute == VGPU_KERNEL_SHARED_CARVEOUT)
		return value >= -1 && value <= 100 ? 0 : CPU_INVALID_VALUE;
	if (value < 0 || (uint32_t)value > CPU_SHARED_PER_MULTIPROCESSOR)
		return CPU_INVALID_VALUE;
	k->dynamic_shared_max = (uint32_t)value;
	return 0;
}

/* Bounded by blocks, by threads in whole warps, by registers and by shared memory. */
int cpu_occupancy(struct backend *b, struct backend_kernel *k, uint32_t block,
		  uint64_t dynamic_shared, uint32_t *blocks)
{
	uint32_t threads, n = CPU_BLOCKS_PER_MULTIPROCESSOR;

	if (b->fault)
		return b->fault;
	*blocks = 0;
	if (block > CPU_THREADS_PER_BLOCK || dynamic_shared > k->dynamic_shared_max)
		return 0;
	threads = (block + CPU_WARP - 1) / CPU_WARP * CPU_WARP;
	if (n > CPU_THREADS_PER_MULTIPROCESSOR / threads)
		n = CPU_THREADS_PER_MULTIPROCESSOR / threads;
	if (n > CPU_REGISTERS_PER_MULTIPROCESSOR / (threads * CPU_REGISTERS))
		n = CPU_REGISTERS_PER_MULTIPROCESSOR / (threads * CPU_REGISTERS);
	if (dynamic_shared && n > CPU_SHARED_PER_MULTIPROCESSOR / dynamic_shared)
		n = (uint32_t)(CPU_SHARED_PER_MULTIPROCESSOR / dynamic_shared);
	*blocks = n;
	return 0;
}

static bool fits(const struct backend_launch *l)
{
	const uint64_t threads = (uint64_t)l->block[0] * l->block[1] * l->block[2];

	return threads && l->grid[0] && l->grid[1] && l->grid[2] &&
	       threads <= CPU_THREADS_PER_BLOCK && l->block[2] <= CPU_BLOCK_Z_MAX &&
	       l->grid[0] <= CPU_GRID_X_MAX && l->grid[1] <= CPU_GRID_YZ_MAX &&
	       l->grid[2] <= CPU_GRID_YZ_MAX;
}

int cpu_launch(struct backend *b, struct backend_stream *s, struct backend_kernel *k,
	       const struct backend_launch *l)
{
	const struct cpu_op op = {
		.kind = CPU_LAUNCH,
		.stream = cpu_stream(b, s),
		.kernel = k->fn,
		.launch = *l,
		.data = l->params,
		.bytes = l->param_bytes,
	};

	if (!fits(l) || l->dynamic_shared > k->dynamic_shared_max)
		return CPU_INVALID_VALUE;
	return cpu_submit(b, &op);
}
