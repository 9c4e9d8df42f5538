/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "parts.h"

#include <stdlib.h>

#include "../protocol/vgpu_errors.h"

/* Valid at the first unit of each part. */
struct part {
	uint32_t size : 31;
	uint32_t taken : 1;
	uint32_t before; /* size of the part before, 0: none */
	uint32_t next;   /* in the list of its class, as are free parts */
	uint32_t prev;
};

struct class
{
	uint32_t power, eighth;
};

static uint32_t log2_of(uint32_t v)
{
	return 31 - (uint32_t)__builtin_clz(v);
}

/* The class that a part of that size belongs to. */
static struct class class_of(uint32_t size)
{
	uint32_t power;

	if (size < 8)
		return (struct class){ 0, size };
	power = log2_of(size);
	return (struct class){ power - 2, (size >> (power - 3)) & 7 };
}

static void mark_start(struct parts *p, uint32_t at, bool start)
{
	uint64_t bit = 1ull << (at % 64);

	if (start)
		p->starts[at / 64] |= bit;
	else
		p->starts[at / 64] &= ~bit;
}

static void set_part(struct parts *p, uint32_t at, uint32_t size, uint32_t before)
{
	p->parts[at] = (struct part){ .size = size, .before = before };
	mark_start(p, at, true);
	if (at + size < p->units)
		p->parts[at + size].before = size;
}

static void list_add(struct parts *p, uint32_t at)
{
	struct class c = class_of(p->parts[at].size);
	uint32_t *head = &p->lists[c.power][c.eighth];

	p->parts[at].prev = PARTS_NONE;
	p->parts[at].next = *head;
	if (*head != PARTS_NONE)
		p->parts[*head].prev = at;
	*head = at;
	p->classes[c.power] |= (uint8_t)(1u << c.eighth);
	p->powers |= 1u << c.power;
}

static void list_remove(struct parts *p, uint32_t at)
{
	struct class c = class_of(p->parts[at].size);
	struct part *part = &p->parts[at];

	if (part->next != PARTS_NONE)
		p->parts[part->next].prev = part->prev;
	if (part->prev != PARTS_NONE) {
		p->parts[part->prev].next = part->next;
		return;
	}
	p->lists[c.power][c.eighth] = part->next;
	if (part->next != PARTS_NONE)
		return;
	p->classes[c.power] &= (uint8_t) ~(1u << c.eighth);
	if (!p->classes[c.power])
		p->powers &= ~(1u << c.power);
}

int parts_init(struct parts *p, uint32_t units)
{
	p->parts = calloc(units, sizeof(*p->parts));
	p->starts = calloc(units / 64 + 1, sizeof(*p->starts));
	p->units = units;
	p->taken = 0;
	p->powers = 0;
	for (uint32_t i = 0; i < PARTS_POWERS; i++) {
		p->classes[i] = 0;
		for (uint32_t k = 0; k < 8; k++)
			p->lists[i][k] = PARTS_NONE;
	}
	if (!p->parts || !p->starts) {
		parts_dispose(p);
		return VGPU_ENOMEM;
	}
	set_part(p, 0, units, 0);
	list_add(p, 0);
	return 0;
}

void parts_dispose(struct parts *p)
{
	free(p->parts);
	free(p->starts);
	p->parts = NULL;
	p->starts = NULL;
}

/* The smallest class that has a free part and whose parts are all large enough, or PARTS_NONE. */
static uint32_t find(const struct parts *p, uint32_t units)
{
	struct class c = class_of(units);
	uint32_t classes, powers;

	if (units >= 8) /* round up to the class's smallest */
		c = class_of(units + (1u << (log2_of(units) - 3)) - 1);
	classes = p->classes[c.power] & (0xffu << c.eighth);
	if (!classes) {
		powers = p->powers & ~((2u << c.power) - 1);
		if (!powers)
			return PARTS_NONE;
		c.power = (uint32_t)__builtin_ctz(powers);
		classes = p->classes[c.power];
	}
	return p->lists[c.power][__builtin_ctz(classes)];
}

/* Parts of the class that @units itself is in may be large enough, or not. */
static uint32_t find_exactly(const struct parts *p, uint32_t units)
{
	struct class c = class_of(units);
	uint32_t at = p->lists[c.power][c.eighth];

	return at != PARTS_NONE && p->parts[at].size >= units ? at : PARTS_NONE;
}

uint32_t parts_take(struct parts *p, uint32_t units)
{
	uint32_t at, rest;

	if (units == 0 || units > p->units)
		return PARTS_NONE;
	at = find_exactly(p, units);
	if (at == PARTS_NONE)
		at = find(p, units);
	if (at == PARTS_NONE)
		return at;
	list_remove(p, at);
	rest = p->parts[at].size - units;
	if (rest) {
		set_part(p, at, units, p->parts[at].before);
		set_part(p, at + units, rest, units);
		list_add(p, at + units);
	}
	p->parts[at].taken = 1;
	p->taken += units;
	return at;
}

bool parts_starts(const struct parts *p, uint32_t first)
{
	return first < p->units && (p->starts[first / 64] >> (first % 64) & 1) &&
	       p->parts[first].taken;
}

bool parts_give(struct parts *p, uint32_t first)
{
	uint32_t size, before, next;

	if (!parts_starts(p, first))
		return false;
	size = p->parts[first].size;
	before = p->parts[first].before;
	p->taken -= size;
	next = first + size;
	if (next < p->units && !p->parts[next].taken) {
		list_remove(p, next);
		mark_start(p, next, false);
		size += p->parts[next].size;
	}
	if (before && !p->parts[first - before].taken) {
		mark_start(p, first, false);
		first -= before;
		list_remove(p, first);
		size += before;
		before = p->parts[first].before;
	}
	set_part(p, first, size, before);
	list_add(p, first);
	return true;
}

bool parts_hold(const struct parts *p, uint32_t first, uint32_t last)
{
	uint32_t word = first / 64;
	uint64_t bits;

	if (last >= p->units)
		return false;
	/* The last start at or before @first: unit 0 always is one. */
	bits = p->starts[word] & (~0ull >> (63 - first % 64));
	while (!bits)
		bits = p->starts[--word];
	first = word * 64 + 63 - (uint32_t)__builtin_clzll(bits);
	return p->parts[first].taken && last - first < p->parts[first].size;
}
