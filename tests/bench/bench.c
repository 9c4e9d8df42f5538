// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

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
	exit(1);
}

void bench_pin_set(const cpu_set_t *set)
{
	if (sched_setaffinity(0, sizeof(*set), set) < 0)
		bench_die("pin to CPUs: %s", strerror(errno));
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	bench_pin_set(&set);
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

/* The CPUs that this process may use, in @cpus of CPU_SETSIZE. Returns how many. */
static int allowed_cpus(int *cpus)
{
	cpu_set_t set;
	int n = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		bench_die("sched_getaffinity: %s", strerror(errno));
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, &set))
			cpus[n++] = i;
	}
	return n;
}

/* Interrupts like the first CPU: leave it alone where there are plenty. */
static int first_of(int n)
{
	return n >= 6 ? 2 : 0;
}

const char *bench_two_cpus(int cpus[2])
{
	int allowed[CPU_SETSIZE];
	const int n = allowed_cpus(allowed), first = first_of(n);

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

static bool shares_core(const cpu_set_t *set, int cpu)
{
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (CPU_ISSET(i, set) && core_of(i) == core_of(cpu))
			return true;
	}
	return false;
}

#define CLIENT_CPUS 6
#define MEDIATOR_CPUS 2

void bench_cpu_sets(cpu_set_t *client, cpu_set_t *mediator)
{
	int allowed[CPU_SETSIZE];
	const int n = allowed_cpus(allowed), first = first_of(n);
	const int want = n >= first + CLIENT_CPUS + MEDIATOR_CPUS ? CLIENT_CPUS : 1;

	CPU_ZERO(client);
	CPU_ZERO(mediator);
	for (int i = first; i < first + want; i++)
		CPU_SET(allowed[i], client);
	for (int i = first + want; i < n && CPU_COUNT(mediator) < MEDIATOR_CPUS; i++) {
		if (!shares_core(client, allowed[i]))
			CPU_SET(allowed[i], mediator);
	}
	if (CPU_COUNT(mediator) == 0)
		CPU_SET(allowed[n - 1], mediator);
}

const char *bench_cpu_text(const cpu_set_t *set, char *buf, size_t len)
{
	size_t used = 0;

	buf[0] = '\0';
	for (int i = 0; i < CPU_SETSIZE && used < len; i++) {
		if (CPU_ISSET(i, set))
			used += (size_t)snprintf(buf + used, len - used, "%s%d", used ? "," : "",
						 i);
	}
	return buf;
}

/* What @argv's program says until its end, one line. Returns its status as waitpid() does. */
static int output_of(const char *const argv[], bool quiet, char *line, size_t len)
{
	posix_spawn_file_actions_t actions;
	int out[2], status, rc;
	size_t have = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		bench_die("pipe: %s", strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	if (quiet)
		posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	rc = posix_spawn(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	if (rc)
		bench_die("start %s: %s", argv[0], strerror(rc));
	while (have < len - 1 && (n = read(out[0], line + have, len - 1 - have)) > 0)
		have += (size_t)n;
	line[have] = '\0';
	close(out[0]);
	if (waitpid(pid, &status, 0) < 0)
		bench_die("wait for %s: %s", argv[0], strerror(errno));
	return status;
}

double bench_time_to_ready(const char *const argv[], bool quiet, char *name, size_t name_len)
{
	const uint64_t start_ns = bench_now_ns();
	char line[256], *text;
	uint64_t ready_ns;

	if (output_of(argv, quiet, line, sizeof(line)) != 0)
		return -1;
	ready_ns = strtoull(line, &text, 10);
	text += strspn(text, " ");
	text[strcspn(text, "\n")] = '\0';
	snprintf(name, name_len, "%s", text);
	return (double)(ready_ns - start_ns) / 1e6;
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
