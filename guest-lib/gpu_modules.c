/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Modules, their kernels, and launches. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "call.h"
#include "../common/errors.h"
#include "../common/shm.h"

#define PIECE_BYTES (1u << 20) /* of a module's image */
#define LOG_BYTES 4096u        /* room for a compiler's words; vgpu_last_error() keeps the start */

/* A piece of the image into the window, and to the host. */
static int send_piece(struct call *c, uint32_t module, const uint8_t *image, size_t total,
		      size_t offset, size_t *sent)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MODULE_DATA };
	struct vgpu_module_data_args args = { .module = module, .offset = offset, .total = total };
	size_t n = total - offset < PIECE_BYTES ? total - offset : PIECE_BYTES;
	struct window_block *block;
	struct vgpu_response rsp;
	int rc = call_stage(c, n, n < WINDOW_ALIGN ? n : WINDOW_ALIGN, &block);

	if (rc)
		return rc;
	if (n > block->bytes)
		n = block->bytes;
	call_pause(c);
	shm_write_bytes(call_window(c, block), image + offset, n);
	call_resume(c);
	req.data_ptr = block->offset;
	req.data_len = (uint32_t)n;
	call_args(&req, args);
	rc = call_ready(c);
	if (rc) {
		call_unstage(c, block);
		return rc;
	}
	rc = call_create(c, &req, &rsp, block);
	if (rc == 0)
		call_unstage(c, block);
	*sent = n;
	return rc;
}

/* The host has all pieces. A failure's cause is in the window, whatever the response says. */
static int load(struct call *c, uint32_t module)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MODULE_LOAD };
	struct vgpu_module_args args = { .module = module };
	char log[LOG_BYTES] = "";
	struct window_block *block;
	struct answer answer;
	int rc = call_stage(c, sizeof(log), WINDOW_ALIGN, &block);

	if (rc)
		return rc;
	rc = call_ready(c);
	if (rc) {
		call_unstage(c, block);
		return rc;
	}
	shm_write_bytes(call_window(c, block), log, block->bytes);
	req.data_ptr = block->offset;
	req.data_len = (uint32_t)block->bytes;
	call_args(&req, args);
	rc = call_send(c, &req, &answer);
	if (rc == 0)
		rc = call_wait(c, &answer, block);
	if (!answer.come)
		return rc;
	if (rc) {
		shm_read_bytes(log, call_window(c, block), block->bytes);
		log[sizeof(log) - 1] = '\0';
		if (log[0])
			because(&c->why, rc, "module: %s: %s", error_text(rc), log);
	}
	call_unstage(c, block);
	return rc;
}

static int post_unload(struct call *c, uint32_t module)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MODULE_UNLOAD };
	struct vgpu_module_args args = { .module = module };

	call_args(&req, args);
	return call_post(c, &req);
}

/* A failure's cause stays; the host may still be at it, and then the number is not free. */
static void forget_module(struct call *c, uint32_t module)
{
	struct call unload = *c;

	if (c->vgpu->late || call_ready(&unload))
		return;
	post_unload(&unload, module);
	handles_free(&c->vgpu->gpu.modules, module);
}

static int module_load(struct call *c, uint32_t *out, const void *image, size_t bytes)
{
	struct handles *modules = &c->vgpu->gpu.modules;
	struct gpu_module *m;
	size_t sent = 0;
	uint32_t module;
	int rc;

	if (!image || bytes == 0)
		return GPU_ERROR_INVALID_VALUE;
	if (bytes > VGPU_MODULE_BYTES_MAX)
		return because(&c->why, VGPU_ETOOBIG, "module: %zu bytes, at most %llu go", bytes,
			       VGPU_MODULE_BYTES_MAX);
	rc = handles_new(modules, &module);
	if (rc)
		return rc;
	for (size_t at = 0; rc == 0 && at < bytes; at += sent)
		rc = send_piece(c, module, image, bytes, at, &sent);
	if (rc == 0)
		rc = load(c, module);
	if (rc) {
		forget_module(c, module);
		return rc;
	}
	m = handles_get(modules, module);
	m->loaded = true;
	*out = module;
	return 0;
}

int vgpu_module_load(struct vgpu *vgpu, vgpu_module *out, const void *image, size_t bytes)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = out ? call_ready(&c) : GPU_ERROR_INVALID_VALUE;
	if (rc == 0)
		rc = module_load(&c, out, image, bytes);
	return call_end(&c, rc);
}

