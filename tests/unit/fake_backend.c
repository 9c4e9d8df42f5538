// SPDX-License-Identifier: GPL-2.0-or-later
#include "fake_backend.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../host/backend.h"
#include "../../protocol/vgpu_commands.h"
#include "../../protocol/vgpu_errors.h"

static int lost;
static struct timespec fault_at;

static int fake_open(struct backend **out, int device, struct backend_info *info, char *why,
		     size_t why_len)
{
	memset(info, 0, sizeof(*info));
	if (device == 9) {
		snprintf(why, why_len, "fake backend: device 9 never comes up");
		return 100;
	}
	info->kind = VGPU_BACKEND_CUDA;
	info->compute_major = 9;
	info->driver_version = 13000;
	info->runtime_version = 13000;
	info->memory_total = 1 << 30;
	snprintf(info->device, sizeof(info->device), "Fake GPU");
	*out = NULL;
	return 0;
}

static void fake_close(struct backend *b)
{
	(void)b;
}

static int fake_memory(struct backend *b, uint64_t *total, uint64_t *free_bytes)
{
	(void)b;
	*total = 1 << 30;
	*free_bytes = 1 << 29;
	return lost;
}

static int fake_window(struct backend *b, void *base, size_t bytes, bool registrable)
{
	(void)b;
	(void)base;
	(void)bytes;
	(void)registrable;
	return 0;
}

/* The number of the first attempt that succeeds, or 0. All of them ought to be refused. */
static int try_to_escape(void)
{
	char path[] = "/bin/true", *const argv[] = { path, NULL };
	union bpf_attr attr = { .map_type = 0 };
	pid_t pid;

	execve(path, argv, argv + 1);
	if (errno != EPERM)
		return 1;
	pid = fork();
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (pid >= 0)
		return 2;
	if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
		return 3;
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0)
		return 4;
	if (syscall(SYS_io_uring_setup, 1, NULL) >= 0 || errno != EPERM)
		return 5;
	if (syscall(SYS_bpf, 0, &attr, sizeof(attr)) >= 0 || errno != EPERM)
		return 6;
	if (unshare(0x10000000) == 0) /* CLONE_NEWUSER */
		return 7;
	if (mount("none", "/tmp", "tmpfs", 0, NULL) == 0 || errno != EPERM)
		return 8;
	if (syscall(SYS_tgkill, getppid(), getppid(), 0) == 0)
		return 9;
	if (setuid(0) == 0)
		return 10;
	return 0;
}

static int fake_vector_add(struct backend *b, const float *x, const float *y, float *z, size_t n)
{
	(void)b;
	if (lost)
		return lost;
	switch (n) {
	case FAKE_HANGS:
		for (;;)
			pause();
	case FAKE_FAILS_FOR_GOOD:
		return lost = 700;
	case FAKE_FAILS_ONCE:
		return 2;
	case FAKE_IS_SLOW:
		usleep(500000);
		break;
	case FAKE_TRIES_TO_ESCAPE:
		return try_to_escape();
	default:
		break;
	}
	for (size_t i = 0; i < n; i++)
		z[i] = x[i] + y[i];
	return 0;
}

static int fake_event_create(struct backend *b, uint32_t flags, struct backend_event **out)
{
	(void)b;
	(void)flags;
	*out = (struct backend_event *)&lost;
	return 0;
}

static int fake_event_record(struct backend *b, struct backend_event *e, struct backend_stream *s)
{
	(void)b;
	(void)e;
	(void)s;
	clock_gettime(CLOCK_MONOTONIC, &fault_at);
	fault_at.tv_nsec += FAKE_FAULT_MS * 1000000;
	return 0;
}

static int fake_fence(struct backend *b, uint32_t kind, void *object, struct backend_fence **out)
{
	(void)b;
	(void)object;
	*out = (struct backend_fence *)(uintptr_t)kind;
	return 0;
}

static int fake_fence_mark(struct backend *b, struct backend_fence *f)
{
	(void)b;
	(void)f;
	return 0;
}

static int fake_fence_done(struct backend *b, struct backend_fence *f, void *data)
{
	struct timespec now;
	int64_t late;

	(void)b;
	(void)data;
	clock_gettime(CLOCK_MONOTONIC, &now);
	late = (now.tv_sec - fault_at.tv_sec) * 1000000000ll + now.tv_nsec - fault_at.tv_nsec;
	if ((uintptr_t)f != VGPU_SYNC_STREAM || late < 0)
		return VGPU_EBUSY;
	return lost = 700;
}

static void fake_fence_drop(struct backend *b, struct backend_fence *f)
{
	(void)b;
	(void)f;
}

extern const struct backend_ops vgpu_backend_cuda;
__attribute__((visibility("default"))) const struct backend_ops vgpu_backend_cuda = {
#ifdef FAKE_OLD_ABI
	.abi = BACKEND_ABI + 41,
#else
	.abi = BACKEND_ABI,
#endif
	.name = "fake",
	.open = fake_open,
	.close = fake_close,
	.memory = fake_memory,
	.window = fake_window,
	.vector_add = fake_vector_add,
	.event_create = fake_event_create,
	.event_record = fake_event_record,
	.fence = fake_fence,
	.fence_mark = fake_fence_mark,
	.fence_done = fake_fence_done,
	.fence_drop = fake_fence_drop,
};
