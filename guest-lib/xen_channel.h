/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A channel's nodes: taking a number, what the host answers, giving it back
 * (protocol/vgpu_xenstore.h). Many processes of a guest do so at once; transactions keep them
 * apart, and the random `id` tells one use of a number from the next.
 */
#ifndef GUEST_XEN_CHANNEL_H
#define GUEST_XEN_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "xen_device.h"

/* What the host is to know of a channel. */
struct xen_offer {
	uint32_t pages;
	uint32_t ring_ref;
	uint32_t port;
};

struct xen_channel {
	const struct xen_device *device;
	bool claimed;
	uint32_t number;
	char id[VGPU_XS_ID_CHARS + 1];
	char front[STORE_PATH_MAX];
	char back[STORE_PATH_MAX];
	char watched[STORE_PATH_MAX]; /* the host's state; empty: not watched */
};

/*
 * Take the first free number and write the nodes, in one transaction; then watch the host's.
 * Waits for one whose worker is
 * ending. VGPU_ENOCHANNEL: all are taken. After a failure the number may be claimed; release() it.
 */
int xen_channel_claim(struct xen_channel *c, struct store *s, const struct xen_device *d,
		      const struct xen_offer *offer, int64_t deadline_ns, struct cause *why);

/*
 * What the host says of this use of the number. Returns 0 with *@state: VGPU_XS_UNKNOWN, nothing;
 * INITIALISED, it was seen; CONNECTED, served. Or why it is over: the host's reason; VGPU_EDEVLOST,
 * our own node, which nobody but the host or whoever detaches removes, or our domain's number is
 * another; VGPU_EPROTO.
 */
int xen_channel_look(struct xen_channel *c, struct store *s, uint32_t *state, struct cause *why);

/* The host serves it: say that we know. */
int xen_channel_connected(struct xen_channel *c, struct store *s, int64_t deadline_ns,
			  struct cause *why);

/* Remove the nodes, if they are still ours. Harmless for what was not claimed. */
void xen_channel_release(struct xen_channel *c, struct store *s, int64_t deadline_ns);

/* How many numbers could be taken at this moment. */
uint32_t xen_channel_count_free(const struct xen_device *d, struct store *s);

/* "<number> <text>" of the host's: returns the VGPU_E*, and *@text, a part of @value. */
int xen_channel_error(const char *value, const char **text);

/* May number @k be taken? By the rule of vgpu_xenstore.h, from what stands there. */
struct xen_number {
	bool front, back;     /* are the directories there? */
	bool same_id, closed; /* the host's id is the guest's; the host's state is 6 */
};
bool xen_number_free(const struct xen_number *n);

#endif
