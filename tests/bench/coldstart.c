// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * coldstart MEDIATOR CLIENT NATIVE [--json] [--count N] [--backend B] [--cuda-library F]:
 * from starting a process to its first verified vector_add, through a warm worker and, where
 * there is a GPU, in plain CUDA with and without another context alive on the GPU.
 */
#include "bench.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mediator.h"

/* Between two runs the pool warms a new worker, which takes a GPU context. */
#define PAUSE_US 1500000u
#define PAUSE_CPU_US 100000u

struct row {
	const char *label;
	struct samples ms;
	char device[128];
};

/* False where @program does not work on this machine, such as CUDA without a GPU. */
static bool run_all(struct row *row, const char *program, const char *arg, unsigned long count,
		    unsigned int pause_us)
{
	const char *const argv[] = { program, arg, NULL };
	double ms;

	samples_init(&row->ms, count);
	for (unsigned long i = 0; i < count; i++) {
		ms = bench_time_to_ready(argv, false, row->device, sizeof(row->device));
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
	const char *const argv[] = { native, NULL };
	char name[128];

	return access(native, X_OK) == 0 &&
	       bench_time_to_ready(argv, true, name, sizeof(name)) >= 0;
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
	struct bench_mediator m = { .spin_us = 50 };
	unsigned long count = 10;
	const char *device;
	bool json = false, gpu;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'n')
			count = strtoul(optarg, NULL, 10);
		else if (c == 'b')
			m.backend = optarg;
		else if (c == 'l')
			m.library = optarg;
		else
			return 2;
	}
	if (optind + 3 != argc || !count) {
		fprintf(stderr, "Usage: coldstart [--json] [--count N] [--backend B] "
				"[--cuda-library F] MEDIATOR CLIENT NATIVE\n");
		return 2;
	}
	gpu = gpu_is_there(argv[optind + 2]);
	m.program = argv[optind];
	if (!m.backend)
		m.backend = gpu ? "cuda" : "cpu";
	if (!json)
		printf("\n%-34s %8s %8s %8s  %s\n", "process start to verified sum", "min ms",
		       "p50 ms", "max ms", "computed by");
	if (gpu && run_all(&alone, argv[optind + 2], NULL, count, PAUSE_CPU_US))
		print_row(&alone, json);
	device = bench_mediator_start(&m);
	usleep(PAUSE_US);
	if (gpu && run_all(&beside, argv[optind + 2], NULL, count, PAUSE_CPU_US))
		print_row(&beside, json);
	if (!run_all(&warm, argv[optind + 1], device, count,
		     strcmp(m.backend, "cuda") == 0 ? PAUSE_US : PAUSE_CPU_US))
		bench_die("%s failed", argv[optind + 1]);
	print_row(&warm, json);
	bench_mediator_stop();
	samples_free(&warm.ms);
	samples_free(&alone.ms);
	samples_free(&beside.ms);
	return 0;
}
