// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cuda_backend LIBRARY [IMAGE...]: gpu_mediator_cuda.so against the CPU on fresh random data, first
 * called directly, then from a worker that has given up its privileges (this program with
 * --worker). IMAGEs are kernels.ptx as nvcc compiles it.
 * TAP; skips all where there is no GPU. Linked so that it needs nothing but libc and the driver.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../common/memfd.h"
#include "../../host/local_worker.h"
#include "../../host/mediator_throttle.h"
#include "../../host/worker.h"
#include "../../protocol/vgpu_commands.h"
#include "../../protocol/vgpu_errors.h"
#include "cuda_check.h"

#define WINDOW_FLOATS (16u << 20)
#define CALL_MS 60000

static uint64_t random_state;
static int cases, failures;

uint32_t rnd(void)
{
	random_state ^= random_state << 13; /* xorshift64 */
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32);
}

void ok(bool passed, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %d - ", passed ? "" : "not ", ++cases);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	failures += !passed;
}

bool returns(int got, int want, const char *call)
{
	if (got != want)
		printf("# %s: returned %d, not %d\n", call, got, want);
	return got == want;
}

/* Any bit pattern: normal numbers, denormals, infinities, NaNs. */
static void fill(float *v, size_t n)
{
	uint32_t bits;

	for (size_t i = 0; i < n; i++) {
		bits = rnd();
		memcpy(&v[i], &bits, sizeof(bits));
	}
}

/* Exactly IEEE 754's sum; which NaN it is does not matter. */
static bool same(float got, float want)
{
	if (isnan(want))
		return isnan(got);
	return memcmp(&got, &want, sizeof(got)) == 0;
}

struct bench_memory {
	float *a, *b, *c;
	float *want;
};

/* One addition with guards around the result. Returns how many floats are wrong. */
static size_t add(const struct backend_ops *ops, struct backend *b, float *x, float *y, float *z,
		  float *want, size_t n, int *rc)
{
	const uint32_t guard = 0x5ca1ab1e;
	size_t wrong = 0;
	bool in_place = z == x || z == y;

	fill(x, n);
	fill(y, n);
	for (size_t i = 0; i < n; i++)
		want[i] = x[i] + y[i];
	if (!in_place)
		memset(z, 0xa5, n * sizeof(*z));
	memcpy(&z[-1], &guard, sizeof(guard));
	memcpy(&z[n], &guard, sizeof(guard));
	*rc = ops->vector_add(b, x, y, z, n);
	for (size_t i = 0; i < n; i++)
		wrong += !same(z[i], want[i]);
	wrong += memcmp(&z[-1], &guard, sizeof(guard)) != 0;
	wrong += memcmp(&z[n], &guard, sizeof(guard)) != 0;
	return wrong;
}

static const size_t sizes[] = {
	1,     2,     3,      4,      5,      7,      8,       31,      32,      33,      127,
	255,   256,   257,    1000,   1023,   1024,   1025,    16383,   16384,   16385,   65535,
	65536, 65537, 262143, 262144, 262145, 999999, 1048575, 1048576, 1048577, 3000001,
};

static void check_sizes(const struct backend_ops *ops, struct backend *b,
			const struct bench_memory *m, const char *what)
{
	size_t wrong = 0, n;
	int rc = 0;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]) && !rc; s++) {
		n = sizes[s];
		/* All three at their own distance from a multiple of 16. */
		wrong += add(ops, b, m->a + 1 + rnd() % 4, m->b + 1 + rnd() % 4,
			     m->c + 1 + rnd() % 4, m->want, n, &rc);
		if (wrong || rc) {
			printf("# n = %zu: %zu wrong, status %d\n", n, wrong, rc);
			break;
		}
	}
	ok(rc == 0 && wrong == 0, "%s: %zu sizes at odd offsets", what,
	   sizeof(sizes) / sizeof(sizes[0]));
	for (int i = 0; i < 20 && !rc && !wrong; i++) {
		n = 1 + rnd() % (rnd() % 2 ? 20000 : 4000000);
		wrong += add(ops, b, m->a + 1, m->b + 3, m->c + 2, m->want, n, &rc);
	}
	ok(rc == 0 && wrong == 0, "%s: 20 random sizes", what);
	wrong = add(ops, b, m->a + 1, m->b + 1, m->a + 1, m->want, 1000, &rc);
	wrong += add(ops, b, m->a + 1, m->b + 1, m->b + 1, m->want, 1000, &rc);
	wrong += add(ops, b, m->a + 1, m->b + 1, m->a + 1, m->want, 2500000, &rc);
	wrong += add(ops, b, m->a + 1, m->b + 1, m->b + 1, m->want, 2500000, &rc);
	ok(rc == 0 && wrong == 0, "%s: result in place of an operand", what);
}

