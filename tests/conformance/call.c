// SPDX-License-Identifier: GPL-2.0-or-later
/* Raw requests: every argument out of its range, and the channel lives on. */
#include "conformance.h"

#include <stdlib.h>
#include <string.h>

#define ARGS_BYTES 104

/* A raw VECTOR_ADD; whatever comes of it, the channel answers the next call. */
static int raw_add(struct vgpu *g, const struct vgpu_vector_add_args *args)
{
	int rc = vgpu_call(g, VGPU_CMD_VECTOR_ADD, args, sizeof(*args), NULL, NULL, NULL);

	return vgpu_nop(g) == 0 ? rc : VGPU_EIO;
}

static int window_of(struct vgpu *g, uint64_t *bytes)
{
	struct vgpu_status s;
	int rc = vgpu_query_status(g, &s);

	*bytes = rc ? 0 : s.window_bytes;
	return rc;
}

static void unknown_commands(void)
{
	static const uint32_t commands[] = {
		0, 5, 6, 99, 0xffff, 0x10001, 0x80000000u, 0xffffffffu
	};
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		EXPECT_ON(g, VGPU_ENOCMD, vgpu_call(g, commands[i], NULL, 0, NULL, NULL, NULL));
		EXPECT_ON(g, 0, vgpu_nop(g));
	}
	for (int i = test_rounds(100); i > 0; i--) {
		uint32_t cmd = 100 + (uint32_t)test_random() % 1000000;

		EXPECT_ON(g, VGPU_ENOCMD, vgpu_call(g, cmd, NULL, 0, NULL, NULL, NULL));
	}
	EXPECT_ON(g, 0, vgpu_nop(g));
}

static void valid_add(void)
{
	struct vgpu_vector_add_args args = { .a = 0, .b = 1024, .c = 2048, .n = 256 };
	struct vgpu_vector_add_reply reply;
	uint8_t raw[48];
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	memset(raw, 0xee, sizeof(raw));
	EXPECT_ON(g, 0, vgpu_call(g, VGPU_CMD_VECTOR_ADD, &args, sizeof(args), NULL, NULL, raw));
	memcpy(&reply, raw, sizeof(reply));
	CHECK(reply.elements == 256 && reply.errors == 0 && reply.reserved == 0);
	CHECK(memchr(reply.device, 0, sizeof(reply.device)));
	args.c = args.a; /* in place */
	EXPECT_ON(g, 0, raw_add(g, &args));
	args.c = args.b;
	EXPECT_ON(g, 0, raw_add(g, &args));
	args.b = args.a; /* operands may overlap */
	args.c = 2048;
	EXPECT_ON(g, 0, raw_add(g, &args));
}

static void add_beyond_window(void)
{
	struct vgpu_vector_add_args args;
	auto_close g = NULL;
	uint64_t window;

	EXPECT(0, test_open(&g));
	EXPECT(0, window_of(g, &window));
	const uint64_t far[] = { window - 12,      window - 4,
				 window,           window + 4,
				 1ull << 32,       1ull << 63,
				 (1ull << 63) - 4, UINT64_MAX - 3,
				 UINT64_MAX - 15,  UINT64_MAX - window + 1 };

	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		for (int which = 0; which < 3; which++) {
			args = (struct vgpu_vector_add_args){ .a = 0, .b = 64, .c = 128, .n = 4 };
			*(which == 0 ? &args.a : which == 1 ? &args.b : &args.c) = far[i] & ~3ull;
			EXPECT(VGPU_ERANGE, raw_add(g, &args));
		}
	}
	/* lengths: just too long, as long as 32 bits go, and wrapping when made bytes */
	const uint32_t long_n[] = { (uint32_t)(window / 4 + 1),
				    0x40000000u,
				    0x40000001u,
				    0x7fffffffu,
				    0x80000000u,
				    0xffffffffu };

	for (size_t i = 0; i < sizeof(long_n) / sizeof(long_n[0]); i++) {
		args = (struct vgpu_vector_add_args){ .n = long_n[i] };
		if ((uint64_t)long_n[i] * 4 > window)
			EXPECT(VGPU_ERANGE, raw_add(g, &args));
	}
	/* the last byte of the window is still inside */
	args = (struct vgpu_vector_add_args){ .a = window - 16, .b = 0, .c = window - 16, .n = 4 };
	EXPECT(0, raw_add(g, &args));
}

