// SPDX-License-Identifier: GPL-2.0-or-later
#include "mediator.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vgpuguest.h>

#include "bench.h"

#define START_S 60

static pid_t mediator;
static char folder[64];
static char device[128];

static void write_config(const char *path, const struct bench_mediator *m)
{
	FILE *f = fopen(path, "w");

	if (!f)
		bench_die("write %s: %s", path, strerror(errno));
	fprintf(f, "[mediator]\nlog = stderr\nlog_level = warning\n");
	if (m->spin_us >= 0)
		fprintf(f, "spin_us = %d\n", m->spin_us);
	if (m->pool_size)
		fprintf(f, "pool_size = %u\n", m->pool_size);
	fprintf(f, "[backend]\nbackend = %s\n", m->backend);
	if (m->library)
		fprintf(f, "cuda_library = %s\n", m->library);
	fprintf(f, "[devices]\nenabled = no\n[clients]\nsocket = %s/client.sock\n", folder);
	fclose(f);
}

/* A mediator that serves has a worker, too: the first channel is as warm as any. */
static void wait_until_it_serves(void)
{
	const uint64_t end_ns = bench_now_ns() + START_S * 1000000000ull;
	struct vgpu_options o;
	struct vgpu *v;
	int rc;

	vgpu_options_init(&o);
	o.device = device;
	while ((rc = vgpu_open(&v, &o)) != 0) {
		if (waitpid(mediator, NULL, WNOHANG) == mediator) {
			mediator = 0;
			bench_die("the mediator did not start");
		}
		if (bench_now_ns() > end_ns)
			bench_die("the mediator does not serve: %s", vgpu_last_error(NULL));
		usleep(20000);
	}
	rc = vgpu_nop(v);
	if (rc)
		bench_die("nop: %s", vgpu_last_error(v));
	vgpu_close(v);
}

static void run_mediator(const struct bench_mediator *m, const char *config)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (m->cpus)
		bench_pin_set(m->cpus);
	execl(m->program, m->program, "--foreground", "--config", config, (char *)NULL);
	fprintf(stderr, "bench: start %s: %s\n", m->program, strerror(errno));
	_exit(127);
}

const char *bench_mediator_start(const struct bench_mediator *m)
{
	static bool stops_at_exit;
	char config[128];

	if (!stops_at_exit)
		atexit(bench_mediator_stop);
	stops_at_exit = true;
	snprintf(folder, sizeof(folder), "/tmp/vgpu-bench-XXXXXX");
	if (!mkdtemp(folder))
		bench_die("make a folder: %s", strerror(errno));
	snprintf(config, sizeof(config), "%s/config.conf", folder);
	snprintf(device, sizeof(device), "unix:%s/client.sock", folder);
	write_config(config, m);
	mediator = fork();
	if (mediator < 0)
		bench_die("fork: %s", strerror(errno));
	if (mediator == 0)
		run_mediator(m, config);
	wait_until_it_serves();
	return device;
}

pid_t bench_mediator_pid(void)
{
	return mediator;
}

static void remove_folder(void)
{
	static const char *const names[] = { "config.conf", "client.sock" };
	char path[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	if (rmdir(folder) < 0)
		fprintf(stderr, "bench: remove %s: %s\n", folder, strerror(errno));
	folder[0] = '\0';
}

void bench_mediator_stop(void)
{
	if (mediator > 0) {
		kill(mediator, SIGTERM);
		while (waitpid(mediator, NULL, 0) < 0 && errno == EINTR)
			;
	}
	mediator = 0;
	if (folder[0])
		remove_folder();
}
