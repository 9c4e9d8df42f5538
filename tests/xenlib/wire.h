/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between the stand-in libraries (lib_*.c) and xenlibd: one SOCK_SEQPACKET connection a handle,
 * which is to xenlibd what an open file is to Xen's drivers. A request, then its reply; the
 * first request says who asks. XenStore is not spoken here: it has its own sockets and protocol
 * (xen/io/xs_wire.h).
 */
#ifndef TESTS_XENLIB_WIRE_H
#define TESTS_XENLIB_WIRE_H

#include <stdint.h>

#define WIRE_REFS_MAX 2048u /* pages of one request */
#define WIRE_TEXT_MAX 65536u
#define WIRE_FDS_MAX 8u /* domains of one mapping */
#define WIRE_NONE UINT32_MAX
#define WIRE_PAGE 4096u

enum wire_op {
	WIRE_HELLO, /* domid; a: enum wire_kind. Reply of an evtchn: the reading end of its pipe */

	WIRE_EVTCHN_ALLOC,    /* a: remote domain. Returns the port, as bind does */
	WIRE_EVTCHN_BIND,     /* a: remote domain, b: its port */
	WIRE_EVTCHN_UNBIND,   /* a: port */
	WIRE_EVTCHN_NOTIFY,   /* a: port */
	WIRE_EVTCHN_UNMASK,   /* a: port */
	WIRE_EVTCHN_RESTRICT, /* a: domain */

	/* count; a: domain that may map; b: writable; va, notify. Reply: refs, a descriptor */
	WIRE_SHARE,
	/* count; b: writable; va, notify; refs, then their domains. Reply: one descriptor for each
	   domain, in the order in which they appear */
	WIRE_MAP,
	WIRE_UNMAP,  /* va, count: exactly a mapping of before, shared or mapped */
	WIRE_MAPPED, /* how many mappings are alive */

	WIRE_CONTROL, /* text: a command, see control.c. Reply: text */
};

enum wire_kind {
	WIRE_KIND_CONTROL,
	WIRE_KIND_EVTCHN,
	WIRE_KIND_GNTTAB, /* maps */
	WIRE_KIND_GNTSHR, /* shares */
};

struct wire_request {
	uint32_t op;
	uint32_t domid;
	uint32_t a, b;
	uint64_t va; /* where the caller has, or will have, the pages */
	uint32_t count;
	uint32_t notify_offset; /* byte of the page that is cleared when it goes, or WIRE_NONE */
	uint32_t notify_port;   /* port that is signalled then, or WIRE_NONE */
	uint32_t reserved;
	union {
		uint32_t refs[2 * WIRE_REFS_MAX];
		char text[2 * sizeof(uint32_t) * WIRE_REFS_MAX];
	};
};
#define WIRE_REQUEST_BYTES(extra) (offsetof(struct wire_request, refs) + (extra))

struct wire_reply {
	int32_t rc; /* a negative errno, or what the request returns */
	uint32_t count;
	union {
		uint32_t refs[WIRE_REFS_MAX];
		char text[WIRE_TEXT_MAX];
	};
};
#define WIRE_REPLY_BYTES(extra) (offsetof(struct wire_reply, refs) + (extra))

#endif
