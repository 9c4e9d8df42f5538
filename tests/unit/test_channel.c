/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's end of a channel against a host that lies in each field of a response. */
#include "guest_test.h"

#include <errno.h>
#include <stdlib.h>

#include "../../guest-lib/channel.h"

static uint8_t *memory;
static struct channel ch;
static struct cause why;
static uint32_t answered;

#define BYTES (CHANNEL_BYTES_MIN + 3 * VGPU_PAGE_BYTES)

static int setup(void **state)
{
	(void)state;
	memory = aligned_alloc(VGPU_PAGE_BYTES, BYTES);
	memset(memory, 0xee, BYTES); /* a predecessor's leavings */
	channel_format(&ch, memory, BYTES);
	memset(&why, 0, sizeof(why));
	answered = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(memory);
	return 0;
}

static uint32_t *index_word(uint32_t offset)
{
	return (uint32_t *)(memory + VGPU_PAGE_BYTES + offset);
}

static int submit(uint32_t data_len)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP, .data_len = data_len };
	int rc = channel_submit(&ch, &req, &why);

	/* The host takes it at once. */
	if (rc >= 0)
		*index_word(VGPU_INDEX_REQ_CONS) = ch.req.prod;
	return rc;
}

/* What the host writes, well or not. */
static void respond(struct vgpu_response rsp)
{
	uint8_t *slots = (uint8_t *)ch.rsp.at.slots;

	rsp.seq = answered + 1;
	memcpy(slots + answered % CHANNEL_ENTRIES * sizeof(rsp), &rsp, sizeof(rsp));
	answered++;
}

static int take(struct vgpu_response *rsp)
{
	return channel_take(&ch, rsp, &why);
}

static void refused(const char *text)
{
	struct vgpu_response rsp;

	assert_int_equal(take(&rsp), VGPU_EPROTO);
	assert_contains(why.text, text);
	assert_int_equal((int32_t)*index_word(VGPU_INDEX_GUEST_CLOSED), VGPU_EPROTO);
	/* Final, both ways. */
	assert_int_equal(take(&rsp), VGPU_EPROTO);
	assert_int_equal(submit(0), VGPU_EPROTO);
}

static void test_format(void **state)
{
	struct vgpu_channel_header h;
	uint64_t end;

	(void)state;
	memcpy(&h, memory, sizeof(h));
	assert_true(h.magic == VGPU_CHANNEL_MAGIC);
	assert_int_equal(h.version, VGPU_PROTOCOL_VERSION);
	assert_int_equal(h.flags, 0);
	assert_int_equal(h.total_bytes, BYTES);
	assert_int_equal(h.index_offset, VGPU_PAGE_BYTES);
	assert_true(h.req_offset >= h.index_offset + VGPU_PAGE_BYTES);
	assert_true(h.rsp_offset >= h.req_offset + h.req_entries * sizeof(struct vgpu_request));
	end = h.rsp_offset + h.rsp_entries * sizeof(struct vgpu_response);
	assert_true(h.window_offset >= end);
	assert_int_equal(h.window_offset + h.window_bytes, BYTES);
	assert_int_equal((h.req_offset | h.rsp_offset | h.window_offset) % VGPU_PAGE_BYTES, 0);
	assert_true(h.rsp_entries >= h.req_entries);
	assert_int_equal(h.grant_count, 0);
	for (size_t i = 0; i < sizeof(h.reserved) / 4; i++)
		assert_int_equal(h.reserved[i], 0);
	for (uint32_t i = 0; i < h.window_offset - VGPU_PAGE_BYTES; i += 4)
		assert_int_equal(*index_word(i), 0);
	assert_ptr_equal(ch.window, memory + h.window_offset);
}

static void test_answer(void **state)
{
	struct vgpu_response rsp;

	(void)state;
	assert_int_equal(take(&rsp), -EAGAIN);
	assert_int_equal(submit(100), 0);
	assert_int_equal(channel_in_flight(&ch), 1);
	assert_int_equal(take(&rsp), -EAGAIN);
	respond((struct vgpu_response){ .id = 0, .data_len = 100, .data = { 42 } });
	assert_int_equal(take(&rsp), 0);
	assert_int_equal(rsp.data[0], 42);
	assert_int_equal(channel_in_flight(&ch), 0);
}

