/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside cuda_backend: what its files share. */
#ifndef TESTS_GPU_CUDA_CHECK_H
#define TESTS_GPU_CUDA_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../host/backend.h"

/* Numbers of enum cudaError, as the runtime's own calls return them. */
enum {
	CUDA_INVALID_VALUE = 1,
	CUDA_MEMORY_ALLOCATION = 2,
	CUDA_INVALID_DEVICE = 101,
	CUDA_INVALID_KERNEL_IMAGE = 200,
	CUDA_INVALID_PTX = 218,
	CUDA_ILLEGAL_STATE = 401,
	CUDA_SYMBOL_NOT_FOUND = 500,
	CUDA_NOT_READY = 600,
	CUDA_CAPTURE_UNSUPPORTED = 900,
	CUDA_CAPTURE_INVALIDATED = 901,
};

struct gpu_test {
	const struct backend_ops *ops;
	struct backend *b;
	uint8_t *window;
	size_t window_bytes;
};

/* A TAP line. */
__attribute__((format(printf, 2, 3))) void ok(bool passed, const char *fmt, ...);

/* Did a call return what it should? Says what it did otherwise. */
bool returns(int got, int want, const char *call);

uint32_t rnd(void);
void fill_bytes(void *p, size_t n);

/* Wait for a stream, the device (@kind VGPU_SYNC_*) or an event, 10 s at most. */
int wait_for(struct gpu_test *t, uint32_t kind, void *object);

/* Read and wait for it. */
int read_now(struct gpu_test *t, struct backend_stream *s, uint64_t src, void *out, uint32_t n);

/* A copy between the window and @device, one row. */
int copy_in(struct gpu_test *t, struct backend_stream *s, uint64_t device, const void *window,
	    size_t n);
int copy_out(struct gpu_test *t, struct backend_stream *s, void *window, uint64_t device, size_t n);

/* What kernels.ptx has, with a NUL behind it. */
extern const char kernels_ptx[];
extern const char kernels_ptx_end[];

void check_memory(struct gpu_test *t);
void check_copies(struct gpu_test *t, const char *how);
void time_copies(struct gpu_test *t, const char *how);
void check_modules(struct gpu_test *t, int images, char **image);
void check_streams(struct gpu_test *t);
void check_graphs(struct gpu_test *t);
void check_devices(struct gpu_test *t);
void check_second(struct gpu_test *t);
void time_work(struct gpu_test *t);

/* Destroys the context; only close() follows. */
void check_fault(struct gpu_test *t);

#endif
