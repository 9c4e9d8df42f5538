/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The nodes of a device against a real xenstored: xen_nodes.sh starts it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../host/xen_nodes.h"
#include "vgpu_xenstore.h"

#define UUID "11111111-2222-3333-4444-55555555550"
#define ANY_GENERATION "*"

static struct xs_handle *xs, *other;
static int conflicts; /* that the next transactions meet */

/* A stranger who writes a node that the transaction has read, just before it ends. */
bool __real_xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort);
bool __wrap_xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort);
bool __wrap_xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort)
{
	if (conflicts > 0) {
		conflicts--;
		assert_true(xs_write(other, XBT_NULL, "/local/domain/5/vm", "/vm/" UUID "5", 40));
	}
	return __real_xs_transaction_end(h, t, abort);
}

static void put(const char *path, const char *value)
{
	assert_true(xs_write(xs, XBT_NULL, path, value, strlen(value)));
}

static bool there(const char *path)
{
	void *value = xs_read(xs, XBT_NULL, path, NULL);

	free(value);
	return value != NULL;
}

static void make_domain(uint32_t domid, const char *name, char uuid_end)
{
	struct xs_permissions p[2] = { { 0, XS_PERM_NONE }, { domid, XS_PERM_READ } };
	char path[64], vm[64];

	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	assert_true(xs_mkdir(xs, XBT_NULL, path));
	assert_true(xs_set_permissions(xs, XBT_NULL, path, p, 2));
	snprintf(path, sizeof(path), "/local/domain/%u/name", domid);
	put(path, name);
	snprintf(path, sizeof(path), "/local/domain/%u/vm", domid);
	snprintf(vm, sizeof(vm), "/vm/" UUID "%c", uuid_end);
	put(path, vm);
}

/* Dom0, guests 5 and 6, driver domain 7. */
static int setup(void **state)
{
	(void)state;
	conflicts = 0;
	xs_rm(xs, XBT_NULL, "/local");
	put("/local/domain/0/name", "Domain-0");
	make_domain(5, "five", '5');
	make_domain(6, "six", '6');
	make_domain(7, "driver", '7');
	return 0;
}

static const struct xen_device five = { .domid = 5 }, at_driver = { .domid = 5, .backend = 7 };

static void attach(const struct xen_device *dev)
{
	struct xen_attached done;

	assert_int_equal(xen_nodes_attach(xs, dev, &done), 0);
	assert_false(done.already);
	assert_int_equal(strlen(done.generation), VGPU_XS_ID_CHARS);
}

struct expected {
	const char *path;
	const char *value;
	uint32_t owner;
	int reader; /* -1: nobody else */
};

static void assert_node(const struct expected *e)
{
	unsigned int n;
	char *value = xs_read(xs, XBT_NULL, e->path, NULL);
	struct xs_permissions *p = xs_get_permissions(xs, XBT_NULL, e->path, &n);

	if (!value || !p)
		fail_msg("%s: is missing", e->path);
	if (!strcmp(e->value, ANY_GENERATION))
		assert_int_equal(strspn(value, "0123456789abcdef"), VGPU_XS_ID_CHARS);
	else if (strcmp(value, e->value))
		fail_msg("%s: \"%s\", not \"%s\"", e->path, value, e->value);
	if (p[0].id != e->owner || p[0].perms != XS_PERM_NONE || n != (e->reader < 0 ? 1u : 2u) ||
	    (e->reader >= 0 && ((int)p[1].id != e->reader || p[1].perms != XS_PERM_READ)))
		fail_msg("%s: permissions are wrong: n%u, %u entries", e->path, p[0].id, n);
	free(value);
	free(p);
}

static unsigned int count_nodes(const char *path)
{
	unsigned int n = 0;
	char **names = xs_directory(xs, XBT_NULL, path, &n);

	free(names);
	return n;
}

#define FRONT "/local/domain/5/device/vgpu/0"
#define BACK "/local/domain/7/backend/vgpu/5/0"

