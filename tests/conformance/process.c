// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads, forks and timeouts. */
#include "conformance.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8

struct job {
	pthread_t thread;
	struct vgpu *g; /* NULL: opens its own, again and again */
	int rounds;
	int rc;        /* first failure */
	bool wrong;    /* a result that is not the sum */
	char why[200]; /* why the last opening failed */
};

/* A small vector_add, checked. */
static int checked_add(struct vgpu *g, bool *wrong)
{
	float a[97], b[97], c[97];
	int rc;

	for (int i = 0; i < 97; i++) {
		a[i] = (float)(int16_t)test_random();
		b[i] = (float)(int16_t)test_random();
		c[i] = -1e30f;
	}
	rc = vgpu_vector_add(g, a, b, c, 97, NULL);
	for (int i = 0; rc == 0 && i < 97; i++)
		*wrong |= c[i] != a[i] + b[i];
	return rc;
}

static int one_round(struct vgpu *g, bool *wrong)
{
	struct vgpu_status s;
	int rc;

	switch (test_random() % 4) {
	case 0:
		return vgpu_nop(g);
	case 1:
		return vgpu_query_status(g, &s);
	case 2:
		/* an error of one thread is not seen by another */
		rc = vgpu_call(g, 12345, NULL, 0, NULL, NULL, NULL);
		return rc == VGPU_ENOCMD ? 0 : rc ? rc : VGPU_EIO;
	default:
		return checked_add(g, wrong);
	}
}

static void *work(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < job->rounds && job->rc == 0; i++) {
		struct vgpu *own = NULL;

		if (!job->g) {
			job->rc = test_open(&own);
			snprintf(job->why, sizeof(job->why), "%s", vgpu_last_error(NULL));
		}
		if (job->rc == 0)
			job->rc = one_round(job->g ? job->g : own, &job->wrong);
		vgpu_close(own);
	}
	return NULL;
}

static void run_jobs(struct job *jobs, int n)
{
	for (int i = 0; i < n; i++)
		CHECK(pthread_create(&jobs[i].thread, NULL, work, &jobs[i]) == 0);
	for (int i = 0; i < n; i++)
		pthread_join(jobs[i].thread, NULL);
	for (int i = 0; i < n; i++)
		CHECK(jobs[i].rc == 0 && !jobs[i].wrong, "(thread %d: %s%s %s)", i,
		      vgpu_strerrorname(jobs[i].rc), jobs[i].wrong ? ", wrong sum" : "",
		      jobs[i].why);
}

static void threads_on_one_handle(void)
{
	struct job jobs[THREADS] = { 0 };
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (int i = 0; i < THREADS; i++) {
		jobs[i].g = g;
		jobs[i].rounds = test_rounds(100);
	}
	HELPED(run_jobs(jobs, THREADS));
	EXPECT_ON(g, 0, vgpu_nop(g));
}

static void threads_with_handles(void)
{
	struct job jobs[2] = { 0 }; /* no more channels than any device has */

	for (int i = 0; i < 2; i++)
		jobs[i].rounds = test_rounds(20);
	run_jobs(jobs, 2);
}

/* What a forked child sees, as a bit for each thing that is wrong. */
static int in_child(struct vgpu *parents)
{
	struct vgpu_vector_add_result r;
	struct vgpu_status s;
	float f = 1;
	int bad = 0;

	bad |= (vgpu_nop(parents) != VGPU_EFORKED) << 0;
	bad |= (vgpu_query_status(parents, &s) != VGPU_EFORKED) << 1;
	bad |= (vgpu_vector_add(parents, &f, &f, &f, 1, &r) != VGPU_EFORKED) << 2;
	bad |= (vgpu_vector_add_self_test(parents, &r) != VGPU_EFORKED) << 3;
	bad |= (vgpu_message(parents, "from a child") != VGPU_EFORKED) << 4;
	bad |= (vgpu_call(parents, 1, NULL, 0, NULL, NULL, NULL) != VGPU_EFORKED) << 5;
	bad |= !*vgpu_last_error(parents) << 6;
	return bad;
}

static int wait_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void fork_child_is_refused(void)
{
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	/* a child that closes, one that just ends, one that is killed */
	for (int how = 0; how < 3; how++) {
		pid_t pid = fork();
		int seen;

		CHECK(pid >= 0);
		if (pid == 0) {
			int bad = in_child(g);

			if (how == 0)
				vgpu_close(g);
			if (how == 2)
				kill(getpid(), SIGKILL);
			_exit(bad);
		}
		EXPECT_ON(g, 0, vgpu_nop(g)); /* while the child lives, and after */
		seen = wait_child(pid);
		CHECK(seen == (how == 2 ? 256 + SIGKILL : 0), "(child %d: %#x)", how, seen);
		EXPECT_ON(g, 0, vgpu_nop(g));
		EXPECT_ON(g, 0, vgpu_vector_add_self_test(g, NULL));
	}
}

