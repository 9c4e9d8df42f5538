// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening and closing, right and wrong; lists of devices. */
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void open_close(void)
{
	for (int i = test_rounds(50); i > 0; i--) {
		struct vgpu *g = NULL;

		EXPECT(0, test_open(&g));
		CHECK(g && !*vgpu_last_error(NULL));
		EXPECT_ON(g, 0, vgpu_nop(g));
		vgpu_close(g);
	}
}

static void open_close_unused(void)
{
	for (int i = test_rounds(20); i > 0; i--) {
		struct vgpu *g = NULL;

		EXPECT(0, test_open(&g));
		vgpu_close(g);
	}
	vgpu_close(NULL);
}

static void by_environment(void)
{
	const char *before = getenv("VGPU_DEVICE");
	auto_close g = NULL;

	if (!test.device) {
		test_skipped("no device was named");
		return;
	}
	before = before ? strdup(before) : NULL;
	setenv("VGPU_DEVICE", test.device, 1);
	EXPECT(0, vgpu_open(&g, NULL));
	EXPECT_ON(g, 0, vgpu_nop(g));
	if (before)
		setenv("VGPU_DEVICE", before, 1);
	else
		unsetenv("VGPU_DEVICE");
	free((char *)(uintptr_t)before);
}

/* Refused with @wanted, or @or_else where that is not 0; a reason; no handle. */
static void refused(const char *device, int wanted, int or_else)
{
	struct vgpu_options o = test_options();
	struct vgpu *g = (struct vgpu *)&o; /* to see that it is overwritten */
	int rc;

	o.device = device;
	rc = vgpu_open(&g, &o);
	CHECK(rc == wanted || (or_else && rc == or_else), "(device \"%.40s\": %s)", device,
	      vgpu_strerrorname(rc));
	CHECK(!g, "(device \"%.40s\")", device);
	CHECK(*vgpu_last_error(NULL) && !strchr(vgpu_last_error(NULL), '\n'));
}

static void nonsense_devices(void)
{
	char path[300] = "unix:/";

	HELPED(refused("nonsense", VGPU_EINVAL, 0));
	HELPED(refused("unixx", VGPU_EINVAL, 0));
	HELPED(refused("PCI", VGPU_EINVAL, 0));
	HELPED(refused("pci:", VGPU_EINVAL, VGPU_ENODEV));
	HELPED(refused("pci:zz", VGPU_EINVAL, 0));
	HELPED(refused("pci:0000:00:04.0 ", VGPU_EINVAL, 0));
	HELPED(refused("pci:../../etc", VGPU_EINVAL, 0));
	HELPED(refused("pci:0000:ff:1f.7", VGPU_ENODEV, 0));
	HELPED(refused("unix:/nonexistent/socket", VGPU_ENOMEDIATOR, 0));
	HELPED(refused("unix:/dev/null", VGPU_ENOMEDIATOR, VGPU_EACCES));
	HELPED(refused("unix:\n", VGPU_ENOMEDIATOR, VGPU_EINVAL));
	memset(path + 6, 'p', sizeof(path) - 7);
	HELPED(refused(path, VGPU_EINVAL, VGPU_ETOOBIG));
}

static void malformed_options(void)
{
	struct vgpu_options o = test_options();
	struct vgpu *g;

	EXPECT(VGPU_EINVAL, vgpu_open(NULL, &o));
	o.size = 0;
	EXPECT(VGPU_EINVAL, vgpu_open(&g, &o));
	o.size = (size_t)-1;
	EXPECT(VGPU_EINVAL, vgpu_open(&g, &o));
	o = test_options();
	o.timeout_ms = -2;
	EXPECT(VGPU_EINVAL, vgpu_open(&g, &o));
	o = test_options();
	o.spin_us = -7;
	EXPECT(VGPU_EINVAL, vgpu_open(&g, &o));
	o = test_options();
	o.window_bytes = (size_t)-1;
	CHECK(vgpu_open(&g, &o) < 0 && !g);
	CHECK(*vgpu_last_error(NULL));
}

static void no_handle(void)
{
	struct vgpu_status s;
	float f = 0;

	EXPECT(VGPU_EINVAL, vgpu_nop(NULL));
	EXPECT(VGPU_EINVAL, vgpu_vector_add(NULL, &f, &f, &f, 1, NULL));
	EXPECT(VGPU_EINVAL, vgpu_vector_add_self_test(NULL, NULL));
	EXPECT(VGPU_EINVAL, vgpu_query_status(NULL, &s));
	EXPECT(VGPU_EINVAL, vgpu_message(NULL, "x"));
	EXPECT(VGPU_EINVAL, vgpu_call(NULL, 1, NULL, 0, NULL, NULL, NULL));
}

static void several_handles(void)
{
	enum {
		HANDLES = 4
	};
	struct vgpu *g[HANDLES] = { NULL };
	struct vgpu_status s[HANDLES];
	int n, rc = 0;

	for (n = 0; n < HANDLES && rc == 0; n += rc == 0)
		rc = test_open(&g[n]);
	/* a device may have few channels; two are the least that this can be shown with */
	if (rc)
		CHECK(n >= 2 && (rc == VGPU_ENOCHANNEL || rc == VGPU_EQUOTA), "(%d open, then %s)",
		      n, vgpu_strerrorname(rc));
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < n; i++)
			EXPECT_ON(g[i], 0, vgpu_nop(g[i]));
	for (int i = 0; i < n; i++)
		EXPECT_ON(g[i], 0, vgpu_query_status(g[i], &s[i]));
	/* one ends, the others go on */
	vgpu_close(g[0]);
	for (int i = 1; i < n; i++) {
		CHECK(s[i].requests == 4, "(%llu)", (unsigned long long)s[i].requests);
		EXPECT_ON(g[i], 0, vgpu_nop(g[i]));
		vgpu_close(g[i]);
	}
}

static void list_devices(void)
{
	struct vgpu_device *list = NULL;
	bool found = false;
	size_t count = 77;

	EXPECT(0, vgpu_list_devices(&list, &count));
	CHECK(count < 77 && (list || !count));
	for (size_t i = 0; i < count; i++) {
		CHECK(memchr(list[i].name, 0, sizeof(list[i].name)) && list[i].name[0]);
		CHECK(memchr(list[i].detail, 0, sizeof(list[i].detail)));
		CHECK(list[i].state == 0 || (list[i].state <= VGPU_EINVAL && list[i].detail[0]));
		CHECK(list[i].channels_free <= list[i].channels);
		if (test.device && strncmp(list[i].name, "pci:", 4) == 0 &&
		    (!strcmp(test.device, "pci") || !strcmp(test.device, list[i].name))) {
			found = true;
			CHECK(list[i].state == 0, "(%s: %s)", list[i].name, list[i].detail);
			CHECK(list[i].channels > 0 && list[i].window_bytes > 0);
			CHECK(VGPU_VERSION_MAJOR(list[i].protocol_version) == VGPU_PROTOCOL_MAJOR);
		}
	}
	if (test.device && strncmp(test.device, "pci", 3) == 0)
		CHECK(found);
	vgpu_free_devices(list);
	vgpu_free_devices(NULL);
}

const struct test_case open_tests[] = {
	{ "open and close 50 times", open_close },
	{ "open and close without a call", open_close_unused },
	{ "VGPU_DEVICE names the device", by_environment },
	{ "devices that do not exist are refused", nonsense_devices },
	{ "malformed options are refused", malformed_options },
	{ "calls without a handle are refused", no_handle },
	{ "several handles at once", several_handles },
	{ "list of devices", list_devices },
	{ NULL, NULL },
};
