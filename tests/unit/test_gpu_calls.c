/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GPU work over a host with a GPU of its own invention, which serves well, late or badly. */
#include "guest_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_host.h"
#include "../../guest-lib/private.h"
#include "vgpuguest.h"

#define ONE ((struct vgpu_dim3){ 1, 1, 1 })
#define NONE ((struct vgpu_dim3){ 0, 1, 1 })

typedef enum fake_fate answer_fn(struct fake_host *, const struct vgpu_request *,
				 struct vgpu_response *);

static struct fake_host host;
static struct fake_script script;
static struct vgpu *vgpu;
static struct vgpu_options options;
static atomic_int gate; /* opens what a script holds back */

static void start(answer_fn *answer)
{
	script.answer = answer;
	fake_host_start(&host, &script);
	options.device = fake_host_device(&host);
	assert_int_equal(vgpu_open(&vgpu, &options), 0);
}

static int setup(void **state)
{
	(void)state;
	vgpu_options_init(&options);
	options.window_bytes = 256 << 10;
	memset(&script, 0, sizeof(script));
	gate = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vgpu_close(vgpu);
	vgpu = NULL;
	fake_host_stop(&host);
	return 0;
}

static void set_timeout(int ms)
{
	pthread_mutex_lock(&vgpu->lock);
	vgpu->timeout_ms = ms;
	pthread_mutex_unlock(&vgpu->lock);
}

static vgpu_devptr device_memory(size_t bytes)
{
	vgpu_devptr p;

	assert_int_equal(vgpu_malloc(vgpu, &p, bytes), 0);
	assert_true(p && p % 256 == 0);
	return p;
}

static vgpu_kernel kernel(const char *name)
{
	vgpu_module module;
	vgpu_kernel k;

	assert_int_equal(vgpu_module_load(vgpu, &module, "image", 5), 0);
	assert_int_equal(vgpu_module_get_kernel(vgpu, module, name, &k), 0);
	return k;
}

/* ---- memory ---- */

