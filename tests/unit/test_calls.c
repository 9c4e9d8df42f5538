/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The public calls, on hosts that serve well, badly, late or not at all. */
#include "guest_test.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "fake_host.h"
#include "../../common/shm.h"
#include "../../guest-lib/private.h"
#include "vgpuguest.h"

static struct fake_host host;
static struct vgpu *vgpu;
static struct vgpu_options options;

/* A host of that kind, and a handle on it. */
static void start(enum fake_fate (*answer)(struct fake_host *, const struct vgpu_request *,
					   struct vgpu_response *),
		  int32_t reason)
{
	struct fake_script script = { .answer = answer, .reason = reason };

	fake_host_start(&host, &script);
	options.device = fake_host_device(&host);
	assert_int_equal(vgpu_open(&vgpu, &options), 0);
	assert_string_equal(vgpu_last_error(NULL), "");
}

static int setup(void **state)
{
	(void)state;
	vgpu_options_init(&options);
	options.window_bytes = 64 << 10;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vgpu_close(vgpu);
	vgpu = NULL;
	fake_host_stop(&host);
	return 0;
}

static void test_nop(void **state)
{
	(void)state;
	start(NULL, 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vgpu_nop(vgpu), 0);
	assert_string_equal(vgpu_last_error(vgpu), "");
	assert_int_equal(host.requests, 1000);
	assert_string_equal(host.peer_name, "test_calls");
}

static void test_nop_sleeping(void **state)
{
	(void)state;
	options.spin_us = 0;
	start(NULL, 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vgpu_nop(vgpu), 0);
}

static void test_orderly_close(void **state)
{
	(void)state;
	start(NULL, 0);
	vgpu_close(vgpu);
	vgpu = NULL;
	while (!host.disconnected)
		usleep(1000);
	assert_int_equal(host.closes, 1);
	assert_int_equal(host.guest_closed, 0);
}

static void add(size_t n)
{
	float *a = calloc(n + 1, 4), *b = calloc(n + 1, 4), *c = calloc(n + 1, 4);
	struct vgpu_vector_add_result r;

	for (size_t i = 0; i < n; i++) {
		a[i] = (float)i;
		b[i] = (float)(3 * i % 1001);
	}
	c[n] = NAN; /* what lies behind stays */
	assert_int_equal(vgpu_vector_add(vgpu, a, b, c, n, &r), 0);
	assert_int_equal(r.elements, n);
	for (size_t i = 0; i < n; i++)
		if (c[i] != a[i] + b[i])
			fail_msg("%zu elements: element %zu is %f", n, i, (double)c[i]);
	assert_true(isnan(c[n]));
	assert_int_equal(vgpu_vector_add(vgpu, a, b, a, n, NULL), 0);
	assert_memory_equal(a, c, n * 4);
	free(a);
	free(b);
	free(c);
}

static void test_vector_add_of_any_length(void **state)
{
	const size_t piece = 4096; /* elements of half a window of 64 KiB */
	static const size_t extra[] = { 0, 1, 2, 3, 15, 16, 17 };

	(void)state;
	start(NULL, 0);
	for (size_t i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
		add(extra[i]);
		add(piece - extra[i]);
		add(piece + extra[i]);
		add(2 * piece + extra[i]);
		add(7 * piece + extra[i]);
	}
}

static void test_vector_add_smallest_window(void **state)
{
	(void)state;
	options.window_bytes = 1;
	start(NULL, 0);
	add(100000);
}

static void test_vector_add_b_is_c(void **state)
{
	float a[3] = { 1, 2, 3 }, b[3] = { 10, 20, 30 };

	(void)state;
	start(NULL, 0);
	assert_int_equal(vgpu_vector_add(vgpu, a, b, b, 3, NULL), 0);
	assert_true(b[0] == 11 && b[1] == 22 && b[2] == 33);
	assert_int_equal(vgpu_vector_add(vgpu, a, a, a, 3, NULL), 0);
	assert_true(a[0] == 2 && a[1] == 4 && a[2] == 6);
}

