/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Workers that die, hang or run too long: their own client hears of it, nobody else does. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "bed.h"

static struct bed b;
static struct witness witness;

static int setup(void **state)
{
	(void)state;
	alarm(60);
	bed_make(&b);
	bed_configure(&b, "deadline_ms = 400\nwindow_bytes_per_channel = 1G\n");
	bed_start(&b);
	witness_start(&witness, &b);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	bed_remove(&b);
	return 0;
}

/* Which of the two words a client hears first is a matter of microseconds. */
static void assert_lost(int rc)
{
	if (rc != VGPU_EWORKER && rc != VGPU_EDEVLOST)
		fail_msg("got %s, not EWORKER or EDEVLOST", vgpu_strerrorname(rc));
}

/* The worker is gone, its client knows and opens anew, the witness knows nothing. */
static void assert_aftermath(struct vgpu *v, pid_t worker)
{
	struct vgpu *again;

	assert_true(gone_within(worker, 5000));
	assert_int_not_equal(vgpu_nop(v), 0);
	vgpu_close(v);
	assert_int_equal(bed_open(&b, &again, 1 << 20), 0);
	assert_int_equal(vgpu_nop(again), 0);
	vgpu_close(again);
	assert_true(witness_end(&witness));
}

static void test_killed_while_idle(void **state)
{
	struct vgpu *v;
	uint64_t start;
	pid_t worker;

	(void)state;
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	worker = bed_last_worker(&b);
	kill(worker, SIGKILL);
	start = now_ms();
	assert_lost(vgpu_nop(v));
	assert_true(now_ms() - start < 2000);
	assert_true(bed_log_will_have(&b, "killed by signal 9"));
	assert_aftermath(v, worker);
}

static void test_killed_before_it_takes_the_request(void **state)
{
	struct call *c;
	struct vgpu *v;
	pid_t worker;

	(void)state;
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	worker = bed_last_worker(&b);
	kill(worker, SIGSTOP);
	c = call_nop(v);
	sleep_ms(50);
	assert_false(call_done(c));
	kill(worker, SIGKILL);
	assert_lost(call_result(c));
	assert_aftermath(v, worker);
}

static void test_killed_within_a_command(void **state)
{
	struct call *c;
	struct vgpu *v;
	pid_t worker;

	(void)state;
	assert_int_equal(bed_open(&b, &v, BIG_WINDOW), 0);
	worker = bed_last_worker(&b);
	c = call_big(v, worker);
	stop_within(worker, c);
	kill(worker, SIGKILL);
	assert_lost(call_result(c));
	assert_aftermath(v, worker);
}

/* At any moment of a busy exchange: wherever it hits, the client hears of it. */
static void test_killed_at_random(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < 10; i++) {
		struct vgpu *v;
		uint64_t end;
		pid_t worker;
		int rc = 0;

		assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
		worker = bed_last_worker(&b);
		end = now_ms() + i * 3;
		while (now_ms() < end)
			assert_int_equal(vgpu_nop(v), 0);
		kill(worker, SIGKILL);
		end = now_ms() + 3000;
		while (rc == 0 && now_ms() < end)
			rc = vgpu_nop(v);
		assert_lost(rc);
		vgpu_close(v);
	}
	assert_true(witness_end(&witness));
}

/* The one that waits in the pool, once there is one: no channel has it. */
static pid_t pool_worker(void)
{
	uint64_t end = now_ms() + 10000;
	char taken[64];
	pid_t pid;

	while (now_ms() < end) {
		const char *log = bed_log_text(&b), *ready = log;

		while ((ready = strstr(ready, ": ready\n"))) {
			const char *line = ready;

			while (line > log && line[-1] != '\n')
				line--;
			pid = (pid_t)strtol(strstr(line, "worker ") + strlen("worker "), NULL, 10);
			snprintf(taken, sizeof(taken), ": open: worker %d,", (int)pid);
			if (!strstr(log, taken))
				return pid;
			ready++;
		}
		sleep_ms(5);
	}
	fail_msg("no worker in the pool");
	return 0;
}

