// SPDX-License-Identifier: GPL-2.0-or-later
/* Modules, their kernels, and launches. */
#include "worker_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/checked.h"
#include "../common/errors.h"
#include "../common/shm.h"

#define LOG_BYTES 16384u

static void forget_image(struct gpu *g, struct gpu_module *m)
{
	if (m->image)
		g->image_bytes -= m->total;
	free(m->image);
	m->image = NULL;
}

static int start_image(struct gpu *g, uint32_t handle, uint64_t total, struct gpu_module **out)
{
	struct gpu_module *m;

	if (g->image_bytes + total > VGPU_MODULE_BYTES_MAX)
		return VGPU_EQUOTA;
	m = calloc(1, sizeof(*m));
	if (m)
		m->image = malloc(total);
	if (!m || !m->image) {
		free(m);
		return VGPU_ENOMEM;
	}
	m->total = total;
	g->image_bytes += total;
	LIST_INIT(&m->kernels);
	handles_put(&g->modules, handle, m);
	*out = m;
	return 0;
}

/* The place of a module that could not be loaded is as good as free. */
static int reserve_module(struct gpu *g, uint32_t handle)
{
	uint32_t place = handle_place_of(handle);
	struct gpu_module *old = NULL;

	if (place < g->modules.count)
		old = g->modules.places[place].object;
	if (old && old->failed)
		free(handles_take(&g->modules, g->modules.places[place].handle));
	return handles_reserve(&g->modules, handle);
}

static int next_piece(struct gpu *g, const struct vgpu_module_data_args *args,
		      struct gpu_module **out)
{
	int rc;

	if (args->offset == 0) {
		rc = reserve_module(g, args->module);
		return rc ? rc : start_image(g, args->module, args->total, out);
	}
	*out = handles_find(&g->modules, args->module);
	if (!*out)
		return GPU_INVALID_HANDLE;
	if (!(*out)->image || (*out)->got != args->offset || (*out)->total != args->total)
		return VGPU_EINVAL;
	return 0;
}

int gpu_module_data(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_module_data_args args;
	struct gpu_module *m;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.total > VGPU_MODULE_BYTES_MAX)
		return VGPU_ETOOBIG;
	if (args.reserved || !req->data_len ||
	    !checked_range(args.offset, req->data_len, args.total))
		return VGPU_EINVAL;
	rc = next_piece(g, &args, &m);
	if (rc)
		return rc;
	shm_read_bytes(m->image + m->got, g->window + req->data_ptr, req->data_len);
	m->got += req->data_len;
	return 0;
}

/* As much of it as there is room for, and a NUL. */
static void write_log(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp,
		      char *log)
{
	size_t n = strnlen(log, LOG_BYTES - 1) + 1;

	if (!req->data_len)
		return;
	if (n > req->data_len)
		n = req->data_len;
	log[n - 1] = '\0';
	shm_write_bytes(g->window + req->data_ptr, log, n);
	rsp->data_len = (uint32_t)n;
}

int gpu_module_load(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_module_args args;
	char log[LOG_BYTES] = "";
	struct gpu_module *m;
	int rc;

	memcpy(&args, req->args, sizeof(args));
	if (args.reserved)
		return VGPU_EINVAL;
	m = handles_find(&g->modules, args.module);
	if (!m)
		return GPU_INVALID_HANDLE;
	if (!m->image || m->got != m->total)
		return VGPU_EINVAL;
	rc = g->ops->module_load(g->backend, m->image, m->total, &m->object, log, sizeof(log));
	forget_image(g, m);
	m->failed = rc != 0;
	if (rc)
		write_log(g, req, rsp, log);
	return rc;
}

static void forget_kernels(struct gpu *g, struct gpu_module *m)
{
	struct gpu_kernel *k;

	while ((k = LIST_FIRST(&m->kernels))) {
		LIST_REMOVE(k, link);
		free(handles_take(&g->kernels, k->handle));
	}
}

int gpu_module_unload(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_module_args args;
	struct gpu_module *m;
	int rc = gpu_postpone_reserve(g);

	(void)rsp;
	if (rc)
		return rc;
	memcpy(&args, req->args, sizeof(args));
	if (args.reserved)
		return VGPU_EINVAL;
	m = handles_take(&g->modules, args.module);
	if (!m)
		return GPU_INVALID_HANDLE;
	forget_kernels(g, m);
	forget_image(g, m);
	if (m->object)
		rc = gpu_postpone(g, &(struct postponed){ .module = m->object });
	free(m);
	return rc;
}

/* A name of C or a mangled one has no NUL in it; one may stand at its end. */
static int read_name(struct gpu *g, const struct vgpu_request *req,
		     char name[VGPU_KERNEL_NAME_MAX + 1])
{
	size_t n = req->data_len;

	if (n > VGPU_KERNEL_NAME_MAX)
		return VGPU_ETOOBIG;
	shm_read_bytes(name, g->window + req->data_ptr, n);
	if (n && name[n - 1] == '\0')
		n--;
	name[n] = '\0';
	return n && strlen(name) == n ? 0 : VGPU_EINVAL;
}

