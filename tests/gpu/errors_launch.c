// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors of modules, launches, and of kernels that run. */
#include "errors.h"

#include <string.h>

#include "../../protocol/vgpu_errors.h"

/* The image, or nothing if there was no nvcc: the backend `cpu` takes any. */
__asm__(".section .rodata\n"
	".balign 16\nerrors_image:\n.incbin \"" ERRORS_FATBIN "\"\nerrors_image_end:\n.byte 0\n"
	".previous\n");
extern const char errors_image[], errors_image_end[];

gpu_handle errors_module(void)
{
	static gpu_handle module;

	/* One byte more, so that it is never empty: what stands behind an image does not matter. */
	if (!module)
		NEED(gpu_load(&module, errors_image,
			      (uintptr_t)errors_image_end - (uintptr_t)errors_image + 1));
	return module;
}

gpu_handle errors_kernel(const char *name)
{
	gpu_handle kernel;

	NEED(gpu_kernel(errors_module(), name, &kernel));
	return kernel;
}

int errors_spin(gpu_handle stream, uint32_t ms)
{
	static gpu_handle kernel;
	void *args[] = { &ms };

	if (!kernel)
		kernel = errors_kernel("spin_ms");
	return gpu_launch(&(struct gpu_launch){ .kernel = kernel,
						.grid = { 1, 1, 1 },
						.block = { 1, 1, 1 },
						.stream = stream,
						.args = args });
}

/* ---- modules ---- */

/* Whether the driver looks at once or at the first kernel is its choice. */
static int load(const void *image, size_t bytes)
{
	gpu_handle module, kernel;

	return gpu_load(&module, image, bytes) ?: gpu_kernel(module, "kernel", &kernel);
}

static int load_text(const char *text)
{
	return load(text, strlen(text) + 1);
}

static int load_null(void)
{
	return load(NULL, 100);
}

static int load_bytes(void)
{
	static const uint8_t image[256] = { 0xde, 0xad, 0xbe, 0xef };

	return load(image, sizeof(image));
}

static int load_prose(void)
{
	return load_text("This is no module.\n");
}

#define PTX_HEADER(version) ".version " version "\n.target sm_80\n.address_size 64\n"

static int load_wrong_ptx(void)
{
	return load_text(PTX_HEADER("7.0") ".visible .entry kernel()\n{\n\tno.such.u32 %r1;\n}\n");
}

static int load_later_ptx(void)
{
	return load_text(PTX_HEADER("99.0") ".visible .entry kernel()\n{\n\tret;\n}\n");
}

static int load_no_file(void)
{
	gpu_handle module;

	return gpu_load_file(&module, "/nowhere/kernels.fatbin");
}

static int kernel_unknown(void)
{
	gpu_handle kernel;

	return gpu_kernel(errors_module(), "no_such_kernel", &kernel);
}

static int kernel_null(void)
{
	gpu_handle kernel;

	return gpu_kernel(errors_module(), NULL, &kernel);
}

static int kernel_empty(void)
{
	gpu_handle kernel;

	return gpu_kernel(errors_module(), "", &kernel);
}

static int kernel_of_none(void)
{
	gpu_handle kernel;

	return gpu_kernel(0, "spin_ms", &kernel);
}

static int unload_none(void)
{
	return gpu_unload(0);
}

const struct error_case module_errors[] = {
	CASE("module: NULL", load_null),
	CASE("module: bytes that are no image", load_bytes),
	CASE("module: text that is no PTX", load_prose),
	CASE("module: PTX that does not compile", load_wrong_ptx),
	CASE("module: PTX of a later version", load_later_ptx),
	CASE("module: no such file", load_no_file),
	CASE("kernel: no such name", kernel_unknown),
	CASE("kernel: the name NULL", kernel_null),
	CASE("kernel: an empty name", kernel_empty),
	CASE("kernel: of no module", kernel_of_none),
	CASE("unload: no module", unload_none),
	CASES_END,
};

/* ---- launches ---- */

struct shape {
	uint32_t grid[3], block[3];
	size_t shared;
};

/* A kernel that does nothing, in this shape. */
static int launch_shape(const struct shape *s)
{
	uint32_t ms = 0;
	void *args[] = { &ms };
	struct gpu_launch l = { .kernel = errors_kernel("spin_ms"),
				.shared = s->shared,
				.args = args };

	memcpy(l.grid, s->grid, sizeof(l.grid));
	memcpy(l.block, s->block, sizeof(l.block));
	return gpu_launch(&l) ?: gpu_synchronize();
}

#define SHAPE(name, ...)                                                                           \
	static int name(void)                                                                      \
	{                                                                                          \
		return launch_shape(&(struct shape){ __VA_ARGS__ });                               \
	}