static void test_vector_add_bad_arguments(void **state)
{
	float f[8] = { 0 };

	(void)state;
	start(NULL, 0);
	assert_int_equal(vgpu_vector_add(vgpu, NULL, f, f, 1, NULL), VGPU_EINVAL);
	assert_int_equal(vgpu_vector_add(vgpu, f, NULL, f, 1, NULL), VGPU_EINVAL);
	assert_int_equal(vgpu_vector_add(vgpu, f, f, NULL, 1, NULL), VGPU_EINVAL);
	assert_contains(vgpu_last_error(vgpu), "NULL");
	assert_int_equal(vgpu_vector_add(vgpu, f, f, f + 1, 4, NULL), VGPU_EINVAL);
	assert_int_equal(vgpu_vector_add(vgpu, f + 1, f + 1, f, 4, NULL), VGPU_EINVAL);
	assert_contains(vgpu_last_error(vgpu), "overlaps");
	assert_int_equal(vgpu_vector_add(vgpu, f, f, f, SIZE_MAX / 2, NULL), VGPU_EINVAL);
	assert_int_equal(vgpu_vector_add(vgpu, NULL, NULL, NULL, 0, NULL), 0);
	assert_int_equal(vgpu_vector_add(NULL, f, f, f, 1, NULL), VGPU_EINVAL);
	assert_int_equal(vgpu_vector_add(vgpu, f, f, f, 8, NULL), 0);
	assert_string_equal(vgpu_last_error(vgpu), "");
}

static void test_self_test(void **state)
{
	struct vgpu_vector_add_result r;

	(void)state;
	start(NULL, 0);
	assert_int_equal(vgpu_vector_add_self_test(vgpu, &r), 0);
	assert_int_equal(r.elements, 1024);
	assert_int_equal(r.errors, 0);
	assert_int_equal(r.backend, VGPU_BACKEND_CPU);
	assert_string_equal(r.device, "fake");
	assert_int_equal(vgpu_vector_add_self_test(vgpu, NULL), 0);
}

static void test_status(void **state)
{
	struct vgpu_status s;

	(void)state;
	start(NULL, 0);
	assert_int_equal(vgpu_query_status(vgpu, &s), 0);
	assert_int_equal(s.fallback, 1);
	assert_int_equal(s.window_bytes, 64 << 10);
	assert_string_equal(s.vm, "test");
	assert_contains(s.transport, "unix:/");
	assert_int_equal(vgpu_query_status(vgpu, NULL), VGPU_EINVAL);
}

static void test_message(void **state)
{
	char text[VGPU_MESSAGE_MAX + 2];

	(void)state;
	start(NULL, 0);
	memset(text, 'x', sizeof(text));
	text[VGPU_MESSAGE_MAX + 1] = '\0';
	assert_int_equal(vgpu_message(vgpu, text), VGPU_ETOOBIG);
	text[VGPU_MESSAGE_MAX] = '\0';
	assert_int_equal(vgpu_message(vgpu, text), 0);
	assert_int_equal(vgpu_message(vgpu, ""), VGPU_EINVAL);
	assert_int_equal(vgpu_message(vgpu, NULL), VGPU_EINVAL);
}

static enum fake_fate echo(struct fake_host *h, const struct vgpu_request *req,
			   struct vgpu_response *rsp)
{
	(void)h;
	if (req->cmd == 1000) {
		rsp->status = 0;
		rsp->data_len = req->data_len / 2;
		memcpy(rsp->data, req->args, 48);
	}
	return FAKE_ANSWER;
}

