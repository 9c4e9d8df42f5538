/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of an event channel. */
#ifndef GUEST_XEN_PORT_H
#define GUEST_XEN_PORT_H

#include <stdbool.h>
#include <stdint.h>
#include <xenevtchn.h>

#include "log.h"

/*
 * Close a handle with one port, bound for domain @peer. @restored: the guest was saved and
 * restored, or migrated, since. Under the fork guard.
 */
void xen_port_close(xenevtchn_handle *handle, evtchn_port_t port, uint32_t peer, bool restored,
		    const struct log *log);

#endif
