/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests under Xen: devices that somebody attached to this domain, found in XenStore and served
 * from there. protocol/vgpu_xenstore.h is the contract. The supervisor maps nothing and binds no
 * event channel: workers do.
 *
 * XenStore's calls block until xenstored answers. It is as trusted as the kernel is; guests cannot
 * hold it up. What a guest writes there is looked at a limited number of times a second.
 */
#ifndef HOST_MEDIATOR_XEN_H
#define HOST_MEDIATOR_XEN_H

#include <errno.h>

#include "log.h"
#include "mediator.h"

struct xen_service;

#ifndef VGPU_NO_XEN

/*
 * Serve Xen guests, if the configuration says so and this is a domain of Xen; m->xen is then not
 * NULL. Returns 0, also where there is nothing to serve; or a negative errno, after a log line:
 * the configuration insists, and it cannot be.
 */
int xen_start(struct mediator *m);

/* Say in XenStore that nobody serves the devices any more. May be called twice. */
void xen_stop(struct mediator *m);

/* Limits may have changed. */
void xen_reconfigured(struct mediator *m);

#else

static inline int xen_start(struct mediator *m)
{
	if (m->config.xen != CONFIG_XEN_YES)
		return 0;
	log_err("[xen] enabled = yes: this gpu_mediator was built without Xen's libraries");
	return -ENOTSUP;
}
static inline void xen_stop(struct mediator *m)
{
	(void)m;
}
static inline void xen_reconfigured(struct mediator *m)
{
	(void)m;
}

#endif

#endif