static void test_attach_writes_what_the_protocol_says(void **state)
{
	static const struct expected expected[] = {
		{ "/local/domain/5/device", "", 0, 5 },
		{ "/local/domain/5/device/vgpu", "", 0, 5 },
		{ FRONT, "", 5, 7 },
		{ FRONT "/backend", BACK, 5, 7 },
		{ FRONT "/backend-id", "7", 5, 7 },
		{ FRONT "/state", "1", 5, 7 },
		{ "/local/domain/7/backend", "", 0, 7 },
		{ "/local/domain/7/backend/vgpu", "", 7, -1 },
		{ "/local/domain/7/backend/vgpu/5", "", 7, -1 },
		{ BACK, "", 7, 5 },
		{ BACK "/frontend", FRONT, 7, 5 },
		{ BACK "/frontend-id", "5", 7, 5 },
		{ BACK "/domain", "five", 7, 5 },
		{ BACK "/uuid", UUID "5", 7, 5 },
		{ BACK "/generation", ANY_GENERATION, 7, 5 },
		{ BACK "/online", "1", 7, 5 },
		{ BACK "/state", "1", 7, 5 },
	};

	(void)state;
	attach(&at_driver);
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_node(&expected[i]);
	assert_int_equal(count_nodes(FRONT), 3);
	assert_int_equal(count_nodes(BACK), 7);
}

static void test_twice_touches_nothing(void **state)
{
	struct xen_attached first, second;
	unsigned int events = 0;
	char **event;

	(void)state;
	assert_int_equal(xen_nodes_attach(xs, &five, &first), 0);
	assert_true(xs_watch(other, "/local/domain/5", "t"));
	assert_true(xs_watch(other, "/local/domain/0", "t"));
	assert_int_equal(xen_nodes_attach(xs, &five, &second), 0);
	assert_true(second.already);
	assert_string_equal(first.generation, second.generation);
	put("/local/domain/5/last", "1"); /* comes after all that there was */
	do {
		event = xs_read_watch(other, &(unsigned int){ 0 });
		assert_non_null(event);
		events++;
	} while (!strstr(event[0], "last") && (free(event), true));
	free(event);
	assert_int_equal(events, 3); /* one of each watch itself, and ours */
	xs_unwatch(other, "/local/domain/5", "t");
	xs_unwatch(other, "/local/domain/0", "t");
}

static void expect_repaired(void)
{
	struct xen_attached done;
	unsigned int problems;

	assert_int_equal(xen_nodes_check(xs, XBT_NULL, &at_driver, NULL, NULL, &problems), 0);
	assert_int_not_equal(problems, 0);
	assert_int_equal(xen_nodes_attach(xs, &at_driver, &done), 0);
	assert_false(done.already);
	assert_int_equal(xen_nodes_check(xs, XBT_NULL, &at_driver, NULL, NULL, &problems), 0);
	assert_int_equal(problems, 0);
}

static void test_damage_is_repaired(void **state)
{
	struct xs_permissions p = { 7, XS_PERM_NONE };

	(void)state;
	attach(&at_driver);
	assert_true(xs_rm(xs, XBT_NULL, BACK "/uuid"));
	expect_repaired();
	assert_true(xs_rm(xs, XBT_NULL, FRONT));
	expect_repaired();
	put(BACK "/online", "0"); /* half detached */
	expect_repaired();
	put(FRONT "/channel-0/state", "4"); /* of a life that is over */
	put(BACK "/uuid", UUID "9");
	expect_repaired();
	assert_false(there(FRONT "/channel-0/state"));
	assert_true(xs_set_permissions(xs, XBT_NULL, BACK "/state", &p, 1));
	expect_repaired();
}

static void test_another_backend_has_it(void **state)
{
	struct xen_attached done;

	(void)state;
	attach(&at_driver);
	assert_int_equal(xen_nodes_attach(xs, &five, &done), -EBUSY);
	assert_int_equal(done.other, 7);
	assert_false(there("/local/domain/0/backend"));
	/* of an earlier life of the number: nobody */
	put(BACK "/uuid", UUID "9");
	attach(&five);
}

/* The guest's side is the guest's: what it says of its backend is followed by nobody. */
static void test_guest_lies(void **state)
{
	struct xen_attached done;

	(void)state;
	attach(&five);
	put("/local/domain/7/backend/vgpu/6/0/state", "4");
	put(FRONT "/backend-id", "7");
	put(FRONT "/backend", "/local/domain/7/backend/vgpu/6/0");
	assert_int_equal(xen_nodes_attach(xs, &five, &done), 0);
	assert_false(done.already);
	put(FRONT "/backend", "/local/domain/7/backend/vgpu/6/0");
	assert_int_equal(xen_nodes_remove(xs, &five, NULL), 0);
	assert_true(there("/local/domain/7/backend/vgpu/6/0/state"));
}

