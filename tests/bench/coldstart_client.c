// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * coldstart_client DEVICE: what a small program does first. Prints the time (bench_now_ns()'s
 * clock) at which it had its first verified sum, and the backend that made it.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <vgpuguest.h>

#define N 1024

int main(int argc, char **argv)
{
	static float a[N], b[N], c[N];
	struct vgpu_vector_add_result result;
	struct vgpu_options o;
	struct timespec t;
	struct vgpu *v;
	int rc;

	if (argc != 2)
		return 2;
	for (int i = 0; i < N; i++) {
		a[i] = (float)i;
		b[i] = (float)(i * 2);
		c[i] = -1;
	}
	vgpu_options_init(&o);
	o.device = argv[1];
	rc = vgpu_open(&v, &o);
	if (rc) {
		fprintf(stderr, "open: %s\n", vgpu_last_error(NULL));
		return 1;
	}
	rc = vgpu_vector_add(v, a, b, c, N, &result);
	if (rc) {
		fprintf(stderr, "vector_add: %s\n", vgpu_last_error(v));
		return 1;
	}
	for (int i = 0; i < N; i++) {
		if (c[i] != a[i] + b[i])
			return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &t);
	printf("%llu %s\n",
	       (unsigned long long)t.tv_sec * 1000000000ull + (unsigned long long)t.tv_nsec,
	       result.device);
	vgpu_close(v);
	return 0;
}
