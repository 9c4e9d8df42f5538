/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xen_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "channel.h"
#include "device.h"
#include "../common/errors.h"
#include "../common/shm.h"

#define PAGES_MIN (CHANNEL_BYTES_MIN / VGPU_PAGE_BYTES)

static void log_message(xentoollog_logger *logger, xentoollog_level level, int error,
			const char *context, const char *format, va_list ap)
{
	const struct xen_log *l = (const struct xen_log *)logger;
	int saved = errno;
	char text[256];

	(void)level;
	vsnprintf(text, sizeof(text), format, ap);
	/* What matters in it comes back as an error of the call. */
	log_line(l->log, VGPU_LOG_DEBUG, "xen: %s: %s%s%s", context ? context : "library", text,
		 error >= 0 ? ": " : "", error >= 0 ? strerror(error) : "");
	errno = saved;
}

void xen_log_init(struct xen_log *l, const struct log *log)
{
	*l = (struct xen_log){ .ops = { .vmessage = log_message }, .log = log };
}

int xen_pages_choose(uint32_t *count, uint64_t window_bytes, uint32_t limit, uint32_t host_max,
		     struct cause *why)
{
	uint64_t most = host_max < XEN_PAGES_MAX ? host_max : XEN_PAGES_MAX;
	uint64_t want = limit / 8;

	if (window_bytes)
		want = window_bytes / VGPU_PAGE_BYTES + (window_bytes % VGPU_PAGE_BYTES != 0) +
		       CHANNEL_OVERHEAD / VGPU_PAGE_BYTES;
	else if (want > most)
		want = most;
	if (want < PAGES_MIN)
		want = PAGES_MIN;
	if (want > host_max && host_max < XEN_PAGES_MAX)
		return because(why, VGPU_EQUOTA,
			       "window: a channel of %llu pages is over the host's limit of %u",
			       (unsigned long long)want, host_max);
	if (want > XEN_PAGES_MAX)
		return because(why, VGPU_EQUOTA,
			       "window: a channel of %llu pages is over the %u that fit a "
			       "channel on Xen",
			       (unsigned long long)want, XEN_PAGES_MAX);
	*count = (uint32_t)want;
	return 0;
}

uint32_t xen_pages_limit(void)
{
	char path[4096];
	int limit = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/module/xen_gntalloc/parameters/limit", device_sysfs);
	f = fopen(path, "re");
	if (f) {
		if (fscanf(f, "%d", &limit) != 1)
			limit = 0;
		fclose(f);
	}
	return limit > 0 ? (uint32_t)limit : XEN_GNTALLOC_LIMIT_DEFAULT;
}

int xen_pages_open(struct xen_pages *p, struct xen_log *log, struct cause *why)
{
	p->handle = xengntshr_open(&log->ops, 0);
	if (p->handle) {
		/* The library opens it without. */
		fcntl(xengntshr_fd(p->handle), F_SETFD, FD_CLOEXEC);
		return 0;
	}
	if (errno == EACCES || errno == EPERM)
		return because(why, VGPU_EACCES,
			       "open /dev/xen/gntalloc: %m: is this user in group vgpu? as root: "
			       "adduser USER vgpu, then log in again");
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return because(
			why, VGPU_ENOTSUP,
			"open /dev/xen/gntalloc: %m: module xen-gntalloc is not loaded; as "
			"root: modprobe xen-gntalloc, or install the udev rule 60-vgpu.rules");
	return because(why, error_from_errno(-errno), "open /dev/xen/gntalloc: %m");
}

/* Not for children: a copy would keep the host from hearing of our end. */
static int keep_from_children(void *base, uint64_t bytes, struct cause *why)
{
	if (madvise(base, bytes, MADV_DONTFORK) < 0)
		return because(why, VGPU_EIO, "madvise: %m");
	return 0;
}

static int share_failed(uint32_t count, struct cause *why)
{
	int error = errno;

	if (error == ENOSPC)
		return because(why, VGPU_EQUOTA,
			       "share %u pages: %s: the limit of all programs of this guest "
			       "together is %u pages: " XEN_PAGES_RAISE_LIMIT,
			       count, strerror(error), xen_pages_limit());
	return because(why, error_from_errno(-error), "share %u pages: %s", count, strerror(error));
}

int xen_pages_announce(struct xen_pages *p, uint32_t domid, uint32_t port, struct cause *why)
{
	p->presence = xengntshr_share_page_notify(p->handle, domid, &p->presence_ref, 1,
						  VGPU_PRESENCE_GUEST, port);
	if (!p->presence)
		return share_failed(1, why);
	shm_store_byte(p->presence + VGPU_PRESENCE_GUEST, 1);
	return keep_from_children(p->presence, VGPU_PAGE_BYTES, why);
}

int xen_pages_share(struct xen_pages *p, uint32_t domid, uint32_t count, bool less,
		    struct cause *why)
{
	for (;;) {
		p->base = xengntshr_share_pages(p->handle, domid, (int)count, p->refs, 1);
		if (p->base)
			break;
		if ((errno != ENOSPC && errno != ENOMEM) || !less || count <= PAGES_MIN)
			return share_failed(count, why);
		count = count / 2 > PAGES_MIN ? count / 2 : PAGES_MIN;
	}
	p->count = count;
	return keep_from_children(p->base, (uint64_t)count * VGPU_PAGE_BYTES, why);
}

void xen_pages_close(struct xen_pages *p)
{
	if (p->base)
		xengntshr_unshare(p->handle, p->base, p->count);
	p->base = NULL;
	if (p->presence)
		xengntshr_unshare(p->handle, p->presence, 1);
	p->presence = NULL;
	if (p->handle)
		xengntshr_close(p->handle);
	p->handle = NULL;
}

void xen_pages_forked(struct xen_pages *p)
{
	if (p->handle)
		xengntshr_close(p->handle);
	p->handle = NULL;
}

void xen_pages_write_refs(const struct xen_pages *p)
{
	struct vgpu_channel_header *header = p->base;
	uint32_t counts[2] = { p->count - 1, p->presence_ref };
	uint32_t grants[VGPU_GRANTS_MAX] = { 0 };

	_Static_assert(offsetof(struct vgpu_channel_header, presence_ref) ==
			       offsetof(struct vgpu_channel_header, grant_count) + 4,
		       "side by side");
	memcpy(grants, p->refs + 1, counts[0] * sizeof(grants[0]));
	shm_copy_out(&header->grant_count, counts, sizeof(counts));
	shm_copy_out(header->grants, grants, sizeof(grants));
}

bool xen_pages_host_there(const struct xen_pages *p)
{
	return shm_load_byte(p->presence + VGPU_PRESENCE_HOST) == 1;
}
