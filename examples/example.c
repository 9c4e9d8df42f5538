// SPDX-License-Identifier: LGPL-2.1-or-later
#include "example.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void example_ok(struct vgpu *vgpu, int rc, const char *call)
{
	if (rc == 0)
		return;
	fprintf(stderr, "%s: %s (%s)\n", call, vgpu_strerror(rc), vgpu_last_error(vgpu));
	exit(1);
}

struct vgpu *example_open(void)
{
	struct vgpu_gpu_properties p;
	struct vgpu *vgpu;

	OK(NULL, vgpu_open(&vgpu, NULL));
	OK(vgpu, vgpu_get_gpu_properties(vgpu, 0, &p));
	printf("GPU: %s%s\n", p.name,
	       p.backend == VGPU_BACKEND_CPU ? " (a processor: there is no GPU)" : "");
	return vgpu;
}

/* The file @module.fatbin in this program's folder. */
static void image_path(char *path, size_t room, const char *module)
{
	char self[1024];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	snprintf(path, room, "%s/%s.fatbin", dirname(self), module);
}

vgpu_kernel example_kernel(struct vgpu *vgpu, const char *module, const char *name)
{
	char path[1200];
	vgpu_module m;
	vgpu_kernel k;

	image_path(path, sizeof(path), module);
	if (access(path, R_OK) == 0)
		OK(vgpu, vgpu_module_load_file(vgpu, &m, path));
	else
		OK(vgpu, vgpu_module_load(vgpu, &m, "no image", strlen("no image")));
	OK(vgpu, vgpu_module_get_kernel(vgpu, m, name, &k));
	return k;
}

uint32_t example_number(int argc, char **argv, int i, uint32_t otherwise)
{
	uint32_t n = i < argc ? (uint32_t)strtoul(argv[i], NULL, 0) : otherwise;

	if (n > 0)
		return n;
	fprintf(stderr, "%s: \"%s\" is no number from 1\n", argv[0], argv[i]);
	exit(2);
}

void example_random(float *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = (float)(rand() % 17 - 8);
}

void *example_alloc(size_t bytes)
{
	void *p = malloc(bytes);

	if (p)
		return p;
	fprintf(stderr, "out of memory for %zu bytes\n", bytes);
	exit(1);
}