static void test_properties(void **state)
{
	struct vgpu_gpu_properties p;
	uint32_t n, asked;

	(void)state;
	start(NULL);
	assert_int_equal(vgpu_gpu_count(vgpu, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(vgpu_get_gpu_properties(vgpu, 1, &p), 0);
	assert_string_equal(p.name, "fake GPU");
	assert_int_equal(p.warp_size, 32);
	asked = host.commands[VGPU_CMD_DEVICE_INFO];
	assert_int_equal(vgpu_get_gpu_properties(vgpu, 0, &p), 0);
	assert_int_equal(vgpu_get_gpu_properties(vgpu, 1, &p), 0);
	assert_int_equal(host.commands[VGPU_CMD_DEVICE_INFO], asked);
	assert_int_equal(vgpu_get_gpu_properties(vgpu, 2, &p), 101);
	assert_int_equal(vgpu_select_gpu(vgpu, 2), 101);
	assert_int_equal(vgpu_select_gpu(vgpu, 1), 0);
}

static void test_allocate(void **state)
{
	vgpu_devptr p[64], large, again;
	size_t pitch, free_bytes, total;

	(void)state;
	start(NULL);
	for (int i = 0; i < 64; i++)
		p[i] = device_memory((size_t)1000 * (i + 1));
	assert_int_equal(host.commands[VGPU_CMD_ALLOC], 1);
	for (int i = 0; i < 64; i++)
		assert_int_equal(vgpu_free(vgpu, p[i]), 0);
	assert_int_equal(vgpu_free(vgpu, p[0]), 1);
	assert_int_equal(vgpu_free(vgpu, p[0] + 256), 1);
	assert_int_equal(vgpu_free(vgpu, 12345), 1);
	assert_int_equal(vgpu_free(vgpu, 0), 0);
	large = device_memory(40 << 20);
	assert_int_equal(host.commands[VGPU_CMD_ALLOC], 2);
	assert_int_equal(vgpu_free(vgpu, large), 0);
	again = device_memory(39 << 20);
	assert_true(again == large);
	assert_int_equal(vgpu_malloc(vgpu, &large, 0), 0);
	assert_true(large == 0);
	assert_int_equal(vgpu_malloc_pitch(vgpu, &large, &pitch, 1000, 10), 0);
	assert_int_equal(pitch, 1024);
	assert_int_equal(vgpu_malloc_pitch(vgpu, &large, &pitch, SIZE_MAX, 10), 1);
	assert_int_equal(vgpu_malloc_pitch(vgpu, &large, &pitch, SIZE_MAX / 2, 4), 1);
	assert_int_equal(pitch, 1024);
	assert_int_equal(vgpu_malloc(vgpu, &large, SIZE_MAX), 2);
	assert_int_equal(vgpu_memory_info(vgpu, &free_bytes, &total), 0);
	assert_int_equal(total, 1 << 30);
}

static void test_memory_runs_out(void **state)
{
	vgpu_devptr large, p, q;

	(void)state;
	script.gpu_memory = 100 << 20;
	start(NULL);
	large = device_memory(50 << 20);
	/* less than a segment is left: still enough for what is asked */
	p = device_memory(1 << 20);
	assert_int_equal(vgpu_malloc(vgpu, &q, 60 << 20), 2);
	assert_contains(vgpu_last_error(vgpu), "no 62914560 bytes left");
	/* what is kept for later goes back */
	assert_int_equal(vgpu_free(vgpu, large), 0);
	assert_int_equal(vgpu_malloc(vgpu, &q, 90 << 20), 0);
	assert_int_equal(vgpu_free(vgpu, q), 0);
	assert_int_equal(vgpu_free(vgpu, p), 0);
}

static void test_free_waits_for_streams(void **state)
{
	vgpu_devptr p;
	vgpu_stream s;

	(void)state;
	start(NULL);
	p = device_memory(1000);
	assert_int_equal(vgpu_memset(vgpu, p, 1, 1000), 0);
	assert_int_equal(vgpu_free(vgpu, p), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 0);
	p = device_memory(1000);
	assert_int_equal(vgpu_stream_create(vgpu, &s, 0, 0), 0);
	assert_int_equal(vgpu_memset_async(vgpu, p, 1, 1000, s), 0);
	assert_int_equal(vgpu_free(vgpu, p), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 1);
	p = device_memory(1000);
	assert_int_equal(vgpu_memset_async(vgpu, p, 1, 1000, s), 0);
	assert_int_equal(vgpu_stream_synchronize(vgpu, s), 0);
	assert_int_equal(vgpu_free(vgpu, p), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 2);
	/* the work of a stream that is gone */
	p = device_memory(1000);
	assert_int_equal(vgpu_memset_async(vgpu, p, 1, 1000, s), 0);
	assert_int_equal(vgpu_stream_destroy(vgpu, s), 0);
	assert_int_equal(vgpu_memset_async(vgpu, p, 1, 1000, s), 400);
	assert_int_equal(vgpu_free(vgpu, p), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 3);
}

static enum fake_fate lying_alloc(struct fake_host *h, const struct vgpu_request *req,
				  struct vgpu_response *rsp)
{
	static const uint64_t lies[] = { 0, 128, UINT64_MAX - 255 };
	struct vgpu_alloc_reply reply;

	if (req->cmd == VGPU_CMD_ALLOC && h->script.reason < 3)
		reply.address = lies[h->script.reason];
	else if (req->cmd == VGPU_CMD_ALLOC)
		reply.address = (h->commands[req->cmd] - 1) * 4096 + 4096; /* in each other */
	else
		return FAKE_ANSWER;
	memcpy(rsp->data, &reply, sizeof(reply));
	return FAKE_ANSWER;
}

static void test_impossible_addresses(void **state)
{
	vgpu_devptr p;

	(void)state;
	for (int i = 0; i < 4; i++) {
		script.reason = i;
		start(lying_alloc);
		if (i == 3)
			assert_int_equal(vgpu_malloc(vgpu, &p, 1 << 20), 0);
		assert_int_equal(vgpu_malloc(vgpu, &p, 64 << 20), VGPU_EPROTO);
		assert_contains(vgpu_last_error(vgpu), "impossible address");
		assert_int_equal(vgpu_malloc(vgpu, &p, 1), VGPU_EPROTO);
		if (i < 3)
			teardown(NULL);
	}
}

static void test_host_alloc(void **state)
{
	uint8_t *p, *q;
	vgpu_devptr d;
	void *all[4];
	int n = 0;

	(void)state;
	start(NULL);
	d = device_memory(1 << 20);
	assert_int_equal(vgpu_host_alloc(vgpu, (void **)&p, 5000), 0);
	assert_int_equal(vgpu_host_alloc(vgpu, (void **)&q, 5000), 0);
	memset(p, 0x5a, 5000);
	assert_int_equal(vgpu_copy_to_device_async(vgpu, d, p, 5000, 0), 0);
	assert_int_equal(vgpu_copy_from_device(vgpu, q, d, 5000), 0);
	assert_memory_equal(p, q, 5000);
	assert_int_equal(host.commands[VGPU_CMD_COPY], 2);
	/* what the library does with the window leaves it alone */
	assert_int_equal(vgpu_message(vgpu, "hello"), 0);
	for (size_t i = 0; i < 5000; i++)
		assert_int_equal(q[i], 0x5a);
	assert_int_equal(vgpu_host_free(vgpu, p + 256), 1);
	assert_int_equal(vgpu_host_free(vgpu, p), 0);
	assert_int_equal(vgpu_host_free(vgpu, p), 1);
	while (n < 4 && vgpu_host_alloc(vgpu, &all[n], 60 << 10) == 0)
		n++;
	assert_int_equal(n, 3); /* of 192 KiB, less 5000 bytes */
	assert_int_equal(vgpu_host_alloc(vgpu, &all[3], 200 << 10), VGPU_EQUOTA);
	/* from the window to where no window is any more */
	assert_int_equal(vgpu_copy_to_device(vgpu, d, q, 200 << 10), 1);
}

/* ---- memory of the program's own that is registered ---- */

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

static uint8_t *pages(size_t n, int value)
{
	uint8_t *p = aligned_alloc(PAGE, n * PAGE);

	assert_non_null(p);
	memset(p, value, n * PAGE);
	return p;
}

/* One request a copy, of its own bytes; the host's other work waits only where it must. */
static void test_host_register(void **state)
{
	uint8_t *p = pages(4, 0x5a);
	vgpu_devptr d;

	(void)state;
	start(NULL);
	d = device_memory(4 * PAGE);
	assert_int_equal(vgpu_host_register(vgpu, p + PAGE, 2 * PAGE), 0);
	assert_int_equal(vgpu_copy_to_device(vgpu, d, p + PAGE, 2 * PAGE), 0);
	assert_int_equal(host.commands[VGPU_CMD_COPY], 1);
	memset(p + PAGE, 0, 2 * PAGE);
	assert_int_equal(vgpu_copy_from_device_async(vgpu, p + PAGE + 1, d, PAGE, 0), 0);
	assert_int_equal(vgpu_host_unregister(vgpu, p + PAGE), 0);
	assert_int_equal(host.commands[VGPU_CMD_COPY], 2);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 1);
	assert_int_equal(p[PAGE], 0);
	for (size_t i = 0; i < PAGE; i++)
		assert_int_equal(p[PAGE + 1 + i], 0x5a);
	assert_int_equal(p[2 * PAGE + 1], 0);
	/* nothing is under way: nobody is asked */
	assert_int_equal(vgpu_host_register(vgpu, p, PAGE), 0);
	assert_int_equal(vgpu_host_unregister(vgpu, p), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 1);
	/* an ordinary error, unlike its neighbours among CUDA's numbers */
	assert_int_equal(vgpu_host_unregister(vgpu, p), 713);
	assert_contains(vgpu_last_error(vgpu), "nothing that was registered starts at");
	assert_false(vgpu->told);
	free(p);
}

static void test_host_register_fills_the_window(void **state)
{
	uint8_t *p = pages(64, 1);
	void *small[2];
	int n = 0;

	(void)state;
	start(NULL); /* a window of 64 pages */
	assert_int_equal(vgpu_host_alloc(vgpu, &small[0], 1), 0);
	while (vgpu_host_register(vgpu, p + n * PAGE, PAGE) == 0)
		n++;
	assert_int_equal(n, 47); /* of three quarters, but for the page where something is */
	assert_contains(vgpu_last_error(vgpu), "window_bytes");
	assert_int_equal(vgpu_host_alloc(vgpu, &small[1], PAGE - 256), 0); /* the rest of it */
	assert_int_equal(vgpu_host_unregister(vgpu, p), 0);
	assert_int_equal(vgpu_host_register(vgpu, p + n * PAGE, 2 * PAGE), 2);
	assert_int_equal(vgpu_host_register(vgpu, p + n * PAGE, PAGE), 0);
	vgpu_close(vgpu);
	vgpu = NULL;
	for (size_t i = 0; i < 64 * PAGE; i++)
		assert_int_equal(p[i], 1);
	free(p);
}

static enum fake_fate hang_up_on_nop(struct fake_host *h, const struct vgpu_request *req,
				     struct vgpu_response *rsp)
{
	(void)h;
	(void)rsp;
	return req->cmd == VGPU_CMD_NOP ? FAKE_HANG_UP : FAKE_ANSWER;
}

static void test_host_dies_with_registered_memory(void **state)
{
	uint8_t *p = pages(3, 0x5a);
	vgpu_devptr d;

	(void)state;
	start(hang_up_on_nop);
	d = device_memory(PAGE);
	assert_int_equal(vgpu_host_register(vgpu, p, PAGE), 0);
	assert_int_equal(vgpu_host_register(vgpu, p + PAGE, 2 * PAGE), 0);
	assert_int_equal(vgpu_copy_to_device_async(vgpu, d, p, PAGE, 0), 0);
	memset(p + PAGE, 7, PAGE);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EDEVLOST);
	assert_int_equal(vgpu_host_register(vgpu, p, PAGE), VGPU_EDEVLOST);
	assert_int_equal(vgpu_host_unregister(vgpu, p), 0); /* what is under way nobody waits for */
	assert_int_equal(vgpu_host_unregister(vgpu, p), VGPU_EDEVLOST);
	vgpu_close(vgpu);
	vgpu = NULL;
	assert_int_equal(p[0], 0x5a);
	assert_int_equal(p[PAGE], 7);
	assert_int_equal(p[3 * PAGE - 1], 0x5a);
	free(p);
}

