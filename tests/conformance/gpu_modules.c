// SPDX-License-Identifier: GPL-2.0-or-later
/* Modules and the kernels in them: found, described, gone. */
#include "gpu.h"

#include <vgpu/vgpu_gpu.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	uint32_t params, param_bytes;
	uint32_t last_offset, last_bytes;
} known[] = {
	{ "saxpy", 4, 32, 24, 8 },      { "vector_add", 4, 32, 24, 8 },
	{ "matmul", 6, 36, 32, 4 },     { "reduce_sum", 3, 24, 16, 8 },
	{ "mandelbrot", 8, 36, 32, 4 }, { "fill_u32", 3, 24, 16, 8 },
	{ "add_one", 2, 16, 8, 8 },     { "spin_ms", 1, 4, 0, 4 },
	{ "fault", 0, 0, 0, 0 },
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

static void kernels_of_module(struct vgpu *g, vgpu_module module)
{
	struct vgpu_kernel_attributes a;
	size_t offset, bytes;
	vgpu_kernel k, again;

	for (size_t i = 0; i < KNOWN; i++) {
		EXPECT_ON(g, 0, vgpu_module_get_kernel(g, module, known[i].name, &k));
		EXPECT_ON(g, 0, vgpu_module_get_kernel(g, module, known[i].name, &again));
		CHECK(k && k == again, "(%s: %#x, %#x)", known[i].name, k, again);
		memset(&a, POISON, sizeof(a));
		EXPECT_ON(g, 0, vgpu_get_kernel_attributes(g, k, &a));
		CHECK(a.params == known[i].params && a.param_bytes == known[i].param_bytes,
		      "(%s: %u, %u bytes)", known[i].name, a.params, a.param_bytes);
		CHECK(a.threads_max >= 256 && a.threads_max <= 4096, "(%u)", a.threads_max);
		if (a.params) {
			EXPECT_ON(g, 0, vgpu_get_kernel_param(g, k, a.params - 1, &offset, &bytes));
			CHECK(offset == known[i].last_offset && bytes == known[i].last_bytes,
			      "(%s: %zu, %zu)", known[i].name, offset, bytes);
		}
		EXPECT_REFUSAL(vgpu_get_kernel_param(g, k, a.params, &offset, &bytes));
		EXPECT_REFUSAL(vgpu_get_kernel_param(g, k, UINT32_MAX, &offset, &bytes));
	}
}

static void images(void)
{
	struct image ptx = test_ptx(), fatbin = test_fatbin();
	const struct {
		const void *data;
		size_t bytes;
	} all[] = { { ptx.data, ptx.bytes },
		    { ptx.data, ptx.bytes + 1 }, /* with its NUL */
		    { fatbin.data, fatbin.bytes } };
	struct kernels k;
	auto_close g = NULL;
	vgpu_module m;

	HELPED(open_with_kernels(&g, &k));
	HELPED(kernels_of_module(g, k.module));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		EXPECT_ON(g, 0, vgpu_module_load(g, &m, all[i].data, all[i].bytes));
		CHECK(m && m != k.module);
		HELPED(kernels_of_module(g, m));
		EXPECT_ON(g, 0, vgpu_module_unload(g, m));
	}
}

/* More than the window holds, so it goes in pieces. */
static void large_image(void)
{
	struct image ptx = test_ptx();
	struct vgpu_status s;
	struct kernels k;
	auto_close g = NULL;
	vgpu_module m;
	size_t bytes;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_query_status(g, &s));
	bytes = ptx.bytes + (s.window_bytes < 20 << 20 ? 2 * s.window_bytes : 1 << 20) + 17;
	auto_free char *image = malloc(bytes);

	CHECK(image);
	memset(image, '\n', bytes);
	memcpy(image, ptx.data, ptx.bytes);
	EXPECT_ON(g, 0, vgpu_module_load(g, &m, image, bytes));
	HELPED(kernels_of_module(g, m));
	EXPECT_ON(g, 0, vgpu_module_unload(g, m));
}

