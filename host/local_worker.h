/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker of one's own and a channel to it, with no supervisor and no library in between: what
 * the self-test and the tests of the worker need. One thread; does not log.
 */
#ifndef HOST_LOCAL_WORKER_H
#define HOST_LOCAL_WORKER_H

#include <stdint.h>
#include <sys/types.h>

#include "../common/spsc.h"
#include "../protocol/vgpu_channel.h"
#include "worker_control.h"

struct local_worker {
	pid_t pid;   /* 0: none */
	int control; /* -1: none */
	struct worker_ready ready;
};

/*
 * Start @program --worker and wait until it is warm. @user may be NULL. Returns 0, a VGPU_E* or
 * CUDA error number as the worker reports it, or a negative errno; then @why has the cause.
 */
int local_worker_start(struct local_worker *lw, const char *program, const char *backend,
		       const char *cuda_library, int device, const char *user, char *why,
		       size_t why_len);

/*
 * Next message of the worker, into a buffer of @bytes. Returns its length; 0, it hung up;
 * -ETIMEDOUT, or another negative errno.
 */
ssize_t local_worker_receive(struct local_worker *lw, void *message, size_t bytes, int timeout_ms);

/* Like receive, but passes over messages of other types. */
ssize_t local_worker_expect(struct local_worker *lw, uint32_t type, void *message, size_t bytes,
			    int timeout_ms);

/* Kill what is left of it and reap it; may be called twice. Returns the wait status, or -1. */
int local_worker_dispose(struct local_worker *lw);

/* The guest's end. */
struct local_channel {
	uint8_t *base; /* NULL: none */
	uint64_t length;
	int memfd;
	int to_host;
	int to_guest;
	uint8_t *index;
	uint8_t *window;
	struct spsc_producer req;
	struct spsc_consumer rsp;
	uint32_t next_id;
};

/* 0 or a negative errno; nothing is left on failure. */
int local_channel_init(struct local_channel *c, uint32_t entries, uint64_t window_bytes);
void local_channel_dispose(struct local_channel *c);

/*
 * Hand the channel to the worker and wait for ATTACHED. @assign's type, transport, offset and
 * length are filled in here. Returns 0, the worker's VGPU_E*, or a negative errno; @why as above.
 */
int local_worker_assign(struct local_worker *lw, const struct local_channel *c,
			struct worker_assign *assign, char *why, size_t why_len);

/*
 * Put one request on the ring, and wake the worker if it sleeps. Returns 1 if it did, 0; or what
 * spsc_produce() says of a ring that is full or broken.
 */
int local_channel_send(struct local_channel *c, const struct vgpu_request *req);

/*
 * One request and its response. Fills in the id. Returns 0, whatever the response's status;
 * -ETIMEDOUT; -ENOTCONN, the worker is gone; -EPROTO.
 */
int local_channel_call(struct local_channel *c, const struct local_worker *lw,
		       struct vgpu_request *req, struct vgpu_response *rsp, int timeout_ms);

#endif
