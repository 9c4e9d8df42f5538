/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the pool, the window's heap and the handles are made of, against plain models. */
#include "guest_test.h"

#include <stdbool.h>
#include <stdlib.h>

#include "../../guest-lib/handles.h"
#include "../../guest-lib/parts.h"
#include "../../guest-lib/window_heap.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_gpu.h"

#define UNITS 3000u
#define TAKEN 200u

static uint64_t seed = 42;

static uint32_t random_below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

static struct {
	uint32_t at, size; /* size 0: free */
} taken[TAKEN];

static uint8_t owner[UNITS]; /* of each unit: 1 + index in taken, or 0 */

static uint32_t longest_gap(void)
{
	uint32_t most = 0, run = 0;

	for (uint32_t i = 0; i < UNITS; i++) {
		run = owner[i] ? 0 : run + 1;
		if (run > most)
			most = run;
	}
	return most;
}

static void take(struct parts *p, uint32_t i)
{
	uint32_t size = 1 + random_below(random_below(4) ? 20 : 500);
	uint32_t at = parts_take(p, size);

	if (at == PARTS_NONE) {
		/* sizes of one class may be missed, not more */
		assert_true(longest_gap() < size + size / 8 + 1);
		return;
	}
	for (uint32_t k = at; k < at + size; k++) {
		assert_true(k < UNITS && !owner[k]);
		owner[k] = (uint8_t)(i + 1);
	}
	taken[i].at = at;
	taken[i].size = size;
}

static void give(struct parts *p, uint32_t i)
{
	assert_true(parts_give(p, taken[i].at));
	assert_false(parts_give(p, taken[i].at));
	memset(owner + taken[i].at, 0, taken[i].size);
	taken[i].size = 0;
}

static void look(const struct parts *p)
{
	uint32_t first = random_below(UNITS), last = first + random_below(30);
	bool same = last < UNITS && owner[first] && owner[first] == owner[last];

	assert_int_equal(parts_hold(p, first, last), same);
	assert_int_equal(parts_starts(p, first),
			 owner[first] && taken[owner[first] - 1].at == first);
}

static void test_parts(void **state)
{
	uint32_t sum = 0;
	struct parts p;

	(void)state;
	assert_int_equal(parts_init(&p, UNITS), 0);
	for (int i = 0; i < 200000; i++) {
		uint32_t k = random_below(TAKEN);

		if (taken[k].size)
			give(&p, k);
		else
			take(&p, k);
		look(&p);
	}
	for (uint32_t i = 0; i < TAKEN; i++)
		sum += taken[i].size;
	assert_int_equal(p.taken, sum);
	for (uint32_t i = 0; i < TAKEN; i++)
		if (taken[i].size)
			give(&p, i);
	/* all of it is one part again */
	assert_int_equal(parts_take(&p, UNITS), 0);
	assert_int_equal(parts_take(&p, 1), PARTS_NONE);
	assert_true(parts_give(&p, 0));
	assert_int_equal(parts_take(&p, UNITS + 1), PARTS_NONE);
	assert_int_equal(parts_take(&p, 0), PARTS_NONE);
	parts_dispose(&p);
}

#define WINDOW (1u << 16)
#define BLOCKS 40u

static void test_window(void **state)
{
	struct window_block *blocks[BLOCKS] = { NULL };
	struct window_heap h;

	(void)state;
	window_init(&h, WINDOW);
	for (int i = 0; i < 100000; i++) {
		uint32_t k = random_below(BLOCKS), bytes = 1 + random_below(6000);
		uint32_t align = random_below(3) ? 256 : 4096;

		if (blocks[k]) {
			window_free(&h, blocks[k]);
			blocks[k] = NULL;
			continue;
		}
		blocks[k] = random_below(2) ? window_stage(&h, bytes, bytes / 2)
					    : window_alloc(&h, bytes, align);
		if (!blocks[k])
			continue;
		assert_true(blocks[k]->bytes >= bytes / 2 && blocks[k]->offset % 256 == 0);
		assert_true(blocks[k]->offset + blocks[k]->bytes <= WINDOW);
		if (blocks[k]->programs) {
			assert_true(blocks[k]->bytes >= bytes && blocks[k]->offset >= WINDOW / 4);
			assert_int_equal(blocks[k]->offset % align, 0);
			assert_ptr_equal(window_find(&h, blocks[k]->offset), blocks[k]);
		} else {
			assert_null(window_find(&h, blocks[k]->offset));
		}
		for (uint32_t j = 0; j < BLOCKS; j++)
			if (j != k && blocks[j])
				assert_true(
					blocks[j]->offset + blocks[j]->bytes <= blocks[k]->offset ||
					blocks[k]->offset + blocks[k]->bytes <= blocks[j]->offset);
	}
	window_dispose(&h);
}

