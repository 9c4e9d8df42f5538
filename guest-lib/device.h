/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which vgpu-stub functions this machine has. Reads sysfs only, touches no register. */
#ifndef GUEST_DEVICE_H
#define GUEST_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include "last_error.h"

/* Where sysfs and /dev are; tests point them elsewhere. */
extern const char *device_sysfs;
extern const char *device_dev;

struct device {
	char address[16];      /* "0000:00:04.0" */
	uint64_t window_bytes; /* of BAR2; 0: there is none */
};

#define DEVICES_MAX 32

/*
 * All functions whose vendor, device and class are ours, in the order of their addresses.
 * Returns how many, at most DEVICES_MAX, or VGPU_EIO.
 */
int device_scan(struct device out[DEVICES_MAX], struct cause *why);

/* The one at @address, without looking at others. VGPU_EINVAL, VGPU_ENODEV. */
int device_get(struct device *out, const char *address, struct cause *why);

/* Write the path of @file of the device in sysfs. */
void device_path(char *out, size_t size, const struct device *d, const char *file);

/* Is it bound to uio_pci_generic? Returns 0, or VGPU_ENOTBOUND. */
int device_bound(const struct device *d, struct cause *why);

#endif
