// SPDX-License-Identifier: GPL-2.0-or-later
/* The backend `cpu` itself: its kernels, and the order of work when some of it has to wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../host/allocations.h"
#include "../../host/backend.h"
#include "../../protocol/vgpu_errors.h"

static const struct backend_ops *const ops = &backend_cpu;
static struct backend *b;
static struct backend_module *module;

static int setup(void **state)
{
	struct backend_info info;
	char why[64];

	(void)state;
	if (ops->open(&b, 0, &info, why, sizeof(why)))
		return -1;
	return ops->module_load(b, "", 0, &module, why, sizeof(why));
}

static int teardown(void **state)
{
	(void)state;
	ops->module_unload(b, module);
	ops->close(b);
	return 0;
}

static uint64_t alloc(uint64_t bytes)
{
	uint64_t address;

	assert_int_equal(ops->alloc(b, bytes, &address), 0);
	return address;
}

/* Device memory is this process's own. */
static void *at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

static struct backend_kernel *kernel(const char *name)
{
	struct vgpu_kernel_reply info;
	struct backend_kernel *k;

	assert_int_equal(ops->kernel_get(b, module, name, &k, &info), 0);
	return k;
}

static int launch(struct backend_stream *s, struct backend_kernel *k, uint32_t blocks,
		  uint32_t threads, const void *params, uint32_t bytes)
{
	const struct backend_launch l = {
		.grid = { blocks, blocks, 1 },
		.block = { threads, threads, 1 },
		.param_bytes = bytes,
		.params = params,
	};

	return ops->launch(b, s, k, &l);
}

static int spin_ms(struct backend_stream *s, uint32_t ms)
{
	return launch(s, kernel("spin_ms"), 1, 1, &ms, sizeof(ms));
}

static int write_u32(struct backend_stream *s, uint64_t dst, uint32_t value)
{
	return ops->write(b, s, dst, &value, sizeof(value));
}

static struct backend_stream *stream(uint32_t flags)
{
	struct backend_stream *s;

	assert_int_equal(ops->stream_create(b, flags, 0, &s), 0);
	return s;
}

static struct backend_event *event(void)
{
	struct backend_event *e;

	assert_int_equal(ops->event_create(b, 0, &e), 0);
	return e;
}

static struct backend_fence *fence(uint32_t kind, void *object)
{
	struct backend_fence *f;

	assert_int_equal(ops->fence(b, kind, object, &f), 0);
	return f;
}

static struct backend_fence *reading(struct backend_stream *s, uint64_t a)
{
	struct backend_fence *f;

	assert_int_equal(ops->read(b, s, a, sizeof(uint32_t), &f), 0);
	return f;
}

static void test_saxpy(void **state)
{
	struct {
		uint64_t n;
		float a;
		uint64_t x, y;
	} p = { 100, 2, alloc(400), alloc(400) };

	(void)state;
	for (int i = 0; i < 100; i++) {
		((float *)at(p.x))[i] = (float)i;
		((float *)at(p.y))[i] = 1;
	}
	assert_int_equal(launch(NULL, kernel("saxpy"), 1, 16, &p, 32), 0);
	for (int i = 0; i < 100; i++)
		assert_true(((float *)at(p.y))[i] == (float)(2 * i + 1));
}

static void test_vector_add_and_sum(void **state)
{
	struct {
		uint64_t a, b, c, n;
	} add = { alloc(4000), alloc(4000), alloc(4000), 1000 };
	struct {
		uint64_t in, partial, n;
	} sum = { add.c, alloc(32), 1000 };
	float total = 0;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		((float *)at(add.a))[i] = (float)i;
		((float *)at(add.b))[i] = 1;
	}
	assert_int_equal(launch(NULL, kernel("vector_add"), 2, 8, &add, 32), 0);
	assert_int_equal(launch(NULL, kernel("reduce_sum"), 8, 16, &sum, 24), 0);
	for (int i = 0; i < 8; i++) {
		assert_true(((float *)at(sum.partial))[i] > 0);
		total += ((float *)at(sum.partial))[i];
	}
	assert_true(total == 999 * 500 + 1000);
}

