// SPDX-License-Identifier: GPL-2.0-or-later
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* Of the distributions in the JSON. */
#define QUANTILES 200

struct row *report_row(struct report *r, const char *unit, enum wanted wanted, double limit,
		       size_t room, const char *name, ...)
{
	struct row *row, new = { .unit = unit, .wanted = wanted, .limit = limit };
	va_list ap;

	va_start(ap, name);
	vsnprintf(new.name, sizeof(new.name), name, ap);
	va_end(ap);
	for (row = r->rows; row < r->rows + r->n; row++)
		if (strcmp(row->name, new.name) == 0)
			return row;
	if (r->n++ == sizeof(r->rows) / sizeof(r->rows[0]))
		bench_die("too many rows");
	*row = new;
	samples_init(&row->native.all, room);
	samples_init(&row->vgpu.all, room);
	return row;
}

void report_add(struct side *side, struct samples *s)
{
	samples_sort(s);
	side->medians += samples_at(s, 0.5);
	side->turns++;
	for (size_t i = 0; i < s->n; i++)
		samples_add(&side->all, s->us[i]);
}

void report_add_one(struct side *side, double us)
{
	report_add(side, &(struct samples){ .us = &us, .n = 1 });
}

static double value_of(const struct side *side)
{
	return side->turns ? side->medians / (double)side->turns : 0;
}

/* As it is shown: microseconds as they are, or GB/s. */
static double shown(const struct row *row, double value)
{
	return row->bytes > 0 && value > 0 ? row->bytes / value / 1e3 : value;
}

static double shown_value(const struct row *row, const struct side *side)
{
	return shown(row, value_of(side));
}

static double shown_at(const struct row *row, const struct side *side, double fraction)
{
	return shown(row, samples_at(&side->all, fraction));
}

static bool is_met(const struct row *row)
{
	const double native = value_of(&row->native), vgpu = value_of(&row->vgpu);

	if (row->failed)
		return false;
	switch (row->wanted) {
	case WANT_NOTHING:
		break;
	case WANT_AT_MOST:
		return vgpu <= row->limit;
	case WANT_PLUS:
		return vgpu <= native + row->limit;
	case WANT_SPEED:
		return native >= row->limit * vgpu;
	case WANT_RATE:
		return vgpu >= row->limit * native;
	}
	return true;
}

static void say_wanted(const struct row *row, char *text, size_t len)
{
	switch (row->wanted) {
	case WANT_NOTHING:
		snprintf(text, len, "-");
		break;
	case WANT_AT_MOST:
		snprintf(text, len, "<= %g", row->limit);
		break;
	case WANT_PLUS:
		snprintf(text, len, "<= +%g", row->limit);
		break;
	case WANT_SPEED:
	case WANT_RATE:
		snprintf(text, len, ">= %gx", row->limit);
		break;
	}
}

/* vgpu beside native: a difference where that is what counts, else how many times as fast. */
static void say_relation(const struct row *row, char *text, size_t len)
{
	const double native = value_of(&row->native), vgpu = value_of(&row->vgpu);

	if (!row->native.turns || !row->vgpu.turns)
		snprintf(text, len, "-");
	else if (row->wanted == WANT_PLUS || row->wanted == WANT_AT_MOST)
		snprintf(text, len, "%+.2f", vgpu - native);
	else
		snprintf(text, len, "%.3fx",
			 row->wanted == WANT_RATE ? vgpu / native : native / vgpu);
}

static const char *verdict(const struct row *row)
{
	if (row->failed)
		return "FAILED";
	if (row->wanted == WANT_NOTHING)
		return "-";
	return is_met(row) ? "yes" : "NO";
}

static void print_row(const struct row *row)
{
	char wanted[32], relation[32];

	say_wanted(row, wanted, sizeof(wanted));
	say_relation(row, relation, sizeof(relation));
	printf("%-44s %-6s %10.2f %10.2f %10.2f %10.2f %9s %9s  %s\n", row->name, row->unit,
	       shown_value(row, &row->native), shown_at(row, &row->native, 0.99),
	       shown_value(row, &row->vgpu), shown_at(row, &row->vgpu, 0.99), relation, wanted,
	       verdict(row));
}

unsigned int report_print(struct report *r)
{
	unsigned int missed = 0, failed = 0;

	printf("\n%s\n%s; CPUs: %s\n", r->title, r->device, r->cpus);
	printf("%-44s %-6s %10s %10s %10s %10s %9s %9s  %s\n", "", "", r->native_name, "p99",
	       "vgpu", "p99", "vgpu", "wanted", "met");
	for (struct row *row = r->rows; row < r->rows + r->n; row++) {
		samples_sort(&row->native.all);
		samples_sort(&row->vgpu.all);
		print_row(row);
		missed += !is_met(row) && !row->failed;
		failed += row->failed;
	}
	printf("%zu rows: %u missed, %u failed\n", r->n, missed, failed);
	return failed;
}

static void write_side(FILE *f, const struct row *row, const char *name, const struct side *side)
{
	fprintf(f,
		"\"%s\": { \"n\": %zu, \"turns\": %zu, \"value\": %.4f, \"p50\": %.4f, "
		"\"p99\": %.4f, \"quantiles\": [",
		name, side->all.n, side->turns, shown_value(row, side), shown_at(row, side, 0.5),
		shown_at(row, side, 0.99));
	for (int i = 0; i <= QUANTILES && side->all.n > QUANTILES; i++)
		fprintf(f, "%s%.4f", i ? ", " : "", shown_at(row, side, (double)i / QUANTILES));
	fprintf(f, "] }");
}

static void write_row(FILE *f, const struct row *row)
{
	char wanted[32], relation[32];

	say_wanted(row, wanted, sizeof(wanted));
	say_relation(row, relation, sizeof(relation));
	fprintf(f, "  { \"name\": \"%s\", \"unit\": \"%s\", \"bytes\": %.0f, ", row->name,
		row->unit, row->bytes);
	write_side(f, row, "native", &row->native);
	fprintf(f, ", ");
	write_side(f, row, "vgpu", &row->vgpu);
	fprintf(f, ", \"relation\": \"%s\", \"wanted\": \"%s\", \"met\": %s, \"failed\": %s }",
		relation, wanted, is_met(row) ? "true" : "false", row->failed ? "true" : "false");
}

void report_write_json(const struct report *r, const char *path)
{
	FILE *f = fopen(path, "w");
	int rc;

	if (!f)
		bench_die("write %s: %s", path, strerror(errno));
	fprintf(f, "{ \"title\": \"%s\", \"native\": \"%s\", \"device\": \"%s\", \"cpus\": \"%s\",",
		r->title, r->native_name, r->device, r->cpus);
	fprintf(f, " \"rows\": [\n");
	for (size_t i = 0; i < r->n; i++) {
		write_row(f, &r->rows[i]);
		fprintf(f, "%s\n", i + 1 < r->n ? "," : "");
	}
	fprintf(f, "] }\n");
	rc = ferror(f);
	if (fclose(f) != 0 || rc)
		bench_die("write %s: %s", path, strerror(errno));
}

void report_dispose(struct report *r)
{
	for (size_t i = 0; i < r->n; i++) {
		samples_free(&r->rows[i].native.all);
		samples_free(&r->rows[i].vgpu.all);
	}
	r->n = 0;
}
