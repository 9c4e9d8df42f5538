// SPDX-License-Identifier: GPL-2.0-or-later
/* Copies; pinned memory is, through the mediator, the window. */
#include <string.h>

#include "compare.h"

#define MIB (1u << 20)

struct copies {
	const char *memory, *command;
	const char *tail; /* of the command */
	size_t bytes;
	size_t count; /* in a turn */
	unsigned int turns;
	enum wanted wanted;
	double limit;
};

static void say_size(char *text, size_t len, size_t bytes)
{
	if (bytes >= MIB)
		snprintf(text, len, "%zu MiB", bytes / MIB);
	else if (bytes >= 1024)
		snprintf(text, len, "%zu KiB", bytes / 1024);
	else
		snprintf(text, len, "%zu bytes", bytes);
}

static void run_copies(struct setup *s, const struct copies *c)
{
	static const char *const ways[] = { "to the device", "from the device" };
	const bool small = c->bytes < 4096;
	struct row *rows[2];
	char command[64], size[32];

	say_size(size, sizeof(size), c->bytes);
	if (!compare_wants(s, size) && (small || strcmp(s->only, "copies") != 0))
		return;
	for (int i = 0; i < 2; i++) {
		rows[i] = report_row(&s->report, small ? "us" : "GB/s", c->wanted, c->limit,
				     c->count * c->turns * COMPARE_SITTINGS, "%s %s, %s", size,
				     ways[i], c->memory);
		rows[i]->bytes = small ? 0 : (double)c->bytes;
	}
	snprintf(command, sizeof(command), "%s %zu %zu%s", c->command, c->bytes, c->count, c->tail);
	compare_pair(s, rows, 2, c->count, c->turns, command);
}

static size_t copies_in_a_turn(size_t bytes)
{
	return bytes >= 64 * MIB ? 3 : bytes >= 16 * MIB ? 2 : bytes >= MIB ? 6 : 20;
}

/* The largest take so long that one turn meets it all. */
static unsigned int turns(size_t bytes)
{
	return bytes >= 64 * MIB ? 1 : COMPARE_TURNS;
}

/* What is wanted at a size, 0 if nothing. */
static double pinned_limit(size_t bytes)
{
	return bytes == MIB ? 0.9 : bytes == 16 * MIB || bytes == 256 * MIB ? 0.98 : 0;
}

static double ordinary_limit(size_t bytes)
{
	return bytes == 16 * MIB || bytes == 256 * MIB ? 1.5 : 0;
}

/* Of all sizes, one kind of memory. */
static void sweep(struct setup *s, struct copies c, size_t largest, double (*limit)(size_t bytes))
{
	for (c.bytes = 4096; c.bytes <= largest; c.bytes *= 4) {
		c.count = copies_in_a_turn(c.bytes);
		c.turns = turns(c.bytes);
		c.limit = s->gpu ? limit(c.bytes) : 0;
		c.wanted = c.limit > 0 ? WANT_SPEED : WANT_NOTHING;
		run_copies(s, &c);
	}
}

void compare_copies(struct setup *s, size_t largest)
{
	const struct copies pinned = { .memory = "pinned", .command = "copy_window", .tail = "" };
	const struct copies ordinary = {
		.memory = "ordinary",
		.command = "copy_ordinary",
		.tail = " 0",
	};

	sweep(s, pinned, largest, pinned_limit);
	sweep(s, ordinary, largest, ordinary_limit);
}

void compare_four_bytes(struct setup *s)
{
	struct copies c = {
		.memory = "ordinary",
		.command = "copy_ordinary",
		.tail = " 0",
		.bytes = 4,
		.count = 200,
		.turns = COMPARE_TURNS,
		.wanted = s->gpu ? WANT_PLUS : WANT_NOTHING,
		.limit = 0.5,
	};

	run_copies(s, &c);
	c.memory = "synchronize";
	c.tail = " 1";
	run_copies(s, &c);
}