static void test_matmul(void **state)
{
	struct {
		uint64_t a, b, c;
		uint32_t m, n, k;
	} p = { alloc(24), alloc(48), alloc(32), 2, 4, 3 };
	const float a[] = { 1, 2, 3, 4, 5, 6 };
	const float unit[] = { 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1 };
	const float c[] = { 1, 2, 3, 6, 4, 5, 6, 15 };

	(void)state;
	memcpy(at(p.a), a, sizeof(a));
	memcpy(at(p.b), unit, sizeof(unit));
	assert_int_equal(launch(NULL, kernel("matmul"), 1, 16, &p, 36), 0);
	assert_memory_equal(at(p.c), c, sizeof(c));
}

static void test_mandelbrot(void **state)
{
	struct {
		uint64_t rgb;
		uint32_t width, height;
		float x0, y0, dx, dy;
		uint32_t max;
	} p = { alloc(3 * 16), 4, 4, 0, 0, 1, 1, 100 };
	const uint8_t inside[] = { 0, 0, 0 }, at_2[] = { 10, 6, 78 };

	(void)state;
	assert_int_equal(launch(NULL, kernel("mandelbrot"), 1, 16, &p, 36), 0);
	assert_memory_equal(at(p.rgb), inside, 3);
	assert_memory_equal((uint8_t *)at(p.rgb) + 6, at_2, 3);
}

static void test_bounds_of_kernels(void **state)
{
	struct {
		uint64_t p, n;
	} p = { alloc(4096), 1024 };

	(void)state;
	assert_int_equal(launch(NULL, kernel("add_one"), 1, 1, &p, 16), 0);
	p.n = UINT64_MAX / 2;
	assert_int_equal(launch(NULL, kernel("add_one"), 1, 1, &p, 16), 0); /* later: */
	assert_int_equal(ops->stream_query(b, NULL), 700);
}

static void test_misaligned(void **state)
{
	struct {
		uint64_t p, n;
	} p = { alloc(4096) + 1, 8 };

	(void)state;
	assert_int_equal(launch(NULL, kernel("add_one"), 1, 1, &p, 16), 0);
	assert_int_equal(ops->stream_query(b, NULL), 716);
}

static void test_launch_limits(void **state)
{
	uint32_t ms = 0;

	(void)state;
	assert_int_equal(launch(NULL, kernel("spin_ms"), 1, 33, &ms, 4), 1);
	assert_int_equal(launch(NULL, kernel("spin_ms"), 65536, 1, &ms, 4), 1);
	assert_int_equal(launch(NULL, kernel("spin_ms"), 65535, 32, &ms, 4), 0);
}

/* A stream that is held keeps its own work, and what depends on it, and nothing else. */
static void test_hold(void **state)
{
	struct backend_stream *held = stream(0), *other = stream(0);
	uint64_t a = alloc(64);
	struct backend_fence *f;

	(void)state;
	assert_int_equal(ops->hold(b, held, 3), 0);
	assert_int_equal(write_u32(held, a, 1), 0);
	assert_int_equal(write_u32(other, a + 4, 2), 0);
	assert_int_equal(ops->stream_query(b, held), 600);
	assert_int_equal(ops->stream_query(b, other), 0);
	assert_int_equal(*(uint32_t *)at(a), 0);
	assert_int_equal(*(uint32_t *)at(a + 4), 2);
	f = fence(VGPU_SYNC_STREAM, held);
	assert_int_equal(ops->fence_mark(b, f), 0);
	assert_int_equal(ops->fence_done(b, f, NULL), VGPU_EBUSY);
	ops->release(b, 3);
	assert_int_equal(ops->fence_done(b, f, NULL), 0);
	assert_int_equal(*(uint32_t *)at(a), 1);
	ops->stream_destroy(b, held);
	ops->stream_destroy(b, other);
}

static void test_default_stream(void **state)
{
	struct backend_stream *held = stream(0), *free_of_it = stream(VGPU_STREAM_NON_BLOCKING);
	uint64_t a = alloc(64);

	(void)state;
	assert_int_equal(ops->hold(b, held, 0), 0);
	assert_int_equal(write_u32(NULL, a, 1), 0);
	assert_int_equal(write_u32(free_of_it, a + 4, 2), 0);
	assert_int_equal(ops->stream_query(b, free_of_it), 0);
	assert_int_equal(*(uint32_t *)at(a), 0);
	assert_int_equal(*(uint32_t *)at(a + 4), 2);
	ops->release(b, 0);
	assert_int_equal(*(uint32_t *)at(a), 1);

	/* and the other way round */
	assert_int_equal(ops->hold(b, NULL, 1), 0);
	assert_int_equal(write_u32(held, a, 3), 0);
	assert_int_equal(ops->stream_query(b, held), 600);
	ops->release(b, 1);
	assert_int_equal(ops->stream_query(b, held), 0);
	assert_int_equal(*(uint32_t *)at(a), 3);
	ops->stream_destroy(b, held);
	ops->stream_destroy(b, free_of_it);
}

