/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sealed shared memory: ours, and what others send in its place. */
#include "guest_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../common/memfd.h"

#define BYTES 8192

static void test_ours(void **state)
{
	int fd = memfd_new_sealed("test", BYTES);

	(void)state;
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(memfd_check(fd, 0, BYTES), 0);
	assert_int_equal(memfd_check(fd, 4096, 4096), 0);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 2 * BYTES), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	close(fd);
}

static void test_range(void **state)
{
	int fd = memfd_new_sealed("test", BYTES);

	(void)state;
	assert_int_equal(memfd_check(fd, 0, BYTES + 1), -ERANGE);
	assert_int_equal(memfd_check(fd, BYTES, 1), -ERANGE);
	assert_int_equal(memfd_check(fd, UINT64_MAX, 1), -ERANGE);
	assert_int_equal(memfd_check(fd, 4096, UINT64_MAX), -ERANGE);
	assert_int_equal(memfd_check(fd, UINT64_MAX - 4095, 4096), -ERANGE);
	close(fd);
}

static void check_seals(unsigned int seals, int expected)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, BYTES), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	assert_int_equal(memfd_check(fd, 0, BYTES), expected);
	close(fd);
}

static void test_seals(void **state)
{
	(void)state;
	check_seals(0, -EPERM);
	check_seals(F_SEAL_GROW, -EPERM);
	check_seals(F_SEAL_SHRINK, 0);
	check_seals(F_SEAL_SHRINK | F_SEAL_WRITE, -EPERM); /* we could not write */
}

static void test_not_a_memfd(void **state)
{
	int pipes[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	FILE *file = tmpfile();

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(memfd_check(pipes[0], 0, 1), -EINVAL);
	assert_int_equal(memfd_check(null, 0, 1), -EINVAL);
	assert_true(memfd_check(fileno(file), 0, 1) < 0);
	assert_int_equal(memfd_check(-1, 0, 1), -EINVAL);
	fclose(file);
	close(null);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_impossible_size(void **state)
{
	(void)state;
	assert_true(memfd_new_sealed("test", UINT64_MAX) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_seals),
		cmocka_unit_test(test_not_a_memfd),
		cmocka_unit_test(test_impossible_size),
	};

	return cmocka_run_group_tests_name("memfd", tests, NULL, NULL);
}
