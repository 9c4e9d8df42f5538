/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of GPU work share. */
#ifndef TESTS_CONFORMANCE_GPU_H
#define TESTS_CONFORMANCE_GPU_H

#include "conformance.h"

/* As enum cudaError has them; the suite is built without CUDA's headers. */
enum {
	CUDA_INVALID_VALUE = 1,
	CUDA_OUT_OF_MEMORY = 2,
	CUDA_INVALID_PITCH = 12,
	CUDA_INVALID_FUNCTION = 98,
	CUDA_INVALID_DEVICE = 101,
	CUDA_INVALID_HANDLE = 400,
	CUDA_ILLEGAL_STATE = 401,
	CUDA_NOT_FOUND = 500,
	CUDA_NOT_READY = 600,
	CUDA_ILLEGAL_ADDRESS = 700,
	CUDA_ALREADY_REGISTERED = 712,
	CUDA_NOT_REGISTERED = 713,
	CUDA_CAPTURE_UNSUPPORTED = 900,
	CUDA_CAPTURE_INVALIDATED = 901,
	CUDA_CAPTURE_UNMATCHED = 903,
	CUDA_CAPTURE_IMPLICIT = 906,
	CUDA_CAPTURED_EVENT = 907,
};

#define POISON 0xa5
#define GUARD 64 /* bytes around a result that nobody may touch */

/* Of 256-byte units and alone on its handle: the first byte behind it is refused. */
#define LARGE (8 << 20)

/* kernels.cu, or any bytes if there was no nvcc: the backend `cpu` has these kernels built in. */
struct image {
	const void *data;
	size_t bytes;
	bool real;
};
struct image test_ptx(void);
struct image test_fatbin(void);

struct kernels {
	vgpu_module module;
	vgpu_kernel saxpy, vector_add, matmul, reduce_sum, mandelbrot, fill_u32, add_one, spin_ms,
		fault;
};

/* A handle with the kernels; skips the test where a GPU is, but nvcc was not. With HELPED(). */
void open_with_kernels(struct vgpu **out, struct kernels *k);

/* Parameters as the kernels have them, none of which ends in padding. */
struct saxpy_params {
	uint64_t n;
	float a;
	vgpu_devptr x, y;
};
struct fill_params {
	vgpu_devptr p;
	uint32_t value;
	uint64_t n;
};
struct add_one_params {
	vgpu_devptr p;
	uint64_t n;
};

/* Over @n threads and a few more. */
int launch_over(struct vgpu *g, vgpu_kernel kernel, uint64_t n, vgpu_stream stream,
		const void *params, size_t param_bytes);
int fill(struct vgpu *g, const struct kernels *k, vgpu_stream stream, vgpu_devptr p, uint32_t value,
	 uint64_t n);
int add_one(struct vgpu *g, const struct kernels *k, vgpu_stream stream, vgpu_devptr p, uint64_t n);

/* Keep a stream busy for a moment. */
int spin(struct vgpu *g, const struct kernels *k, vgpu_stream stream, uint32_t ms);

/* All @n words at @p are @value, as far as work before this in @stream is concerned. */
bool device_is(struct vgpu *g, vgpu_devptr p, uint32_t value, size_t n, vgpu_stream stream);

/*
 * What became of a call that only put work on the ring, and of all before it: its own error, else
 * the one that the handle kept. Nothing is left over.
 */
int told(struct vgpu *g, int rc);

/* A number that says "your arguments are wrong", where the header does not say which. */
bool is_refusal(int rc);
#define EXPECT_REFUSAL(call)                                                                       \
	do {                                                                                       \
		int refusal_rc_ = (call);                                                          \
		if (!is_refusal(refusal_rc_)) {                                                    \
			test_failed(__FILE__, __LINE__, #call, ": %s, expected a refusal",         \
				    vgpu_strerrorname(refusal_rc_));                               \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* Wait until a query says something else than "not ready". */
int query_until_done(struct vgpu *g, vgpu_stream stream);

/* malloc() of random bytes. */
uint8_t *random_bytes(size_t n);
void fill_random(void *p, size_t n);
bool bytes_are(const void *p, uint8_t value, size_t n);

/* The larger of two sizes of data to work on. */
size_t test_bytes(size_t quick, size_t usual);

/* vgpu_host_alloc() of @bytes, or of as much less as the window has; at least a page. */
int host_alloc_some(struct vgpu *g, void *out, size_t *bytes);

#endif
