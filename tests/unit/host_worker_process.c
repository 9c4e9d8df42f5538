// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Real worker processes over a socket pair and a memfd: this program with --worker is one. The
 * tests are their supervisor and their guest.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../common/shm.h"
#include "../../host/local_worker.h"
#include "../../host/mediator_throttle.h"
#include "../../host/worker.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_version.h"
#include "fake_backend.h"

#define SELF "/proc/self/exe"
#define HANG_MS 30000 /* nothing here takes longer unless it hangs */
#define ENTRIES 8u
#define WINDOW 65536u

static struct local_worker lw;
static struct local_channel ch;
static struct worker_assign assign;
static char why[256];

static int start(const char *backend, const char *user)
{
	return local_worker_start(&lw, SELF, backend, FAKE_BACKEND_SO, 0, user, why, sizeof(why));
}

/* A worker that serves a channel; @assign as the test has filled it. */
static void serve(const char *backend)
{
	assert_int_equal(start(backend, NULL), 0);
	assert_int_equal(local_channel_init(&ch, ENTRIES, WINDOW), 0);
	assert_int_equal(local_worker_assign(&lw, &ch, &assign, why, sizeof(why)), 0);
}

static int setup(void **state)
{
	(void)state;
	lw = (struct local_worker){ .control = -1 };
	ch = (struct local_channel){ .memfd = -1, .to_host = -1, .to_guest = -1 };
	assign = (struct worker_assign){
		.channel = 3, .spin_us = 20, .spin_max_us = 10000, .vm = "test"
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	local_channel_dispose(&ch);
	local_worker_dispose(&lw);
	return 0;
}

static int32_t call(struct vgpu_request *req)
{
	struct vgpu_response rsp;

	assert_int_equal(local_channel_call(&ch, &lw, req, &rsp, HANG_MS), 0);
	return rsp.status;
}

static int32_t nop(void)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };

	return call(&req);
}

static struct vgpu_request add_request(uint32_t n)
{
	const struct vgpu_vector_add_args args = { .a = 0, .b = 8192, .c = 16384, .n = n };
	struct vgpu_request req = { .cmd = VGPU_CMD_VECTOR_ADD };

	memcpy(req.args, &args, sizeof(args));
	return req;
}

static int32_t add(uint32_t n)
{
	struct vgpu_request req = add_request(n);

	return call(&req);
}

/* The worker says why it ends, tells the guest in shared memory, and is gone. */
static void ends_telling(int reason, const char *text, int told)
{
	struct worker_ended m;
	uint32_t closed;
	char byte;

	assert_int_equal(local_worker_expect(&lw, WORKER_ENDED, &m, sizeof(m), HANG_MS), sizeof(m));
	assert_int_equal(m.reason, reason);
	if (!strstr(m.why, text))
		fail_msg("\"%s\" does not say \"%s\"", m.why, text);
	assert_int_equal(local_worker_receive(&lw, &byte, 1, HANG_MS), 0);
	closed = shm_load((uint32_t *)(void *)(ch.index + VGPU_INDEX_HOST_CLOSED));
	assert_int_equal((int32_t)closed, told);
}

static void ends(int reason, const char *text)
{
	ends_telling(reason, text, reason);
}

static void guest_was_signalled(void)
{
	struct pollfd p = { .fd = ch.to_guest, .events = POLLIN };

	assert_int_equal(poll(&p, 1, HANG_MS), 1);
}

static void send_stop(void)
{
	const struct worker_stop m = { .type = WORKER_STOP };

	assert_int_equal(send(lw.control, &m, sizeof(m), 0), sizeof(m));
}

/* A field of /proc/PID/status as text. */
static void status_field(pid_t pid, const char *name, char *out, size_t size)
{
	char path[64], line[256];
	const char *value;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	assert_non_null(f);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, name, strlen(name)) != 0 || line[strlen(name)] != ':')
			continue;
		line[strcspn(line, "\n")] = '\0';
		value = line + strlen(name) + 1;
		value += strspn(value, " \t");
		snprintf(out, size, "%s", value);
	}
	fclose(f);
}

static void test_commands(void **state)
{
	float *a, *b;
	const float *sum;

	(void)state;
	serve("cpu");
	a = (float *)(void *)ch.window;
	b = (float *)(void *)(ch.window + 8192);
	sum = (const float *)(const void *)(ch.window + 16384);
	for (int i = 0; i < 1000; i++) {
		a[i] = (float)i;
		b[i] = 0.5f;
	}
	for (int i = 0; i < 1000; i++)
		assert_int_equal(nop(), 0);
	assert_int_equal(add(1000), 0);
	for (int i = 0; i < 1000; i++)
		assert_true(sum[i] == (float)i + 0.5f);
}