static void test_window_full(void **state)
{
	struct window_block *stage, *rest;
	struct window_heap h;
	uint32_t n = 0;

	(void)state;
	window_init(&h, WINDOW);
	stage = window_stage(&h, WINDOW, WINDOW);
	assert_non_null(stage);
	assert_null(window_alloc(&h, 1, 256));
	assert_true(window_could_alloc(&h, WINDOW / 4 * 3, 256));
	assert_false(window_could_alloc(&h, WINDOW / 4 * 3 + 1, 256));
	window_free(&h, stage);
	while (window_alloc(&h, 1000, 256))
		n++;
	assert_int_equal(n, WINDOW / 4 * 3 / 1024);
	assert_false(window_could_alloc(&h, 1, 256));
	/* the library's quarter is left */
	assert_true(window_could_stage(&h, WINDOW / 4));
	assert_false(window_could_stage(&h, WINDOW / 4 + 1));
	rest = window_stage(&h, WINDOW, 1);
	assert_int_equal(rest->bytes, WINDOW / 4);
	assert_null(window_stage(&h, 1, 1));
	assert_true(window_could_stage(&h, WINDOW / 4));
	window_dispose(&h);

	window_init(&h, 4096); /* the smallest */
	assert_false(window_could_alloc(&h, SIZE_MAX, 256));
	assert_null(window_alloc(&h, UINT64_MAX, 256));
	assert_null(window_stage(&h, UINT64_MAX, UINT64_MAX));
	window_dispose(&h);
}

/* Room for a page, if only it began elsewhere. */
static void test_window_alignment(void **state)
{
	struct window_block *after, *middle;
	struct window_heap h;

	(void)state;
	window_init(&h, WINDOW);
	after = window_alloc(&h, 256, 256);
	middle = window_alloc(&h, 4096, 256);
	assert_non_null(window_alloc(&h, 256, 256));
	assert_int_equal(middle->offset, WINDOW - 256 - 4096);
	while (window_alloc(&h, 4096, 4096))
		;
	window_free(&h, middle);
	assert_false(window_could_alloc(&h, 4096, 4096));
	assert_null(window_alloc(&h, 4096, 4096));
	assert_true(window_could_alloc(&h, 4096, 256));
	assert_ptr_equal(window_alloc(&h, 4096, 256)->next, after);
	window_dispose(&h);
}

struct object {
	struct handle_slot slot;
	uint32_t value;
};

static void test_handles(void **state)
{
	uint32_t handles[1000], again;
	struct handles t;

	(void)state;
	handles_init(&t, sizeof(struct object));
	assert_null(handles_get(&t, 0));
	assert_null(handles_get(&t, 1));
	for (uint32_t i = 0; i < 1000; i++) {
		assert_int_equal(handles_new(&t, &handles[i]), 0);
		((struct object *)handles_get(&t, handles[i]))->value = i;
	}
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(((struct object *)handles_get(&t, handles[i]))->value, i);
	handles_free(&t, handles[7]);
	assert_null(handles_get(&t, handles[7]));
	assert_int_equal(handles_new(&t, &again), 0);
	assert_int_equal(again & 0xffff, handles[7] & 0xffff);
	assert_int_not_equal(again, handles[7]);
	assert_null(handles_get(&t, handles[7]));
	assert_int_equal(((struct object *)handles_get(&t, again))->value, 0);
	handles_dispose(&t);
}

static void test_handles_run_out(void **state)
{
	struct handles t;
	uint32_t h;

	(void)state;
	handles_init(&t, sizeof(struct object));
	for (uint32_t i = 0; i < VGPU_PLACES; i++)
		assert_int_equal(handles_new(&t, &h), 0);
	assert_int_equal(h, VGPU_PLACES);
	assert_int_equal(handles_new(&t, &h), VGPU_EQUOTA);
	handles_free(&t, VGPU_PLACES);
	assert_int_equal(handles_new(&t, &h), 0);
	assert_int_equal(h, 1u << 16 | VGPU_PLACES);
	handles_dispose(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),       cmocka_unit_test(test_window),
		cmocka_unit_test(test_window_full), cmocka_unit_test(test_window_alignment),
		cmocka_unit_test(test_handles),     cmocka_unit_test(test_handles_run_out),
	};

	return cmocka_run_group_tests_name("gpu_parts", tests, NULL, NULL);
}
