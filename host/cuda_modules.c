// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Modules and their kernels. A module is loaded once for all devices, as a library; a kernel has a
 * function a device, which is what launches use: nothing is looked up then.
 */
#include "cuda_backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/errors.h"
#include "cuda_image.h"

/* Of a compiler's words; a guest's window has no more room for them. */
#define LOG_BYTES 8192u

#define PARAMS_ROOM 16u /* at first */

struct backend_kernel {
	struct backend_kernel *next;
	CUkernel handle;
	CUfunction functions[CUDA_DEVICES_MAX]; /* NULL: not asked for yet */
	uint32_t param_bytes;
	uint32_t params;
	struct vgpu_kernel_param *param;
};

struct backend_module {
	CUlibrary handle;
	struct backend_kernel *kernels;
	char log[LOG_BYTES]; /* the driver may write here whenever it compiles */
};

static int load(struct backend_module *m, const void *image)
{
	CUjit_option options[] = { CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES };
	void *values[] = { m->log, (void *)(uintptr_t)sizeof(m->log) };
	CUmodule now;
	int rc;

	rc = cuda_driver.cuLibraryLoadData(&m->handle, image, options, values, 2, NULL, NULL, 0);
	if (rc)
		return rc;
	/* The driver may leave the work for later; but now somebody listens. */
	rc = cuda_driver.cuLibraryGetModule(&now, m->handle);
	if (rc)
		cuda_driver.cuLibraryUnload(m->handle);
	return rc;
}

static int load_text(struct backend_module *m, const void *image, size_t bytes)
{
	char *text = malloc(bytes + 1);
	int rc;

	if (!text)
		return VGPU_ENOMEM;
	memcpy(text, image, bytes);
	text[bytes] = '\0';
	rc = load(m, text);
	free(text);
	return rc;
}

int cuda_module_load(struct backend *b, const void *image, size_t bytes,
		     struct backend_module **out, char *log, size_t log_len)
{
	enum cuda_image kind = cuda_image_check(image, bytes);
	struct backend_module *m;
	int rc = cuda_device_use(b, b->selected);

	if (log_len)
		log[0] = '\0';
	if (rc)
		return rc;
	if (kind == CUDA_IMAGE_BAD) {
		snprintf(log, log_len, "neither PTX nor a sound cubin or fatbin");
		return cudaErrorInvalidKernelImage;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return VGPU_ENOMEM;
	rc = kind == CUDA_IMAGE_TEXT ? load_text(m, image, bytes) : load(m, image);
	if (rc) {
		m->log[sizeof(m->log) - 1] = '\0';
		snprintf(log, log_len, "%s", m->log);
		free(m);
		return rc;
	}
	*out = m;
	return 0;
}

void cuda_module_unload(struct backend *b, struct backend_module *m)
{
	struct backend_kernel *k;

	(void)b;
	cuda_driver.cuLibraryUnload(m->handle);
	while ((k = m->kernels)) {
		m->kernels = k->next;
		free(k->param);
		free(k);
	}
	free(m);
}

/* All of it now: to load at the first launch can mean to wait for streams, held ones too. */
static int load_function(struct backend_kernel *k, uint32_t device)
{
	CUfunction f;
	int rc = cuda_driver.cuKernelGetFunction(&f, k->handle);

	if (rc == 0)
		rc = cuda_driver.cuFuncLoad(f);
	if (rc == 0)
		k->functions[device] = f;
	return rc;
}

static inline int get_function(struct backend *b, struct backend_kernel *k, uint32_t device,
			       CUfunction *out)
{
	int rc = cuda_device_use(b, device);

	if (__builtin_expect(rc == 0 && !k->functions[device], 0))
		rc = load_function(k, device);
	*out = k->functions[device];
	return rc;
}

static int read_params(struct backend_kernel *k)
{
	size_t offset, bytes;
	uint32_t room = 0;
	void *p;

	while (cuda_driver.cuKernelGetParamInfo(k->handle, k->params, &offset, &bytes) == 0) {
		if (k->params == room) {
			room = room ? 2 * room : PARAMS_ROOM;
			p = realloc(k->param, room * sizeof(*k->param));
			if (!p)
				return VGPU_ENOMEM;
			k->param = p;
		}
		k->param[k->params].offset = (uint32_t)offset;
		k->param[k->params++].bytes = (uint32_t)bytes;
		k->param_bytes = (uint32_t)(offset + bytes);
	}
	return 0;
}

static int read_attributes(CUfunction f, struct vgpu_kernel_reply *info)
{
	const struct {
		CUfunction_attribute which;
		uint32_t *value;
	} wanted[] = {
		{ CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &info->threads_max },
		{ CU_FUNC_ATTRIBUTE_NUM_REGS, &info->registers },
		{ CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, &info->shared_bytes },
		{ CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES, &info->constant_bytes },
		{ CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, &info->local_bytes },
		{ CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, &info->dynamic_shared_max },
		{ CU_FUNC_ATTRIBUTE_PTX_VERSION, &info->ptx_version },
		{ CU_FUNC_ATTRIBUTE_BINARY_VERSION, &info->binary_version },
	};
	int value, rc = 0;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]) && rc == 0; i++) {
		value = 0;
		rc = cuda_driver.cuFuncGetAttribute(&value, wanted[i].which, f);
		*wanted[i].value = (uint32_t)value;
	}
	return rc;
}

