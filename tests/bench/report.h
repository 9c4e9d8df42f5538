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
 * What one of the two took. How fast a process is at small things is settled when it starts: two of
 * the same differ by a quarter, whichever side they are on (docs/benchmarks.md). So the value
 * is the mean of the medians of several processes.
 */
struct side {
	struct samples all;
	double medians; /* their sum */
	size_t processes;
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
/* What one process took, some or all of it; sorts it. */
void report_add(struct side *side, struct samples *s);
void report_add_one(struct side *side, double us);

/* All is measured: the table. Returns how many rows failed. */
unsigned int report_print(struct report *r);

void report_write_json(const struct report *r, const char *path);
void report_dispose(struct report *r);

#endif
