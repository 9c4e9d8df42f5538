/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transport xen, what of it decides by numbers alone. */
#include "guest_test.h"

#include "xen_channel.h"
#include "xen_device.h"
#include "xen_pages.h"
#include "../../guest-lib/channel.h"
#include "../../protocol/vgpu_errors.h"

#define MIN_PAGES (CHANNEL_BYTES_MIN / VGPU_PAGE_BYTES)

static void test_numbers(void **state)
{
	static const char *const bad[] = { "",
					   " 1",
					   "1 ",
					   "+1",
					   "-1",
					   "01",
					   "0x1",
					   "1.0",
					   "1\n",
					   "eleven",
					   "99999999999999999999",
					   "4294967296",
					   "/",
					   ":",
					   "1:" };
	uint32_t v = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (store_parse_number(bad[i], 0, UINT32_MAX, &v))
			fail_msg("\"%s\" is %u", bad[i], v);
	assert_int_equal(v, 7);
	assert_true(store_parse_number("0", 0, 0, &v));
	assert_int_equal(v, 0);
	assert_true(store_parse_number("4294967295", 0, UINT32_MAX, &v));
	assert_int_equal(v, UINT32_MAX);
	assert_false(store_parse_number("65", 0, 64, &v));
	assert_false(store_parse_number("0", 1, 6, &v));
	assert_true(store_parse_number("6", 1, 6, &v));
}

