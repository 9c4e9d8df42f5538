/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Domains and devices, as XenStore has them. */
#include "xen_nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decimal.h"
#include "vgpu_xenstore.h"

#define DOMAINS "/local/domain"

static void join(char path[XEN_PATH_BYTES], const char *leaf)
{
	size_t n = strlen(path);

	if (leaf)
		snprintf(path + n, XEN_PATH_BYTES - n, "/%s", leaf);
}

void xen_front_path(const struct xen_device *dev, const char *leaf, char path[XEN_PATH_BYTES])
{
	snprintf(path, XEN_PATH_BYTES, DOMAINS "/%u/device/" VGPU_XS_DEVICE_TYPE "/%u", dev->domid,
		 dev->number);
	join(path, leaf);
}

void xen_back_path(const struct xen_device *dev, const char *leaf, char path[XEN_PATH_BYTES])
{
	snprintf(path, XEN_PATH_BYTES, DOMAINS "/%u/backend/" VGPU_XS_DEVICE_TYPE "/%u/%u",
		 dev->backend, dev->domid, dev->number);
	join(path, leaf);
}

int xen_read(struct xs_handle *xs, xs_transaction_t t, const char *path, char *value, size_t size)
{
	unsigned int len;
	char *text = xs_read(xs, t, path, &len);
	int rc = 0;

	*value = '\0';
	if (!text)
		return -errno;
	if (len >= size || strlen(text) != len)
		rc = -EPROTO;
	else
		memcpy(value, text, len + 1);
	free(text);
	return rc;
}

uint32_t xen_read_state(struct xs_handle *xs, const char *path)
{
	char text[VGPU_XS_VALUE_MAX + 1];
	uint32_t state;

	if (xen_read(xs, XBT_NULL, path, text, sizeof(text)) < 0 ||
	    !decimal_parse(text, VGPU_XS_CLOSED, &state))
		return VGPU_XS_UNKNOWN;
	return state;
}

static bool is_uuid(const char *text)
{
	if (strlen(text) != XEN_UUID_CHARS)
		return false;
	for (unsigned int i = 0; i < XEN_UUID_CHARS; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
			return false;
	}
	return true;
}

/* Toolstacks say it in the path `vm`, which the guest can read only: /vm/UUID. */
int xen_domain_uuid(struct xs_handle *xs, xs_transaction_t t, uint32_t domid,
		    char uuid[XEN_UUID_CHARS + 1])
{
	char path[XEN_PATH_BYTES], vm[XEN_PATH_BYTES];
	const char *slash;
	int rc;

	snprintf(path, sizeof(path), DOMAINS "/%u/vm", domid);
	rc = xen_read(xs, t, path, vm, sizeof(vm));
	if (rc < 0)
		return rc == -ENOENT ? -ESRCH : rc;
	slash = strrchr(vm, '/');
	if (!slash || !is_uuid(slash + 1))
		return -ESRCH;
	memcpy(uuid, slash + 1, XEN_UUID_CHARS + 1);
	return 0;
}

void xen_domain_name(struct xs_handle *xs, xs_transaction_t t, uint32_t domid,
		     char name[XEN_NAME_BYTES])
{
	char path[XEN_PATH_BYTES], *text;

	snprintf(path, sizeof(path), DOMAINS "/%u/name", domid);
	text = xs_read(xs, t, path, NULL);
	snprintf(name, XEN_NAME_BYTES, "%s", text ? text : "");
	free(text);
}

static int find_by_name(struct xs_handle *xs, const char *name, uint32_t *domid)
{
	unsigned int n, found = 0;
	char **ids = xs_directory(xs, XBT_NULL, DOMAINS, &n);
	uint32_t id;

	if (!ids)
		return errno == ENOENT ? -ESRCH : -errno;
	for (unsigned int i = 0; i < n; i++) {
		char path[XEN_PATH_BYTES], *text;

		if (!decimal_parse(ids[i], XEN_DOMID_MAX, &id))
			continue;
		snprintf(path, sizeof(path), DOMAINS "/%u/name", id);
		text = xs_read(xs, XBT_NULL, path, NULL);
		if (text && !strcmp(text, name)) {
			*domid = id;
			found++;
		}
		free(text);
	}
	free(ids);
	return found == 1 ? 0 : found ? -ENOTUNIQ : -ESRCH;
}

