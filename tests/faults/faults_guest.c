/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs that die with their channel at any stage; peers that break the rules; limits. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "../../common/frame.h"
#include "../../common/memfd.h"
#include "../../protocol/vgpu_channel.h"
#include "../../protocol/vgpu_errors.h"
#include "bed.h"

static struct bed b;
static struct witness witness;

static int setup_with(const char *config)
{
	alarm(90);
	bed_make(&b);
	bed_configure(&b, config);
	bed_start(&b);
	witness_start(&witness, &b);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_with("");
}

static int setup_limits(void **state)
{
	(void)state;
	/* the witness is one of them: 1 MiB window and its rings */
	return setup_with("channels_per_vm = 4\nchannels_total = 5\n"
			  "window_bytes_per_channel = 4M\nwindow_bytes_per_vm = 6M");
}

static int teardown(void **state)
{
	(void)state;
	bed_remove(&b);
	return 0;
}

/* All is as it was with the witness alone, within 5 s of @since. */
static void assert_recovered(unsigned int descriptors, uint64_t since)
{
	while (bed_workers(&b) != 2 || bed_descriptors(&b) != descriptors) {
		if (now_ms() - since > 5000)
			fail_msg("%u workers, %u descriptors (not 2 and %u)", bed_workers(&b),
				 bed_descriptors(&b), descriptors);
		sleep_ms(10);
	}
	assert_true(witness_end(&witness));
}

/* Descriptors of the mediator at rest: one idle worker, the witness's one. */
static unsigned int at_rest(void)
{
	uint64_t end = now_ms() + 5000;

	while (bed_workers(&b) != 2 && now_ms() < end)
		sleep_ms(5);
	sleep_ms(100);
	return bed_descriptors(&b);
}