static void test_detach(void **state)
{
	(void)state;
	attach(&at_driver);
	assert_int_equal(xen_nodes_offline(xs, &at_driver), 0);
	assert_node(&(struct expected){ BACK "/online", "0", 7, 5 });
	assert_int_equal(xen_nodes_remove(xs, &at_driver, NULL), 0);
	assert_false(there("/local/domain/5/device/vgpu"));
	assert_true(there("/local/domain/5/device"));
	assert_false(there("/local/domain/7/backend/vgpu/5"));
	assert_true(there("/local/domain/7/backend/vgpu"));
	assert_int_equal(xen_nodes_remove(xs, &at_driver, NULL), -ENOENT);
	assert_int_equal(xen_nodes_offline(xs, &at_driver), -ENOENT);
	assert_false(there(BACK)); /* and no half device came to be */
}

static void test_two_devices(void **state)
{
	struct xen_device second = { .domid = 5, .backend = 0, .number = 1 }, *all;
	unsigned int n;

	(void)state;
	attach(&at_driver);
	attach(&second);
	put("/local/domain/0/backend/vgpu/5/007/state", "1");
	put("/local/domain/0/backend/vgpu/5/8/state", "1");
	put("/local/domain/0/backend/vgpu/x/0/state", "1");
	assert_int_equal(xen_devices(xs, XBT_NULL, &all, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(all[0].number, 0);
	assert_int_equal(all[0].backend, 7);
	assert_int_equal(all[1].number, 1);
	assert_int_equal(all[1].backend, 0);
	free(all);
	assert_int_equal(xen_nodes_remove(xs, &at_driver, NULL), 0);
	assert_true(there("/local/domain/5/device/vgpu/1/state"));
	assert_false(there(FRONT));
}

/* QEMU removes only what it wrote. */
static void test_remove_by_generation(void **state)
{
	struct xen_attached done;

	(void)state;
	assert_int_equal(xen_nodes_attach(xs, &five, &done), 0);
	assert_int_equal(xen_nodes_remove(xs, &five, "0123456789abcdef"), -ENOENT);
	assert_true(there(FRONT));
	assert_int_equal(xen_nodes_remove(xs, &five, done.generation), 0);
	assert_false(there(FRONT));
	assert_int_equal(xen_nodes_remove(xs, &five, done.generation), -ENOENT);
}

static void test_stale(void **state)
{
	(void)state;
	attach(&five);
	assert_null(xen_nodes_stale(xs, XBT_NULL, &five));
	assert_true(xs_rm(xs, XBT_NULL, FRONT));
	assert_string_equal(xen_nodes_stale(xs, XBT_NULL, &five), "the guest's side is gone");
	assert_true(xs_rm(xs, XBT_NULL, "/local/domain/5"));
	assert_string_equal(xen_nodes_stale(xs, XBT_NULL, &five), "its guest is gone");

	/* Its number goes to another one, which has a device from another backend. */
	make_domain(5, "next", '8');
	assert_string_equal(xen_nodes_stale(xs, XBT_NULL, &five),
			    "its guest is gone, and another one has the number");
	attach(&at_driver);
	assert_int_equal(xen_nodes_remove(xs, &five, NULL), 0);
	assert_null(xen_nodes_stale(xs, XBT_NULL, &at_driver));
	assert_false(there("/local/domain/0/backend/vgpu/5"));
}

static void test_domains(void **state)
{
	char uuid[XEN_UUID_CHARS + 1];
	uint32_t id;

	(void)state;
	assert_int_equal(xen_domain_find(xs, "5", &id), 0);
	assert_int_equal(id, 5);
	assert_int_equal(xen_domain_find(xs, "six", &id), 0);
	assert_int_equal(id, 6);
	assert_int_equal(xen_domain_find(xs, "0", &id), 0);
	assert_int_equal(xen_domain_find(xs, "Domain-0", &id), 0);
	assert_int_equal(id, 0);
	assert_int_equal(xen_domain_find(xs, "9", &id), -ESRCH);
	assert_int_equal(xen_domain_find(xs, "seven", &id), -ESRCH);
	assert_int_equal(xen_domain_find(xs, "", &id), -ESRCH);
	assert_int_equal(xen_domain_find(xs, "../5", &id), -ESRCH);
	assert_int_equal(xen_domain_uuid(xs, XBT_NULL, 6, uuid), 0);
	assert_string_equal(uuid, UUID "6");
	make_domain(8, "six", '8');
	assert_int_equal(xen_domain_find(xs, "six", &id), -ENOTUNIQ);
	put("/local/domain/6/vm", "/vm/no-uuid");
	assert_int_equal(xen_domain_uuid(xs, XBT_NULL, 6, uuid), -ESRCH);
}

static void test_attach_refused(void **state)
{
	struct xen_device dev = { .domid = 7, .backend = 7 };
	struct xen_attached done;

	(void)state;
	assert_int_equal(xen_nodes_attach(xs, &dev, &done), -EINVAL);
	dev = (struct xen_device){ .domid = 5, .number = VGPU_XS_DEVICES_MAX };
	assert_int_equal(xen_nodes_attach(xs, &dev, &done), -EINVAL);
	dev = (struct xen_device){ .domid = 9 };
	assert_int_equal(xen_nodes_attach(xs, &dev, &done), -ESRCH);
	dev = (struct xen_device){ .domid = 5, .backend = 9 };
	assert_int_equal(xen_nodes_attach(xs, &dev, &done), -ESRCH);
	assert_false(there("/local/domain/9"));
	assert_false(there("/local/domain/5/device"));
}

static void test_conflict(void **state)
{
	struct xen_attached done;

	(void)state;
	conflicts = 3;
	attach(&five);
	assert_int_equal(conflicts, 0);
	/* for ever: ends, and nothing was done */
	conflicts = 1000;
	assert_int_equal(xen_nodes_remove(xs, &five, NULL), -EAGAIN);
	assert_true(there(FRONT));
	conflicts = 0;
	assert_int_equal(xen_nodes_remove(xs, &five, NULL), 0);
	conflicts = 1000;
	assert_int_equal(xen_nodes_attach(xs, &five, &done), -EAGAIN);
	assert_false(there(FRONT));
}

static void test_long_values(void **state)
{
	char value[VGPU_XS_VALUE_MAX + 1], name[101];

	(void)state;
	memset(name, 'n', 100);
	name[100] = '\0';
	put("/local/domain/5/name", name);
	attach(&five);
	assert_int_equal(xen_read(xs, XBT_NULL, "/local/domain/0/backend/vgpu/5/0/domain", value,
				  sizeof(value)),
			 0);
	assert_int_equal(strlen(value), VGPU_XS_VALUE_MAX);
	assert_int_equal(xen_read(xs, XBT_NULL, "/local/domain/5/name", value, sizeof(value)),
			 -EPROTO);
	assert_true(xs_write(xs, XBT_NULL, FRONT "/state", "4\0", 2));
	assert_int_equal(xen_read_state(xs, FRONT "/state"), VGPU_XS_UNKNOWN);
	put(FRONT "/state", "7");
	assert_int_equal(xen_read_state(xs, FRONT "/state"), VGPU_XS_UNKNOWN);
	put(FRONT "/state", "4");
	assert_int_equal(xen_read_state(xs, FRONT "/state"), VGPU_XS_CONNECTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_attach_writes_what_the_protocol_says, setup),
		cmocka_unit_test_setup(test_twice_touches_nothing, setup),
		cmocka_unit_test_setup(test_damage_is_repaired, setup),
		cmocka_unit_test_setup(test_another_backend_has_it, setup),
		cmocka_unit_test_setup(test_guest_lies, setup),
		cmocka_unit_test_setup(test_detach, setup),
		cmocka_unit_test_setup(test_two_devices, setup),
		cmocka_unit_test_setup(test_remove_by_generation, setup),
		cmocka_unit_test_setup(test_stale, setup),
		cmocka_unit_test_setup(test_domains, setup),
		cmocka_unit_test_setup(test_attach_refused, setup),
		cmocka_unit_test_setup(test_conflict, setup),
		cmocka_unit_test_setup(test_long_values, setup),
	};
	int rc;

	xs = xs_open(0);
	other = xs_open(0);
	if (!xs || !other) {
		perror("xs_open: run tests/unit/xen_nodes.sh");
		return 1;
	}
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	xs_close(other);
	xs_close(xs);
	return rc;
}
