/* SPDX-License-Identifier: GPL-2.0-or-later */
/* list: all devices, their states, and their channels. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"
#include "decimal.h"
#include "vgpu_xenstore.h"

#define ERROR_BYTES 256 /* of a channel's `error` that is shown */

static char *value_at(struct admin *a, bool front, const struct xen_device *dev, const char *leaf,
		      char *value, size_t size)
{
	char path[XEN_PATH_BYTES];

	if (front)
		xen_front_path(dev, leaf, path);
	else
		xen_back_path(dev, leaf, path);
	if (xen_read(a->xs, XBT_NULL, path, value, size) < 0)
		*value = '\0';
	return value;
}

static uint32_t state_at(struct admin *a, bool front, const struct xen_device *dev,
			 const char *leaf)
{
	char path[XEN_PATH_BYTES];

	if (front)
		xen_front_path(dev, leaf, path);
	else
		xen_back_path(dev, leaf, path);
	return xen_read_state(a->xs, path);
}

/* Which channels one side names; both sides are strangers, so no more than there can be. */
static uint64_t channels_at(struct admin *a, bool front, const struct xen_device *dev)
{
	char path[XEN_PATH_BYTES], **names;
	uint64_t set = 0;
	unsigned int n;

	if (front)
		xen_front_path(dev, NULL, path);
	else
		xen_back_path(dev, NULL, path);
	names = xs_directory(a->xs, XBT_NULL, path, &n);
	for (unsigned int i = 0; names && i < n; i++) {
		uint32_t k;

		if (!strncmp(names[i], VGPU_XS_CHANNEL_PREFIX, strlen(VGPU_XS_CHANNEL_PREFIX)) &&
		    decimal_parse(names[i] + strlen(VGPU_XS_CHANNEL_PREFIX),
				  VGPU_XS_CHANNELS_MAX - 1, &k))
			set |= 1ull << k;
	}
	free(names);
	return set;
}

static void add_text(json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text));
}

static void add_number(json_object *o, const char *key, uint32_t number)
{
	json_object_object_add(o, key, json_object_new_int64(number));
}

/* Added only where it is a number: others wrote it. */
static void add_parsed(json_object *o, const char *key, const char *text)
{
	uint32_t n;

	if (decimal_parse(text, UINT32_MAX, &n))
		add_number(o, key, n);
}

static void show_channel(struct admin *a, const struct xen_device *dev, uint32_t k,
			 json_object *list)
{
	char leaf[40], pages[VGPU_XS_VALUE_MAX + 1], error[ERROR_BYTES];
	json_object *o = json_object_new_object();
	const char *guest, *mediator;

	snprintf(leaf, sizeof(leaf), VGPU_XS_CHANNEL_FMT "/" VGPU_XS_STATE, k);
	guest = admin_state(state_at(a, true, dev, leaf));
	mediator = admin_state(state_at(a, false, dev, leaf));
	snprintf(leaf, sizeof(leaf), VGPU_XS_CHANNEL_FMT "/" VGPU_XS_PAGES, k);
	value_at(a, true, dev, leaf, pages, sizeof(pages));
	snprintf(leaf, sizeof(leaf), VGPU_XS_CHANNEL_FMT "/" VGPU_XS_ERROR, k);
	value_at(a, false, dev, leaf, error, sizeof(error));

	add_number(o, "number", k);
	add_text(o, "guest_state", guest);
	add_text(o, "mediator_state", mediator);
	add_parsed(o, "pages", pages);
	if (*error)
		add_text(o, "error", admin_safe(error));
	json_object_array_add(list, o);
	admin_print(a, "  channel %-2u  guest %s, mediator %s", k, guest, mediator);
	if (*pages)
		admin_print(a, ", %s pages", admin_safe(pages));
	admin_print(a, "%s%s\n", *error ? ": " : "", *error ? admin_safe(error) : "");
}

