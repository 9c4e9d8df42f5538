/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Linux stops in a BUG, and the process can neither go on nor end, where it is to unbind a port
 * that was bound before the guest was saved: evtchn_unbind_from_user() in drivers/xen/evtchn.c, as
 * of 6.17, takes for granted that the number still names an interrupt, and after a restore none
 * does. So before such a handle is closed its number is given an interrupt again, that of a new
 * port, with one reference more than its own, which the old handle then takes away. The kernel
 * warns (of an interrupt that is freed twice, of a port without), and all goes on.
 */
#include "xen_port.h"

#include <stddef.h>
#include <xengnttab.h>

#define TRIES 1024 /* Xen gives the lowest number that is free */

/* Bind ports until one has this number. The others go with the handle. */
static bool bind_number(xenevtchn_handle *handle, evtchn_port_t port, uint32_t peer)
{
	xenevtchn_port_or_error_t got;

	for (int i = 0; i < TRIES; i++) {
		got = xenevtchn_bind_unbound_port(handle, peer);
		if (got < 0 || (evtchn_port_t)got == port)
			return got >= 0;
	}
	return false;
}

/* Returns whether the old handle is closed. */
static bool close_restored(xenevtchn_handle *old, evtchn_port_t port, uint32_t peer)
{
	xenevtchn_handle *fresh = xenevtchn_open(NULL, 0);
	xengntshr_handle *share = xengntshr_open(NULL, 0);
	void *page = NULL;
	uint32_t ref;

	if (fresh && share && bind_number(fresh, port, peer))
		page = xengntshr_share_page_notify(share, peer, &ref, 0, 0, port);
	if (page) {
		xenevtchn_unbind(old, port);
		xenevtchn_close(old);
	}
	/* This order: the last reference must not go while the port has a handler. */
	if (fresh)
		xenevtchn_close(fresh);
	if (page)
		xengntshr_unshare(share, page, 1);
	if (share)
		xengntshr_close(share);
	return page != NULL;
}

void xen_port_close(xenevtchn_handle *handle, evtchn_port_t port, uint32_t peer, bool restored,
		    const struct log *log)
{
	if (!restored || !port)
		xenevtchn_close(handle);
	else if (!close_restored(handle, port, peer))
		log_line(log, VGPU_LOG_WARNING,
			 "xen: port %u is of the time before this guest was restored and stays "
			 "open: this process will not end cleanly",
			 port);
}
