/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does xenlibd's XenStore do what xenstored does? By way of the real libxenstore. The error numbers
 * are those of Xen 4.17.
 */
#include "bed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAILS(error, call)                                                                         \
	do {                                                                                       \
		errno = 0;                                                                         \
		assert_false(call);                                                                \
		assert_int_equal(errno, error);                                                    \
	} while (0)

#define AT XBT_NULL

static bool put(struct xs_handle *xs, xs_transaction_t t, const char *path, const char *value)
{
	return xs_write(xs, t, path, value, (unsigned int)strlen(value));
}

static void expect(struct xs_handle *xs, xs_transaction_t t, const char *path, const char *value)
{
	unsigned int n;
	char *is = xs_read(xs, t, path, &n);

	assert_non_null(is);
	assert_int_equal(n, strlen(value));
	assert_string_equal(is, value);
	free(is);
}

static bool permit(struct xs_handle *xs, const char *path, unsigned int owner, unsigned int other,
		   unsigned int perms)
{
	struct xs_permissions p[] = { { owner, XS_PERM_NONE }, { other, perms } };

	return xs_set_permissions(xs, AT, path, p, 2);
}

static void expect_event(struct xs_handle *xs, const char *path, const char *token)
{
	char **event;

	assert_true(bed_readable(xs_fileno(xs), BED_WAIT_MS));
	event = xs_check_watch(xs);
	assert_non_null(event);
	assert_string_equal(event[XS_WATCH_PATH], path);
	assert_string_equal(event[XS_WATCH_TOKEN], token);
	free(event);
}

/* Events come in order, before the answer to what is asked later. */
static void expect_no_event(struct xs_handle *xs)
{
	free(xs_read(xs, AT, "domid", NULL));
	errno = 0;
	assert_null(xs_check_watch(xs));
	assert_int_equal(errno, EAGAIN);
}

static void test_write_read_remove(void **state)
{
	struct xs_handle *xs = bed_xs(0);
	unsigned int n;
	char **names;

	(void)state;
	assert_true(put(xs, AT, "/a/b/c", "1"));
	expect(xs, AT, "/a/b/c", "1");
	expect(xs, AT, "/a/b", "");
	assert_true(xs_write(xs, AT, "/a/zero", "x\0y", 3));
	assert_true(xs_mkdir(xs, AT, "/a/d"));
	assert_true(xs_mkdir(xs, AT, "/a/b/c")); /* as it is */
	expect(xs, AT, "/a/b/c", "1");
	names = xs_directory(xs, AT, "/a", &n);
	assert_non_null(names);
	assert_int_equal(n, 3);
	assert_string_equal(names[0], "b");
	assert_string_equal(names[2], "d");
	free(names);
	assert_true(xs_rm(xs, AT, "/a/b"));
	FAILS(ENOENT, xs_read(xs, AT, "/a/b/c", &n));
	assert_true(xs_rm(xs, AT, "/a/b")); /* gone is gone */
	FAILS(ENOENT, xs_rm(xs, AT, "/nowhere/b"));
	FAILS(EINVAL, xs_rm(xs, AT, "/"));
	FAILS(EINVAL, put(xs, AT, "/a//b", ""));
	FAILS(EINVAL, put(xs, AT, "/a/", ""));
	FAILS(EINVAL, put(xs, AT, "/a b", ""));
	xs_close(xs);
}

static void test_relative_paths(void **state)
{
	struct xs_handle *xs = bed_xs(1), *tools = bed_xs(0);
	char *path;

	(void)state;
	expect(xs, AT, "domid", "1");
	expect(xs, AT, "/local/domain/1/name", "guest1");
	assert_true(put(xs, AT, "data/x", "7"));
	expect(tools, AT, "/local/domain/1/data/x", "7");
	expect(tools, AT, "domid", "0");
	path = xs_get_domain_path(xs, 2);
	assert_string_equal(path, "/local/domain/2");
	free(path);
	assert_true(xs_is_domain_introduced(xs, 2));
	assert_false(xs_is_domain_introduced(xs, 3));
	xs_close(xs);
	xs_close(tools);
}

