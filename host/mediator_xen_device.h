/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One device in XenStore, from the mediator's side: its two state machines, and its channels'.
 *
 * A watch says that something changed, never what. So each time the device is looked at as a
 * whole, and brought to where the nodes say that it should be. Looking twice does no harm, looking
 * late neither.
 */
#ifndef HOST_MEDIATOR_XEN_DEVICE_H
#define HOST_MEDIATOR_XEN_DEVICE_H

#include <stdbool.h>

#include "../protocol/vgpu_xenstore.h"
#include "mediator_owner.h"
#include "mediator_throttle.h"
#include "mediator_xenstore.h"

enum xen_channel_state {
	XEN_CHANNEL_FREE,
	XEN_CHANNEL_OPENING, /* the scheduler has it */
	XEN_CHANNEL_OPEN,
	XEN_CHANNEL_ENDING, /* the scheduler was told */
	XEN_CHANNEL_ENDED,  /* our node tells why, until the guest's is gone or another's */
};

/* What the guest asked for under one number. */
struct xen_claim {
	char id[VGPU_XS_ID_CHARS + 1];
	uint32_t pages;
	uint32_t ring_ref;
	uint32_t event_channel;
};

struct xen_channel {
	enum xen_channel_state state;
	struct xen_claim claim;
};

struct xen_device {
	TAILQ_ENTRY(xen_device) link;
	struct owner owner;
	struct xs_handle *xs;
	uint32_t domid;
	uint32_t number;
	char generation[VGPU_XS_ID_CHARS + 1];
	char front[XENSTORE_PATH_MAX];
	char back[XENSTORE_PATH_MAX];
	enum vgpu_xs_state state; /* ours, as XenStore has it */
	bool watched;
	bool serving; /* the guest's state lets it have channels */
	bool adopted; /* what an earlier mediator left was cleared */
	bool dirty;   /* to be looked at */
	struct throttle looks;
	struct event *timer; /* look again */
	struct xen_channel channel[VGPU_XS_CHANNELS_MAX];
};

enum xen_look {
	XEN_LOOK_FINE,
	XEN_LOOK_GONE,  /* no longer attached, or the guest is no more: free it */
	XEN_LOOK_OTHER, /* attached anew meanwhile: free it and take the new one */
	XEN_LOOK_ERROR, /* XenStore does not answer */
};

/*
 * The device @number of domain @domid, attached to this domain. Returns 0; -ENOENT, there is none;
 * or another negative errno. Logs that it is there.
 */
int xen_device_new(struct xen_device **out, struct mediator *m, struct xs_handle *xs,
		   uint32_t domid, uint32_t number);

/* Look at it now, or, if that was done too often, a little later by itself. */
enum xen_look xen_device_look(struct xen_device *d);

/* A timer of libevent's: a look that was put off is due. In mediator_xen.c. */
void xen_device_due(evutil_socket_t fd, short what, void *arg);

/* Tell the guest the limits, which may have changed. */
void xen_device_publish(struct xen_device *d);

/* End its channels and forget it. @released: its nodes are to say that nobody serves it. */
void xen_device_free(struct xen_device *d, bool released);

#endif
