/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libxengnttab, of it what this project uses. As with the real one, mappings outlive the handle's
 * closing: they go when they are unmapped, or when the process ends.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xengnttab.h>

#include "rpc.h"

struct xengntdev_handle {
	struct rpc rpc;
};

static struct xengntdev_handle *handle_open(enum wire_kind kind)
{
	struct xengntdev_handle *h = calloc(1, sizeof(*h));
	int rc = h ? rpc_open(&h->rpc, kind, NULL) : -ENOMEM;

	if (rc < 0) {
		free(h);
		errno = -rc;
		return NULL;
	}
	return h;
}

static int handle_close(struct xengntdev_handle *h)
{
	struct wire_request rq;

	if (!h)
		return 0;
	rpc_init(&rq, WIRE_MAPPED);
	/* What is still mapped is the process's until it ends, and so is the connection. */
	if (h->rpc.owner != getpid() || rpc_call(&h->rpc, &rq, 0, NULL) <= 0)
		rpc_close(&h->rpc);
	free(h);
	return 0;
}

static int unmap(struct xengntdev_handle *h, void *base, uint32_t count)
{
	struct wire_request rq;
	int rc;

	rpc_init(&rq, WIRE_UNMAP);
	rq.va = (uintptr_t)base;
	rq.count = count;
	rc = rpc_call(&h->rpc, &rq, 0, NULL);
	/* Where the domain is no more, only our own half is left. */
	if (rc < 0 && rc != -EIO) {
		errno = -rc;
		return -1;
	}
	return munmap(base, (size_t)count * WIRE_PAGE);
}

/*
 * Address space, so that xenlibd knows the mapping by its address before there is one: afterwards
 * only memory could be lacking.
 */
static void *reserve(uint32_t count)
{
	void *base;

	if (!count || count > WIRE_REFS_MAX) {
		errno = EINVAL;
		return NULL;
	}
	base = mmap(NULL, (size_t)count * WIRE_PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return base == MAP_FAILED ? NULL : base;
}

/* The pages refs[from] to refs[to - 1], which follow each other in memory @fd. */
static bool map_run(uint8_t *base, const uint32_t *refs, uint32_t from, uint32_t to, int prot,
		    int fd)
{
	return mmap(base + (size_t)from * WIRE_PAGE, (size_t)(to - from) * WIRE_PAGE, prot,
		    MAP_SHARED | MAP_FIXED, fd, (off_t)refs[from] * WIRE_PAGE) != MAP_FAILED;
}

/* The memory of @domid: descriptors come in the order in which domains appear in @domids. */
static int fd_of(const struct rpc_answer *answer, const uint32_t *domids, uint32_t domid)
{
	uint32_t seen[WIRE_FDS_MAX], n = 0;

	for (uint32_t i = 0; n < answer->nfds; i++) {
		uint32_t k = 0;

		while (k < n && seen[k] != domids[i])
			k++;
		if (k == n)
			seen[n++] = domids[i];
		if (domids[i] == domid)
			return answer->fd[k];
	}
	return -1;
}

/* @domids NULL: all of one. */
static bool map_all(uint8_t *base, uint32_t count, const uint32_t *domids, const uint32_t *refs,
		    int prot, const struct rpc_answer *answer)
{
	uint32_t from = 0;

	for (uint32_t i = 1; i <= count; i++) {
		if (i < count && refs[i] == refs[i - 1] + 1 &&
		    (!domids || domids[i] == domids[i - 1]))
			continue;
		if (!map_run(base, refs, from, i, prot,
			     domids ? fd_of(answer, domids, domids[from]) : answer->fd[0]))
			return false;
		from = i;
	}
	return true;
}

static void *map(struct xengntdev_handle *h, struct wire_request *rq, const uint32_t *refs,
		 const uint32_t *domids, int prot)
{
	struct rpc_answer answer = { .nfds = 0 };
	uint32_t shared[WIRE_REFS_MAX];
	void *base = reserve(rq->count);
	size_t extra = 0;
	bool well;
	int rc;

	if (!base)
		return NULL;
	rq->va = (uintptr_t)base;
	if (refs) {
		extra = 2 * sizeof(uint32_t) * rq->count;
		memcpy(rq->refs, refs, extra / 2);
		memcpy(rq->refs + rq->count, domids, extra / 2);
	} else {
		answer.data = shared;
		answer.bytes = sizeof(shared);
	}
	rc = rpc_call(&h->rpc, rq, extra, &answer);
	if (rc < 0) {
		munmap(base, (size_t)rq->count * WIRE_PAGE);
		errno = -rc;
		return NULL;
	}
	well = map_all(base, rq->count, domids, refs ? refs : shared, prot, &answer);
	rc = errno;
	for (uint32_t i = 0; i < answer.nfds; i++)
		close(answer.fd[i]);
	if (!well) {
		unmap(h, base, rq->count);
		errno = rc;
		return NULL;
	}
	if (!refs)
		memcpy(rq->refs, shared, rq->count * sizeof(shared[0]));
	return base;
}

/* ---- consuming ---- */

xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	(void)logger;
	(void)open_flags;
	return handle_open(WIRE_KIND_GNTTAB);
}

