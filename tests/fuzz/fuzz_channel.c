// SPDX-License-Identifier: GPL-2.0-or-later
/* The first page of a channel: what passes channel_header_check() is safe to map and use. */
#include "fuzz.h"

#include "../../host/worker_channel.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_version.h"

static void valid_header(struct vgpu_channel_header *h, uint64_t length)
{
	*h = (struct vgpu_channel_header){
		.magic = VGPU_CHANNEL_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.total_bytes = length,
		.index_offset = 0x1000,
		.req_offset = 0x2000,
		.req_entries = 64,
		.rsp_offset = 0x4000,
		.rsp_entries = 64,
		.window_offset = 0x5000,
		.window_bytes = length > 0x5000 ? length - 0x5000 : 0,
	};
}

/* Bend one field of a valid header. */
static void bend(struct vgpu_channel_header *h, struct input *in, uint64_t length)
{
	uint8_t field = input_u8(in);
	uint64_t v = input_near(in, length);
	uint8_t at;

	switch (field % 13) {
	case 0:
		h->magic = v;
		break;
	case 1:
		h->version = (uint32_t)v;
		break;
	case 2:
		h->flags = (uint32_t)v;
		break;
	case 3:
		h->total_bytes = v;
		break;
	case 4:
		h->index_offset = (uint32_t)v;
		break;
	case 5:
		h->req_offset = (uint32_t)v;
		break;
	case 6:
		h->req_entries = 1u << (v % 32);
		break;
	case 7:
		h->rsp_offset = (uint32_t)v;
		break;
	case 8:
		h->rsp_entries = (uint32_t)v;
		break;
	case 9:
		h->window_offset = (uint32_t)v;
		break;
	case 10:
		h->window_bytes = v;
		break;
	case 11:
		h->grant_count = (uint32_t)v;
		break;
	default:
		/* a byte anywhere, the reserved ones and the grants among them */
		at = input_u8(in);
		((uint8_t *)h)[(at * 16 + v % 16) % sizeof(*h)] ^= (uint8_t)(v | 1);
	}
}

static void check_accepted(const struct channel_geometry *g, uint64_t length)
{
	const struct {
		unsigned __int128 start, end;
	} parts[] = {
		{ 0, VGPU_PAGE_BYTES },
		{ g->index_offset, (unsigned __int128)g->index_offset + VGPU_PAGE_BYTES },
		{ g->req_offset, (unsigned __int128)g->req_offset + g->req_entries * 128ull },
		{ g->rsp_offset, (unsigned __int128)g->rsp_offset + g->rsp_entries * 64ull },
		{ g->window_offset, (unsigned __int128)g->window_offset + g->window_bytes },
	};

	MUST(g->total_bytes <= length);
	MUST(g->req_entries >= 2 && g->req_entries <= 4096);
	MUST(g->rsp_entries >= g->req_entries && g->rsp_entries <= 4096);
	MUST(__builtin_popcount(g->req_entries) == 1 && __builtin_popcount(g->rsp_entries) == 1);
	for (size_t i = 0; i < 5; i++) {
		MUST(parts[i].start % VGPU_PAGE_BYTES == 0);
		MUST(parts[i].end <= g->total_bytes);
		for (size_t j = 0; j < i; j++)
			MUST(parts[i].start == parts[i].end || parts[i].start >= parts[j].end ||
			     parts[j].start >= parts[i].end);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct channel_geometry geometry;
	struct vgpu_channel_header header;
	const char *why = NULL;
	uint8_t mode = input_u8(&in);
	uint64_t length = (uint64_t)(mode >> 1) * 4 * VGPU_PAGE_BYTES;
	int rc;

	if (mode & 1) {
		input_bytes(&in, &header, sizeof(header));
	} else {
		valid_header(&header, length);
		while (in.left)
			bend(&header, &in, length);
	}
	rc = channel_header_check(&header, length, &geometry, &why);
	if (rc == 0) {
		MUST(header.magic == VGPU_CHANNEL_MAGIC && header.flags == 0);
		MUST(VGPU_VERSION_MAJOR(header.version) == VGPU_PROTOCOL_MAJOR);
		check_accepted(&geometry, length);
	} else {
		MUST(rc == VGPU_EPROTO || rc == VGPU_EVERSION);
		MUST(why && *why);
	}
	return 0;
}
