// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Transport "xen": pages that the guest granted to this domain, and an event channel. Works in
 * any domain that the guest named as its backend.
 *
 * The guest chose every number here. Xen checks each grant reference: it must have been granted
 * to this domain, by that guest, for writing, and one that does not fit fails the whole mapping.
 * What is mapped stays mapped whatever the guest does to its grants afterwards.
 *
 * The event channel's handle can reach no other domain from the moment it knows the guest, and the
 * grant handle is closed once all is mapped: a worker that a guest takes over finds no way to a
 * second guest.
 */
#include "transport_xen.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#include "../common/errors.h"
#include "../common/shm.h"
#include "worker_channel.h"

/*
 * Events that bring no request: so many are taken as they come, then each is answered later than
 * the one before, up to the longest pause. Meanwhile the port is masked and costs this domain
 * nothing.
 */
#define IDLE_WAKES_FREE 32u
#define PAUSE_US 50u
#define PAUSE_US_MAX 10000u

/* A worker has one channel in its life. */
static struct {
	xengnttab_handle *gnttab;
	xenevtchn_handle *evtchn;
	evtchn_port_t port;
	bool bound;
	bool masked;       /* the kernel masks a port when it delivers, until it is told */
	uint8_t *presence; /* page */
} xen;

int transport_xen_prepare(char *why, size_t why_len)
{
	xen.gnttab = xengnttab_open(NULL, 0);
	if (!xen.gnttab) {
		snprintf(why, why_len, "worker: open /dev/xen/gntdev: %s: module xen-gntdev",
			 strerror(errno));
		return -ENODEV;
	}
	xen.evtchn = xenevtchn_open(NULL, 0);
	if (!xen.evtchn) {
		snprintf(why, why_len, "worker: open /dev/xen/evtchn: %s: module xen-evtchn",
			 strerror(errno));
		xengnttab_close(xen.gnttab);
		xen.gnttab = NULL;
		return -ENODEV;
	}
	return 0;
}

static int failed(const struct worker_assign *a, const char *what, int error, char *why,
		  size_t why_len)
{
	snprintf(why, why_len, "channel %u: %s: %s", a->channel, what, strerror(error));
	return error ? error_from_errno(-error) : VGPU_EIO;
}

static int bind_port(const struct worker_assign *a, char *why, size_t why_len)
{
	xenevtchn_port_or_error_t port;

	if (xenevtchn_restrict(xen.evtchn, (domid_t)a->xen.domid) < 0)
		return failed(a, "restrict the event channels to this domain", errno, why, why_len);
	port = xenevtchn_bind_interdomain(xen.evtchn, a->xen.domid, a->xen.event_channel);
	if (port < 0)
		return failed(a, "bind the event channel", errno, why, why_len);
	xen.port = (evtchn_port_t)port;
	xen.bound = true;
	return 0;
}

/* The header's copy, and only that: the page is mapped again among the others. */
static int copy_header(const struct worker_assign *a, struct vgpu_channel_header *header, char *why,
		       size_t why_len)
{
	void *page = xengnttab_map_grant_ref(xen.gnttab, a->xen.domid, a->xen.ring_ref,
					     PROT_READ | PROT_WRITE);

	if (!page)
		return failed(a, "map ring-ref", errno, why, why_len);
	shm_copy_in(header, page, sizeof(*header));
	xengnttab_unmap(xen.gnttab, page, 1);
	return 0;
}

static int map_pages(struct transport *t, const struct worker_assign *a,
		     const struct vgpu_channel_header *header, char *why, size_t why_len)
{
	uint32_t refs[1 + VGPU_GRANTS_MAX];
	const uint32_t count = 1 + header->grant_count;
	void *base;

	refs[0] = a->xen.ring_ref;
	memcpy(refs + 1, header->grants, header->grant_count * sizeof(refs[0]));
	base = xengnttab_map_domain_grant_refs(xen.gnttab, count, a->xen.domid, refs,
					       PROT_READ | PROT_WRITE);
	if (!base)
		return failed(a, "map the granted pages", errno, why, why_len);
	t->base = base;
	t->length = (uint64_t)count * VGPU_PAGE_BYTES;
	t->registrable = false; /* they are the guest's, and may go with it */
	return 0;
}

