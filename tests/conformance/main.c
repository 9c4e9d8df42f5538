// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vgpu-conformance: does a device keep what vgpuguest.h and the protocol headers promise?
 * The same program for every transport. Speaks TAP.
 */
#include "conformance.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A test that takes this long hangs, also under emulation. */
#define HANG_S 240

struct conformance test;

static struct {
	int number;
	int failures;
	bool failed;
	bool skipped;
	char text[1024];
} now;

void test_failed(const char *file, int line, const char *what, const char *fmt, ...)
{
	va_list args;
	int n;

	if (now.failed)
		return;
	now.failed = true;
	n = snprintf(now.text, sizeof(now.text), "%s:%d: %.300s", file, line, what);
	va_start(args, fmt);
	vsnprintf(now.text + n, sizeof(now.text) - (size_t)n, fmt, args);
	va_end(args);
}

void test_skipped(const char *fmt, ...)
{
	va_list args;

	now.skipped = true;
	va_start(args, fmt);
	vsnprintf(now.text, sizeof(now.text), fmt, args);
	va_end(args);
}

bool test_is_over(void)
{
	return now.failed || now.skipped;
}

void close_handle(struct vgpu **handle)
{
	vgpu_close(*handle);
	*handle = NULL;
}

void free_memory(void *pointer_to_pointer)
{
	void *p;

	memcpy(&p, pointer_to_pointer, sizeof(p));
	free(p);
}

struct vgpu_options test_options(void)
{
	struct vgpu_options o;

	vgpu_options_init(&o);
	o.device = test.device;
	o.window_bytes = test.window_bytes;
	return o;
}

int test_open(struct vgpu **out)
{
	struct vgpu_options o = test_options();

	return vgpu_open(out, &o);
}

int test_rounds(int many)
{
	return test.quick ? (many + 9) / 10 : many;
}

uint64_t test_random(void)
{
	static _Thread_local uint64_t state;
	static uint64_t threads;
	uint64_t z;

	if (!state)
		state = test.seed + (__atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED) << 32);
	z = (state += 0x9e3779b97f4a7c15ull); /* splitmix64 */
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static void hangs(int sig)
{
	static const char text[] = "Bail out! this test hangs\n";

	(void)sig;
	(void)!write(STDOUT_FILENO, text, sizeof(text) - 1);
	_exit(124);
}

static void run(const struct test_case *t)
{
	now.number++;
	now.failed = now.skipped = false;
	now.text[0] = '\0';
	alarm(HANG_S);
	t->run();
	alarm(0);
	if (now.failed) {
		now.failures++;
		printf("not ok %d - %s\n", now.number, t->name);
		fflush(stdout);
		fprintf(stderr, "# %s: %s\n", t->name, now.text);
	} else if (now.skipped) {
		printf("ok %d - %s # SKIP %s\n", now.number, t->name, now.text);
	} else {
		printf("ok %d - %s\n", now.number, t->name);
	}
	fflush(stdout);
}

static const struct test_case *const groups[] = {
	basic_tests,         open_tests,       vector_add_tests,   call_tests,
	process_tests,       gpu_memory_tests, gpu_register_tests, gpu_copy_tests,
	gpu_module_tests,    gpu_kernel_tests, gpu_stream_tests,   gpu_event_tests,
	gpu_host_func_tests, gpu_graph_tests,  gpu_error_tests,    gpu_deadline_tests,
	gpu_isolation_tests, gpu_raw_tests
};

static bool wanted(const struct test_case *t, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (strstr(t->name, *names))
			return true;
	return false;
}

/* Over all tests that @names choose (none: all); counts them. */
static int for_each(char **names, void (*fn)(const struct test_case *t))
{
	int n = 0;

	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (const struct test_case *t = groups[g]; t->name; t++) {
			if (!wanted(t, names))
				continue;
			n++;
			if (fn)
				fn(t);
		}
	}
	return n;
}

static void list(const struct test_case *t)
{
	puts(t->name);
}

static int usage(FILE *to)
{
	fprintf(to,
		"usage: vgpu-conformance [--device DEVICE] [--quick] [--seed N] [--window BYTES] "
		"[--list] [TEST...]\n"
		"Tests DEVICE, or $VGPU_DEVICE, or the default one. TEST: part of a test's "
		"name.\n");
	return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "quick", no_argument, NULL, 'q' },
		{ "seed", required_argument, NULL, 's' },
		{ "window", required_argument, NULL, 'w' },
		{ "list", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const struct sigaction on_alarm = { .sa_handler = hangs };
	struct timespec ts;
	int c;

	clock_gettime(CLOCK_REALTIME, &ts);
	test.seed = (uint64_t)ts.tv_sec * 1000000007u ^ (uint64_t)ts.tv_nsec ^ (uint64_t)getpid();
	test.device = getenv("VGPU_DEVICE");
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			test.device = optarg;
			break;
		case 'q':
			test.quick = true;
			break;
		case 's':
			test.seed = strtoull(optarg, NULL, 0);
			break;
		case 'w':
			test.window_bytes = strtoull(optarg, NULL, 0);
			break;
		case 'l':
			for_each(argv + argc, list);
			return 0;
		case 'h':
			return usage(stdout);
		default:
			return usage(stderr);
		}
	}
	sigaction(SIGALRM, &on_alarm, NULL);
	c = for_each(argv + optind, NULL);
	if (c == 0) {
		fprintf(stderr, "vgpu-conformance: no test has such a name\n");
		return 2;
	}
	printf("1..%d\n# device %s, seed %llu%s\n", c, test.device ? test.device : "(default)",
	       (unsigned long long)test.seed, test.quick ? ", quick" : "");
	fflush(stdout);
	for_each(argv + optind, run);
	if (now.failures)
		fprintf(stderr, "# %d of %d failed; again with --seed %llu\n", now.failures, c,
			(unsigned long long)test.seed);
	return now.failures ? 1 : 0;
}
