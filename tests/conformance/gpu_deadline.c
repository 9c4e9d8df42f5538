// SPDX-License-Identifier: GPL-2.0-or-later
/* Work that does not end. */
#include "gpu.h"

#include <pthread.h>

/* A test that waits for a longer one would look like a hang. */
#define DEADLINE_MAX_MS 10000u

#define WORDS 20000u
#define ENDLESS_MS UINT32_MAX

/* Someone else, whose work goes on: verified round by round. */
struct neighbour {
	struct vgpu *g;
	struct kernels k;
	vgpu_devptr p;
	pthread_t thread;
	bool running;
	uint32_t stop, rounds; /* shared with the thread */
	int rc;
	bool right;
};

static bool one_round(struct neighbour *n)
{
	const uint32_t start = 3 * n->rounds;

	n->rc = fill(n->g, &n->k, 0, n->p, start, WORDS);
	if (n->rc == 0)
		n->rc = add_one(n->g, &n->k, 0, n->p, WORDS);
	__atomic_store_n(&n->rounds, n->rounds + 1, __ATOMIC_RELAXED);
	return n->rc == 0 && device_is(n->g, n->p, start + 1, WORDS, 0);
}

static void *work(void *arg)
{
	struct neighbour *n = arg;

	do
		n->right = one_round(n);
	while (n->right && !__atomic_load_n(&n->stop, __ATOMIC_RELAXED));
	return NULL;
}

static void neighbour_start(struct neighbour *n)
{
	HELPED(open_with_kernels(&n->g, &n->k));
	EXPECT_ON(n->g, 0, vgpu_malloc(n->g, &n->p, WORDS * 4));
	n->running = pthread_create(&n->thread, NULL, work, n) == 0;
	CHECK(n->running);
}

static void neighbour_stop(struct neighbour *n)
{
	if (!n->running)
		return;
	__atomic_store_n(&n->stop, 1, __ATOMIC_RELAXED);
	pthread_join(n->thread, NULL);
	n->running = false;
}

static uint32_t rounds_of(const struct neighbour *n)
{
	return __atomic_load_n(&n->rounds, __ATOMIC_RELAXED);
}

/* On more threads than any GPU has: nothing is left for others but what they are given in turn. */
static void run_endless(void)
{
	const struct vgpu_dim3 grid = { 4096, 1, 1 }, block = { 1024, 1, 1 };
	const uint32_t ms = ENDLESS_MS;
	struct kernels k;
	auto_close g = NULL;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_launch(g, k.spin_ms, grid, block, 0, 0, &ms, sizeof(ms)));
	EXPECT_ON(g, VGPU_EDEADLINE, vgpu_synchronize(g));
	EXPECT_ON(g, VGPU_EDEVLOST, vgpu_synchronize(g));
	EXPECT_ON(g, VGPU_EDEVLOST, vgpu_nop(g));
}

static void endless_beside(struct neighbour *n)
{
	uint32_t before, meanwhile;

	HELPED(neighbour_start(n));
	before = rounds_of(n);
	HELPED(run_endless());
	meanwhile = rounds_of(n) - before;
	neighbour_stop(n);
	EXPECT(0, n->rc);
	CHECK(n->right, "(round %u)", n->rounds);
	CHECK(meanwhile > 1);
	CHECK(one_round(n));
	EXPECT(0, told(n->g, 0));
}

static void endless(void)
{
	struct neighbour n = { 0 };
	struct vgpu_status s;
	struct kernels k;
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_query_status(g, &s));
	close_handle(&g);
	if (s.deadline_ms == 0 || s.deadline_ms > DEADLINE_MAX_MS) {
		test_skipped("the host's deadline is %u ms", s.deadline_ms);
		return;
	}
	endless_beside(&n);
	neighbour_stop(&n);
	close_handle(&n.g);
	if (test_is_over())
		return;
	HELPED(open_with_kernels(&g, &k));
	EXPECT(0, told(g, spin(g, &k, 0, 1)));
	EXPECT_ON(g, 0, vgpu_synchronize(g));
}

const struct test_case gpu_deadline_tests[] = {
	{ "a kernel that never ends ends its handle and no other", endless },
	{ NULL, NULL },
};
