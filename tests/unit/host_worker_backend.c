// SPDX-License-Identifier: GPL-2.0-or-later
/* Choosing a backend: what is refused, what is fallen back from, and what is said about it. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../host/backend.h"
#include "../../protocol/vgpu_commands.h"
#include "../../protocol/vgpu_errors.h"

static const struct backend_ops *ops;
static struct backend *backend;
static struct backend_info info;
static int fallback;
static char why[200];
static char folder[] = "/tmp/vgpu-backend-XXXXXX";

static int choose(const char *wish, const char *path, int device)
{
	memset(why, 'x', sizeof(why));
	return backend_choose(wish, path, device, &ops, &backend, &info, &fallback, why,
			      sizeof(why));
}

static void says(const char *part)
{
	if (!strstr(why, part))
		fail_msg("\"%s\" does not say \"%s\"", why, part);
}

static const char *file(const char *name, mode_t mode, const char *content)
{
	static char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(content, f);
	fclose(f);
	chmod(path, mode);
	return path;
}

static void test_cpu(void **state)
{
	float a[7] = { 1, 2, 3, 4, 5, 6, 7 };

	(void)state;
	assert_int_equal(choose("cpu", "", 0), 0);
	assert_ptr_equal(ops, &backend_cpu);
	assert_int_equal(info.kind, VGPU_BACKEND_CPU);
	assert_int_equal(fallback, 0);
	assert_true(info.device[0] != '\0' && info.memory_total > 0);
	assert_int_equal(ops->vector_add(backend, a, a, a, 7), 0);
	assert_true(a[0] == 2 && a[6] == 14);
	ops->close(backend);
}

static void test_unknown_name(void **state)
{
	(void)state;
	assert_int_equal(choose("opencl", "", 0), VGPU_EINVAL);
	says("opencl");
	says("auto, cuda, cpu");
}

static void test_missing(void **state)
{
	(void)state;
	assert_int_equal(choose("cuda", "/nonexistent/gpu_mediator_cuda.so", 0), VGPU_EBACKEND);
	says("/nonexistent/gpu_mediator_cuda.so");
	says("No such file");
}

static void test_relative_path(void **state)
{
	(void)state;
	assert_int_equal(choose("cuda", "gpu_mediator_cuda.so", 0), VGPU_EINVAL);
	says("not an absolute path");
	assert_int_equal(choose("cuda", "", 0), VGPU_EINVAL);
}

static void test_not_a_library(void **state)
{
	(void)state;
	assert_int_equal(choose("cuda", file("text.so", 0644, "hello\n"), 0), VGPU_EBACKEND);
	says("text.so");
}

static void test_not_a_backend(void **state)
{
	(void)state;
	assert_int_equal(choose("cuda", OTHER_SO, 0), VGPU_EBACKEND);
	says("vgpu_backend_cuda");
}

static void test_other_abi(void **state)
{
	(void)state;
	assert_int_equal(choose("cuda", OLD_BACKEND_SO, 0), VGPU_EVERSION);
	says("interface 44, wanted 3");
}

static void test_writable_by_others(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip(); /* whoever is not root runs only what he could run anyhow */
	assert_int_equal(choose("cuda", file("open.so", 0666, "hello\n"), 0), VGPU_EACCES);
	says("others than root");
	assert_int_equal(chown(file("foreign.so", 0644, "hello\n"), 65534, 65534), 0);
	assert_int_equal(choose("cuda", file("foreign.so", 0644, "hello\n"), 0), VGPU_EACCES);
	chmod(folder, 0777);
	assert_int_equal(choose("cuda", file("fine.so", 0644, "hello\n"), 0), VGPU_EACCES);
	chmod(folder, 0700);
}

static void test_loads(void **state)
{
	(void)state;
	assert_int_equal(choose("cuda", FAKE_BACKEND_SO, 0), 0);
	assert_string_equal(info.device, "Fake GPU");
	assert_int_equal(fallback, 0);
	assert_int_equal(choose("auto", FAKE_BACKEND_SO, 0), 0);
	assert_int_equal(info.kind, VGPU_BACKEND_CUDA);
	assert_int_equal(fallback, 0);
}

static void test_device_fails(void **state)
{
	(void)state;
	assert_int_equal(choose("cuda", FAKE_BACKEND_SO, 9), 100);
	says("device 9 never comes up");
}

static void test_fallback_says_why(void **state)
{
	(void)state;
	assert_int_equal(choose("auto", FAKE_BACKEND_SO, 9), 0);
	assert_int_equal(info.kind, VGPU_BACKEND_CPU);
	assert_int_equal(info.driver_version, 0);
	assert_int_equal(fallback, 1);
	says("device 9 never comes up");
	ops->close(backend);
	assert_int_equal(choose("auto", "/nonexistent/x.so", 0), 0);
	assert_int_equal(fallback, 1);
	says("/nonexistent/x.so");
	ops->close(backend);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = { "text.so", "open.so", "foreign.so", "fine.so" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpu),
		cmocka_unit_test(test_unknown_name),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_relative_path),
		cmocka_unit_test(test_not_a_library),
		cmocka_unit_test(test_not_a_backend),
		cmocka_unit_test(test_other_abi),
		cmocka_unit_test(test_writable_by_others),
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_device_fails),
		cmocka_unit_test(test_fallback_says_why),
	};

	return cmocka_run_group_tests_name("host_worker_backend", tests, make_folder,
					   remove_folder);
}
