/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which GPUs there are, and what a handle keeps of its work on them. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "../common/shm.h"

#define GPUS_MAX 1024u /* more than a host says that it has is not believed */

void gpu_init(struct gpu *g)
{
	handles_init(&g->streams, sizeof(struct gpu_stream));
	handles_init(&g->events, sizeof(struct gpu_event));
	handles_init(&g->modules, sizeof(struct gpu_module));
	handles_init(&g->kernels, sizeof(struct gpu_kernel));
	handles_init(&g->graphs, sizeof(struct gpu_graph));
}

void gpu_dispose(struct vgpu *vgpu)
{
	struct gpu *g = &vgpu->gpu;

	host_funcs_stop(vgpu);
	copy_threads_stop(g->copy_threads);
	g->copy_threads = NULL;
	for (uint32_t i = 0; i < g->kernels.used; i++) {
		struct gpu_kernel *k = handles_at(&g->kernels, i);

		if (k) {
			free(k->name);
			free(k->params);
		}
	}
	handles_dispose(&g->streams);
	handles_dispose(&g->events);
	handles_dispose(&g->modules);
	handles_dispose(&g->kernels);
	handles_dispose(&g->graphs);
	pool_dispose(&g->pool);
	free(g->properties);
	g->properties = NULL;
}

static void take_properties(struct vgpu_gpu_properties *out, const struct vgpu_device_info *in)
{
	*out = (struct vgpu_gpu_properties){
		.backend = in->backend,
		.compute_major = in->compute_major,
		.compute_minor = in->compute_minor,
		.memory_total = in->memory_total,
		.shared_per_block = in->shared_per_block,
		.shared_per_block_optin = in->shared_per_block_optin,
		.shared_per_multiprocessor = in->shared_per_multiprocessor,
		.constant_memory = in->constant_memory,
		.l2_cache = in->l2_cache,
		.pitch_max = in->pitch_max,
		.multiprocessors = in->multiprocessors,
		.registers_per_block = in->registers_per_block,
		.warp_size = in->warp_size,
		.threads_per_block = in->threads_per_block,
		.threads_per_multiprocessor = in->threads_per_multiprocessor,
		.block_max = { in->block_max[0], in->block_max[1], in->block_max[2] },
		.grid_max = { in->grid_max[0], in->grid_max[1], in->grid_max[2] },
		.memory_bus_bits = in->memory_bus_bits,
		.clock_khz = in->clock_khz,
		.memory_clock_khz = in->memory_clock_khz,
		.copy_engines = in->copy_engines,
		.concurrent_kernels = in->concurrent_kernels,
		.priority_least = in->priority_least,
		.priority_greatest = in->priority_greatest,
		.pci_domain = in->pci_domain,
		.pci_bus = in->pci_bus,
		.pci_device = in->pci_device,
	};
	memcpy(out->uuid, in->uuid, sizeof(out->uuid));
	call_text(out->name, sizeof(out->name), in->name, sizeof(in->name));
}

static int ask(struct call *c, uint32_t gpu, struct vgpu_device_info *info)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_DEVICE_INFO, .data_len = sizeof(*info) };
	struct vgpu_device_args args = { .device = gpu };
	struct window_block *block;
	struct vgpu_response rsp;
	int rc = call_stage_ready(c, sizeof(*info), &block);

	if (rc)
		return rc;
	req.data_ptr = block->offset;
	call_args(&req, args);
	rc = call_create(c, &req, &rsp, block);
	if (rc)
		return rc;
	memset(info, 0, sizeof(*info));
	shm_read_bytes(info, call_window(c, block), rsp.data_len); /* at most what was asked */
	call_unstage(c, block);
	return 0;
}

/* Have the properties of that GPU, and how many there are. */
static int know(struct call *c, uint32_t gpu)
{
	struct gpu *g = &c->vgpu->gpu;
	struct vgpu_device_info info;
	int rc = c->vgpu->dead;

	if (rc == 0 && g->count && gpu >= g->count)
		return GPU_ERROR_INVALID_DEVICE;
	if (rc || (g->count && g->properties[gpu].name[0]))
		return rc;
	rc = ask(c, gpu, &info);
	if (rc)
		return rc;
	if (!g->count) { /* still: another thread may have asked as well */
		if (info.devices == 0 || info.devices > GPUS_MAX) {
			because(&c->why, VGPU_EPROTO, "host: has %u GPUs", info.devices);
			return wait_end(c->vgpu, VGPU_EPROTO, &c->why);
		}
		g->properties = calloc(info.devices, sizeof(*g->properties));
		if (!g->properties)
			return because(&c->why, VGPU_ENOMEM, "properties: out of memory");
		g->count = info.devices;
	}
	if (gpu >= g->count)
		return GPU_ERROR_INVALID_DEVICE;
	take_properties(&g->properties[gpu], &info);
	return 0;
}

int vgpu_gpu_count(struct vgpu *vgpu, uint32_t *count)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = count ? know(&c, 0) : GPU_ERROR_INVALID_VALUE;
	if (rc == 0)
		*count = vgpu->gpu.count;
	return call_end(&c, rc);
}

int vgpu_get_gpu_properties(struct vgpu *vgpu, uint32_t gpu, struct vgpu_gpu_properties *out)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = out ? know(&c, gpu) : GPU_ERROR_INVALID_VALUE;
	if (rc == 0)
		*out = vgpu->gpu.properties[gpu];
	return call_end(&c, rc);
}

int vgpu_select_gpu(struct vgpu *vgpu, uint32_t gpu)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_DEVICE_SET };
	struct vgpu_device_args args = { .device = gpu };
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = know(&c, gpu);
	if (rc == 0)
		rc = call_ready(&c);
	call_args(&req, args);
	/* No answer: requests and what we believe must change at the same place of the ring. */
	if (rc == 0)
		rc = call_post(&c, &req);
	if (rc == 0)
		vgpu->gpu.selected = gpu;
	return call_end(&c, rc);
}
