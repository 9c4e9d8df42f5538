/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One direction of a channel, both ends, and every way in which one can lie to the other. */
#include "guest_test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../common/spsc.h"

#define ENTRIES 8u
#define SLOT 128u

struct ring {
	uint32_t cons, event; /* the shared words */
	uint64_t slots[ENTRIES * SLOT / 8];
	struct spsc_producer p;
	struct spsc_consumer c;
};

static struct ring ring;

/* The shared number in the place of the slot behind @index others. */
static uint32_t *seq_at(struct ring *r, uint32_t index)
{
	return (uint32_t *)&r->slots[index % ENTRIES * (SLOT / 8)];
}

/* A ring as after @start slots. */
static void ring_init(struct ring *r, uint32_t start)
{
	struct spsc_shape shape = {
		.cons = &r->cons,
		.event = &r->event,
		.slots = r->slots,
		.slot_bytes = SLOT,
		.entries = ENTRIES,
	};

	memset(r, 0, sizeof(*r));
	spsc_producer_init(&r->p, &shape);
	spsc_consumer_init(&r->c, &shape);
	for (uint32_t i = start - ENTRIES; i != start; i++)
		*seq_at(r, i) = i + 1;
	r->cons = r->event = start;
	r->p.prod = r->p.cons = start;
	r->c.cons = start;
}

static int setup(void **state)
{
	(void)state;
	ring_init(&ring, 0);
	return 0;
}

/* The slot's words are @value and what follows, but for the first four bytes. */
static int put(uint32_t value)
{
	uint64_t slot[SLOT / 8];

	for (size_t i = 0; i < SLOT / 8; i++)
		slot[i] = ((uint64_t)value + i) << 32 | 0xdead;
	return spsc_produce(&ring.p, slot);
}

/* The next slot's value, -EAGAIN if there is none; all of the slot must be of one piece. */
static int64_t get(void)
{
	uint64_t slot[SLOT / 8];
	uint32_t before = ring.c.cons;

	if (!spsc_consume(&ring.c, slot))
		return -EAGAIN;
	assert_int_equal(ring.cons, before + 1);
	assert_int_equal((uint32_t)slot[0], before + 1);
	for (size_t i = 1; i < SLOT / 8; i++)
		assert_int_equal(slot[i], ((slot[0] >> 32) + i) << 32 | 0xdead);
	return (int64_t)(slot[0] >> 32);
}

static void test_empty(void **state)
{
	(void)state;
	assert_false(spsc_pending(&ring.c));
	assert_int_equal(get(), -EAGAIN);
	assert_int_equal(spsc_room(&ring.p), ENTRIES);
}

static void test_comes_with_its_number(void **state)
{
	(void)state;
	assert_int_equal(put(7), 0);
	assert_int_equal(*seq_at(&ring, 0), 1);
	*seq_at(&ring, 0) = 0;
	assert_false(spsc_pending(&ring.c));
	assert_int_equal(get(), -EAGAIN);
	*seq_at(&ring, 0) = 1;
	assert_true(spsc_pending(&ring.c));
	assert_int_equal(get(), 7);
	assert_int_equal(get(), -EAGAIN);
}

static void test_order_over_many_rounds(void **state)
{
	int64_t next_in = 1, next_out = 1;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		for (int n = i % (int)ENTRIES + 1; n; n--)
			if (put((uint32_t)next_in) == 0)
				next_in++;
		for (int n = i % 5 + 1; n; n--) {
			int64_t v = get();

			if (v != -EAGAIN)
				assert_int_equal(v, next_out++);
		}
	}
	assert_true(next_out > 1000);
}

static void test_indices_wrap_at_32_bits(void **state)
{
	(void)state;
	ring_init(&ring, UINT32_MAX - 3);
	for (int i = 0; i < 100; i++) {
		for (int j = 0; j < 3; j++)
			assert_int_equal(put((uint32_t)(3 * i + j + 1)), 0);
		for (int j = 0; j < 3; j++)
			assert_int_equal(get(), 3 * i + j + 1);
	}
	assert_int_equal(ring.p.prod, UINT32_MAX - 3 + 300);
	assert_int_equal(ring.p.dead, 0);
}

static void test_wrapped_full_ring(void **state)
{
	(void)state;
	ring_init(&ring, UINT32_MAX - 3);
	for (uint32_t i = 0; i < ENTRIES; i++)
		assert_int_equal(put(i + 1), 0);
	assert_int_equal(put(99), -ENOSPC);
	for (int i = 0; i < (int)ENTRIES; i++)
		assert_int_equal(get(), i + 1);
}

static void test_full(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ENTRIES; i++)
		assert_int_equal(put(i + 1), 0);
	assert_int_equal(put(99), -ENOSPC);
	assert_int_equal(spsc_room(&ring.p), 0);
	assert_int_equal(put(99), -ENOSPC);
	assert_int_equal(get(), 1);
	assert_int_equal(spsc_room(&ring.p), 1);
	assert_int_equal(put(100), 0);
	assert_int_equal(put(101), -ENOSPC);
	for (int i = 2; i <= (int)ENTRIES; i++)
		assert_int_equal(get(), i);
	assert_int_equal(get(), 100);
}

static void test_slot_is_copied_once(void **state)
{
	uint64_t slot[SLOT / 8];

	(void)state;
	put(5);
	assert_true(spsc_consume(&ring.c, slot));
	memset(ring.slots, 0xff, sizeof(ring.slots)); /* too late to matter */
	assert_int_equal(slot[0] >> 32, 5);
}

