/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Files that say who serves: PID file, socket and its lock. Fresh, stale, taken, impossible. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "../../host/mediator_listen.h"
#include "fake_peer.h"

static char dir[] = "/tmp/vgpu-files-XXXXXX";
static char path[64], lock[80];
static struct mediator *m;

static int setup(void **state)
{
	(void)state;
	m = fake_mediator(NULL);
	strcpy(dir + sizeof(dir) - 7, "XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/s", dir);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_mediator_free(m);
	unlink(path);
	unlink(lock);
	return rmdir(dir);
}

static struct endpoint_config endpoint(const char *socket)
{
	struct endpoint_config c = { .enabled = true, .mode = 0640 };

	snprintf(c.socket, sizeof(c.socket), "%s", socket);
	return c;
}

static void write_file(const char *name, const char *content)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	close(fd);
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0;
}

/* Somebody else's listening socket; closed, it leaves its file behind. */
static int listen_there(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_pid_file(void **state)
{
	struct lockfile l = LOCKFILE_NONE, second = LOCKFILE_NONE;
	char text[64], wanted[64];
	FILE *f;

	(void)state;
	assert_int_equal(lockfile_take(&l, path, "PID file"), 0);
	f = fopen(path, "r");
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	snprintf(wanted, sizeof(wanted), "%d\n", (int)getpid());
	assert_string_equal(text, wanted);

	assert_int_equal(lockfile_take(&second, path, "PID file"), -EBUSY);
	snprintf(wanted, sizeof(wanted), "in use by process %d", (int)getpid());
	assert_true(log_said(wanted));
	lockfile_release(&second);
	assert_true(exists(path));
	lockfile_release(&l);
	assert_false(exists(path));
	lockfile_release(&l);
}

static void test_stale_pid_file(void **state)
{
	struct lockfile l = LOCKFILE_NONE;

	(void)state;
	write_file(path, "4194303\n");
	assert_int_equal(lockfile_take(&l, path, "PID file"), 0);
	assert_true(log_said("left behind by process 4194303"));
	lockfile_release(&l);
	/* half written, or not by us */
	write_file(path, "");
	assert_int_equal(lockfile_take(&l, path, "PID file"), 0);
	lockfile_release(&l);
	write_file(path, "what?");
	assert_int_equal(lockfile_take(&l, path, "PID file"), 0);
	lockfile_release(&l);
}

/* The number in it may be another program's by now: only the lock tells. */
static void test_pid_file_of_a_reused_number(void **state)
{
	struct lockfile l = LOCKFILE_NONE;
	char text[32];

	(void)state;
	snprintf(text, sizeof(text), "%d\n", (int)getppid());
	write_file(path, text);
	assert_int_equal(lockfile_take(&l, path, "PID file"), 0);
	lockfile_release(&l);
}

static void test_pid_file_is_a_link(void **state)
{
	struct lockfile l = LOCKFILE_NONE;

	(void)state;
	write_file(lock, "precious");
	assert_int_equal(symlink(lock, path), 0);
	assert_int_equal(lockfile_take(&l, path, "PID file"), -ELOOP);
	assert_true(exists(path));
}

static void test_listen(void **state)
{
	struct endpoint_config c = endpoint(path);
	struct listener l = LISTENER_NONE, second = LISTENER_NONE;
	struct stat st;

	(void)state;
	assert_int_equal(listener_open(&l, m, PEER_CLIENT, &c), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(listener_open(&second, m, PEER_CLIENT, &c), -EBUSY);
	assert_true(exists(path));
	listener_close(&l);
	assert_false(exists(path));
	assert_false(exists(lock));
	listener_close(&l);
}

static void test_stale_socket(void **state)
{
	struct endpoint_config c = endpoint(path);
	struct listener l = LISTENER_NONE;

	(void)state;
	close(listen_there());
	write_file(lock, "4194303\n");
	assert_int_equal(listener_open(&l, m, PEER_DEVICE, &c), 0);
	assert_true(log_said("left behind, nobody serves it: replaced"));
	assert_true(log_said("left behind by process 4194303"));
	listener_close(&l);
}

static void test_served_by_a_stranger(void **state)
{
	struct endpoint_config c = endpoint(path);
	struct listener l = LISTENER_NONE;
	int fd = listen_there();

	(void)state;
	assert_int_equal(listener_open(&l, m, PEER_DEVICE, &c), -EBUSY);
	assert_true(log_said("already served by another process"));
	assert_true(exists(path));
	assert_false(exists(lock));
	close(fd);
}

static void test_file_in_the_way(void **state)
{
	struct endpoint_config c = endpoint(path);
	struct listener l = LISTENER_NONE;

	(void)state;
	write_file(path, "precious");
	assert_int_equal(listener_open(&l, m, PEER_DEVICE, &c), -EEXIST);
	assert_true(log_said("a file that is no socket"));
	assert_true(exists(path));
	assert_false(exists(lock));
}

static void test_impossible_places(void **state)
{
	char longest[CONFIG_TEXT_MAX];
	struct listener l = LISTENER_NONE;
	struct endpoint_config c;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[120] = '\0';
	c = endpoint(longest);
	assert_int_equal(listener_open(&l, m, PEER_DEVICE, &c), -ENAMETOOLONG);
	assert_true(log_said("path is too long: 120 bytes, the system allows 107"));
	c = endpoint("/nonexistent/deep/s");
	assert_int_equal(listener_open(&l, m, PEER_DEVICE, &c), -ENOENT);
	assert_true(log_said("make directory /nonexistent/deep: No such file or directory"));
	c = endpoint("/proc/s");
	assert_true(listener_open(&l, m, PEER_DEVICE, &c) < 0);
	c = endpoint(path);
	strcpy(c.group, "no-such-group-here");
	assert_int_equal(listener_open(&l, m, PEER_DEVICE, &c), -EINVAL);
	assert_true(log_said("there is no group \"no-such-group-here\""));
	assert_false(exists(path));
	assert_false(exists(lock));
}

/* What another put in its place meanwhile is not ours to remove. */
static void test_replaced_meanwhile(void **state)
{
	struct endpoint_config c = endpoint(path);
	struct listener l = LISTENER_NONE;

	(void)state;
	assert_int_equal(listener_open(&l, m, PEER_CLIENT, &c), 0);
	assert_int_equal(unlink(path), 0);
	write_file(path, "precious");
	listener_close(&l);
	assert_true(exists(path));
}

static bool somebody(void *ctx)
{
	(void)ctx;
	return m->peer_count > 0;
}

/* Without descriptors it neither spins nor forgets who knocks. */
static void test_out_of_descriptors(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct endpoint_config c = endpoint(path);
	struct listener l = LISTENER_NONE;
	struct rlimit before;
	int fds[300], n = 0, client;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 256, before.rlim_max }), 0);
	assert_int_equal(listener_open(&l, m, PEER_CLIENT, &c), 0);
	client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(sa.sun_path, path);
	assert_int_equal(connect(client, (struct sockaddr *)&sa, sizeof(sa)), 0);
	while (n < 300 && (fds[n] = dup(client)) >= 0)
		n++;
	assert_true(n < 300);
	for (int i = 0; i < 100; i++)
		event_base_loop(m->base, EVLOOP_NONBLOCK);
	assert_int_equal(log_count("Too many open files"), 1);
	assert_int_equal(m->peer_count, 0);
	while (n)
		close(fds[--n]);
	assert_true(fake_run_until(m, somebody, NULL));
	close(client);
	listener_close(&l);
	setrlimit(RLIMIT_NOFILE, &before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_pid_file),
		TEST(test_stale_pid_file),
		TEST(test_pid_file_of_a_reused_number),
		TEST(test_pid_file_is_a_link),
		TEST(test_listen),
		TEST(test_stale_socket),
		TEST(test_served_by_a_stranger),
		TEST(test_file_in_the_way),
		TEST(test_impossible_places),
		TEST(test_replaced_meanwhile),
		TEST(test_out_of_descriptors),
#undef TEST
	};

	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
