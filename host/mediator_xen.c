/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_xen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../common/decimal.h"
#include "log.h"
#include "mediator_xen_device.h"

#define BACKENDS "backend/" VGPU_XS_DEVICE_TYPE /* of this domain */
#define BACKENDS_TOKEN "backends"
#define RELEASE_TOKEN "release"
#define DOMID_MAX 32751 /* DOMID_FIRST_RESERVED - 1, xen/include/public/xen.h */
#define EVENTS_PER_WAKEUP 256
#define RETRY_S 2 /* after xenstored went away */

TAILQ_HEAD(xen_device_list, xen_device);

struct xen_service {
	struct mediator *m;
	struct xs_handle *xs; /* NULL while xenstored does not answer */
	struct event *readable;
	struct event *retry;
	struct xen_device_list devices;
	bool rescan;
};

static struct xen_device *find(struct xen_service *s, uint32_t domid, uint32_t number)
{
	struct xen_device *d;

	TAILQ_FOREACH(d, &s->devices, link)
		if (d->domid == domid && d->number == number)
			return d;
	return NULL;
}

static void forget(struct xen_service *s, struct xen_device *d, bool released)
{
	TAILQ_REMOVE(&s->devices, d, link);
	log_info("%s: %s", d->owner.label, released ? "released" : "detached");
	xen_device_free(d, released);
}

static void lose_xenstore(struct xen_service *s)
{
	const struct timeval wait = { .tv_sec = RETRY_S };
	struct xen_device *d;

	log_err("XenStore: it does not answer: channels of Xen guests end; trying again every %d s",
		RETRY_S);
	while ((d = TAILQ_FIRST(&s->devices)))
		forget(s, d, false);
	event_free(s->readable);
	s->readable = NULL;
	xs_close(s->xs);
	s->xs = NULL;
	event_add(s->retry, &wait);
}

/* False: XenStore does not answer. */
static bool look_at(struct xen_service *s, struct xen_device *d)
{
	d->dirty = false;
	switch (xen_device_look(d)) {
	case XEN_LOOK_FINE:
		break;
	case XEN_LOOK_OTHER:
		s->rescan = true;
		forget(s, d, false);
		break;
	case XEN_LOOK_GONE:
		forget(s, d, false);
		break;
	case XEN_LOOK_ERROR:
		return false;
	}
	return true;
}

static void adopt(struct xen_service *s, uint32_t domid, uint32_t number)
{
	struct xen_device *d;
	int rc;

	if (find(s, domid, number))
		return;
	rc = xen_device_new(&d, s->m, s->xs, domid, number);
	if (rc == -ENOENT)
		return; /* being made or removed: a watch tells when it is complete */
	if (rc < 0) {
		log_warn("domain %u: device %u: serve it: %s", domid, number, strerror(-rc));
		return;
	}
	TAILQ_INSERT_TAIL(&s->devices, d, link);
	d->dirty = true;
}

/* Names below @path that are numbers, to @each. False: XenStore does not answer. */
static bool for_numbers(struct xen_service *s, const char *path, uint32_t max, uint32_t outer,
			void (*each)(struct xen_service *s, uint32_t outer, uint32_t number))
{
	unsigned int n;
	uint32_t number;
	char **names;

	errno = 0;
	names = xs_directory(s->xs, XBT_NULL, path, &n);
	if (!names)
		return errno == ENOENT || errno == EACCES;
	for (unsigned int i = 0; i < n; i++)
		if (decimal_parse(names[i], max, &number))
			each(s, outer, number);
	free(names);
	return true;
}

static void scan_domain(struct xen_service *s, uint32_t outer, uint32_t domid)
{
	char path[XENSTORE_PATH_MAX];

	(void)outer;
	snprintf(path, sizeof(path), BACKENDS "/%u", domid);
	for_numbers(s, path, VGPU_XS_DEVICES_MAX - 1, domid, adopt);
}

/* Bring every device up to date that something was heard of. */
static void settle(struct xen_service *s)
{
	struct xen_device *d, *next;
	bool well = true;

	do {
		if (s->rescan) {
			s->rescan = false;
			well = for_numbers(s, BACKENDS, DOMID_MAX, 0, scan_domain);
		}
		for (d = TAILQ_FIRST(&s->devices); well && d; d = next) {
			next = TAILQ_NEXT(d, link);
			if (d->dirty)
				well = look_at(s, d);
		}
	} while (well && s->rescan);
	if (!well)
		lose_xenstore(s);
}

void xen_device_due(evutil_socket_t fd, short what, void *arg)
{
	struct xen_device *d = arg;

	(void)fd;
	(void)what;
	d->dirty = true;
	settle(d->owner.m->xen);
}

