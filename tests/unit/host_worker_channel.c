// SPDX-License-Identifier: GPL-2.0-or-later
/* The channel header, field by field: each test breaks one thing in a sound header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../host/worker_channel.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_version.h"

#define PAGE VGPU_PAGE_BYTES
#define LENGTH (16u * PAGE)

static struct vgpu_channel_header sound(void)
{
	return (struct vgpu_channel_header){
		.magic = VGPU_CHANNEL_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.total_bytes = LENGTH,
		.index_offset = PAGE,
		.req_offset = 2 * PAGE,
		.req_entries = 32,
		.rsp_offset = 3 * PAGE,
		.rsp_entries = 64,
		.window_offset = 4 * PAGE,
		.window_bytes = 12 * PAGE,
	};
}

static int check(const struct vgpu_channel_header *h)
{
	struct channel_geometry g;
	const char *why = NULL;
	int rc = channel_header_check(h, LENGTH, &g, &why);

	if (rc < 0) {
		assert_non_null(why);
		assert_true(strlen(why) > 0);
	}
	return rc;
}

#define REFUSES(change)                                                                            \
	do {                                                                                       \
		struct vgpu_channel_header h = sound();                                            \
		change;                                                                            \
		assert_int_equal(check(&h), VGPU_EPROTO);                                          \
	} while (0)

#define TAKES(change)                                                                              \
	do {                                                                                       \
		struct vgpu_channel_header h = sound();                                            \
		change;                                                                            \
		assert_int_equal(check(&h), 0);                                                    \
	} while (0)

static void test_sound(void **state)
{
	struct vgpu_channel_header h = sound();
	struct channel_geometry g;
	const char *why;

	(void)state;
	assert_int_equal(channel_header_check(&h, LENGTH, &g, &why), 0);
	assert_int_equal(g.total_bytes, LENGTH);
	assert_int_equal(g.index_offset, PAGE);
	assert_int_equal(g.req_offset, 2 * PAGE);
	assert_int_equal(g.req_entries, 32);
	assert_int_equal(g.rsp_offset, 3 * PAGE);
	assert_int_equal(g.rsp_entries, 64);
	assert_int_equal(g.window_offset, 4 * PAGE);
	assert_int_equal(g.window_bytes, 12 * PAGE);
	/* The slice may be larger than the channel that the guest made in it. */
	assert_int_equal(channel_header_check(&h, 2 * LENGTH, &g, &why), 0);
}

static void test_magic(void **state)
{
	(void)state;
	REFUSES(h.magic = 0);
	REFUSES(h.magic ^= 1);
}

static void test_version_major_names_both(void **state)
{
	struct vgpu_channel_header h = sound();
	struct channel_geometry g;
	const char *why;

	(void)state;
	h.version = (7u << 16) | 3;
	assert_int_equal(channel_header_check(&h, LENGTH, &g, &why), VGPU_EVERSION);
	assert_non_null(strstr(why, "7.3"));
	assert_non_null(strstr(why, "2.0"));
}

static void test_version_minor_is_taken(void **state)
{
	(void)state;
	TAKES(h.version += 9);
}

static void test_flags(void **state)
{
	(void)state;
	REFUSES(h.flags = 1);
	REFUSES(h.flags = 1u << 31);
}

static void test_reserved(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(((struct vgpu_channel_header *)0)->reserved) / 4; i++)
		REFUSES(h.reserved[i] = 1u << 31);
}

static void test_grants_without_xen(void **state)
{
	(void)state;
	REFUSES(h.grant_count = 1);
	REFUSES(h.grants[0] = 1);
	REFUSES(h.grants[991] = 1);
	REFUSES(h.presence_ref = 1);
}

#define RING_REF 8u
#define PRESENCE_REF 9u
#define FIRST_REF 10u

/* A sound header as a Xen guest writes it. */
static struct vgpu_channel_header granted(uint32_t count)
{
	struct vgpu_channel_header h = sound();

	h.grant_count = count;
	h.presence_ref = PRESENCE_REF;
	for (uint32_t i = 0; i < count; i++)
		h.grants[i] = FIRST_REF + i;
	return h;
}

static int take(const struct vgpu_channel_header *h, uint64_t max_bytes)
{
	uint32_t presence = 0;
	const char *why = NULL;
	int rc = channel_grants_take(h, RING_REF, max_bytes, &presence, &why);

	if (rc < 0)
		assert_true(why && *why);
	else
		assert_int_equal(presence, h->presence_ref);
	return rc;
}

#define REFUSES_GRANTS(change)                                                                     \
	do {                                                                                       \
		struct vgpu_channel_header h = granted(15);                                        \
		change;                                                                            \
		assert_int_equal(take(&h, 2 * LENGTH), VGPU_EPROTO);                               \
	} while (0)

static void test_grants(void **state)
{
	struct vgpu_channel_header h = granted(15);
	struct channel_geometry g;
	const char *why;

	(void)state;
	assert_int_equal(take(&h, LENGTH), 0);
	assert_int_equal(take(&h, LENGTH - 1), VGPU_EQUOTA);
	channel_grants_clear(&h);
	assert_int_equal(channel_header_check(&h, LENGTH, &g, &why), 0);
	h = granted(VGPU_GRANTS_MAX);
	assert_int_equal(take(&h, (1 + VGPU_GRANTS_MAX) * (uint64_t)PAGE), 0);
}

