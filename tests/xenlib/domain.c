/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct domain_list domains = LIST_HEAD_INITIALIZER(domains);

struct domain *domain_find(uint32_t id)
{
	struct domain *d;

	LIST_FOREACH(d, &domains, link)
		if (d->id == id && !d->dead)
			return d;
	return NULL;
}

static void domain_free(struct domain *d)
{
	LIST_REMOVE(d, link);
	close(d->memory);
	free(d);
}

int domain_create(uint32_t id, const char *name, const char *uuid)
{
	struct domain *d;
	int rc;

	if (domain_find(id))
		return -EEXIST;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->id = id;
	d->limit = GNTALLOC_LIMIT;
	snprintf(d->name, sizeof(d->name), "%s", name);
	snprintf(d->uuid, sizeof(d->uuid), "%s", uuid);
	LIST_INSERT_HEAD(&domains, d, link);
	d->memory = memfd_create("xenlib-domain", MFD_CLOEXEC);
	rc = d->memory < 0 || ftruncate(d->memory, (off_t)GRANTS_PER_DOMAIN * WIRE_PAGE) < 0
		     ? -errno
		     : daemon_listen_xs(id);
	if (rc == 0)
		rc = xs_domain_introduce(d);
	if (rc < 0)
		domain_free(d);
	return rc;
}

void domain_put(struct domain *d)
{
	if (--d->refs == 0 && d->dead)
		domain_free(d);
}

int domain_destroy(uint32_t id)
{
	struct domain *d = domain_find(id);

	if (!d)
		return -ESRCH;
	daemon_drop_domain(id);
	ports_domain_gone(id);
	d->dead = true;
	xs_domain_release(id);
	if (d->refs == 0)
		domain_free(d);
	return 0;
}