static void test_call(void **state)
{
	uint8_t args[104], data[100], reply[48], *all;
	size_t len = sizeof(data);
	void *pinned;

	(void)state;
	start(echo, 0);
	memset(args, 7, sizeof(args));
	memset(data, 9, sizeof(data));
	assert_int_equal(vgpu_call(vgpu, 1000, args, sizeof(args), data, &len, reply), 0);
	assert_int_equal(len, 50);
	assert_int_equal(data[49], 9);
	assert_int_equal(reply[47], 7);
	len = 64 << 10; /* all of the window */
	all = calloc(1, len);
	assert_int_equal(vgpu_call(vgpu, 1000, NULL, 0, all, &len, NULL), 0);
	assert_int_equal(len, 32 << 10);
	free(all);
	/* what the program has taken of it is not overwritten */
	assert_int_equal(vgpu_host_alloc(vgpu, &pinned, 1000), 0);
	len = 64 << 10;
	assert_int_equal(vgpu_call(vgpu, 1000, NULL, 0, data, &len, NULL), VGPU_EQUOTA);
	len = (64 << 10) + 1;
	assert_int_equal(vgpu_call(vgpu, 1000, NULL, 0, data, &len, NULL), VGPU_ERANGE);
	assert_int_equal(vgpu_call(vgpu, 1000, args, 105, NULL, NULL, NULL), VGPU_EINVAL);
	assert_int_equal(vgpu_call(vgpu, 1000, NULL, 1, NULL, NULL, NULL), VGPU_EINVAL);
}

static void test_unknown_command(void **state)
{
	(void)state;
	start(NULL, 0);
	assert_int_equal(vgpu_call(vgpu, 0xffffffff, NULL, 0, NULL, NULL, NULL), VGPU_ENOCMD);
	assert_contains(vgpu_last_error(vgpu), "Unknown command");
	assert_int_equal(vgpu_nop(vgpu), 0);
}

static void *many_nops(void *arg)
{
	(void)arg;
	for (int i = 0; i < 500; i++) {
		if (vgpu_nop(vgpu) ||
		    vgpu_call(vgpu, 999, NULL, 0, NULL, NULL, NULL) != VGPU_ENOCMD)
			return "failed";
		vgpu_last_error(vgpu);
	}
	return NULL;
}

static void test_threads_take_turns(void **state)
{
	pthread_t threads[4];
	void *failed;

	(void)state;
	start(NULL, 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, many_nops, NULL);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(host.requests, 4000);
}

/* A dead handle: every call returns @later at once, closing works. */
static void is_dead(int later)
{
	struct vgpu_status s;
	float f = 0;

	assert_int_equal(vgpu_nop(vgpu), later);
	assert_int_equal(vgpu_message(vgpu, "x"), later);
	assert_int_equal(vgpu_query_status(vgpu, &s), later);
	assert_int_equal(vgpu_vector_add(vgpu, &f, &f, &f, 1, NULL), later);
	assert_int_equal(vgpu_vector_add_self_test(vgpu, NULL), later);
	assert_int_equal(vgpu_call(vgpu, 1, NULL, 0, NULL, NULL, NULL), later);
	assert_string_not_equal(vgpu_last_error(vgpu), "");
}

static enum fake_fate hang_up(struct fake_host *h, const struct vgpu_request *req,
			      struct vgpu_response *rsp)
{
	(void)req;
	(void)rsp;
	return h->connections == 1 ? FAKE_HANG_UP : FAKE_ANSWER;
}

static void test_mediator_gone_and_back(void **state)
{
	(void)state;
	start(hang_up, 0);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EDEVLOST);
	assert_contains(vgpu_last_error(vgpu), "closed the connection");
	is_dead(VGPU_EDEVLOST);
	vgpu_close(vgpu);
	assert_int_equal(vgpu_open(&vgpu, &options), 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
}

static void test_mediator_gone_while_idle(void **state)
{
	(void)state;
	start(NULL, 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	fake_host_stop(&host); /* its end of the socket goes, as when its process dies */
	assert_int_equal(vgpu_nop(vgpu), VGPU_EDEVLOST);
	is_dead(VGPU_EDEVLOST);
	vgpu_close(vgpu);
	vgpu = NULL;
	fake_host_start(&host, NULL); /* for teardown */
}

static enum fake_fate closed(struct fake_host *h, const struct vgpu_request *req,
			     struct vgpu_response *rsp)
{
	(void)h;
	(void)req;
	(void)rsp;
	return FAKE_CLOSED;
}

static void test_deadline(void **state)
{
	(void)state;
	start(closed, VGPU_EDEADLINE);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EDEADLINE);
	assert_contains(vgpu_last_error(vgpu), "deadline");
	is_dead(VGPU_EDEVLOST);
}