static int compare(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

static void time_it(const struct backend_ops *ops, struct backend *b, const struct bench_memory *m,
		    size_t n, int times)
{
	double us[1000];
	struct timespec s, e;

	for (int i = 0; i < times; i++) {
		clock_gettime(CLOCK_MONOTONIC, &s);
		ops->vector_add(b, m->a, m->b, m->c, n);
		clock_gettime(CLOCK_MONOTONIC, &e);
		us[i] = (double)(e.tv_sec - s.tv_sec) * 1e6 + (double)(e.tv_nsec - s.tv_nsec) / 1e3;
	}
	qsort(us, (size_t)times, sizeof(us[0]), compare);
	printf("# vector_add n = %9zu: first quartile %.1f, median %.1f, p99 %.1f us; %.1f GB/s "
	       "over the bus\n",
	       n, us[times / 4], us[times / 2], us[times * 99 / 100],
	       12.0 * (double)n / us[times / 2] / 1e3);
}

static void map_window(struct bench_memory *m)
{
	size_t bytes = WINDOW_FLOATS * sizeof(float);
	int fd = memfd_new_sealed("cuda-test", bytes);
	float *w = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd < 0 || w == MAP_FAILED) {
		printf("Bail out! window: %s\n", strerror(errno));
		exit(1);
	}
	close(fd);
	m->a = w;
	m->b = w + WINDOW_FLOATS / 3;
	m->c = w + 2 * (WINDOW_FLOATS / 3);
}

/* In this process, with nothing between us and the backend. */
static void check_directly(const char *library, int images, char **image)
{
	struct bench_memory window, ordinary;
	struct gpu_test t;
	const struct backend_ops *ops, *none_ops;
	struct backend_info info, none_info;
	struct backend *b, *none;
	uint64_t total, free_bytes, start_us = clock_us();
	char why[200];
	int fallback, rc;

	rc = backend_choose("cuda", library, 0, &ops, &b, &info, &fallback, why, sizeof(why));
	if (rc) {
		printf("1..0 # SKIP %s\n", why);
		exit(0);
	}
	printf("# %s, compute capability %u.%u, driver %u, runtime %u, %u multiprocessors; open "
	       "took %llu ms\n",
	       info.device, info.compute_major, info.compute_minor, info.driver_version,
	       info.runtime_version, info.multiprocessors,
	       (unsigned long long)(clock_us() - start_us) / 1000);
	ok(info.kind == VGPU_BACKEND_CUDA && info.device[0] && info.memory_total, "it opens");
	rc = ops->memory(b, &total, &free_bytes);
	ok(rc == 0 && free_bytes > 0 && free_bytes <= total && total == info.memory_total,
	   "memory: %llu of %llu MiB free", (unsigned long long)free_bytes >> 20,
	   (unsigned long long)total >> 20);

	map_window(&window);
	window.want = malloc(WINDOW_FLOATS / 3 * sizeof(float));
	ordinary = window;
	ordinary.a = malloc(WINDOW_FLOATS / 3 * sizeof(float));
	ordinary.b = malloc(WINDOW_FLOATS / 3 * sizeof(float));
	ordinary.c = malloc(WINDOW_FLOATS / 3 * sizeof(float));
	rc = backend_choose("cuda", library, 77, &none_ops, &none, &none_info, &fallback, why,
			    sizeof(why));
	ok(rc != 0 && strstr(why, "device 77"), "a device that is not there: %s", why);
	t = (struct gpu_test){ ops, b, (uint8_t *)window.a, WINDOW_FLOATS * sizeof(float) };
	ok(info.host_exposed == 0, "kernels cannot reach this process's memory");
	check_devices(&t);
	check_memory(&t);
	ok(ops->window(b, window.a, t.window_bytes, false) == 0, "it takes the window");
	check_copies(&t, "through staging memory");
	time_copies(&t, "through staging memory");
	ok(ops->window(b, window.a, t.window_bytes, true) == 0, "and can have it registered");
	check_copies(&t, "from the window");
	time_copies(&t, "from the window");
	check_modules(&t, images, image);
	check_streams(&t);
	check_graphs(&t);
	check_sizes(ops, b, &window, "window");
	check_sizes(ops, b, &ordinary, "ordinary memory");
	time_it(ops, b, &window, 1024, 1000);
	time_it(ops, b, &window, 16384, 1000);
	time_it(ops, b, &window, 16385, 500);
	time_it(ops, b, &window, 1 << 20, 100);
	time_it(ops, b, &window, 5 << 20, 100);
	time_work(&t);
	check_second(&t);
	check_fault(&t);
	ops->close(b);
	free(ordinary.a);
	free(ordinary.b);
	free(ordinary.c);
	free(window.want);
	munmap(window.a, WINDOW_FLOATS * sizeof(float));
}

