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
 * Check @copy, a private copy of the header of a channel that owns @length bytes on a transport
 * without grants. Does not log.
 * Returns 0 and fills @out; VGPU_EVERSION; or VGPU_EPROTO for anything else that is wrong.
 * On failure *@why says what, valid until this thread's next call.
 */
int channel_header_check(const struct vgpu_channel_header *copy, uint64_t length,
			 struct channel_geometry *out, const char **why);

#endif
