// SPDX-License-Identifier: GPL-2.0-or-later
/* What each command accepts, refuses and answers, with a backend that does as it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../host/worker_commands.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_version.h"

#define WINDOW 65536u

static _Alignas(64) uint8_t window[WINDOW];
static struct commands c;
static struct vgpu_response rsp;

static struct {
	int add_rc;
	int memory_rc;
	bool add_lies;
	int adds;
} fake;

static struct {
	char text[VGPU_MESSAGE_MAX];
	uint32_t length;
	int count;
	int rc;
} heard;

static int fake_memory(struct backend *b, uint64_t *total, uint64_t *free_bytes)
{
	(void)b;
	*total = 1000;
	*free_bytes = 500;
	return fake.memory_rc;
}

static int fake_add(struct backend *b, const float *x, const float *y, float *z, size_t n)
{
	fake.adds++;
	if (fake.add_rc)
		return fake.add_rc;
	backend_cpu.vector_add(b, x, y, z, n);
	if (fake.add_lies)
		z[n / 2] += 1;
	return 0;
}

static const struct backend_ops fake_ops = {
	.abi = BACKEND_ABI,
	.name = "fake",
	.memory = fake_memory,
	.vector_add = fake_add,
};

static const struct backend_info info = {
	.kind = VGPU_BACKEND_CUDA,
	.compute_major = 9,
	.driver_version = 13000,
	.runtime_version = 13000,
	.device = "A device with a name that is longer than thirty-one bytes",
};

static int hear(void *opaque, const char *text, uint32_t length)
{
	(void)opaque;
	heard.count++;
	heard.length = length;
	memcpy(heard.text, text, length);
	return heard.rc;
}

static int setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof(fake));
	memset(&heard, 0, sizeof(heard));
	memset(window, 0, sizeof(window));
	c = (struct commands){
		.ops = &fake_ops,
		.info = &info,
		.window = window,
		.window_bytes = WINDOW,
		.channel = 5,
		.status_flags = VGPU_STATUS_FALLBACK,
		.deadline_ms = 1234,
		.vm = "a vm",
		.message = hear,
	};
	commands_init(&c);
	return 0;
}

/* Runs @req, which must be answered, and returns the status. */
static int32_t run(const struct vgpu_request *req)
{
	memset(&rsp, 0xee, sizeof(rsp));
	assert_true(commands_run(&c, req, &rsp));
	assert_int_equal(rsp.id, req->id);
	if (rsp.status) {
		assert_int_equal(rsp.data_len, 0);
		for (size_t i = 0; i < sizeof(rsp.data); i++)
			assert_int_equal(rsp.data[i], 0);
	}
	return rsp.status;
}

static struct vgpu_request nop(void)
{
	return (struct vgpu_request){ .cmd = VGPU_CMD_NOP, .id = 77 };
}

static struct vgpu_request add(uint64_t a, uint64_t b, uint64_t result, uint32_t n, uint32_t flags)
{
	const struct vgpu_vector_add_args args = { a, b, result, n, flags };
	struct vgpu_request req = { .cmd = VGPU_CMD_VECTOR_ADD, .id = 78 };

	memcpy(req.args, &args, sizeof(args));
	return req;
}

static int32_t run_add(uint64_t a, uint64_t b, uint64_t result, uint32_t n)
{
	struct vgpu_request req = add(a, b, result, n, 0);

	return run(&req);
}

static void test_nop(void **state)
{
	struct vgpu_request req = nop();

	(void)state;
	assert_int_equal(run(&req), 0);
	assert_int_equal(rsp.data_len, 0);
}

static void test_unknown_commands(void **state)
{
	static const uint16_t unknown[] = { 0, 5, 6, 1000, 0x8000, 0xffff };
	struct vgpu_request req = nop();

	(void)state;
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		req.cmd = unknown[i];
		assert_int_equal(run(&req), VGPU_ENOCMD);
	}
	assert_int_equal(c.errors, 6);
	req = nop();
	assert_int_equal(run(&req), 0);
}

static void test_unknown_flags(void **state)
{
	struct vgpu_request req = nop();

	(void)state;
	for (int bit = 1; bit < 16; bit++) {
		req.flags = (uint16_t)(1u << bit);
		assert_int_equal(run(&req), VGPU_EINVAL);
	}
}

