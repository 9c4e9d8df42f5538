// SPDX-License-Identifier: GPL-2.0-or-later
#include "self_test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../common/errors.h"
#include "../common/shm.h"
#include "../protocol/vgpu_commands.h"
#include "local_worker.h"

#define ENTRIES 16u
#define WINDOW_BYTES 65536u
#define CALL_MS 30000

static int call_failed(const char *what, int rc, const struct vgpu_response *rsp)
{
	fprintf(stderr, "gpu_mediator: self-test: %s: %s\n", what,
		rc < 0 ? strerror(-rc) : error_text(rsp->status));
	return -EIO;
}

static int vector_add(struct local_channel *c, const struct local_worker *lw)
{
	const struct vgpu_vector_add_args args = { .flags = VGPU_VECTOR_ADD_SELF_TEST };
	struct vgpu_request req = { .cmd = VGPU_CMD_VECTOR_ADD };
	struct vgpu_vector_add_reply reply;
	struct vgpu_response rsp;
	int rc;

	memcpy(req.args, &args, sizeof(args));
	rc = local_channel_call(c, lw, &req, &rsp, CALL_MS);
	if (rc < 0 || rsp.status)
		return call_failed("vector add", rc, &rsp);
	memcpy(&reply, rsp.data, sizeof(reply));
	if (reply.errors || reply.elements != VGPU_SELF_TEST_ELEMENTS) {
		printf("Vector add failed: %u elements, %u errors\n", reply.elements, reply.errors);
		return -EIO;
	}
	printf("Vector add passed: %u elements\n", reply.elements);
	return 0;
}

static void print_version(const char *label, uint32_t v)
{
	printf("  %-20s %u.%u\n", label, v / 1000, v % 1000 / 10);
}

static int show_status(struct local_channel *c, const struct local_worker *lw)
{
	struct vgpu_status_reply s = { 0 };
	struct vgpu_request req = { .cmd = VGPU_CMD_QUERY_STATUS, .data_len = sizeof(s) };
	struct vgpu_response rsp;
	int rc;

	rc = local_channel_call(c, lw, &req, &rsp, CALL_MS);
	if (rc < 0 || rsp.status)
		return call_failed("query status", rc, &rsp);
	shm_read_bytes(&s, c->window, sizeof(s));
	printf("  %-20s %s\n", "backend", s.backend == VGPU_BACKEND_CUDA ? "cuda" : "cpu");
	printf("  %-20s %.*s\n", "device", (int)sizeof(s.device), s.device);
	printf("  %-20s %llu MiB, %llu MiB free\n", "memory",
	       (unsigned long long)(s.memory_total >> 20),
	       (unsigned long long)(s.memory_free >> 20));
	if (s.backend == VGPU_BACKEND_CUDA) {
		printf("  %-20s %u.%u\n", "compute capability", s.compute_major, s.compute_minor);
		print_version("driver supports CUDA", s.driver_version);
		print_version("CUDA runtime", s.runtime_version);
	}
	return 0;
}

int self_test_run(const char *backend, const char *cuda_library, int device)
{
	struct worker_assign assign = { .deadline_ms = CALL_MS, .vm = "self-test" };
	struct local_channel channel;
	struct local_worker worker;
	char why[200];
	int rc;

	rc = local_worker_start(&worker, "/proc/self/exe", backend, cuda_library, device, NULL, why,
				sizeof(why));
	if (rc) {
		fprintf(stderr, "gpu_mediator: self-test: %s\n", why);
		return strcmp(backend, "cuda") == 0 ? SELF_TEST_NO_GPU : SELF_TEST_FAILED;
	}
	if (worker.ready.fallback)
		fprintf(stderr,
			"gpu_mediator: WARNING: NO GPU: all work runs on the CPU, slowly. %.*s\n",
			(int)sizeof(worker.ready.why), worker.ready.why);
	rc = local_channel_init(&channel, ENTRIES, WINDOW_BYTES);
	if (rc < 0) {
		fprintf(stderr, "gpu_mediator: self-test: make a channel: %s\n", strerror(-rc));
		goto out;
	}
	rc = local_worker_assign(&worker, &channel, &assign, why, sizeof(why));
	if (rc)
		fprintf(stderr, "gpu_mediator: self-test: %s\n", why);
	if (rc == 0)
		rc = vector_add(&channel, &worker);
	if (rc == 0)
		rc = show_status(&channel, &worker);
	local_channel_dispose(&channel);
out:
	local_worker_dispose(&worker);
	return rc ? SELF_TEST_FAILED : SELF_TEST_PASSED;
}