int xen_domain_find(struct xs_handle *xs, const char *text, uint32_t *domid)
{
	char uuid[XEN_UUID_CHARS + 1];

	if (!decimal_parse(text, XEN_DOMID_MAX, domid))
		return find_by_name(xs, text, domid);
	return *domid == 0 ? 0 : xen_domain_uuid(xs, XBT_NULL, *domid, uuid);
}

struct device_list {
	struct xen_device *devices;
	unsigned int count;
};

static int add_device(struct device_list *list, const struct xen_device *dev)
{
	struct xen_device *more =
		realloc(list->devices, (list->count + 1) * sizeof(*list->devices));

	if (!more)
		return -ENOMEM;
	list->devices = more;
	list->devices[list->count++] = *dev;
	return 0;
}

/* The numbers in a directory, in its order; one that is not there is empty. */
static int numbers(struct xs_handle *xs, xs_transaction_t t, const char *path, uint32_t max,
		   uint32_t **out, unsigned int *count)
{
	unsigned int n;
	char **names = xs_directory(xs, t, path, &n);

	*count = 0;
	*out = NULL;
	if (!names)
		return errno == ENOENT ? 0 : -errno;
	*out = calloc(n ? n : 1, sizeof(**out));
	if (!*out) {
		free(names);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < n; i++)
		if (decimal_parse(names[i], max, &(*out)[*count]))
			(*count)++;
	free(names);
	return 0;
}

static int devices_of(struct xs_handle *xs, xs_transaction_t t, uint32_t backend,
		      struct device_list *list)
{
	struct xen_device dev = { .backend = backend };
	uint32_t *guests = NULL, *devices = NULL;
	unsigned int nr_guests, nr_devices;
	char path[XEN_PATH_BYTES];
	int rc;

	snprintf(path, sizeof(path), DOMAINS "/%u/backend/" VGPU_XS_DEVICE_TYPE, backend);
	rc = numbers(xs, t, path, XEN_DOMID_MAX, &guests, &nr_guests);
	for (unsigned int i = 0; rc == 0 && i < nr_guests; i++) {
		dev.domid = guests[i];
		snprintf(path, sizeof(path), DOMAINS "/%u/backend/" VGPU_XS_DEVICE_TYPE "/%u",
			 backend, dev.domid);
		rc = numbers(xs, t, path, VGPU_XS_DEVICES_MAX - 1, &devices, &nr_devices);
		for (unsigned int k = 0; rc == 0 && k < nr_devices; k++) {
			dev.number = devices[k];
			rc = add_device(list, &dev);
		}
		free(devices);
	}
	free(guests);
	return rc;
}

static int by_guest(const void *a, const void *b)
{
	const struct xen_device *x = a, *y = b;

	if (x->domid != y->domid)
		return x->domid < y->domid ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->backend < y->backend ? -1 : x->backend > y->backend;
}

int xen_devices(struct xs_handle *xs, xs_transaction_t t, struct xen_device **out,
		unsigned int *count)
{
	struct device_list list = { NULL, 0 };
	unsigned int nr;
	uint32_t *domains;
	int rc = numbers(xs, t, DOMAINS, XEN_DOMID_MAX, &domains, &nr);
	char text[VGPU_XS_VALUE_MAX + 1];
	uint32_t own;

	/* A relative path is in the domain's own directory. */
	if (rc == -EACCES && xen_read(xs, t, "domid", text, sizeof(text)) == 0 &&
	    decimal_parse(text, XEN_DOMID_MAX, &own))
		rc = devices_of(xs, t, own, &list);
	for (unsigned int i = 0; rc == 0 && i < nr; i++)
		rc = devices_of(xs, t, domains[i], &list);
	free(domains);
	if (rc < 0) {
		free(list.devices);
		return rc;
	}
	if (list.count)
		qsort(list.devices, list.count, sizeof(*list.devices), by_guest);
	*out = list.devices;
	*count = list.count;
	return 0;
}