int gpu_kernel_get(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	char name[VGPU_KERNEL_NAME_MAX + 1];
	struct vgpu_kernel_reply reply = { 0 };
	struct vgpu_kernel_args args;
	struct gpu_kernel *k;
	struct gpu_module *m;
	int rc;

	memcpy(&args, req->args, sizeof(args));
	rc = read_name(g, req, name);
	if (rc)
		return rc;
	m = handles_find(&g->modules, args.module);
	if (!m || !m->object)
		return GPU_INVALID_HANDLE;
	rc = handles_reserve(&g->kernels, args.kernel);
	if (rc)
		return rc;
	k = calloc(1, sizeof(*k));
	if (!k)
		return VGPU_ENOMEM;
	rc = g->ops->kernel_get(g->backend, m->object, name, &k->object, &reply);
	if (rc) {
		free(k);
		return rc;
	}
	k->handle = args.kernel;
	k->params = reply.params;
	k->param_bytes = reply.param_bytes;
	LIST_INSERT_HEAD(&m->kernels, k, link);
	handles_put(&g->kernels, args.kernel, k);
	memcpy(rsp->data, &reply, sizeof(reply));
	return 0;
}

int gpu_kernel_params(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_kernel_params_args args;
	struct vgpu_kernel_param param;
	uint32_t n = req->data_len / sizeof(param);
	struct gpu_kernel *k;
	int rc;

	memcpy(&args, req->args, sizeof(args));
	if (args.reserved || !n)
		return VGPU_EINVAL;
	k = handles_find(&g->kernels, args.kernel);
	if (!k)
		return gpu_no_kernel(args.kernel);
	if (n > k->params)
		n = k->params;
	for (uint32_t i = 0; i < n; i++) {
		rc = g->ops->kernel_param(g->backend, k->object, i, &param);
		if (rc)
			return rc;
		shm_write_bytes(g->window + req->data_ptr + i * sizeof(param), &param,
				sizeof(param));
	}
	rsp->data_len = n * (uint32_t)sizeof(param);
	return 0;
}

int gpu_kernel_set(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_kernel_set_args args;
	struct gpu_kernel *k;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.reserved)
		return VGPU_EINVAL;
	if (args.attribute != VGPU_KERNEL_DYNAMIC_SHARED_MAX &&
	    args.attribute != VGPU_KERNEL_SHARED_CARVEOUT)
		return GPU_INVALID_VALUE;
	k = handles_find(&g->kernels, args.kernel);
	if (!k)
		return gpu_no_kernel(args.kernel);
	return g->ops->kernel_set(g->backend, k->object, args.attribute, args.value);
}

int gpu_occupancy(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	struct vgpu_occupancy_reply reply = { 0 };
	struct vgpu_occupancy_args args;
	struct gpu_kernel *k;
	int rc;

	memcpy(&args, req->args, sizeof(args));
	k = handles_find(&g->kernels, args.kernel);
	if (!k)
		return gpu_no_kernel(args.kernel);
	if (!args.block)
		return GPU_INVALID_VALUE;
	rc = g->ops->occupancy(g->backend, k->object, args.block, args.dynamic_shared,
			       &reply.blocks);
	if (rc == 0)
		memcpy(rsp->data, &reply, sizeof(reply));
	return rc;
}

/* Parameters that are in the window, copied. */
static int read_params(struct gpu *g, const struct vgpu_request *req, const void **params)
{
	if (req->data_len > VGPU_LAUNCH_PARAMS_MAX)
		return VGPU_ETOOBIG;
	if (!g->params)
		g->params = malloc(VGPU_LAUNCH_PARAMS_MAX);
	if (!g->params)
		return VGPU_ENOMEM;
	shm_read_bytes(g->params, g->window + req->data_ptr, req->data_len);
	*params = g->params;
	return 0;
}

int gpu_launch(struct gpu *g, const struct vgpu_request *req, struct vgpu_response *rsp)
{
	_Alignas(8) struct vgpu_launch_args args;
	struct backend_launch l;
	struct gpu_stream *s;
	struct gpu_kernel *k;
	int rc;

	(void)rsp;
	memcpy(&args, req->args, sizeof(args));
	if (args.param_bytes > VGPU_LAUNCH_INLINE || (args.param_bytes && req->data_len) ||
	    (req->data_ptr && !req->data_len))
		return VGPU_EINVAL;
	k = handles_find(&g->kernels, args.kernel);
	s = gpu_stream_find(g, args.stream);
	if (!k)
		return gpu_no_kernel(args.kernel);
	if (!s)
		return GPU_INVALID_HANDLE;
	l = (struct backend_launch){
		.grid = { args.grid[0], args.grid[1], args.grid[2] },
		.block = { args.block[0], args.block[1], args.block[2] },
		.dynamic_shared = args.dynamic_shared,
		.param_bytes = args.param_bytes + req->data_len,
		.params = args.params,
	};
	if (l.param_bytes != k->param_bytes)
		return VGPU_EINVAL;
	if (req->data_len) {
		rc = read_params(g, req, &l.params);
		if (rc)
			return rc;
	}
	return gpu_handed_over(g, s, g->ops->launch(g->backend, s->object, k->object, &l));
}

void gpu_modules_dispose(struct gpu *g)
{
	struct gpu_module *m;

	for (uint32_t i = 0; i < g->modules.count; i++) {
		m = g->modules.places[i].object;
		if (!m)
			continue;
		forget_kernels(g, m);
		forget_image(g, m);
		if (m->object)
			g->ops->module_unload(g->backend, m->object);
		free(m);
	}
	handles_dispose(&g->modules);
	handles_dispose(&g->kernels);
}