/* Through a ring, from a process that may not do much any more. */
static bool worker_adds(struct local_worker *w, struct local_channel *c, uint32_t n)
{
	struct vgpu_vector_add_args args = { .a = 0, .b = 16u << 20, .c = 32u << 20, .n = n };
	struct vgpu_request req = { .cmd = VGPU_CMD_VECTOR_ADD };
	float *x = (float *)(void *)c->window;
	float *y = (float *)(void *)(c->window + args.b);
	float *z = (float *)(void *)(c->window + args.c);
	struct vgpu_response rsp;
	size_t wrong = 0;
	int rc;

	fill(x, n);
	fill(y, n);
	memset(z, 0xff, n * sizeof(*z));
	memcpy(req.args, &args, sizeof(args));
	rc = local_channel_call(c, w, &req, &rsp, CALL_MS);
	for (uint32_t i = 0; i < n; i++)
		wrong += !same(z[i], x[i] + y[i]);
	if (rc || rsp.status || wrong)
		printf("# n = %u: call %d, status %d, %zu wrong\n", n, rc, rsp.status, wrong);
	return rc == 0 && rsp.status == 0 && wrong == 0;
}

static void check_worker(const char *library, const char *user)
{
	struct worker_assign assign = { .deadline_ms = CALL_MS, .spin_us = 50, .vm = "test" };
	const char *as = user ? user : "the same user";
	struct vgpu_request nop = { .cmd = VGPU_CMD_NOP };
	struct vgpu_response rsp;
	struct local_channel c;
	struct local_worker w;
	struct worker_ended ended;
	struct worker_stop stop = { .type = WORKER_STOP };
	uint64_t start_us;
	char why[256];
	bool passed;
	int rc;

	if (local_channel_init(&c, 16, 48u << 20) < 0) {
		ok(false, "worker as %s: make a channel", as);
		return;
	}
	start_us = clock_us();
	rc = local_worker_start(&w, "/proc/self/exe", "cuda", library, 0, user, why, sizeof(why));
	ok(rc == 0, "worker as %s: ready after %llu ms%s%s", as,
	   (unsigned long long)(clock_us() - start_us) / 1000, rc ? ": " : "", rc ? why : "");
	if (rc)
		goto out;
	start_us = clock_us();
	rc = local_worker_assign(&w, &c, &assign, why, sizeof(why));
	passed = rc == 0 && worker_adds(&w, &c, 1024);
	ok(passed, "worker as %s: first vector_add, with its check, after %llu us", as,
	   (unsigned long long)(clock_us() - start_us));
	start_us = clock_us();
	passed = rc == 0 && worker_adds(&w, &c, 4 << 20);
	ok(passed, "worker as %s: first large one, with its check, after %llu ms", as,
	   (unsigned long long)(clock_us() - start_us) / 1000);
	ok(rc == 0 && worker_adds(&w, &c, 3333333) && worker_adds(&w, &c, 17),
	   "worker as %s: and more", as);
	rc = local_channel_call(&c, &w, &nop, &rsp, CALL_MS);
	ok(rc == 0 && rsp.status == 0, "worker as %s: nop", as);
	rc = send(w.control, &stop, sizeof(stop), MSG_NOSIGNAL) == sizeof(stop) ? 0 : -errno;
	if (rc == 0)
		rc = local_worker_expect(&w, WORKER_ENDED, &ended, sizeof(ended), CALL_MS) ==
				     sizeof(ended)
			     ? ended.reason
			     : -EIO;
	ok(rc == 0, "worker as %s: stops", as);
	local_worker_dispose(&w);
out:
	local_channel_dispose(&c);
}

int main(int argc, char **argv)
{
	char library[4096];

	if (argc > 1 && strcmp(argv[1], "--worker") == 0)
		return worker_main(argc, argv);
	if (argc < 2 || !realpath(argv[1], library)) {
		printf("1..0 # SKIP %s: not built here: no nvcc\n", argc > 1 ? argv[1] : "library");
		return 0;
	}
	if (getrandom(&random_state, sizeof(random_state), 0) != sizeof(random_state))
		return 1;
	printf("# seed %llu\n", (unsigned long long)random_state);
	random_state |= 1;
	check_directly(library, argc - 2, argv + 2);
	check_worker(library, NULL);
	if (geteuid() == 0)
		check_worker(library, "nobody");
	printf("1..%d\n", cases);
	return failures != 0;
}
