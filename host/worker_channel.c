// SPDX-License-Identifier: GPL-2.0-or-later
#include "worker_channel.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/checked.h"
#include "../common/errors.h"
#include "../protocol/vgpu_version.h"

struct part {
	const char *name;
	uint64_t offset;
	uint64_t bytes;
};

#define PARTS 5

static _Thread_local char text[160];

static int bad(const char **why, const char *what)
{
	*why = what;
	return VGPU_EPROTO;
}

static bool all_zero(const uint32_t *words, size_t n)
{
	uint32_t any = 0;

	while (n--)
		any |= *words++;
	return any == 0;
}

static int check_version(const struct vgpu_channel_header *h, const char **why)
{
	if (h->magic != VGPU_CHANNEL_MAGIC)
		return bad(why, "no channel header: wrong magic");
	if (VGPU_VERSION_MAJOR(h->version) != VGPU_PROTOCOL_MAJOR) {
		snprintf(text, sizeof(text), "the guest speaks protocol %u.%u, this mediator %u.%u",
			 VGPU_VERSION_MAJOR(h->version), VGPU_VERSION_MINOR(h->version),
			 VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR);
		*why = text;
		return VGPU_EVERSION;
	}
	return 0;
}

static int check_identity(const struct vgpu_channel_header *h, const char **why)
{
	int rc = check_version(h, why);

	if (rc < 0)
		return rc;
	if (h->flags)
		return bad(why, "header flags are not 0");
	if (h->grant_count || h->presence_ref ||
	    !all_zero(h->grants, sizeof(h->grants) / sizeof(h->grants[0])))
		return bad(why, "grant references on a transport that has none");
	if (!all_zero(h->reserved, sizeof(h->reserved) / sizeof(h->reserved[0])))
		return bad(why, "reserved header bytes are not 0");
	return 0;
}

static int check_entries(const struct vgpu_channel_header *h, const char **why)
{
	if (!checked_power_of_two(h->req_entries) || h->req_entries < VGPU_RING_ENTRIES_MIN ||
	    h->req_entries > VGPU_RING_ENTRIES_MAX)
		return bad(why, "request ring size is no power of two from 2 to 4096");
	if (!checked_power_of_two(h->rsp_entries) || h->rsp_entries < VGPU_RING_ENTRIES_MIN ||
	    h->rsp_entries > VGPU_RING_ENTRIES_MAX)
		return bad(why, "response ring size is no power of two from 2 to 4096");
	if (h->rsp_entries < h->req_entries)
		return bad(why, "response ring is smaller than request ring");
	return 0;
}

/* Each part aligned, inside the channel, and apart from all others. */
static int check_parts(const struct part *parts, uint64_t total, const char **why)
{
	for (size_t i = 0; i < PARTS; i++) {
		const struct part *p = &parts[i];

		if (!checked_aligned(p->offset, VGPU_PAGE_BYTES)) {
			snprintf(text, sizeof(text), "%s is not page-aligned", p->name);
			return bad(why, text);
		}
		if (!checked_range(p->offset, p->bytes, total)) {
			snprintf(text, sizeof(text), "%s reaches beyond the channel", p->name);
			return bad(why, text);
		}
		for (size_t j = 0; j < i; j++) {
			const struct part *q = &parts[j];

			if (p->bytes && checked_overlap(p->offset, p->bytes, q->offset, q->bytes)) {
				snprintf(text, sizeof(text), "%s overlaps %s", p->name, q->name);
				return bad(why, text);
			}
		}
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* A page under two references would be one page in two places: a bug of the guest's at best. */
static int check_references(const struct vgpu_channel_header *h, uint32_t ring_ref,
			    const char **why)
{
	uint32_t all[VGPU_GRANTS_MAX + 2];
	size_t n = h->grant_count;

	memcpy(all, h->grants, n * sizeof(all[0]));
	all[n++] = h->presence_ref;
	all[n++] = ring_ref;
	qsort(all, n, sizeof(all[0]), by_number);
	if (all[0] == 0)
		return bad(why, "a grant reference is 0");
	for (size_t i = 1; i < n; i++)
		if (all[i] == all[i - 1])
			return bad(why, "a grant reference stands twice in the header");
	return 0;
}

int channel_grants_take(const struct vgpu_channel_header *copy, uint32_t ring_ref,
			uint64_t max_bytes, uint32_t *presence_ref, const char **why)
{
	const struct vgpu_channel_header *h = copy;
	int rc = check_version(h, why);

	if (rc < 0)
		return rc;
	if (!h->grant_count || h->grant_count > VGPU_GRANTS_MAX)
		return bad(why, "number of grant references is not 1 to 992");
	if (!all_zero(h->grants + h->grant_count, VGPU_GRANTS_MAX - h->grant_count))
		return bad(why, "grant references behind the last one");
	if ((uint64_t)(1 + h->grant_count) * VGPU_PAGE_BYTES > max_bytes) {
		*why = "more pages than XenStore said";
		return VGPU_EQUOTA;
	}
	rc = check_references(h, ring_ref, why);
	if (rc == 0)
		*presence_ref = h->presence_ref;
	return rc;
}

void channel_grants_clear(struct vgpu_channel_header *copy)
{
	copy->grant_count = 0;
	copy->presence_ref = 0;
	memset(copy->grants, 0, sizeof(copy->grants));
}

int channel_header_check(const struct vgpu_channel_header *copy, uint64_t length,
			 struct channel_geometry *out, const char **why)
{
	const struct vgpu_channel_header *h = copy;
	int rc;

	rc = check_identity(h, why);
	if (rc == 0)
		rc = check_entries(h, why);
	if (rc < 0)
		return rc;
	if (!checked_aligned(h->total_bytes, VGPU_PAGE_BYTES) || h->total_bytes > length)
		return bad(why, "total size is no multiple of a page, or more than there is");

	/* Only the window, which comes last, may be empty. */
	const struct part parts[PARTS] = {
		{ "header", 0, VGPU_PAGE_BYTES },
		{ "index page", h->index_offset, VGPU_PAGE_BYTES },
		{ "request ring", h->req_offset,
		  (uint64_t)h->req_entries * sizeof(struct vgpu_request) },
		{ "response ring", h->rsp_offset,
		  (uint64_t)h->rsp_entries * sizeof(struct vgpu_response) },
		{ "window", h->window_offset, h->window_bytes },
	};

	rc = check_parts(parts, h->total_bytes, why);
	if (rc < 0)
		return rc;
	*out = (struct channel_geometry){
		.total_bytes = h->total_bytes,
		.index_offset = h->index_offset,
		.req_offset = h->req_offset,
		.req_entries = h->req_entries,
		.rsp_offset = h->rsp_offset,
		.rsp_entries = h->rsp_entries,
		.window_offset = h->window_offset,
		.window_bytes = h->window_bytes,
	};
	return 0;
}