/* "backend/vgpu/7/0/online": of which device, and is it for us to hear, or our own writing? */
static void on_backend(struct xen_service *s, const char *path)
{
	static const char *const others[] = { VGPU_XS_ONLINE, VGPU_XS_GENERATION, "" };
	unsigned int domid, number;
	struct xen_device *d;
	int end = 0;

	if (sscanf(path, BACKENDS "/%5u/%5u%n", &domid, &number, &end) < 2) {
		s->rescan = true;
		return;
	}
	d = find(s, domid, number);
	if (!d) {
		s->rescan = true;
		return;
	}
	path += end;
	if (*path == '/')
		path++;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(path, others[i]) == 0)
			d->dirty = true;
}

static void on_watch(struct xen_service *s, const char *path, const char *token)
{
	unsigned int domid, number;
	struct xen_device *d;

	if (strcmp(token, BACKENDS_TOKEN) == 0) {
		on_backend(s, path);
	} else if (strcmp(token, RELEASE_TOKEN) == 0) {
		TAILQ_FOREACH(d, &s->devices, link)
			d->dirty = true;
	} else if (sscanf(token, "%u/%u", &domid, &number) == 2) {
		d = find(s, domid, number);
		if (d)
			d->dirty = true;
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct xen_service *s = arg;
	char **event;

	(void)fd;
	(void)what;
	for (int i = 0; i < EVENTS_PER_WAKEUP; i++) {
		errno = 0;
		event = xs_check_watch(s->xs);
		if (!event && errno != EAGAIN) {
			lose_xenstore(s);
			return;
		}
		if (!event)
			break;
		on_watch(s, event[XS_WATCH_PATH], event[XS_WATCH_TOKEN]);
		free(event);
	}
	settle(s);
}

/* 0 or a negative errno; then nothing is left. */
static int connect_xenstore(struct xen_service *s)
{
	int rc = -ENOMEM;

	errno = 0;
	s->xs = xs_open(0);
	if (!s->xs)
		return errno ? -errno : -ENODEV;
	/* Domains without privileges may not hear of it: then the guest's nodes that vanish tell. */
	xs_watch(s->xs, "@releaseDomain", RELEASE_TOKEN);
	errno = 0;
	if (!xs_watch(s->xs, BACKENDS, BACKENDS_TOKEN)) {
		rc = errno ? -errno : -EIO;
		goto fail;
	}
	s->readable = event_new(s->m->base, xs_fileno(s->xs), EV_READ | EV_PERSIST, on_readable, s);
	if (!s->readable)
		goto fail;
	event_add(s->readable, NULL);
	s->rescan = true;
	return 0;
fail:
	xs_close(s->xs);
	s->xs = NULL;
	return rc;
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval wait = { .tv_sec = RETRY_S };
	struct xen_service *s = arg;

	(void)fd;
	(void)what;
	if (connect_xenstore(s) < 0) {
		event_add(s->retry, &wait);
		return;
	}
	log_info("XenStore: it answers again");
	settle(s);
}

/* NULL, or why this machine cannot serve Xen guests. */
static const char *not_xen(void)
{
	char type[16] = "";
	FILE *f = fopen("/sys/hypervisor/type", "re");

	if (!f)
		return "this is no domain of Xen";
	if (!fgets(type, sizeof(type), f))
		type[0] = '\0';
	fclose(f);
	if (strcmp(type, "xen\n") != 0)
		return "the hypervisor is not Xen";
	if (access("/dev/xen/gntdev", R_OK | W_OK) < 0)
		return "/dev/xen/gntdev cannot be used (module xen-gntdev; this process's user)";
	if (access("/dev/xen/evtchn", R_OK | W_OK) < 0)
		return "/dev/xen/evtchn cannot be used (module xen-evtchn; this process's user)";
	return NULL;
}

static void service_free(struct xen_service *s)
{
	if (s->readable)
		event_free(s->readable);
	if (s->retry)
		event_free(s->retry);
	if (s->xs)
		xs_close(s->xs);
	free(s);
}

int xen_start(struct mediator *m)
{
	struct xen_service *s;
	const char *why;
	int rc;

	if (m->config.xen == CONFIG_XEN_NO)
		return 0;
	why = m->config.xen == CONFIG_XEN_AUTO ? not_xen() : NULL;
	if (why) {
		log_debug("Xen guests are not served: %s", why);
		return 0;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->m = m;
	TAILQ_INIT(&s->devices);
	s->retry = evtimer_new(m->base, on_retry, s);
	rc = s->retry ? connect_xenstore(s) : -ENOMEM;
	if (rc < 0) {
		service_free(s);
		log_err("XenStore: connect: %s", strerror(-rc));
		return m->config.xen == CONFIG_XEN_YES ? rc : 0;
	}
	m->xen = s;
	log_info("Xen guests are served");
	settle(s);
	return 0;
}

void xen_stop(struct mediator *m)
{
	struct xen_service *s = m->xen;
	struct xen_device *d;

	if (!s)
		return;
	while ((d = TAILQ_FIRST(&s->devices)))
		forget(s, d, true);
	m->xen = NULL;
	service_free(s);
}

void xen_reconfigured(struct mediator *m)
{
	struct xen_device *d;

	if (!m->xen)
		return;
	TAILQ_FOREACH(d, &m->xen->devices, link)
		xen_device_publish(d);
}
