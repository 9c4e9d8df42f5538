/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A channel's two rings, as vgpu_channel.h lays them out: which line of the index page
 * belongs to which. @index is that page, @slots where the ring's slots start.
 */
#ifndef COMMON_RINGS_H
#define COMMON_RINGS_H

#include "../protocol/vgpu_channel.h"
#include "spsc.h"

static inline struct spsc_shape rings_requests(void *index, void *slots, uint32_t entries)
{
	uint8_t *at = index;

	_Static_assert(offsetof(struct vgpu_request, seq) == 0, "where spsc.h has it");
	return (struct spsc_shape){
		.cons = (uint32_t *)(void *)(at + VGPU_INDEX_REQ_CONS),
		.event = (uint32_t *)(void *)(at + VGPU_INDEX_REQ_EVENT),
		.slots = slots,
		.slot_bytes = sizeof(struct vgpu_request),
		.entries = entries,
	};
}

static inline struct spsc_shape rings_responses(void *index, void *slots, uint32_t entries)
{
	uint8_t *at = index;

	_Static_assert(offsetof(struct vgpu_response, seq) == 0, "where spsc.h has it");
	return (struct spsc_shape){
		.cons = (uint32_t *)(void *)(at + VGPU_INDEX_RSP_CONS),
		.event = (uint32_t *)(void *)(at + VGPU_INDEX_RSP_EVENT),
		.slots = slots,
		.slot_bytes = sizeof(struct vgpu_response),
		.entries = entries,
	};
}

#endif