static void test_own_words_are_not_read_back(void **state)
{
	(void)state;
	put(1);
	*seq_at(&ring, 1) = 12345; /* the peer writes where only we do */
	put(2);
	assert_int_equal(*seq_at(&ring, 1), 2);
	assert_int_equal(get(), 1);
	ring.cons = 54321;
	assert_int_equal(get(), 2);
	assert_int_equal(ring.cons, 2);
}

static void producer_is_dead(void)
{
	assert_int_equal(spsc_room(&ring.p), 0);
	assert_int_equal(ring.p.dead, -EPROTO);
	assert_int_equal(put(1), -EPROTO);
	ring.cons = ring.p.prod; /* mending it comes too late */
	assert_int_equal(put(1), -EPROTO);
}

static void test_consumer_took_what_was_never_produced(void **state)
{
	(void)state;
	put(1);
	ring.cons = 2;
	producer_is_dead();
}

static void test_consumer_went_back(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ENTRIES; i++)
		put(i + 1);
	ring.cons = UINT32_MAX;
	producer_is_dead();
}

/* A slot that shows any number but the next one is not there. */
static void test_other_numbers(void **state)
{
	static const uint32_t numbers[] = { 0, 2, ENTRIES + 1, UINT32_MAX, 0x80000001 };

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		*seq_at(&ring, 0) = numbers[i];
		assert_false(spsc_pending(&ring.c));
		assert_int_equal(get(), -EAGAIN);
		assert_true(spsc_sleep(&ring.c));
	}
}

/* One lap later the place still shows the number of the lap before. */
static void test_number_of_the_lap_before(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < ENTRIES; i++) {
		put(i + 1);
		assert_int_equal(get(), i + 1);
	}
	assert_int_equal(*seq_at(&ring, 0), 1);
	assert_int_equal(get(), -EAGAIN);
	assert_false(spsc_pending(&ring.c));
}

static void test_no_signal_for_one_that_polls(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(put(1), 0);
		assert_int_equal(get(), 1);
	}
}

static void test_signal_for_one_that_sleeps(void **state)
{
	(void)state;
	assert_true(spsc_sleep(&ring.c));
	assert_int_equal(put(1), 1);
	assert_int_equal(put(1), 0); /* once is enough */
	get();
	get();
	assert_int_equal(put(1), 0);
	get();
	assert_true(spsc_sleep(&ring.c));
	assert_int_equal(put(1), 1);
}

static void test_no_sleep_over_something(void **state)
{
	(void)state;
	put(1);
	assert_false(spsc_sleep(&ring.c));
	assert_int_equal(get(), 1);
	assert_true(spsc_sleep(&ring.c));
}

static void test_no_sleep_over_the_second(void **state)
{
	(void)state;
	put(1);
	put(2);
	assert_int_equal(get(), 1);
	assert_false(spsc_sleep(&ring.c));
}

static void test_signal_over_the_wrap(void **state)
{
	(void)state;
	ring_init(&ring, UINT32_MAX);
	assert_true(spsc_sleep(&ring.c)); /* event is 0 now */
	assert_int_equal(put(1), 1);
	get();
	assert_true(spsc_sleep(&ring.c));
	assert_int_equal(put(1), 1);
}

static void test_wild_event_is_harmless(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 2000; i++) {
		ring.event = i * 2654435761u;
		put(1);
		assert_int_equal(get(), 1);
	}
	assert_int_equal(ring.p.dead, 0);
}

#define ITEMS 20000

static int bell;

static void *produce_all(void *arg)
{
	uint64_t one = 1;

	(void)arg;
	for (uint32_t i = 1; i <= ITEMS;) {
		int rc = put(i);

		if (rc < 0) {
			sched_yield(); /* the consumer may need this CPU */
			continue;
		}
		i++;
		if (rc)
			assert_int_equal(write(bell, &one, 8), 8);
	}
	return NULL;
}

/* A lost wake-up would leave the consumer asleep: the poll gives up and fails. */
static void test_two_threads_sleeping(void **state)
{
	pthread_t thread;

	(void)state;
	bell = eventfd(0, EFD_CLOEXEC);
	pthread_create(&thread, NULL, produce_all, NULL);
	for (int64_t i = 1; i <= ITEMS; i++) {
		int64_t v;

		while ((v = get()) == -EAGAIN) {
			struct pollfd p = { .fd = bell, .events = POLLIN };
			uint64_t count;

			if (!spsc_sleep(&ring.c))
				continue;
			assert_int_equal(poll(&p, 1, 60000), 1);
			assert_int_equal(read(bell, &count, 8), 8);
		}
		assert_int_equal(v, i);
	}
	pthread_join(thread, NULL);
	close(bell);
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_empty),
		T(test_comes_with_its_number),
		T(test_order_over_many_rounds),
		T(test_indices_wrap_at_32_bits),
		T(test_wrapped_full_ring),
		T(test_full),
		T(test_slot_is_copied_once),
		T(test_own_words_are_not_read_back),
		T(test_consumer_took_what_was_never_produced),
		T(test_consumer_went_back),
		T(test_other_numbers),
		T(test_number_of_the_lap_before),
		T(test_no_signal_for_one_that_polls),
		T(test_signal_for_one_that_sleeps),
		T(test_no_sleep_over_something),
		T(test_no_sleep_over_the_second),
		T(test_signal_over_the_wrap),
		T(test_wild_event_is_harmless),
		T(test_two_threads_sleeping),
	};

	return cmocka_run_group_tests_name("spsc", tests, NULL, NULL);
}
