/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transport xen against a scripted host, over the stand-in for Xen. */
#include "guest_test.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fake_xen_host.h"
#include "vgpuguest.h"
#include "../../guest-lib/channel.h"
#include "../../protocol/vgpu_xenstore.h"
#include "../xenlib/bed.h"

#define HANG_S 60
#define GUEST 1

static struct fake_xen_host host;
static struct vgpu_options options;
static struct vgpu *vgpu;
static char warnings[2048];

static void keep_warnings(void *opaque, enum vgpu_log_level level, const char *text)
{
	(void)opaque;
	if (level == VGPU_LOG_WARNING)
		snprintf(warnings + strlen(warnings), sizeof(warnings) - strlen(warnings), "%s\n",
			 text);
}

static int setup(void **state)
{
	bed_setup(state);
	memset(&host, 0, sizeof(host));
	vgpu_options_init(&options);
	options.device = "xen";
	options.timeout_ms = 20000;
	options.spin_us = 0;
	options.log = keep_warnings;
	warnings[0] = '\0';
	alarm(HANG_S);
	return 0;
}

static int teardown(void **state)
{
	vgpu_close(vgpu);
	vgpu = NULL;
	fake_xen_host_stop(&host);
	alarm(0);
	return bed_teardown(state);
}

static void begin(void)
{
	fake_xen_host_start(&host);
}

/* Nothing of the guest's is left, neither in XenStore nor of Xen's. */
static void end(void)
{
	static const char *const what[] = { "grants", "ports", "watches", "transactions" };
	char id[64];

	vgpu_close(vgpu);
	vgpu = NULL;
	for (uint32_t k = 0; k < FAKE_XEN_CHANNELS; k++) {
		char node[32];

		snprintf(node, sizeof(node), VGPU_XS_CHANNEL_FMT "/" VGPU_XS_ID, k);
		fake_xen_read(&host, node, id);
		assert_string_equal(id, "");
	}
	fake_xen_host_stop(&host);
	bed_become(0);
	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		bed_expect_count(GUEST, what[i], 0);
}

static void refused(int code, const char *text)
{
	int rc = vgpu_open(&vgpu, &options);

	if (rc != code)
		fail_msg("%s (%s), expected %s", vgpu_strerrorname(rc), vgpu_last_error(NULL),
			 vgpu_strerrorname(code));
	assert_null(vgpu);
	assert_contains(vgpu_last_error(NULL), text);
}

static void opened(void)
{
	int rc = vgpu_open(&vgpu, &options);

	if (rc)
		fail_msg("%s (%s)", vgpu_strerrorname(rc), vgpu_last_error(NULL));
	assert_int_equal(vgpu_nop(vgpu), 0);
}

/* The channel is over: this call says why, and every later one that it is lost. */
static void lost(int code, const char *text)
{
	int rc = vgpu_nop(vgpu);

	if (rc != code)
		fail_msg("%s (%s), expected %s", vgpu_strerrorname(rc), vgpu_last_error(vgpu),
			 vgpu_strerrorname(code));
	assert_contains(vgpu_last_error(vgpu), text);
	assert_int_equal(vgpu_nop(vgpu), code == VGPU_EPROTO ? VGPU_EPROTO : VGPU_EDEVLOST);
	vgpu_close(vgpu);
	vgpu = NULL;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void test_open_and_close(void **state)
{
	char text[64];

	(void)state;
	begin();
	opened();
	for (int i = 0; i < 50; i++)
		assert_int_equal(vgpu_nop(vgpu), 0);
	fake_xen_read(&host, "state", text);
	assert_string_equal(text, "4");
	fake_xen_read(&host, "channel-0/state", text);
	assert_string_equal(text, "4");
	fake_xen_read(&host, "channel-0/id", text);
	assert_int_equal(strlen(text), VGPU_XS_ID_CHARS);
	end();
}

static void test_no_device(void **state)
{
	(void)state;
	bed_become(GUEST);
	refused(VGPU_ENODEV, "no vgpu is attached");
	options.device = "xen:7";
	refused(VGPU_ENODEV, "device/vgpu/7");
}

static void test_nobody_serves(void **state)
{
	int64_t start = now_ms();

	(void)state;
	host.device_state = "1";
	host.frozen = true;
	begin();
	refused(VGPU_ENOMEDIATOR, "state is 1");
	assert_in_range(now_ms() - start, 1500, 10000);
	end();
}

static void test_being_detached(void **state)
{
	(void)state;
	begin();
	fake_xen_back(&host, "online", "0");
	refused(VGPU_ENODEV, "being detached");
	fake_xen_back(&host, "online", NULL);
	refused(VGPU_ENODEV, "detached");
	end();
}

static void test_leftovers_of_the_device(void **state)
{
	static const char *const left[] = { "2", "3", "4", "5", "6" };

	(void)state;
	begin();
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++) {
		fake_xen_front(&host, "state", left[i]);
		opened();
		vgpu_close(vgpu);
		vgpu = NULL;
	}
	end();
}