/* What an errno of open() or read() is here; cuModuleLoad() has a number for one. */
static int file_error(int error)
{
	return error == ENOENT   ? GPU_ERROR_FILE_NOT_FOUND
	       : error == EACCES ? VGPU_EACCES
				 : VGPU_EIO;
}

/* A file's bytes, for free(). */
static int read_file(struct call *c, const char *path, void **out, size_t *bytes)
{
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct stat st = { 0 };
	size_t got = 0;
	ssize_t n = 1;
	int rc = 0;

	*out = NULL;
	if (!path)
		return GPU_ERROR_INVALID_VALUE;
	if (fd < 0 || fstat(fd, &st) < 0)
		rc = because(&c->why, file_error(errno), "module: %s: %m", path);
	else if (!S_ISREG(st.st_mode) || st.st_size == 0)
		rc = because(&c->why, VGPU_EINVAL, "module: %s: is no file with contents", path);
	else if ((uint64_t)st.st_size > VGPU_MODULE_BYTES_MAX)
		rc = because(&c->why, VGPU_ETOOBIG, "module: %s: is too large", path);
	if (rc == 0 && !(*out = malloc((size_t)st.st_size)))
		rc = because(&c->why, VGPU_ENOMEM, "module: %s: out of memory", path);
	while (rc == 0 && got < (size_t)st.st_size && n > 0) {
		n = read(fd, (uint8_t *)*out + got, (size_t)st.st_size - got);
		if (n < 0)
			rc = because(&c->why, file_error(errno), "module: %s: %m", path);
		else
			got += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	*bytes = got;
	return rc;
}

int vgpu_module_load_file(struct vgpu *vgpu, vgpu_module *out, const char *path)
{
	void *image = NULL;
	size_t bytes = 0;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = out ? call_ready(&c) : GPU_ERROR_INVALID_VALUE;
	if (rc == 0) {
		call_pause(&c);
		rc = read_file(&c, path, &image, &bytes);
		call_resume(&c);
	}
	if (rc == 0)
		rc = call_ready(&c);
	if (rc == 0)
		rc = module_load(&c, out, image, bytes);
	rc = call_end(&c, rc);
	free(image);
	return rc;
}

static struct gpu_module *module_of(const struct gpu *g, uint32_t module)
{
	struct gpu_module *m = handles_get(&g->modules, module);

	return m && m->loaded ? m : NULL;
}

static void kernel_free(struct gpu *g, uint32_t kernel)
{
	struct gpu_kernel *k = handles_get(&g->kernels, kernel);

	free(k->name);
	free(k->params);
	handles_free(&g->kernels, kernel);
}

int vgpu_module_unload(struct vgpu *vgpu, vgpu_module module)
{
	struct gpu_module *m;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	m = module_of(&vgpu->gpu, module);
	if (rc == 0 && !m)
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc)
		return call_end(&c, rc);
	while (m->kernels) {
		struct gpu_kernel *k = handles_get(&vgpu->gpu.kernels, m->kernels);
		uint32_t next = k->next;

		kernel_free(&vgpu->gpu, m->kernels);
		m->kernels = next;
	}
	handles_free(&vgpu->gpu.modules, module);
	return call_end(&c, post_unload(&c, module));
}

static void take_attributes(struct vgpu_kernel_attributes *out, const struct vgpu_kernel_reply *in)
{
	*out = (struct vgpu_kernel_attributes){
		.threads_max = in->threads_max,
		.registers = in->registers,
		.shared_bytes = in->shared_bytes,
		.constant_bytes = in->constant_bytes,
		.local_bytes = in->local_bytes,
		.dynamic_shared_max = in->dynamic_shared_max,
		.ptx_version = in->ptx_version,
		.binary_version = in->binary_version,
		.params = in->params,
		.param_bytes = in->param_bytes,
	};
}

static uint32_t kernel_by_name(const struct gpu *g, const struct gpu_module *m, const char *name)
{
	for (uint32_t at = m->kernels; at;) {
		const struct gpu_kernel *k = handles_get(&g->kernels, at);

		if (!strcmp(k->name, name))
			return at;
		at = k->next;
	}
	return 0;
}

