// SPDX-License-Identifier: GPL-2.0-or-later
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MS 120000

static _Noreturn void run_peer(const char *const argv[], const cpu_set_t *cpus, int in, int out)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_DFL);
	if (cpus && sched_setaffinity(0, sizeof(*cpus), cpus) < 0)
		_exit(127);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	fprintf(stderr, "bench: start %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

void peer_start(struct peer *p, const char *name, const char *const argv[], const cpu_set_t *cpus)
{
	int commands[2], answers[2];

	if (pipe2(commands, O_CLOEXEC) < 0 || pipe2(answers, O_CLOEXEC) < 0)
		bench_die("pipe: %s", strerror(errno));
	*p = (struct peer){ .name = name, .command = "start" };
	/* One that is gone is noticed by its answer. */
	signal(SIGPIPE, SIG_IGN);
	fflush(stdout);
	p->pid = fork();
	if (p->pid < 0)
		bench_die("fork: %s", strerror(errno));
	if (p->pid == 0)
		run_peer(argv, cpus, commands[0], answers[1]);
	close(commands[0]);
	close(answers[1]);
	p->commands = fdopen(commands[1], "w");
	p->answers = fdopen(answers[0], "r");
	if (!p->commands || !p->answers)
		bench_die("out of memory");
}

static int fail(const struct peer *p, const char *what)
{
	fprintf(stderr, "bench: %s: %s: %s\n", p->name, p->command, what);
	return -1;
}

int peer_stop(struct peer *p)
{
	int status;

	fclose(p->commands);
	fclose(p->answers);
	if (waitpid(p->pid, &status, 0) < 0 || status != 0)
		return fail(p, "it did not end well afterwards");
	return 0;
}

void peer_kill(struct peer *p)
{
	kill(p->pid, SIGKILL);
	waitpid(p->pid, NULL, 0);
	fclose(p->commands);
	fclose(p->answers);
}

int peer_ask(struct peer *p, const char *command)
{
	snprintf(p->command, sizeof(p->command), "%s", command);
	if (fprintf(p->commands, "%s\n", command) < 0 || fflush(p->commands) != 0)
		return fail(p, "it is gone");
	return 0;
}

/* *@line is to be freed, whatever is returned; *@answer is in it, after "ok". */
static int read_answer(struct peer *p, char **line, char **answer)
{
	struct pollfd wait = { .fd = fileno(p->answers), .events = POLLIN };
	size_t room = 0;

	*line = NULL;
	if (poll(&wait, 1, ANSWER_MS) != 1)
		return fail(p, "no answer");
	if (getline(line, &room, p->answers) < 0)
		return fail(p, "it ended");
	if (strncmp(*line, "ok", 2) != 0)
		return fail(p, *line);
	*answer = *line + 2;
	return 0;
}

int peer_answer(struct peer *p, struct samples *out)
{
	const size_t before = out->n;
	char *line, *at, *end;
	double value;
	int rc = read_answer(p, &line, &at);

	for (; rc == 0; at = end) {
		value = strtod(at, &end);
		if (end == at)
			break;
		samples_add(out, value);
	}
	if (rc == 0 && out->n == before)
		rc = fail(p, "it measured nothing");
	free(line);
	return rc;
}

int peer_answer_text(struct peer *p, char *text, size_t len)
{
	char *line, *at;
	int rc = read_answer(p, &line, &at);

	if (rc == 0) {
		at += strspn(at, " ");
		at[strcspn(at, "\n")] = '\0';
		snprintf(text, len, "%s", at);
	}
	free(line);
	return rc;
}