/* ---- copies ---- */

static void fill(uint8_t *p, size_t n, unsigned int salt)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + i / 251 + salt);
}

static void round_trip(size_t n)
{
	uint8_t *a = malloc(n + 1), *b = malloc(n + 1);
	vgpu_devptr d = device_memory(n);
	vgpu_stream s;

	fill(a, n, (unsigned int)n);
	b[n] = 99;
	assert_int_equal(vgpu_copy_to_device(vgpu, d, a, n), 0);
	assert_int_equal(vgpu_copy_from_device(vgpu, b, d, n), 0);
	assert_memory_equal(a, b, n);
	assert_int_equal(b[n], 99);
	fill(a, n, 1);
	assert_int_equal(vgpu_stream_create(vgpu, &s, VGPU_STREAM_NONBLOCKING, 0), 0);
	assert_int_equal(vgpu_copy_to_device_async(vgpu, d, a, n, s), 0);
	fill(a, n, 2); /* it can be used again */
	assert_int_equal(vgpu_copy_from_device_async(vgpu, b, d, n, s), 0);
	fill(a, n, 1);
	assert_memory_equal(a, b, n);
	assert_int_equal(vgpu_stream_destroy(vgpu, s), 0);
	assert_int_equal(vgpu_free(vgpu, d), 0);
	free(a);
	free(b);
}

