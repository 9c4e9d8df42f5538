/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Round trips, measured one by one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define POLLING_SPIN_US 1000000
#define WARM_UP 200
#define PROGRESS_MS 100

static const struct bench_mode {
	const char *name;
	int spin_us;
} modes[] = {
	{ "polling", POLLING_SPIN_US },
	{ "sleeping", 0 },
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* A bar on standard error, if that is a terminal. */
static void progress(const struct cli *cli, const char *name, uint64_t done, uint64_t all)
{
	static const char full[] = "########################################";
	int width = (int)(sizeof(full) - 1), part = (int)(done * (uint64_t)width / all);

	if (cli->json || !isatty(STDERR_FILENO))
		return;
	if (done < all)
		fprintf(stderr, "\r%-9s [%.*s%*s] %3d %%", name, part, full, width - part, "",
			(int)(done * 100 / all));
	else
		fprintf(stderr, "\r\033[K");
}

static int measure(struct cli *cli, struct vgpu *vgpu, const char *name, float *us)
{
	int64_t shown = now_ns();
	int rc = 0;

	for (int i = 0; i < WARM_UP && !rc; i++)
		rc = vgpu_nop(vgpu);
	for (uint64_t i = 0; i < cli->iterations && !rc; i++) {
		int64_t start = now_ns(), end;

		rc = vgpu_nop(vgpu);
		end = now_ns();
		us[i] = (float)(end - start) / 1000.0f;
		if (end - shown > PROGRESS_MS * 1000000) {
			progress(cli, name, i, cli->iterations);
			shown = now_ns();
		}
	}
	progress(cli, name, 1, 1);
	return rc;
}

static int compare(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static json_object *microseconds(double us)
{
	char text[32];

	snprintf(text, sizeof(text), "%.3f", us);
	return json_object_new_double_s(us, text);
}

static void report(struct cli *cli, json_object *list, const char *name, float *us)
{
	json_object *o = json_object_new_object();
	uint64_t n = cli->iterations;
	double sum = 0, p50, p99;

	for (uint64_t i = 0; i < n; i++)
		sum += us[i];
	qsort(us, n, sizeof(*us), compare);
	p50 = us[n / 2];
	p99 = us[n * 99 / 100];
	cli_print(cli, "%-10s %10llu %10.2f %10.2f %10.2f %10.2f\n", name, (unsigned long long)n,
		  us[0], p50, p99, sum / (double)n);
	json_object_object_add(o, "mode", json_object_new_string(name));
	json_object_object_add(o, "round_trips", json_object_new_uint64(n));
	json_object_object_add(o, "min_us", microseconds(us[0]));
	json_object_object_add(o, "p50_us", microseconds(p50));
	json_object_object_add(o, "p99_us", microseconds(p99));
	json_object_object_add(o, "mean_us", microseconds(sum / (double)n));
	json_object_array_add(list, o);
}

static int bench_mode(struct cli *cli, const struct bench_mode *mode, json_object *list, float *us)
{
	struct vgpu *vgpu;
	int code, rc;

	cli->options.spin_us = mode->spin_us;
	code = cli_open(cli, &vgpu);
	if (code)
		return code;
	rc = measure(cli, vgpu, mode->name, us);
	if (rc)
		code = cli_fail(cli, rc, vgpu_last_error(vgpu));
	else
		report(cli, list, mode->name, us);
	vgpu_close(vgpu);
	return code;
}

int command_bench(struct cli *cli, int argc, char **argv)
{
	json_object *list;
	int code = CLI_DONE;
	float *us;

	(void)argv;
	if (argc)
		return cli_usage(cli, "bench: takes no arguments, see `vgpu-cli help bench`");
	us = calloc(cli->iterations, sizeof(*us));
	if (!us)
		return cli_fail_text(cli, "bench: out of memory for %llu results",
				     (unsigned long long)cli->iterations);
	list = json_object_new_array();
	cli_add(cli, "modes", list);
	cli_print(cli, "%-10s %10s %10s %10s %10s %10s\n", "NOP", "trips", "min us", "p50 us",
		  "p99 us", "mean us");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]) && code == CLI_DONE; i++)
		if (!strcmp(cli->mode, modes[i].name) || !strcmp(cli->mode, "both"))
			code = bench_mode(cli, &modes[i], list, us);
	free(us);
	return code;
}
