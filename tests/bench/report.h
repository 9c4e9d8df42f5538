/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of measurements, side by side, and whether each is what is wanted. */
#ifndef TESTS_BENCH_REPORT_H
#define TESTS_BENCH_REPORT_H

#include <stdbool.h>

#include "bench.h"

/* Of the values, see struct side. */
enum wanted {
	WANT_NOTHING,
	WANT_AT_MOST, /* vgpu */
	WANT_PLUS,    /* vgpu is at most native + limit */
	WANT_SPEED,   /* native's time is at least limit times vgpu's: speed 1 is the same */
	WANT_RATE,    /* the same of things that are the better the more */
};

/*
 * What one of the two took. The value is the mean of the medians of many short turns: for a while
 * all that a processor does takes a quarter longer, whichever side is on it (docs/benchmarks.md),
 * and the median of all would be that of the while that lasted longest.
 */
struct side {
	struct samples all;
	double medians; /* their sum */
	size_t turns;
};

struct row {
	char name[64];
	const char *unit;
	enum wanted wanted;
	double limit;
	double bytes; /* 0, or the row is shown as bandwidth */
	bool failed;  /* and what was measured means nothing */
	struct side native, vgpu;
};

struct report {
	const char *title;
	const char *native_name;
	char device[128];
	char cpus[256];
	struct row rows[80];
	size_t n;
};

/* The row of that name, made with room for so many samples of each side if there is none. */
__attribute__((format(printf, 6, 7))) struct row *report_row(struct report *r, const char *unit,
							     enum wanted wanted, double limit,
							     size_t room, const char *name, ...);
/* What one turn took; sorts it. */
void report_add(struct side *side, struct samples *s);
void report_add_one(struct side *side, double us);

/* All is measured: the table. Returns how many rows failed. */
unsigned int report_print(struct report *r);

void report_write_json(const struct report *r, const char *path);
void report_dispose(struct report *r);

#endif
