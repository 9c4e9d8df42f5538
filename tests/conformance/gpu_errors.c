// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors of GPU work: kept, told once, and those that end a handle. */
#include "gpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void last_error_of_calls(void)
{
	uint8_t data[8];
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	EXPECT(0, vgpu_peek_last_error(g));
	EXPECT(0, vgpu_get_last_error(g));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_copy_from_device(g, data, 4096, 8));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_free(g, 4096));
	EXPECT(CUDA_INVALID_VALUE, vgpu_peek_last_error(g));
	EXPECT(CUDA_INVALID_VALUE, vgpu_peek_last_error(g));
	EXPECT(CUDA_INVALID_VALUE, vgpu_get_last_error(g));
	EXPECT(0, vgpu_get_last_error(g));
	EXPECT(0, vgpu_peek_last_error(g));
	EXPECT_ON(g, CUDA_INVALID_HANDLE, vgpu_stream_synchronize(g, 99));
	EXPECT_ON(g, 0, vgpu_synchronize(g)); /* a success does not hide it */
	EXPECT(CUDA_INVALID_HANDLE, vgpu_get_last_error(g));
	EXPECT(0, vgpu_get_last_error(g));
}

/* Bad work that no call waits for: the next that waits tells, once; the rest was done. */
static void last_error_of_work(void)
{
	struct kernels k;
	auto_close g = NULL;
	vgpu_devptr p;
	int rc;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, 400));
	for (int i = test_rounds(50); i > 0; i--) {
		EXPECT(0, fill(g, &k, 0, p, 1, 100));
		rc = launch_over(g, k.add_one ^ 0x7fff0000, 1, 0, &(struct add_one_params){ 0 },
				 sizeof(struct add_one_params));
		CHECK(rc == 0 || rc == CUDA_INVALID_HANDLE);
		EXPECT(0, add_one(g, &k, 0, p, 100));
		if (i % 2) {
			EXPECT(CUDA_INVALID_HANDLE, told(g, rc));
		} else {
			EXPECT(CUDA_INVALID_HANDLE, vgpu_peek_last_error(g));
			EXPECT(CUDA_INVALID_HANDLE, vgpu_get_last_error(g));
		}
		EXPECT(0, vgpu_get_last_error(g));
		EXPECT_ON(g, 0, vgpu_synchronize(g));
		CHECK(device_is(g, p, 2, 100, 0));
	}
}

static void errors_of_another_handle(void)
{
	auto_close g = NULL;
	auto_close other = NULL;

	EXPECT(0, test_open(&g));
	EXPECT(0, test_open(&other));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_free(g, 4096));
	EXPECT(0, vgpu_get_last_error(other));
	EXPECT_ON(other, 0, vgpu_synchronize(other));
	EXPECT(CUDA_INVALID_VALUE, vgpu_get_last_error(g));
}

/* ---- any call ---- */

struct anything {
	struct vgpu *g;
	void *host;
	vgpu_devptr p;
	vgpu_stream s;
	vgpu_event e;
	vgpu_graph graph;
	struct kernels k;
};

static void nothing(void *opaque)
{
	(void)opaque;
}

static int call_memory(const struct anything *x, int which)
{
	size_t a, b;
	vgpu_devptr p;
	void *host;

	switch (which) {
	case 0:
		return vgpu_memory_info(x->g, &a, &b);
	case 1:
		return vgpu_malloc(x->g, &p, LARGE);
	case 2:
		return vgpu_malloc_pitch(x->g, &p, &a, 10000, 1000);
	case 3:
		return vgpu_host_alloc(x->g, &host, 256);
	case 4:
		return vgpu_memset(x->g, x->p, 0, 4);
	case 5:
		return vgpu_memset_async(x->g, x->p, 0, 4, x->s);
	case 6:
		return vgpu_memset_2d_async(x->g, x->p, 4, 0, 4, 1, x->s);
	case 7:
		return vgpu_select_gpu(x->g, 0);
	default:
		return vgpu_host_unregister(x->g, x->host);
	}
}