static void test_other_version(void **state)
{
	(void)state;
	host.version = "196609";
	begin();
	refused(VGPU_EVERSION, "protocol 3.1");
	assert_contains(vgpu_last_error(NULL), "2.0");
	end();
}

/* Values that the host may not write. Each is put right again. */
static void test_garbage_of_the_device(void **state)
{
	static const struct {
		const char *node, *bad, *good;
	} cases[] = {
		{ "protocol-version", "", "131072" },
		{ "protocol-version", "0", "131072" },
		{ "protocol-version", "1.0", "131072" },
		{ "protocol-version", NULL, "131072" },
		{ "max-channels", "65", "4" },
		{ "max-channels", "-1", "4" },
		{ "max-channels", "4 ", "4" },
		{ "max-channels", "99999999999999999999", "4" },
		{ "max-window-pages", "lots", "993" },
		{ "max-window-pages",
		  "99399399399399399399399399399399399399399399399399399399399399"
		  "399399399399399399399399399399399399399399399399399",
		  "993" },
		{ "max-window-pages", "9\n3", "993" },
		{ "online", "2", "1" },
		{ "online", "yes", "1" },
	};

	(void)state;
	host.frozen = true;
	begin();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_xen_back(&host, cases[i].node, cases[i].bad);
		refused(VGPU_EPROTO, cases[i].node);
		fake_xen_back(&host, cases[i].node, cases[i].good);
	}
	fake_xen_back(&host, "state", "7");
	refused(VGPU_EPROTO, "state");
	end();
}

static void test_garbage_of_a_channel(void **state)
{
	static const struct {
		const char *state, *error;
		int code;
		const char *text;
	} cases[] = {
		{ "6", "-1010 over the top", VGPU_EQUOTA, "over the top" },
		{ "6", "-1009 \033[2Jx", VGPU_EPROTO, "is no text" },
		{ "6", "12", VGPU_EPROTO, "" },
		{ "6", "", VGPU_EPROTO, "" },
		{ "6", NULL, VGPU_EDEVLOST, "the host ended it" },
		{ "5", NULL, VGPU_EPROTO, "state is 5" },
		{ "2", NULL, VGPU_EPROTO, "state is 2" },
		{ "17", NULL, VGPU_EPROTO, "state" },
		{ "four", NULL, VGPU_EPROTO, "state" },
	};

	(void)state;
	host.answer = FAKE_XEN_END;
	begin();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pthread_mutex_lock(&host.lock);
		host.state = cases[i].state;
		host.error = cases[i].error;
		pthread_mutex_unlock(&host.lock);
		refused(cases[i].code, cases[i].text);
	}
	end();
}

static void test_long_error(void **state)
{
	char error[400];

	(void)state;
	snprintf(error, sizeof(error), "-1010 %0390d", 0);
	host.answer = FAKE_XEN_END;
	host.state = "6";
	host.error = error;
	begin();
	refused(VGPU_EPROTO, "bytes");
	end();
}

static void test_own_timeout(void **state)
{
	(void)state;
	host.answer = FAKE_XEN_SEEN;
	begin();
	options.timeout_ms = 300;
	refused(VGPU_ETIMEDOUT, "no worker in time");
	pthread_mutex_lock(&host.lock);
	host.answer = FAKE_XEN_SILENT;
	pthread_mutex_unlock(&host.lock);
	refused(VGPU_ETIMEDOUT, "in time");
	end();
}