/* Ask the host for the kernel, under a number that is reserved for it. */
static int kernel_ask(struct call *c, uint32_t module, uint32_t kernel, const char *name,
		      struct vgpu_kernel_reply *reply)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_KERNEL_GET };
	struct vgpu_kernel_args args = { .module = module, .kernel = kernel };
	size_t n = strlen(name);
	struct window_block *block;
	struct vgpu_response rsp;
	int rc = call_stage_ready(c, n, &block);

	if (rc)
		return rc;
	shm_write_bytes(call_window(c, block), name, n);
	req.data_ptr = block->offset;
	req.data_len = (uint32_t)n;
	call_args(&req, args);
	rc = call_create(c, &req, &rsp, block);
	if (rc)
		return rc;
	call_unstage(c, block);
	memcpy(reply, rsp.data, sizeof(*reply));
	if (reply->param_bytes <= VGPU_LAUNCH_PARAMS_MAX && reply->params <= reply->param_bytes)
		return 0;
	because(&c->why, VGPU_EPROTO, "host: kernel %s: %u parameters of %u bytes", name,
		reply->params, reply->param_bytes);
	return wait_end(c->vgpu, VGPU_EPROTO, &c->why);
}

static int kernel_new(struct call *c, uint32_t module, const char *name, uint32_t *out)
{
	struct gpu *g = &c->vgpu->gpu;
	struct vgpu_kernel_reply reply;
	struct gpu_module *m;
	struct gpu_kernel *k;
	uint32_t kernel;
	int rc = handles_new(&g->kernels, &kernel);

	if (rc)
		return rc;
	k = handles_get(&g->kernels, kernel);
	k->name = strdup(name);
	rc = k->name ? kernel_ask(c, module, kernel, name, &reply) : VGPU_ENOMEM;
	m = module_of(g, module);
	if (rc == 0 && !m) /* unloaded meanwhile, and the kernel with it */
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc) {
		if (!c->vgpu->late) /* else the host may still make it */
			kernel_free(g, kernel);
		if (rc == GPU_ERROR_NOT_FOUND)
			because(&c->why, rc, "kernel \"%s\": the module has none of that name",
				name);
		return rc;
	}
	k = handles_get(&g->kernels, kernel);
	k->module = module;
	k->ready = true;
	take_attributes(&k->attributes, &reply);
	k->next = m->kernels;
	m->kernels = kernel;
	*out = kernel;
	return 0;
}

int vgpu_module_get_kernel(struct vgpu *vgpu, vgpu_module module, const char *name,
			   vgpu_kernel *out)
{
	struct gpu_module *m;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	m = module_of(&vgpu->gpu, module);
	if (rc == 0 && (!out || !name))
		rc = GPU_ERROR_INVALID_VALUE;
	else if (rc == 0 && !m)
		rc = GPU_ERROR_INVALID_HANDLE;
	else if (rc == 0 && (!*name || strlen(name) > VGPU_KERNEL_NAME_MAX))
		rc = GPU_ERROR_NOT_FOUND;
	if (rc == 0) {
		*out = kernel_by_name(&vgpu->gpu, m, name);
		if (!*out)
			rc = kernel_new(&c, module, name, out);
	}
	return call_end(&c, rc);
}

static struct gpu_kernel *kernel_of(const struct gpu *g, uint32_t kernel)
{
	struct gpu_kernel *k = handles_get(&g->kernels, kernel);

	return k && k->ready ? k : NULL;
}

/* Why there is no kernel of this number; 0 is CUDA's NULL. */
static int no_kernel(vgpu_kernel kernel)
{
	return kernel ? GPU_ERROR_INVALID_HANDLE : GPU_ERROR_INVALID_FUNCTION;
}

int vgpu_get_kernel_attributes(struct vgpu *vgpu, vgpu_kernel kernel,
			       struct vgpu_kernel_attributes *out)
{
	const struct gpu_kernel *k;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = vgpu->dead;
	k = kernel_of(&vgpu->gpu, kernel);
	if (rc == 0 && !out)
		rc = GPU_ERROR_INVALID_VALUE;
	else if (rc == 0 && !k)
		rc = no_kernel(kernel);
	if (rc == 0)
		*out = k->attributes;
	return call_end(&c, rc);
}

/* Is each parameter inside the packed ones? */
static bool params_fit(const struct vgpu_kernel_param *params, const struct gpu_kernel *k)
{
	for (uint32_t i = 0; i < k->attributes.params; i++)
		if (params[i].offset > k->attributes.param_bytes ||
		    params[i].bytes > k->attributes.param_bytes - params[i].offset)
			return false;
	return true;
}