/*
 * From here on the guest's kernel hears of our end, and we hear of its program's. Last of all:
 * what fails before must leave the byte at 0.
 */
static int map_presence(const struct worker_assign *a, uint32_t ref, char *why, size_t why_len)
{
	xen.presence = xengnttab_map_grant_ref_notify(xen.gnttab, a->xen.domid, ref,
						      PROT_READ | PROT_WRITE, VGPU_PRESENCE_HOST,
						      xen.port);
	if (!xen.presence)
		return failed(a, "map the presence page", errno, why, why_len);
	if (!shm_load_byte(xen.presence + VGPU_PRESENCE_GUEST)) {
		snprintf(why, why_len, "channel %u: the guest's program is gone", a->channel);
		return VGPU_EDEVLOST;
	}
	shm_store_byte(xen.presence + VGPU_PRESENCE_HOST, 1);
	return 0;
}

static int xen_attach(struct transport *t, const struct worker_assign *a, const int *fds,
		      uint32_t nfds, struct vgpu_channel_header *header, char *why, size_t why_len)
{
	const char *text = "";
	uint32_t presence_ref;
	int rc;

	(void)fds;
	if (nfds || !xen.gnttab) {
		snprintf(why, why_len, "channel %u: %s", a->channel,
			 nfds ? "descriptors on a transport that has none"
			      : "this worker was not prepared for Xen");
		return VGPU_EPROTO;
	}
	rc = bind_port(a, why, why_len);
	if (rc == 0)
		rc = copy_header(a, header, why, why_len);
	if (rc < 0)
		return rc;
	rc = channel_grants_take(header, a->xen.ring_ref, a->length, &presence_ref, &text);
	if (rc < 0) {
		snprintf(why, why_len, "channel %u: %s", a->channel, text);
		return rc;
	}
	rc = map_pages(t, a, header, why, why_len);
	if (rc == 0)
		rc = map_presence(a, presence_ref, why, why_len);
	if (rc < 0)
		return rc;
	channel_grants_clear(header);
	/* The mappings hold the device open as long as they live; we need it no more. */
	xengnttab_close(xen.gnttab);
	xen.gnttab = NULL;
	return 0;
}

static void pause_before_unmask(uint32_t idle_wakes)
{
	struct timespec pause = { 0 };
	uint64_t us;

	if (idle_wakes <= IDLE_WAKES_FREE)
		return;
	us = (uint64_t)(idle_wakes - IDLE_WAKES_FREE) * PAUSE_US;
	pause.tv_nsec = (long)(us < PAUSE_US_MAX ? us : PAUSE_US_MAX) * 1000;
	nanosleep(&pause, NULL);
}

static bool xen_wait(struct transport *t, int64_t timeout_us)
{
	const struct timespec timeout = { timeout_us / 1000000, timeout_us % 1000000 * 1000 };
	struct pollfd p = { .fd = xenevtchn_fd(xen.evtchn), .events = POLLIN };
	int n;

	/* An event that came while the port was masked is delivered now. */
	if (xen.masked) {
		pause_before_unmask(t->idle_wakes);
		xen.masked = false;
		xenevtchn_unmask(xen.evtchn, xen.port);
	}
	n = ppoll(&p, 1, timeout_us < 0 ? NULL : &timeout, NULL);
	if (n > 0 && xenevtchn_pending(xen.evtchn) >= 0)
		xen.masked = true;
	return n != 0;
}

static void xen_notify(struct transport *t)
{
	(void)t;
	if (xen.bound)
		xenevtchn_notify(xen.evtchn, xen.port);
}

static bool xen_gone(struct transport *t)
{
	(void)t;
	return !shm_load_byte(xen.presence + VGPU_PRESENCE_GUEST);
}

const struct transport_ops transport_xen = {
	.attach = xen_attach,
	.wait = xen_wait,
	.notify = xen_notify,
	.gone = xen_gone,
};
