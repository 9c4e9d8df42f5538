// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vm-client: a program of a guest that tests kill, starve or cut off.
 *
 *   vm-client idle          open a channel, say "open", sleep until a signal ends it
 *   vm-client ask           open, say "open", and at SIGUSR1 ask the host one thing
 *   vm-client loop [N]      open, say "open", add vectors of N elements until a call fails;
 *                           say which error and how long it took, then open again
 *
 * Exit: 0 opened again and it works; 1 it does not; 3 could not open at first.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vgpuguest.h>

#define REOPEN_MS 10000

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Adds until a call fails; @ms is how long the failing call took. */
static int add_until_error(struct vgpu *gpu, size_t n, long *ms)
{
	float *a = malloc(n * sizeof(*a));
	float *c = malloc(n * sizeof(*c));
	int rc = VGPU_ENOMEM;

	*ms = 0;
	if (!a || !c)
		goto out;
	for (size_t i = 0; i < n; i++)
		a[i] = (float)(i % 1000);
	do {
		long start = now_ms();

		memset(c, 0, n * sizeof(*c));
		rc = vgpu_vector_add(gpu, a, a, c, n, NULL);
		*ms = now_ms() - start;
		for (size_t i = 0; !rc && i < n; i++) {
			if (c[i] != 2 * a[i]) {
				printf("wrong at %zu\n", i);
				rc = VGPU_EBACKEND;
			}
		}
	} while (!rc);
out:
	free(a);
	free(c);
	return rc;
}

static int reopen(void)
{
	long end = now_ms() + REOPEN_MS;
	struct vgpu *gpu;
	int rc;

	while ((rc = vgpu_open(&gpu, NULL)) != 0 && now_ms() < end)
		usleep(50000);
	if (rc) {
		printf("not opened again: %s\n", vgpu_last_error(NULL));
		return 1;
	}
	rc = vgpu_nop(gpu);
	vgpu_close(gpu);
	printf("opened again: nop: %s\n", rc ? vgpu_strerrorname(rc) : "ok");
	return rc ? 1 : 0;
}

static int ask_when_told(struct vgpu *gpu, const sigset_t *told)
{
	int signal_number, rc;

	sigwait(told, &signal_number);
	rc = vgpu_nop(gpu);
	printf("nop: %s\n", rc ? vgpu_strerrorname(rc) : "ok");
	vgpu_close(gpu);
	return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
	const char *mode = argc > 1 ? argv[1] : "";
	struct vgpu *gpu;
	sigset_t told;
	long ms;
	int rc;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(mode, "idle") != 0 && strcmp(mode, "ask") != 0 && strcmp(mode, "loop") != 0) {
		fprintf(stderr, "usage: vm-client idle | ask | loop [N]\n");
		return 2;
	}
	sigemptyset(&told);
	sigaddset(&told, SIGUSR1);
	sigprocmask(SIG_BLOCK, &told, NULL);
	rc = vgpu_open(&gpu, NULL);
	if (rc) {
		printf("not opened: %s\n", vgpu_last_error(NULL));
		return 3;
	}
	puts("open");
	while (strcmp(mode, "idle") == 0)
		pause();
	if (strcmp(mode, "ask") == 0)
		return ask_when_told(gpu, &told);

	rc = add_until_error(gpu, n, &ms);
	printf("ended: %s after %ld ms: %s\n", vgpu_strerrorname(rc), ms, vgpu_last_error(gpu));
	vgpu_close(gpu);
	return reopen();
}
