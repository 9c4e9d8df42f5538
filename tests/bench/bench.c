// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <vgpuguest.h>

#define START_S 60

static pid_t mediator;
static char folder[64];
static char device[128];

uint64_t bench_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void bench_die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "bench: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	bench_mediator_stop();
	exit(1);
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		bench_die("pin to CPU %d: %s", cpu, strerror(errno));
}

static void write_config(const char *path, const char *backend, const char *library,
			 unsigned int spin_us)
{
	FILE *f = fopen(path, "w");

	if (!f)
		bench_die("write %s: %s", path, strerror(errno));
	fprintf(f, "[mediator]\nspin_us = %u\nlog = stderr\nlog_level = warning\n", spin_us);
	fprintf(f, "[backend]\nbackend = %s\n", backend);
	if (library)
		fprintf(f, "cuda_library = %s\n", library);
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

const char *bench_mediator_start(const char *program, const char *backend, const char *library,
				 unsigned int spin_us, int cpu)
{
	char config[128];

	snprintf(folder, sizeof(folder), "/tmp/vgpu-bench-XXXXXX");
	if (!mkdtemp(folder))
		bench_die("make a folder: %s", strerror(errno));
	snprintf(config, sizeof(config), "%s/config.conf", folder);
	snprintf(device, sizeof(device), "unix:%s/client.sock", folder);
	write_config(config, backend, library, spin_us);
	mediator = fork();
	if (mediator < 0)
		bench_die("fork: %s", strerror(errno));
	if (mediator == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (cpu >= 0)
			bench_pin(cpu);
		execl(program, program, "--foreground", "--config", config, (char *)NULL);
		fprintf(stderr, "bench: start %s: %s\n", program, strerror(errno));
		_exit(127);
	}
	wait_until_it_serves();
	return device;
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

/* The first CPU of the core that @cpu is a thread of; itself where that is not known. */
static int core_of(int cpu)
{
	char path[128];
	int first = cpu;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
		 cpu);
	f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "%d", &first) != 1)
			first = cpu;
		fclose(f);
	}
	return first;
}

const char *bench_two_cpus(int cpus[2])
{
	int allowed[CPU_SETSIZE], n = 0, first;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		bench_die("sched_getaffinity: %s", strerror(errno));
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &set))
			allowed[n++] = i;
	}
	/* Interrupts like the first CPU: leave it alone where there are plenty. */
	first = n >= 6 ? 2 : 0;
	cpus[0] = allowed[first];
	for (int i = first + 1; i < n; i++) {
		cpus[1] = allowed[i];
		if (core_of(cpus[1]) != core_of(cpus[0]))
			return "two cores";
	}
	if (n > first + 1)
		return "two threads of one core";
	cpus[1] = cpus[0];
	return "the same CPU";
}

void samples_init(struct samples *s, size_t room)
{
	*s = (struct samples){ .us = malloc(room * sizeof(*s->us)), .room = room };
	if (!s->us)
		bench_die("out of memory");
}

void samples_add(struct samples *s, double us)
{
	if (s->n < s->room)
		s->us[s->n++] = us;
}

static int compare(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

void samples_sort(struct samples *s)
{
	qsort(s->us, s->n, sizeof(*s->us), compare);
}

double samples_at(const struct samples *s, double fraction)
{
	size_t i = (size_t)((double)s->n * fraction);

	if (!s->n)
		return 0;
	return s->us[i < s->n ? i : s->n - 1];
}

void samples_free(struct samples *s)
{
	free(s->us);
	*s = (struct samples){ 0 };
}