static void test_without_polling(void **state)
{
	(void)state;
	assign.spin_us = 0;
	assign.deadline_ms = 100;
	serve("cpu");
	for (int i = 0; i < 300; i++)
		assert_int_equal(nop(), 0);
}

static void put(const struct vgpu_request *req)
{
	assert_true(local_channel_send(&ch, req) >= 0);
}

static void test_pipelined(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };
	struct vgpu_response rsp;
	uint64_t end_us = clock_us() + HANG_MS * 1000ull;
	uint32_t sent = 0, done = 0;

	(void)state;
	serve("cpu");
	while (done < 20000) {
		while (sent - done < ENTRIES) {
			req.id = sent++;
			put(&req);
		}
		if (spsc_consume(&ch.rsp, &rsp))
			assert_int_equal(rsp.id, done++);
		else
			assert_true(clock_us() < end_us);
	}
}

static void test_bad_request_leaves_channel_alive(void **state)
{
	struct vgpu_request req = { .cmd = 4711 };

	(void)state;
	serve("cpu");
	assert_int_equal(call(&req), VGPU_ENOCMD);
	assert_int_equal(nop(), 0);
}

static void test_message_reaches_supervisor(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MESSAGE, .data_len = 5 };
	struct worker_text m;

	(void)state;
	serve("cpu");
	memcpy(ch.window, "a\nbcd", 5);
	assert_int_equal(call(&req), 0);
	assert_int_equal(local_worker_receive(&lw, &m, sizeof(m), HANG_MS), sizeof(m));
	assert_int_equal(m.type, WORKER_MESSAGE);
	assert_int_equal(m.length, 5);
	assert_memory_equal(m.text, "a\nbcd", 5);
}

static void test_message_to_deaf_supervisor(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MESSAGE, .data_len = 5 };
	int32_t status = 0;

	(void)state;
	serve("cpu");
	for (int i = 0; i < 100000 && status == 0; i++)
		status = call(&req);
	assert_int_equal(status, VGPU_ETHROTTLED);
	assert_int_equal(nop(), 0);
}

/* Slots that carry any number but the next one are not there: nothing is run, nothing ends. */
static void test_slots_of_other_numbers(void **state)
{
	static const uint32_t numbers[] = { 0, 1, 3, 2 + ENTRIES, ENTRIES, UINT32_MAX, 0x80000002 };
	const struct vgpu_request nop_request = { .cmd = VGPU_CMD_NOP };
	struct vgpu_request *slots;
	struct vgpu_response rsp;

	(void)state;
	serve("cpu");
	slots = ch.req.at.slots;
	assert_int_equal(nop(), 0);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		for (uint32_t n = 1; n < ENTRIES; n++) {
			slots[n] = nop_request;
			slots[n].seq = numbers[i];
		}
		eventfd_write(ch.to_host, 1);
		usleep(5000);
		assert_false(spsc_consume(&ch.rsp, &rsp));
	}
	assert_int_equal(nop(), 0);
}

static void test_response_index_beyond_ring(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };

	(void)state;
	serve("cpu");
	shm_store(ch.rsp.at.cons, 77);
	for (uint32_t i = 0; i < ENTRIES; i++)
		put(&req);
	while (spsc_room(&ch.req) < ENTRIES)
		usleep(1000);
	put(&req);
	ends(VGPU_EPROTO, "index in the response ring");
	guest_was_signalled();
}

static void test_responses_not_taken(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };

	(void)state;
	serve("cpu");
	for (uint32_t i = 0; i <= ENTRIES; i++) {
		while (spsc_room(&ch.req) == 0)
			usleep(1000);
		put(&req);
	}
	ends(VGPU_EPROTO, "more responses");
}

static void test_stop_while_polling(void **state)
{
	(void)state;
	assign.spin_us = 60000000;
	serve("cpu");
	assert_int_equal(nop(), 0);
	usleep(20000);
	send_stop();
	ends(0, "stopped");
}

static void test_stop_while_asleep(void **state)
{
	(void)state;
	assign.spin_us = 0;
	serve("cpu");
	assert_int_equal(nop(), 0);
	usleep(20000);
	send_stop();
	ends(0, "stopped");
}