static void test_reserved_args(void **state)
{
	struct vgpu_request req;

	(void)state;
	for (size_t i = 0; i < sizeof(req.args); i++) {
		req = nop();
		req.args[i] = 1;
		assert_int_equal(run(&req), VGPU_EINVAL);
	}
	for (size_t i = sizeof(struct vgpu_vector_add_args); i < sizeof(req.args); i++) {
		req = add(0, 64, 128, 4, 0);
		req.args[i] = 0x80;
		assert_int_equal(run(&req), VGPU_EINVAL);
	}
	assert_int_equal(fake.adds, 0);
}

static void test_data_where_none_belongs(void **state)
{
	struct vgpu_request req = nop();

	(void)state;
	req.data_len = 1;
	assert_int_equal(run(&req), VGPU_EINVAL);
	req = nop();
	req.data_ptr = 8;
	assert_int_equal(run(&req), VGPU_EINVAL);
	req = add(0, 64, 128, 4, 0);
	req.data_len = 16;
	assert_int_equal(run(&req), VGPU_EINVAL);
}

static void test_data_range(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_QUERY_STATUS, .data_len = 16 };

	(void)state;
	req.data_ptr = WINDOW - 15;
	assert_int_equal(run(&req), VGPU_ERANGE);
	req.data_ptr = WINDOW;
	assert_int_equal(run(&req), VGPU_ERANGE);
	req.data_ptr = UINT64_MAX - 7;
	assert_int_equal(run(&req), VGPU_ERANGE);
	req.data_ptr = 0;
	req.data_len = UINT32_MAX;
	assert_int_equal(run(&req), VGPU_ERANGE);
	req.data_ptr = WINDOW - 16;
	req.data_len = 16;
	assert_int_equal(run(&req), 0);
}

static void test_vector_add(void **state)
{
	float *a = (float *)(void *)window;
	float *b = (float *)(void *)(window + 4096);
	const float *sum = (const float *)(const void *)(window + 8192);
	struct vgpu_vector_add_reply reply;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		a[i] = (float)i;
		b[i] = (float)(2 * i);
	}
	assert_int_equal(run_add(0, 4096, 8192, 1000), 0);
	memcpy(&reply, rsp.data, sizeof(reply));
	assert_int_equal(reply.elements, 1000);
	assert_int_equal(reply.errors, 0);
	assert_int_equal(reply.backend, VGPU_BACKEND_CUDA);
	assert_int_equal(reply.reserved, 0);
	assert_memory_equal(reply.device, info.device, 31);
	assert_int_equal(reply.device[31], 0);
	for (int i = 0; i < 1000; i++)
		assert_true(sum[i] == (float)(3 * i));
}

static void test_vector_add_arguments(void **state)
{
	struct vgpu_request req;

	(void)state;
	assert_int_equal(run_add(0, 4096, 8192, 0), VGPU_EINVAL);
	assert_int_equal(run_add(1, 4096, 8192, 4), VGPU_EINVAL);
	assert_int_equal(run_add(0, 4098, 8192, 4), VGPU_EINVAL);
	assert_int_equal(run_add(0, 4096, 8195, 4), VGPU_EINVAL);
	for (int bit = 1; bit < 32; bit++) {
		req = add(0, 4096, 8192, 4, 1u << bit);
		assert_int_equal(run(&req), VGPU_EINVAL);
	}
	assert_int_equal(fake.adds, 0);
}

static void test_vector_add_range(void **state)
{
	(void)state;
	assert_int_equal(run_add(WINDOW - 12, 0, 64, 4), VGPU_ERANGE);
	assert_int_equal(run_add(0, WINDOW - 12, 64, 4), VGPU_ERANGE);
	assert_int_equal(run_add(0, 64, WINDOW - 12, 4), VGPU_ERANGE);
	assert_int_equal(run_add(UINT64_MAX - 3, 0, 64, 4), VGPU_ERANGE);
	assert_int_equal(run_add(0, UINT64_MAX & ~(uint64_t)15, 64, 4), VGPU_ERANGE);
	assert_int_equal(run_add(0, 64, 1ull << 40, 4), VGPU_ERANGE);
	assert_int_equal(run_add(0, 0, 0, UINT32_MAX), VGPU_ERANGE);
	assert_int_equal(run_add(0, 0, 0, 1u << 30), VGPU_ERANGE);
	assert_int_equal(fake.adds, 0);
	assert_int_equal(run_add(WINDOW - 16, 0, 64, 4), 0);
	assert_int_equal(run_add(0, 0, 0, WINDOW / 4), 0);
}