static void test_permissions(void **state)
{
	struct xs_handle *one = bed_xs(1), *two = bed_xs(2), *tools = bed_xs(0);
	struct xs_permissions *p;
	unsigned int n;

	(void)state;
	assert_true(put(one, AT, "data/secret", "s"));
	FAILS(EACCES, xs_read(two, AT, "/local/domain/1/data/secret", &n));
	FAILS(EACCES, xs_read(two, AT, "/local/domain/1/data/nothing", &n));
	FAILS(EACCES, xs_directory(two, AT, "/local/domain/1/data", &n));
	assert_true(permit(one, "data", 1, 2, XS_PERM_READ));
	/* Each node has its own. */
	FAILS(EACCES, xs_read(two, AT, "/local/domain/1/data/secret", &n));
	FAILS(ENOENT, xs_read(two, AT, "/local/domain/1/data/nothing", &n));
	FAILS(EACCES, put(two, AT, "/local/domain/1/data/mine", ""));
	assert_true(permit(one, "data", 1, 2, XS_PERM_READ | XS_PERM_WRITE));
	assert_true(put(two, AT, "/local/domain/1/data/mine", "m"));
	/* Who makes a node owns it. */
	p = xs_get_permissions(two, AT, "/local/domain/1/data/mine", &n);
	assert_non_null(p);
	assert_int_equal(p[0].id, 2);
	assert_int_equal(p[1].id, 2);
	free(p);
	FAILS(EACCES, permit(two, "/local/domain/1/data", 2, 1, XS_PERM_READ));
	FAILS(EPERM, permit(two, "/local/domain/1/data/mine", 1, 2, XS_PERM_READ));
	FAILS(EACCES, put(one, AT, "name", "me"));
	FAILS(EACCES, put(one, AT, "device/vgpu/0/state", "1"));
	assert_true(xs_rm(tools, AT, "/local/domain/1/data/mine"));
	xs_close(one);
	xs_close(two);
	xs_close(tools);
}

static void test_transaction(void **state)
{
	struct xs_handle *a = bed_xs(bed_own()), *b = bed_xs(bed_own());
	xs_transaction_t t = xs_transaction_start(a);
	unsigned int n;

	(void)state;
	assert_int_not_equal(t, XBT_NULL);
	assert_true(put(a, t, "data/x", "1"));
	expect(a, t, "data/x", "1");
	FAILS(ENOENT, xs_read(b, AT, "data/x", &n));
	assert_true(xs_transaction_end(a, t, false));
	expect(b, AT, "data/x", "1");
	t = xs_transaction_start(a);
	assert_true(xs_rm(a, t, "data/x"));
	FAILS(ENOENT, xs_read(a, t, "data/x", &n));
	assert_true(xs_transaction_end(a, t, true));
	expect(b, AT, "data/x", "1");
	FAILS(ENOENT, xs_transaction_end(a, t, false));
	FAILS(ENOENT, xs_read(a, 4711, "data/x", &n));
	xs_close(a);
	xs_close(b);
}

/* Of what it has read, or seen to be missing; not of what it has not looked at. */
static void test_transaction_conflicts(void **state)
{
	struct xs_handle *a = bed_xs(bed_own()), *b = bed_xs(bed_own());
	xs_transaction_t t;
	unsigned int n;

	(void)state;
	assert_true(put(b, AT, "data/x/y", "1"));
	t = xs_transaction_start(a);
	expect(a, t, "data/x/y", "1");
	assert_true(put(b, AT, "data/x/y", "2"));
	expect(a, t, "data/x/y", "1");
	FAILS(EAGAIN, xs_transaction_end(a, t, false));

	t = xs_transaction_start(a);
	FAILS(ENOENT, xs_read(a, t, "data/new", &n));
	assert_true(put(b, AT, "data/new", "2"));
	assert_true(put(a, t, "data/new", "1"));
	FAILS(EAGAIN, xs_transaction_end(a, t, false));
	expect(b, AT, "data/new", "2");

	t = xs_transaction_start(a);
	assert_true(put(a, t, "data/x/y", "3"));
	assert_true(put(b, AT, "data/new", "4"));
	assert_true(xs_transaction_end(a, t, false));
	expect(b, AT, "data/x/y", "3");

	/* Two that make a node in one directory. */
	t = xs_transaction_start(a);
	assert_true(put(a, t, "data/mine", ""));
	assert_true(put(b, AT, "data/yours", ""));
	FAILS(EAGAIN, xs_transaction_end(a, t, false));
	xs_close(a);
	xs_close(b);
}

/*
 * Each node is as it was when the transaction first looked at it, not when it began. One that will
 * come to nothing may see what never was together, and be told so.
 */