/* Between taking the channel and saying so. */
static void test_killed_while_attaching(void **state)
{
	pid_t worker = pool_worker(), child;
	struct vgpu *v;
	int status;

	(void)state;
	kill(worker, SIGSTOP);
	child = fork();
	if (child == 0)
		_exit(bed_open(&b, &v, 1 << 20) == VGPU_EWORKER ? 0 : 1);
	sleep_ms(200);
	kill(worker, SIGKILL);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_true(bed_log_will_have(&b, "not opened: "));
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	vgpu_close(v);
	assert_true(witness_end(&witness));
}

static void test_killed_in_the_pool(void **state)
{
	pid_t worker = pool_worker();
	struct vgpu *v;

	(void)state;
	kill(worker, SIGKILL);
	assert_true(bed_log_will_have(&b, "while idle: killed by signal 9"));
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	assert_int_equal(vgpu_nop(v), 0);
	vgpu_close(v);
	assert_true(witness_end(&witness));
}

/*
 * A command that takes long: its worker gets a millisecond of work out of fifty, which is as
 * honest as a slow GPU and a good deal more repeatable.
 */
static void test_deadline(void **state)
{
	struct call *c;
	struct vgpu *v;
	pid_t worker;

	(void)state;
	assert_int_equal(bed_open(&b, &v, BIG_WINDOW), 0);
	worker = bed_last_worker(&b);
	c = call_big(v, worker);
	stop_within(worker, c);
	for (int i = 0; i < 100 && !call_done(c); i++) {
		kill(worker, SIGCONT);
		sleep_ms(1);
		kill(worker, SIGSTOP);
		sleep_ms(50);
	}
	kill(worker, SIGCONT);
	assert_int_equal(call_result(c), VGPU_EDEADLINE);
	assert_true(bed_log_will_have(&b, "longer than 400 ms"));
	assert_aftermath(v, worker);
}

/* One that does not even hear that it shall stop is killed. */
static void test_stuck(void **state)
{
	uint64_t start = now_ms();
	struct vgpu *v;
	pid_t worker;

	(void)state;
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	worker = bed_last_worker(&b);
	kill(worker, SIGSTOP);
	vgpu_close(v);
	assert_true(gone_within(worker, 5000));
	assert_true(now_ms() - start > 1500); /* it had its time */
	assert_true(bed_log_will_have(&b, "did not end in time"));
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	vgpu_close(v);
	assert_true(witness_end(&witness));
}

/* One that never serves its channel is killed as well, and its guest hears what it did not do. */
static void test_stuck_while_attaching(void **state)
{
	pid_t worker = pool_worker();
	struct vgpu *v;

	(void)state;
	alarm(200);
	kill(worker, SIGSTOP);
	assert_int_equal(bed_open_within(&b, &v, 1 << 20, 150000), VGPU_EWORKER);
	assert_non_null(strstr(vgpu_last_error(NULL), "did not attach its channel within 60 s"));
	assert_true(gone_within(worker, 5000));
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	vgpu_close(v);
	assert_true(witness_end(&witness));
}

/* Root's workers are somebody else. */
static void test_user(void **state)
{
	char path[64], line[128];
	unsigned int uid = 0;
	struct vgpu *v;
	FILE *f;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(bed_open(&b, &v, 1 << 20), 0);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)bed_last_worker(&b));
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "Uid: %u", &uid) != 1)
		;
	fclose(f);
	assert_int_not_equal(uid, 0);
	vgpu_close(v);
	assert_true(witness_end(&witness));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_killed_while_idle),
		TEST(test_killed_before_it_takes_the_request),
		TEST(test_killed_within_a_command),
		TEST(test_killed_at_random),
		TEST(test_killed_while_attaching),
		TEST(test_killed_in_the_pool),
		TEST(test_deadline),
		TEST(test_stuck),
		TEST(test_stuck_while_attaching),
		TEST(test_user),
#undef TEST
	};

	return cmocka_run_group_tests_name("worker", tests, NULL, NULL);
}
