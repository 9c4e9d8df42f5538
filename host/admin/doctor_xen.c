/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor: Xen, XenStore, and the devices that are attached. */
#include "doctor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decimal.h"
#include "vgpu_xenstore.h"

static bool read_line(const char *path, char *out, int size)
{
	FILE *f = fopen(path, "re");
	bool got = f && fgets(out, size, f);

	if (f)
		fclose(f);
	if (got)
		out[strcspn(out, "\n")] = '\0';
	return got;
}

static void check_machine(struct doctor *d)
{
	char type[64] = "", capabilities[64] = "";

	read_line("/sys/hypervisor/type", type, sizeof(type));
	d->xen = !strcmp(type, "xen");
	if (!d->xen) {
		say(d, VERDICT_NOTE, "machine",
		    "no domain of Xen: guests are served through QEMU's vgpu-stub and a socket; "
		    "what is about Xen is left out");
		return;
	}
	read_line("/proc/xen/capabilities", capabilities, sizeof(capabilities));
	d->dom0 = strstr(capabilities, "control_d") != NULL;
	say(d, VERDICT_OK, "machine", "Xen, %s",
	    d->dom0 ? "the control domain" : "a domain that is not the control domain");
}

static void check_device_file(struct doctor *d, const char *path, const char *module)
{
	if (access(path, R_OK | W_OK) == 0)
		say(d, VERDICT_OK, "kernel", "%s is there", path);
	else if (errno == ENOENT)
		say(d, VERDICT_FAIL, "kernel",
		    "%s is missing: `modprobe %s`, and put that name into /etc/modules-load.d/",
		    path, module);
	else
		say(d, geteuid() ? VERDICT_NOTE : VERDICT_FAIL, "kernel", "%s: %s%s", path,
		    strerror(errno), geteuid() ? ": run it as root" : "");
}

/* Its relative paths are those of the domain that asks. */
static bool own_domid(struct doctor *d)
{
	char text[VGPU_XS_VALUE_MAX + 1];

	return xen_read(d->a->xs, XBT_NULL, "domid", text, sizeof(text)) == 0 &&
	       decimal_parse(text, XEN_DOMID_MAX, &d->domid);
}

static void check_store(struct doctor *d)
{
	char path[XEN_PATH_BYTES], **names;
	unsigned int n;
	int rc = admin_try_open(d->a);

	if (rc < 0) {
		say(d, VERDICT_FAIL, "xenstore",
		    rc == -EACCES || rc == -EPERM
			    ? "not permitted: run it as root"
			    : "cannot be reached: in dom0, does xenstored run? elsewhere, "
			      "`modprobe xenfs && mount -t xenfs xenfs /proc/xen`");
		return;
	}
	/* In dom0 the node is missing where the toolstack did not write it. */
	d->has_domid = own_domid(d);
	if (!d->has_domid && d->dom0) {
		d->domid = 0;
		d->has_domid = true;
	}
	if (!d->has_domid) {
		say(d, VERDICT_FAIL, "xenstore",
		    "reachable, but its node `domid` does not say which domain this is");
		return;
	}
	say(d, VERDICT_OK, "xenstore", "reachable; this is %s", admin_domain_label(d->a, d->domid));
	snprintf(path, sizeof(path), "/local/domain/%u/backend/" VGPU_XS_DEVICE_TYPE, d->domid);
	names = xs_directory(d->a->xs, XBT_NULL, path, &n);
	if (names)
		say(d, VERDICT_OK, "xenstore", "%s can be read; guests in it: %u", path, n);
	else if (errno == ENOENT)
		say(d, VERDICT_NOTE, "xenstore",
		    "%s is not there: no guest was ever attached to this domain: `vgpu-admin "
		    "attach GUEST --backend-domain %u` in dom0",
		    path, d->domid);
	else
		say(d, VERDICT_FAIL, "xenstore",
		    "%s cannot be read: %s: attach a guest again in dom0, which repairs it", path,
		    strerror(errno));
	free(names);
}

void check_xen(struct doctor *d)
{
	check_machine(d);
	/* A private xenstored, as tests have, is asked wherever it runs. */
	if (!d->xen && !getenv("XENSTORED_RUNDIR"))
		return;
	if (d->xen) {
		check_device_file(d, "/dev/xen/gntdev", "xen-gntdev");
		check_device_file(d, "/dev/xen/evtchn", "xen-evtchn");
	}
	check_store(d);
}

struct node_report {
	struct doctor *d;
	const struct xen_device *dev;
};

static void on_problem(void *ctx, const char *text)
{
	struct node_report *r = ctx;

	say(r->d, VERDICT_FAIL, "nodes",
	    "%s: `vgpu-admin attach %u --device %u --backend-domain %u` repairs it, and ends its "
	    "channels",
	    admin_safe(text), r->dev->domid, r->dev->number, r->dev->backend);
}

static void check_device(struct doctor *d, const struct xen_device *dev)
{
	struct node_report r = { .d = d, .dev = dev };
	const char *stale = xen_nodes_stale(d->a->xs, XBT_NULL, dev);
	uint32_t mediator = admin_back_state(d->a, dev);
	char path[XEN_PATH_BYTES], label[160];
	unsigned int problems = 0;
	bool served = mediator == VGPU_XS_INIT_WAIT || mediator == VGPU_XS_CONNECTED;
	int rc;

	snprintf(label, sizeof(label), "%.100s: device %u in domain %u",
		 admin_domain_label(d->a, dev->domid), dev->number, dev->backend);
	if (stale) {
		say(d, VERDICT_NOTE, "device", "%s: stale: %s: `vgpu-admin sweep` removes it",
		    label, stale);
		return;
	}
	rc = xen_nodes_check(d->a->xs, XBT_NULL, dev, on_problem, &r, &problems);
	if (rc < 0 && rc != -EACCES) /* what only dom0 may see is checked there */
		say(d, VERDICT_FAIL, "nodes", "%s: read: %s", label, strerror(-rc));
	xen_front_path(dev, VGPU_XS_STATE, path);
	if (served)
		say(d, VERDICT_OK, "device", "%s: served: guest %s, mediator %s", label,
		    admin_state(xen_read_state(d->a->xs, path)), admin_state(mediator));
	else
		say(d, VERDICT_FAIL, "device",
		    "%s: nobody serves it (mediator %s): start gpu_mediator in domain %u, with "
		    "[xen] enabled; its log says more",
		    label, admin_state(mediator), dev->backend);
}

void check_attached(struct doctor *d, uint32_t only)
{
	struct xen_device *all;
	unsigned int count, seen = 0;
	int rc;

	if (!d->a->xs || !d->has_domid)
		return;
	rc = xen_devices(d->a->xs, XBT_NULL, &all, &count);
	if (rc < 0) {
		say(d, VERDICT_NOTE, "device", "the devices cannot be listed here: %s: ask dom0",
		    strerror(-rc));
		return;
	}
	for (unsigned int i = 0; i < count; i++) {
		if (only != UINT32_MAX && all[i].domid != only)
			continue;
		check_device(d, &all[i]);
		seen++;
	}
	free(all);
	if (!seen && only != UINT32_MAX)
		say(d, VERDICT_FAIL, "device", "%s has none: `vgpu-admin attach %u`",
		    admin_domain_label(d->a, only), only);
	else if (!seen)
		say(d, VERDICT_NOTE, "device", "none is attached: `vgpu-admin attach GUEST`");
}