static void test_doomed_transaction(void **state)
{
	struct xs_handle *a = bed_xs(bed_own()), *b = bed_xs(bed_own());
	struct xs_permissions perms = { bed_own(), XS_PERM_NONE };
	xs_transaction_t t;
	unsigned int n;

	(void)state;
	assert_true(xs_mkdir(b, AT, "data"));
	t = xs_transaction_start(a);
	assert_true(xs_rm(a, t, "data/x"));
	assert_true(put(b, AT, "data/x/id", "theirs"));
	expect(a, t, "data/x/id", "theirs");
	assert_true(put(a, t, "data/x/id", "ours"));
	FAILS(ENOENT, xs_set_permissions(a, t, "data/x", &perms, 1));
	FAILS(ENOENT, xs_read(a, t, "data/x", &n));
	FAILS(EAGAIN, xs_transaction_end(a, t, false));
	expect(b, AT, "data/x/id", "theirs");
	xs_close(a);
	xs_close(b);
}

static void test_watch(void **state)
{
	struct xs_handle *a = bed_xs(bed_own()), *b = bed_xs(bed_own());
	char path[64];

	(void)state;
	assert_true(xs_watch(a, "data/w", "token"));
	expect_event(a, "data/w", "token"); /* there or not */
	FAILS(EEXIST, xs_watch(a, "data/w", "token"));
	assert_true(put(b, AT, "data/w/x", "1"));
	expect_event(a, "data/w/x", "token");
	assert_true(put(b, AT, "data/wide", "1"));
	expect_no_event(a);
	assert_true(xs_rm(b, AT, "data/w/x"));
	expect_event(a, "data/w/x", "token");
	/* Its own writing, too; and absolute where the watch was. */
	snprintf(path, sizeof(path), "/local/domain/%u/data", bed_own());
	assert_true(xs_watch(a, path, "t2"));
	expect_event(a, path, "t2");
	assert_true(xs_unwatch(a, "data/w", "token"));
	FAILS(ENOENT, xs_unwatch(a, "data/w", "token"));
	assert_true(put(a, AT, "data/w/x", "2"));
	snprintf(path, sizeof(path), "/local/domain/%u/data/w/x", bed_own());
	expect_event(a, path, "t2");
	expect_no_event(a);
	xs_close(a);
	xs_close(b);
}

/* A node that goes with one above it is told to those who watch just that one. */
static void test_watch_below_what_is_removed(void **state)
{
	struct xs_handle *a = bed_xs(bed_own()), *b = bed_xs(bed_own());

	(void)state;
	assert_true(put(b, AT, "data/w/x/y", "1"));
	assert_true(xs_watch(a, "data/w/x/y", "deep"));
	expect_event(a, "data/w/x/y", "deep");
	assert_true(xs_watch(a, "data", "above"));
	expect_event(a, "data", "above");
	assert_true(xs_rm(b, AT, "data/w"));
	expect_event(a, "data/w/x/y", "deep");
	expect_event(a, "data/w", "above");
	expect_no_event(a);
	xs_close(a);
	xs_close(b);
}

static void test_watch_and_transaction(void **state)
{
	struct xs_handle *a = bed_xs(bed_own()), *b = bed_xs(bed_own());
	xs_transaction_t t;

	(void)state;
	assert_true(xs_watch(a, "data", "t"));
	expect_event(a, "data", "t");
	t = xs_transaction_start(b);
	assert_true(put(b, t, "data/x", "1"));
	expect_no_event(a);
	assert_true(xs_transaction_end(b, t, false));
	expect_event(a, "data/x", "t");
	t = xs_transaction_start(b);
	assert_true(put(b, t, "data/x", "2"));
	assert_true(xs_transaction_end(b, t, true));
	expect_no_event(a);
	xs_close(a);
	xs_close(b);
}

/* Only what the watcher may read, or could until it was removed. */
static void test_watch_and_permissions(void **state)
{
	struct xs_handle *two = bed_xs(2), *one = bed_xs(1);

	(void)state;
	assert_true(xs_watch(two, "/local/domain/1/data", "t"));
	expect_event(two, "/local/domain/1/data", "t");
	assert_true(put(one, AT, "data/x", "1"));
	expect_no_event(two);
	assert_true(permit(one, "data/x", 1, 2, XS_PERM_READ));
	expect_event(two, "/local/domain/1/data/x", "t");
	assert_true(put(one, AT, "data/x", "2"));
	expect_event(two, "/local/domain/1/data/x", "t");
	assert_true(xs_rm(one, AT, "data/x"));
	expect_event(two, "/local/domain/1/data/x", "t");
	expect_no_event(two);
	xs_close(two);
	xs_close(one);
}

