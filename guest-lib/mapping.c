/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mapping.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gpu.h"
#include "../common/errors.h"

uint64_t mapping_page(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

int mapping_replace(const struct mapping *m, void *fresh)
{
	void *p = mremap(fresh, m->bytes, m->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, m->base);

	return p == MAP_FAILED ? -errno : 0;
}

/* A line of /proc/self/maps. */
struct area {
	uint64_t start, end;
	char access[5]; /* "rw-p" */
	const char *name;
};

static bool parse(struct area *a, char *line)
{
	int name = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %*s %n", &a->start, &a->end,
		   a->access, &name) != 3)
		return false;
	a->name = line + name;
	return true;
}

static int ordinary(const struct area *a, struct cause *why)
{
	/* Not [stack], which the kernel lets grow only as long as it is one. */
	bool named = *a->name && strcmp(a->name, "[heap]") && strncmp(a->name, "[anon:", 6);

	if (named || a->access[3] != 'p')
		return because(why, GPU_ERROR_INVALID_VALUE,
			       "%#" PRIx64 " is memory of %s: it has to be private, and no file's",
			       a->start, *a->name ? a->name : "others, too");
	if (strncmp(a->access, "rw-", 3))
		return because(why, GPU_ERROR_INVALID_VALUE,
			       "%#" PRIx64 " is memory for %.3s, and not for reading and writing",
			       a->start, a->access);
	return 0;
}

int mapping_is_ordinary(const struct mapping *m, FILE *maps, struct cause *why)
{
	uint64_t at = (uintptr_t)m->base, end = at + m->bytes;
	char *line = NULL;
	size_t room = 0;
	struct area a;
	int rc = 0;

	while (rc == 0 && at < end && getline(&line, &room, maps) > 0) {
		if (!parse(&a, line) || a.end <= at)
			continue;
		if (a.start > at)
			break;
		rc = ordinary(&a, why);
		at = a.end;
	}
	free(line);
	if (rc == 0 && at < end)
		return because(why, GPU_ERROR_INVALID_VALUE, "%#" PRIx64 " is no memory", at);
	return rc;
}

int mapping_may_be_replaced(const struct mapping *m, struct cause *why)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int rc;

	if (!maps)
		return because(why, VGPU_EIO, "open /proc/self/maps: %m");
	rc = mapping_is_ordinary(m, maps, why);
	fclose(maps);
	/* What this does to anonymous memory is to tell that it is locked. */
	if (rc == 0 && msync(m->base, m->bytes, MS_INVALIDATE) < 0)
		rc = because(why, GPU_ERROR_INVALID_VALUE,
			     errno == EBUSY ? "it is locked in memory: munlock() it first" : "%m");
	return rc;
}
