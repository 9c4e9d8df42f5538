// SPDX-License-Identifier: GPL-2.0-or-later
/* What the tests of GPU work share: kernels, launches, data. */
#include "gpu.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* The NUL behind an image is not one of its bytes. */
#define EMBED(name, file)                                                                          \
	__asm__(".section .rodata\n"                                                               \
		".balign 16\n" #name ":\n.incbin \"" file "\"\n" #name "_end:\n.byte 0\n"          \
		".previous\n");                                                                    \
	extern const char name[], name##_end[]

EMBED(kernels_ptx, KERNELS_PTX);
EMBED(kernels_fatbin, KERNELS_FATBIN);

static struct image image_of(const char *data, const char *end)
{
	static const char none[] = "no nvcc, no kernels\n";
	size_t bytes = (size_t)((uintptr_t)end - (uintptr_t)data);

	if (!bytes)
		return (struct image){ none, sizeof(none) - 1, false };
	return (struct image){ data, bytes, true };
}

struct image test_ptx(void)
{
	return image_of(kernels_ptx, kernels_ptx_end);
}

struct image test_fatbin(void)
{
	return image_of(kernels_fatbin, kernels_fatbin_end);
}

void open_with_kernels(struct vgpu **out, struct kernels *k)
{
	const struct {
		const char *name;
		vgpu_kernel *kernel;
	} names[] = {
		{ "saxpy", &k->saxpy },           { "vector_add", &k->vector_add },
		{ "matmul", &k->matmul },         { "reduce_sum", &k->reduce_sum },
		{ "mandelbrot", &k->mandelbrot }, { "fill_u32", &k->fill_u32 },
		{ "add_one", &k->add_one },       { "spin_ms", &k->spin_ms },
		{ "fault", &k->fault },
	};
	struct image ptx = test_ptx();
	struct vgpu_status s;

	EXPECT(0, test_open(out));
	EXPECT_ON(*out, 0, vgpu_query_status(*out, &s));
	if (!ptx.real && s.backend != VGPU_BACKEND_CPU) {
		test_skipped("built without nvcc: no kernels for this GPU");
		return;
	}
	EXPECT_ON(*out, 0, vgpu_module_load(*out, &k->module, ptx.data, ptx.bytes));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		EXPECT_ON(*out, 0,
			  vgpu_module_get_kernel(*out, k->module, names[i].name, names[i].kernel));
}

int launch_over(struct vgpu *g, vgpu_kernel kernel, uint64_t n, vgpu_stream stream,
		const void *params, size_t param_bytes)
{
	const struct vgpu_dim3 block = { 256, 1, 1 }, grid = { (uint32_t)((n + 255) / 256), 1, 1 };

	return vgpu_launch(g, kernel, grid, block, 0, stream, params, param_bytes);
}

int fill(struct vgpu *g, const struct kernels *k, vgpu_stream stream, vgpu_devptr p, uint32_t value,
	 uint64_t n)
{
	struct fill_params params = { .p = p, .value = value, .n = n };

	return launch_over(g, k->fill_u32, n, stream, &params, sizeof(params));
}

int add_one(struct vgpu *g, const struct kernels *k, vgpu_stream stream, vgpu_devptr p, uint64_t n)
{
	struct add_one_params params = { .p = p, .n = n };

	return launch_over(g, k->add_one, n, stream, &params, sizeof(params));
}

int spin(struct vgpu *g, const struct kernels *k, vgpu_stream stream, uint32_t ms)
{
	const struct vgpu_dim3 one = { 1, 1, 1 };

	return vgpu_launch(g, k->spin_ms, one, one, 0, stream, &ms, sizeof(ms));
}

bool device_is(struct vgpu *g, vgpu_devptr p, uint32_t value, size_t n, vgpu_stream stream)
{
	auto_free uint32_t *got = calloc(n, sizeof(*got));

	if (!got || vgpu_copy_from_device_async(g, got, p, n * sizeof(*got), stream) ||
	    vgpu_stream_synchronize(g, stream))
		return false;
	for (size_t i = 0; i < n; i++)
		if (got[i] != value)
			return false;
	return true;
}

int told(struct vgpu *g, int rc)
{
	int kept = vgpu_get_last_error(g);

	return rc ? rc : kept;
}

bool is_refusal(int rc)
{
	return rc == VGPU_EINVAL || rc == VGPU_ERANGE || rc == VGPU_ETOOBIG ||
	       rc == CUDA_INVALID_VALUE || rc == CUDA_INVALID_PITCH || rc == CUDA_INVALID_HANDLE;
}

int query_until_done(struct vgpu *g, vgpu_stream stream)
{
	int rc;

	while ((rc = vgpu_stream_query(g, stream)) == CUDA_NOT_READY)
		sched_yield();
	return rc;
}

void fill_random(void *p, size_t n)
{
	uint8_t *to = p;

	for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
		uint64_t r = test_random();

		memcpy(to + i, &r, n - i < sizeof(r) ? n - i : sizeof(r));
	}
}

uint8_t *random_bytes(size_t n)
{
	uint8_t *p = malloc(n);

	if (p)
		fill_random(p, n);
	return p;
}

bool bytes_are(const void *p, uint8_t value, size_t n)
{
	const uint8_t *b = p;

	return n == 0 || (b[0] == value && memcmp(b, b + 1, n - 1) == 0);
}

size_t test_bytes(size_t quick, size_t usual)
{
	return test.quick ? quick : usual;
}

int host_alloc_some(struct vgpu *g, void *out, size_t *bytes)
{
	void *p = NULL;
	int rc;

	while ((rc = vgpu_host_alloc(g, &p, *bytes)) == VGPU_EQUOTA && *bytes > 4096)
		*bytes /= 2;
	memcpy(out, &p, sizeof(p));
	return rc;
}