/* Where the host has put the layout of the parameters. */
static int params_ask(struct call *c, uint32_t kernel, struct vgpu_kernel_param *params,
		      size_t bytes)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_KERNEL_PARAMS };
	struct vgpu_kernel_params_args args = { .kernel = kernel };
	struct window_block *block;
	struct vgpu_response rsp;
	int rc = call_stage_ready(c, bytes, &block);

	if (rc)
		return rc;
	req.data_ptr = block->offset;
	req.data_len = (uint32_t)bytes;
	call_args(&req, args);
	rc = call_create(c, &req, &rsp, block);
	if (rc)
		return rc;
	shm_read_bytes(params, call_window(c, block), rsp.data_len);
	call_unstage(c, block);
	if (rsp.data_len == bytes)
		return 0;
	because(&c->why, VGPU_EPROTO, "host: told %u bytes of %zu about a kernel's parameters",
		rsp.data_len, bytes);
	return wait_end(c->vgpu, VGPU_EPROTO, &c->why);
}

/* Have the layout of the kernel's parameters. */
static int params_know(struct call *c, uint32_t kernel)
{
	struct gpu_kernel *k = kernel_of(&c->vgpu->gpu, kernel);
	struct vgpu_kernel_param *params;
	int rc;

	if (!k)
		return no_kernel(kernel);
	if (k->params || !k->attributes.params)
		return 0;
	params = calloc(k->attributes.params, sizeof(*params));
	if (!params)
		return because(&c->why, VGPU_ENOMEM, "kernel: out of memory");
	rc = params_ask(c, kernel, params, k->attributes.params * sizeof(*params));
	k = kernel_of(&c->vgpu->gpu, kernel);
	if (rc == 0 && !k)
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc == 0 && !params_fit(params, k)) {
		because(&c->why, VGPU_EPROTO, "host: kernel %s: parameters beyond its %u bytes",
			k->name, k->attributes.param_bytes);
		rc = wait_end(c->vgpu, VGPU_EPROTO, &c->why);
	}
	if (rc || k->params) {
		free(params); /* another thread was faster */
		return rc;
	}
	k->params = params;
	return 0;
}

int vgpu_get_kernel_param(struct vgpu *vgpu, vgpu_kernel kernel, uint32_t index, size_t *offset,
			  size_t *bytes)
{
	const struct gpu_kernel *k;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = params_know(&c, kernel);
	k = kernel_of(&vgpu->gpu, kernel);
	if (rc == 0 && (!k || index >= k->attributes.params))
		rc = k ? GPU_ERROR_INVALID_VALUE : GPU_ERROR_INVALID_HANDLE;
	if (rc == 0) {
		if (offset)
			*offset = k->params[index].offset;
		if (bytes)
			*bytes = k->params[index].bytes;
	}
	return call_end(&c, rc);
}

int vgpu_set_kernel_attribute(struct vgpu *vgpu, vgpu_kernel kernel,
			      enum vgpu_kernel_attribute attribute, int value)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_KERNEL_SET };
	struct vgpu_kernel_set_args args = { .kernel = kernel,
					     .attribute = attribute,
					     .value = value };
	struct vgpu_response rsp;
	struct gpu_kernel *k;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0 && !kernel_of(&vgpu->gpu, kernel))
		rc = no_kernel(kernel);
	call_args(&req, args);
	if (rc == 0)
		rc = call_round_trip(&c, &req, &rsp, NULL);
	k = kernel_of(&vgpu->gpu, kernel);
	if (rc == 0 && k && attribute == VGPU_MAX_DYNAMIC_SHARED)
		k->attributes.dynamic_shared_max = (uint32_t)value;
	return call_end(&c, rc);
}

int vgpu_get_occupancy(struct vgpu *vgpu, vgpu_kernel kernel, uint32_t block, size_t dynamic_shared,
		       uint32_t *blocks)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_OCCUPANCY };
	struct vgpu_occupancy_args args = { .kernel = kernel,
					    .block = block,
					    .dynamic_shared = dynamic_shared };
	struct vgpu_occupancy_reply reply;
	struct vgpu_response rsp;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = blocks ? call_ready(&c) : GPU_ERROR_INVALID_VALUE;
	if (rc == 0 && !kernel_of(&vgpu->gpu, kernel))
		rc = no_kernel(kernel);
	call_args(&req, args);
	if (rc == 0)
		rc = call_round_trip(&c, &req, &rsp, NULL);
	if (rc == 0) {
		memcpy(&reply, rsp.data, sizeof(reply));
		*blocks = reply.blocks;
	}
	return call_end(&c, rc);
}

/* ---- launches ---- */

struct launch {
	vgpu_kernel kernel;
	vgpu_stream stream;
	struct vgpu_dim3 grid, block;
	size_t dynamic_shared;
	const void *params;
	size_t param_bytes;
};

