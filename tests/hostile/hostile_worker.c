// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest that writes garbage into all it shares with a worker, while a neighbour with a worker
 * of its own goes on computing and must notice nothing.
 *
 * A worker may refuse such a channel or close it, with a reason; it may not crash, hang or end
 * without a word. Built with sanitizers, a report of theirs is a crash. This program with
 * --worker is the worker. HOSTILE_SEED=N repeats a run, HOSTILE_SECONDS=N bounds its length.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../common/shm.h"
#include "../../host/local_worker.h"
#include "../../host/mediator_throttle.h"
#include "../../host/worker.h"
#include "../../protocol/vgpu_commands.h"
#include "../../protocol/vgpu_errors.h"

#define SELF "/proc/self/exe"
#define HANG_MS 60000
#define ENTRIES 16u
#define WINDOW (1u << 20)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static uint64_t seed, random_state;
static uint64_t end_us;
static unsigned long rounds;

static const uint32_t lines[] = {
	VGPU_INDEX_REQ_CONS,  VGPU_INDEX_RSP_CONS,    VGPU_INDEX_REQ_EVENT,
	VGPU_INDEX_RSP_EVENT, VGPU_INDEX_HOST_CLOSED, VGPU_INDEX_GUEST_CLOSED,
};

static uint64_t rnd(void)
{
	random_state ^= random_state << 13; /* xorshift64 */
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dull;
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)((rnd() >> 33) % n);
}

/* Numbers at which arithmetic goes wrong, and some that are merely random. */
static uint64_t nasty(void)
{
	static const uint64_t edges[] = {
		0,
		1,
		2,
		3,
		4,
		7,
		15,
		16,
		17,
		63,
		64,
		255,
		1024,
		4095,
		4096,
		4097,
		8192,
		WINDOW - 4,
		WINDOW - 1,
		WINDOW,
		WINDOW + 1,
		0x7fffffff,
		0x80000000,
		0xfffff000,
		0xfffffffc,
		0xffffffff,
		0x100000000,
		0x7fffffffffffffff,
		0x8000000000000000,
		0xfffffffffffff000,
		0xfffffffffffffffc,
		0xffffffffffffffff,
	};

	switch (below(4)) {
	case 0:
		return rnd();
	case 1:
		return below(2 * WINDOW) & ~3u;
	default:
		return edges[below(COUNT(edges))];
	}
}

/* One guest and its worker. */
struct pair {
	struct local_worker worker;
	struct local_channel channel;
	bool attached;
};

static void pair_start(struct pair *p)
{
	char why[256];

	p->attached = false;
	assert_int_equal(local_channel_init(&p->channel, ENTRIES, WINDOW), 0);
	assert_int_equal(local_worker_start(&p->worker, SELF, "cpu", "", 0, NULL, why, sizeof(why)),
			 0);
}

static void pair_attach(struct pair *p, uint32_t spin_us)
{
	struct worker_assign assign = {
		.deadline_ms = 3000,
		.spin_us = spin_us,
		.message_rate = 50,
		.vm = "vandal",
	};
	char why[256];
	int rc = local_worker_assign(&p->worker, &p->channel, &assign, why, sizeof(why));

	if (rc < 0 && rc > -1000)
		fail_msg("seed %llu: no answer to ASSIGN: %s", (unsigned long long)seed, why);
	p->attached = rc == 0;
}

/*
 * It has ended, or ends now when told to; with a reason and in order. @broken: it must have
 * found the ring broken, and is told nothing.
 */
