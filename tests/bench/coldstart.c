// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * coldstart MEDIATOR CLIENT NATIVE [--json] [--count N] [--backend B] [--cuda-library F]:
 * from starting a process to its first verified vector_add, through a warm worker and, where
 * there is a GPU, in plain CUDA with and without another context alive on the GPU.
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Between two runs the pool warms a new worker, which takes a GPU context. */
#define PAUSE_US 1500000u
#define PAUSE_CPU_US 100000u

/* Runs @program, whose output is the time it was ready and a name. Returns ms, or -1. */
static double run_once(const char *program, const char *arg, bool quiet, char *name,
		       size_t name_len)
{
	char line[256] = "", *text;
	char *const argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)arg, NULL };
	posix_spawn_file_actions_t actions;
	unsigned long long done_ns;
	uint64_t start_ns;
	int out[2], status, rc;
	size_t have = 0;
	ssize_t n;
	pid_t pid;

	if (pipe(out) < 0)
		bench_die("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addclose(&actions, out[0]);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	if (quiet)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	start_ns = bench_now_ns();
	rc = posix_spawn(&pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	if (rc)
		bench_die("start %s: %s", program, strerror(rc));
	while (have < sizeof(line) - 1 &&
	       (n = read(out[0], line + have, sizeof(line) - 1 - have)) > 0)
		have += (size_t)n;
	close(out[0]);
	waitpid(pid, &status, 0);
	if (status != 0)
		return -1;
	done_ns = strtoull(line, &text, 10);
	text += strspn(text, " ");
	text[strcspn(text, "\n")] = '\0';
	snprintf(name, name_len, "%s", text);
	return (double)(done_ns - start_ns) / 1e6;
}

struct row {
	const char *label;
	struct samples ms;
	char device[128];
};

/* False where @program does not work on this machine, such as CUDA without a GPU. */
static bool run_all(struct row *row, const char *program, const char *arg, unsigned long count,
		    unsigned int pause_us)
{
	double ms;

	samples_init(&row->ms, count);
	for (unsigned long i = 0; i < count; i++) {
		ms = run_once(program, arg, false, row->device, sizeof(row->device));
		if (ms < 0)
			return false;
		samples_add(&row->ms, ms);
		usleep(pause_us);
	}
	samples_sort(&row->ms);
	return true;
}

static void print_row(const struct row *row, bool json)
{
	const double p50 = samples_at(&row->ms, 0.5), worst = samples_at(&row->ms, 1);
	const double best = samples_at(&row->ms, 0);

	if (json)
		printf("{ \"cold_start\": \"%s\", \"device\": \"%s\", \"runs\": %zu, \"min_ms\": "
		       "%.2f, \"p50_ms\": %.2f, \"max_ms\": %.2f }\n",
		       row->label, row->device, row->ms.n, best, p50, worst);
	else
		printf("%-34s %8.2f %8.2f %8.2f  %s\n", row->label, best, p50, worst, row->device);
	fflush(stdout);
}

static bool gpu_is_there(const char *native)
{
	char name[128];

	return access(native, X_OK) == 0 && run_once(native, NULL, true, name, sizeof(name)) >= 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "count", required_argument, NULL, 'n' },
		{ "backend", required_argument, NULL, 'b' },
		{ "cuda-library", required_argument, NULL, 'l' },
		{ 0 },
	};
	struct row warm = { .label = "through a warm worker" };
	struct row alone = { .label = "plain CUDA, no other context" };
	struct row beside = { .label = "plain CUDA, other contexts alive" };
	const char *backend = NULL, *library = NULL, *device;
	unsigned long count = 10;
	bool json = false, gpu;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'n')
			count = strtoul(optarg, NULL, 10);
		else if (c == 'b')
			backend = optarg;
		else if (c == 'l')
			library = optarg;
		else
			return 2;
	}
	if (optind + 3 != argc || !count) {
		fprintf(stderr, "Usage: coldstart [--json] [--count N] [--backend B] "
				"[--cuda-library F] MEDIATOR CLIENT NATIVE\n");
		return 2;
	}
	gpu = gpu_is_there(argv[optind + 2]);
	if (!backend)
		backend = gpu ? "cuda" : "cpu";
	if (!json)
		printf("\n%-34s %8s %8s %8s  %s\n", "process start to verified sum", "min ms",
		       "p50 ms", "max ms", "computed by");
	if (gpu && run_all(&alone, argv[optind + 2], NULL, count, PAUSE_CPU_US))
		print_row(&alone, json);
	device = bench_mediator_start(argv[optind], backend, library, 50, -1);
	usleep(PAUSE_US);
	if (gpu && run_all(&beside, argv[optind + 2], NULL, count, PAUSE_CPU_US))
		print_row(&beside, json);
	if (!run_all(&warm, argv[optind + 1], device, count,
		     strcmp(backend, "cuda") == 0 ? PAUSE_US : PAUSE_CPU_US))
		bench_die("%s failed", argv[optind + 1]);
	print_row(&warm, json);
	bench_mediator_stop();
	samples_free(&warm.ms);
	samples_free(&alone.ms);
	samples_free(&beside.ms);
	return 0;
}