SHAPE(no_threads, { 1, 1, 1 }, { 0, 1, 1 }, 0)
SHAPE(no_blocks, { 1, 0, 1 }, { 1, 1, 1 }, 0)
SHAPE(threads_1025, { 1, 1, 1 }, { 1025, 1, 1 }, 0)
SHAPE(threads_2048, { 1, 1, 1 }, { 32, 32, 2 }, 0)
SHAPE(threads_70000, { 1, 1, 1 }, { 70000, 1, 1 }, 0)
SHAPE(block_z_65, { 1, 1, 1 }, { 1, 1, 65 }, 0)
SHAPE(grid_x, { 1u << 31, 1, 1 }, { 1, 1, 1 }, 0)
SHAPE(grid_y, { 1, 65536, 1 }, { 1, 1, 1 }, 0)
SHAPE(shared_not_set, { 1, 1, 1 }, { 1, 1, 1 }, 64 << 10)
SHAPE(shared_too_much, { 1, 1, 1 }, { 1, 1, 1 }, 1 << 20)
SHAPE(shared_far_too_much, { 1, 1, 1 }, { 1, 1, 1 }, (size_t)1 << 40)

/* What a block of this kernel comes to. */
static int run(const char *name, uint32_t threads, void **args)
{
	const struct gpu_launch l = { .kernel = errors_kernel(name),
				      .grid = { 1, 1, 1 },
				      .block = { threads, 1, 1 },
				      .args = args };

	return gpu_launch(&l) ?: gpu_synchronize();
}

static int too_many_registers(void)
{
	gpu_ptr p = errors_large();
	void *args[] = { &p };

	return run("many_registers", 1024, args);
}

static int above_bounds(void)
{
	return run("bounded", 1024, NULL);
}

static int no_params(void)
{
	return run("spin_ms", 1, NULL);
}

static int no_kernel(void)
{
	return gpu_launch(&(struct gpu_launch){ .grid = { 1, 1, 1 }, .block = { 1, 1, 1 } });
}

static int no_such_stream(void)
{
	return errors_spin(99, 0) ?: gpu_synchronize();
}

static int set_too_much(void)
{
	return gpu_set_dynamic_shared(errors_kernel("spin_ms"), 1 << 30);
}

static int set_negative(void)
{
	return gpu_set_dynamic_shared(errors_kernel("spin_ms"), -1);
}

static int set_of_none(void)
{
	return gpu_set_dynamic_shared(0, 1024);
}

static int occupancy_of_no_kernel(void)
{
	return gpu_occupancy(0, 32);
}

static int occupancy_of_none(void)
{
	return gpu_occupancy(errors_kernel("spin_ms"), 0);
}

const struct error_case launch_errors[] = {
	CASE("launch: no threads", no_threads),
	CASE("launch: no blocks", no_blocks),
	CASE("launch: 1025 threads", threads_1025),
	CASE("launch: 2048 threads, each dimension allowed", threads_2048),
	CASE("launch: 70000 threads", threads_70000),
	CASE("launch: a block too deep", block_z_65),
	CASE("launch: a grid too wide", grid_x),
	CASE("launch: a grid too high", grid_y),
	CASE("launch: more shared memory than was set", shared_not_set),
	CASE("launch: more shared memory than there is", shared_too_much),
	BY_DESIGN("launch: shared memory beyond 32 bits", shared_far_too_much, 1,
		  "vgpuguest_gpu.h: CUDA looks at 32 bits of it"),
	CASE("launch: more registers than there are", too_many_registers),
	CASE("launch: more threads than the kernel's bounds", above_bounds),
	CASE("launch: parameters NULL", no_params),
	CASE("launch: no kernel", no_kernel),
	UNDEFINED("launch: a stream never made", no_such_stream),
	CASE("set: more shared memory than there is", set_too_much),
	CASE("set: negative shared memory", set_negative),
	CASE("set: no kernel", set_of_none),
	CASE("occupancy: blocks of no threads", occupancy_of_none),
	CASE("occupancy: no kernel", occupancy_of_no_kernel),
	CASES_END,
};

/* ---- kernels that fail ---- */

static int illegal_address(void)
{
	return run("fault", 1, NULL);
}

static int after_illegal_address(void)
{
	gpu_ptr p;

	if (illegal_address() == 0)
		return 0;
	return gpu_malloc(&p, LARGE);
}

static int misaligned(void)
{
	gpu_ptr p = errors_large() + 1;
	void *args[] = { &p };

	return run("misaligned", 1, args);
}

static int trap(void)
{
	return run("trap", 1, NULL);
}

static int assertion(void)
{
	uint32_t value = 7;
	void *args[] = { &value };

	return run("is_not_7", 1, args);
}

const struct error_case fault_errors[] = {
	CASE("kernel: an illegal address", illegal_address),
	BY_DESIGN("kernel: an illegal address, the call after it", after_illegal_address,
		  VGPU_EDEVLOST, "vgpuguest_gpu.h: a sticky error ends the handle"),
	CASE("kernel: a misaligned address", misaligned),
	CASE("kernel: a trap", trap),
	CASE("kernel: an assertion", assertion),
	CASES_END,
};
