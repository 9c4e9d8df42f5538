/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Grants. A domain's granted pages are one memfd: the library maps a page from it, once this has
 * said that it may. A mapping lives as long as the connection over which it was made, or until it
 * is undone; then its byte is cleared and its port signalled, as gntalloc and gntdev do.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_REF 8u /* the hypervisor reserves those below */

struct mapped_page {
	struct domain *domain; /* whose page it is */
	uint32_t ref;
};

struct mapping {
	LIST_ENTRY(mapping) link;
	struct conn *conn;
	bool own; /* the granting side's */
	uint64_t va;
	uint32_t count;
	uint32_t notify_offset; /* of the first page, or WIRE_NONE */
	uint32_t notify_port;   /* or WIRE_NONE */
	struct mapped_page page[];
};

static LIST_HEAD(mapping_list, mapping) mappings = LIST_HEAD_INITIALIZER(mappings);

static struct mapping *mapping_new(struct conn *c, const struct wire_request *rq)
{
	struct mapping *m = calloc(1, sizeof(*m) + rq->count * sizeof(m->page[0]));

	if (!m)
		return NULL;
	m->conn = c;
	m->va = rq->va;
	m->notify_offset = m->notify_port = WIRE_NONE;
	return m;
}

static int set_notify(struct mapping *m, const struct wire_request *rq)
{
	if (rq->notify_offset < WIRE_PAGE)
		m->notify_offset = rq->notify_offset;
	if (rq->notify_port == WIRE_NONE)
		return 0;
	if (!port_hold(m->conn->domid, rq->notify_port))
		return -EINVAL;
	m->notify_port = rq->notify_port;
	return 0;
}

static void release_page(const struct mapping *m, const struct mapped_page *p)
{
	struct grant *g = &p->domain->grants[p->ref];

	if (m->own) {
		g->shared = false;
		p->domain->shared--;
	} else {
		g->maps--;
	}
	/* What is still mapped elsewhere stays, and may be mapped again, until it is not. */
	if (!g->shared && !g->maps)
		memset(g, 0, sizeof(*g));
	domain_put(p->domain);
}

/* Also of one that is half made. */
static void mapping_end(struct mapping *m)
{
	const uint8_t zero = 0;

	if (m->notify_offset != WIRE_NONE && m->count &&
	    pwrite(m->page[0].domain->memory, &zero, 1,
		   (off_t)m->page[0].ref * WIRE_PAGE + m->notify_offset) < 0)
		perror("xenlibd: clear a byte");
	if (m->notify_port != WIRE_NONE)
		port_signal_and_release(m->conn->domid, m->notify_port);
	for (uint32_t i = 0; i < m->count; i++)
		release_page(m, &m->page[i]);
	free(m);
}

static void take_page(struct mapping *m, struct domain *d, uint32_t ref)
{
	d->refs++;
	m->page[m->count++] = (struct mapped_page){ d, ref };
}

static int grant_page(struct mapping *m, struct domain *d, const struct wire_request *rq,
		      uint32_t *ref)
{
	while (*ref < GRANTS_PER_DOMAIN && d->grants[*ref].used)
		++*ref;
	if (*ref >= GRANTS_PER_DOMAIN)
		return -ENOSPC;
	if (fallocate(d->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)*ref * WIRE_PAGE, WIRE_PAGE) < 0)
		return -errno;
	d->grants[*ref] = (struct grant){
		.used = true, .shared = true, .writable = rq->b, .permitted = rq->a
	};
	d->shared++;
	take_page(m, d, *ref);
	return 0;
}

