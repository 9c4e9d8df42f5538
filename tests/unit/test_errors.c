/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one error table, and arithmetic on numbers of the other side's. */
#include "guest_test.h"

#include <errno.h>

#include "../../common/checked.h"
#include "../../common/errors.h"

static const struct {
	int number;
	const char *name;
} table[] = {
#define ENTRY(name, number, text) { number, #name },
	VGPU_ERRORS(ENTRY)
#undef ENTRY
};

#define ENTRIES (sizeof(table) / sizeof(table[0]))

static void test_every_error_has_name_and_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENTRIES; i++) {
		assert_string_equal(error_name(table[i].number), table[i].name);
		assert_true(strlen(error_text(table[i].number)) > 5);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(error_text(table[i].number),
						error_text(table[j].number));
	}
}

/* Programs have these numbers compiled in. */
static void test_numbers_stay(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENTRIES; i++)
		assert_int_equal(table[i].number, -1001 - (int)i);
	assert_int_equal(VGPU_EINVAL, -1001);
	assert_int_equal(VGPU_EDEVLOST, -1007);
	assert_int_equal(VGPU_EMEMORY, -1026);
}

static void test_success_cuda_unknown(void **state)
{
	(void)state;
	assert_string_equal(error_name(0), "VGPU_OK");
	assert_string_equal(error_name(700), "cudaErrorIllegalAddress");
	assert_contains(error_text(2), "out of memory");
	assert_contains(error_text(123456), "CUDA");
	assert_contains(error_text(-5), "Unknown");
	assert_non_null(error_text(INT32_MIN));
	assert_non_null(error_name(INT32_MAX));
}

static void test_from_errno(void **state)
{
	(void)state;
	assert_int_equal(error_from_errno(0), 0);
	assert_int_equal(error_from_errno(5), 5);
	assert_int_equal(error_from_errno(VGPU_EQUOTA), VGPU_EQUOTA);
	assert_int_equal(error_from_errno(-EACCES), VGPU_EACCES);
	assert_int_equal(error_from_errno(-ENOENT), VGPU_ENOMEDIATOR);
	assert_int_equal(error_from_errno(-ENOMEM), VGPU_ENOMEM);
	assert_int_equal(error_from_errno(-EPIPE), VGPU_EDEVLOST);
	assert_int_equal(error_from_errno(-EXDEV), VGPU_EIO);
}

static void test_checked_range(void **state)
{
	(void)state;
	assert_true(checked_range(0, 10, 10));
	assert_true(checked_range(10, 0, 10));
	assert_false(checked_range(11, 0, 10));
	assert_false(checked_range(1, 10, 10));
	assert_false(checked_range(UINT64_MAX, 2, 10));
	assert_false(checked_range(2, UINT64_MAX, 10));
}

static void test_checked_arithmetic(void **state)
{
	uint64_t v;

	(void)state;
	assert_true(checked_mul(1u << 31, 4, &v));
	assert_true(v == 1ull << 33);
	assert_false(checked_mul(UINT64_MAX, 2, &v));
	assert_false(checked_add(UINT64_MAX, 1, &v));
	assert_true(checked_overlap(0, 4, 3, 4));
	assert_false(checked_overlap(0, 4, 4, 4));
	assert_false(checked_overlap(8, 4, 4, 4));
	assert_true(checked_aligned(8192, 4096));
	assert_false(checked_aligned(8193, 4096));
	assert_true(checked_power_of_two(64));
	assert_false(checked_power_of_two(0));
	assert_false(checked_power_of_two(48));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_error_has_name_and_text),
		cmocka_unit_test(test_numbers_stay),
		cmocka_unit_test(test_success_cuda_unknown),
		cmocka_unit_test(test_from_errno),
		cmocka_unit_test(test_checked_range),
		cmocka_unit_test(test_checked_arithmetic),
	};

	return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