/* A program that opens, does @stage and waits to be killed. */
static pid_t program(int (*stage)(struct vgpu *v), size_t window_bytes)
{
	int ready[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct vgpu *v;

		if (bed_open(&b, &v, window_bytes) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		while (stage(v) == 0)
			;
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static int stage_idle(struct vgpu *v)
{
	(void)v;
	return 1;
}

static int stage_nop(struct vgpu *v)
{
	return vgpu_nop(v);
}

static int stage_big(struct vgpu *v)
{
	return call_result(call_big(v, 0));
}

static void die_at(int (*stage)(struct vgpu *v), size_t window_bytes, unsigned int after_ms,
		   bool worker_stopped)
{
	unsigned int descriptors = at_rest();
	pid_t pid = program(stage, window_bytes), worker = bed_last_worker(&b);
	uint64_t since;

	sleep_ms(after_ms);
	if (worker_stopped)
		kill(worker, SIGSTOP);
	kill(pid, SIGKILL);
	since = now_ms();
	waitpid(pid, NULL, 0);
	assert_true(gone_within(worker, 5000));
	assert_recovered(descriptors, since);
}

static void test_dies_idle(void **state)
{
	(void)state;
	die_at(stage_idle, 1 << 20, 0, false);
}

static void test_dies_busy(void **state)
{
	(void)state;
	die_at(stage_nop, 1 << 20, 20, false);
}

static void test_dies_within_a_command(void **state)
{
	(void)state;
	die_at(stage_big, BIG_WINDOW, 30, false);
}

/* Not even a worker that hangs keeps what the dead one held. */
static void test_dies_and_worker_hangs(void **state)
{
	(void)state;
	die_at(stage_big, BIG_WINDOW, 30, true);
}

static int connect_to(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

static void send_hello(int fd, uint32_t version)
{
	struct vgpu_msg_hello msg = {
		.frame = { VGPU_MSG_HELLO, sizeof(msg), 1, 0 },
		.magic = VGPU_SOCKET_MAGIC,
		.version = version,
		.channels = 4,
		.name = "hand-made",
	};

	assert_int_equal(frame_send(fd, &msg, NULL, 0, 1000), 0);
}

static void send_open(int fd, int memory, uint64_t length)
{
	struct vgpu_msg_open msg = { .frame = { VGPU_MSG_OPEN, sizeof(msg), 2, 0 },
				     .length = length };
	int fds[3] = { memory, eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC) };

	assert_int_equal(frame_send(fd, &msg, fds, 3, 1000), 0);
	close(fds[1]);
	close(fds[2]);
}

/* Wait for the next message; false: the mediator hung up. */
static bool receive(struct frame_rx *rx, int fd, union frame_message *msg)
{
	uint64_t end = now_ms() + 5000;
	int fds[VGPU_FRAME_FDS_MAX], rc;

	for (;;) {
		rc = frame_rx_next(rx, msg, fds);
		if (rc == 0)
			return true;
		rc = frame_rx_read(rx, fd);
		if (rc == -ENOTCONN || rc == -ECONNRESET)
			return false;
		assert_true(now_ms() < end);
		if (rc == -EAGAIN)
			sleep_ms(2);
	}
}

static void test_dies_before_hello(void **state)
{
	unsigned int descriptors = at_rest();
	int fd = connect_to(b.client);

	(void)state;
	sleep_ms(20);
	close(fd);
	assert_recovered(descriptors, now_ms());
}

/* Gone while its channel is being opened. */
static void test_dies_while_opening(void **state)
{
	unsigned int descriptors = at_rest();
	int fd = connect_to(b.client), memory = memfd_new_sealed("t", 1 << 20);

	(void)state;
	send_hello(fd, VGPU_PROTOCOL_VERSION);
	send_open(fd, memory, 1 << 20);
	close(fd);
	close(memory);
	assert_recovered(descriptors, now_ms());
}

static void test_other_version(void **state)
{
	unsigned int descriptors = at_rest();
	int fd = connect_to(b.device);
	union frame_message msg;
	struct frame_rx rx;

	(void)state;
	frame_rx_init(&rx);
	send_hello(fd, 9 << 16 | 4);
	assert_true(receive(&rx, fd, &msg));
	assert_int_equal(msg.frame.type, VGPU_MSG_REFUSED);
	assert_int_equal(msg.refused.error, VGPU_EVERSION);
	assert_non_null(strstr(msg.refused.text, "9.4"));
	assert_non_null(strstr(msg.refused.text, "2.0"));
	assert_false(receive(&rx, fd, &msg));
	assert_true(bed_log_will_have(&b, "version 9.4, this mediator 2.0"));
	close(fd);
	assert_recovered(descriptors, now_ms());
}

/* What is sent in OPEN and what comes of it. The connection survives it. */
static int32_t open_status(int memory, uint64_t length, char text[104])
{
	int fd = connect_to(b.device);
	union frame_message msg;
	struct frame_rx rx;

	frame_rx_init(&rx);
	send_hello(fd, VGPU_PROTOCOL_VERSION);
	assert_true(receive(&rx, fd, &msg));
	assert_int_equal(msg.frame.type, VGPU_MSG_WELCOME);
	send_open(fd, memory, length);
	assert_true(receive(&rx, fd, &msg));
	assert_int_equal(msg.frame.type, VGPU_MSG_OPENED);
	memcpy(text, msg.opened.text, 104);
	close(fd);
	close(memory);
	return msg.opened.status;
}

static void test_unsafe_memory(void **state)
{
	unsigned int descriptors = at_rest();
	int unsealed = memfd_create("u", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char path[96], text[104];
	int file;

	(void)state;
	snprintf(path, sizeof(path), "%s/file", b.dir);
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(unsealed, 1 << 20), 0);
	assert_int_equal(ftruncate(file, 1 << 20), 0);
	assert_int_equal(open_status(unsealed, 1 << 20, text), VGPU_EMEMORY);
	assert_non_null(strstr(text, "not sealed"));
	assert_int_equal(open_status(file, 1 << 20, text), VGPU_EMEMORY);
	assert_non_null(strstr(text, "no memfd"));
	assert_int_equal(open_status(memfd_new_sealed("t", 1 << 20), 2 << 20, text), VGPU_EMEMORY);
	assert_non_null(strstr(text, "ends before"));
	/* sealed, large enough, and no channel in it */
	assert_int_equal(open_status(memfd_new_sealed("t", 1 << 20), 1 << 20, text), VGPU_EPROTO);
	assert_recovered(descriptors, now_ms());
}

/* Sealed, it cannot be cut while the worker uses it; the attempt harms nobody. */
static void test_truncation_is_refused(void **state)
{
	int fd = memfd_new_sealed("t", 1 << 20);

	(void)state;
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(errno, EPERM);
	close(fd);
	assert_true(witness_end(&witness));
}

static void test_limits(void **state)
{
	struct vgpu *v[3], *more;

	(void)state;
	assert_int_equal(bed_open(&b, &more, 8 << 20), VGPU_EQUOTA);
	assert_non_null(strstr(vgpu_last_error(NULL), "over the host's limit of 4194304"));
	assert_int_equal(bed_open(&b, &v[0], 3 << 20), 0);
	assert_int_equal(bed_open(&b, &more, 3 << 20), VGPU_EQUOTA);
	assert_non_null(strstr(vgpu_last_error(NULL), "window_bytes_per_vm"));
	assert_int_equal(bed_open(&b, &v[1], 4096), 0);
	assert_int_equal(bed_open(&b, &v[2], 4096), 0);
	assert_int_equal(bed_open(&b, &more, 4096), VGPU_EQUOTA);
	assert_non_null(strstr(vgpu_last_error(NULL), "limits.channels_per_vm is 4"));
	/* those that are open work; one that closes makes room */
	for (int i = 0; i < 3; i++)
		assert_int_equal(vgpu_nop(v[i]), 0);
	vgpu_close(v[0]);
	assert_true(bed_log_will_have(&b, "closed: as asked"));
	assert_int_equal(bed_open(&b, &v[0], 1 << 20), 0);
	for (int i = 0; i < 3; i++)
		vgpu_close(v[i]);
	assert_true(witness_end(&witness));
}

/* 64 channels at once: all work, and the supervisor stays small. */
static void test_64_channels(void **state)
{
	char path[64], line[128];
	struct vgpu *v[63];
	long resident_kib = 0;
	FILE *f;

	(void)state;
	for (int i = 0; i < 63; i++)
		assert_int_equal(bed_open(&b, &v[i], 65536), 0);
	for (int i = 0; i < 63; i++)
		assert_int_equal(vgpu_nop(v[i]), 0);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)b.mediator);
	f = fopen(path, "re");
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "VmRSS:", 6) == 0)
			resident_kib = strtol(line + 6, NULL, 10);
	fclose(f);
	print_message("# supervisor with 64 channels: %ld KiB resident\n", resident_kib);
	assert_true(resident_kib > 0 && resident_kib < 16384);
	for (int i = 0; i < 63; i++)
		vgpu_close(v[i]);
	assert_true(witness_end(&witness));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
		TEST(test_dies_idle),
		TEST(test_dies_busy),
		TEST(test_dies_within_a_command),
		TEST(test_dies_and_worker_hangs),
		TEST(test_dies_before_hello),
		TEST(test_dies_while_opening),
		TEST(test_other_version),
		TEST(test_unsafe_memory),
		TEST(test_truncation_is_refused),
		cmocka_unit_test_setup_teardown(test_limits, setup_limits, teardown),
		TEST(test_64_channels),
#undef TEST
	};

	return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