static void test_vector_add_overlap(void **state)
{
	(void)state;
	assert_int_equal(run_add(0, 4096, 4, 4), VGPU_EINVAL);
	assert_int_equal(run_add(0, 4096, 4096 + 12, 4), VGPU_EINVAL);
	assert_int_equal(run_add(64, 4096, 52, 4), VGPU_EINVAL);
	assert_int_equal(run_add(64, 80 - 4, 64, 4), VGPU_EINVAL); /* c is a, but cuts b */
	assert_int_equal(fake.adds, 0);
	assert_int_equal(run_add(0, 4096, 0, 4), 0);
	assert_int_equal(run_add(0, 4096, 4096, 4), 0);
	assert_int_equal(run_add(0, 16, 32, 4), 0); /* neighbours */
	assert_int_equal(run_add(0, 4, 64, 4), 0);  /* operands are only read */
}

static void test_self_test(void **state)
{
	struct vgpu_request req = add(0, 0, 0, 0, VGPU_VECTOR_ADD_SELF_TEST);
	struct vgpu_vector_add_reply reply;

	(void)state;
	assert_int_equal(run(&req), 0);
	memcpy(&reply, rsp.data, sizeof(reply));
	assert_int_equal(reply.elements, VGPU_SELF_TEST_ELEMENTS);
	assert_int_equal(reply.errors, 0);

	fake.add_lies = true;
	assert_int_equal(run(&req), 0);
	memcpy(&reply, rsp.data, sizeof(reply));
	assert_int_equal(reply.errors, 1);

	req = add(4, 0, 0, 0, VGPU_VECTOR_ADD_SELF_TEST);
	assert_int_equal(run(&req), VGPU_EINVAL);
	req = add(0, 0, 0, 1, VGPU_VECTOR_ADD_SELF_TEST);
	assert_int_equal(run(&req), VGPU_EINVAL);
}

static void test_query_status(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_QUERY_STATUS, .data_ptr = 512 };
	struct vgpu_status_reply s;

	(void)state;
	assert_int_equal(run(&req), VGPU_EINVAL); /* no room at all */
	req.data_len = 1024;
	assert_int_equal(run(&req), 0);
	assert_int_equal(rsp.data_len, sizeof(s));
	memcpy(&s, window + 512, sizeof(s));
	assert_int_equal(s.protocol_version, VGPU_PROTOCOL_VERSION);
	assert_int_equal(s.flags, VGPU_STATUS_FALLBACK);
	assert_int_equal(s.channel, 5);
	assert_int_equal(s.requests, 2);
	assert_int_equal(s.errors, 1);
	assert_int_equal(s.window_bytes, WINDOW);
	assert_int_equal(s.memory_total, 1000);
	assert_int_equal(s.memory_free, 500);
	assert_int_equal(s.deadline_ms, 1234);
	assert_string_equal(s.device, info.device);
	assert_string_equal(s.vm, "a vm");
	assert_string_equal(s.mediator, VGPU_RELEASE);
}

static void test_query_status_cut(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_QUERY_STATUS, .data_len = 10 };

	(void)state;
	memset(window, 0xaa, 64);
	assert_int_equal(run(&req), 0);
	assert_int_equal(rsp.data_len, 10);
	assert_int_equal(window[9], 0);
	assert_int_equal(window[10], 0xaa);
}

static void test_message(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MESSAGE, .data_ptr = 100 };

	(void)state;
	memcpy(window + 100, "hello\n\x1b[31m", 11);
	assert_int_equal(run(&req), VGPU_EINVAL);
	req.data_len = VGPU_MESSAGE_MAX + 1;
	assert_int_equal(run(&req), VGPU_ETOOBIG);
	assert_int_equal(heard.count, 0);
	req.data_len = 11;
	assert_int_equal(run(&req), 0);
	assert_int_equal(heard.length, 11);
	assert_memory_equal(heard.text, window + 100, 11);
	req.data_len = VGPU_MESSAGE_MAX;
	assert_int_equal(run(&req), 0);
	heard.rc = VGPU_ETHROTTLED;
	assert_int_equal(run(&req), VGPU_ETHROTTLED);
}