static int call_copy(const struct anything *x, int which)
{
	uint32_t word = 0;

	switch (which) {
	case 0:
		return vgpu_copy_to_device(x->g, x->p, &word, 4);
	case 1:
		return vgpu_copy_from_device(x->g, &word, x->p, 4);
	case 2:
		return vgpu_copy_on_device(x->g, x->p, x->p + 8, 4);
	case 3:
		return vgpu_copy_to_device_async(x->g, x->p, &word, 4, x->s);
	case 4:
		return vgpu_copy_from_device_async(x->g, &word, x->p, 4, x->s);
	case 5:
		return vgpu_copy_on_device_async(x->g, x->p, x->p + 8, 4, x->s);
	case 6:
		return vgpu_copy_2d_to_device(x->g, x->p, 4, &word, 4, 4, 1);
	case 7:
		return vgpu_copy_2d_from_device(x->g, &word, 4, x->p, 4, 4, 1);
	default:
		return vgpu_copy_2d_on_device(x->g, x->p, 4, x->p + 8, 4, 4, 1);
	}
}

static int call_kernel(const struct anything *x, int which)
{
	static const char image[] = "an image";
	const struct vgpu_dim3 one = { 1, 1, 1 };
	struct add_one_params params = { x->p, 1 };
	void *args[] = { &params.p, &params.n };
	uint32_t blocks;
	vgpu_kernel k;
	vgpu_module m;

	switch (which) {
	case 0:
		return vgpu_module_load(x->g, &m, image, sizeof(image));
	case 1:
		return vgpu_module_get_kernel(x->g, x->k.module, "another", &k);
	case 2:
		return vgpu_set_kernel_attribute(x->g, x->k.add_one, VGPU_SHARED_CARVEOUT, -1);
	case 3:
		return vgpu_get_occupancy(x->g, x->k.add_one, 1, 0, &blocks);
	case 4:
		return vgpu_launch(x->g, x->k.add_one, one, one, 0, x->s, &params, sizeof(params));
	case 5:
		return vgpu_launch_args(x->g, x->k.add_one, one, one, 0, x->s, args);
	case 6:
		return vgpu_launch_host_func(x->g, x->s, nothing, NULL);
	case 7:
		return vgpu_get_last_error(x->g);
	default:
		return vgpu_module_unload(x->g, x->k.module);
	}
}

static int call_stream(const struct anything *x, int which)
{
	vgpu_graph graph;
	vgpu_stream s;
	vgpu_event e;

	switch (which) {
	case 0:
		return vgpu_stream_create(x->g, &s, 0, 0);
	case 1:
		return vgpu_stream_synchronize(x->g, x->s);
	case 2:
		return vgpu_stream_query(x->g, x->s);
	case 3:
		return vgpu_stream_wait_event(x->g, x->s, x->e);
	case 4:
		return vgpu_event_create(x->g, &e, 0);
	case 5:
		return vgpu_synchronize(x->g);
	case 6:
		return vgpu_capture_begin(x->g, x->s, VGPU_CAPTURE_MODE_RELAXED);
	case 7:
		return vgpu_capture_end(x->g, x->s, &graph);
	default:
		return vgpu_stream_destroy(x->g, x->s);
	}
}

static int call_event(const struct anything *x, int which)
{
	float ms;

	switch (which) {
	case 0:
		return vgpu_event_record(x->g, x->e, x->s);
	case 1:
		return vgpu_event_synchronize(x->g, x->e);
	case 2:
		return vgpu_event_query(x->g, x->e);
	case 3:
		return vgpu_event_elapsed(x->g, &ms, x->e, x->e);
	case 4:
		return vgpu_graph_launch(x->g, x->graph, x->s);
	case 5:
		return vgpu_graph_destroy(x->g, x->graph);
	case 6:
		return vgpu_free(x->g, x->p);
	case 7:
		return vgpu_peek_last_error(x->g);
	default:
		return vgpu_event_destroy(x->g, x->e);
	}
}

static int (*const call_any[])(const struct anything *x, int which) = { call_memory, call_copy,
									call_kernel, call_stream,
									call_event };
#define CALLS_EACH 9
#define CALLS ((int)(sizeof(call_any) / sizeof(call_any[0])) * CALLS_EACH)

static void open_with_anything(struct vgpu **g, struct anything *x)
{
	HELPED(open_with_kernels(g, &x->k));
	x->g = *g;
	EXPECT_ON(*g, 0, vgpu_host_alloc(*g, &x->host, 256));
	EXPECT_ON(*g, 0, vgpu_malloc(*g, &x->p, 256));
	EXPECT_ON(*g, 0, vgpu_stream_create(*g, &x->s, 0, 0));
	EXPECT_ON(*g, 0, vgpu_event_create(*g, &x->e, 0));
	EXPECT_ON(*g, 0, vgpu_capture_begin(*g, x->s, VGPU_CAPTURE_MODE_RELAXED));
	EXPECT_ON(*g, 0, vgpu_capture_end(*g, x->s, &x->graph));
	EXPECT(0, told(*g, 0));
}

