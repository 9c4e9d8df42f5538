// SPDX-License-Identifier: GPL-2.0-or-later
/* Choosing a backend, and loading the one that is a shared object. */
#include "backend.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/errors.h"

#define CUDA_LIBRARY "gpu_mediator_cuda.so"

const char *backend_cuda_default_path(char *buf, size_t len)
{
	/* In a build tree; installed under whatever prefix; installed elsewhere. */
	static const char *const beside[] = { "", "../lib/gpu_mediator/" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < sizeof(beside) / sizeof(beside[0]); i++) {
		slash[1] = '\0';
		if (snprintf(buf, len, "%s%s" CUDA_LIBRARY, self, beside[i]) < (int)len &&
		    access(buf, R_OK) == 0)
			return buf;
	}
	snprintf(buf, len, "%s", VGPU_CUDA_LIBRARY);
	return buf;
}

/* Root runs only what root alone can have put there. */
static int check_owner(const char *path, char *why, size_t why_len)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		snprintf(why, why_len, CUDA_LIBRARY ": cannot open %s: %s", path, strerror(errno));
		return VGPU_EBACKEND;
	}
	if (geteuid() == 0 && (st.st_uid != 0 || st.st_mode & (S_IWGRP | S_IWOTH))) {
		snprintf(why, why_len, CUDA_LIBRARY ": refused: others than root may write to %s",
			 path);
		return VGPU_EACCES;
	}
	return 0;
}

static int check_path(const char *path, char *why, size_t why_len)
{
	char folder[PATH_MAX];
	int rc;

	if (path[0] != '/' || strlen(path) >= sizeof(folder)) {
		snprintf(why, why_len, CUDA_LIBRARY ": not an absolute path: \"%s\"", path);
		return VGPU_EINVAL;
	}
	rc = check_owner(path, why, why_len);
	if (rc < 0)
		return rc;
	strcpy(folder, path);
	*(strrchr(folder, '/') + 1) = '\0';
	return check_owner(folder, why, why_len);
}

static int load_cuda(const char *path, const struct backend_ops **ops, char *why, size_t why_len)
{
	const struct backend_ops *found;
	void *handle;
	int rc;

	rc = check_path(path, why, why_len);
	if (rc < 0)
		return rc;
	/* Never unloaded: CUDA's threads and exit handlers run in it. */
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!handle) {
		snprintf(why, why_len, CUDA_LIBRARY ": cannot load: %s", dlerror());
		return VGPU_EBACKEND;
	}
	found = dlsym(handle, BACKEND_SYMBOL);
	if (!found) {
		snprintf(why, why_len, CUDA_LIBRARY ": %s has no %s: not a backend", path,
			 BACKEND_SYMBOL);
		return VGPU_EBACKEND;
	}
	if (found->abi != BACKEND_ABI) {
		snprintf(why, why_len,
			 CUDA_LIBRARY ": %s is of another release: interface %u, wanted %u", path,
			 found->abi, BACKEND_ABI);
		return VGPU_EVERSION;
	}
	*ops = found;
	return 0;
}

int backend_choose(const char *wish, const char *cuda_path, int device,
		   const struct backend_ops **ops, struct backend **out, struct backend_info *info,
		   int *fallback, char *why, size_t why_len)
{
	bool is_auto = strcmp(wish, "auto") == 0;
	int rc = 0;

	*fallback = 0;
	if (why_len)
		why[0] = '\0';
	if (!is_auto && strcmp(wish, "cuda") != 0 && strcmp(wish, "cpu") != 0) {
		snprintf(why, why_len, "backend \"%s\": not one of auto, cuda, cpu", wish);
		return VGPU_EINVAL;
	}
	if (is_auto || strcmp(wish, "cuda") == 0) {
		rc = load_cuda(cuda_path, ops, why, why_len);
		if (rc == 0)
			rc = (*ops)->open(out, device, info, why, why_len);
		if (rc == 0)
			return 0;
		if (!is_auto)
			return rc;
		*fallback = 1;
	}
	*ops = &backend_cpu;
	return backend_cpu.open(out, device, info, *fallback ? NULL : why, *fallback ? 0 : why_len);
}
