/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file. libinih splits the lines; it is fed by a reader of ours, which knows
 * the line number and sees what inih passes over in silence: lines that are too long, that
 * are neither section nor key, and sections without keys.
 */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mediator_config.h"

#define KEYS_MAX 64 /* distinct keys whose line is remembered */

struct seen {
	char section[50];
	char key[100];
	unsigned int line;
};

struct parse {
	struct mediator_config *c;
	const char *path;
	FILE *file;
	char *line; /* getline()'s */
	size_t line_size;
	unsigned int number;
	bool awaits_key; /* the line handed out last must lead to a call of the handler */
	bool section_known;
	unsigned int errors;
	config_error_fn *error;
	void *ctx;
	struct seen seen[KEYS_MAX];
	unsigned int seen_count;
};

__attribute__((format(printf, 3, 4))) static void complain(struct parse *p, unsigned int line,
							   const char *fmt, ...)
{
	char text[700], whole[1000];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (line)
		snprintf(whole, sizeof(whole), "%s:%u: %s", p->path, line, text);
	else
		snprintf(whole, sizeof(whole), "%s: %s", p->path, text);
	p->errors++;
	p->error(p->ctx, whole);
}

static void complain_shape(struct parse *p)
{
	if (p->awaits_key)
		complain(p, p->number, "expected \"key = value\", \"[section]\" or a comment");
	p->awaits_key = false;
}

static void check_section(struct parse *p, const char *text)
{
	const char *end = strchr(text, ']');
	char name[50];

	p->section_known = false;
	if (!end) {
		complain(p, p->number, "section header without \"]\"");
		return;
	}
	log_escape(name, sizeof(name), text + 1, (size_t)(end - text - 1));
	if (config_has_section(name)) {
		p->section_known = true;
		return;
	}
	complain(p, p->number,
		 "unknown section [%s]; there are mediator, backend, devices, clients, limits",
		 name);
}

/* One line for inih into @out, cleaned of what it would misread. */
static char *next_line(char *out, int size, void *stream)
{
	struct parse *p = stream;
	ssize_t n;
	char *text;

	complain_shape(p);
	n = getline(&p->line, &p->line_size, p->file);
	if (n < 0)
		return NULL;
	p->number++;
	text = p->line;
	if (p->number == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3; /* byte order mark of some editors */
	/* An indented line would continue the value before it. */
	text += strspn(text, " \t");

	if (strlen(p->line) != (size_t)n) {
		complain(p, p->number, "line holds a NUL byte: not a text file");
		text = "\n";
	} else if (n + 3 > size) {
		complain(p, p->number, "line is longer than %d characters", size - 3);
		text = "\n";
	} else if (*text == '[') {
		check_section(p, text);
	} else {
		p->awaits_key = !strchr("#;\r\n", *text);
	}
	snprintf(out, (size_t)size, "%s", text);
	return out;
}

static const struct seen *seen_before(struct parse *p, const char *section, const char *key)
{
	struct seen *s;

	for (unsigned int i = 0; i < p->seen_count; i++)
		if (!strcmp(p->seen[i].section, section) && !strcmp(p->seen[i].key, key))
			return &p->seen[i];
	if (p->seen_count < KEYS_MAX) {
		s = &p->seen[p->seen_count++];
		snprintf(s->section, sizeof(s->section), "%s", section);
		snprintf(s->key, sizeof(s->key), "%s", key);
		s->line = p->number;
	}
	return NULL;
}

static int take_key(void *user, const char *section, const char *name, const char *value)
{
	struct parse *p = user;
	const struct seen *first;
	char why[600], key[100];

	p->awaits_key = false;
	if (section[0] == '\0') {
		complain(p, p->number, "a key before the first [section]");
		return 1;
	}
	if (!p->section_known)
		return 1; /* told at the section's own line */
	log_escape(key, sizeof(key), name, strlen(name));
	if (config_set(p->c, section, key, value, why, sizeof(why)) < 0) {
		complain(p, p->number, "%s", why);
		return 1;
	}
	first = seen_before(p, section, key);
	if (first)
		complain(p, p->number, "[%s] %s stands twice, first in line %u", section, key,
			 first->line);
	return 1;
}

int config_load(struct mediator_config *c, const char *path, config_error_fn *error, void *ctx)
{
	struct parse p = { .c = c, .path = path, .error = error, .ctx = ctx };
	int rc;

	p.file = fopen(path, "re");
	if (!p.file) {
		rc = -errno;
		if (rc != -ENOENT)
			complain(&p, 0, "cannot read: %s", strerror(-rc));
		return rc;
	}
	rc = ini_parse_stream(next_line, &p, take_key, &p);
	if (ferror(p.file))
		complain(&p, 0, "cannot read: %s", strerror(errno));
	else if (rc != 0 && p.errors == 0)
		complain(&p, rc > 0 ? (unsigned int)rc : 0, "cannot make sense of this line");
	fclose(p.file);
	free(p.line);
	return p.errors ? -EINVAL : 0;
}