static void test_all_numbers_taken(void **state)
{
	(void)state;
	host.max_channels = "0";
	begin();
	refused(VGPU_ENOCHANNEL, "all 0 channels");
	fake_xen_back(&host, "max-channels", "2");
	fake_xen_front(&host, "channel-0/id", "0000000000000000"); /* in use, or so it looks */
	fake_xen_front(&host, "channel-1/id", "0000000000000001");
	refused(VGPU_ENOCHANNEL, "all 2 channels");
	fake_xen_front(&host, "channel-0", NULL);
	fake_xen_front(&host, "channel-1", NULL);
	end();
}

static void *end_channel_1(void *opaque)
{
	(void)opaque;
	usleep(200000);
	fake_xen_back(&host, "channel-1", NULL);
	return NULL;
}

/* Its worker still ends: worth waiting for. */
static void test_number_that_is_ending(void **state)
{
	pthread_t thread;

	(void)state;
	host.max_channels = "2";
	begin();
	fake_xen_front(&host, "channel-0/id", "0000000000000000");
	fake_xen_back(&host, "channel-1/state", "4");
	options.timeout_ms = 100;
	refused(VGPU_ENOCHANNEL, "does not come to their end");
	options.timeout_ms = 20000;
	pthread_create(&thread, NULL, end_channel_1, NULL);
	opened();
	pthread_join(thread, NULL);
	fake_xen_front(&host, "channel-0", NULL);
	end();
}

static void test_number_of_a_use_that_is_over(void **state)
{
	char id[64];

	(void)state;
	begin();
	pthread_mutex_lock(&host.lock);
	strcpy(host.channel[0].id, "0123456789abcdef"); /* it has been told */
	pthread_mutex_unlock(&host.lock);
	fake_xen_front(&host, "channel-0/id", "0123456789abcdef");
	fake_xen_front(&host, "channel-0/left", "behind");
	fake_xen_back(&host, "channel-0/id", "0123456789abcdef");
	fake_xen_back(&host, "channel-0/state", "6");
	opened();
	fake_xen_read(&host, "channel-0/id", id);
	assert_int_equal(strlen(id), VGPU_XS_ID_CHARS);
	assert_string_not_equal(id, "0123456789abcdef");
	fake_xen_read(&host, "channel-0/left", id);
	assert_string_equal(id, "");
	end();
}

/* Processes that come and go at once: none is turned away while a number is free. */
static int open_often(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		struct vgpu *own;

		if (vgpu_open(&own, &options)) {
			fprintf(stderr, "# %s\n", vgpu_last_error(NULL));
			return 1;
		}
		if (vgpu_nop(own))
			return 2;
		vgpu_close(own);
	}
	return 0;
}

