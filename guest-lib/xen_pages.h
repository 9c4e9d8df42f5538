/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A channel's pages on Xen: memory of this guest's kernel (module xen-gntalloc), granted to the
 * backend's domain, and the presence page, by which each side's kernel tells the other that a
 * program is gone.
 */
#ifndef GUEST_XEN_PAGES_H
#define GUEST_XEN_PAGES_H

#include <stdbool.h>
#include <stdint.h>
#include <xengnttab.h>
#include <xentoollog.h>

#include "last_error.h"
#include "log.h"
#include "../protocol/vgpu_channel.h"

#define XEN_PAGES_MAX (1 + VGPU_GRANTS_MAX)
#define XEN_GNTALLOC_LIMIT_DEFAULT 1024u /* the kernel's own, pages of a whole guest */

/* What to do about it. */
#define XEN_PAGES_RAISE_LIMIT                                                                      \
	"raise module xen_gntalloc's parameter limit, as /usr/lib/modprobe.d/vgpu-gntalloc.conf "  \
	"does"

/* Where Xen's libraries report; they would print otherwise. */
struct xen_log {
	xentoollog_logger ops; /* first: the libraries know no more */
	const struct log *log;
};
void xen_log_init(struct xen_log *l, const struct log *log);

struct xen_pages {
	xengntshr_handle *handle; /* NULL: closed */
	void *base;
	uint32_t count;
	uint8_t *presence; /* page */
	uint32_t presence_ref;
	uint32_t refs[XEN_PAGES_MAX];
};

/*
 * How many pages a channel is to have. @window_bytes: the caller's wish; 0: an eighth of @limit,
 * so that eight programs find room, within what a channel can have and @host_max.
 * VGPU_EQUOTA: more than the transport or the host can do.
 */
int xen_pages_choose(uint32_t *count, uint64_t window_bytes, uint32_t limit, uint32_t host_max,
		     struct cause *why);

/* gntalloc's limit; the kernel's default where it does not tell. */
uint32_t xen_pages_limit(void);

/*
 * All but the last two under the fork guard.
 * Open the driver. VGPU_EACCES; VGPU_ENOTSUP: the module is missing.
 */
int xen_pages_open(struct xen_pages *p, struct xen_log *log, struct cause *why);

/* Share the presence page; when it goes, our byte is cleared and @port signalled. */
int xen_pages_announce(struct xen_pages *p, uint32_t domid, uint32_t port, struct cause *why);

/*
 * Share the channel's pages: @count of them, or, if @less, fewer where the kernel has no room, down
 * to the smallest channel. Zeroed by the kernel. VGPU_EQUOTA, VGPU_ENOMEM.
 */
int xen_pages_share(struct xen_pages *p, uint32_t domid, uint32_t count, bool less,
		    struct cause *why);

/* The presence page last: until then the host takes us for alive. Accepts what is half-built. */
void xen_pages_close(struct xen_pages *p);

/* In a forked child: the descriptor only, for the mappings were not inherited. */
void xen_pages_forked(struct xen_pages *p);

/* Put the references where the mediator looks for them. The channel has been formatted. */
void xen_pages_write_refs(const struct xen_pages *p);

/* Has the host's worker the channel mapped? */
bool xen_pages_host_there(const struct xen_pages *p);

#endif