static void test_grants_refused(void **state)
{
	(void)state;
	REFUSES_GRANTS(h.magic++);
	REFUSES_GRANTS(h.grant_count = 0);
	REFUSES_GRANTS(h.grant_count = VGPU_GRANTS_MAX + 1);
	REFUSES_GRANTS(h.grant_count = UINT32_MAX);
	REFUSES_GRANTS(h.grant_count = 14); /* one behind the last */
	REFUSES_GRANTS(h.grant_count = 16); /* the last is 0 */
	REFUSES_GRANTS(h.grants[991] = 1);
	REFUSES_GRANTS(h.grants[0] = 0);
	REFUSES_GRANTS(h.presence_ref = 0);
	REFUSES_GRANTS(h.grants[14] = h.grants[0]);
	REFUSES_GRANTS(h.grants[7] = RING_REF);
	REFUSES_GRANTS(h.grants[7] = PRESENCE_REF);
	REFUSES_GRANTS(h.presence_ref = RING_REF);
}

static void test_grants_version(void **state)
{
	struct vgpu_channel_header h = granted(15);

	(void)state;
	h.version += 1u << 16;
	assert_int_equal(take(&h, LENGTH), VGPU_EVERSION);
}

static void test_total_bytes(void **state)
{
	(void)state;
	REFUSES(h.total_bytes = 0);
	REFUSES(h.total_bytes = LENGTH + PAGE);
	REFUSES(h.total_bytes = LENGTH - 1);
	REFUSES(h.total_bytes = UINT64_MAX & ~(uint64_t)(PAGE - 1));
	REFUSES(h.total_bytes = LENGTH - PAGE); /* the window no longer fits */
}

static void test_req_entries(void **state)
{
	(void)state;
	REFUSES(h.req_entries = 0);
	REFUSES(h.req_entries = 1);
	REFUSES(h.req_entries = 31);
	REFUSES(h.req_entries = 2 * VGPU_RING_ENTRIES_MAX);
	REFUSES(h.req_entries = 1u << 31);
	TAKES(h.req_entries = 2);
}

static void test_rsp_entries(void **state)
{
	(void)state;
	REFUSES(h.rsp_entries = 0);
	REFUSES(h.rsp_entries = 63);
	REFUSES(h.rsp_entries = 16); /* fewer than requests */
	REFUSES(h.rsp_entries = 2 * VGPU_RING_ENTRIES_MAX);
	TAKES(h.rsp_entries = 32);
}

static void test_offset_alignment(void **state)
{
	(void)state;
	REFUSES(h.index_offset += 64);
	REFUSES(h.req_offset += 1);
	REFUSES(h.rsp_offset += 2048);
	REFUSES((h.window_offset += 8, h.window_bytes -= PAGE));
}

static void test_offset_range(void **state)
{
	(void)state;
	REFUSES(h.index_offset = LENGTH);
	REFUSES(h.req_offset = LENGTH);
	REFUSES(h.rsp_offset = 0xfffff000u);
	REFUSES(h.window_offset = 0xfffff000u);
	REFUSES(h.window_bytes += 1);
	REFUSES(h.window_bytes = UINT64_MAX);
	REFUSES(h.window_bytes = UINT64_MAX - 4 * PAGE + 1);
}

static void test_overlap_header(void **state)
{
	(void)state;
	REFUSES(h.index_offset = 0);
	REFUSES(h.req_offset = 0);
	REFUSES(h.rsp_offset = 0);
	REFUSES((h.window_offset = 0, h.window_bytes = PAGE));
}

static void test_overlap_rings(void **state)
{
	(void)state;
	REFUSES(h.req_offset = h.index_offset);
	REFUSES(h.rsp_offset = h.req_offset);
	/* 64 requests take two pages, of which the second is the response ring's */
	REFUSES(h.req_entries = 64);
}

static void test_overlap_rings_window(void **state)
{
	(void)state;
	REFUSES((h.window_offset = 3 * PAGE, h.window_bytes = PAGE));
	REFUSES((h.window_offset = 2 * PAGE, h.window_bytes = PAGE));
	REFUSES((h.window_offset = PAGE, h.window_bytes = 4 * PAGE));
	REFUSES(h.rsp_entries = 128); /* two pages: into the window */
}

static void test_empty_window(void **state)
{
	(void)state;
	TAKES(h.window_bytes = 0);
	TAKES((h.window_bytes = 0, h.window_offset = LENGTH));
	TAKES((h.window_bytes = 0, h.window_offset = 0));
	TAKES((h.window_bytes = 0, h.rsp_entries = 128)); /* overlaps nothing, wherever it is */
	REFUSES((h.window_bytes = 0, h.window_offset = LENGTH + PAGE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_magic),
		cmocka_unit_test(test_version_major_names_both),
		cmocka_unit_test(test_version_minor_is_taken),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_reserved),
		cmocka_unit_test(test_grants_without_xen),
		cmocka_unit_test(test_grants),
		cmocka_unit_test(test_grants_refused),
		cmocka_unit_test(test_grants_version),
		cmocka_unit_test(test_total_bytes),
		cmocka_unit_test(test_req_entries),
		cmocka_unit_test(test_rsp_entries),
		cmocka_unit_test(test_offset_alignment),
		cmocka_unit_test(test_offset_range),
		cmocka_unit_test(test_overlap_header),
		cmocka_unit_test(test_overlap_rings),
		cmocka_unit_test(test_overlap_rings_window),
		cmocka_unit_test(test_empty_window),
	};

	return cmocka_run_group_tests_name("host_worker_channel", tests, NULL, NULL);
}
