/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Starts that must not succeed, and say why; and those that must, whatever lies in the way. */
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "bed.h"

static struct bed b;
static char out[16384];

static int setup(void **state)
{
	(void)state;
	alarm(60);
	bed_make(&b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bed_remove(&b);
	return 0;
}

/* Run it with up to five arguments. */
static int run(const char *a1, const char *a2, const char *a3, const char *a4, const char *a5)
{
	const char *given[] = { "gpu_mediator", a1, a2, a3, a4, a5 };
	char copies[6][256];
	char *args[7] = { NULL };

	for (int i = 0; i < 6 && given[i]; i++) {
		snprintf(copies[i], sizeof(copies[i]), "%s", given[i]);
		args[i] = copies[i];
	}
	return bed_run(&b, out, sizeof(out), args);
}

static bool said(const char *text)
{
	if (strstr(out, text))
		return true;
	print_message("# it did not say \"%s\":\n%s\n", text, out);
	return false;
}

/* With the bed's configuration, stderr as log, and one more option. */
static int run_foreground(const char *option, const char *another)
{
	char config[160];

	snprintf(config, sizeof(config), "--config=%s", b.config);
	return run(config, "-f", "--log=stderr", option, another);
}

static void assert_nothing_started(void)
{
	assert_false(exists(b.client));
	assert_false(exists(b.device));
	assert_false(exists(b.log));
	assert_false(exists(b.pid_file));
}

static void test_usage(void **state)
{
	(void)state;
	assert_int_equal(run("--no-such-option", NULL, NULL, NULL, NULL), 2);
	assert_true(said("--no-such-option"));
	assert_int_equal(run("argument", NULL, NULL, NULL, NULL), 2);
	assert_true(said("unexpected argument \"argument\""));
	assert_int_equal(run("--config", NULL, NULL, NULL, NULL), 2);
	assert_int_equal(run("--worker", NULL, NULL, NULL, NULL), 2);
	assert_int_equal(run("--help", NULL, NULL, NULL, NULL), 0);
	assert_true(said("--check-config"));
	assert_int_equal(run("--version", NULL, NULL, NULL, NULL), 0);
	assert_true(said("protocol 2.0"));
}

static void test_config_errors(void **state)
{
	char line[256];

	(void)state;
	bed_configure(&b, "channels_per_vn = 2\ndeadline_ms = soon\n[mediator]\npool_size = 99");
	assert_int_equal(run_foreground(NULL, NULL), 3);
	snprintf(line, sizeof(line), "%s:12: unknown key \"channels_per_vn\" in [limits]",
		 b.config);
	assert_true(said(line));
	snprintf(line, sizeof(line), "%s:13: [limits] deadline_ms = \"soon\" is not allowed",
		 b.config);
	assert_true(said(line));
	snprintf(line, sizeof(line), "%s:15: [mediator] pool_size = \"99\" is not allowed",
		 b.config);
	assert_true(said(line));
	assert_nothing_started();
	assert_int_equal(run_foreground("--check-config", NULL), 3);
}

static void test_config_missing(void **state)
{
	(void)state;
	unlink(b.config);
	assert_int_equal(run_foreground(NULL, NULL), 3);
	assert_true(said(b.config));
	assert_true(said("No such file or directory"));
	assert_nothing_started();
}

static void test_bad_option_value(void **state)
{
	(void)state;
	assert_int_equal(run_foreground("--backend=quantum", NULL), 3);
	assert_true(said("--backend: [backend] backend = \"quantum\" is not allowed: give one of "
			 "auto, cpu, cuda"));
	assert_nothing_started();
	assert_int_equal(run_foreground("--device-socket=none", "--client-socket=none"), 3);
	assert_true(said("nothing to serve"));
}

static void test_check_config(void **state)
{
	(void)state;
	assert_int_equal(run_foreground("--check-config", NULL), 0);
	assert_true(said("no errors"));
	assert_nothing_started();
}

static void test_socket_path_too_long(void **state)
{
	char option[200];

	(void)state;
	snprintf(option, sizeof(option), "--client-socket=%s/%0100d", b.dir, 1);
	assert_int_equal(run_foreground(option, NULL), 1);
	assert_true(said("path is too long"));
	assert_nothing_started();
}

static void test_socket_already_served(void **state)
{
	char socket[160];
	struct witness witness;
	struct bed first;

	(void)state;
	bed_make(&first);
	bed_start(&first);
	witness_start(&witness, &first);
	snprintf(socket, sizeof(socket), "--client-socket=%s", first.client);
	assert_int_equal(run_foreground(socket, NULL), 5);
	snprintf(socket, sizeof(socket), "in use by process %d", (int)first.mediator);
	assert_true(said(socket));
	assert_nothing_started();
	/* even where the lock file was removed by somebody tidy */
	snprintf(socket, sizeof(socket), "%s.lock", first.client);
	unlink(socket);
	snprintf(socket, sizeof(socket), "--client-socket=%s", first.client);
	assert_int_equal(run_foreground(socket, NULL), 5);
	assert_true(said("already served by another process"));
	assert_nothing_started();
	assert_true(exists(first.client));
	assert_true(witness_end(&witness));
	bed_remove(&first);
}

static void test_socket_not_writable(void **state)
{
	char option[160];

	(void)state;
	/* for root too */
	snprintf(option, sizeof(option), "--client-socket=/proc/vgpu/s");
	assert_int_equal(run_foreground(option, NULL), 1);
	assert_true(said("client socket /proc/vgpu/s: make directory /proc/vgpu: "));
	assert_nothing_started();
	snprintf(option, sizeof(option), "--client-socket=%s/s", b.config);
	assert_int_equal(run_foreground(option, NULL), 1);
	assert_true(said("Not a directory"));
	assert_nothing_started();
}

static void test_socket_permission(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	/* Somebody else's directory, and after exec a root who must heed that: another user
	 * might not even reach the program. */
	assert_int_equal(chown(b.dir, 65534, 65534), 0);
	assert_int_equal(chmod(b.dir, 0755), 0);
	pid = fork();
	if (pid == 0) {
		if (prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) < 0)
			_exit(2);
		if (run_foreground(NULL, NULL) != 1 || !said("Permission denied") ||
		    !said(b.device))
			_exit(1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_nothing_started();
}

static void test_log_not_writable(void **state)
{
	char option[160];

	(void)state;
	snprintf(option, sizeof(option), "--log=%s/missing/log", b.dir);
	assert_int_equal(run_foreground(option, NULL), 1);
	assert_true(said("missing/log: No such file or directory"));
	assert_nothing_started();
}

static void test_no_gpu(void **state)
{
	(void)state;
	if (exists("/dev/nvidiactl"))
		skip();
	assert_int_equal(run_foreground("--backend=cuda", NULL), 4);
	assert_true(said("backend = cuda, and no GPU can be used"));
	assert_nothing_started();
}

static void test_fallback_is_loud(void **state)
{
	FILE *f;

	(void)state;
	if (exists("/dev/nvidiactl"))
		skip();
	f = fopen(b.config, "we");
	fprintf(f,
		"[mediator]\nlog=%s\nlog_level=debug\n[clients]\nsocket=%s\n[devices]\nsocket=%s\n",
		b.log, b.client, b.device);
	fclose(f);
	bed_start(&b);
	assert_true(bed_log_has(&b, "NO GPU IS USED"));
}

static pid_t pid_in(const char *path)
{
	FILE *f = fopen(path, "re");
	int pid = 0;

	if (f) {
		if (fscanf(f, "%d", &pid) != 1)
			pid = 0;
		fclose(f);
	}
	return pid;
}

/* The command returns when the service is up; the PID file names the process. */
static void test_daemon(void **state)
{
	char config[160], pid_file[160];
	struct vgpu *v;
	pid_t pid;

	(void)state;
	snprintf(config, sizeof(config), "--config=%s", b.config);
	snprintf(pid_file, sizeof(pid_file), "--pid-file=%s", b.pid_file);
	/* a file that a dead one left */
	close(open(b.pid_file, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	assert_int_equal(truncate(b.pid_file, 0), 0);
	assert_int_equal(run(config, pid_file, NULL, NULL, NULL), 0);
	pid = pid_in(b.pid_file);
	assert_true(pid > 1 && alive(pid));
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	assert_int_equal(vgpu_nop(v), 0);
	vgpu_close(v);

	/* a second one is told who is first */
	assert_int_equal(run(config, pid_file, "--client-socket=none", NULL, NULL), 5);
	snprintf(config, sizeof(config), "in use by process %d", (int)pid);
	assert_true(said(config));

	kill(pid, SIGTERM);
	assert_true(gone_within(pid, 5000));
	assert_false(exists(b.pid_file));
	assert_false(exists(b.client));
}

static void test_daemon_fails(void **state)
{
	char config[160], socket[200];

	(void)state;
	snprintf(config, sizeof(config), "--config=%s", b.config);
	snprintf(socket, sizeof(socket), "--client-socket=%s/s", b.config);
	assert_int_equal(run(config, socket, "--pid-file=/tmp/../proc/pid", NULL, NULL), 1);
	assert_true(said("PID file")); /* on the terminal, too */
	assert_false(exists(b.client));
}

/* Its number lives on in another program: the lock tells that apart. */
static void test_stale_pid_file(void **state)
{
	char option[160], text[64];
	FILE *f = fopen(b.pid_file, "we");

	(void)state;
	fprintf(f, "%d\n", (int)getppid());
	fclose(f);
	snprintf(option, sizeof(option), "%s/config", b.dir);
	f = fopen(option, "ae");
	fprintf(f, "\n[mediator]\npid_file = %s\n", b.pid_file);
	fclose(f);
	bed_start(&b);
	snprintf(text, sizeof(text), "left behind by process %d", (int)getppid());
	assert_true(bed_log_has(&b, text));
	assert_int_equal(pid_in(b.pid_file), b.mediator);
	kill(b.mediator, SIGTERM);
	assert_int_equal(bed_reap(&b, 5), 0);
	assert_false(exists(b.pid_file));
}

/* A descriptor and a variable of ours: has a worker of a mediator that is started now both? */
static void assert_worker_has(bool expected)
{
	static char environment[1 << 16];
	char path[64], target[64];
	int kept = fcntl(STDERR_FILENO, F_DUPFD, 200);
	bool has_variable;
	pid_t worker;
	ssize_t n;
	int fd;

	setenv("VGPU_FAULTS_MARK", "here", 1);
	bed_start(&b);
	unsetenv("VGPU_FAULTS_MARK");
	worker = bed_any_worker(&b);
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)worker);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, environment, sizeof(environment));
	close(fd);
	if (n < 0 && !expected)
		skip(); /* only root may look */
	assert_true(n > 0);
	has_variable = memmem(environment, (size_t)n, "VGPU_FAULTS_MARK=", 17) != NULL;
	assert_int_equal(has_variable, expected);
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)worker, kept);
	assert_int_equal(readlink(path, target, sizeof(target)) > 0, expected);
	close(kept);
}