static void test_ids_count_up(void **state)
{
	struct vgpu_response rsp;

	(void)state;
	for (uint32_t i = 0; i < 3 * CHANNEL_ENTRIES; i++) {
		assert_int_equal(submit(0), 0);
		respond((struct vgpu_response){ .id = i });
		assert_int_equal(take(&rsp), 0);
		assert_int_equal(rsp.id, i);
	}
}

static void test_several_in_flight(void **state)
{
	struct vgpu_response rsp;

	(void)state;
	for (uint32_t i = 0; i < CHANNEL_ENTRIES; i++)
		assert_int_equal(submit(i), 0);
	assert_int_equal(submit(0), VGPU_EBUSY);
	for (uint32_t i = 0; i < CHANNEL_ENTRIES; i++)
		respond((struct vgpu_response){ .id = i, .data_len = i });
	for (uint32_t i = 0; i < CHANNEL_ENTRIES; i++)
		assert_int_equal(take(&rsp), 0);
	assert_int_equal(submit(0), 0);
}

static void test_sleeping_host_is_signalled(void **state)
{
	(void)state;
	*index_word(VGPU_INDEX_REQ_EVENT) = 1;
	assert_int_equal(submit(0), 1);
}

static void test_errors_and_cuda_numbers(void **state)
{
	static const int32_t good[] = { 0, VGPU_ENOCMD, VGPU_EMEMORY, -1999, 1, 700, INT32_MAX };
	struct vgpu_response rsp;

	(void)state;
	for (uint32_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		submit(0);
		respond((struct vgpu_response){ .id = i, .status = good[i] });
		assert_int_equal(take(&rsp), 0);
		assert_int_equal(rsp.status, good[i]);
	}
}

static void test_unsolicited_reply(void **state)
{
	(void)state;
	respond((struct vgpu_response){ .id = 0 });
	refused("id 0, which no request has");
}

static void test_reply_before_its_request(void **state)
{
	(void)state;
	respond((struct vgpu_response){ .id = 0 });
	assert_int_equal(submit(0), VGPU_EPROTO);
	assert_contains(why.text, "response to no request");
	refused("");
}

static void test_second_reply(void **state)
{
	struct vgpu_response rsp;

	(void)state;
	submit(0);
	respond((struct vgpu_response){ .id = 0 });
	respond((struct vgpu_response){ .id = 0 });
	assert_int_equal(take(&rsp), 0);
	refused("id 0, which no request has");
}

static void test_wrong_id(void **state)
{
	(void)state;
	submit(0);
	respond((struct vgpu_response){ .id = 1 });
	refused("id 1, which no request has");
}

static void test_answers_overtake(void **state)
{
	struct vgpu_response rsp;

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		submit(i);
	for (uint32_t i = 4; i-- > 0;)
		respond((struct vgpu_response){ .id = i, .data_len = i });
	for (uint32_t i = 4; i-- > 0;) {
		assert_int_equal(take(&rsp), 0);
		assert_int_equal(rsp.id, i);
	}
	assert_int_equal(channel_in_flight(&ch), 0);
}

/* One answer is long in coming: its id's place is left out by those that follow. */
static void test_ids_keep_clear(void **state)
{
	struct vgpu_response rsp;

	(void)state;
	submit(7);
	for (uint32_t i = 0; i < 3 * CHANNEL_ENTRIES; i++) {
		uint32_t id;

		submit(0);
		id = ch.next_id - 1;
		assert_int_not_equal(id % CHANNEL_ENTRIES, 0);
		respond((struct vgpu_response){ .id = id });
		assert_int_equal(take(&rsp), 0);
	}
	respond((struct vgpu_response){ .id = 0, .data_len = 7 });
	assert_int_equal(take(&rsp), 0);
}

static void test_same_answer_twice(void **state)
{
	struct vgpu_response rsp;

	(void)state;
	submit(0);
	submit(0);
	respond((struct vgpu_response){ .id = 1 });
	respond((struct vgpu_response){ .id = 1 });
	assert_int_equal(take(&rsp), 0);
	refused("id 1, which no request has");
}

