/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rows of measurements, side by side, and whether each is what is wanted. */
#ifndef TESTS_BENCH_REPORT_H
#define TESTS_BENCH_REPORT_H

#include <stdbool.h>

#include "bench.h"

/* Of the medians. */
enum wanted {
	WANT_NOTHING,
	WANT_AT_MOST, /* vgpu */
	WANT_PLUS,    /* vgpu is at most native + limit */
	WANT_SPEED,   /* native's time is at least limit times vgpu's: speed 1 is the same */
	WANT_RATE,    /* the same of things that are the better the more */
};

struct row {
	char name[64];
	const char *unit;
	enum wanted wanted;
	double limit;
	double bytes; /* 0, or the row is shown as bandwidth */
	bool failed;  /* and what was measured means nothing */
	struct samples native, vgpu;
};

struct report {
	const char *title;
	const char *native_name;
	char device[128];
	char cpus[256];
	struct row rows[80];
	size_t n;
};

/* A row with room for so many samples each. */
__attribute__((format(printf, 6, 7))) struct row *report_row(struct report *r, const char *unit,
							     enum wanted wanted, double limit,
							     size_t room, const char *name, ...);

/* What stands above the rows. */
void report_head(const struct report *r);
/* All is measured: sort, print. */
void report_row_done(struct row *row);
/* What stands below them. Returns how many rows failed. */
unsigned int report_end(const struct report *r);

void report_write_json(const struct report *r, const char *path);
void report_dispose(struct report *r);

#endif