static void test_domains_come_and_go(void **state)
{
	struct xs_handle *tools = bed_xs(0), *one = bed_xs(1);
	unsigned int n;

	(void)state;
	assert_true(xs_watch(tools, "@introduceDomain", "in"));
	expect_event(tools, "@introduceDomain", "in");
	assert_true(xs_watch(tools, "@releaseDomain", "out"));
	expect_event(tools, "@releaseDomain", "out");
	assert_true(put(one, AT, "data/x", "1"));
	assert_true(permit(one, "data", 1, 2, XS_PERM_READ | XS_PERM_WRITE));
	assert_int_equal(bed_command("create 5 five 55555555-5555-5555-5555-555555555555", NULL),
			 0);
	expect_event(tools, "@introduceDomain", "in");
	assert_int_equal(bed_command("destroy 1", NULL), 0);
	expect_event(tools, "@releaseDomain", "out");
	FAILS(ENOENT, xs_read(tools, AT, "/local/domain/1/name", &n));
	bed_expect_count(0, "watches", 2);
	FAILS(EINVAL, xs_watch(tools, "@other", ""));
	xs_close(one);
	xs_close(tools);
}

static void test_quota_of_nodes(void **state)
{
	struct xs_handle *xs = bed_xs(1), *tools = bed_xs(0);
	char path[64], big[2048];
	unsigned int n = 0;

	(void)state;
	memset(big, 'x', sizeof(big));
	FAILS(ENOSPC, xs_write(xs, AT, "data/big", big, sizeof(big)));
	assert_true(xs_write(xs, AT, "data/big", big, sizeof(big) - 64));
	assert_true(xs_write(tools, AT, "/tools", big, sizeof(big)));
	for (; n < 1100; n++) {
		snprintf(path, sizeof(path), "data/%u/%u", n / 100, n % 100);
		if (!put(xs, AT, path, ""))
			break;
	}
	assert_int_equal(errno, ENOSPC);
	bed_expect_count(1, "nodes", 1000);
	assert_true(put(xs, AT, "data/big", "less")); /* what is there may change */
	assert_true(xs_rm(xs, AT, "data/0"));
	assert_true(put(xs, AT, "data/again", ""));
	xs_close(xs);
	xs_close(tools);
}

static void test_quota_of_watches_and_transactions(void **state)
{
	struct xs_handle *xs = bed_xs(1);
	xs_transaction_t t[10];
	char token[16];

	(void)state;
	for (int i = 0; i < 128; i++) {
		snprintf(token, sizeof(token), "%d", i);
		assert_true(xs_watch(xs, "data", token));
	}
	FAILS(E2BIG, xs_watch(xs, "data", "more"));
	for (int i = 0; i < 10; i++) {
		t[i] = xs_transaction_start(xs);
		assert_int_not_equal(t[i], XBT_NULL);
	}
	FAILS(ENOSPC, xs_transaction_start(xs));
	assert_true(xs_transaction_end(xs, t[3], true));
	assert_int_not_equal(xs_transaction_start(xs), XBT_NULL);
	bed_expect_count(1, "transactions", 10);
	xs_close(xs);
	bed_expect_count(1, "transactions", 0);
	bed_expect_count(1, "watches", 0);
}

#define ANY_DOMAIN 7 /* so many at the start of the list need no domain but 0 */
#define CASE(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

int main(void)
{
	/* The first need no other domain, so a real xenstored without Xen can be asked the same. */
	const struct CMUnitTest tests[] = {
		CASE(test_write_read_remove),
		CASE(test_transaction),
		CASE(test_transaction_conflicts),
		CASE(test_watch),
		CASE(test_watch_below_what_is_removed),
		CASE(test_watch_and_transaction),
		CASE(test_doomed_transaction),
		CASE(test_relative_paths),
		CASE(test_permissions),
		CASE(test_watch_and_permissions),
		CASE(test_domains_come_and_go),
		CASE(test_quota_of_nodes),
		CASE(test_quota_of_watches_and_transactions),
	};
	const size_t n = bed_real() ? ANY_DOMAIN : sizeof(tests) / sizeof(tests[0]);

	return _cmocka_run_group_tests("xenlib store", tests, n, NULL, NULL);
}