static void test_event_order(void **state)
{
	struct backend_stream *held = stream(0), *waits = stream(0);
	struct backend_event *e = event(), *after = event();
	uint64_t a = alloc(64);
	float ms;

	(void)state;
	assert_int_equal(ops->hold(b, held, 0), 0);
	assert_int_equal(ops->event_record(b, e, held), 0);
	assert_int_equal(ops->stream_wait(b, waits, e), 0);
	assert_int_equal(write_u32(waits, a, 1), 0);
	assert_int_equal(ops->event_record(b, after, waits), 0);
	assert_int_equal(ops->event_query(b, e), 600);
	assert_int_equal(ops->event_elapsed(b, e, after, &ms), 600);
	assert_int_equal(*(uint32_t *)at(a), 0);
	ops->event_destroy(b, e); /* what waits for it goes on waiting */
	assert_int_equal(ops->event_query(b, after), 600);
	ops->release(b, 0);
	assert_int_equal(ops->event_query(b, after), 0);
	assert_int_equal(*(uint32_t *)at(a), 1);
	ops->event_destroy(b, after);
	ops->stream_destroy(b, held);
	ops->stream_destroy(b, waits);
}

/* A fence waits for what was there, not for what came later. */
static void test_fences(void **state)
{
	struct backend_stream *s = stream(0), *late = stream(0);
	struct backend_fence *device, *of_stream, *dropped;

	(void)state;
	assert_int_equal(ops->hold(b, s, 0), 0);
	device = fence(VGPU_SYNC_DEVICE, NULL);
	of_stream = fence(VGPU_SYNC_STREAM, s);
	dropped = fence(VGPU_SYNC_STREAM, s);
	assert_int_equal(ops->hold(b, late, 1), 0);
	assert_int_equal(ops->hold(b, s, 2), 0);
	assert_int_equal(ops->fence_done(b, device, NULL), VGPU_EBUSY);
	assert_int_equal(ops->fence_done(b, of_stream, NULL), VGPU_EBUSY);
	ops->fence_drop(b, dropped);
	ops->release(b, 0);
	assert_int_equal(ops->fence_done(b, device, NULL), 0);
	assert_int_equal(ops->fence_done(b, of_stream, NULL), 0);
	ops->release(b, 1);
	ops->release(b, 2);
	ops->stream_destroy(b, s);
	ops->stream_destroy(b, late);
}

/* Reads have their place in the stream, and nobody waits for them. */
static void test_reads(void **state)
{
	struct backend_stream *held = stream(0), *other = stream(0);
	struct backend_fence *first, *second, *dropped;
	uint64_t a = alloc(64);
	uint32_t value = 0;

	(void)state;
	assert_int_equal(ops->hold(b, held, 7), 0);
	assert_int_equal(write_u32(held, a, 1), 0);
	first = reading(held, a);
	assert_int_equal(write_u32(held, a, 2), 0);
	dropped = reading(held, a);
	second = reading(held, a);
	assert_int_equal(ops->fence_done(b, first, &value), VGPU_EBUSY);
	assert_int_equal(ops->fence_done(b, second, &value), VGPU_EBUSY);
	ops->fence_drop(b, dropped);
	assert_int_equal(ops->fence_done(b, reading(other, a), &value), 0);
	assert_int_equal(value, 0);
	ops->release(b, 7);
	assert_int_equal(ops->fence_done(b, second, &value), 0);
	assert_int_equal(value, 2);
	assert_int_equal(ops->fence_done(b, first, &value), 0);
	assert_int_equal(value, 1);
	ops->stream_destroy(b, held);
	ops->stream_destroy(b, other);
	assert_int_equal(ops->free(b, a), 0);
}