static void test_worker_starts_bare(void **state)
{
	(void)state;
	assert_worker_has(false);
	assert_false(bed_log_has(&b, "GPU_MEDIATOR_TEST_TOOL"));
}

static void test_tool_rides_along(void **state)
{
	(void)state;
	setenv("GPU_MEDIATOR_TEST_TOOL", "1", 1);
	assert_worker_has(true);
	unsetenv("GPU_MEDIATOR_TEST_TOOL");
	assert_true(bed_log_has(&b, "GPU_MEDIATOR_TEST_TOOL is set: workers keep all privileges"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_usage),
		TEST(test_config_errors),
		TEST(test_config_missing),
		TEST(test_bad_option_value),
		TEST(test_check_config),
		TEST(test_socket_path_too_long),
		TEST(test_socket_already_served),
		TEST(test_socket_not_writable),
		TEST(test_socket_permission),
		TEST(test_log_not_writable),
		TEST(test_no_gpu),
		TEST(test_fallback_is_loud),
		TEST(test_daemon),
		TEST(test_daemon_fails),
		TEST(test_stale_pid_file),
		TEST(test_worker_starts_bare),
		TEST(test_tool_rides_along),
#undef TEST
	};

	return cmocka_run_group_tests_name("start", tests, NULL, NULL);
}
