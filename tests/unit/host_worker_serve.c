// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a real worker process does while the GPU is at work: it is this program with --worker, on
 * the backend `cpu`, whose kernel spin_ms() goes on behind its back.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../common/shm.h"
#include "../../host/local_worker.h"
#include "../../host/mediator_throttle.h"
#include "../../host/worker.h"
#include "../../host/worker_spin.h"
#include "../../protocol/vgpu_errors.h"

#define HANG_MS 30000 /* nothing here takes longer unless it hangs */
#define ENTRIES 8u
#define WINDOW 65536u
#define MODULE 1u
#define SPIN 1u
#define FAULT 2u

static struct local_worker lw;
static struct local_channel ch;
static struct worker_assign assign;
static char why[256];

#define REQUEST(command, type, ...)                                                                \
	request(VGPU_CMD_##command, &(const struct vgpu_##type##_args){ __VA_ARGS__ },             \
		sizeof(struct vgpu_##type##_args))

static struct vgpu_request request(uint32_t cmd, const void *args, size_t bytes)
{
	struct vgpu_request req = { .cmd = cmd };

	memcpy(req.args, args, bytes);
	return req;
}

static int32_t call(struct vgpu_request req)
{
	struct vgpu_response rsp;

	assert_int_equal(local_channel_call(&ch, &lw, &req, &rsp, HANG_MS), 0);
	return rsp.status;
}

/* Returns whether the worker had to be woken. */
static bool put(struct vgpu_request req, uint32_t id)
{
	int asleep;

	req.id = id;
	asleep = local_channel_send(&ch, &req);
	assert_true(asleep >= 0);
	return asleep;
}

static void put_quietly(struct vgpu_request req)
{
	req.flags = VGPU_REQ_NO_RESPONSE;
	put(req, 0);
}

/* The next response, whichever it is; false: none in time. */
static bool get(struct vgpu_response *rsp, int ms)
{
	const uint64_t end_us = clock_us() + (uint64_t)ms * 1000;
	struct pollfd p = { .fd = ch.to_guest, .events = POLLIN };
	eventfd_t count;

	while (!spsc_consume(&ch.rsp, rsp)) {
		if (clock_us() >= end_us)
			return false;
		if (spsc_sleep(&ch.rsp) && poll(&p, 1, 1) == 1)
			eventfd_read(ch.to_guest, &count);
	}
	return true;
}

static void get_id(uint32_t id, int32_t status)
{
	struct vgpu_response rsp;

	assert_true(get(&rsp, HANG_MS));
	assert_int_equal(rsp.id, id);
	assert_int_equal(rsp.status, status);
}

static void get_kernel(uint32_t handle, const char *name)
{
	struct vgpu_request req = REQUEST(KERNEL_GET, kernel, MODULE, handle);

	req.data_len = (uint32_t)strlen(name);
	memcpy(ch.window, name, req.data_len);
	assert_int_equal(call(req), 0);
}

static void serve_on(const char *backend, const char *library)
{
	assert_int_equal(local_worker_start(&lw, "/proc/self/exe", backend, library, 0, NULL, why,
					    sizeof(why)),
			 0);
	assert_int_equal(local_channel_init(&ch, ENTRIES, WINDOW), 0);
	assert_int_equal(local_worker_assign(&lw, &ch, &assign, why, sizeof(why)), 0);
}

static void serve(void)
{
	struct vgpu_request image = REQUEST(MODULE_DATA, module_data, MODULE, 0, 0, 8);

	serve_on("cpu", "");
	image.data_len = 8;
	assert_int_equal(call(image), 0);
	assert_int_equal(call(REQUEST(MODULE_LOAD, module, MODULE, 0)), 0);
	get_kernel(SPIN, "spin_ms");
	get_kernel(FAULT, "fault");
}

static struct vgpu_request spin_ms(uint32_t ms)
{
	struct vgpu_launch_args args = {
		.kernel = SPIN,
		.grid = { 1, 1, 1 },
		.block = { 1, 1, 1 },
		.param_bytes = sizeof(ms),
	};

	memcpy(args.params, &ms, sizeof(ms));
	return request(VGPU_CMD_LAUNCH, &args, sizeof(args));
}

static struct vgpu_request fault(void)
{
	const struct vgpu_launch_args args = {
		.kernel = FAULT,
		.grid = { 1, 1, 1 },
		.block = { 1, 1, 1 },
	};

	return request(VGPU_CMD_LAUNCH, &args, sizeof(args));
}

static struct vgpu_request synchronize(void)
{
	return REQUEST(SYNCHRONIZE, sync, VGPU_SYNC_DEVICE, 0);
}

static struct vgpu_request nop(void)
{
	return (struct vgpu_request){ .cmd = VGPU_CMD_NOP };
}

static void ends(int reason, const char *text)
{
	struct worker_ended m;

	assert_int_equal(local_worker_expect(&lw, WORKER_ENDED, &m, sizeof(m), HANG_MS), sizeof(m));
	assert_int_equal(m.reason, reason);
	if (!strstr(m.why, text))
		fail_msg("\"%s\" does not say \"%s\"", m.why, text);
}

/* Clock ticks of processor time that the worker has used. */
static long ticks(void)
{
	long user, system;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", lw.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f,
				"%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
				&user, &system),
			 2);
	fclose(f);
	return user + system;
}