/* A kernel that takes its time does so behind the caller's back. */
static void test_spin(void **state)
{
	struct backend_stream *s = stream(0), *other = stream(0);
	uint64_t a = alloc(64);

	(void)state;
	assert_int_equal(spin_ms(s, 30), 0);
	assert_int_equal(write_u32(s, a, 5), 0);
	assert_int_equal(ops->stream_query(b, s), 600);
	assert_int_equal(ops->stream_query(b, other), 0);
	while (ops->stream_query(b, s) == 600)
		usleep(500);
	assert_int_equal(*(uint32_t *)at(a), 5);
	assert_int_equal(spin_ms(s, 5), 0);
	assert_int_equal(write_u32(s, a, 6), 0);
	ops->stream_destroy(b, s); /* what is under way is finished */
	assert_int_equal(ops->free(b, a + 1), 1);
	assert_int_equal(*(uint32_t *)at(a), 6);
	assert_int_equal(ops->free(b, a), 0);
	ops->stream_destroy(b, other);
}

/* The memory is gone when the work's turn comes. */
static void test_copy_after_free(void **state)
{
	struct backend_stream *s = stream(0);
	uint64_t a = alloc(4096);

	(void)state;
	assert_int_equal(spin_ms(s, 1), 0);
	assert_int_equal(write_u32(s, a, 1), 0);
	assert_int_equal(ops->free(b, a), 0); /* waits for it */
	assert_int_equal(write_u32(s, a, 1), 0);
	assert_int_equal(ops->stream_query(b, s), 700);
	ops->stream_destroy(b, s);
}

static void test_graph_with_a_kernel_that_waits(void **state)
{
	struct backend_stream *s = stream(0);
	struct backend_graph *g;
	uint64_t a = alloc(64);

	(void)state;
	assert_int_equal(ops->capture_begin(b, s, 0), 0);
	assert_int_equal(spin_ms(s, 2), 0);
	assert_int_equal(write_u32(s, a, 9), 0);
	assert_int_equal(ops->hold(b, s, 0), 900);
	assert_int_equal(ops->capture_end(b, s, &g), 0);
	assert_int_equal(ops->graph_launch(b, g, s), 0);
	assert_int_equal(ops->stream_query(b, s), 600);
	ops->graph_destroy(b, g);
	while (ops->stream_query(b, s) == 600)
		usleep(500);
	assert_int_equal(*(uint32_t *)at(a), 9);
	/* a capture that never ends */
	assert_int_equal(ops->capture_begin(b, s, 0), 0);
	assert_int_equal(write_u32(s, a, 9), 0);
	ops->stream_destroy(b, s);
}

enum spoiler {
	QUERY_STREAM,
	QUERY_EVENT,
	WAIT_FOR_EVENT,
	ELAPSED,
	QUERY_DEFAULT,
	WORK_IN_DEFAULT,
	READ_IN_DEFAULT, /* the caller's to spoil, as a fence is */
};

static int spoil(enum spoiler how, struct backend_stream *s, struct backend_event *e, uint64_t a)
{
	struct backend_fence *f;
	float ms;

	switch (how) {
	case QUERY_STREAM:
		return ops->stream_query(b, s);
	case QUERY_EVENT:
		return ops->event_query(b, e);
	case WAIT_FOR_EVENT:
		return ops->fence(b, VGPU_SYNC_EVENT, e, &f);
	case ELAPSED:
		return ops->event_elapsed(b, e, e, &ms);
	case QUERY_DEFAULT:
		return ops->stream_query(b, NULL);
	case WORK_IN_DEFAULT:
		return write_u32(NULL, a, 1);
	default:
		return ops->read(b, NULL, a, 4, &f);
	}
}