static void pair_finish(struct pair *p, bool broken)
{
	const struct worker_stop stop = { .type = WORKER_STOP };
	struct worker_ended ended = { 0 };
	int status, expected = p->attached ? 0 : 1;
	char byte;

	if (p->attached) {
		if (!broken)
			send(p->worker.control, &stop, sizeof(stop), MSG_NOSIGNAL);
		if (local_worker_expect(&p->worker, WORKER_ENDED, &ended, sizeof(ended), HANG_MS) !=
		    sizeof(ended))
			fail_msg("seed %llu, round %lu: the worker said no last word",
				 (unsigned long long)seed, rounds);
		if ((broken || ended.reason != 0) && ended.reason != VGPU_EPROTO &&
		    (broken || ended.reason != VGPU_EDEADLINE))
			fail_msg("seed %llu, round %lu: ended with %d: %s",
				 (unsigned long long)seed, rounds, ended.reason, ended.why);
	}
	while (local_worker_receive(&p->worker, &byte, 1, HANG_MS) > 0)
		;
	assert_int_equal(waitpid(p->worker.pid, &status, 0), p->worker.pid);
	p->worker.pid = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
		fail_msg("seed %llu, round %lu: the worker's wait status is %#x",
			 (unsigned long long)seed, rounds, (unsigned int)status);
	local_worker_dispose(&p->worker);
	local_channel_dispose(&p->channel);
	rounds++;
}

static uint32_t *line_at(struct pair *p, uint32_t line)
{
	return (uint32_t *)(void *)(p->channel.index + line);
}

static void ring_bell(struct pair *p)
{
	eventfd_write(p->channel.to_host, 1);
}

/* Some requests in order, so that indices stand somewhere else than 0. */
static void pair_use(struct pair *p)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_NOP };
	struct vgpu_response rsp;

	for (uint32_t i = below(40); i; i--)
		assert_int_equal(local_channel_call(&p->channel, &p->worker, &req, &rsp, HANG_MS),
				 0);
}

/* More answers wanted than the ring has places for, and none taken. */
static void pair_flood(struct pair *p)
{
	const struct vgpu_request req = { .cmd = VGPU_CMD_NOP };
	struct pollfd said = { .fd = p->worker.control, .events = POLLIN };

	for (uint32_t i = 0; i < 2 * ENTRIES; i++)
		while (spsc_produce(&p->channel.req, &req) == -ENOSPC && poll(&said, 1, 1) == 0)
			ring_bell(p);
	ring_bell(p);
}

static void test_every_index(void **state)
{
	static const uint32_t values[] = { 0,          1,          ENTRIES + 1, 0x7fffffff,
					   0x80000000, 0xfffffff0, 0xffffffff };
	struct pair p;

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++) {
		for (size_t v = 0; v < COUNT(values); v++) {
			pair_start(&p);
			pair_attach(&p, v % 2 ? 50 : 0);
			assert_true(p.attached);
			pair_use(&p);
			shm_store(line_at(&p, lines[i]), values[v]);
			ring_bell(&p);
			if (lines[i] == VGPU_INDEX_RSP_CONS)
				pair_flood(&p);
			pair_finish(&p, lines[i] == VGPU_INDEX_RSP_CONS);
		}
	}
}

/* Each word of the header that means something, and some that must be zero. */
static void test_every_header_field(void **state)
{
	static const uint32_t values[] = { 0,          1,          3,         4096,
					   4097,       8192,       65536,     0x7fffffff,
					   0x80000000, 0xfffff000, 0xffffffff };
	struct pair p;

	(void)state;
	for (uint32_t word = 0; word < 34; word++) {
		for (size_t i = 0; i < 3; i++) {
			pair_start(&p);
			((uint32_t *)(void *)p.channel.base)[word] = values[below(COUNT(values))];
			pair_attach(&p, 0);
			ring_bell(&p);
			pair_finish(&p, false);
		}
	}
}

