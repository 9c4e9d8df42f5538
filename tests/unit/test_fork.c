/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Handles and fork(): the child gets an error, the parent notices nothing, the host sees who dies. */
#include "guest_test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_host.h"
#include "vgpuguest.h"

#define HANG_S 60 /* a deadlock shows as a child that has to be killed */

static struct fake_host host;
static struct vgpu_options options;
static struct vgpu *vgpu;

static int setup(void **state)
{
	(void)state;
	fake_host_start(&host, NULL);
	vgpu_options_init(&options);
	options.device = strdup(fake_host_device(&host));
	assert_int_equal(vgpu_open(&vgpu, &options), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vgpu_close(vgpu);
	vgpu = NULL;
	fake_host_stop(&host);
	free((char *)(uintptr_t)options.device);
	return 0;
}

/* Run @body in a child, which returns 0 if all is well; else the number of what is not. */
static void in_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		alarm(HANG_S);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("child: wait status %#x", (unsigned int)status);
}

static int every_call_is_refused(void)
{
	struct vgpu_status s;
	float f = 0;

	if (vgpu_nop(vgpu) != VGPU_EFORKED)
		return 1;
	if (vgpu_message(vgpu, "x") != VGPU_EFORKED)
		return 2;
	if (vgpu_query_status(vgpu, &s) != VGPU_EFORKED)
		return 3;
	if (vgpu_vector_add(vgpu, &f, &f, &f, 1, NULL) != VGPU_EFORKED)
		return 4;
	if (vgpu_vector_add_self_test(vgpu, NULL) != VGPU_EFORKED)
		return 5;
	if (vgpu_call(vgpu, 1, NULL, 0, NULL, NULL, NULL) != VGPU_EFORKED)
		return 6;
	if (!strstr(vgpu_last_error(vgpu), "parent"))
		return 7;
	vgpu_close(vgpu);
	return 0;
}

static void test_child_is_refused(void **state)
{
	(void)state;
	in_child(every_call_is_refused);
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_int_equal(host.disconnected, 0);
}

static int just_exit(void)
{
	return 0;
}

static int close_only(void)
{
	vgpu_close(vgpu);
	return 0;
}

static void test_parent_is_unharmed(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		in_child(i % 2 ? just_exit : close_only);
		assert_int_equal(vgpu_nop(vgpu), 0);
	}
	assert_int_equal(host.connections, 1);
}

static int grandchild_too(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(vgpu_nop(vgpu) != VGPU_EFORKED);
	waitpid(pid, &status, 0);
	return status != 0;
}

static void test_grandchild(void **state)
{
	(void)state;
	in_child(grandchild_too);
	assert_int_equal(vgpu_nop(vgpu), 0);
}

static void *call_for_ever(void *arg)
{
	_Atomic int *stop = arg;

	while (!*stop)
		if (vgpu_nop(vgpu))
			return "failed";
	return NULL;
}

static int count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "vgpu-channel") != NULL;
	if (f)
		fclose(f);
	return n;
}

static int mappings; /* of the parent: the library's, and the fake host's, which a child inherits */

static int one_mapping_fewer(void)
{
	return count_mappings() != mappings - 1;
}

static void test_memory_is_not_inherited(void **state)
{
	(void)state;
	mappings = count_mappings();
	assert_int_equal(mappings, 2);
	in_child(one_mapping_fewer);
}

/* Another thread is in the middle of a call, and holds the handle's lock, when fork() comes. */
static void test_fork_during_calls(void **state)
{
	_Atomic int stop = 0;
	pthread_t thread;
	void *failed;

	(void)state;
	pthread_create(&thread, NULL, call_for_ever, &stop);
	for (int i = 0; i < 20; i++)
		in_child(every_call_is_refused);
	stop = 1;
	pthread_join(thread, &failed);
	assert_null(failed);
}

static struct fake_host second;

static int use_own_handle(void)
{
	struct vgpu_options o;
	struct vgpu *own;

	vgpu_options_init(&o);
	o.device = fake_host_device(&second);
	if (vgpu_open(&own, &o))
		return 1;
	if (vgpu_nop(own))
		return 2;
	vgpu_close(own);
	if (vgpu_nop(vgpu) != VGPU_EFORKED)
		return 3;
	vgpu_close(vgpu);
	return 0;
}

static void test_child_opens_its_own(void **state)
{
	(void)state;
	fake_host_start(&second, NULL);
	in_child(use_own_handle);
	assert_int_equal(second.connections, 1);
	assert_int_equal(vgpu_nop(vgpu), 0);
	fake_host_stop(&second);
}

static void *open_and_close(void *arg)
{
	_Atomic int *stop = arg;
	struct vgpu_options o;
	struct vgpu *v;

	vgpu_options_init(&o);
	o.device = fake_host_device(&second);
	while (!*stop) {
		if (vgpu_open(&v, &o))
			return "failed";
		vgpu_close(v);
	}
	return NULL;
}

static void test_fork_during_open_and_close(void **state)
{
	_Atomic int stop = 0;
	pthread_t thread;
	void *failed;

	(void)state;
	fake_host_start(&second, NULL);
	pthread_create(&thread, NULL, open_and_close, &stop);
	for (int i = 0; i < 20; i++)
		in_child(every_call_is_refused);
	stop = 1;
	pthread_join(thread, &failed);
	assert_null(failed);
	fake_host_stop(&second);
}

/*
 * The opener dies without a word while a child of its lives on: the host must see the
 * connection end. The child holds @alive open; its death is the test's to cause.
 */
static void test_death_is_seen_though_a_child_lives(void **state)
{
	int alive[2];
	pid_t opener;
	char c;

	(void)state;
	fake_host_start(&second, NULL);
	assert_int_equal(pipe(alive), 0);
	opener = fork();
	if (opener == 0) {
		struct vgpu_options o;
		struct vgpu *v;

		vgpu_options_init(&o);
		o.device = fake_host_device(&second);
		if (vgpu_open(&v, &o) || vgpu_nop(v))
			_exit(1);
		if (fork() == 0) {
			alarm(HANG_S);
			close(alive[1]);
			if (read(alive[0], &c, 1) < 0) /* until the test closes its end */
				_exit(1);
			_exit(0);
		}
		raise(SIGKILL);
	}
	close(alive[0]);
	waitpid(opener, NULL, 0);
	for (int i = 0; i < HANG_S * 100 && !second.disconnected; i++)
		usleep(10000);
	assert_int_equal(second.disconnected, 1);
	close(alive[1]);
	fake_host_stop(&second);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_child_is_refused),
		T(test_parent_is_unharmed),
		T(test_grandchild),
		T(test_memory_is_not_inherited),
		T(test_fork_during_calls),
		T(test_child_opens_its_own),
		T(test_fork_during_open_and_close),
		T(test_death_is_seen_though_a_child_lives),
	};

	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