/* All calls give this number. */
static void all_calls_return(const struct anything *x, int wanted)
{
	for (int i = 0; i < CALLS; i++) {
		int rc = call_any[i / CALLS_EACH](x, i % CALLS_EACH);

		CHECK(rc == wanted, "(call %d.%d: %s, expected %s)", i / CALLS_EACH, i % CALLS_EACH,
		      vgpu_strerrorname(rc), vgpu_strerrorname(wanted));
	}
}

static void no_handle(void)
{
	struct anything x = { 0 };

	all_calls_return(&x, VGPU_EINVAL);
}

static void forked_child(void)
{
	struct anything x;
	auto_close g = NULL;
	int status;
	pid_t pid;

	HELPED(open_with_anything(&g, &x));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		int bad = 0;

		for (int i = 0; i < CALLS; i++)
			if (call_any[i / CALLS_EACH](&x, i % CALLS_EACH) != VGPU_EFORKED)
				bad = 1 + i;
		_exit(bad);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "(%#x)", (unsigned int)status);
	EXPECT(0, told(g, add_one(g, &x.k, x.s, x.p, 1)));
	EXPECT_ON(g, 0, vgpu_synchronize(g));
}

/* ---- a kernel that faults ---- */

static int launch_fault(const struct anything *x)
{
	const struct vgpu_dim3 one = { 1, 1, 1 };

	return vgpu_launch(x->g, x->k.fault, one, one, 0, x->s, NULL, 0);
}

/* The ways to learn of it. */
static int learn(const struct anything *x, int how)
{
	uint32_t word;

	switch (how) {
	case 0:
		return vgpu_stream_synchronize(x->g, x->s);
	case 1:
		return vgpu_synchronize(x->g);
	case 2:
		return vgpu_copy_from_device(x->g, &word, x->p, 4);
	case 3:
		return vgpu_copy_from_device_async(x->g, &word, x->p, 4, x->s);
	case 4:
		return vgpu_event_synchronize(x->g, x->e);
	default:
		return query_until_done(x->g, x->s);
	}
}

static void one_fault(struct vgpu *beside, const struct kernels *k, vgpu_devptr p, int how)
{
	struct anything x;
	auto_close g = NULL;
	int rc;

	HELPED(open_with_anything(&g, &x));
	EXPECT(0, fill(beside, k, 0, p, 7, 1000));
	EXPECT(0, launch_fault(&x));
	rc = vgpu_event_record(g, x.e, x.s); /* may know already */
	EXPECT(CUDA_ILLEGAL_ADDRESS, rc ? rc : learn(&x, how));
	CHECK(*vgpu_last_error(g));
	HELPED(all_calls_return(&x, VGPU_EDEVLOST));
	EXPECT_ON(g, VGPU_EDEVLOST, vgpu_nop(g));
	EXPECT(0, add_one(beside, k, 0, p, 1000));
	CHECK(device_is(beside, p, 8, 1000, 0));
	EXPECT(0, told(beside, 0));
}

static void faults(void)
{
	struct kernels k;
	auto_close beside = NULL;
	vgpu_devptr p;

	HELPED(open_with_kernels(&beside, &k));
	EXPECT_ON(beside, 0, vgpu_malloc(beside, &p, 4000));
	for (int how = 0; how < 6; how++)
		HELPED(one_fault(beside, &k, p, how));
	EXPECT_ON(beside, 0, vgpu_synchronize(beside));
}

/* The worker does not wait for ever. */
static void fault_asked_about_late(void)
{
	struct anything x;
	auto_close g = NULL;

	HELPED(open_with_anything(&g, &x));
	EXPECT(0, launch_fault(&x));
	usleep(1500000);
	EXPECT_ON(g, CUDA_ILLEGAL_ADDRESS, vgpu_stream_synchronize(g, x.s));
	HELPED(all_calls_return(&x, VGPU_EDEVLOST));
}

const struct test_case gpu_error_tests[] = {
	{ "last error of calls", last_error_of_calls },
	{ "last error of work without an answer", last_error_of_work },
	{ "errors of another handle", errors_of_another_handle },
	{ "GPU calls without a handle", no_handle },
	{ "GPU calls in a forked child", forked_child },
	{ "a kernel's fault ends its handle and no other", faults },
	{ "a kernel's fault, asked about late", fault_asked_about_late },
	{ NULL, NULL },
};