static void random_request(struct vgpu_request *req)
{
	struct vgpu_vector_add_args args = {
		.a = nasty(),
		.b = nasty(),
		.c = nasty(),
		.n = (uint32_t)nasty(),
		.flags = below(3) ? 0 : (uint32_t)nasty(),
	};

	*req = (struct vgpu_request){
		.cmd = (uint16_t)(below(8) ? below(6) : nasty()),
		.flags = (uint16_t)(below(4)   ? 0
				    : below(2) ? VGPU_REQ_NO_RESPONSE
					       : nasty()),
		.id = (uint32_t)rnd(),
	};
	if (req->cmd == VGPU_CMD_VECTOR_ADD)
		memcpy(req->args, &args, sizeof(args));
	if (req->cmd == VGPU_CMD_QUERY_STATUS || req->cmd == VGPU_CMD_MESSAGE || !below(8)) {
		req->data_len = below(2) ? below(600) : (uint32_t)nasty();
		req->data_ptr = below(2) ? below(WINDOW) : nasty();
	}
	if (!below(16))
		req->args[below(sizeof(req->args))] ^= (uint8_t)rnd();
}

/* Scribble over one thing, of any kind but the index lines. */
static void scribble(struct pair *p)
{
	uint64_t garbage = rnd();
	uint64_t where;

	switch (below(4)) {
	case 0: /* header */
		where = below(VGPU_PAGE_BYTES / 8) * 8;
		break;
	case 1: /* rings */
		where = 2 * VGPU_PAGE_BYTES + below(2 * VGPU_PAGE_BYTES / 8) * 8;
		break;
	case 2: /* the rest of the index page */
		where = VGPU_PAGE_BYTES + 0x400 + below(0xc00 / 8) * 8;
		break;
	default:
		where = (uint64_t)(p->channel.window - p->channel.base) + below(WINDOW / 8) * 8;
	}
	shm_copy_out(p->channel.base + where, &garbage, sizeof(garbage));
}

/* How many responses there have been, as far as the slots tell. */
static uint32_t responses(struct pair *p)
{
	const struct vgpu_response *slots = p->channel.rsp.at.slots;
	const uint32_t cons = shm_load(line_at(p, VGPU_INDEX_RSP_CONS));
	uint32_t most = 0, more;

	for (uint32_t i = 0; i < ENTRIES; i++) {
		more = shm_load_acquire(&slots[i].seq) - cons;
		if (more <= ENTRIES && more > most)
			most = more;
	}
	return cons + most;
}

/*
 * One move of the vandal. @prod: requests so far; @wild: one in so many moves is one that
 * must cost it the channel, 0 for never.
 */
static void vandalize(struct pair *p, uint32_t *prod, uint32_t wild)
{
	struct vgpu_request req;
	uint8_t *slots = p->channel.req.at.slots;
	bool room;

	if (wild && !below(wild)) {
		shm_store(line_at(p, lines[below(COUNT(lines))]), (uint32_t)nasty());
		return;
	}
	switch (below(8)) {
	case 0:
	case 1:
	case 2: /* requests, with slots changing under the worker's hands */
		for (uint32_t n = 1 + below(4); n; n--) {
			random_request(&req);
			room = *prod - shm_load(line_at(p, VGPU_INDEX_REQ_CONS)) < ENTRIES;
			req.seq = room ? *prod + 1 : (uint32_t)rnd();
			shm_copy_out(slots + (size_t)(*prod % ENTRIES) * sizeof(req), &req,
				     sizeof(req));
			*prod += room;
		}
		break;
	case 3:
		ring_bell(p);
		break;
	case 4:
	case 5: /* take all responses, unread */
		shm_store_release(line_at(p, VGPU_INDEX_RSP_CONS), responses(p));
		break;
	case 6:
		shm_store(line_at(p, VGPU_INDEX_RSP_EVENT), responses(p) + below(3));
		break;
	default:
		scribble(p);
	}
}

static void set_nonblocking(struct pair *p)
{
	fcntl(p->channel.to_host, F_SETFL, O_NONBLOCK);
	fcntl(p->channel.to_guest, F_SETFL, O_NONBLOCK);
}