static void test_copies_of_any_size(void **state)
{
	static const size_t sizes[] = { 1,     4,     48,     49,     80,      81,     4095,
					65536, 65537, 262144, 300001, 1048577, 5000003 };

	(void)state;
	start(NULL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		round_trip(sizes[i]);
}

static void test_copies_small_window(void **state)
{
	(void)state;
	options.window_bytes = 1;
	start(NULL);
	round_trip(100);
	round_trip(100001);
}

static void test_copies_large_window(void **state)
{
	(void)state;
	options.window_bytes = 16 << 20;
	start(NULL);
	round_trip(33333333);
}

static void copy_2d(size_t width, size_t height, size_t dp, size_t hp)
{
	uint8_t *a = malloc(hp * height), *b = malloc(hp * height);
	vgpu_devptr d = device_memory(dp * height);

	fill(a, hp * height, 3);
	memset(b, 0, hp * height);
	assert_int_equal(vgpu_copy_2d_to_device(vgpu, d, dp, a, hp, width, height), 0);
	assert_int_equal(vgpu_copy_2d_from_device(vgpu, b, hp, d, dp, width, height), 0);
	for (size_t row = 0; row < height; row++) {
		assert_memory_equal(a + row * hp, b + row * hp, width);
		for (size_t i = width; i < hp; i++)
			assert_int_equal(b[row * hp + i], 0);
	}
	assert_int_equal(vgpu_free(vgpu, d), 0);
	free(a);
	free(b);
}

static void test_copies_2d(void **state)
{
	uint8_t a[64];
	vgpu_devptr d;

	(void)state;
	start(NULL);
	copy_2d(1, 1, 1, 1);
	copy_2d(100, 7, 512, 130);
	copy_2d(100, 7, 100, 100);
	copy_2d(1000, 3000, 1024, 1000);
	copy_2d(70000, 5, 70144, 70001); /* a row is more than a chunk */
	d = device_memory(1024);
	assert_int_equal(vgpu_copy_2d_to_device(vgpu, d, 4, a, 8, 8, 2), 12);
	assert_int_equal(vgpu_copy_2d_to_device(vgpu, d, 8, a, 4, 8, 2), 12);
	assert_int_equal(vgpu_copy_2d_to_device(vgpu, d, 4, a, 4, 8, 1), 1);
	assert_int_equal(vgpu_copy_2d_to_device(vgpu, d, 1000, a, 8, 8, 3), 1);
	assert_int_equal(vgpu_copy_2d_to_device(vgpu, d, SIZE_MAX, a, 8, 8, 3), 1);
	assert_int_equal(vgpu_copy_to_device(vgpu, d, a, 0), 0);
	assert_int_equal(vgpu_copy_to_device(vgpu, d, NULL, 8), 1);
	assert_int_equal(vgpu_copy_to_device(vgpu, d + 1020, a, 8), 1);
	assert_int_equal(vgpu_copy_to_device(vgpu, d, a, 2000), 1);
	assert_int_equal(vgpu_memset_2d_async(vgpu, d, 4, 0, 8, 2, 0), 1);
	assert_int_equal(vgpu_memset_2d_async(vgpu, d, 512, 7, 8, 2, 0), 0);
	assert_int_equal(vgpu_copy_from_device(vgpu, a, d + 512, 8), 0);
	assert_int_equal(a[7], 7);
	assert_int_equal(vgpu_copy_on_device(vgpu, d, d + 512, 8), 0);
	assert_int_equal(vgpu_memset(vgpu, d, 1, 1025), 1);
}

static void *copy_in_thread(void *arg)
{
	size_t n = 700001 + (size_t)(uintptr_t)arg;
	uint8_t *a = malloc(n), *b = malloc(n);
	void *failed = NULL;
	vgpu_devptr d;

	fill(a, n, (unsigned int)n);
	for (int i = 0; i < 20 && !failed; i++) {
		memset(b, 0, n);
		if (vgpu_malloc(vgpu, &d, n) || vgpu_copy_to_device(vgpu, d, a, n) ||
		    vgpu_copy_from_device(vgpu, b, d, n) || vgpu_free(vgpu, d) ||
		    memcmp(a, b, n) != 0)
			failed = "failed";
	}
	free(a);
	free(b);
	return failed;
}

static void test_threads_copy(void **state)
{
	pthread_t threads[4];
	void *failed, *pinned;

	(void)state;
	start(NULL);
	/* most of the window is taken, and they compete for the rest */
	assert_int_equal(vgpu_host_alloc(vgpu, &pinned, 192 << 10), 0);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, copy_in_thread, (void *)i);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

/* ---- kernels ---- */

static void test_launches(void **state)
{
	uint64_t params[3] = { 0, 1, 10 }, sum = 0;
	void *args[] = { &params[0], &params[1], &params[2] };
	vgpu_devptr d;
	vgpu_kernel k;

	(void)state;
	start(NULL);
	k = kernel("k3");
	d = params[0] = device_memory(8);
	assert_int_equal(vgpu_memset(vgpu, d, 0, 8), 0);
	/* many times around the ring, and nobody waits but for marks */
	for (int i = 0; i < 10000; i++)
		assert_int_equal(vgpu_launch(vgpu, k, ONE, ONE, 0, 0, params, 24), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(vgpu_launch_args(vgpu, k, ONE, ONE, 0, 0, args), 0);
	assert_int_equal(vgpu_copy_from_device(vgpu, &sum, d, 8), 0);
	assert_int_equal(sum, 10100 * 11);
	assert_true(host.commands[VGPU_CMD_NOP] < 10100 / 100);
	assert_int_equal(vgpu_launch(vgpu, k, ONE, ONE, 0, 0, params, 16), 1);
	assert_int_equal(vgpu_launch(vgpu, k + 1, ONE, ONE, 0, 0, params, 24), 400);
	assert_int_equal(vgpu_launch(vgpu, 0, ONE, ONE, 0, 0, params, 24), 98);
	assert_int_equal(vgpu_launch_args(vgpu, 0, ONE, ONE, 0, 0, args), 98);
	assert_int_equal(vgpu_launch(vgpu, k, ONE, ONE, 0, 77, params, 24), 400);
	assert_int_equal(
		vgpu_launch(vgpu, k, ONE, (struct vgpu_dim3){ 65536, 1, 1 }, 0, 0, params, 24), 1);
}

static void test_large_parameters(void **state)
{
	uint64_t params[500], sum = 0;
	vgpu_kernel k;

	(void)state;
	start(NULL);
	k = kernel("k500");
	for (int i = 0; i < 500; i++)
		params[i] = 2;
	params[0] = device_memory(8);
	assert_int_equal(vgpu_memset(vgpu, params[0], 0, 8), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vgpu_launch(vgpu, k, ONE, ONE, 0, 0, params, sizeof(params)), 0);
	assert_int_equal(vgpu_copy_from_device(vgpu, &sum, params[0], 8), 0);
	assert_int_equal(sum, 1000 * 499 * 2);
}

static void test_modules(void **state)
{
	struct vgpu_kernel_attributes a;
	vgpu_kernel k, again;
	vgpu_module m;
	size_t offset, bytes;
	char *image = calloc(3, 1 << 20);

	(void)state;
	start(NULL);
	assert_int_equal(vgpu_module_load(vgpu, &m, image, 3 << 20), 0);
	free(image);
	assert_true(host.commands[VGPU_CMD_MODULE_DATA] > 3);
	assert_int_equal(vgpu_module_get_kernel(vgpu, m, "unknown", &k), 500);
	assert_contains(vgpu_last_error(vgpu), "unknown");
	assert_int_equal(vgpu_module_get_kernel(vgpu, m, "k2", &k), 0);
	assert_int_equal(vgpu_module_get_kernel(vgpu, m, "k2", &again), 0);
	assert_int_equal(k, again);
	assert_int_equal(host.commands[VGPU_CMD_KERNEL_GET], 2);
	assert_int_equal(vgpu_get_kernel_attributes(vgpu, k, &a), 0);
	assert_int_equal(a.param_bytes, 16);
	assert_int_equal(vgpu_get_kernel_param(vgpu, k, 1, &offset, &bytes), 0);
	assert_true(offset == 8 && bytes == 8);
	assert_int_equal(vgpu_get_kernel_param(vgpu, k, 2, &offset, &bytes), 1);
	assert_int_equal(vgpu_module_unload(vgpu, m), 0);
	assert_int_equal(vgpu_module_unload(vgpu, m), 400);
	assert_int_equal(vgpu_get_kernel_attributes(vgpu, k, &a), 400);
	assert_int_equal(vgpu_module_load_file(vgpu, &m, "/nonexistent"), 301);
}

static void test_module_fails(void **state)
{
	vgpu_module m;

	(void)state;
	script.bad_module = 1;
	start(NULL);
	assert_int_equal(vgpu_module_load(vgpu, &m, "image", 5), 218);
	assert_contains(vgpu_last_error(vgpu), "line 7: no such instruction");
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_int_equal(host.commands[VGPU_CMD_MODULE_UNLOAD], 1);
}

/* ---- errors of requests without an answer ---- */

static void test_errors_told_later(void **state)
{
	uint64_t params[1];
	vgpu_devptr p;
	vgpu_kernel k;

	(void)state;
	start(NULL);
	k = kernel("k1");
	params[0] = device_memory(8);
	assert_int_equal(vgpu_launch(vgpu, k, NONE, ONE, 0, 0, params, 8), 0);
	assert_int_equal(vgpu_synchronize(vgpu), 9);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
	assert_int_equal(vgpu_launch(vgpu, k, NONE, ONE, 0, 0, params, 8), 0);
	assert_int_equal(vgpu_peek_last_error(vgpu), 9);
	assert_int_equal(vgpu_get_last_error(vgpu), 9);
	assert_int_equal(vgpu_get_last_error(vgpu), 0);
	/* what makes something does not lose it over another's error */
	assert_int_equal(vgpu_launch(vgpu, k, NONE, ONE, 0, 0, params, 8), 0);
	assert_int_equal(vgpu_malloc(vgpu, &p, 60 << 20), 0);
	assert_int_equal(vgpu_free(vgpu, p), 0);
	assert_int_equal(vgpu_nop(vgpu), 9);
	/* it comes with a mark's answer */
	assert_int_equal(vgpu_launch(vgpu, k, NONE, ONE, 0, 0, params, 8), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vgpu_launch(vgpu, k, ONE, ONE, 0, 0, params, 8), 0);
	assert_int_equal(vgpu_synchronize(vgpu), 9);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
	assert_int_equal(vgpu_launch(vgpu, 5, ONE, ONE, 0, 0, NULL, 0), 400);
	assert_int_equal(vgpu_get_last_error(vgpu), 400);
}

static enum fake_fate old_host(struct fake_host *h, const struct vgpu_request *req,
			       struct vgpu_response *rsp)
{
	(void)h;
	if (req->cmd >= VGPU_CMD_DEVICE_INFO)
		*rsp = (struct vgpu_response){ .id = rsp->id, .status = VGPU_ENOCMD };
	return FAKE_ANSWER;
}

static void test_host_without_gpu_work(void **state)
{
	vgpu_devptr p;
	uint32_t n;

	(void)state;
	start(old_host);
	assert_int_equal(vgpu_malloc(vgpu, &p, 1), VGPU_ENOCMD);
	assert_int_equal(vgpu_gpu_count(vgpu, &n), VGPU_ENOCMD);
	assert_int_equal(vgpu_synchronize(vgpu), 0); /* nothing to wait for, nobody is asked */
	assert_int_equal(vgpu_nop(vgpu), 0);
}

/* ---- waiting ---- */

/* A SYNCHRONIZE is answered behind whatever comes next. */
static enum fake_fate overtaken(struct fake_host *h, const struct vgpu_request *req,
				struct vgpu_response *rsp)
{
	(void)h;
	(void)rsp;
	return req->cmd == VGPU_CMD_SYNCHRONIZE ? FAKE_LATER : FAKE_ANSWER;
}

static vgpu_devptr place;

/* There has to be something to wait for. */
static void *synchronize(void *result)
{
	int rc = vgpu_memset_async(vgpu, place, 0, 8, 0);

	*(int *)result = rc ? rc : vgpu_synchronize(vgpu);
	return NULL;
}

/* When there is nothing in the streams the host is not asked, and else it is. */
static void test_known_to_be_idle(void **state)
{
	uint8_t byte;
	vgpu_stream s;

	(void)state;
	start(NULL);
	place = device_memory(64);
	assert_int_equal(vgpu_stream_create(vgpu, &s, 0, 0), 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
	assert_int_equal(vgpu_stream_synchronize(vgpu, s), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 0);
	/* what a copy has waited for is done */
	assert_int_equal(vgpu_memset_async(vgpu, place, 0, 64, s), 0);
	assert_int_equal(vgpu_copy_from_device_async(vgpu, &byte, place, 1, s), 0);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
	assert_int_equal(vgpu_stream_synchronize(vgpu, s), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 0);
	/* but not what is in another stream */
	assert_int_equal(vgpu_memset_async(vgpu, place, 0, 64, s), 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_int_equal(vgpu_stream_synchronize(vgpu, 0), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 0);
	assert_int_equal(vgpu_stream_synchronize(vgpu, s), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 1);
	assert_int_equal(vgpu_memset_async(vgpu, place, 0, 64, s), 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 2);
	/* nor in one that was destroyed */
	assert_int_equal(vgpu_memset_async(vgpu, place, 0, 64, s), 0);
	assert_int_equal(vgpu_stream_destroy(vgpu, s), 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 3);
	/* what goes to the device is on its way when the copy returns */
	assert_int_equal(vgpu_copy_to_device(vgpu, place, &byte, 1), 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 4);
	/* what was posted may have failed */
	assert_int_equal(vgpu_stream_create(vgpu, &s, 0, 0), 0);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 5);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
	assert_int_equal(host.commands[VGPU_CMD_SYNCHRONIZE], 5);
}

static void test_others_pass_who_waits(void **state)
{
	pthread_t threads[8];
	int rc[8];

	(void)state;
	start(overtaken);
	place = device_memory(8);
	for (int round = 0; round < 50; round++) {
		if (round == 25)
			vgpu->spin_ns = 0; /* nobody is in a call */
		for (int i = 0; i < 8; i++)
			pthread_create(&threads[i], NULL, synchronize, &rc[i]);
		while (host.commands[VGPU_CMD_SYNCHRONIZE] < 8u * (uint32_t)(round + 1))
			usleep(100);
		assert_int_equal(vgpu_nop(vgpu), 0);
		for (int i = 0; i < 8; i++) {
			pthread_join(threads[i], NULL);
			assert_int_equal(rc[i], 0);
		}
	}
}

static enum fake_fate held(struct fake_host *h, const struct vgpu_request *req,
			   struct vgpu_response *rsp)
{
	(void)h;
	(void)rsp;
	while (req->cmd == VGPU_CMD_SYNCHRONIZE && !gate)
		usleep(500);
	return FAKE_ANSWER;
}

static void test_ring_is_full(void **state)
{
	uint64_t params[2] = { 0, 1 }, sum = 0;
	pthread_t thread;
	vgpu_kernel k;
	int rc = -1;

	(void)state;
	start(held);
	k = kernel("k2");
	params[0] = device_memory(8);
	assert_int_equal(vgpu_memset(vgpu, params[0], 0, 8), 0);
	place = device_memory(8);
	vgpu->spin_ns = 0;
	pthread_create(&thread, NULL, synchronize, &rc);
	while (!host.commands[VGPU_CMD_SYNCHRONIZE])
		usleep(100);
	/* the host takes nothing: the ring fills up, the call waits and times out */
	set_timeout(30);
	for (int i = 0; (rc = vgpu_launch(vgpu, k, ONE, ONE, 0, 0, params, 16)) == 0; i++)
		sum++;
	assert_int_equal(rc, VGPU_ETIMEDOUT);
	assert_true(sum > CHANNEL_ENTRIES / 2 && sum < CHANNEL_ENTRIES);
	set_timeout(-1);
	gate = 1;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vgpu_launch(vgpu, k, ONE, ONE, 0, 0, params, 16), 0);
	pthread_join(thread, NULL);
	params[1] = sum + 1000;
	assert_int_equal(vgpu_copy_from_device(vgpu, &sum, params[0], 8), 0);
	assert_int_equal(sum, params[1]);
}

static enum fake_fate dies(struct fake_host *h, const struct vgpu_request *req,
			   struct vgpu_response *rsp)
{
	(void)h;
	(void)rsp;
	if (req->cmd == VGPU_CMD_SYNCHRONIZE)
		return FAKE_SILENCE;
	return req->cmd == VGPU_CMD_MESSAGE ? FAKE_HANG_UP : FAKE_ANSWER;
}

static void test_host_dies_under_all(void **state)
{
	pthread_t threads[4];
	int rc[4];

	(void)state;
	start(dies);
	place = device_memory(8);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, synchronize, &rc[i]);
	while (host.commands[VGPU_CMD_SYNCHRONIZE] < 4)
		usleep(100);
	assert_int_equal(vgpu_message(vgpu, "die"), VGPU_EDEVLOST);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(rc[i], VGPU_EDEVLOST);
	}
}

