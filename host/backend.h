/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What executes a channel's GPU work. `cpu` is part of gpu_mediator; `cuda` is a shared
 * object, gpu_mediator_cuda.so, which exports BACKEND_SYMBOL and which the worker loads,
 * so that the mediator itself depends on no CUDA library.
 *
 * A worker has one backend and calls it from its ring thread only. Pointers are the worker's
 * own mapping of the window, whose bytes the guest may change at any time: a backend treats
 * them as data and never as numbers to steer by.
 *
 * Functions return 0, a negative VGPU_E*, or a positive CUDA error number.
 */
#ifndef HOST_BACKEND_H
#define HOST_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#define BACKEND_ABI 1u
#define BACKEND_SYMBOL "vgpu_backend_cuda"

struct backend; /* one per worker, the backend's own */

struct backend_info {
	uint32_t kind; /* VGPU_BACKEND_* */
	uint32_t compute_major;
	uint32_t compute_minor;
	uint32_t driver_version;
	uint32_t runtime_version;
	uint32_t multiprocessors;
	uint64_t memory_total;
	char device[96];
};

struct backend_ops {
	uint32_t abi; /* BACKEND_ABI */
	const char *name;

	/*
	 * Bring up device number @device so far that the first request finds everything warm
	 * (context, modules, scratch memory). On failure @why gets the cause.
	 */
	int (*open)(struct backend **out, int device, struct backend_info *info, char *why,
		    size_t why_len);
	void (*close)(struct backend *b);

	int (*memory)(struct backend *b, uint64_t *total, uint64_t *free_bytes);

	/* The channel's window, once, before the first request that uses it. May cost time. */
	int (*window)(struct backend *b, void *base, size_t bytes);

	/* c[i] = a[i] + b[i]; complete when it returns. Pointers into the window or private memory.
	 */
	int (*vector_add)(struct backend *b, const float *a, const float *bb, float *c, size_t n);
};

extern const struct backend_ops backend_cpu;

/*
 * Where gpu_mediator_cuda.so is: beside this program (build tree, bundle) if it is there, else
 * where `make install` puts it. Fills and returns @buf.
 */
const char *backend_cuda_default_path(char *buf, size_t len);

/*
 * Choose by configuration: "cpu", "cuda" (failure is final) or "auto" (cuda, else cpu with
 * *@fallback = 1). @cuda_path: the shared object. @why gets the cause of a failure or of the
 * fallback.
 */
int backend_choose(const char *wish, const char *cuda_path, int device,
		   const struct backend_ops **ops, struct backend **out, struct backend_info *info,
		   int *fallback, char *why, size_t why_len);

#endif