/* What a capture forbids spoils it, and nothing goes into it any more; then it is as before. */
static void test_spoiled_captures(void **state)
{
	static const int numbers[] = { 900, 907, 907, 907, 906, 906, 900 };
	struct backend_stream *s = stream(0);
	struct backend_event *e;
	struct backend_fence *f;
	struct backend_graph *g;
	uint64_t a = alloc(64);

	(void)state;
	assert_int_equal(ops->event_create(b, 0, &e), 0);
	for (enum spoiler how = QUERY_STREAM; how <= READ_IN_DEFAULT; how++) {
		const bool spoils = how != READ_IN_DEFAULT;

		assert_int_equal(ops->capture_begin(b, s, 0), 0);
		assert_int_equal(ops->capture_begin(b, s, 0), 401);
		assert_int_equal(ops->event_record(b, e, s), 0);
		assert_int_equal(ops->fence(b, VGPU_SYNC_STREAM, s, &f), 900);
		assert_int_equal(write_u32(s, a, 1), 0);
		assert_int_equal(spoil(how, s, e, a), numbers[how]);
		assert_int_equal(write_u32(s, a, 1), spoils ? 901 : 0);
		assert_int_equal(ops->event_record(b, e, s), spoils ? 901 : 0);
		assert_int_equal(ops->stream_wait(b, s, e), spoils ? 901 : 0);
		assert_int_equal(ops->capture_end(b, s, &g), spoils ? 901 : 0);
		if (!spoils)
			ops->graph_destroy(b, g);
		assert_int_equal(ops->capture_end(b, s, &g), 401);
		assert_int_equal(ops->event_query(b, e), 907);
		assert_int_equal(ops->event_record(b, e, s), 0);
		assert_int_equal(ops->stream_query(b, s), 0);
	}
	assert_int_equal(ops->capture_end(b, NULL, &g), 401);
	ops->event_destroy(b, e);
	ops->stream_destroy(b, s);
}

/* What is kept has a limit. */
static void test_quota_of_kept_work(void **state)
{
	uint64_t a = alloc(64);
	int rc = 0;

	(void)state;
	assert_int_equal(ops->hold(b, NULL, 0), 0);
	for (uint32_t i = 0; i < 1000000 && rc == 0; i++)
		rc = write_u32(NULL, a, i);
	assert_int_equal(rc, VGPU_EQUOTA);
	ops->release(b, 0);
	assert_int_equal(write_u32(NULL, a, 7), 0);
	assert_int_equal(*(uint32_t *)at(a), 7);
}

static void test_allocations(void **state)
{
	struct allocations t = { 0 };

	(void)state;
	for (uint64_t i = 0; i < 200; i++) { /* in no order */
		assert_int_equal(allocations_reserve(&t), 0);
		assert_true(allocations_add(&t, 4096 * (i * 7 % 200 + 1), 100));
	}
	for (uint64_t i = 1; i <= 200; i++) {
		assert_true(allocations_have(&t, 4096 * i, 100));
		assert_true(allocations_have(&t, 4096 * i + 99, 1));
		assert_false(allocations_have(&t, 4096 * i, 101));
		assert_false(allocations_have(&t, 4096 * i - 1, 2));
		assert_false(allocations_have(&t, 4096 * i + 1, UINT64_MAX));
	}
	assert_int_equal(allocations_reserve(&t), 0);
	assert_false(allocations_add(&t, 4096 + 99, 1));
	assert_false(allocations_add(&t, 4000, 97));
	assert_false(allocations_add(&t, 4096, 1));
	assert_false(allocations_add(&t, UINT64_MAX, 2));
	assert_true(allocations_add(&t, 4096 + 100, 1));
	assert_int_equal(allocations_remove(&t, 4097), 0);
	assert_int_equal(allocations_remove(&t, 0), 0);
	assert_int_equal(allocations_remove(&t, 4096), 100);
	assert_false(allocations_have(&t, 4096, 1));
	assert_true(allocations_have(&t, 4096 + 100, 1));
	allocations_dispose(&t);
	while (allocations_reserve(&t) == 0)
		assert_true(allocations_add(&t, 16 * t.count, 16));
	assert_int_equal(allocations_reserve(&t), VGPU_EQUOTA);
	assert_int_equal(t.count, ALLOCATIONS_MAX);
	allocations_dispose(&t);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(saxpy),
		T(vector_add_and_sum),
		T(matmul),
		T(mandelbrot),
		T(bounds_of_kernels),
		T(misaligned),
		T(launch_limits),
		T(hold),
		T(default_stream),
		T(event_order),
		T(fences),
		T(reads),
		T(spin),
		T(copy_after_free),
		T(graph_with_a_kernel_that_waits),
		T(spoiled_captures),
		T(quota_of_kept_work),
		cmocka_unit_test(test_allocations),
	};

	return cmocka_run_group_tests_name("host_worker_cpu", tests, NULL, NULL);
}
