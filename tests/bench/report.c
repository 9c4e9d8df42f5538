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
	struct row *row = &r->rows[r->n++];
	va_list ap;

	if (r->n > sizeof(r->rows) / sizeof(r->rows[0]))
		bench_die("too many rows");
	*row = (struct row){ .unit = unit, .wanted = wanted, .limit = limit };
	va_start(ap, name);
	vsnprintf(row->name, sizeof(row->name), name, ap);
	va_end(ap);
	samples_init(&row->native, room);
	samples_init(&row->vgpu, room);
	return row;
}

/* As it is shown: microseconds as they are, or GB/s. */
static double shown(const struct row *row, double value)
{
	return row->bytes > 0 && value > 0 ? row->bytes / value / 1e3 : value;
}

static double shown_at(const struct row *row, const struct samples *s, double fraction)
{
	return shown(row, samples_at(s, fraction));
}

static bool is_met(const struct row *row)
{
	const double native = samples_at(&row->native, 0.5), vgpu = samples_at(&row->vgpu, 0.5);

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
	const double native = samples_at(&row->native, 0.5), vgpu = samples_at(&row->vgpu, 0.5);

	if (!row->native.n || !row->vgpu.n)
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

void report_head(const struct report *r)
{
	printf("\n%s\n%s; CPUs: %s\n", r->title, r->device, r->cpus);
	printf("%-44s %-6s %10s %10s %10s %10s %9s %9s  %s\n", "", "", r->native_name, "p99",
	       "vgpu", "p99", "vgpu", "wanted", "met");
}

void report_row_done(struct row *row)
{
	char wanted[32], relation[32];

	samples_sort(&row->native);
	samples_sort(&row->vgpu);
	say_wanted(row, wanted, sizeof(wanted));
	say_relation(row, relation, sizeof(relation));
	printf("%-44s %-6s %10.2f %10.2f %10.2f %10.2f %9s %9s  %s\n", row->name, row->unit,
	       shown_at(row, &row->native, 0.5), shown_at(row, &row->native, 0.99),
	       shown_at(row, &row->vgpu, 0.5), shown_at(row, &row->vgpu, 0.99), relation, wanted,
	       verdict(row));
	fflush(stdout);
}

unsigned int report_end(const struct report *r)
{
	unsigned int missed = 0, failed = 0;

	for (size_t i = 0; i < r->n; i++) {
		missed += !is_met(&r->rows[i]) && !r->rows[i].failed;
		failed += r->rows[i].failed;
	}
	printf("%zu rows: %u missed, %u failed\n", r->n, missed, failed);
	return failed;
}

static void write_samples(FILE *f, const struct row *row, const char *name, const struct samples *s)
{
	fprintf(f, "\"%s\": { \"n\": %zu, \"p50\": %.4f, \"p99\": %.4f, \"quantiles\": [", name,
		s->n, shown_at(row, s, 0.5), shown_at(row, s, 0.99));
	for (int i = 0; i <= QUANTILES && s->n > QUANTILES; i++)
		fprintf(f, "%s%.4f", i ? ", " : "", shown_at(row, s, (double)i / QUANTILES));
	fprintf(f, "] }");
}

static void write_row(FILE *f, const struct row *row)
{
	char wanted[32], relation[32];

	say_wanted(row, wanted, sizeof(wanted));
	say_relation(row, relation, sizeof(relation));
	fprintf(f, "  { \"name\": \"%s\", \"unit\": \"%s\", \"bytes\": %.0f, ", row->name,
		row->unit, row->bytes);
	write_samples(f, row, "native", &row->native);
	fprintf(f, ", ");
	write_samples(f, row, "vgpu", &row->vgpu);
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
		samples_free(&r->rows[i].native);
		samples_free(&r->rows[i].vgpu);
	}
	r->n = 0;
}