static void show_device(struct admin *a, const struct xen_device *dev, json_object *list)
{
	char name[XEN_NAME_BYTES], uuid[VGPU_XS_VALUE_MAX + 1], text[VGPU_XS_VALUE_MAX + 1];
	const char *stale = xen_nodes_stale(a->xs, XBT_NULL, dev);
	uint32_t guest = state_at(a, true, dev, VGPU_XS_STATE);
	uint32_t mediator = admin_back_state(a, dev);
	uint64_t channels = channels_at(a, true, dev) | channels_at(a, false, dev);
	json_object *o = json_object_new_object(), *array = json_object_new_array();
	bool offline;

	value_at(a, false, dev, VGPU_XS_DOMAIN, name, sizeof(name));
	if (!stale)
		xen_domain_name(a->xs, XBT_NULL, dev->domid, name);
	offline = strcmp(value_at(a, false, dev, VGPU_XS_ONLINE, text, sizeof(text)), "1") != 0;
	add_number(o, "domid", dev->domid);
	add_text(o, "name", admin_safe(name));
	add_text(o, "uuid", admin_safe(value_at(a, false, dev, VGPU_XS_UUID, uuid, sizeof(uuid))));
	add_number(o, "device", dev->number);
	add_number(o, "backend_domid", dev->backend);
	json_object_object_add(o, "online", json_object_new_boolean(!offline));
	add_text(o, "guest_state", admin_state(guest));
	add_text(o, "mediator_state", admin_state(mediator));
	value_at(a, false, dev, VGPU_XS_RELEASE, text, sizeof(text));
	if (*text)
		add_text(o, "mediator_release", admin_safe(text));
	add_parsed(o, "max_channels",
		   value_at(a, false, dev, VGPU_XS_MAX_CHANNELS, text, sizeof(text)));
	add_parsed(o, "max_window_pages",
		   value_at(a, false, dev, VGPU_XS_MAX_WINDOW_PAGES, text, sizeof(text)));
	if (stale)
		add_text(o, "stale", stale);
	json_object_object_add(o, "channels", array);
	json_object_array_add(list, o);

	admin_print(a, "%-6u %-24s %-7u %-8u %-13s %s%s%s%s\n", dev->domid, admin_safe(name),
		    dev->number, dev->backend, admin_state(guest),
		    mediator == VGPU_XS_INITIALISING ? "nobody serves it" : admin_state(mediator),
		    offline ? ", being detached" : "", stale ? ", stale: " : "",
		    stale ? stale : "");
	for (uint32_t k = 0; k < VGPU_XS_CHANNELS_MAX; k++)
		if (channels & (1ull << k))
			show_channel(a, dev, k, array);
}

int command_list(struct admin *a, int argc, char **argv)
{
	json_object *list = json_object_new_array();
	uint32_t only = UINT32_MAX, backend = UINT32_MAX;
	struct xen_device *all;
	unsigned int count, shown = 0;
	int code, rc;

	json_object_object_add(a->result, "devices", list);
	if (argc > 1)
		return admin_usage(a, "list: at most one domain");
	code = admin_open(a);
	if (code == ADMIN_DONE && argc)
		code = admin_domain(a, argv[0], &only);
	if (code == ADMIN_DONE && a->backend_domain)
		code = admin_domain(a, a->backend_domain, &backend);
	if (code != ADMIN_DONE)
		return code;
	rc = xen_devices(a->xs, XBT_NULL, &all, &count);
	if (rc < 0)
		return admin_fail_errno(a, "backends: look up", rc);
	for (unsigned int i = 0; i < count; i++) {
		if ((only != UINT32_MAX && all[i].domid != only) ||
		    (backend != UINT32_MAX && all[i].backend != backend))
			continue;
		if (!shown++)
			admin_print(a, "%-6s %-24s %-7s %-8s %-13s %s\n", "DOMAIN", "NAME",
				    "DEVICE", "BACKEND", "GUEST", "MEDIATOR");
		show_device(a, &all[i], list);
	}
	free(all);
	if (!shown)
		admin_print(
			a, only == UINT32_MAX
				   ? "No domain has a vGPU; `vgpu-admin attach DOMAIN` gives one.\n"
				   : "The domain has no vGPU; `vgpu-admin attach` gives it one.\n");
	return ADMIN_DONE;
}