static void add_malformed(void)
{
	struct vgpu_vector_add_args args;
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (uint64_t bits = 1; bits < 4; bits++) {
		args = (struct vgpu_vector_add_args){ .a = bits, .b = 64, .c = 128, .n = 4 };
		EXPECT(VGPU_EINVAL, raw_add(g, &args));
		args = (struct vgpu_vector_add_args){ .a = 0, .b = 64 + bits, .c = 128, .n = 4 };
		EXPECT(VGPU_EINVAL, raw_add(g, &args));
		args = (struct vgpu_vector_add_args){ .a = 0, .b = 64, .c = 128 + bits, .n = 4 };
		EXPECT(VGPU_EINVAL, raw_add(g, &args));
	}
	args = (struct vgpu_vector_add_args){ .a = 0, .b = 64, .c = 128, .n = 0 };
	EXPECT(VGPU_EINVAL, raw_add(g, &args));
	/* the result overlaps an operand, but is not it */
	args = (struct vgpu_vector_add_args){ .a = 0, .b = 64, .c = 4, .n = 4 };
	EXPECT(VGPU_EINVAL, raw_add(g, &args));
	args = (struct vgpu_vector_add_args){ .a = 0, .b = 64, .c = 60, .n = 4 };
	EXPECT(VGPU_EINVAL, raw_add(g, &args));
	for (int bit = 1; bit < 32; bit++) {
		args = (struct vgpu_vector_add_args){
			.b = 64, .c = 128, .n = 4, .flags = 1u << bit
		};
		EXPECT(VGPU_EINVAL, raw_add(g, &args));
	}
	/* a self-test takes no arguments */
	args = (struct vgpu_vector_add_args){ .a = 4, .flags = VGPU_VECTOR_ADD_SELF_TEST };
	EXPECT(VGPU_EINVAL, raw_add(g, &args));
	args = (struct vgpu_vector_add_args){ .n = 1, .flags = VGPU_VECTOR_ADD_SELF_TEST };
	EXPECT(VGPU_EINVAL, raw_add(g, &args));
	args = (struct vgpu_vector_add_args){ .flags = VGPU_VECTOR_ADD_SELF_TEST };
	EXPECT(0, raw_add(g, &args));
}

/* A byte that a command does not define is refused wherever it stands. */
static void reserved_bytes(void)
{
	static const struct {
		uint32_t cmd;
		size_t used;
	} commands[] = {
		{ VGPU_CMD_NOP, 0 },
		{ VGPU_CMD_VECTOR_ADD, sizeof(struct vgpu_vector_add_args) },
		{ VGPU_CMD_QUERY_STATUS, 0 },
		{ VGPU_CMD_MESSAGE, 0 },
	};
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		for (size_t at = commands[i].used; at < ARGS_BYTES; at++) {
			uint8_t args[ARGS_BYTES] = { 0 }, data[8] = { 'x' };
			size_t n = sizeof(data);
			bool window = commands[i].cmd >= VGPU_CMD_QUERY_STATUS;

			if (commands[i].cmd == VGPU_CMD_VECTOR_ADD)
				args[28] = VGPU_VECTOR_ADD_SELF_TEST;
			args[at] = (uint8_t)(1u << test_random() % 8);
			EXPECT_ON(g, VGPU_EINVAL,
				  vgpu_call(g, commands[i].cmd, args, sizeof(args),
					    window ? data : NULL, window ? &n : NULL, NULL));
		}
	}
	EXPECT_ON(g, 0, vgpu_nop(g));
}

static void data_where_none_belongs(void)
{
	struct vgpu_vector_add_args add = { .flags = VGPU_VECTOR_ADD_SELF_TEST };
	uint8_t data[16] = { 0 };
	auto_close g = NULL;
	size_t n = sizeof(data);

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_call(g, VGPU_CMD_NOP, NULL, 0, data, &n, NULL));
	n = sizeof(data);
	EXPECT_ON(g, VGPU_EINVAL,
		  vgpu_call(g, VGPU_CMD_VECTOR_ADD, &add, sizeof(add), data, &n, NULL));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_call(g, VGPU_CMD_QUERY_STATUS, NULL, 0, NULL, NULL, NULL));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_call(g, VGPU_CMD_MESSAGE, NULL, 0, NULL, NULL, NULL));
	EXPECT_ON(g, 0, vgpu_nop(g));
}