int xengnttab_close(xengnttab_handle *xgt)
{
	return handle_close(xgt);
}

int xengnttab_fd(xengnttab_handle *xgt)
{
	return xgt->rpc.fd;
}

int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants)
{
	(void)xgt;
	(void)nr_grants;
	return 0; /* as on Linux */
}

void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t *domids,
			       uint32_t *refs, int prot)
{
	struct wire_request rq;

	rpc_init(&rq, WIRE_MAP);
	rq.count = count;
	rq.b = (prot & PROT_WRITE) != 0;
	return map(xgt, &rq, refs, domids, prot);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid,
				      uint32_t *refs, int prot)
{
	uint32_t domids[WIRE_REFS_MAX];

	for (uint32_t i = 0; i < count && i < WIRE_REFS_MAX; i++)
		domids[i] = domid;
	return xengnttab_map_grant_refs(xgt, count, domids, refs, prot);
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot)
{
	return xengnttab_map_grant_refs(xgt, 1, &domid, &ref, prot);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot,
				     uint32_t notify_offset, evtchn_port_t notify_port)
{
	struct wire_request rq;

	rpc_init(&rq, WIRE_MAP);
	rq.count = 1;
	rq.b = (prot & PROT_WRITE) != 0;
	rq.notify_offset = notify_offset;
	rq.notify_port = notify_port;
	return map(xgt, &rq, &ref, &domid, prot);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count)
{
	return unmap(xgt, start_address, count);
}

/* ---- sharing ---- */

xengntshr_handle *xengntshr_open(struct xentoollog_logger *logger, unsigned open_flags)
{
	(void)logger;
	(void)open_flags;
	return handle_open(WIRE_KIND_GNTSHR);
}

int xengntshr_close(xengntshr_handle *xgs)
{
	return handle_close(xgs);
}

int xengntshr_fd(xengntshr_handle *xgs)
{
	return xgs->rpc.fd;
}

static void *share(xengntshr_handle *xgs, uint32_t domid, uint32_t count, uint32_t *refs,
		   int writable, uint32_t notify_offset, evtchn_port_t notify_port)
{
	struct wire_request rq;
	void *base;

	rpc_init(&rq, WIRE_SHARE);
	rq.a = domid;
	rq.b = writable != 0;
	rq.count = count;
	rq.notify_offset = notify_offset;
	rq.notify_port = notify_port;
	base = map(xgs, &rq, NULL, NULL, PROT_READ | PROT_WRITE);
	if (base)
		memcpy(refs, rq.refs, count * sizeof(refs[0]));
	return base;
}

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs,
			    int writable)
{
	return share(xgs, domid, count < 0 ? 0 : (uint32_t)count, refs, writable, WIRE_NONE,
		     WIRE_NONE);
}

void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid, uint32_t *ref,
				  int writable, uint32_t notify_offset, evtchn_port_t notify_port)
{
	return share(xgs, domid, 1, ref, writable, notify_offset, notify_port);
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count)
{
	return unmap(xgs, start_address, count);
}
