/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attach, detach and sweep: what changes XenStore. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"
#include "decimal.h"
#include "vgpu_xenstore.h"

#define ANSWER_MS 5000

static bool is_served(uint32_t state)
{
	return state == VGPU_XS_INIT_WAIT || state == VGPU_XS_CONNECTED;
}

/* Nobody there counts as well: then there is nothing to wait for. */
static bool is_over(uint32_t state)
{
	return state == VGPU_XS_CLOSED || state == VGPU_XS_INITIALISING || state == VGPU_XS_UNKNOWN;
}

static int attach_failed(struct admin *a, const struct xen_device *dev,
			 const struct xen_attached *done, int rc)
{
	char what[128];

	switch (rc) {
	case -EBUSY:
		return admin_fail(a, ADMIN_BUSY,
				  "%s: device %u: attached to a mediator in %s; detach it first",
				  admin_domain_label(a, dev->domid), dev->number,
				  admin_domain_label(a, done->other));
	case -EINVAL:
		if (dev->domid == 0)
			return admin_fail(a, ADMIN_USAGE, "domain 0 cannot be a guest");
		return admin_fail(a, ADMIN_USAGE, "%s: a domain cannot serve itself",
				  admin_domain_label(a, dev->domid));
	case -ESRCH:
		return admin_fail(a, ADMIN_NO_DOMAIN, "domain %u or %u: is gone", dev->domid,
				  dev->backend);
	default:
		snprintf(what, sizeof(what), "%.64s: device %u: attach",
			 admin_domain_label(a, dev->domid), dev->number);
		return admin_fail_errno(a, what, rc);
	}
}

int command_attach(struct admin *a, int argc, char **argv)
{
	struct xen_device dev = { .number = a->device };
	struct xen_attached done;
	uint32_t state;
	int code, rc;

	if (argc != 1)
		return admin_usage(a, "attach: needs one domain");
	code = admin_open(a);
	if (code == ADMIN_DONE)
		code = admin_domain(a, argv[0], &dev.domid);
	if (code == ADMIN_DONE && a->backend_domain)
		code = admin_domain(a, a->backend_domain, &dev.backend);
	if (code != ADMIN_DONE)
		return code;
	rc = xen_nodes_attach(a->xs, &dev, &done);
	if (rc < 0)
		return attach_failed(a, &dev, &done, rc);

	state = admin_wait(a, &dev, is_served, ANSWER_MS);
	admin_add_number(a, "domid", dev.domid);
	admin_add_number(a, "device", dev.number);
	admin_add_number(a, "backend_domid", dev.backend);
	admin_add_bool(a, "already", done.already);
	admin_add_bool(a, "served", is_served(state));
	admin_print(a, "%s: device %u %s\n", admin_domain_label(a, dev.domid), dev.number,
		    done.already ? "is attached already" : "attached");
	if (is_served(state))
		admin_print(a, "The mediator in %s serves it.\n",
			    admin_domain_label(a, dev.backend));
	else
		admin_print(a,
			    "Note: no mediator in %s serves it yet. It may be started later; "
			    "`vgpu-admin doctor` there says what is missing.\n",
			    admin_domain_label(a, dev.backend));
	return ADMIN_DONE;
}

/* Who has the device; -ENOENT: nobody. One of an earlier life is for sweep. */
static int find_backend(struct admin *a, struct xen_device *dev)
{
	struct xen_device *all;
	unsigned int count;
	int rc = xen_devices(a->xs, XBT_NULL, &all, &count);

	if (rc < 0)
		return rc;
	rc = -ENOENT;
	for (unsigned int i = 0; i < count; i++) {
		if (all[i].domid != dev->domid || all[i].number != dev->number)
			continue;
		if (rc == 0 && xen_nodes_stale(a->xs, XBT_NULL, &all[i]))
			continue;
		dev->backend = all[i].backend;
		rc = 0;
	}
	free(all);
	return rc;
}

static int detach_device(struct admin *a, struct xen_device *dev)
{
	char what[128];
	uint32_t state = VGPU_XS_UNKNOWN;
	int rc = xen_nodes_offline(a->xs, dev);

	if (rc == 0 && !is_over(admin_back_state(a, dev)))
		state = admin_wait(a, dev, is_over, ANSWER_MS);
	if (!is_over(state))
		admin_print(a,
			    "Note: the mediator in %s did not say that all channels have ended; "
			    "they lose their device now.\n",
			    admin_domain_label(a, dev->backend));
	if (rc == 0 || rc == -ENOENT)
		rc = xen_nodes_remove(a->xs, dev, NULL);
	admin_add_bool(a, "was_attached", rc == 0);
	if (rc == 0) {
		admin_print(a, "%s: device %u detached\n", admin_domain_label(a, dev->domid),
			    dev->number);
		return ADMIN_DONE;
	}
	if (rc == -ENOENT) {
		admin_print(a, "%s: device %u is not attached\n", admin_domain_label(a, dev->domid),
			    dev->number);
		return ADMIN_DONE;
	}
	snprintf(what, sizeof(what), "%.64s: device %u: detach", admin_domain_label(a, dev->domid),
		 dev->number);
	return admin_fail_errno(a, what, rc);
}

int command_detach(struct admin *a, int argc, char **argv)
{
	struct xen_device dev = { .number = a->device };
	int code, rc;

	if (argc != 1)
		return admin_usage(a, "detach: needs one domain");
	code = admin_open(a);
	if (code != ADMIN_DONE)
		return code;
	/* What a domain that has gone left behind can be detached by its number. */
	if (!decimal_parse(argv[0], XEN_DOMID_MAX, &dev.domid) || find_backend(a, &dev) < 0)
		code = admin_domain(a, argv[0], &dev.domid);
	if (code != ADMIN_DONE)
		return code;
	rc = find_backend(a, &dev);
	if (rc < 0 && rc != -ENOENT)
		return admin_fail_errno(a, "backends: look up", rc);
	admin_add_number(a, "domid", dev.domid);
	admin_add_number(a, "device", dev.number);
	return detach_device(a, &dev);
}

int command_sweep(struct admin *a, int argc, char **argv)
{
	json_object *removed = json_object_new_array();
	struct xen_device *all;
	unsigned int count, swept = 0;
	int code, rc;

	json_object_object_add(a->result, "removed", removed);
	(void)argv;
	if (argc)
		return admin_usage(a, "sweep: takes no arguments");
	code = admin_open(a);
	if (code != ADMIN_DONE)
		return code;
	rc = xen_devices(a->xs, XBT_NULL, &all, &count);
	if (rc < 0)
		return admin_fail_errno(a, "backends: look up", rc);
	for (unsigned int i = 0; code == ADMIN_DONE && i < count; i++) {
		const char *why = xen_nodes_stale(a->xs, XBT_NULL, &all[i]);
		char path[XEN_PATH_BYTES];

		if (!why)
			continue;
		xen_back_path(&all[i], NULL, path);
		rc = xen_nodes_remove(a->xs, &all[i], NULL);
		if (rc < 0 && rc != -ENOENT) {
			code = admin_fail_errno(a, path, rc);
			continue;
		}
		json_object_array_add(removed, json_object_new_string(path));
		admin_print(a, "%s: removed: %s\n", path, why);
		swept++;
	}
	free(all);
	if (code == ADMIN_DONE && !swept)
		admin_print(a, "Nothing to sweep.\n");
	return code;
}
