// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * native_errors [-c CASE], vgpu_errors DEVICE [-c CASE]: run all cases, or one.
 *
 * A line each on stdout: the case's name, a tab, its number or what became of its process; where
 * the library is not to be as CUDA two more columns, its number and why.
 *
 * Each case has a process, and so a context, of its own: many leave one that is of no more use,
 * and where CUDA leaves open what happens, a process may well end by a signal.
 */
#include "errors.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longer than a case takes under any tool. */
#define HANG_S 60

#define STATUS_NEED 3

static const struct error_case *const groups[] = { device_errors, memory_errors, copy_errors,
						   module_errors, launch_errors, fault_errors,
						   stream_errors, event_errors,  capture_errors };

void errors_need(int rc, const char *call)
{
	if (rc == 0)
		return;
	fprintf(stderr, "%s: %d\n", call, rc);
	_exit(STATUS_NEED);
}

static _Noreturn void run_here(const struct error_case *c, const char *where, int out)
{
	alarm(HANG_S);
	gpu_open(where);
	dprintf(out, "%d", c->run());
	/* A context that is lost need not be cleaned up, and that could hang. */
	_exit(0);
}

static void describe(int status, const char *number, char *text, size_t size)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(text, size, "hangs");
	else if (WIFSIGNALED(status))
		snprintf(text, size, "signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) == STATUS_NEED)
		snprintf(text, size, "not reached");
	else
		snprintf(text, size, "%s", *number ? number : "no number");
}

/* Before any process has touched CUDA, which does not survive a fork. */
static void run(const struct error_case *c, const char *where)
{
	char number[16] = "", text[32];
	int out[2], status;
	pid_t pid;

	if (pipe(out) < 0 || (pid = fork()) < 0) {
		perror("start a process");
		exit(1);
	}
	if (pid == 0)
		run_here(c, where, out[1]);
	close(out[1]);
	if (read(out[0], number, sizeof(number) - 1) < 0)
		perror("read");
	close(out[0]);
	waitpid(pid, &status, 0);
	describe(status, number, text, sizeof(text));
	printf("%s\t%s", c->name, text);
	if (c->why)
		printf("\t%d\t%s", c->documented, c->why);
	putchar('\n');
	fflush(stdout);
}

static int run_all(const char *only, const char *where)
{
	int n = 0;

	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (const struct error_case *c = groups[g]; c->name; c++) {
			if (only && strcmp(c->name, only))
				continue;
			run(c, where);
			n++;
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	int c;

	while ((c = getopt(argc, argv, "c:")) != -1) {
		if (c != 'c')
			return 2;
		only = optarg;
	}
	if (run_all(only, argv[optind]) > 0)
		return 0;
	fprintf(stderr, "no such case\n");
	return 2;
}
