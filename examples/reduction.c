// SPDX-License-Identifier: LGPL-2.1-or-later
/* reduction [ELEMENTS]: a sum in pieces, which two streams copy and add up at the same time. */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 256u
#define PIECE (128u << 10) /* elements that a stream has at a time */
#define BLOCKS (PIECE / BLOCK)

/* A stream with memory of its own on both sides. */
struct lane {
	vgpu_stream stream;
	float *in, *partial; /* vgpu_host_alloc()'s: copies from there do not wait */
	vgpu_devptr device_in, device_partial;
};

struct reduce_params {
	vgpu_devptr in, partial;
	uint64_t n;
};

static void lane_open(struct vgpu *vgpu, struct lane *l)
{
	OK(vgpu, vgpu_stream_create(vgpu, &l->stream, VGPU_STREAM_NONBLOCKING, 0));
	OK(vgpu, vgpu_host_alloc(vgpu, (void **)&l->in, PIECE * sizeof(float)));
	OK(vgpu, vgpu_host_alloc(vgpu, (void **)&l->partial, BLOCKS * sizeof(float)));
	OK(vgpu, vgpu_malloc(vgpu, &l->device_in, PIECE * sizeof(float)));
	OK(vgpu, vgpu_malloc(vgpu, &l->device_partial, BLOCKS * sizeof(float)));
	OK(vgpu, vgpu_memset(vgpu, l->device_partial, 0, BLOCKS * sizeof(float)));
	memset(l->partial, 0, BLOCKS * sizeof(float));
}

static void lane_close(struct vgpu *vgpu, struct lane *l)
{
	OK(vgpu, vgpu_free(vgpu, l->device_in));
	OK(vgpu, vgpu_free(vgpu, l->device_partial));
	OK(vgpu, vgpu_host_free(vgpu, l->in));
	OK(vgpu, vgpu_host_free(vgpu, l->partial));
	OK(vgpu, vgpu_stream_destroy(vgpu, l->stream));
}

/* What the lane was last given, summed up; waits for it. */
static double lane_sum(struct vgpu *vgpu, struct lane *l)
{
	double sum = 0;

	OK(vgpu, vgpu_stream_synchronize(vgpu, l->stream));
	for (uint32_t i = 0; i < BLOCKS; i++)
		sum += (double)l->partial[i];
	return sum;
}

/* Returns at once. */
static void lane_start(struct vgpu *vgpu, vgpu_kernel reduce, struct lane *l, const float *v,
		       size_t n)
{
	const struct vgpu_dim3 block = { BLOCK, 1, 1 }, grid = { BLOCKS, 1, 1 };
	struct reduce_params p = { l->device_in, l->device_partial, n };

	memcpy(l->in, v, n * sizeof(float));
	OK(vgpu,
	   vgpu_copy_to_device_async(vgpu, l->device_in, l->in, n * sizeof(float), l->stream));
	OK(vgpu, vgpu_launch(vgpu, reduce, grid, block, 0, l->stream, &p, sizeof(p)));
	OK(vgpu, vgpu_copy_from_device_async(vgpu, l->partial, l->device_partial,
					     BLOCKS * sizeof(float), l->stream));
}

int main(int argc, char **argv)
{
	size_t n = example_number(argc, argv, 1, 1000003);
	float *v = example_alloc(n * sizeof(float));
	struct vgpu *vgpu = example_open();
	vgpu_kernel reduce = example_kernel(vgpu, "reduction", "reduce_sum");
	double sum = 0, wanted = 0;
	struct lane lanes[2];

	example_random(v, n);
	for (size_t i = 0; i < n; i++)
		wanted += (double)v[i];
	for (int i = 0; i < 2; i++)
		lane_open(vgpu, &lanes[i]);
	for (size_t at = 0, i = 0; at < n; at += PIECE, i++) {
		struct lane *l = &lanes[i % 2];

		sum += lane_sum(vgpu, l); /* of its piece before this; the other lane works on */
		lane_start(vgpu, reduce, l, v + at, n - at < PIECE ? n - at : PIECE);
	}
	for (int i = 0; i < 2; i++) {
		sum += lane_sum(vgpu, &lanes[i]);
		lane_close(vgpu, &lanes[i]);
	}
	printf("reduction: the sum of %zu elements is %.0f, expected %.0f\n", n, sum, wanted);
	vgpu_close(vgpu);
	free(v);
	return sum != wanted;
}
