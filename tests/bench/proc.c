// SPDX-License-Identifier: GPL-2.0-or-later
#include "proc.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

/* 0 if there is none, such as one that has just ended. */
static pid_t parent_of(pid_t pid)
{
	char path[64], line[512] = "", *after;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	/* The name is in brackets and may contain anything. */
	if (fgets(line, sizeof(line), f)) {
		after = strrchr(line, ')');
		if (!after || sscanf(after + 1, " %*c %d", &parent) != 1)
			parent = 0;
	}
	fclose(f);
	return parent;
}

size_t proc_children(pid_t parent, struct proc_cpu children[PROC_CHILDREN])
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	size_t n = 0;
	pid_t pid;

	if (!dir)
		bench_die("/proc: %s", strerror(errno));
	while ((e = readdir(dir)) && n < PROC_CHILDREN) {
		pid = atoi(e->d_name);
		if (pid > 0 && parent_of(pid) == parent)
			children[n++] = (struct proc_cpu){ .pid = pid };
	}
	closedir(dir);
	return n;
}

static uint64_t cpu_ns(pid_t pid)
{
	struct timespec t;
	clockid_t clock;
	int rc = clock_getcpuclockid(pid, &clock);

	if (rc == 0 && clock_gettime(clock, &t) < 0)
		rc = errno;
	if (rc)
		bench_die("CPU time of process %d: %s", (int)pid, strerror(rc));
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void proc_cpu_start(struct proc_cpu *p)
{
	p->start_ns = cpu_ns(p->pid);
}

double proc_cpu_us(const struct proc_cpu *p)
{
	return (double)(cpu_ns(p->pid) - p->start_ns) / 1e3;
}
