/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vgpu_open(): options, and everything that can be wrong on the other side of a socket. */
#include "guest_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_host.h"
#include "../../guest-lib/channel.h"
#include "vgpuguest.h"
#include "../../protocol/vgpu_version.h"

static struct fake_host host;
static struct vgpu_options options;

static int setup(void **state)
{
	(void)state;
	unsetenv("VGPU_DEVICE");
	vgpu_options_init(&options);
	return 0;
}

/* Must fail with @code, leave no handle and no descriptor, and say @text. */
static void refused(const struct vgpu_options *o, int code, const char *text)
{
	struct vgpu *vgpu = (struct vgpu *)&options;
	int before = dup(0), after;

	close(before);
	assert_int_equal(vgpu_open(&vgpu, o), code);
	assert_null(vgpu);
	assert_contains(vgpu_last_error(NULL), text);
	after = dup(0);
	close(after);
	assert_int_equal(before, after);
}

static void refused_by(struct fake_script script, int code, const char *text)
{
	fake_host_start(&host, &script);
	options.device = fake_host_device(&host);
	refused(&options, code, text);
	fake_host_stop(&host);
}

static void accepted(void)
{
	struct vgpu *vgpu;

	assert_int_equal(vgpu_open(&vgpu, &options), 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	vgpu_close(vgpu);
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(options.size, sizeof(options));
	assert_null(options.device);
	assert_int_equal(options.timeout_ms, -1);
	assert_int_equal(options.spin_us, -1);
	assert_int_equal(options.window_bytes, 0);
	assert_null(options.log);
	assert_int_equal(options.log_level, VGPU_LOG_WARNING);
}

static void test_bad_options(void **state)
{
	(void)state;
	assert_int_equal(vgpu_open(NULL, NULL), VGPU_EINVAL);
	options.size = 0;
	refused(&options, VGPU_EINVAL, "vgpu_options_init");
	setup(NULL);
	options.size = 8;
	refused(&options, VGPU_EINVAL, "size is 8");
	setup(NULL);
	options.timeout_ms = -2;
	refused(&options, VGPU_EINVAL, "timeout_ms: -2");
	setup(NULL);
	options.spin_us = -2;
	refused(&options, VGPU_EINVAL, "spin_us: -2");
	options.spin_us = 1000001;
	refused(&options, VGPU_EINVAL, "spin_us: 1000001");
	setup(NULL);
	options.window_bytes = SIZE_MAX;
	refused(&options, VGPU_EINVAL, "window_bytes");
}

static void test_no_xen_guest(void **state)
{
	(void)state;
	if (access("/dev/xen/xenbus", F_OK) == 0)
		skip();
	options.device = "xen";
#ifdef VGPU_NO_XEN
	refused(&options, VGPU_ENOTSUP, "built without");
#else
	refused(&options, VGPU_ENODEV, "no Xen guest");
#endif
}

static void test_bad_devices(void **state)
{
	static const char *const bad[] = { "PCI",
					   "pcix",
					   "unix/",
					   "pci:",
					   "pci:4",
					   "pci:0000:00:04",
					   "pci:0000:00:20.0",
					   "pci:0000:00:04.8",
					   "pci:0000:00:04.0x",
					   "pci:../../../..",
#ifndef VGPU_NO_XEN
					   "xen:",
					   "xen:8",
					   "xen:01",
					   "xen:-1",
					   "xen:0x",
#endif
					   "xenon" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		options.device = bad[i];
		refused(&options, VGPU_EINVAL, "\"");
	}
	options.device = "pci:ffff:ff:1f.7";
	refused(&options, VGPU_ENODEV, "no such device");
}

static void test_control_characters_are_defused(void **state)
{
	(void)state;
	options.device = "a\033[31m\nb";
	refused(&options, VGPU_EINVAL, "a?[31m?b");
}

static void test_larger_options_of_a_newer_program(void **state)
{
	struct {
		struct vgpu_options o;
		uint64_t new_member;
	} newer = { .new_member = 1 };
	struct vgpu *vgpu;

	(void)state;
	fake_host_start(&host, NULL);
	vgpu_options_init(&newer.o);
	newer.o.size = sizeof(newer);
	newer.o.device = fake_host_device(&host);
	assert_int_equal(vgpu_open(&vgpu, &newer.o), 0);
	vgpu_close(vgpu);
	fake_host_stop(&host);
}

static void test_device_of_the_environment(void **state)
{
	struct vgpu *vgpu;

	(void)state;
	fake_host_start(&host, NULL);
	setenv("VGPU_DEVICE", fake_host_device(&host), 1);
	assert_int_equal(vgpu_open(&vgpu, NULL), 0);
	vgpu_close(vgpu);
	options.device = "auto";
	accepted();
	options.device = "unix:/nonexistent"; /* what the program says goes first */
	refused(&options, VGPU_ENOMEDIATOR, "/nonexistent");
	setenv("VGPU_DEVICE", "bogus", 1);
	refused(NULL, VGPU_EINVAL, "bogus");
	fake_host_stop(&host);
}

static void test_no_socket(void **state)
{
	(void)state;
	options.device = "unix:/nonexistent/socket";
	refused(&options, VGPU_ENOMEDIATOR, "unix:/nonexistent/socket: connect: No such file");
}

static void test_nobody_listens(void **state)
{
	char path[128];

	(void)state;
	fake_host_start(&host, NULL);
	snprintf(path, sizeof(path), "%s", fake_host_device(&host));
	close(host.stop[1]);
	pthread_join(host.thread, NULL);
	close(host.listener); /* the file stays, as after kill -9 */
	options.device = path;
	refused(&options, VGPU_ENOMEDIATOR, "Connection refused: is gpu_mediator running?");
	close(host.stop[0]);
	unlink(host.address.sun_path);
	rmdir(host.dir);
}

static void test_path_too_long(void **state)
{
	char path[300] = "unix:/";

	(void)state;
	memset(path + 6, 'x', 200);
	options.device = path;
	refused(&options, VGPU_EINVAL, "at most 107");
}

static void test_permission(void **state)
{
	(void)state;
	fake_host_start(&host, NULL);
	chmod(host.dir, 0700);
	if (geteuid() == 0 && seteuid(65534) < 0)
		skip();
	else if (geteuid())
		chmod(host.dir, 0);
	options.device = fake_host_device(&host);
	refused(&options, VGPU_EACCES, "Permission denied");
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	chmod(host.dir, 0700);
	fake_host_stop(&host);
}

static void test_other_version(void **state)
{
	(void)state;
	refused_by((struct fake_script){ .version = 7 << 16 | 3 }, VGPU_EVERSION,
		   "speaks protocol 7.3, this library 2.");
}

static void test_later_minor_version(void **state)
{
	struct fake_script script = { .version = VGPU_PROTOCOL_VERSION + 5 };

	(void)state;
	fake_host_start(&host, &script);
	options.device = fake_host_device(&host);
	accepted();
	fake_host_stop(&host);
}

static void test_refused(void **state)
{
	(void)state;
	refused_by((struct fake_script){ .refuse = VGPU_ENOCHANNEL,
					 .text = "8 of 8 channels taken" },
		   VGPU_ENOCHANNEL, "8 of 8 channels taken");
	refused_by((struct fake_script){ .refuse = 99, .text = "nonsense" }, VGPU_EPROTO,
		   "nonsense");
}

static void test_not_opened(void **state)
{
	(void)state;
	refused_by((struct fake_script){ .open_status = VGPU_EBACKEND, .text = "no worker" },
		   VGPU_EBACKEND, "open: no worker");
	refused_by((struct fake_script){ .open_status = VGPU_EBACKEND }, VGPU_EBACKEND,
		   "GPU backend");
	refused_by((struct fake_script){ .open_status = 4 }, VGPU_EPROTO, "OPEN");
}

static void test_quota(void **state)
{
	(void)state;
	options.window_bytes = 1 << 20;
	refused_by((struct fake_script){ .max_bytes = 1 << 20 }, VGPU_EQUOTA, "limit of 1048576");
	options.window_bytes = 0;
	refused_by((struct fake_script){ .max_bytes = 4096 }, VGPU_EQUOTA, "limit of 4096");
}

static void test_default_window_fits_the_quota(void **state)
{
	struct fake_script script = { .max_bytes = (1 << 20) + 77 };
	struct vgpu_status s;
	struct vgpu *vgpu;

	(void)state;
	fake_host_start(&host, &script);
	options.device = fake_host_device(&host);
	assert_int_equal(vgpu_open(&vgpu, &options), 0);
	assert_int_equal(vgpu_query_status(vgpu, &s), 0);
	assert_int_equal(s.window_bytes, (1 << 20) - CHANNEL_OVERHEAD);
	vgpu_close(vgpu);
	fake_host_stop(&host);
}

static void test_deaf_host(void **state)
{
	(void)state;
	options.timeout_ms = 300;
	refused_by((struct fake_script){ .deaf = 1 }, VGPU_ETIMEDOUT, "no answer in time");
}

static char logged[4096];

static void log_fn(void *opaque, enum vgpu_log_level level, const char *text)
{
	assert_ptr_equal(opaque, logged);
	assert_true(level <= VGPU_LOG_DEBUG);
	assert_null(strchr(text, '\n'));
	strcat(logged, text);
}

static void test_log(void **state)
{
	(void)state;
	fake_host_start(&host, NULL);
	options.device = fake_host_device(&host);
	options.log = log_fn;
	options.log_opaque = logged;
	accepted();
	assert_string_equal(logged, ""); /* nothing to warn of */
	options.log_level = VGPU_LOG_DEBUG;
	accepted();
	assert_contains(logged, "channel is open");
	fake_host_stop(&host);
}

static void test_texts(void **state)
{
	(void)state;
	assert_string_equal(vgpu_strerrorname(VGPU_EDEVLOST), "VGPU_EDEVLOST");
	assert_contains(vgpu_strerror(VGPU_EDEVLOST), "lost");
	assert_contains(vgpu_strerror(700), "illegal memory access");
	assert_string_equal(vgpu_library_version(), VGPU_RELEASE);
	assert_int_equal(vgpu_library_protocol_version(), VGPU_PROTOCOL_VERSION);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_defaults),
		T(test_bad_options),
		T(test_no_xen_guest),
		T(test_bad_devices),
		T(test_control_characters_are_defused),
		T(test_larger_options_of_a_newer_program),
		T(test_device_of_the_environment),
		T(test_no_socket),
		T(test_nobody_listens),
		T(test_path_too_long),
		T(test_permission),
		T(test_other_version),
		T(test_later_minor_version),
		T(test_refused),
		T(test_not_opened),
		T(test_quota),
		T(test_default_window_fits_the_quota),
		T(test_deaf_host),
		T(test_log),
		T(test_texts),
	};

	return cmocka_run_group_tests_name("open", tests, NULL, NULL);
}