static void test_timeout_while_another_reads(void **state)
{
	pthread_t thread;
	int rc = -1;

	(void)state;
	start(held);
	place = device_memory(8);
	pthread_create(&thread, NULL, synchronize, &rc);
	while (!host.commands[VGPU_CMD_SYNCHRONIZE])
		usleep(100);
	set_timeout(20);
	assert_int_equal(vgpu_synchronize(vgpu), VGPU_ETIMEDOUT);
	assert_int_equal(vgpu_nop(vgpu), VGPU_ETIMEDOUT); /* not before the late answer */
	set_timeout(-1);
	gate = 1;
	assert_int_equal(vgpu_nop(vgpu), 0);
	pthread_join(thread, NULL);
	assert_int_equal(rc, 0);
}

/* ---- streams, events, graphs, functions ---- */

static void test_streams_and_events(void **state)
{
	vgpu_event e, f;
	vgpu_stream s;
	float ms;

	(void)state;
	start(NULL);
	assert_int_equal(vgpu_stream_create(vgpu, &s, 7, 0), 1);
	assert_int_equal(vgpu_stream_create(vgpu, &s, 0, 0), 0);
	assert_int_equal(vgpu_event_create(vgpu, &e, 0), 0);
	assert_int_equal(vgpu_event_create(vgpu, &f, VGPU_EVENT_DISABLE_TIMING), 0);
	assert_int_equal(vgpu_event_record(vgpu, e, s), 0);
	assert_int_equal(vgpu_event_record(vgpu, e, 99), 400);
	assert_int_equal(vgpu_stream_wait_event(vgpu, 0, e), 0);
	assert_int_equal(vgpu_stream_wait_event(vgpu, s, 99), 400);
	assert_int_equal(vgpu_event_synchronize(vgpu, e), 0);
	assert_int_equal(vgpu_event_query(vgpu, e), 0);
	assert_int_equal(vgpu_stream_query(vgpu, s), 0);
	assert_int_equal(vgpu_event_elapsed(vgpu, &ms, e, f), 0);
	assert_int_equal(vgpu_event_destroy(vgpu, e), 0);
	assert_int_equal(vgpu_event_query(vgpu, e), 400);
	assert_int_equal(vgpu_stream_destroy(vgpu, s), 0);
	assert_int_equal(vgpu_stream_synchronize(vgpu, s), 400);
}

