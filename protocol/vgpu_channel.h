/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A channel's shared memory: header page, index page, two rings, window.
 *
 *   +-------------------+ 0
 *   | header            | written by the guest before the channel is opened;
 *   |                   | the mediator copies it once and never reads it again
 *   +-------------------+ index_offset (a page of its own)
 *   | indices           | one 128-byte line each, see VGPU_INDEX_*
 *   +-------------------+ req_offset
 *   | request slots     | req_entries x 128 bytes
 *   +-------------------+ rsp_offset
 *   | response slots    | rsp_entries x 64 bytes
 *   +-------------------+ window_offset
 *   | window            | bulk data; data_ptr counts from here
 *   +-------------------+ total_bytes
 *
 * All parts are page-aligned, inside total_bytes and do not overlap. All
 * numbers are little-endian.
 *
 * The n-th slot of a ring, counted from 0 and modulo 2^32, lies in place
 * n & (entries - 1) and carries the number n + 1 in its first word, SEQ. The guest
 * zeroes both rings before it asks for service. A slot is there when its place
 * shows its number: no index tells, so whoever waits for one waits for no other
 * line of memory. What is told by index, free-running modulo 2^32, in a word that
 * one side writes:
 *
 *   REQ_CONS  host   requests taken          RSP_CONS  guest  responses taken
 *   REQ_EVENT host   "signal me behind the slot of this number"
 *   RSP_EVENT guest  "signal me behind the slot of this number"
 *
 * Producing: fill the slot; store-release its first 8 bytes, SEQ among them; full
 * fence; load the peer's EVENT; signal if it is this slot's number.
 * Consuming: load-acquire SEQ; if it is the next slot's, copy; store-release CONS.
 * Sleeping: store EVENT = CONS + 1; full fence; load the next slot's SEQ; sleep only
 * if it is not there. A side that polls leaves its EVENT behind and is not signalled.
 * tests/model checks this against lost wake-ups.
 *
 * The guest keeps at most rsp_entries requests that want a response under way: sent,
 * and the response not taken. So the host always finds room for a response.
 *
 * CONS beyond what was produced, a response to no request, or one that finds no
 * room ends the channel: the side that notices writes the reason into its CLOSED word.
 */
#ifndef VGPU_CHANNEL_H
#define VGPU_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define _Static_assert static_assert /* C++ programs include the library's header, and so this */
#endif

#define VGPU_CHANNEL_MAGIC 0x4e41484355504756ull /* "VGPUCHAN", little-endian */
#define VGPU_PAGE_BYTES 4096u

#define VGPU_RING_ENTRIES_MIN 2u
#define VGPU_RING_ENTRIES_MAX 4096u

#define VGPU_GRANTS_MAX 992u

struct vgpu_channel_header {
	uint64_t magic;       /* VGPU_CHANNEL_MAGIC */
	uint32_t version;     /* VGPU_PROTOCOL_VERSION */
	uint32_t flags;       /* 0 */
	uint64_t total_bytes; /* all of the channel, a multiple of the page size */
	uint32_t index_offset;
	uint32_t req_offset;
	uint32_t req_entries; /* a power of two */
	uint32_t rsp_offset;
	uint32_t rsp_entries; /* a power of two, at least req_entries */
	uint32_t window_offset;
	uint64_t window_bytes;
	uint32_t grant_count;             /* Xen: references in grants[]; 0 on other transports */
	uint32_t presence_ref;            /* Xen: of the presence page; 0 on other transports */
	uint32_t reserved[16];            /* 0 */
	uint32_t grants[VGPU_GRANTS_MAX]; /* Xen: of pages 1 to grant_count, in order, all
					     different; the rest, and on other transports all, 0 */
};
_Static_assert(offsetof(struct vgpu_channel_header, window_bytes) == 48, "wire offset");
_Static_assert(offsetof(struct vgpu_channel_header, grants) == 128, "wire offset");
_Static_assert(sizeof(struct vgpu_channel_header) == VGPU_PAGE_BYTES, "one page");

/*
 * Xen: the presence page is no part of the channel's memory. Each side keeps its own byte at 1 as
 * long as it has the channel mapped; its kernel clears the byte and signals the channel's event
 * channel when the mapping goes, also when the process was killed (UNMAP_NOTIFY of gntalloc and
 * gntdev). Writing it any other value means the same as the end of the process.
 */
#define VGPU_PRESENCE_GUEST 0u /* byte of the guest's */
#define VGPU_PRESENCE_HOST 1u

/* Offsets in the index page. Lines are pairs of cache lines: prefetchers fetch pairs. */
#define VGPU_INDEX_REQ_CONS 0x000
#define VGPU_INDEX_RSP_CONS 0x080
#define VGPU_INDEX_REQ_EVENT 0x100
#define VGPU_INDEX_RSP_EVENT 0x180
#define VGPU_INDEX_HOST_CLOSED                                                                     \
	0x200 /* int32: 0, or why the host gave up: VGPU_E*; or CUDA's sticky error, positive */
#define VGPU_INDEX_GUEST_CLOSED 0x280 /* the same of the guest */

/*
 * Request. Requests of a channel run in order.
 *
 *    0     4     6       8    12         16         24          128
 *   +-----+-----+-------+----+----------+----------+-----------+
 *   | seq | cmd | flags | id | data_len | data_ptr | args[104] |
 *   +-----+-----+-------+----+----------+----------+-----------+
 *
 * data_ptr and data_len name bytes of the window, and are 0 where a command uses
 * none. Bytes of args that a command does not define are 0.
 */
struct vgpu_request {
	uint32_t seq;      /* of the slot, see above */
	uint16_t cmd;      /* VGPU_CMD_* */
	uint16_t flags;    /* VGPU_REQ_* */
	uint32_t id;       /* the guest's, repeated in the response */
	uint32_t data_len; /* bytes */
	uint64_t data_ptr; /* bytes from the start of the window */
	uint8_t args[104];
};
_Static_assert(sizeof(struct vgpu_request) == 128, "wire size");
_Static_assert(offsetof(struct vgpu_request, args) == 24, "wire offset");

/*
 * No response is sent. A failure is kept and answers the next request that has
 * a response, in place of that request's own success.
 */
#define VGPU_REQ_NO_RESPONSE (1u << 0)
#define VGPU_REQ_FLAGS_ALL VGPU_REQ_NO_RESPONSE

/*
 * Response.
 *
 *    0     4    8        12         16         64
 *   +-----+----+--------+----------+----------+
 *   | seq | id | status | data_len | data[48] |
 *   +-----+----+--------+----------+----------+
 */
struct vgpu_response {
	uint32_t seq; /* of the slot */
	uint32_t id;
	int32_t status;    /* 0, negative VGPU_E*, or a positive CUDA error number */
	uint32_t data_len; /* bytes written at the request's data_ptr */
	uint8_t data[48];
};
_Static_assert(sizeof(struct vgpu_response) == 64, "wire size");

#endif
