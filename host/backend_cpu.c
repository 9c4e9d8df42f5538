// SPDX-License-Identifier: GPL-2.0-or-later
/* The reference: every operation on the host's processor. Needs no GPU and keeps no state. */
#include "backend.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "../protocol/vgpu_commands.h"

/* "model name : Intel(R) Xeon(R) ..." of the first processor. */
static void find_name(char *out, size_t len)
{
	char line[256], *value;
	FILE *f = fopen("/proc/cpuinfo", "re");

	snprintf(out, len, "CPU reference");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		value = strchr(line, ':');
		if (strncmp(line, "model name", 10) == 0 && value) {
			value += 1 + strspn(value + 1, " ");
			value[strcspn(value, "\n")] = '\0';
			snprintf(out, len, "%s", value);
			break;
		}
	}
	fclose(f);
}

static int cpu_memory(struct backend *b, uint64_t *total, uint64_t *free_bytes)
{
	struct sysinfo s;

	(void)b;
	if (sysinfo(&s) < 0) {
		*total = *free_bytes = 0;
		return 0;
	}
	*total = (uint64_t)s.totalram * s.mem_unit;
	*free_bytes = (uint64_t)s.freeram * s.mem_unit;
	return 0;
}

static int cpu_open(struct backend **out, int device, struct backend_info *info, char *why,
		    size_t why_len)
{
	uint64_t unused;

	(void)device;
	(void)why;
	(void)why_len;
	memset(info, 0, sizeof(*info));
	info->kind = VGPU_BACKEND_CPU;
	find_name(info->device, sizeof(info->device));
	cpu_memory(NULL, &info->memory_total, &unused);
	*out = NULL;
	return 0;
}

static void cpu_close(struct backend *b)
{
	(void)b;
}

static int cpu_window(struct backend *b, void *base, size_t bytes)
{
	(void)b;
	(void)base;
	(void)bytes;
	return 0;
}

static int cpu_vector_add(struct backend *b, const float *a, const float *bb, float *c, size_t n)
{
	(void)b;
	/* c may be a or b, so no restrict; elements are independent all the same. */
#pragma GCC ivdep
	for (size_t i = 0; i < n; i++)
		c[i] = a[i] + bb[i];
	return 0;
}

const struct backend_ops backend_cpu = {
	.abi = BACKEND_ABI,
	.name = "cpu",
	.open = cpu_open,
	.close = cpu_close,
	.memory = cpu_memory,
	.window = cpu_window,
	.vector_add = cpu_vector_add,
};