/* An id of the past, or the future, with the place of one that is due. */
static void test_id_of_the_same_place(void **state)
{
	(void)state;
	submit(0);
	respond((struct vgpu_response){ .id = CHANNEL_ENTRIES });
	refused("which no request has");
}

static void test_no_response_is_not_in_flight(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP, .flags = VGPU_REQ_NO_RESPONSE };

	(void)state;
	for (uint32_t i = 0; i < CHANNEL_ENTRIES; i++)
		assert_int_equal(channel_submit(&ch, &req, &why), 0);
	assert_int_equal(channel_in_flight(&ch), 0);
	respond((struct vgpu_response){ .id = 0 });
	refused("id 0, which no request has");
}

static void test_more_data_than_asked(void **state)
{
	(void)state;
	submit(16);
	respond((struct vgpu_response){ .id = 0, .data_len = 17 });
	refused("17 bytes of data for 16 asked");
}

static void test_impossible_status(void **state)
{
	(void)state;
	submit(0);
	respond((struct vgpu_response){ .id = 0, .status = -1 });
	refused("impossible status -1");
}

/* A slot of any number but the next one is not there. */
static void test_other_numbers(void **state)
{
	static const uint32_t numbers[] = { 0, 2, CHANNEL_ENTRIES + 1, UINT32_MAX, 0x80000001 };
	struct vgpu_response *slots = ch.rsp.at.slots, rsp;

	(void)state;
	submit(0);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		slots[0].seq = numbers[i];
		assert_int_equal(take(&rsp), -EAGAIN);
	}
	slots[0].seq = 1;
	assert_int_equal(take(&rsp), 0);
}

static void test_host_takes_too_much(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < CHANNEL_ENTRIES; i++) {
		struct vgpu_response rsp;

		submit(0);
		respond((struct vgpu_response){ .id = i });
		assert_int_equal(take(&rsp), 0);
	}
	*index_word(VGPU_INDEX_REQ_CONS) = CHANNEL_ENTRIES + 5;
	assert_int_equal(submit(0), VGPU_EPROTO);
	assert_contains(why.text, "beyond the ring");
	refused("");
}

static void test_answers_without_taking(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };
	struct vgpu_response rsp;

	(void)state;
	for (uint32_t i = 0; i < CHANNEL_ENTRIES; i++) {
		assert_int_equal(channel_submit(&ch, &req, &why), 0);
		respond((struct vgpu_response){ .id = i });
		assert_int_equal(take(&rsp), 0);
	}
	assert_int_equal(channel_submit(&ch, &req, &why), VGPU_EPROTO);
	assert_contains(why.text, "not taken");
	refused("");
}

static void test_reasons(void **state)
{
	(void)state;
	assert_int_equal(channel_reason(VGPU_EDEADLINE), VGPU_EDEADLINE);
	assert_int_equal(channel_reason(-1999), -1999); /* a later release's */
	assert_int_equal(channel_reason(-2001), VGPU_EPROTO);
	assert_int_equal(channel_reason(-1), VGPU_EPROTO);
	assert_int_equal(channel_reason(0), VGPU_EPROTO);
	assert_int_equal(channel_reason(17), VGPU_EPROTO);
	assert_int_equal(channel_reason(INT32_MIN), VGPU_EPROTO);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_format),
		T(test_answer),
		T(test_ids_count_up),
		T(test_several_in_flight),
		T(test_sleeping_host_is_signalled),
		T(test_errors_and_cuda_numbers),
		T(test_unsolicited_reply),
		T(test_reply_before_its_request),
		T(test_second_reply),
		T(test_wrong_id),
		T(test_answers_overtake),
		T(test_ids_keep_clear),
		T(test_same_answer_twice),
		T(test_id_of_the_same_place),
		T(test_no_response_is_not_in_flight),
		T(test_more_data_than_asked),
		T(test_impossible_status),
		T(test_other_numbers),
		T(test_host_takes_too_much),
		T(test_answers_without_taking),
		T(test_reasons),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