static void test_random_garbage(void **state)
{
	static const uint32_t wildness[] = { 0, 0, 2000, 200, 20 };
	struct pair p;
	uint32_t prod, wild, moves;

	(void)state;
	do {
		pair_start(&p);
		if (!below(4)) {
			for (uint32_t n = 1 + below(3); n; n--)
				((uint32_t *)(void *)p.channel.base)[below(36)] = (uint32_t)nasty();
		}
		if (below(2))
			set_nonblocking(&p);
		pair_attach(&p, below(2) ? 0 : 100);
		prod = 0;
		wild = wildness[below(COUNT(wildness))];
		for (moves = 2000 + below(20000); p.attached && moves; moves--)
			vandalize(&p, &prod, wild);
		pair_finish(&p, false);
	} while (clock_us() < end_us);
}

/* The neighbour: right results, all the time, until @stop is closed. */
static int neighbour(int stop)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_VECTOR_ADD };
	const struct vgpu_vector_add_args args = { .a = 0, .b = 65536, .c = 131072, .n = 4096 };
	struct worker_assign assign = { .deadline_ms = 60000, .vm = "neighbour" };
	struct vgpu_response rsp;
	struct pair p;
	char why[256];
	float *a, *b, *sum;

	if (local_channel_init(&p.channel, ENTRIES, WINDOW) ||
	    local_worker_start(&p.worker, SELF, "cpu", "", 0, NULL, why, sizeof(why)) ||
	    local_worker_assign(&p.worker, &p.channel, &assign, why, sizeof(why)))
		return 1;
	a = (float *)(void *)p.channel.window;
	b = (float *)(void *)(p.channel.window + 65536);
	sum = (float *)(void *)(p.channel.window + 131072);
	memcpy(req.args, &args, sizeof(args));
	while (read(stop, why, 1) < 0 && errno == EAGAIN) {
		for (int i = 0; i < 4096; i++) {
			a[i] = (float)below(1000);
			b[i] = (float)below(1000);
			sum[i] = -1;
		}
		if (local_channel_call(&p.channel, &p.worker, &req, &rsp, HANG_MS) || rsp.status)
			return 2;
		for (int i = 0; i < 4096; i++) {
			if (sum[i] != a[i] + b[i])
				return 3;
		}
		usleep(2000);
	}
	local_worker_dispose(&p.worker);
	local_channel_dispose(&p.channel);
	return 0;
}

static pid_t neighbour_pid;
static int neighbour_stop[2];

static int start_neighbour(void **state)
{
	(void)state;
	if (pipe2(neighbour_stop, O_NONBLOCK | O_CLOEXEC) < 0)
		return -1;
	neighbour_pid = fork();
	if (neighbour_pid == 0) {
		close(neighbour_stop[1]);
		_exit(neighbour(neighbour_stop[0]));
	}
	return neighbour_pid < 0 ? -1 : 0;
}

/* Last: by then it has lived through all of the above. */
static void test_neighbour_noticed_nothing(void **state)
{
	int status;

	(void)state;
	print_message("# %lu workers vandalized\n", rounds);
	close(neighbour_stop[1]);
	assert_int_equal(waitpid(neighbour_pid, &status, 0), neighbour_pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_index),
		cmocka_unit_test(test_every_header_field),
		cmocka_unit_test(test_random_garbage),
		cmocka_unit_test(test_neighbour_noticed_nothing),
	};
	const char *given = getenv("HOSTILE_SEED");
	const char *seconds = getenv("HOSTILE_SECONDS");

	if (argc > 1 && strcmp(argv[1], "--worker") == 0)
		return worker_main(argc, argv);
	if (given)
		seed = strtoull(given, NULL, 10);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return 1;
	random_state = seed | 1;
	printf("# HOSTILE_SEED=%llu\n", (unsigned long long)seed);
	fflush(stdout);
	end_us = clock_us() + 1000000ull * (seconds ? strtoull(seconds, NULL, 10) : 20);
	return cmocka_run_group_tests_name("hostile_worker", tests, start_neighbour, NULL);
}
