/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XenStore, as the commands use it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin.h"
#include "vgpu_xenstore.h"

#define STORE_TIMEOUT_S 30 /* for all that a command does; waits are far shorter */

/* Without a xenstored, what is asked through /dev/xen/xenbus is never answered. */
static void on_alarm(int signal)
{
	static const char text[] =
		"vgpu-admin: XenStore does not answer: does xenstored run in dom0?\n";
	ssize_t n = write(STDERR_FILENO, text, sizeof(text) - 1);

	(void)signal;
	(void)n;
	_exit(ADMIN_NO_XENSTORE);
}

void admin_bound(bool on)
{
	alarm(on ? STORE_TIMEOUT_S : 0);
}

int admin_try_open(struct admin *a)
{
	signal(SIGALRM, on_alarm);
	admin_bound(true);
	a->xs = xs_open(0);
	return a->xs ? 0 : -errno;
}

int admin_open(struct admin *a)
{
	int rc = admin_try_open(a);

	if (rc == 0)
		return ADMIN_DONE;
	if (rc == -EACCES || rc == -EPERM)
		return admin_fail_errno(a, "XenStore: open", rc);
	return admin_fail(a, ADMIN_NO_XENSTORE, "XenStore: open: %s: %s", strerror(-rc),
			  geteuid() ? "run it as root"
				    : "this is no domain of Xen, or xenstored does not run; "
				      "`vgpu-admin doctor` says more");
}

int admin_domain(struct admin *a, const char *text, uint32_t *domid)
{
	char what[128];
	int rc = xen_domain_find(a->xs, text, domid);

	switch (rc) {
	case 0:
		return ADMIN_DONE;
	case -ESRCH:
		return admin_fail(a, ADMIN_NO_DOMAIN,
				  "domain \"%s\": there is none of that number or name; `xl list` "
				  "or `xe vm-list` shows them",
				  admin_safe(text));
	case -ENOTUNIQ:
		return admin_fail(a, ADMIN_NO_DOMAIN,
				  "domain \"%s\": several have that name; give its number",
				  admin_safe(text));
	default:
		snprintf(what, sizeof(what), "domain \"%.64s\": look up", admin_safe(text));
		return admin_fail_errno(a, what, rc);
	}
}

const char *admin_domain_label(struct admin *a, uint32_t domid)
{
	static char labels[4][XEN_NAME_BYTES + 32];
	static unsigned int next;
	char *label = labels[next++ % 4], name[XEN_NAME_BYTES];

	xen_domain_name(a->xs, XBT_NULL, domid, name);
	if (*name)
		snprintf(label, sizeof(labels[0]), "domain %u (%s)", domid, admin_safe(name));
	else
		snprintf(label, sizeof(labels[0]), "domain %u", domid);
	return label;
}

const char *admin_state(uint32_t state)
{
	static const char *const words[] = { "none",      "initialising", "waiting", "initialised",
					     "connected", "closing",      "closed" };

	return state < sizeof(words) / sizeof(words[0]) ? words[state] : "none";
}

uint32_t admin_back_state(struct admin *a, const struct xen_device *dev)
{
	char path[XEN_PATH_BYTES];

	xen_back_path(dev, VGPU_XS_STATE, path);
	return xen_read_state(a->xs, path);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Take all events; which they are does not matter, the state is read anew. */
static void drain(struct xs_handle *xs)
{
	char **event;

	while ((event = xs_check_watch(xs)) != NULL)
		free(event);
}

uint32_t admin_wait(struct admin *a, const struct xen_device *dev, bool (*is_enough)(uint32_t),
		    int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms, left;
	struct pollfd p = { .fd = xs_fileno(a->xs), .events = POLLIN };
	char path[XEN_PATH_BYTES];
	uint32_t state;

	xen_back_path(dev, VGPU_XS_STATE, path);
	if (!xs_watch(a->xs, path, "state"))
		return xen_read_state(a->xs, path);
	for (;;) {
		drain(a->xs);
		state = xen_read_state(a->xs, path);
		left = end - now_ms();
		if (is_enough(state) || left <= 0)
			break;
		poll(&p, 1, (int)left);
	}
	xs_unwatch(a->xs, path, "state");
	return state;
}