int cuda_kernel_get(struct backend *b, struct backend_module *m, const char *name,
		    struct backend_kernel **out, struct vgpu_kernel_reply *info)
{
	struct backend_kernel *k = calloc(1, sizeof(*k));
	CUfunction f;
	int rc;

	if (!k)
		return VGPU_ENOMEM;
	memset(info, 0, sizeof(*info));
	rc = cuda_driver.cuLibraryGetKernel(&k->handle, m->handle, name);
	if (rc == 0)
		rc = get_function(b, k, b->selected, &f);
	if (rc == 0)
		rc = read_attributes(f, info);
	if (rc == 0)
		rc = read_params(k);
	if (rc) {
		free(k->param);
		free(k);
		return rc;
	}
	info->params = k->params;
	info->param_bytes = k->param_bytes;
	k->next = m->kernels;
	m->kernels = k;
	*out = k;
	return 0;
}

int cuda_kernel_param(struct backend *b, struct backend_kernel *k, uint32_t index,
		      struct vgpu_kernel_param *out)
{
	(void)b;
	if (index >= k->params)
		return cudaErrorInvalidValue;
	*out = k->param[index];
	return 0;
}

int cuda_kernel_set(struct backend *b, struct backend_kernel *k, uint32_t attribute, int32_t value)
{
	CUfunction f;
	int rc = get_function(b, k, b->selected, &f);

	return rc ? rc
		  : (int)cuda_driver.cuFuncSetAttribute(f, (CUfunction_attribute)attribute, value);
}

int cuda_occupancy(struct backend *b, struct backend_kernel *k, uint32_t block,
		   uint64_t dynamic_shared, uint32_t *blocks)
{
	CUfunction f;
	int count = 0;
	int rc = get_function(b, k, b->selected, &f);

	if (rc == 0)
		rc = cuda_driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(&count, f, (int)block,
									     dynamic_shared);
	*blocks = (uint32_t)count;
	return rc;
}

int cuda_launch(struct backend *b, struct backend_stream *s, struct backend_kernel *k,
		const struct backend_launch *l)
{
	uint32_t device = cuda_stream_device(b, s);
	size_t bytes = l->param_bytes;
	void *extra[] = { CU_LAUNCH_PARAM_BUFFER_POINTER, (void *)(uintptr_t)l->params,
			  CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes, CU_LAUNCH_PARAM_END };
	CUfunction f;
	int rc = get_function(b, k, device, &f);

	if (__builtin_expect(rc != 0, 0))
		return rc;
	if (bytes != k->param_bytes)
		return cudaErrorInvalidValue;
	cuda_progress(b, device, s)->given++;
	return cuda_driver.cuLaunchKernel(f, l->grid[0], l->grid[1], l->grid[2], l->block[0],
					  l->block[1], l->block[2], l->dynamic_shared,
					  cuda_stream_handle(s), NULL, bytes ? extra : NULL);
}