static int launch_fill(const struct call *c, const struct launch *l, struct vgpu_launch_args *args)
{
	const struct gpu_kernel *k = kernel_of(&c->vgpu->gpu, l->kernel);

	if (!k)
		return no_kernel(l->kernel);
	if (l->param_bytes != k->attributes.param_bytes || (l->param_bytes && !l->params) ||
	    l->dynamic_shared > UINT32_MAX || (l->block.x | l->block.y | l->block.z) > UINT16_MAX)
		return GPU_ERROR_INVALID_VALUE;
	args->kernel = l->kernel;
	args->stream = l->stream;
	args->grid[0] = l->grid.x;
	args->grid[1] = l->grid.y;
	args->grid[2] = l->grid.z;
	args->block[0] = (uint16_t)l->block.x;
	args->block[1] = (uint16_t)l->block.y;
	args->block[2] = (uint16_t)l->block.z;
	args->dynamic_shared = (uint32_t)l->dynamic_shared;
	return 0;
}

/* Parameters that do not fit the request: in the window until the host has taken it. */
static int launch_large(struct call *c, const struct launch *l, struct vgpu_request *req,
			const struct vgpu_launch_args *args)
{
	struct vgpu_request nop = { .cmd = VGPU_CMD_NOP };
	struct window_block *block;
	int rc = call_stage(c, l->param_bytes, l->param_bytes, &block);

	if (rc == 0)
		rc = call_ready(c);
	if (rc == 0)
		rc = gpu_work(&c->vgpu->gpu, l->stream);
	if (rc) {
		call_unstage(c, block);
		return rc;
	}
	shm_write_bytes(call_window(c, block), l->params, l->param_bytes);
	req->data_ptr = block->offset;
	req->data_len = (uint32_t)l->param_bytes;
	memcpy(req->args, args, sizeof(*args));
	/* The launch may be captured, and not be answered then: the NOP behind it is. */
	rc = call_post(c, req);
	if (rc == 0)
		rc = call_detach(c, &nop, block, NULL);
	return rc;
}

static int launch(struct call *c, const struct launch *l)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_LAUNCH };
	struct vgpu_launch_args args = { 0 };
	int rc = call_ready(c);

	if (rc == 0)
		rc = launch_fill(c, l, &args);
	if (rc == 0 && l->param_bytes > sizeof(args.params))
		return launch_large(c, l, &req, &args);
	if (rc == 0)
		rc = gpu_work(&c->vgpu->gpu, l->stream);
	if (rc)
		return rc;
	args.param_bytes = (uint16_t)l->param_bytes;
	if (l->param_bytes)
		memcpy(args.params, l->params, l->param_bytes);
	memcpy(req.args, &args, sizeof(args));
	return call_post(c, &req);
}

int vgpu_launch(struct vgpu *vgpu, vgpu_kernel kernel, struct vgpu_dim3 grid,
		struct vgpu_dim3 block, size_t dynamic_shared, vgpu_stream stream,
		const void *params, size_t param_bytes)
{
	const struct launch l = { kernel, stream, grid, block, dynamic_shared, params, param_bytes };
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	return call_end(&c, launch(&c, &l));
}

/* Pack what the pointers point to, each parameter at its offset. */
static void pack(uint8_t *out, const struct gpu_kernel *k, void *const *args)
{
	memset(out, 0, k->attributes.param_bytes);
	for (uint32_t i = 0; i < k->attributes.params; i++)
		memcpy(out + k->params[i].offset, args[i], k->params[i].bytes);
}

int vgpu_launch_args(struct vgpu *vgpu, vgpu_kernel kernel, struct vgpu_dim3 grid,
		     struct vgpu_dim3 block, size_t dynamic_shared, vgpu_stream stream,
		     void *const *args)
{
	struct launch l = { kernel, stream, grid, block, dynamic_shared, NULL, 0 };
	uint8_t few[VGPU_LAUNCH_INLINE], *packed = few;
	const struct gpu_kernel *k;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = params_know(&c, kernel);
	k = kernel_of(&vgpu->gpu, kernel);
	if (rc == 0 && !k)
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc == 0 && k->attributes.params && !args)
		rc = GPU_ERROR_INVALID_VALUE;
	if (rc == 0 && k->attributes.param_bytes > sizeof(few))
		packed = malloc(k->attributes.param_bytes);
	if (rc == 0 && !packed)
		rc = because(&c.why, VGPU_ENOMEM, "launch: out of memory");
	if (rc == 0) {
		pack(packed, k, args);
		l.params = packed;
		l.param_bytes = k->attributes.param_bytes;
		rc = launch(&c, &l);
	}
	rc = call_end(&c, rc);
	if (packed != few)
		free(packed);
	return rc;
}
