/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bed.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rpc.h"

static char dir[64], socket_path[96];
static pid_t daemon_pid;

/* In a child: it ends with the test, however that ends. */
static void die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

static void start_daemon(void)
{
	const pid_t parent = getpid();
	const char *build = getenv("VGPU_BUILD");
	char program[256];

	snprintf(program, sizeof(program), "%s/tests/xenlib/xenlibd", build ? build : "build");
	daemon_pid = fork();
	if (daemon_pid == 0) {
		die_with(parent);
		execl(program, program, socket_path, (char *)NULL);
		perror(program);
		_exit(127);
	}
}

bool bed_real(void)
{
	return getenv("XENLIB_REAL") != NULL;
}

uint32_t bed_own(void)
{
	return bed_real() ? 0 : 1;
}

/* Somebody runs a real xenstored; what the last case left there is removed. */
static int setup_real(void)
{
	struct xs_handle *xs = bed_xs(0);

	assert_true(xs_write(xs, XBT_NULL, "domid", "0", 1));
	assert_true(xs_write(xs, XBT_NULL, "name", "", 0));
	xs_rm(xs, XBT_NULL, "data");
	xs_rm(xs, XBT_NULL, "/a");
	xs_close(xs);
	return 0;
}

int bed_setup(void **state)
{
	struct stat st;

	(void)state;
	if (bed_real())
		return setup_real();
	snprintf(dir, sizeof(dir), "/tmp/vgpu-xenlib.XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(socket_path, sizeof(socket_path), "%s/xen", dir);
	start_daemon();
	for (int ms = 0; stat(socket_path, &st) < 0 && ms < BED_WAIT_MS; ms += 10)
		usleep(10000);
	setenv("XENLIB_SOCKET", socket_path, 1);
	bed_become(0);
	assert_int_equal(bed_command("create 1 guest1 11111111-1111-1111-1111-111111111111", NULL),
			 0);
	assert_int_equal(bed_command("create 2 guest2 22222222-2222-2222-2222-222222222222", NULL),
			 0);
	return 0;
}

int bed_teardown(void **state)
{
	int status = -1;

	(void)state;
	if (bed_real())
		return 0;
	kill(daemon_pid, SIGTERM);
	waitpid(daemon_pid, &status, 0);
	assert_int_equal(rmdir(dir), 0); /* it has removed its sockets */
	assert_int_equal(status, 0);
	return 0;
}

void bed_become(uint32_t domid)
{
	char text[128];

	snprintf(text, sizeof(text), "%u", domid);
	setenv("XENLIB_DOMID", text, 1);
	snprintf(text, sizeof(text), "%s.xs.%u", socket_path, domid);
	setenv("XENSTORED_PATH", text, 1);
}

struct xs_handle *bed_xs(uint32_t domid)
{
	struct xs_handle *xs;

	if (!bed_real())
		bed_become(domid);
	xs = xs_open(0);
	assert_non_null(xs);
	return xs;
}

int bed_command(const char *command, long *n)
{
	struct wire_request rq;
	char text[4096] = "";
	struct rpc_answer answer = { .data = text, .bytes = sizeof(text) - 1 };
	struct rpc rpc;
	size_t bytes = strlen(command) + 1;
	int rc = rpc_open(&rpc, WIRE_KIND_CONTROL, NULL);

	if (rc < 0)
		return rc;
	rpc_init(&rq, WIRE_CONTROL);
	memcpy(rq.text, command, bytes);
	for (size_t i = 0; i < bytes; i++)
		if (rq.text[i] == ' ')
			rq.text[i] = '\0';
	rc = rpc_call(&rpc, &rq, bytes, &answer);
	rpc_close(&rpc);
	if (n)
		*n = strtol(text, NULL, 10);
	return rc;
}

void bed_expect_count(uint32_t domid, const char *what, long n)
{
	char command[64];
	long now = -1;

	snprintf(command, sizeof(command), "count %u %s", domid, what);
	for (int ms = 0; now != n && ms < BED_WAIT_MS; ms += 5) {
		assert_int_equal(bed_command(command, &now), 0);
		if (now != n)
			usleep(5000);
	}
	assert_int_equal(now, n);
}

bool bed_readable(int fd, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1 && (p.revents & POLLIN);
}

pid_t bed_program(void (*body)(int to_parent), int *from_child)
{
	const pid_t parent = getpid();
	int ends[2];
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		die_with(parent);
		close(ends[0]);
		body(ends[1]);
		pause();
		_exit(0);
	}
	close(ends[1]);
	*from_child = ends[0];
	return pid;
}