static int setup(void **state)
{
	(void)state;
	lw = (struct local_worker){ .control = -1 };
	ch = (struct local_channel){ .memfd = -1, .to_host = -1, .to_guest = -1 };
	assign = (struct worker_assign){
		.channel = 3, .spin_us = 20, .spin_max_us = 10000, .vm = "test"
	};
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	local_channel_dispose(&ch);
	local_worker_dispose(&lw);
	return 0;
}

static void test_other_requests_pass(void **state)
{
	(void)state;
	serve();
	put_quietly(spin_ms(300));
	put(synchronize(), 1000);
	for (uint32_t i = 0; i < 100; i++) {
		put(nop(), i);
		get_id(i, 0);
	}
	get_id(1000, 0);
}

/* The same without polling at all, as on a single processor. */
static void test_without_spinning(void **state)
{
	(void)state;
	assign.spin_us = 0;
	serve();
	put_quietly(spin_ms(50));
	put(synchronize(), 1000);
	put(nop(), 1);
	get_id(1, 0);
	get_id(1000, 0);
}

/* Waiting for a long kernel costs little, and its end is seen soon. */
static void test_waits_without_burning(void **state)
{
	const long per_second = sysconf(_SC_CLK_TCK);
	uint64_t start_us;
	long before;

	(void)state;
	serve();
	start_us = clock_us();
	put_quietly(spin_ms(1000));
	put(synchronize(), 1);
	before = ticks();
	get_id(1, 0);
	assert_in_range(clock_us() - start_us, 1000000, 1200000);
	assert_in_range(ticks() - before, 0, per_second / 4);
}

static void test_length_of_polling(void **state)
{
	(void)state;
	assert_int_equal(spin_through_pause_us(0, 10000), 0);
	assert_int_equal(spin_through_pause_us(100, 10000), 200);
	assert_int_equal(spin_through_pause_us(4999, 10000), 9998);
	assert_int_equal(spin_through_pause_us(5000, 10000), 10000);
	assert_int_equal(spin_through_pause_us(10000, 10000), 10000);
	assert_int_equal(spin_through_pause_us(10001, 10000), 0);
	assert_int_equal(spin_through_pause_us(UINT64_MAX, 10000), 0);
	assert_int_equal(spin_through_pause_us(UINT32_MAX + 100ull, UINT32_MAX), 0);
	assert_int_equal(spin_through_pause_us(1, 0), 0);
}

