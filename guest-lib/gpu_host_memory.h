/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of the program's that the host can reach: parts of the window, and ranges of its own over
 * which pages of the window are mapped a second time. The handle's lock guards it.
 */
#ifndef GUEST_GPU_HOST_MEMORY_H
#define GUEST_GPU_HOST_MEMORY_H

#include <stdint.h>

struct vgpu;
struct host_range;

struct host_ranges {
	struct host_range **ranges; /* by address; no two overlap */
	uint32_t count, room;
};

enum host_place {
	HOST_ORDINARY,
	HOST_WINDOW, /* all of it the host can reach */
	HOST_ACROSS, /* some of it, or parts that do not follow each other there */
};

/* Where @bytes from @ptr on are; of HOST_WINDOW, *@offset is the first one's in the window. */
enum host_place host_place(const struct vgpu *vgpu, const void *ptr, uint64_t bytes,
			   uint64_t *offset);

/* Give the program its own memory back, with what is in it, while the window is still there. */
void host_ranges_dispose(struct vgpu *vgpu);

#endif