int grants_share(struct conn *c, const struct wire_request *rq, uint32_t *refs, int *fd)
{
	struct domain *d = domain_find(c->domid);
	struct mapping *m;
	uint32_t ref = FIRST_REF;
	int rc = 0;

	if (!d || !rq->count || rq->count > WIRE_REFS_MAX)
		return -EINVAL;
	if (d->shared + rq->count > d->limit)
		return -ENOSPC;
	m = mapping_new(c, rq);
	if (!m)
		return -ENOMEM;
	m->own = true;
	for (uint32_t i = 0; rc == 0 && i < rq->count; i++) {
		rc = grant_page(m, d, rq, &ref);
		refs[i] = ref;
	}
	if (rc == 0)
		rc = set_notify(m, rq);
	if (rc < 0) {
		m->notify_offset = WIRE_NONE;
		mapping_end(m);
		return rc;
	}
	LIST_INSERT_HEAD(&mappings, m, link);
	*fd = d->memory;
	return 0;
}

static int map_page(struct mapping *m, uint32_t domid, uint32_t ref, bool writable)
{
	struct domain *d = domain_find(domid);
	struct grant *g;

	if (!d || ref >= GRANTS_PER_DOMAIN)
		return -EINVAL;
	g = &d->grants[ref];
	if (!g->used || g->permitted != m->conn->domid)
		return -EINVAL;
	if (writable && !g->writable)
		return -EINVAL;
	g->maps++;
	take_page(m, d, ref);
	return 0;
}

/* The memory of each domain once, in the order of its first page. */
static int collect_fds(const struct mapping *m, int *fds, uint32_t *nfds)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		uint32_t k = 0;

		while (k < n && fds[k] != m->page[i].domain->memory)
			k++;
		if (k < n)
			continue;
		if (n == WIRE_FDS_MAX)
			return -E2BIG;
		fds[n++] = m->page[i].domain->memory;
	}
	*nfds = n;
	return 0;
}

int grants_map(struct conn *c, const struct wire_request *rq, int *fds, uint32_t *nfds)
{
	const uint32_t *domids = rq->refs + rq->count;
	struct mapping *m;
	int rc = 0;

	if (!rq->count || rq->count > WIRE_REFS_MAX)
		return -EINVAL;
	m = mapping_new(c, rq);
	if (!m)
		return -ENOMEM;
	for (uint32_t i = 0; rc == 0 && i < rq->count; i++)
		rc = map_page(m, domids[i], rq->refs[i], rq->b);
	/* gntdev clears no byte that the program could not clear itself. */
	if (rc == 0 && rq->notify_offset < WIRE_PAGE && !rq->b)
		rc = -EINVAL;
	if (rc == 0)
		rc = collect_fds(m, fds, nfds);
	if (rc == 0)
		rc = set_notify(m, rq);
	if (rc < 0) {
		m->notify_offset = WIRE_NONE;
		mapping_end(m);
		return rc;
	}
	LIST_INSERT_HEAD(&mappings, m, link);
	return 0;
}

int grants_unmap(struct conn *c, uint64_t va, uint32_t count)
{
	struct mapping *m;

	LIST_FOREACH(m, &mappings, link) {
		if (m->conn != c || m->va != va)
			continue;
		if (m->count != count)
			return -EINVAL;
		LIST_REMOVE(m, link);
		mapping_end(m);
		return 0;
	}
	return -ENOENT;
}

uint32_t grants_mapped(const struct conn *c)
{
	struct mapping *m;
	uint32_t n = 0;

	LIST_FOREACH(m, &mappings, link)
		n += m->conn == c;
	return n;
}

void grants_conn_gone(struct conn *c)
{
	struct mapping *m, *next;

	for (m = LIST_FIRST(&mappings); m; m = next) {
		next = LIST_NEXT(m, link);
		if (m->conn == c) {
			LIST_REMOVE(m, link);
			mapping_end(m);
		}
	}
}

uint32_t grants_count(const struct domain *d)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < GRANTS_PER_DOMAIN; i++)
		n += d->grants[i].used;
	return n;
}

uint32_t grants_count_maps(uint32_t domid)
{
	struct mapping *m;
	uint32_t n = 0;

	LIST_FOREACH(m, &mappings, link)
		if (m->conn->domid == domid && !m->own)
			n += m->count;
	return n;
}