static void test_stop_before_a_channel(void **state)
{
	struct worker_ended m;

	(void)state;
	assert_int_equal(start("cpu", NULL), 0);
	send_stop();
	assert_int_equal(local_worker_receive(&lw, &m, sizeof(m), HANG_MS), sizeof(m));
	assert_int_equal(m.type, WORKER_ENDED);
	assert_int_equal(m.reason, 0);
}

static void test_stop_finishes_the_command(void **state)
{
	struct vgpu_request req = add_request(FAKE_IS_SLOW);
	struct vgpu_response rsp;

	(void)state;
	serve("cuda");
	put(&req);
	while (spsc_room(&ch.req) < ENTRIES)
		usleep(1000); /* it has been taken */
	send_stop();
	ends(0, "stopped");
	assert_true(spsc_consume(&ch.rsp, &rsp));
	assert_int_equal(rsp.status, 0);
}

static void test_deadline(void **state)
{
	struct vgpu_request req = add_request(FAKE_HANGS);
	struct vgpu_response rsp;

	(void)state;
	assign.deadline_ms = 200;
	serve("cuda");
	assert_int_equal(add(FAKE_IS_SLOW - 1000), 0);
	usleep(300000); /* the watchdog goes to sleep, and must be woken */
	/* The signal that it was closed wakes the guest, which finds no response. */
	assert_int_equal(local_channel_call(&ch, &lw, &req, &rsp, HANG_MS), -ENOTCONN);
	ends(VGPU_EDEADLINE, "200 ms");
}

static void test_deadline_spares_slow_command(void **state)
{
	(void)state;
	assign.deadline_ms = 1600; /* a fifth of a second a sample: it sees the command twice */
	serve("cuda");
	assert_int_equal(add(FAKE_IS_SLOW), 0);
	assert_int_equal(nop(), 0);
}

static void test_no_deadline(void **state)
{
	(void)state;
	serve("cuda");
	assert_int_equal(add(FAKE_IS_SLOW), 0);
}

/* A guest that makes the signal to itself block is ended like one whose command hangs. */
static void test_deadline_covers_notification(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };

	(void)state;
	assign.deadline_ms = 200;
	serve("cpu");
	assert_int_equal(eventfd_write(ch.to_guest, UINT64_MAX - 1), 0);
	shm_store(ch.rsp.at.event, 1);
	put(&req);
	ends(VGPU_EDEADLINE, "200 ms");
}

static void test_error_that_passes(void **state)
{
	(void)state;
	serve("cuda");
	assert_int_equal(add(FAKE_FAILS_ONCE), 2);
	assert_int_equal(nop(), 0);
}

static void test_lost_context_ends_worker(void **state)
{
	(void)state;
	serve("cuda");
	assert_int_equal(add(FAKE_FAILS_FOR_GOOD), 700);
	ends_telling(VGPU_EBACKEND, "backend", 700);
}

static void test_hang_up_ends_worker(void **state)
{
	int status;

	(void)state;
	serve("cpu");
	close(lw.control);
	lw.control = -1;
	assert_int_equal(waitpid(lw.pid, &status, 0), lw.pid);
	assert_true(WIFEXITED(status));
	lw.pid = 0;
}

static void test_memory_fault(void **state)
{
	struct worker_ended m;

	(void)state;
	serve("cpu");
	assert_int_equal(kill(lw.pid, SIGBUS), 0);
	assert_int_equal(local_worker_expect(&lw, WORKER_ENDED, &m, sizeof(m), HANG_MS), sizeof(m));
	assert_int_equal(m.reason, VGPU_EMEMORY);
}