static void test_many_processes(void **state)
{
	enum {
		PROCESSES = 6,
		ROUNDS = 8
	};
	pid_t pids[PROCESSES];
	int status;

#ifdef __SANITIZE_THREAD__
	skip(); /* XenStore's library starts a thread, which TSan forbids after a fork */
#endif
	(void)state;
	host.max_channels = "8";
	begin();
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(open_often(ROUNDS));
	}
	for (int i = 0; i < PROCESSES; i++) {
		waitpid(pids[i], &status, 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(host.served, PROCESSES * ROUNDS);
	end();
}

static void test_window_steps_down(void **state)
{
	(void)state;
	begin();
	/* half of what it aims at, the presence page, and a little more */
	assert_int_equal(bed_command("limit 1 80", NULL), 0);
	opened();
	assert_int_equal(host.channel[0].pages, 64);
	assert_contains(warnings, "xen_gntalloc");
	assert_contains(warnings, "modprobe.d");
	warnings[0] = '\0';
	vgpu_close(vgpu);
	opened();
	assert_string_equal(warnings, ""); /* once a process */
	vgpu_close(vgpu);
	vgpu = NULL;
	options.window_bytes = 70 << 12;
	refused(VGPU_EQUOTA, "share 84 pages");
	options.window_bytes = 0;
	assert_int_equal(bed_command("limit 1 15", NULL), 0);
	refused(VGPU_EQUOTA, "share 15 pages");
	assert_int_equal(bed_command("limit 1 16", NULL), 0);
	opened();
	end();
}

static void test_window_by_wish(void **state)
{
	(void)state;
	begin();
	options.window_bytes = 5 << 12;
	opened();
	assert_int_equal(host.channel[0].pages, 5 + CHANNEL_OVERHEAD / VGPU_PAGE_BYTES);
	vgpu_close(vgpu);
	vgpu = NULL;
	options.window_bytes = 4 << 20;
	refused(VGPU_EQUOTA, "993");
	fake_xen_back(&host, "max-window-pages", "100");
	options.window_bytes = 400 << 10;
	refused(VGPU_EQUOTA, "limit of 100");
	end();
}

static void test_worker_dies(void **state)
{
	int64_t start;

	(void)state;
	begin();
	opened();
	start = now_ms();
	fake_xen_kill(&host, 0, NULL, 0);
	lost(VGPU_EDEVLOST, "worker is gone");
	assert_in_range(now_ms() - start, 0, 4000);
	opened();
	end();
}

struct later {
	pthread_t thread;
	int wait_ms;
	const char *error;
	int delay_ms;
};

static void *kill_later(void *opaque)
{
	struct later *l = opaque;

	usleep((useconds_t)l->wait_ms * 1000);
	fake_xen_kill(&host, 0, l->error, l->delay_ms);
	return NULL;
}

/* A sleeper is woken by the death itself; the reason comes after. */
static void test_worker_dies_and_mediator_says_why(void **state)
{
	struct later l = { .wait_ms = 100, .error = "-1013 too long", .delay_ms = 200 };

	(void)state;
	begin();
	opened();
	pthread_mutex_lock(&host.lock);
	host.mute = true;
	pthread_mutex_unlock(&host.lock);
	pthread_create(&l.thread, NULL, kill_later, &l);
	lost(VGPU_EDEADLINE, "too long");
	pthread_join(l.thread, NULL);
	end();
}

/* What wakes a sleeper for an answer stands for the end as well; nothing will wake it again. */
static void test_last_words(void **state)
{
	int64_t start;

	(void)state;
	options.timeout_ms = -1;
	begin();
	opened();
	pthread_mutex_lock(&host.lock);
	host.last_words = true;
	pthread_mutex_unlock(&host.lock);
	assert_int_equal(vgpu_nop(vgpu), 0);
	start = now_ms();
	lost(VGPU_EDEVLOST, "worker is gone");
	assert_in_range(now_ms() - start, 0, HANG_S * 500);
	end();
}

/* What happens in XenStore while a call sleeps. */
struct event {
	pthread_t thread;
	const char *front, *back, *value;
};

static void *cause_event(void *opaque)
{
	struct event *e = opaque;

	usleep(100000);
	if (e->front)
		fake_xen_front(&host, e->front, e->value);
	if (e->back)
		fake_xen_back(&host, e->back, e->value);
	return NULL;
}

static void lost_by(struct event e, int code, const char *text)
{
	begin();
	opened();
	pthread_mutex_lock(&host.lock);
	host.mute = true;
	pthread_mutex_unlock(&host.lock);
	pthread_create(&e.thread, NULL, cause_event, &e);
	lost(code, text);
	pthread_join(e.thread, NULL);
	end();
}

static void test_nodes_removed(void **state)
{
	(void)state;
	lost_by((struct event){ .front = "channel-0" }, VGPU_EDEVLOST, "nodes were removed");
}

static void test_host_removes_its_nodes(void **state)
{
	(void)state;
	lost_by((struct event){ .back = "channel-0" }, VGPU_EDEVLOST, "host ended it");
}

static void test_mediator_ends_it(void **state)
{
	(void)state;
	lost_by((struct event){ .back = "channel-0/state", .value = "6" }, VGPU_EDEVLOST,
		"host ended it");
}

static void test_host_writes_nonsense(void **state)
{
	(void)state;
	lost_by((struct event){ .back = "channel-0/state", .value = "x" }, VGPU_EPROTO, "state");
}

/* The domain's number is another after restore; its kernel's watches fire. */
static void test_restored(void **state)
{
	(void)state;
	begin();
	opened();
	pthread_mutex_lock(&host.lock);
	host.mute = true;
	assert_int_equal(bed_command("restore 1", NULL), 0);
	xs_write(host.xs, XBT_NULL, "/local/domain/1/domid", "9", 1);
	xs_write(host.xs, XBT_NULL, "/local/domain/0/backend/vgpu/1/0/channel-0/state", "4", 1);
	pthread_mutex_unlock(&host.lock);
	lost(VGPU_EDEVLOST, "restored or migrated");
	vgpu_close(vgpu);
	vgpu = NULL;
	pthread_mutex_lock(&host.lock);
	xs_write(host.xs, XBT_NULL, "/local/domain/1/domid", "1", 1);
	xs_rm(host.xs, XBT_NULL, "/local/domain/1/device/vgpu/0/channel-0");
	pthread_mutex_unlock(&host.lock);
	end();
}

/* A number that is another's by now is left alone. */
static void test_close_after_loss_of_the_number(void **state)
{
	char id[64];

	(void)state;
	begin();
	opened();
	fake_xen_front(&host, "channel-0/id", "fedcba9876543210");
	vgpu_close(vgpu);
	vgpu = NULL;
	fake_xen_read(&host, "channel-0/id", id);
	assert_string_equal(id, "fedcba9876543210");
	fake_xen_front(&host, "channel-0", NULL);
	end();
}

static void test_signals_are_not_lost(void **state)
{
	(void)state;
	begin();
	opened();
	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&host.lock); /* one for nothing, before the wait or in it */
		xenevtchn_notify(host.evtchn, host.channel[0].port);
		pthread_mutex_unlock(&host.lock);
		assert_int_equal(vgpu_nop(vgpu), 0);
	}
	end();
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static int before;