/* What a capture forbids, and what there is none of, is the host's to say: 912 stands for that. */
static enum fake_fate refuses_waits(struct fake_host *h, const struct vgpu_request *req,
				    struct vgpu_response *rsp)
{
	const uint32_t cmd = req->cmd;

	if (gate && (cmd == VGPU_CMD_SYNCHRONIZE || cmd == VGPU_CMD_STREAM_QUERY ||
		     cmd == VGPU_CMD_EVENT_QUERY || cmd == VGPU_CMD_EVENT_ELAPSED ||
		     cmd == VGPU_CMD_CAPTURE_BEGIN || cmd == VGPU_CMD_CAPTURE_END))
		rsp->status = 912;
	(void)h;
	return FAKE_ANSWER;
}

static void test_capture(void **state)
{
	vgpu_stream s, t;
	uint8_t few[4] = { 0 };
	vgpu_graph g;
	vgpu_event e;
	vgpu_devptr d;
	float ms;

	(void)state;
	start(refuses_waits);
	d = device_memory(100);
	assert_int_equal(vgpu_stream_create(vgpu, &s, 0, 0), 0);
	assert_int_equal(vgpu_stream_create(vgpu, &t, 0, 0), 0);
	assert_int_equal(vgpu_event_create(vgpu, &e, 0), 0);
	assert_int_equal(vgpu_capture_begin(vgpu, 0, 0), 900);
	assert_int_equal(vgpu_capture_begin(vgpu, s, 0), 0);
	gate = 1;
	assert_int_equal(vgpu_stream_query(vgpu, s), 912); /* though nothing is in it */
	assert_int_equal(vgpu_stream_query(vgpu, 0), 912);
	assert_int_equal(vgpu_memset_async(vgpu, d, 0, 100, s), 0);
	assert_int_equal(vgpu_stream_synchronize(vgpu, s), 912);
	assert_int_equal(vgpu_stream_query(vgpu, s), 912);
	assert_int_equal(vgpu_synchronize(vgpu), 912);
	assert_int_equal(vgpu_capture_begin(vgpu, s, 0), 912); /* and the capture goes on */
	assert_int_equal(vgpu_free(vgpu, d), 900);             /* asks nobody, and spoils nothing */
	assert_int_equal(vgpu_copy_to_device_async(vgpu, d, few, 4, s), 900);
	assert_int_equal(vgpu_copy_from_device_async(vgpu, few, d, 4, s), 900);
	/* the other one joins */
	assert_int_equal(vgpu_event_record(vgpu, e, s), 0);
	assert_int_equal(vgpu_event_synchronize(vgpu, e), 912);
	assert_int_equal(vgpu_event_query(vgpu, e), 912);
	assert_int_equal(vgpu_event_elapsed(vgpu, &ms, e, e), 912);
	assert_int_equal(vgpu_stream_wait_event(vgpu, t, e), 0);
	assert_int_equal(vgpu_stream_query(vgpu, t), 912);
	assert_int_equal(vgpu_capture_end(vgpu, t, &g), 912);
	assert_int_equal(vgpu_capture_end(vgpu, 0, &g), 912);
	assert_int_equal(vgpu_copy_from_device_async(vgpu, few, d, 4, t), 900); /* it goes on */
	assert_int_equal(vgpu_capture_end(vgpu, s, NULL), 1);
	gate = 0;
	assert_int_equal(vgpu_capture_end(vgpu, s, &g), 0);
	assert_int_equal(vgpu_stream_query(vgpu, t), 0);
	assert_int_equal(vgpu_stream_synchronize(vgpu, s), 0);
	assert_int_equal(vgpu_graph_launch(vgpu, g, s), 0);
	assert_int_equal(vgpu_graph_destroy(vgpu, g), 0);
	assert_int_equal(vgpu_graph_launch(vgpu, g, s), 400);
	assert_int_equal(vgpu_graph_launch(vgpu, 0, s), 1);
	assert_int_equal(vgpu_graph_destroy(vgpu, 0), 1);
	assert_int_equal(vgpu_synchronize(vgpu), 0);
}

