/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into a real xenstored, so that it runs where there is no Xen: in place of the
 * hypervisor it finds a dom0, and every domain alive. Its clients are processes on its socket,
 * and all of them dom0. Nothing here is ours to test: it is what lets the tests of xen_nodes.c
 * and vgpu-admin have XenStore itself.
 */
#define __XEN_TOOLS__ 1
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xenctrl.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define EXPORT __attribute__((visibility("default")))
#define PORT_OF_VIRQ 999
#define INTERFACE_BYTES 4096

/* Never readable: no domain signals. */
static int events = -1;

EXPORT xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)logger;
	(void)flags;
	events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return events < 0 ? NULL : (xenevtchn_handle *)&events;
}

EXPORT xenevtchn_handle *xenevtchn_fdopen(struct xentoollog_logger *logger, int fd,
					  unsigned int flags)
{
	(void)fd;
	return xenevtchn_open(logger, flags);
}

EXPORT int xenevtchn_fd(xenevtchn_handle *h)
{
	(void)h;
	return events;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *h, uint32_t domid,
							    evtchn_port_t port)
{
	(void)h;
	(void)domid;
	return (xenevtchn_port_or_error_t)port;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *h, unsigned int virq)
{
	(void)h;
	(void)virq;
	return PORT_OF_VIRQ;
}

EXPORT xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *h)
{
	(void)h;
	return -1;
}

EXPORT int xenevtchn_unmask(xenevtchn_handle *h, evtchn_port_t port)
{
	(void)h;
	(void)port;
	return 0;
}

EXPORT int xenevtchn_unbind(xenevtchn_handle *h, evtchn_port_t port)
{
	return xenevtchn_unmask(h, port);
}

EXPORT int xenevtchn_notify(xenevtchn_handle *h, evtchn_port_t port)
{
	return xenevtchn_unmask(h, port);
}

EXPORT xengnttab_handle *xengnttab_open(struct xentoollog_logger *logger, unsigned int flags)
{
	(void)logger;
	(void)flags;
	return (xengnttab_handle *)&events;
}

EXPORT int xengnttab_close(xengnttab_handle *h)
{
	(void)h;
	return 0;
}

EXPORT int xengnttab_set_max_grants(xengnttab_handle *h, uint32_t count)
{
	(void)h;
	(void)count;
	return 0;
}

EXPORT void *xengnttab_map_grant_ref(xengnttab_handle *h, uint32_t domid, uint32_t ref, int prot)
{
	void *p = mmap(NULL, INTERFACE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);

	(void)h;
	(void)domid;
	(void)ref;
	(void)prot;
	return p == MAP_FAILED ? NULL : p;
}

EXPORT int xengnttab_unmap(xengnttab_handle *h, void *p, uint32_t count)
{
	(void)h;
	return munmap(p, (size_t)count * INTERFACE_BYTES);
}

EXPORT xc_interface *xc_interface_open(struct xentoollog_logger *logger,
				       struct xentoollog_logger *dom, unsigned int flags)
{
	(void)logger;
	(void)dom;
	(void)flags;
	return (xc_interface *)&events;
}

EXPORT int xc_interface_close(xc_interface *h)
{
	(void)h;
	return 0;
}

EXPORT int xc_domain_getinfo(xc_interface *h, uint32_t first, unsigned int max, xc_dominfo_t *info)
{
	(void)h;
	memset(info, 0, sizeof(*info) * max);
	info->domid = first;
	return 1;
}

/* Dom0's own interface page and port. -1: another file. */
static int open_xenfs(const char *path)
{
	int fd = -1;

	if (!strcmp(path, "/proc/xen/xsd_port")) {
		fd = memfd_create("port", MFD_CLOEXEC);
		if (fd >= 0 && pwrite(fd, "1", 1, 0) != 1)
			fd = -1;
	} else if (!strcmp(path, "/proc/xen/xsd_kva")) {
		fd = memfd_create("kva", MFD_CLOEXEC);
		if (fd >= 0 && ftruncate(fd, INTERFACE_BYTES) < 0)
			fd = -1;
	}
	return fd;
}

EXPORT int open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...) =
		(int (*)(const char *, int, ...))(uintptr_t)dlsym(RTLD_NEXT, "open");
	int fd = open_xenfs(path);
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return fd >= 0 ? fd : next(path, flags, mode);
}
