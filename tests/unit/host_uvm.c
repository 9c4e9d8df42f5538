// SPDX-License-Identifier: GPL-2.0-or-later
/* The ioctl() that asks NVIDIA's driver to keep the GPU out of this process's memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#define UVM_INITIALIZE 0x30000001ul
#define FD 1234

struct uvm_initialize {
	uint64_t flags;
	uint32_t status;
	uint32_t reserved;
};

/* A kernel module that knows these flags. */
static uint64_t known, seen[8];
static int calls, fails_with;
static unsigned long last_request;
static void *last_arg;

/* In place of the C library's. */
long syscall(long number, ...)
{
	struct uvm_initialize *init;
	va_list ap;

	assert_int_equal(number, SYS_ioctl);
	va_start(ap, number);
	assert_int_equal(va_arg(ap, int), FD);
	last_request = va_arg(ap, unsigned long);
	last_arg = va_arg(ap, void *);
	va_end(ap);
	if (fails_with) {
		errno = fails_with;
		return -1;
	}
	if (last_request != UVM_INITIALIZE)
		return 42;
	init = last_arg;
	assert_true(calls < 8);
	seen[calls++] = init->flags;
	init->status = init->flags & ~known ? 0x1f : 0;
	return 0;
}

static void initialize(uint64_t module_knows, uint64_t wanted)
{
	struct uvm_initialize init = { .flags = 2 };

	known = module_knows;
	calls = 0;
	assert_int_equal(ioctl(FD, UVM_INITIALIZE, &init), 0);
	assert_int_equal(init.status, 0);
	assert_int_equal(init.flags, 2);
	assert_int_equal(seen[calls - 1], wanted);
}

static void test_releases(void **state)
{
	(void)state;
	initialize(7, 7);
	initialize(3, 3);
	initialize(2, 2);
}

static void test_failure(void **state)
{
	struct uvm_initialize init = { 0 };

	(void)state;
	fails_with = EBADF;
	assert_int_equal(ioctl(FD, UVM_INITIALIZE, &init), -1);
	assert_int_equal(errno, EBADF);
	fails_with = 0;
	known = 0;
	calls = 0;
	init.flags = 8; /* not ours to judge */
	assert_int_equal(ioctl(FD, UVM_INITIALIZE, &init), 0);
	assert_int_equal(init.status, 0x1f);
	assert_int_equal(init.flags, 8);
}

static void test_others(void **state)
{
	int n = 0;

	(void)state;
	assert_int_equal(ioctl(FD, FIONREAD, &n), 42);
	assert_int_equal(last_request, FIONREAD);
	assert_ptr_equal(last_arg, &n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_releases),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