static void fork_child_opens_its_own(void)
{
	auto_close g = NULL;
	pid_t pid;
	int seen;

#ifdef __SANITIZE_THREAD__
	if (!strncmp(test_options().device ? test_options().device : "", "xen", 3)) {
		test_skipped("Xen's library starts a thread, ThreadSanitizer none after a fork");
		return;
	}
#endif
	EXPECT(0, test_open(&g));
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct vgpu *own = NULL;
		bool wrong = false;
		int bad = 0;

		vgpu_close(g);
		bad |= (test_open(&own) != 0) << 0;
		bad |= (checked_add(own, &wrong) != 0 || wrong) << 1;
		vgpu_close(own);
		_exit(bad);
	}
	EXPECT_ON(g, 0, vgpu_vector_add_self_test(g, NULL));
	seen = wait_child(pid);
	CHECK(seen == 0, "(child: %#x)", seen);
	EXPECT_ON(g, 0, vgpu_nop(g));
}

static void *nops(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < job->rounds && job->rc == 0; i++)
		job->rc = vgpu_nop(job->g);
	return NULL;
}

/* Locks that a thread holds at the fork are held in the child for ever. */
static void fork_beside_a_busy_thread(void)
{
	struct job job = { .rounds = test_rounds(20000) };
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	job.g = g;
	CHECK(pthread_create(&job.thread, NULL, nops, &job) == 0);
	for (int i = test_rounds(20); i > 0; i--) {
		pid_t pid = fork();
		int seen;

		if (pid == 0) {
			int bad;

			alarm(60);
			bad = in_child(g);
			vgpu_close(g);
			_exit(bad);
		}
		seen = wait_child(pid);
		if (seen)
			test_failed(__FILE__, __LINE__, "child", ": %#x", seen);
	}
	pthread_join(job.thread, NULL);
	HELPED((void)0);
	EXPECT(0, job.rc);
}

/* A timeout that is too short for the work: it passes, and the handle stays usable. */
static void timeout(void)
{
	const size_t n = test.quick ? 2 << 20 : 16 << 20;
	auto_free float *v = calloc(n, sizeof(float));
	struct vgpu_options o = test_options();
	int rc = 0, late = 0;
	auto_close g = NULL;
	bool wrong = false;

	o.window_bytes = 64 << 20;
	CHECK(v);
	/* vgpu_open() has the same timeout; a worker may need a moment to be there */
	o.timeout_ms = 20;
	for (int i = 0; i < 200; i++) {
		rc = vgpu_open(&g, &o);
		if (rc == VGPU_EQUOTA && o.window_bytes) /* not every transport has so much */
			o.window_bytes = 0;
		else if (rc != VGPU_ETIMEDOUT)
			break;
	}
	if (rc == VGPU_ETIMEDOUT) {
		test_skipped("too slow to open a channel in 20 ms");
		return;
	}
	EXPECT(0, rc);
	for (int i = test_rounds(5); i > 0; i--) {
		rc = vgpu_vector_add(g, v, v, v, n, NULL);
		CHECK(rc == 0 || rc == VGPU_ETIMEDOUT, "(%s)", vgpu_strerrorname(rc));
		late += rc == VGPU_ETIMEDOUT;
		for (int k = 0; k < 3000 && (rc = vgpu_nop(g)) == VGPU_ETIMEDOUT; k++)
			;
		CHECK(rc == 0, "(after %d timeouts: %s)", late, vgpu_strerrorname(rc));
		for (int k = 0; k < 3000 && (rc = checked_add(g, &wrong)) == VGPU_ETIMEDOUT; k++)
			;
		CHECK(rc == 0 && !wrong, "(%s%s)", vgpu_strerrorname(rc),
		      wrong ? ", wrong sum" : "");
	}
	if (!late)
		test_skipped("this machine is too fast: nothing was late");
}

static void timeout_of_none(void)
{
	struct vgpu_options o = test_options();
	auto_close g = NULL;

	o.timeout_ms = 200000;
	EXPECT(0, vgpu_open(&g, &o));
	for (int i = test_rounds(100); i > 0; i--)
		EXPECT_ON(g, 0, vgpu_nop(g));
}

const struct test_case process_tests[] = {
	{ "threads on one handle", threads_on_one_handle },
	{ "threads that open and close", threads_with_handles },
	{ "forked child is refused, its end disturbs nothing", fork_child_is_refused },
	{ "forked child opens its own", fork_child_opens_its_own },
	{ "fork beside a busy thread", fork_beside_a_busy_thread },
	{ "handle survives its timeouts", timeout },
	{ "long timeout", timeout_of_none },
	{ NULL, NULL },
};
