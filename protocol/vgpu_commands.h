/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands that a request can carry, their arguments and results.
 * Numbers are never reused. 0 is no command.
 */
#ifndef VGPU_COMMANDS_H
#define VGPU_COMMANDS_H

#include <stddef.h>
#include <stdint.h>

#include "vgpu_channel.h"

#define VGPU_CMD_NOP 1          /* nothing; answers 0 */
#define VGPU_CMD_VECTOR_ADD 2   /* args: vgpu_vector_add_args; data: vgpu_vector_add_reply */
#define VGPU_CMD_QUERY_STATUS 3 /* window: struct vgpu_status_reply, data_len its room */
#define VGPU_CMD_MESSAGE 4      /* window: text, data_len bytes, 1..VGPU_MESSAGE_MAX */

/*
 * VECTOR_ADD: c[i] = a[i] + b[i], float32.
 * With VGPU_VECTOR_ADD_SELF_TEST all other arguments are 0; the host makes
 * VGPU_SELF_TEST_ELEMENTS elements itself and compares the backend's result.
 */
#define VGPU_VECTOR_ADD_SELF_TEST (1u << 0)
#define VGPU_SELF_TEST_ELEMENTS 1024u

struct vgpu_vector_add_args {
	uint64_t a; /* window offsets of n floats each, multiples of 4; */
	uint64_t b; /* c may be a or b, but not overlap one of them partly */
	uint64_t c;
	uint32_t n;     /* elements, at least 1 */
	uint32_t flags; /* VGPU_VECTOR_ADD_* */
};
_Static_assert(sizeof(struct vgpu_vector_add_args) == 32, "wire size");

#define VGPU_BACKEND_CPU 1u
#define VGPU_BACKEND_CUDA 2u

/* In the response's data. */
struct vgpu_vector_add_reply {
	uint32_t elements; /* added */
	uint32_t errors;   /* self-test: elements that were wrong */
	uint32_t backend;  /* VGPU_BACKEND_* that made the result */
	uint32_t reserved; /* 0 */
	char device[32];   /* its name, NUL-terminated, cut to fit: "NVIDIA H200" */
};
_Static_assert(sizeof(struct vgpu_vector_add_reply) == 48, "wire size");

/*
 * QUERY_STATUS writes this into the window, cut to data_len; the response's
 * data_len says how much was written. Later minor versions append.
 */
struct vgpu_status_reply {
	uint32_t protocol_version;
	uint32_t backend;   /* VGPU_BACKEND_* */
	uint32_t flags;     /* VGPU_STATUS_* */
	uint32_t channel;   /* number of this channel in its VM */
	uint64_t requests;  /* taken on this channel, this one included */
	uint64_t errors;    /* of them answered with an error */
	uint64_t uptime_ms; /* of this channel */
	uint64_t window_bytes;
	uint64_t memory_total; /* of the device, bytes */
	uint64_t memory_free;
	uint32_t compute_major; /* 0.0 on the cpu backend */
	uint32_t compute_minor;
	uint32_t driver_version; /* CUDA's numbers: 13000 is 13.0; 0 on the cpu backend */
	uint32_t runtime_version;
	uint32_t deadline_ms; /* per command; 0 none */
	uint32_t reserved;    /* 0 */
	char device[96];      /* NUL-terminated UTF-8, all of these */
	char mediator[32];    /* release of the mediator */
	char vm[64];          /* name under which the mediator knows this VM */
};
#define VGPU_STATUS_FALLBACK (1u << 0) /* backend = auto found no GPU: the cpu does the work */

_Static_assert(offsetof(struct vgpu_status_reply, requests) == 16, "wire offset");
_Static_assert(offsetof(struct vgpu_status_reply, device) == 88, "wire offset");
_Static_assert(sizeof(struct vgpu_status_reply) == 280, "wire size");

#define VGPU_MESSAGE_MAX 480u /* bytes of UTF-8, no NUL needed */

#endif