static void status_cut_to_room(void)
{
	static const size_t room[] = { 1, 8, 16, 279, 280, 281, 1000 };
	uint8_t data[1024];
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (size_t i = 0; i < sizeof(room) / sizeof(room[0]); i++) {
		size_t n = room[i], least = n < sizeof(struct vgpu_status_reply)
						    ? n
						    : sizeof(struct vgpu_status_reply);
		struct vgpu_status_reply reply = { 0 };

		memset(data, 0xee, sizeof(data));
		EXPECT_ON(g, 0, vgpu_call(g, VGPU_CMD_QUERY_STATUS, NULL, 0, data, &n, NULL));
		/* later minor versions may write more, where there is room */
		CHECK(n >= least && n <= room[i], "(room %zu: %zu)", room[i], n);
		for (size_t k = n; k < sizeof(data); k++)
			CHECK(data[k] == 0xee, "(room %zu: byte %zu)", room[i], k);
		memcpy(&reply, data, least);
		if (least >= 8)
			CHECK(VGPU_VERSION_MAJOR(reply.protocol_version) == VGPU_PROTOCOL_MAJOR);
		CHECK(reply.reserved == 0);
	}
}

static void message_sizes(void)
{
	char data[VGPU_MESSAGE_MAX + 1];
	auto_close g = NULL;
	size_t n;
	int rc;

	EXPECT(0, test_open(&g));
	memset(data, 0, sizeof(data)); /* NULs are bytes like others */
	n = sizeof(data);
	EXPECT_ON(g, VGPU_ETOOBIG, vgpu_call(g, VGPU_CMD_MESSAGE, NULL, 0, data, &n, NULL));
	n = VGPU_MESSAGE_MAX;
	rc = vgpu_call(g, VGPU_CMD_MESSAGE, NULL, 0, data, &n, NULL);
	CHECK(rc == 0 || rc == VGPU_ETHROTTLED, "(%s)", vgpu_strerrorname(rc));
	EXPECT_ON(g, 0, vgpu_nop(g));
}

static void more_than_fits(void)
{
	uint8_t args[ARGS_BYTES + 1] = { 0 }, data[8] = { 0 };
	auto_close g = NULL;
	uint64_t window;
	size_t n;

	EXPECT(0, test_open(&g));
	EXPECT(0, window_of(g, &window));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_call(g, VGPU_CMD_NOP, args, sizeof(args), NULL, NULL, NULL));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_call(g, VGPU_CMD_NOP, NULL, 8, NULL, NULL, NULL));
	/* refused before a byte of it is read: the array is shorter than that */
	n = window + 1;
	EXPECT_ON(g, VGPU_ERANGE, vgpu_call(g, VGPU_CMD_MESSAGE, NULL, 0, data, &n, NULL));
	n = SIZE_MAX;
	EXPECT_ON(g, VGPU_ERANGE, vgpu_call(g, VGPU_CMD_MESSAGE, NULL, 0, data, &n, NULL));
	EXPECT_ON(g, 0, vgpu_nop(g));
}

/* Any bytes as arguments: an error or not, but an answer, and the next one is right. */
static void random_arguments(void)
{
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (int i = test_rounds(500); i > 0; i--) {
		uint32_t cmd = (uint32_t)test_random() % 8;
		uint8_t args[ARGS_BYTES];
		int rc;

		for (size_t k = 0; k < sizeof(args); k++)
			args[k] = test_random() % 4 ? 0 : (uint8_t)test_random();
		rc = vgpu_call(g, cmd, args, sizeof(args), NULL, NULL, NULL);
		CHECK(rc == 0 || rc == VGPU_EINVAL || rc == VGPU_ERANGE || rc == VGPU_ENOCMD,
		      "(command %u: %s)", cmd, vgpu_strerrorname(rc));
	}
	EXPECT_ON(g, 0, vgpu_nop(g));
	EXPECT_ON(g, 0, vgpu_vector_add_self_test(g, NULL));
}

const struct test_case call_tests[] = {
	{ "unknown commands are refused, the channel lives", unknown_commands },
	{ "raw vector_add in the window", valid_add },
	{ "raw vector_add beyond the window is refused", add_beyond_window },
	{ "malformed vector_add is refused", add_malformed },
	{ "reserved bytes are refused", reserved_bytes },
	{ "data where a command has none is refused", data_where_none_belongs },
	{ "status is cut to the room there is", status_cut_to_room },
	{ "raw message of most and more bytes", message_sizes },
	{ "more than a request holds is refused", more_than_fits },
	{ "random arguments", random_arguments },
	{ NULL, NULL },
};