/* @n yields of @us each, with looks of 3 us between. Returns whether others were seen to wait. */
static bool yields(struct spin_yields *y, uint64_t us, int n)
{
	bool wait = false;

	while (n--)
		wait |= spin_others_wait(y, y->last_us + 3, y->last_us + 3 + us);
	return wait;
}

static void test_gives_way(void **state)
{
	struct spin_yields y = { 1000, 0 };

	(void)state;
	assert_false(yields(&y, 0, 1000));
	assert_false(yields(&y, 90, 2)); /* interrupts */
	assert_false(yields(&y, 1, 1));
	assert_false(yields(&y, 6, 2));
	assert_true(yields(&y, 6, 1));
	/* And the next: polling may not have been allowed to end yet. */
	assert_true(yields(&y, 6, 1));
	y.slow = 0;
	assert_true(yields(&y, 101, 1));
	/* Not in the yield: preempted, or another virtual machine's turn. */
	y.slow = 0;
	assert_true(spin_others_wait(&y, y.last_us + 101, y.last_us + 101));
	/* The first one knows of no earlier look. */
	y = (struct spin_yields){ 0 };
	assert_false(spin_others_wait(&y, 1000000, 1000001));
}

/* A request after @pause_ms of nothing. Returns whether the worker was asleep. */
static bool nop_after(unsigned int pause_ms)
{
	bool asleep;

	usleep(pause_ms * 1000);
	asleep = put(nop(), 1);
	get_id(1, 0);
	return asleep;
}

/* Once it had to be woken. Others may want the processor, and it gives way, so not at once. */
static void test_polls_through_short_pauses(void **state)
{
	const uint64_t end_us = clock_us() + HANG_MS * 1000ull;
	int in_a_row = 0;

	(void)state;
	assign.spin_max_us = 1000000;
	serve();
	while (in_a_row < 3) {
		assert_true(clock_us() < end_us);
		in_a_row = nop_after(2) ? 0 : in_a_row + 1;
	}
}

static void test_never_polls_without_spinning(void **state)
{
	int asleep = 0;

	(void)state;
	assign.spin_us = 0;
	assign.spin_max_us = 1000000;
	serve();
	for (int i = 0; i < 20; i++)
		asleep += nop_after(20);
	assert_in_range(asleep, 10, 20); /* but for those that came while it was kept from it */
}

static void test_deadline_of_what_is_waited_for(void **state)
{
	(void)state;
	assign.deadline_ms = 200;
	serve();
	put_quietly(spin_ms(60000));
	put(synchronize(), 1);
	ends(VGPU_EDEADLINE, "200 ms");
}

static void test_deadline_of_what_nobody_waits_for(void **state)
{
	(void)state;
	assign.deadline_ms = 200;
	serve();
	put_quietly(spin_ms(60000));
	ends(VGPU_EDEADLINE, "200 ms");
}

/* Requests that come without a pause do not keep the worker from looking. */
static void test_deadline_while_busy(void **state)
{
	const uint64_t end_us = clock_us() + HANG_MS * 1000ull;
	struct vgpu_request req = nop();
	struct vgpu_response rsp;
	int rc = 0;

	(void)state;
	assign.deadline_ms = 200;
	serve();
	put_quietly(spin_ms(60000));
	while (rc == 0 && clock_us() < end_us)
		rc = local_channel_call(&ch, &lw, &req, &rsp, HANG_MS);
	assert_int_equal(rc, -ENOTCONN);
	ends(VGPU_EDEADLINE, "200 ms");
}

static void test_deadline_spares_what_gets_on(void **state)
{
	(void)state;
	assign.deadline_ms = 400;
	serve();
	for (int i = 0; i < 4; i++) {
		put_quietly(spin_ms(200));
		usleep(20000); /* idle: a marker each */
	}
	put(synchronize(), 1);
	get_id(1, 0);
}

static void test_fault_is_told_first(void **state)
{
	(void)state;
	serve();
	put_quietly(fault());
	put_quietly(fault());
	usleep(50000);
	put(nop(), 5);
	get_id(5, 700);
	ends(VGPU_EBACKEND, "does not recover");
}

