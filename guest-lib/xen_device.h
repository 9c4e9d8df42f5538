/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A device as XenStore shows it: both sides' directories, the limits that the mediator publishes,
 * and the handshake of the device's states (protocol/vgpu_xenstore.h).
 */
#ifndef GUEST_XEN_DEVICE_H
#define GUEST_XEN_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "xen_store.h"
#include "../protocol/vgpu_xenstore.h"

struct xen_device {
	uint32_t number;
	uint32_t domid;      /* ours, when we looked: a restored guest has another */
	uint32_t backend_id; /* the domain in which the mediator runs */
	char front[STORE_PATH_MAX];
	char back[STORE_PATH_MAX]; /* computed: `backend` is for people */
	/* published by the mediator, valid after xen_device_limits() */
	uint32_t version;
	uint32_t max_channels;
	uint32_t max_pages;
};

/* The states of both sides, as they were at one moment. */
struct xen_states {
	uint32_t front;
	uint32_t back;
	bool online;
};

/* Is this a Xen guest, as far as sysfs tells? And does its kernel see device @number? */
bool xen_guest(void);
bool xen_device_in_sysfs(uint32_t number);

/* Our own domain's number; it changes when the guest is restored or migrated. */
int xen_own_domid(struct store *s, uint32_t *out, struct cause *why);

/* Find device @number. VGPU_ENODEV: there is none; otherwise errors of reading. */
int xen_device_find(struct xen_device *d, struct store *s, uint32_t number, struct cause *why);

/* VGPU_ENODEV: being detached, or half of it is gone. VGPU_EPROTO: no such state. */
int xen_device_states(const struct xen_device *d, struct store *s, xs_transaction_t t,
		      struct xen_states *out, struct cause *why);

/* Read what the mediator publishes. VGPU_EVERSION; VGPU_EPROTO: what it says is impossible. */
int xen_device_limits(struct xen_device *d, struct store *s, struct cause *why);

/*
 * Bring the device to state 4 on both sides, whatever others of this guest are doing meanwhile,
 * and read its limits. VGPU_ENOMEDIATOR: nobody on the other side. Errors as above.
 */
int xen_device_connect(struct xen_device *d, struct store *s, int64_t deadline_ns,
		       struct cause *why);

/* What to do next in the handshake. */
enum xen_step {
	XEN_STEP_WAIT,      /* for the other side */
	XEN_STEP_NOBODY,    /* wait, but not for long: it looks as if nobody served it */
	XEN_STEP_WRITE,     /* the state that was named */
	XEN_STEP_CONNECTED, /* done */
};

/* A step of the handshake; @next: the state to write. */
enum xen_step xen_device_step(const struct xen_states *now, uint32_t *next);

#endif