/* Its stream is destroyed: whatever took part is free of it. */
static void test_capture_is_gone(void **state)
{
	uint8_t few[4] = { 0 };
	vgpu_stream s, t;
	vgpu_event e;
	vgpu_devptr d;

	(void)state;
	start(NULL);
	d = device_memory(100);
	assert_int_equal(vgpu_stream_create(vgpu, &s, 0, 0), 0);
	assert_int_equal(vgpu_stream_create(vgpu, &t, 0, 0), 0);
	assert_int_equal(vgpu_event_create(vgpu, &e, 0), 0);
	assert_int_equal(vgpu_capture_begin(vgpu, s, 0), 0);
	assert_int_equal(vgpu_event_record(vgpu, e, s), 0);
	assert_int_equal(vgpu_stream_wait_event(vgpu, t, e), 0);
	assert_int_equal(vgpu_copy_from_device_async(vgpu, few, d, 4, t), 900);
	assert_int_equal(vgpu_stream_destroy(vgpu, s), 0);
	assert_int_equal(vgpu_copy_from_device_async(vgpu, few, d, 4, t), 0);
	assert_int_equal(vgpu_free(vgpu, d), 0);
}

static atomic_int ran;

static void count_up(void *opaque)
{
	/* in order, one at a time */
	if (atomic_fetch_add(&ran, 1) != (int)(intptr_t)opaque)
		abort();
}

static void test_host_functions(void **state)
{
	(void)state;
	ran = 0;
	start(NULL);
	for (intptr_t i = 0; i < 1000; i++)
		assert_int_equal(vgpu_launch_host_func(vgpu, 0, count_up, (void *)i), 0);
	for (int i = 0; i < 30000 && host.commands[VGPU_CMD_HOST_FUNC_DONE] < 1000; i++)
		usleep(1000);
	assert_int_equal(ran, 1000);
	assert_int_equal(host.commands[VGPU_CMD_HOST_FUNC_DONE], 1000);
	assert_int_equal(vgpu_launch_host_func(vgpu, 0, NULL, NULL), 1);
	assert_int_equal(vgpu_launch_host_func(vgpu, 9, count_up, NULL), 400);
}

