/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of tests, over the libraries' socket (xenlibctl):
 *
 *   create ID NAME UUID     a domain
 *   destroy ID              end it: its programs lose everything, the others what was its
 *   pause ID, unpause ID    its kernel takes no events meanwhile; its programs run on
 *   restore ID              as if it had been saved and restored: its ports are gone
 *   limit ID PAGES          what gntalloc shares for it at most
 *   count ID [WHAT]         "grants=2 maps=0 ports=1 watches=3 nodes=7 transactions=0"
 *   dump                    XenStore and ports
 */
#include "daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 8

static void count(uint32_t id, const struct domain *d, const char *what, FILE *out)
{
	const struct {
		const char *name;
		uint32_t n;
	} counts[] = {
		{ "grants", grants_count(d) },   { "maps", grants_count_maps(id) },
		{ "ports", ports_count(id) },    { "watches", xs_count_watches(id) },
		{ "nodes", xs_count_nodes(id) }, { "transactions", xs_count_transactions(id) },
	};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (!what)
			fprintf(out, "%s%s=%u", i ? " " : "", counts[i].name, counts[i].n);
		else if (strcmp(what, counts[i].name) == 0)
			fprintf(out, "%u", counts[i].n);
	}
	fputc('\n', out);
}

static int run(int argc, char **word, FILE *out)
{
	uint32_t id = argc > 1 ? (uint32_t)strtoul(word[1], NULL, 10) : 0;
	struct domain *d = domain_find(id);

	if (argc == 4 && strcmp(word[0], "create") == 0)
		return domain_create(id, word[2], word[3]);
	if (argc == 1 && strcmp(word[0], "dump") == 0) {
		xs_dump(out);
		ports_dump(out);
		return 0;
	}
	if (argc < 2)
		return -EINVAL;
	if (!d)
		return -ESRCH;
	if (argc == 2 && strcmp(word[0], "destroy") == 0)
		return id ? domain_destroy(id) : -EPERM;
	if (argc == 2 && strcmp(word[0], "pause") == 0) {
		d->paused = true;
		return 0;
	}
	if (argc == 2 && strcmp(word[0], "unpause") == 0) {
		d->paused = false;
		ports_unpaused(id);
		return 0;
	}
	if (argc == 2 && strcmp(word[0], "restore") == 0) {
		ports_restored(id);
		return 0;
	}
	if (argc == 3 && strcmp(word[0], "limit") == 0) {
		d->limit = (uint32_t)strtoul(word[2], NULL, 10);
		return 0;
	}
	if (argc > 3 || strcmp(word[0], "count") != 0)
		return -EINVAL;
	count(id, d, argc == 3 ? word[2] : NULL, out);
	return 0;
}

/* Words with a NUL behind each. */
int control_run(char *command, size_t bytes, char *text, size_t size)
{
	char *word[WORDS_MAX];
	int argc = 0, rc = -EINVAL;
	FILE *out;

	text[0] = '\0';
	if (bytes == 0 || command[bytes - 1])
		return -EINVAL;
	for (size_t at = 0; at < bytes && argc < WORDS_MAX; at += strlen(command + at) + 1)
		word[argc++] = command + at;
	out = fmemopen(text, size, "w");
	if (!out)
		return -ENOMEM;
	if (argc)
		rc = run(argc, word, out);
	fclose(out);
	text[size - 1] = '\0';
	return rc;
}