/* Holds what it inherited until @hold is closed elsewhere. */
static void hold_on(int hold[2])
{
	char byte;

	close(hold[1]);
	while (read(hold[0], &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* Starts a worker, has another process share its control socket, tells its pid, and waits. */
static void be_supervisor(int report, int hold[2])
{
	if (start("cpu", NULL) || local_channel_init(&ch, ENTRIES, WINDOW) ||
	    local_worker_assign(&lw, &ch, &assign, why, sizeof(why)))
		_exit(1);
	if (fork() == 0)
		hold_on(hold);
	if (write(report, &lw.pid, sizeof(lw.pid)) != sizeof(lw.pid))
		_exit(1);
	for (;;)
		pause();
}

/* Its parent dies by SIGKILL, while another process holds the socket: the worker dies too. */
static void test_supervisor_killed(void **state)
{
	int report[2], hold[2], status;
	pid_t stand_in, worker;

	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	assert_int_equal(pipe(report), 0);
	assert_int_equal(pipe(hold), 0);
	stand_in = fork();
	assert_true(stand_in >= 0);
	if (stand_in == 0)
		be_supervisor(report[1], hold);
	assert_int_equal(read(report[0], &worker, sizeof(worker)), sizeof(worker));
	kill(stand_in, SIGKILL);
	assert_int_equal(waitpid(stand_in, &status, 0), stand_in);
	/* As subreaper we inherit the worker, and see how it ended. */
	assert_int_equal(waitpid(worker, &status, 0), worker);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	for (int i = 0; i < 2; i++) {
		close(report[i]);
		close(hold[i]);
	}
	assert_true(wait(&status) > 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void test_signals_of_the_terminal(void **state)
{
	(void)state;
	serve("cpu");
	kill(lw.pid, SIGINT);
	kill(lw.pid, SIGTERM);
	kill(lw.pid, SIGHUP);
	assert_int_equal(nop(), 0);
}

static void test_privileges(void **state)
{
	char field[256];

	(void)state;
	serve("cpu");
	status_field(lw.pid, "NoNewPrivs", field, sizeof(field));
	assert_string_equal(field, "1");
	status_field(lw.pid, "Seccomp", field, sizeof(field));
	assert_string_equal(field, "2");
	status_field(lw.pid, "CapEff", field, sizeof(field));
	assert_string_equal(field, "0000000000000000");
	status_field(lw.pid, "CapPrm", field, sizeof(field));
	assert_string_equal(field, "0000000000000000");
	if (geteuid() == 0) {
		status_field(lw.pid, "CapBnd", field, sizeof(field));
		assert_string_equal(field, "0000000000000000");
	}
}

static void test_user(void **state)
{
	char field[256], wanted[64];
	const struct passwd *pw = getpwnam("nobody");
	const gid_t groups[] = { 1, 2 };
	unsigned int uid;

	(void)state;
	if (geteuid() != 0 || !pw)
		skip();
	uid = pw->pw_uid;
	assert_int_equal(setgroups(2, groups), 0);
	assert_int_equal(start("cpu", "nobody"), 0);
	assert_int_equal(setgroups(0, NULL), 0);
	status_field(lw.pid, "Uid", field, sizeof(field));
	snprintf(wanted, sizeof(wanted), "%u\t%u\t%u\t%u", uid, uid, uid, uid);
	assert_string_equal(field, wanted);
	status_field(lw.pid, "Groups", field, sizeof(field));
	assert_string_equal(field, "");
	assert_int_equal(local_channel_init(&ch, ENTRIES, WINDOW), 0);
	assert_int_equal(local_worker_assign(&lw, &ch, &assign, why, sizeof(why)), 0);
	assert_int_equal(nop(), 0);
}

static void test_unknown_user(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_true(start("cpu", "no-such-user-here") < 0);
	assert_non_null(strstr(why, "no-such-user-here"));
}

static void test_system_calls_denied(void **state)
{
	(void)state;
	serve("cuda");
	/* A number above 0 is that of the attempt that came through; see fake_backend.c. */
	assert_int_equal(add(FAKE_TRIES_TO_ESCAPE), 0);
}

static void test_descriptors_closed(void **state)
{
	char path[64];
	DIR *dir;
	int extra = fcntl(2, F_DUPFD, 20), n = 0;

	(void)state;
	setenv("GPU_MEDIATOR_TEST_DUMPABLE", "1", 1);
	serve("cpu");
	unsetenv("GPU_MEDIATOR_TEST_DUMPABLE");
	close(extra);
	snprintf(path, sizeof(path), "/proc/%d/fd", lw.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	/* ., .., three standard ones, control socket, two eventfds, the watchdog's */
	assert_int_equal(n, 2 + 3 + 1 + 2 + 1);
}

static void same_as_here(const char *name)
{
	char here[256], there[256];

	status_field(getpid(), name, here, sizeof(here));
	status_field(lw.pid, name, there, sizeof(there));
	assert_string_equal(there, here);
}

static void test_tool_keeps_what_it_needs(void **state)
{
	char path[64], target[64];
	int extra = fcntl(2, F_DUPFD, 20);

	(void)state;
	setenv(WORKER_TOOL_VARIABLE, "1", 1);
	assert_int_equal(start("cpu", "nobody"), 0);
	unsetenv(WORKER_TOOL_VARIABLE);
	close(extra);
	same_as_here("Uid");
	same_as_here("CapPrm");
	same_as_here("NoNewPrivs");
	same_as_here("Seccomp");
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", lw.pid, extra);
	assert_true(readlink(path, target, sizeof(target)) > 0);
}

static unsigned long switches(void)
{
	char path[128], field[64];
	unsigned long sum = 0;
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", lw.pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		status_field(atoi(e->d_name), "voluntary_ctxt_switches", field, sizeof(field));
		sum += strtoul(field, NULL, 10);
	}
	closedir(dir);
	return sum;
}

static void test_idle_channel_wakes_nobody(void **state)
{
	unsigned long before;

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip(); /* its own thread wakes ten times a second */
#endif
	assign.deadline_ms = 80; /* ten milliseconds a sample while in use */
	serve("cpu");
	assert_int_equal(nop(), 0);
	usleep(300000);
	before = switches();
	usleep(300000);
	assert_int_equal(switches(), before);
	assert_int_equal(nop(), 0);
}

/* Hands over a channel that must be refused; returns the status. */
static int refused(void)
{
	int rc;

	assert_int_equal(start("cpu", NULL), 0);
	rc = local_worker_assign(&lw, &ch, &assign, why, sizeof(why));
	assert_true(rc < 0);
	assert_true(strlen(why) > 0);
	local_worker_dispose(&lw);
	return rc;
}

static void test_refuses_foreign_version(void **state)
{
	(void)state;
	assert_int_equal(local_channel_init(&ch, ENTRIES, WINDOW), 0);
	((struct vgpu_channel_header *)(void *)ch.base)->version = 9u << 16;
	assert_int_equal(refused(), VGPU_EVERSION);
	assert_non_null(strstr(why, "9.0"));
	assert_non_null(strstr(why, "2.0"));
}

static void test_refuses_unsealed_memory(void **state)
{
	(void)state;
	assert_int_equal(local_channel_init(&ch, ENTRIES, WINDOW), 0);
	close(ch.memfd);
	ch.memfd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(ch.memfd, (off_t)ch.length), 0);
	assert_int_equal(refused(), VGPU_EMEMORY);
	assert_non_null(strstr(why, "not sealed"));
}

static void test_refuses_short_memory(void **state)
{
	(void)state;
	assert_int_equal(local_channel_init(&ch, ENTRIES, WINDOW), 0);
	ch.length += VGPU_PAGE_BYTES;
	assert_int_equal(refused(), VGPU_EMEMORY);
	ch.length -= VGPU_PAGE_BYTES;
	assert_non_null(strstr(why, "beyond its end"));
}

static void test_refuses_what_is_no_eventfd(void **state)
{
	int pair[2];

	(void)state;
	assert_int_equal(local_channel_init(&ch, ENTRIES, WINDOW), 0);
	assert_int_equal(pipe(pair), 0);
	close(ch.to_guest);
	ch.to_guest = pair[1];
	assert_int_equal(refused(), VGPU_EINVAL);
	assert_non_null(strstr(why, "no eventfd"));
	close(pair[0]);
}

int main(int argc, char **argv)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_commands),
		CASE(test_without_polling),
		CASE(test_pipelined),
		CASE(test_bad_request_leaves_channel_alive),
		CASE(test_message_reaches_supervisor),
		CASE(test_message_to_deaf_supervisor),
		CASE(test_slots_of_other_numbers),
		CASE(test_response_index_beyond_ring),
		CASE(test_responses_not_taken),
		CASE(test_stop_while_polling),
		CASE(test_stop_while_asleep),
		CASE(test_stop_before_a_channel),
		CASE(test_stop_finishes_the_command),
		CASE(test_deadline),
		CASE(test_deadline_spares_slow_command),
		CASE(test_no_deadline),
		CASE(test_deadline_covers_notification),
		CASE(test_error_that_passes),
		CASE(test_lost_context_ends_worker),
		CASE(test_hang_up_ends_worker),
		CASE(test_memory_fault),
		CASE(test_supervisor_killed),
		CASE(test_signals_of_the_terminal),
		CASE(test_privileges),
		CASE(test_user),
		CASE(test_unknown_user),
		CASE(test_system_calls_denied),
		CASE(test_descriptors_closed),
		CASE(test_tool_keeps_what_it_needs),
		CASE(test_idle_channel_wakes_nobody),
		CASE(test_refuses_foreign_version),
		CASE(test_refuses_unsealed_memory),
		CASE(test_refuses_short_memory),
		CASE(test_refuses_what_is_no_eventfd),
	};

	if (argc > 1 && strcmp(argv[1], "--worker") == 0)
		return worker_main(argc, argv);
	return cmocka_run_group_tests_name("host_worker_process", tests, NULL, NULL);
}
