/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a channel's first page says, once it is known to be sound. */
#ifndef HOST_WORKER_CHANNEL_H
#define HOST_WORKER_CHANNEL_H

#include <stdint.h>

#include "../protocol/vgpu_channel.h"

struct channel_geometry {
	uint64_t total_bytes;
	uint32_t index_offset;
	uint32_t req_offset;
	uint32_t req_entries;
	uint32_t rsp_offset;
	uint32_t rsp_entries;
	uint32_t window_offset;
	uint64_t window_bytes;
};

/*
 * On Xen: check the grant references in @copy, a private copy of a header page that was granted
 * as @ring_ref, of a channel that may have @max_bytes. Does not log. Returns 0 and the presence
 * page's reference; VGPU_EVERSION, VGPU_EQUOTA or VGPU_EPROTO, and @why as below.
 */
int channel_grants_take(const struct vgpu_channel_header *copy, uint32_t ring_ref,
			uint64_t max_bytes, uint32_t *presence_ref, const char **why);

/* They have been used: make @copy the header of a channel without grants. */
void channel_grants_clear(struct vgpu_channel_header *copy);

/*
 * Check @copy, a private copy of the header of a channel that owns @length bytes on a transport
 * without grants. Does not log.
 * Returns 0 and fills @out; VGPU_EVERSION; or VGPU_EPROTO for anything else that is wrong.
 * On failure *@why says what, valid until this thread's next call.
 */
int channel_header_check(const struct vgpu_channel_header *copy, uint64_t length,
			 struct channel_geometry *out, const char **why);

#endif
