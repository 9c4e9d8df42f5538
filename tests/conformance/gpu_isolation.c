// SPDX-License-Identifier: GPL-2.0-or-later
/* Handles beside each other: nothing of one is to be had through another. */
#include "gpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* On CUDA each handle has an address space of its own, so a number may mean memory in both. */
static void memory_of_another(void)
{
	uint8_t secret[64], got[64];
	auto_close g = NULL;
	auto_close other = NULL;
	vgpu_devptr p;

	EXPECT(0, test_open(&g));
	EXPECT(0, test_open(&other));
	fill_random(secret, sizeof(secret));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, LARGE));
	EXPECT_ON(g, 0, vgpu_copy_to_device(g, p, secret, sizeof(secret)));
	memset(got, POISON, sizeof(got));
	EXPECT_ON(other, CUDA_INVALID_VALUE, vgpu_copy_from_device(other, got, p, sizeof(got)));
	EXPECT(CUDA_INVALID_VALUE, told(other, vgpu_memset(other, p, 0, sizeof(got))));
	EXPECT(CUDA_INVALID_VALUE, told(other, vgpu_copy_to_device(other, p, got, sizeof(got))));
	EXPECT(CUDA_INVALID_VALUE, told(other, vgpu_copy_on_device(other, p, p + 64, 64)));
	EXPECT_ON(other, CUDA_INVALID_VALUE, vgpu_free(other, p));
	CHECK(bytes_are(got, POISON, sizeof(got)));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, got, p, sizeof(got)));
	CHECK(memcmp(got, secret, sizeof(got)) == 0);
}

static void handles_of_another(void)
{
	const struct vgpu_dim3 one = { 1, 1, 1 };
	struct add_one_params params = { 0 };
	struct vgpu_kernel_attributes a;
	struct kernels k;
	auto_close g = NULL;
	auto_close other = NULL;
	vgpu_kernel kernel;

	HELPED(open_with_kernels(&g, &k));
	EXPECT(0, test_open(&other));
	EXPECT(CUDA_INVALID_HANDLE, told(other, vgpu_module_unload(other, k.module)));
	EXPECT(CUDA_INVALID_HANDLE,
	       told(other, vgpu_module_get_kernel(other, k.module, "saxpy", &kernel)));
	EXPECT(CUDA_INVALID_HANDLE, told(other, vgpu_get_kernel_attributes(other, k.saxpy, &a)));
	EXPECT(CUDA_INVALID_HANDLE,
	       told(other, vgpu_launch(other, k.add_one, one, one, 0, 0, &params, sizeof(params))));
	EXPECT_ON(other, 0, vgpu_synchronize(other));
	EXPECT(0, told(g, spin(g, &k, 0, 1)));
}

/* What a handle leaves in memory is not what the next one finds there. */
static void memory_left_behind(void)
{
	const size_t words = test_bytes(1 << 20, 32 << 20) / 8;
	auto_free uint64_t *data = calloc(words, 8);
	uint64_t secret = test_random() | 1;

	CHECK(data);
	for (int round = 0; round < 3; round++) {
		auto_close g = NULL;
		vgpu_devptr p;

		EXPECT(0, test_open(&g));
		EXPECT_ON(g, 0, vgpu_malloc(g, &p, words * 8));
		EXPECT_ON(g, 0, vgpu_copy_from_device(g, data, p, words * 8));
		for (size_t i = 0; i < words; i++)
			CHECK(data[i] != secret, "(round %d, word %zu)", round, i);
		for (size_t i = 0; i < words; i++)
			data[i] = secret;
		EXPECT_ON(g, 0, vgpu_copy_to_device(g, p, data, words * 8));
		memset(data, 0, words * 8);
	}
}

/* One goes at any moment; the other's work is not touched. */
static void close_beside_another(void)
{
	const uint32_t words = 20000;
	struct kernels k;
	auto_close g = NULL;
	uint32_t wanted = 3;
	vgpu_devptr p;

	HELPED(open_with_kernels(&g, &k));
	EXPECT_ON(g, 0, vgpu_malloc(g, &p, words * 4));
	EXPECT(0, fill(g, &k, 0, p, wanted, words));
	for (int i = test_rounds(10); i > 0; i--) {
		struct kernels his;
		auto_close other = NULL;
		vgpu_devptr q;

		HELPED(open_with_kernels(&other, &his));
		EXPECT_ON(other, 0, vgpu_malloc(other, &q, words * 4));
		EXPECT(0, fill(other, &his, 0, q, 77, words));
		EXPECT(0, add_one(g, &k, 0, p, words));
		EXPECT(0, spin(other, &his, 0, 5));
		EXPECT(0, add_one(other, &his, 0, q, words));
		wanted++;
	}
	CHECK(device_is(g, p, wanted, words, 0));
	EXPECT(0, told(g, 0));
}

struct job {
	pthread_t thread;
	struct vgpu *g;
	struct kernels k;
	vgpu_devptr p;
	uint32_t start, adds;
	int rc;
	bool right;
};

static void *work(void *arg)
{
	struct job *j = arg;

	j->rc = fill(j->g, &j->k, 0, j->p, j->start, 5000);
	for (uint32_t i = 0; j->rc == 0 && i < j->adds; i++) {
		j->rc = add_one(j->g, &j->k, 0, j->p, 5000);
		if (j->rc == 0 && i % 32 == 0)
			j->rc = vgpu_synchronize(j->g);
	}
	j->right = j->rc == 0 && device_is(j->g, j->p, j->start + j->adds, 5000, 0);
	return NULL;
}

/* The same work with other numbers, side by side. */
static void same_work_side_by_side(void)
{
	auto_close a = NULL;
	auto_close b = NULL;
	struct job jobs[2] = { 0 };
	int n = 0;

	HELPED(open_with_kernels(&a, &jobs[0].k));
	HELPED(open_with_kernels(&b, &jobs[1].k));
	jobs[0].g = a;
	jobs[1].g = b;
	for (; n < 2; n++) {
		jobs[n].start = (uint32_t)test_random();
		jobs[n].adds = (uint32_t)test_rounds(2000);
		EXPECT_ON(jobs[n].g, 0, vgpu_malloc(jobs[n].g, &jobs[n].p, 20000));
	}
	for (n = 0; n < 2; n++)
		if (pthread_create(&jobs[n].thread, NULL, work, &jobs[n]))
			break;
	for (int i = 0; i < n; i++)
		pthread_join(jobs[i].thread, NULL);
	CHECK(n == 2);
	for (int i = 0; i < n; i++)
		CHECK(jobs[i].right, "(handle %d: %s)", i, vgpu_strerrorname(jobs[i].rc));
}

const struct test_case gpu_isolation_tests[] = {
	{ "memory of another handle is out of reach", memory_of_another },
	{ "modules and kernels of another handle mean nothing", handles_of_another },
	{ "memory that a handle left is not found by the next", memory_left_behind },
	{ "handles that close beside another", close_beside_another },
	{ "two handles at the same work", same_work_side_by_side },
	{ NULL, NULL },
};
