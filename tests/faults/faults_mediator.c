/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mediator absent, killed, restarted, told to stop or to read its configuration again. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "bed.h"

static struct bed b;

static int setup(void **state)
{
	(void)state;
	alarm(90);
	bed_make(&b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bed_remove(&b);
	return 0;
}

static void test_absent(void **state)
{
	uint64_t start = now_ms();
	struct vgpu *v;

	(void)state;
	assert_int_equal(bed_open(&b, &v, 1 << 20), VGPU_ENOMEDIATOR);
	assert_null(v);
	assert_true(now_ms() - start < 2000);
	bed_start(&b);
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	assert_int_equal(vgpu_nop(v), 0);
	vgpu_close(v);
}

/* Killed: the call returns at once, the workers are gone, a new mediator serves without ado. */
static void kill_and_restart(struct vgpu *v, struct call *c, pid_t worker, pid_t idle)
{
	uint64_t start;

	bed_kill(&b);
	start = now_ms();
	if (c)
		assert_int_equal(call_result(c), VGPU_EDEVLOST);
	assert_int_equal(vgpu_nop(v), VGPU_EDEVLOST);
	assert_true(now_ms() - start < 1000);
	assert_true(gone_within(worker, 5000));
	assert_true(gone_within(idle, 5000));
	vgpu_close(v);
	assert_int_equal(bed_open(&b, &v, 1 << 20), VGPU_ENOMEDIATOR);

	assert_true(exists(b.client)); /* what it left behind does not matter */
	bed_start(&b);
	assert_true(bed_log_has(&b, "left behind, nobody serves it: replaced"));
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	assert_int_equal(vgpu_nop(v), 0);
	vgpu_close(v);
}

static void test_killed_while_idle(void **state)
{
	struct witness witness;
	struct bed other;
	struct vgpu *v;

	(void)state;
	bed_make(&other);
	bed_start(&other);
	witness_start(&witness, &other); /* another mediator's client must not notice */
	bed_start(&b);
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	assert_int_equal(vgpu_nop(v), 0);
	kill_and_restart(v, NULL, bed_last_worker(&b), bed_any_worker(&b));
	assert_true(witness_end(&witness));
	bed_remove(&other);
}

static void test_killed_within_a_command(void **state)
{
	struct call *c;
	struct vgpu *v;
	pid_t worker;

	(void)state;
	bed_start(&b);
	assert_int_equal(bed_open(&b, &v, BIG_WINDOW), 0);
	worker = bed_last_worker(&b);
	c = call_big(v, worker);
	stop_within(worker, c);
	kill_and_restart(v, c, worker, bed_any_worker(&b));
}

/* A command that runs when the signal comes is finished, then all ends well. */
static void test_drain(void **state)
{
	struct vgpu *v, *late;
	struct call *c;
	pid_t worker;

	(void)state;
	bed_start(&b);
	assert_int_equal(bed_open(&b, &v, BIG_WINDOW), 0);
	worker = bed_last_worker(&b);
	c = call_big(v, worker);
	stop_within(worker, c);
	kill(b.mediator, SIGTERM);
	assert_true(bed_log_will_have(&b, "SIGTERM: stopping"));
	assert_int_not_equal(bed_open(&b, &late, 1 << 20), 0); /* nobody new */
	assert_false(call_done(c));
	kill(worker, SIGCONT);
	assert_int_equal(call_result(c), 0);
	assert_int_equal(bed_reap(&b, 5), 0);
	assert_int_not_equal(vgpu_nop(v), 0);
	vgpu_close(v);
	assert_false(exists(b.client));
	assert_false(exists(b.device));
	assert_true(gone_within(worker, 1000));
}

static void test_drain_timeout(void **state)
{
	uint64_t start;
	struct call *c;
	struct vgpu *v;
	pid_t worker;

	(void)state;
	bed_configure(&b, "[mediator]\ndrain_timeout_s = 1");
	bed_start(&b);
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	worker = bed_last_worker(&b);
	kill(worker, SIGSTOP);
	c = call_nop(v);
	start = now_ms();
	kill(b.mediator, SIGTERM);
	assert_int_equal(bed_reap(&b, 10), 0);
	assert_true(now_ms() - start > 900);
	assert_int_not_equal(call_result(c), 0);
	assert_false(alive(worker));
	vgpu_close(v);
}

static void test_second_signal(void **state)
{
	uint64_t start = now_ms();
	struct vgpu *v;

	(void)state;
	bed_start(&b);
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	kill(bed_last_worker(&b), SIGSTOP);
	kill(b.mediator, SIGTERM);
	assert_true(bed_log_will_have(&b, "SIGTERM: stopping"));
	kill(b.mediator, SIGINT);
	assert_int_equal(bed_reap(&b, 5), 0);
	assert_true(now_ms() - start < 9000); /* not the 10 s of drain_timeout_s */
	assert_true(bed_log_has(&b, "SIGINT again: stopping at once"));
	vgpu_close(v);
}

static void test_reload(void **state)
{
	struct witness witness;
	struct vgpu *v, *second;

	(void)state;
	bed_start(&b);
	witness_start(&witness, &b);
	bed_configure(&b, "channels_per_vm = 2\n[backend]\ndevice = 3\n");
	kill(b.mediator, SIGHUP);
	assert_true(bed_log_will_have(&b, "[limits] channels_per_vm: \"64\" is now \"2\""));
	assert_true(bed_log_will_have(&b, "[backend] device: stays \"0\"; \"3\" needs a restart"));
	assert_true(bed_log_will_have(&b, "reload: done, 2 changes"));
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	assert_int_equal(bed_open(&b, &second, 1 << 20), VGPU_EQUOTA);
	vgpu_close(v);
	assert_true(bed_log_will_have(&b, "closed: as asked")); /* now there is room again */

	/* a broken file changes nothing */
	bed_configure(&b, "channels_per_vm = none\n");
	kill(b.mediator, SIGHUP);
	assert_true(bed_log_will_have(&b, "channels_per_vm = \"none\" is not allowed"));
	assert_true(bed_log_will_have(&b, "the configuration has errors, nothing of it is used"));
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	assert_int_equal(bed_open(&b, &second, 1 << 20), VGPU_EQUOTA);
	vgpu_close(v);
	assert_true(witness_end(&witness));
}

static void test_log_rotation(void **state)
{
	char moved[160];
	struct bed old;
	struct vgpu *v;

	(void)state;
	bed_start(&b);
	snprintf(moved, sizeof(moved), "%s.1", b.log);
	assert_int_equal(rename(b.log, moved), 0);
	old = b;
	memcpy(old.log, moved, sizeof(old.log));
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	assert_true(bed_log_will_have(&old, "open: worker"));
	kill(b.mediator, SIGHUP);
	assert_true(bed_log_will_have(&b, "reload: done"));
	assert_int_equal(vgpu_message(v, "after the rotation"), 0);
	assert_true(bed_log_will_have(&b, "message: after the rotation"));
	assert_false(bed_log_has(&old, "after the rotation"));
	vgpu_close(v);
}

/* A file system of 64 KiB of our own, which vanishes with this process's child. */
static void full_disk(void)
{
	static char filler[1 << 16];
	char path[80], hog[100];
	struct vgpu *v;
	int fd;

	snprintf(path, sizeof(path), "%s/disk", b.dir);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(unshare(CLONE_NEWNS), 0);
	assert_int_equal(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	assert_int_equal(mount("none", path, "tmpfs", 0, "size=64k"), 0);
	snprintf(hog, sizeof(hog), "%s/hog", path);
	snprintf(b.log, sizeof(b.log), "%s/log", path);
	bed_configure(&b, "");
	bed_start(&b);
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	fd = open(hog, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	while (write(fd, filler, 4096) > 0)
		;
	/* its last page has room for some lines yet */
	for (int i = 0; i < 19; i++) {
		memset(filler, 'm', 400);
		filler[400] = '\0';
		assert_int_equal(vgpu_message(v, filler), 0);
	}
	assert_int_equal(vgpu_nop(v), 0);
	vgpu_close(v);
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	unlink(hog);
	vgpu_close(v);
	assert_true(bed_log_will_have(&b, "lines were lost: No space left on device"));
	kill(b.mediator, SIGTERM);
	assert_int_equal(bed_reap(&b, 5), 0);
	umount(path);
	rmdir(path);
}

static void test_log_disk_full(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0) {
		full_disk();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	rmdir(b.dir);
}

/* Read what the service manager was told until it is @wanted. */
static void await_notice(int fd, const char *wanted)
{
	uint64_t end = now_ms() + 10000;
	char text[1024];

	while (now_ms() < end) {
		ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

		if (n < 0) {
			sleep_ms(5);
			continue;
		}
		text[n] = '\0';
		if (strstr(text, wanted))
			return;
	}
	fail_msg("the service manager was not told %s", wanted);
}

static void test_service_manager(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct vgpu *v;

	(void)state;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/notify", b.dir);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	b.notify = sa.sun_path;
	bed_start(&b);
	await_notice(fd, "READY=1");
	await_notice(fd, "WATCHDOG=1");
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	await_notice(fd, "STATUS=1 channels on ");
	vgpu_close(v);
	kill(b.mediator, SIGHUP);
	await_notice(fd, "RELOADING=1\nMONOTONIC_USEC=");
	await_notice(fd, "READY=1");
	kill(b.mediator, SIGTERM);
	await_notice(fd, "STOPPING=1");
	assert_int_equal(bed_reap(&b, 5), 0);
	close(fd);
}

static void test_idle_sleeps(void **state)
{
	char path[64], line[128];
	long first = 0, second = 0;
	struct vgpu *v;

	(void)state;
	bed_start(&b);
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	sleep_ms(300);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)b.mediator);
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(path, "re");

		assert_non_null(f);
		first = second;
		while (fgets(line, sizeof(line), f))
			if (strncmp(line, "voluntary_ctxt_switches:", 24) == 0)
				second = strtol(line + 24, NULL, 10);
		fclose(f);
		if (i == 0)
			sleep_ms(3000);
	}
	assert_true(second - first < 3);
	vgpu_close(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_absent),
		TEST(test_killed_while_idle),
		TEST(test_killed_within_a_command),
		TEST(test_drain),
		TEST(test_drain_timeout),
		TEST(test_second_signal),
		TEST(test_reload),
		TEST(test_log_rotation),
		TEST(test_log_disk_full),
		TEST(test_service_manager),
		TEST(test_idle_sleeps),
#undef TEST
	};

	return cmocka_run_group_tests_name("mediator", tests, NULL, NULL);
}
