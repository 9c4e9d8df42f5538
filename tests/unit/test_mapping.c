/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which memory may be replaced by a mapping, and that it is, or stays. */
#include "guest_test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../guest-lib/mapping.h"

#define INVALID_VALUE 1

static const char maps_text[] =
	"00001000-00003000 r-xp 00000000 fe:00 1048602                            /usr/bin/cat\n"
	"00003000-00005000 rw-p 00002000 fe:00 1048602                            /usr/bin/cat\n"
	"00005000-00007000 rw-p 00000000 00:00 0 \n"
	"00007000-00008000 rw-p 00000000 00:00 0                                  [heap]\n"
	"00008000-0000a000 rw-p 00000000 00:00 0                                  [anon: a name]\n"
	"0000b000-0000c000 rw-p 00000000 00:00 0 \n"
	"0000c000-0000d000 r--p 00000000 00:00 0 \n"
	"0000d000-0000e000 rw-s 00000000 00:01 2051                               /dev/zero "
	"(deleted)\n"
	"0000e000-00010000 rw-p 00000000 00:0f 77               /anon_hugepage (deleted)\n"
	"no line of that file\n"
	"00010000-00011000 ---p 00000000 00:00 0 \n"
	"00011000-00012000 rw-s 00000000 00:00 0 \n"
	"7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]\n";

static int look(uintptr_t at, uint64_t bytes, struct cause *why)
{
	const struct mapping m = { .base = (void *)at, .bytes = bytes };
	FILE *maps = fmemopen((void *)(uintptr_t)maps_text, sizeof(maps_text) - 1, "r");
	int rc;

	assert_non_null(maps);
	why->text[0] = '\0';
	rc = mapping_is_ordinary(&m, maps, why);
	fclose(maps);
	return rc;
}

static void test_ordinary(void **state)
{
	struct cause why;

	(void)state;
	assert_int_equal(look(0x5000, 0x1000, &why), 0);
	assert_int_equal(look(0x6000, 0x1000, &why), 0);
	assert_int_equal(look(0x5000, 0x5000, &why), 0); /* several in a row */
	assert_int_equal(look(0x6000, 0x3000, &why), 0);
	assert_int_equal(look(0xb000, 0x1000, &why), 0);
	assert_string_equal(why.text, "");
}

static void test_not_ordinary(void **state)
{
	static const struct {
		uintptr_t at;
		uint64_t bytes;
		const char *text;
	} bad[] = {
		{ 0x0, 0x1000, "0 is no memory" },
		{ 0x0, 0x6000, "0 is no memory" },
		{ 0x1000, 0x1000, "/usr/bin/cat" },
		{ 0x4000, 0x2000, "0x3000 is memory of /usr/bin/cat" },
		{ 0x5000, 0x6000, "0xa000 is no memory" },
		{ 0xa000, 0x1000, "0xa000 is no memory" },
		{ 0xb000, 0x2000, "0xc000 is memory for r--" },
		{ 0xd000, 0x1000, "/dev/zero (deleted)" },
		{ 0xe000, 0x1000, "/anon_hugepage" },
		{ 0x10000, 0x1000, "0x10000 is memory for ---" },
		{ 0x11000, 0x1000, "memory of others, too" },
		{ 0x12000, 0x1000, "0x12000 is no memory" },
		{ 0x7ffc00001000, 0x1000, "[stack]" },
		{ 0x7ffd00000000, 0x1000, "is no memory" },
		{ 0xfffffffffffff000, 0xfff, "is no memory" },
	};
	struct cause why;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(look(bad[i].at, bad[i].bytes, &why), INVALID_VALUE);
		assert_contains(why.text, bad[i].text);
	}
}

static void test_this_process(void **state)
{
	const uint64_t n = mapping_page();
	struct mapping m = { .bytes = 2 * n };
	struct cause why = { "" };

	(void)state;
	m.base = mmap(NULL, 3 * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(m.base, MAP_FAILED);
	assert_int_equal(mapping_may_be_replaced(&m, &why), 0);
	if (syscall(SYS_mlock, (uint8_t *)m.base + n, n) == 0) { /* sanitizers have none */
		assert_int_equal(mapping_may_be_replaced(&m, &why), INVALID_VALUE);
		assert_contains(why.text, "munlock");
		assert_int_equal(syscall(SYS_munlock, (uint8_t *)m.base + n, n), 0);
		assert_int_equal(mapping_may_be_replaced(&m, &why), 0);
	}
	munmap(m.base, 3 * n);
}

static void test_replace(void **state)
{
	const uint64_t n = mapping_page();
	struct mapping m = { .bytes = 2 * n };
	uint8_t *all, *fresh;

	(void)state;
	all = mmap(NULL, 6 * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(all, MAP_FAILED);
	memset(all, 1, 6 * n);
	fresh = all + 4 * n;
	memset(fresh, 2, 2 * n);
	m.base = all + n;
	assert_int_equal(mapping_replace(&m, fresh), 0);
	assert_int_equal(all[n - 1], 1);
	assert_int_equal(all[n], 2);
	assert_int_equal(all[3 * n - 1], 2);
	assert_int_equal(all[3 * n], 1);
	/* what cannot be moved changes nothing */
	assert_int_equal(mapping_replace(&m, fresh), -EFAULT);
	assert_int_equal(mapping_replace(&m, all + 1), -EINVAL);
	assert_int_equal(mapping_replace(&m, all), -EINVAL);
	assert_int_equal(all[n], 2);
	munmap(all, 4 * n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ordinary),
		cmocka_unit_test(test_not_ordinary),
		cmocka_unit_test(test_this_process),
		cmocka_unit_test(test_replace),
	};

	return cmocka_run_group_tests_name("mapping", tests, NULL, NULL);
}