static enum fake_fate never_there(struct fake_host *h, const struct vgpu_request *req,
				  struct vgpu_response *rsp)
{
	(void)h;
	(void)rsp;
	return req->cmd == VGPU_CMD_HOST_FUNC ? FAKE_SILENCE : FAKE_ANSWER;
}

static void test_close_with_host_functions(void **state)
{
	(void)state;
	ran = 0;
	start(never_there);
	for (intptr_t i = 0; i < 10; i++)
		assert_int_equal(vgpu_launch_host_func(vgpu, 0, count_up, (void *)i), 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	vgpu_close(vgpu);
	vgpu = NULL;
	assert_int_equal(ran, 0);
}

/* ---- a host that lies, and fork() ---- */

/* @reason: which lie. */
static enum fake_fate liar(struct fake_host *h, const struct vgpu_request *req,
			   struct vgpu_response *rsp)
{
	struct vgpu_kernel_reply reply = { .params = 2, .param_bytes = 16 };
	struct vgpu_device_info info = { .devices = h->script.reason == 1 ? 0 : UINT32_MAX };
	struct vgpu_kernel_param beyond = { .offset = 9, .bytes = 8 };

	if (req->cmd == VGPU_CMD_DEVICE_INFO)
		memcpy(h->window + req->data_ptr, &info, sizeof(info));
	if (req->cmd == VGPU_CMD_KERNEL_GET && h->script.reason == 3)
		reply.param_bytes = VGPU_LAUNCH_PARAMS_MAX + 1;
	if (req->cmd == VGPU_CMD_KERNEL_GET && h->script.reason == 4)
		reply.params = 17;
	if (req->cmd == VGPU_CMD_KERNEL_GET)
		memcpy(rsp->data, &reply, sizeof(reply));
	if (req->cmd == VGPU_CMD_KERNEL_PARAMS && h->script.reason == 5)
		memcpy(h->window + req->data_ptr + 8, &beyond, sizeof(beyond));
	if (req->cmd == VGPU_CMD_KERNEL_PARAMS && h->script.reason == 6)
		rsp->data_len = 8;
	return FAKE_ANSWER;
}

static void test_lies(void **state)
{
	static const char *const seen[] = { "",
					    "has 0 GPUs",
					    "has 4294967295 GPUs",
					    "2 parameters of 32765 bytes",
					    "17 parameters of 16 bytes",
					    "parameters beyond its 16 bytes",
					    "told 8 bytes of 16" };
	size_t offset;

	(void)state;
	for (int i = 1; i <= 6; i++) {
		vgpu_module m = 0;
		vgpu_kernel k = 0;
		uint32_t n;
		int rc;

		script.reason = i;
		start(liar);
		if (i < 3) {
			rc = vgpu_gpu_count(vgpu, &n);
		} else {
			assert_int_equal(vgpu_module_load(vgpu, &m, "image", 5), 0);
			rc = vgpu_module_get_kernel(vgpu, m, "k2", &k);
		}
		if (i >= 5) {
			assert_int_equal(rc, 0);
			rc = vgpu_get_kernel_param(vgpu, k, 0, &offset, NULL);
		}
		assert_int_equal(rc, VGPU_EPROTO);
		assert_contains(vgpu_last_error(vgpu), seen[i]);
		assert_int_equal(vgpu_synchronize(vgpu), VGPU_EPROTO);
		if (i < 6)
			teardown(NULL);
	}
}

static int in_the_child(vgpu_devptr d, uint8_t *bytes)
{
	void *p;

	if (vgpu_copy_to_device(vgpu, d, bytes, 8) != VGPU_EFORKED ||
	    vgpu_malloc(vgpu, &d, 8) != VGPU_EFORKED || vgpu_free(vgpu, d) != VGPU_EFORKED ||
	    vgpu_host_alloc(vgpu, &p, 8) != VGPU_EFORKED ||
	    vgpu_launch_host_func(vgpu, 0, count_up, NULL) != VGPU_EFORKED ||
	    vgpu_synchronize(vgpu) != VGPU_EFORKED || vgpu_get_last_error(vgpu) != VGPU_EFORKED)
		return 1;
	vgpu_close(vgpu);
	return 0;
}

static void test_fork_with_threads(void **state)
{
	const size_t n = 3 << 20;
	uint8_t *bytes = calloc(1, n);
	vgpu_devptr d;
	int status;
	pid_t pid;

	(void)state;
	ran = 0;
	start(never_there);
	d = device_memory(n);
	assert_int_equal(vgpu_copy_to_device(vgpu, d, bytes, n), 0);
	assert_int_equal(vgpu_launch_host_func(vgpu, 0, count_up, NULL), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(60); /* a deadlock */
		_exit(in_the_child(d, bytes));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(vgpu_copy_from_device(vgpu, bytes, d, n), 0);
	free(bytes);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_properties),
		T(test_allocate),
		T(test_memory_runs_out),
		T(test_free_waits_for_streams),
		T(test_impossible_addresses),
		T(test_host_alloc),
		T(test_host_register),
		T(test_host_register_fills_the_window),
		T(test_host_dies_with_registered_memory),
		T(test_copies_of_any_size),
		T(test_copies_small_window),
		T(test_copies_large_window),
		T(test_copies_2d),
		T(test_threads_copy),
		T(test_launches),
		T(test_large_parameters),
		T(test_modules),
		T(test_module_fails),
		T(test_errors_told_later),
		T(test_host_without_gpu_work),
		T(test_known_to_be_idle),
		T(test_others_pass_who_waits),
		T(test_ring_is_full),
		T(test_host_dies_under_all),
		T(test_timeout_while_another_reads),
		T(test_streams_and_events),
		T(test_capture),
		T(test_capture_is_gone),
		T(test_host_functions),
		T(test_close_with_host_functions),
		T(test_lies),
		T(test_fork_with_threads),
	};

	return cmocka_run_group_tests_name("gpu_calls", tests, NULL, NULL);
}