static void refused_images(void)
{
	static const char garbage[] = "this is no image of a module";
	struct vgpu_status s;
	struct kernels k;
	auto_close g = NULL;
	vgpu_module m;
	int rc;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_query_status(g, &s));
	EXPECT_REFUSAL(vgpu_module_load(g, &m, NULL, 16));
	EXPECT_REFUSAL(vgpu_module_load(g, NULL, garbage, sizeof(garbage)));
	EXPECT_REFUSAL(vgpu_module_load(g, &m, garbage, 0));
	/* refused before a byte of it is read */
	EXPECT_REFUSAL(vgpu_module_load(g, &m, garbage, VGPU_MODULE_BYTES_MAX + 1));
	EXPECT_REFUSAL(vgpu_module_load(g, &m, garbage, SIZE_MAX));
	rc = vgpu_module_load(g, &m, garbage, sizeof(garbage));
	if (s.backend == VGPU_BACKEND_CUDA)
		CHECK(rc > 0 && *vgpu_last_error(g), "(%s)", vgpu_strerrorname(rc));
	else
		CHECK(rc == 0, "(%s)", vgpu_strerrorname(rc));
	vgpu_get_last_error(g);
	HELPED(kernels_of_module(g, k.module));
}

static void write_image(const char *path, const struct image *image)
{
	FILE *f = fopen(path, "w");

	CHECK(f);
	CHECK(fwrite(image->data, 1, image->bytes, f) == image->bytes);
	CHECK(fclose(f) == 0);
}

static void load_file(void)
{
	const char *tmp = getenv("TMPDIR");
	struct image ptx = test_ptx();
	char path[300];
	struct kernels k;
	auto_close g = NULL;
	vgpu_module m;
	int fd, rc;

	HELPED(open_with_kernels(&g, &k));
	snprintf(path, sizeof(path), "%.200s/vgpu-conf.XXXXXX", tmp ? tmp : "/tmp");
	fd = mkstemp(path);
	CHECK(fd >= 0, "(%s)", path);
	close(fd);
	rc = vgpu_module_load_file(g, &m, path); /* empty */
	write_image(path, &ptx);
	if (rc) {
		rc = vgpu_module_load_file(g, &m, path);
		unlink(path);
	} else {
		unlink(path);
		test_failed(__FILE__, __LINE__, "an empty file", " was loaded");
		return;
	}
	CHECK(rc == 0, "(%s: %s)", vgpu_strerrorname(rc), vgpu_last_error(g));
	HELPED(kernels_of_module(g, m));
	CHECK(vgpu_module_load_file(g, &m, path) != 0 && *vgpu_last_error(g));
	CHECK(vgpu_module_load_file(g, &m, "/") != 0 && *vgpu_last_error(g));
	EXPECT_REFUSAL(vgpu_module_load_file(g, &m, NULL));
	EXPECT_REFUSAL(vgpu_module_load_file(g, NULL, path));
}

static void unknown_kernels(void)
{
	const size_t sizes[] = { 1, 50, VGPU_KERNEL_NAME_MAX, VGPU_KERNEL_NAME_MAX + 1, 70000 };
	auto_free char *name = calloc(1, 70001);
	struct kernels k;
	auto_close g = NULL;
	vgpu_kernel kernel;

	CHECK(name);
	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, CUDA_NOT_FOUND, vgpu_module_get_kernel(g, k.module, "no_such", &kernel));
	EXPECT_ON(g, CUDA_NOT_FOUND, vgpu_module_get_kernel(g, k.module, "saxpy ", &kernel));
	EXPECT_ON(g, CUDA_NOT_FOUND, vgpu_module_get_kernel(g, k.module, "saxp", &kernel));
	EXPECT_ON(g, CUDA_NOT_FOUND, vgpu_module_get_kernel(g, k.module, "", &kernel));
	EXPECT_REFUSAL(vgpu_module_get_kernel(g, k.module, NULL, &kernel));
	EXPECT_REFUSAL(vgpu_module_get_kernel(g, k.module, "saxpy", NULL));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int rc;

		memset(name, 'x', sizes[i]);
		rc = vgpu_module_get_kernel(g, k.module, name, &kernel);
		CHECK(rc == CUDA_NOT_FOUND || (is_refusal(rc) && sizes[i] > VGPU_KERNEL_NAME_MAX),
		      "(%zu: %s)", sizes[i], vgpu_strerrorname(rc));
	}
	vgpu_get_last_error(g);
	HELPED(kernels_of_module(g, k.module));
}