static void test_errors_of_the_host(void **state)
{
	static const struct {
		const char *value;
		int code;
		const char *text;
	} cases[] = {
		{ "-1010 too many", VGPU_EQUOTA, "too many" },
		{ "-1025", VGPU_EWORKER, "" },
		{ "-1025 ", VGPU_EWORKER, "" },
		{ "-1500 of a later version", -1500, "of a later version" },
		{ "", VGPU_EPROTO, "" },
		{ "0 all is well", VGPU_EPROTO, "all is well" },
		{ "12 what", VGPU_EPROTO, "what" },
		{ "-5 errno", VGPU_EPROTO, "errno" },
		{ "-1010x", VGPU_EPROTO, "" },
		{ "VGPU_EQUOTA too many", VGPU_EPROTO, "" },
		{ "-99999999999999999999 x", VGPU_EPROTO, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text;
		int code = xen_channel_error(cases[i].value, &text);

		if (code != cases[i].code || strcmp(text, cases[i].text))
			fail_msg("\"%s\": %d \"%s\"", cases[i].value, code, text);
	}
}

static void test_numbers_that_are_free(void **state)
{
	(void)state;
	/* nobody's; the guest's, not seen by the host; the host's alone: its worker ends */
	assert_true(xen_number_free(&(struct xen_number){ 0 }));
	assert_false(xen_number_free(&(struct xen_number){ .front = true }));
	assert_false(xen_number_free(&(struct xen_number){ .back = true }));
	assert_false(xen_number_free(&(struct xen_number){ .back = true, .closed = true }));
	/* in use; over; the host has not yet seen who has it now */
	assert_false(xen_number_free(
		&(struct xen_number){ .front = true, .back = true, .same_id = true }));
	assert_true(xen_number_free(&(struct xen_number){
		.front = true, .back = true, .same_id = true, .closed = true }));
	assert_false(xen_number_free(
		&(struct xen_number){ .front = true, .back = true, .closed = true }));
}

static uint32_t chosen(uint64_t window, uint32_t limit, uint32_t host_max)
{
	uint32_t count = 0;
	struct cause why = { "" };

	if (xen_pages_choose(&count, window, limit, host_max, &why))
		fail_msg("%s", why.text);
	return count;
}

static void refused(uint64_t window, uint32_t host_max, const char *a, const char *b)
{
	uint32_t count = 0;
	struct cause why = { "" };

	assert_int_equal(xen_pages_choose(&count, window, 16384, host_max, &why), VGPU_EQUOTA);
	assert_contains(why.text, a);
	assert_contains(why.text, b);
}

static void test_size(void **state)
{
	const uint64_t page = VGPU_PAGE_BYTES;
	const uint32_t overhead = CHANNEL_OVERHEAD / VGPU_PAGE_BYTES;

	(void)state;
	assert_int_equal(chosen(0, 1024, UINT32_MAX), 128);
	assert_int_equal(chosen(0, 16384, UINT32_MAX), XEN_PAGES_MAX);
	assert_int_equal(chosen(0, 16384, 500), 500);
	assert_int_equal(chosen(0, 0, 500), MIN_PAGES);
	assert_int_equal(chosen(0, 16384, MIN_PAGES), MIN_PAGES);
	refused(0, MIN_PAGES - 1, "15 pages", "14");

	assert_int_equal(chosen(1, 1024, UINT32_MAX), MIN_PAGES);
	assert_int_equal(chosen(page, 1024, UINT32_MAX), MIN_PAGES);
	assert_int_equal(chosen(page + 1, 1024, UINT32_MAX), MIN_PAGES + 1);
	assert_int_equal(chosen(page * (XEN_PAGES_MAX - overhead), 8, UINT32_MAX), XEN_PAGES_MAX);
	refused(page * (XEN_PAGES_MAX - overhead) + 1, UINT32_MAX, "994 pages", "993");
	refused(page * 100, 100, "114 pages", "100");
	refused(UINT64_MAX / 2, 100, "pages", "100");
	refused(UINT64_MAX, UINT32_MAX, "pages", "993");
}

/* Every pair of states, as the header's table says. */
static void test_handshake(void **state)
{
	static const struct {
		uint32_t front, back;
		enum xen_step step;
		uint32_t next;
	} table[] = {
		{ 0, 2, XEN_STEP_WRITE, 3 },     { 1, 0, XEN_STEP_NOBODY, 0 },
		{ 1, 1, XEN_STEP_NOBODY, 0 },    { 1, 2, XEN_STEP_WRITE, 3 },
		{ 1, 3, XEN_STEP_NOBODY, 0 },    { 1, 4, XEN_STEP_WRITE, 3 },
		{ 1, 5, XEN_STEP_NOBODY, 0 },    { 1, 6, XEN_STEP_NOBODY, 0 },
		{ 2, 2, XEN_STEP_WRITE, 3 },     { 3, 1, XEN_STEP_NOBODY, 0 },
		{ 3, 2, XEN_STEP_WAIT, 0 },      { 3, 4, XEN_STEP_WRITE, 4 },
		{ 3, 5, XEN_STEP_NOBODY, 0 },    { 3, 6, XEN_STEP_NOBODY, 0 },
		{ 4, 1, XEN_STEP_NOBODY, 0 },    { 4, 2, XEN_STEP_WAIT, 0 },
		{ 4, 4, XEN_STEP_CONNECTED, 0 }, { 4, 6, XEN_STEP_NOBODY, 0 },
		{ 5, 4, XEN_STEP_NOBODY, 0 },    { 5, 5, XEN_STEP_WRITE, 6 },
		{ 5, 6, XEN_STEP_WRITE, 6 },     { 6, 6, XEN_STEP_WRITE, 1 },
		{ 6, 4, XEN_STEP_WRITE, 1 },     { 6, 1, XEN_STEP_WRITE, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct xen_states now = { table[i].front, table[i].back, true };
		uint32_t next = 0;
		enum xen_step step = xen_device_step(&now, &next);

		if (step != table[i].step || (step == XEN_STEP_WRITE && next != table[i].next))
			fail_msg("%u, %u: step %d, next %u", now.front, now.back, (int)step, next);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_errors_of_the_host),
		cmocka_unit_test(test_numbers_that_are_free),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_handshake),
	};

	return cmocka_run_group_tests_name("xen parts", tests, NULL, NULL);
}
