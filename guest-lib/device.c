/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device.h"

#include <errno.h>
#include <pci/pci.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../protocol/vgpu_errors.h"
#include "../protocol/vgpu_pci.h"

#define UIO_DRIVER "uio_pci_generic"

const char *device_sysfs = "/sys";
const char *device_dev = "/dev";

/* libpci ends the program on errors unless its callback leaves by a jump. */
static _Thread_local jmp_buf on_pci_error;
static _Thread_local char pci_error_text[256];

static void __attribute__((noreturn, format(printf, 1, 2))) pci_failed(char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(pci_error_text, sizeof(pci_error_text), format, ap);
	va_end(ap);
	longjmp(on_pci_error, 1);
}

static void __attribute__((format(printf, 1, 2))) pci_silent(char *format, ...)
{
	(void)format;
}

/* An access to sysfs, not yet initialised. */
static struct pci_access *access_new(void)
{
	struct pci_access *pacc = pci_alloc();
	static char name[] = "sysfs.path";
	char path[4096];

	pacc->method = PCI_ACCESS_SYS_BUS_PCI;
	pacc->error = pci_failed;
	pacc->warning = pci_silent;
	pacc->debug = pci_silent;
	snprintf(path, sizeof(path), "%s/bus/pci", device_sysfs);
	pci_set_param(pacc, name, path);
	return pacc;
}

static int is_ours(struct pci_dev *p)
{
	pci_fill_info(p, PCI_FILL_IDENT | PCI_FILL_CLASS);
	return p->vendor_id == VGPU_PCI_VENDOR_ID && p->device_id == VGPU_PCI_DEVICE_ID &&
	       p->device_class == VGPU_PCI_CLASS;
}

static void take(struct device *out, struct pci_dev *p)
{
	int known = pci_fill_info(p, PCI_FILL_BASES | PCI_FILL_SIZES);

	snprintf(out->address, sizeof(out->address), "%04x:%02x:%02x.%x", p->domain & 0xffff,
		 p->bus, p->dev, p->func & 7);
	out->window_bytes = known & PCI_FILL_SIZES ? p->size[VGPU_BAR_WINDOW] : 0;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct device *)a)->address, ((const struct device *)b)->address);
}

int device_scan(struct device out[DEVICES_MAX], struct cause *why)
{
	struct pci_access *volatile pacc;
	volatile int n = 0;
	char path[4096];

	/* A container, or a machine without PCI. */
	snprintf(path, sizeof(path), "%s/bus/pci/devices", device_sysfs);
	if (access(path, F_OK) < 0)
		return 0;
	pacc = access_new();
	if (setjmp(on_pci_error)) {
		pci_cleanup(pacc);
		return because(why, VGPU_EIO, "pci: scan: %s", pci_error_text);
	}
	pci_init(pacc);
	pci_scan_bus(pacc);
	for (struct pci_dev *p = pacc->devices; p && n < DEVICES_MAX; p = p->next) {
		if (is_ours(p)) {
			take(&out[n], p);
			n++;
		}
	}
	pci_cleanup(pacc);
	qsort(out, (size_t)n, sizeof(out[0]), by_address);
	return n;
}

int device_get(struct device *out, const char *address, struct cause *why)
{
	struct pci_access *volatile pacc;
	unsigned int domain, bus, dev, func;
	struct pci_dev *p;
	char path[4096];
	int end = 0, ours;

	if (sscanf(address, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &func, &end) != 4 ||
	    address[end] || end != 12 || dev > 31 || func > 7)
		return because(why, VGPU_EINVAL, "pci: \"%s\" is no address like 0000:00:04.0",
			       address);
	snprintf(out->address, sizeof(out->address), "%04x:%02x:%02x.%x", domain, bus, dev, func);
	device_path(path, sizeof(path), out, "config");
	if (access(path, F_OK) < 0)
		return because(why, VGPU_ENODEV, "pci:%s: no such device", out->address);

	pacc = access_new();
	if (setjmp(on_pci_error)) {
		pci_cleanup(pacc);
		return because(why, VGPU_ENODEV, "pci:%s: %s", address, pci_error_text);
	}
	pci_init(pacc);
	p = pci_get_dev(pacc, (int)domain, (int)bus, (int)dev, (int)func);
	ours = is_ours(p);
	if (ours)
		take(out, p);
	else
		because(why, VGPU_ENODEV,
			"pci:%s: is %04x:%04x of class %04x; a vgpu-stub is %04x:%04x of class "
			"%04x",
			address, p->vendor_id, p->device_id, p->device_class, VGPU_PCI_VENDOR_ID,
			VGPU_PCI_DEVICE_ID, VGPU_PCI_CLASS);
	pci_free_dev(p);
	pci_cleanup(pacc);
	return ours ? 0 : VGPU_ENODEV;
}

void device_path(char *out, size_t size, const struct device *d, const char *file)
{
	snprintf(out, size, "%s/bus/pci/devices/%s/%s", device_sysfs, d->address, file);
}

int device_bound(const struct device *d, struct cause *why)
{
	char path[4096], driver[256];
	const char *name = "none";
	ssize_t n;

	device_path(path, sizeof(path), d, "driver");
	n = readlink(path, driver, sizeof(driver) - 1);
	if (n > 0) {
		driver[n] = '\0';
		name = strrchr(driver, '/') ? strrchr(driver, '/') + 1 : driver;
		if (!strcmp(name, UIO_DRIVER))
			return 0;
	}
	return because(
		why, VGPU_ENOTBOUND,
		"driver is %s, not " UIO_DRIVER
		": install the udev rule 60-vgpu.rules, or set driver_override and write the "
		"address to drivers_probe",
		name);
}