static void unloaded_modules(void)
{
	struct image ptx = test_ptx();
	struct vgpu_kernel_attributes a;
	vgpu_kernel kernel, old[16];
	vgpu_module m, gone[16];
	struct kernels k;
	auto_close g = NULL;
	size_t offset, bytes;

	HELPED(open_with_kernels(&g, &k));
	for (int i = 0; i < 16; i++) {
		EXPECT_ON(g, 0, vgpu_module_load(g, &gone[i], ptx.data, ptx.bytes));
		EXPECT_ON(g, 0, vgpu_module_get_kernel(g, gone[i], "add_one", &old[i]));
		EXPECT_ON(g, 0, vgpu_module_unload(g, gone[i]));
	}
	EXPECT_ON(g, 0, vgpu_module_load(g, &m, ptx.data, ptx.bytes)); /* in a place of theirs */
	EXPECT_ON(g, 0, vgpu_module_get_kernel(g, m, "add_one", &kernel));
	for (int i = 0; i < 16; i++) {
		EXPECT_ON(g, CUDA_INVALID_HANDLE, vgpu_module_unload(g, gone[i]));
		EXPECT_ON(g, CUDA_INVALID_HANDLE,
			  vgpu_module_get_kernel(g, gone[i], "add_one", &kernel));
		EXPECT_ON(g, CUDA_INVALID_HANDLE, vgpu_get_kernel_attributes(g, old[i], &a));
		EXPECT_ON(g, CUDA_INVALID_HANDLE,
			  vgpu_get_kernel_param(g, old[i], 0, &offset, &bytes));
		EXPECT(CUDA_INVALID_HANDLE,
		       told(g, launch_over(g, old[i], 1, 0, &(struct add_one_params){ 0 }, 16)));
	}
	EXPECT_ON(g, CUDA_INVALID_HANDLE, vgpu_module_unload(g, 0));
	EXPECT_ON(g, CUDA_INVALID_HANDLE, vgpu_module_unload(g, UINT32_MAX));
	vgpu_get_last_error(g);
	HELPED(kernels_of_module(g, m));
	HELPED(kernels_of_module(g, k.module));
}

static void kernel_settings(void)
{
	struct vgpu_kernel_attributes a;
	struct kernels k;
	auto_close g = NULL;
	uint32_t blocks = 0;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_get_occupancy(g, k.saxpy, 256, 0, &blocks));
	CHECK(blocks >= 1);
	EXPECT_REFUSAL(vgpu_get_occupancy(g, k.saxpy, 256, 0, NULL));
	EXPECT_ON(g, CUDA_INVALID_FUNCTION, vgpu_get_occupancy(g, 0, 256, 0, &blocks));
	EXPECT_ON(g, 0, vgpu_set_kernel_attribute(g, k.saxpy, VGPU_MAX_DYNAMIC_SHARED, 1024));
	EXPECT_ON(g, 0, vgpu_set_kernel_attribute(g, k.saxpy, VGPU_SHARED_CARVEOUT, -1));
	EXPECT_REFUSAL(vgpu_set_kernel_attribute(g, k.saxpy, VGPU_MAX_DYNAMIC_SHARED, -1));
	EXPECT_REFUSAL(vgpu_set_kernel_attribute(g, k.saxpy, (enum vgpu_kernel_attribute)77, 1));
	EXPECT_ON(g, CUDA_INVALID_HANDLE,
		  vgpu_set_kernel_attribute(g, UINT32_MAX, VGPU_SHARED_CARVEOUT, 50));
	EXPECT_REFUSAL(vgpu_get_kernel_attributes(g, k.saxpy, NULL));
	EXPECT_ON(g, CUDA_INVALID_FUNCTION,
		  vgpu_set_kernel_attribute(g, 0, VGPU_SHARED_CARVEOUT, 50));
	EXPECT_ON(g, CUDA_INVALID_FUNCTION, vgpu_get_kernel_attributes(g, 0, &a));
}

const struct test_case gpu_module_tests[] = {
	{ "modules of PTX and fatbin, and their kernels", images },
	{ "a module larger than the window", large_image },
	{ "images that are refused", refused_images },
	{ "a module from a file", load_file },
	{ "kernels that a module has not", unknown_kernels },
	{ "kernels of an unloaded module are invalid", unloaded_modules },
	{ "kernel attributes and occupancy", kernel_settings },
	{ NULL, NULL },
};
