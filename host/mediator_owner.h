/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whoever channels belong to: a connection (mediator_peer.h), or a device in XenStore
 * (mediator_xen.h). The scheduler knows no more of them than this.
 */
#ifndef HOST_MEDIATOR_OWNER_H
#define HOST_MEDIATOR_OWNER_H

#include "mediator.h"

struct owner;

/* How a channel fares. The owner may call the scheduler from these, but not be freed in them. */
struct owner_ops {
	/* Opening it has ended: @status 0, or a negative VGPU_E* and in @text the cause. */
	void (*opened)(struct owner *o, uint32_t seq, uint32_t number, int32_t status,
		       const char *text);
	/* It is over: @reason 0, as asked (by @seq, else 0), or why the host ended it. */
	void (*closed)(struct owner *o, uint32_t seq, uint32_t number, int32_t reason,
		       const char *text);
};

struct owner {
	const struct owner_ops *ops;
	struct mediator *m;
	struct vm *vm;     /* NULL before the owner said who it is */
	uint32_t channels; /* numbers of its channels are below this */
	char label[256];   /* for the log */
};

#endif