static void test_child(void **state)
{
	int status;
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	skip(); /* XenStore's library starts a thread, which TSan forbids after a fork */
#endif
	(void)state;
	begin();
	before = count_fds();
	opened();
	pid = fork();
	if (pid == 0) {
		alarm(HANG_S);
		if (vgpu_nop(vgpu) != VGPU_EFORKED)
			_exit(1);
		if (count_fds() != before)
			_exit(2);
		vgpu_close(vgpu);
		_exit(open_often(1) ? 3 : 0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	end();
}

/* The host sees the opener die though a child of it lives on. */
static void test_death_is_seen_though_a_child_lives(void **state)
{
	int alive[2];
	pid_t opener;
	char c;

#ifdef __SANITIZE_THREAD__
	skip(); /* XenStore's library starts a thread, which TSan forbids after a fork */
#endif
	(void)state;
	begin();
	assert_int_equal(pipe(alive), 0);
	opener = fork();
	if (opener == 0) {
		struct vgpu *own;

		if (vgpu_open(&own, &options) || vgpu_nop(own))
			_exit(1);
		if (fork() == 0) {
			alarm(HANG_S);
			close(alive[1]);
			if (read(alive[0], &c, 1) < 0)
				_exit(1);
			_exit(0);
		}
		raise(SIGKILL);
	}
	close(alive[0]);
	waitpid(opener, NULL, 0);
	for (int i = 0; i < HANG_S * 100; i++) {
		uint8_t there;

		pthread_mutex_lock(&host.lock);
		there = host.channel[0].presence[VGPU_PRESENCE_GUEST];
		pthread_mutex_unlock(&host.lock);
		if (!there)
			break;
		usleep(10000);
	}
	assert_int_equal(host.channel[0].presence[VGPU_PRESENCE_GUEST], 0);
	fake_xen_front(&host, "channel-0", NULL); /* what the mediator does */
	close(alive[1]);
	end();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_open_and_close),
		T(test_no_device),
		T(test_nobody_serves),
		T(test_being_detached),
		T(test_leftovers_of_the_device),
		T(test_other_version),
		T(test_garbage_of_the_device),
		T(test_garbage_of_a_channel),
		T(test_long_error),
		T(test_own_timeout),
		T(test_all_numbers_taken),
		T(test_number_that_is_ending),
		T(test_number_of_a_use_that_is_over),
		T(test_many_processes),
		T(test_window_steps_down),
		T(test_window_by_wish),
		T(test_worker_dies),
		T(test_worker_dies_and_mediator_says_why),
		T(test_last_words),
		T(test_nodes_removed),
		T(test_host_removes_its_nodes),
		T(test_mediator_ends_it),
		T(test_host_writes_nonsense),
		T(test_restored),
		T(test_close_after_loss_of_the_number),
		T(test_signals_are_not_lost),
		T(test_child),
		T(test_death_is_seen_though_a_child_lives),
	};

	return cmocka_run_group_tests_name("xen", tests, NULL, NULL);
}