static void test_message_rate(void **state)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MESSAGE, .data_len = 1 };
	int passed = 0;

	(void)state;
	c.message_rate = 10;
	for (int i = 0; i < 1000; i++)
		passed += run(&req) == 0;
	/* The loop takes a moment, in which some more may pass; hardly a second. */
	assert_in_range(passed, 10, 20);
	assert_int_equal(heard.count, passed);
	assert_int_equal(run(&req), VGPU_ETHROTTLED);
	c.messages.free_at_us -= 1000000;
	assert_int_equal(run(&req), 0);
}

static void test_no_response(void **state)
{
	struct vgpu_request req = nop();

	(void)state;
	req.flags = VGPU_REQ_NO_RESPONSE;
	assert_false(commands_run(&c, &req, &rsp));
	req.flags = 0;
	assert_int_equal(run(&req), 0);
}

static void test_sticky_error(void **state)
{
	struct vgpu_request bad = { .cmd = 999, .flags = VGPU_REQ_NO_RESPONSE };
	struct vgpu_request worse = add(0, 64, 128, 0, 0);
	struct vgpu_request req = nop();

	(void)state;
	worse.flags = VGPU_REQ_NO_RESPONSE;
	assert_false(commands_run(&c, &bad, &rsp));
	assert_false(commands_run(&c, &worse, &rsp)); /* the first failure is the one told */
	assert_int_equal(run(&req), VGPU_ENOCMD);
	assert_int_equal(run(&req), 0); /* once */
}

static void test_sticky_error_waits_for_success(void **state)
{
	struct vgpu_request bad = { .cmd = 999, .flags = VGPU_REQ_NO_RESPONSE };
	struct vgpu_request req = nop();

	(void)state;
	assert_false(commands_run(&c, &bad, &rsp));
	assert_int_equal(run_add(0, 64, 128, 0), VGPU_EINVAL); /* its own failure comes first */
	assert_int_equal(run(&req), VGPU_ENOCMD);
}

static void test_backend_error_that_passes(void **state)
{
	(void)state;
	fake.add_rc = 2; /* cudaErrorMemoryAllocation */
	assert_int_equal(run_add(0, 64, 128, 4), 2);
	assert_false(c.backend_lost);
}

static void test_backend_error_that_stays(void **state)
{
	(void)state;
	fake.add_rc = 700; /* cudaErrorIllegalAddress */
	fake.memory_rc = 700;
	assert_int_equal(run_add(0, 64, 128, 4), 700);
	assert_true(c.backend_lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_nop, setup),
		cmocka_unit_test_setup(test_unknown_commands, setup),
		cmocka_unit_test_setup(test_unknown_flags, setup),
		cmocka_unit_test_setup(test_reserved_args, setup),
		cmocka_unit_test_setup(test_data_where_none_belongs, setup),
		cmocka_unit_test_setup(test_data_range, setup),
		cmocka_unit_test_setup(test_vector_add, setup),
		cmocka_unit_test_setup(test_vector_add_arguments, setup),
		cmocka_unit_test_setup(test_vector_add_range, setup),
		cmocka_unit_test_setup(test_vector_add_overlap, setup),
		cmocka_unit_test_setup(test_self_test, setup),
		cmocka_unit_test_setup(test_query_status, setup),
		cmocka_unit_test_setup(test_query_status_cut, setup),
		cmocka_unit_test_setup(test_message, setup),
		cmocka_unit_test_setup(test_message_rate, setup),
		cmocka_unit_test_setup(test_no_response, setup),
		cmocka_unit_test_setup(test_sticky_error, setup),
		cmocka_unit_test_setup(test_sticky_error_waits_for_success, setup),
		cmocka_unit_test_setup(test_backend_error_that_passes, setup),
		cmocka_unit_test_setup(test_backend_error_that_stays, setup),
	};

	return cmocka_run_group_tests_name("host_worker_commands", tests, NULL, NULL);
}