static void test_worker_died(void **state)
{
	(void)state;
	start(closed, VGPU_EWORKER);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EWORKER);
	is_dead(VGPU_EDEVLOST);
}

static void test_closed_for_no_reason(void **state)
{
	(void)state;
	start(closed, 0);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EDEVLOST);
	is_dead(VGPU_EDEVLOST);
}

static void test_closed_for_a_wild_reason(void **state)
{
	(void)state;
	start(closed, 12345);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EPROTO);
	is_dead(VGPU_EPROTO);
}

static enum fake_fate close_word(struct fake_host *h, const struct vgpu_request *req,
				 struct vgpu_response *rsp)
{
	(void)req;
	(void)rsp;
	shm_store_release(fake_host_index(h, VGPU_INDEX_HOST_CLOSED), (uint32_t)h->script.reason);
	return FAKE_HANG_UP;
}

static void test_reason_in_shared_memory(void **state)
{
	(void)state;
	start(close_word, VGPU_EBACKEND);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EBACKEND);
	is_dead(VGPU_EDEVLOST);
}

static void test_sticky_error_in_shared_memory(void **state)
{
	(void)state;
	start(close_word, 700);
	assert_int_equal(vgpu_nop(vgpu), 700);
	assert_non_null(strstr(vgpu_last_error(vgpu), "closed the channel"));
	is_dead(VGPU_EDEVLOST);
}

/* No error that a handle could end of. */
static void test_other_error_in_shared_memory(void **state)
{
	(void)state;
	start(close_word, 2);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EPROTO);
	is_dead(VGPU_EPROTO);
}

static enum fake_fate junk(struct fake_host *h, const struct vgpu_request *req,
			   struct vgpu_response *rsp)
{
	(void)h;
	(void)req;
	(void)rsp;
	return FAKE_JUNK;
}

static void test_junk_on_the_socket(void **state)
{
	(void)state;
	start(junk, 0);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EPROTO);
	is_dead(VGPU_EPROTO);
}

static enum fake_fate lie(struct fake_host *h, const struct vgpu_request *req,
			  struct vgpu_response *rsp)
{
	(void)h;
	(void)req;
	rsp->id += 5;
	return FAKE_ANSWER;
}

static void test_wrong_id(void **state)
{
	(void)state;
	start(lie, 0);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EPROTO);
	assert_contains(vgpu_last_error(vgpu), "id 5, which no request has");
	is_dead(VGPU_EPROTO);
	vgpu_close(vgpu);
	vgpu = NULL;
	while (!host.disconnected)
		usleep(1000);
	assert_int_equal(host.guest_closed, VGPU_EPROTO);
}

static enum fake_fate add_fewer(struct fake_host *h, const struct vgpu_request *req,
				struct vgpu_response *rsp)
{
	(void)h;
	(void)req;
	rsp->data[0]--; /* elements */
	return FAKE_ANSWER;
}

static void test_fewer_elements_than_asked(void **state)
{
	float f[4] = { 0 };

	(void)state;
	start(add_fewer, 0);
	assert_int_equal(vgpu_vector_add(vgpu, f, f, f, 4, NULL), VGPU_EPROTO);
	assert_contains(vgpu_last_error(vgpu), "added 3 elements of 4");
	is_dead(VGPU_EPROTO);
}

static enum fake_fate endless_text(struct fake_host *h, const struct vgpu_request *req,
				   struct vgpu_response *rsp)
{
	if (req->cmd == VGPU_CMD_QUERY_STATUS)
		memset(h->window, 'x', req->data_len);
	else
		memset(rsp->data + offsetof(struct vgpu_vector_add_reply, device), 'x', 32);
	return FAKE_ANSWER;
}

static void test_text_without_end(void **state)
{
	struct vgpu_vector_add_result r;
	struct vgpu_status s;

	(void)state;
	start(endless_text, 0);
	assert_int_equal(vgpu_query_status(vgpu, &s), 0);
	assert_int_equal(strlen(s.device), sizeof(s.device) - 1);
	assert_int_equal(strlen(s.vm), sizeof(s.vm) - 1);
	assert_int_equal(vgpu_vector_add_self_test(vgpu, &r), 0);
	assert_int_equal(strlen(r.device), 32);
}