static void test_fault_is_told_to_all(void **state)
{
	(void)state;
	serve();
	put_quietly(spin_ms(50));
	put_quietly(fault());
	put(synchronize(), 1);
	put(synchronize(), 2);
	get_id(1, 700);
	get_id(2, 700);
	ends(VGPU_EBACKEND, "does not recover");
}

/* A marker has seen it, while one who waits for something else sleeps on: the deadline's are. */
static void test_fault_that_a_marker_sees(void **state)
{
	(void)state;
	for (uint32_t spin_us = 0; spin_us <= 20; spin_us += 20) {
		setup(NULL);
		assign.spin_us = spin_us;
		assign.deadline_ms = 10000;
		serve_on("cuda", FAKE_BACKEND_SO);
		put_quietly(REQUEST(EVENT_CREATE, event_create, 0x10001, 0));
		put_quietly(REQUEST(EVENT_RECORD, event, 0x10001, 0));
		put(synchronize(), 1);
		put(synchronize(), 2);
		get_id(1, 700);
		get_id(2, 700);
		ends(VGPU_EBACKEND, "does not recover");
		if (!spin_us)
			teardown(NULL);
	}
}

/* Its memory is not kept for a guest that does not ask; who asks later is told all the same. */
static void test_fault_that_nobody_asks_for(void **state)
{
	(void)state;
	serve();
	put_quietly(fault());
	put_quietly(fault());
	ends(VGPU_EBACKEND, "does not recover");
	assert_int_equal(shm_load((uint32_t *)(void *)(ch.index + VGPU_INDEX_HOST_CLOSED)), 700);
}

static void test_host_func(void **state)
{
	struct vgpu_response rsp;

	(void)state;
	serve();
	put_quietly(spin_ms(20));
	put(REQUEST(HOST_FUNC, host_func, 0, 1), 10);
	put(synchronize(), 11);
	get_id(10, 0);
	assert_false(get(&rsp, 50));
	put_quietly(REQUEST(HOST_FUNC_DONE, host_func, 0, 1));
	get_id(11, 0);
}

static void test_stop_while_waiting(void **state)
{
	const struct worker_stop m = { .type = WORKER_STOP };

	(void)state;
	serve();
	put_quietly(spin_ms(60000));
	put(synchronize(), 1);
	usleep(20000);
	assert_int_equal(send(lw.control, &m, sizeof(m), 0), sizeof(m));
	ends(0, "stopped");
}

/* A guest that takes the worker's signals away keeps it from nothing but its own requests. */
static void test_deadline_with_signals_taken(void **state)
{
	const uint64_t end_us = clock_us() + 150000;
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };

	(void)state;
	assign.deadline_ms = 300;
	serve();
	put_quietly(spin_ms(60000));
	while (clock_us() < end_us) {
		eventfd_write(ch.to_host, 1);
		(void)!preadv2(ch.to_host, &iov, 1, -1, RWF_NOWAIT);
	}
	ends(VGPU_EDEADLINE, "300 ms");
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(other_requests_pass),
		T(without_spinning),
		T(waits_without_burning),
		T(length_of_polling),
		T(gives_way),
		T(polls_through_short_pauses),
		T(never_polls_without_spinning),
		T(deadline_of_what_is_waited_for),
		T(deadline_of_what_nobody_waits_for),
		T(deadline_while_busy),
		T(deadline_spares_what_gets_on),
		T(fault_is_told_first),
		T(fault_is_told_to_all),
		T(fault_that_a_marker_sees),
		T(fault_that_nobody_asks_for),
		T(host_func),
		T(stop_while_waiting),
		T(deadline_with_signals_taken),
	};

	if (argc > 1 && strcmp(argv[1], "--worker") == 0)
		return worker_main(argc, argv);
	return cmocka_run_group_tests_name("host_worker_serve", tests, NULL, NULL);
}
