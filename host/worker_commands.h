/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a request does. Knows nothing of rings and transports: it gets a request that was copied
 * into private memory, and the window.
 */
#ifndef HOST_WORKER_COMMANDS_H
#define HOST_WORKER_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "../protocol/vgpu_channel.h"
#include "../protocol/vgpu_commands.h"
#include "backend.h"
#include "mediator_throttle.h"
#include "worker_gpu.h"

/* Pass on the guest's text, at once or not at all. 0 or a negative VGPU_E*. */
typedef int commands_message_fn(void *opaque, const char *text, uint32_t length);

/* One channel, as its commands see it. The caller fills it before commands_init(). */
struct commands {
	const struct backend_ops *ops;
	struct backend *backend;
	const struct backend_info *info;
	uint8_t *window; /* the guest can write it at any time */
	uint64_t window_bytes;
	bool copies_wait; /* of the window, in the backend: it cannot be registered */
	uint32_t channel;
	uint32_t status_flags; /* VGPU_STATUS_* */
	uint32_t deadline_ms;
	uint32_t message_rate;
	char vm[64];
	commands_message_fn *message;
	void *message_opaque;

	/* From here on its own. */
	uint64_t requests;
	uint64_t errors;
	uint64_t started_us;
	int32_t sticky;    /* failure of a request that had no response */
	int32_t lost;      /* the backend failed so and will not recover; no more requests run */
	bool backend_lost; /* a response has told the guest that: end the worker */
	struct throttle messages;
	struct gpu gpu;
};

void commands_init(struct commands *c);

/* Free all that the channel had. A worker that ends does not need to. */
void commands_dispose(struct commands *c);

/*
 * Execute @req. Returns whether @rsp, complete, is to be sent now: else there is none, or
 * commands_poll() brings it. Does not log and does not block beyond what the backend does.
 */
bool commands_run(struct commands *c, const struct vgpu_request *req, struct vgpu_response *rsp);

/* Requests whose response comes when the GPU has finished something. */
static inline uint32_t commands_pending(const struct commands *c)
{
	return c->gpu.pending.count;
}

/* Look at one of those. Returns whether @rsp, complete, is to be sent. */
bool commands_poll(struct commands *c, struct vgpu_response *rsp);

/*
 * Look after work that nobody waits for. @idle: no request is there. Returns 0, or VGPU_EDEADLINE:
 * the GPU has got nowhere for that long.
 */
int commands_tend(struct commands *c, uint64_t now_us, bool idle);

#endif