static enum fake_fate second_piece_fails(struct fake_host *h, const struct vgpu_request *req,
					 struct vgpu_response *rsp)
{
	(void)req;
	if (h->requests == 2)
		rsp->status = 700;
	return FAKE_ANSWER;
}

static void test_piece_fails(void **state)
{
	static float f[20000];

	(void)state;
	start(second_piece_fails, 0);
	assert_int_equal(vgpu_vector_add(vgpu, f, f, f, 20000, NULL), 700);
	assert_contains(vgpu_last_error(vgpu), "illegal memory access");
	assert_int_equal(vgpu_nop(vgpu), 0); /* what was under way is out of the way */
}

static int overdue; /* the late answer may come */

static enum fake_fate late(struct fake_host *h, const struct vgpu_request *req,
			   struct vgpu_response *rsp)
{
	(void)req;
	(void)rsp;
	if (h->requests == 1)
		while (!__atomic_load_n(&overdue, __ATOMIC_ACQUIRE))
			usleep(1000);
	return FAKE_ANSWER;
}

static void test_timeout_then_late_answer(void **state)
{
	(void)state;
	overdue = 0;
	start(late, 0);
	vgpu->timeout_ms = 20;
	assert_int_equal(vgpu_nop(vgpu), VGPU_ETIMEDOUT);
	assert_contains(vgpu_last_error(vgpu), "no answer in time");
	/* Until the answer is there, calls time out as well; then all is as before. */
	assert_int_equal(vgpu_nop(vgpu), VGPU_ETIMEDOUT);
	__atomic_store_n(&overdue, 1, __ATOMIC_RELEASE);
	vgpu->timeout_ms = -1;
	assert_int_equal(vgpu_nop(vgpu), 0);
	add(100);
}

static enum fake_fate silent(struct fake_host *h, const struct vgpu_request *req,
			     struct vgpu_response *rsp)
{
	(void)h;
	(void)req;
	(void)rsp;
	return FAKE_SILENCE;
}

static void test_timeout_for_ever(void **state)
{
	static float f[20000];

	(void)state;
	start(silent, 0);
	vgpu->timeout_ms = 10;
	assert_int_equal(vgpu_vector_add(vgpu, f, f, f, 20000, NULL), VGPU_ETIMEDOUT);
	assert_int_equal(vgpu_nop(vgpu), VGPU_ETIMEDOUT);
	for (int i = 0; i < 30000 && host.requests < 2; i++)
		usleep(1000);
	assert_int_equal(host.requests, 2); /* the pieces: nothing is sent while answers are due */
}

static void test_no_handle(void **state)
{
	(void)state;
	assert_int_equal(vgpu_nop(NULL), VGPU_EINVAL);
	vgpu_close(NULL);
	vgpu_free_devices(NULL);
	fake_host_start(&host, NULL); /* for teardown */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_nop),
		T(test_nop_sleeping),
		T(test_orderly_close),
		T(test_vector_add_of_any_length),
		T(test_vector_add_smallest_window),
		T(test_vector_add_b_is_c),
		T(test_vector_add_bad_arguments),
		T(test_self_test),
		T(test_status),
		T(test_message),
		T(test_call),
		T(test_unknown_command),
		T(test_threads_take_turns),
		T(test_mediator_gone_and_back),
		T(test_mediator_gone_while_idle),
		T(test_deadline),
		T(test_worker_died),
		T(test_closed_for_no_reason),
		T(test_closed_for_a_wild_reason),
		T(test_reason_in_shared_memory),
		T(test_sticky_error_in_shared_memory),
		T(test_other_error_in_shared_memory),
		T(test_junk_on_the_socket),
		T(test_wrong_id),
		T(test_fewer_elements_than_asked),
		T(test_text_without_end),
		T(test_piece_fails),
		T(test_timeout_then_late_answer),
		T(test_timeout_for_ever),
		T(test_no_handle),
	};

	return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}
