/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nodes of a device in XenStore, as protocol/vgpu_xenstore.h specifies them: for whoever
 * attaches. Part of vgpu-admin and of QEMU's vgpu-stub, so it needs libc and libxenstore only.
 * Nothing here logs.
 *
 * Guests own their side of a device. Nothing here follows a path or believes a number that a
 * guest can write: paths are computed, and which domain serves a device is seen from the
 * backends' directories.
 *
 * Functions return 0 or a negative errno; what XenStore refused comes back as it said it.
 */
#ifndef HOST_XEN_NODES_H
#define HOST_XEN_NODES_H

#include <stdbool.h>
#include <stdint.h>
#include <xenstore.h>

#define XEN_PATH_BYTES 128
#define XEN_UUID_CHARS 36u
#define XEN_NAME_BYTES 64u /* of a label, with its NUL */
#define XEN_DOMID_MAX 0x7fefu

struct xen_device {
	uint32_t domid;   /* of the guest */
	uint32_t backend; /* of the domain in which the mediator runs */
	uint32_t number;
};

/* xen_lookup.c */

/*
 * The domain that @text names: a number, else a name.
 * -ESRCH: there is none. -ENOTUNIQ: several have that name.
 */
int xen_domain_find(struct xs_handle *xs, const char *text, uint32_t *domid);

/* The uuid of a domain that lives; -ESRCH: there is none. */
int xen_domain_uuid(struct xs_handle *xs, xs_transaction_t t, uint32_t domid,
		    char uuid[XEN_UUID_CHARS + 1]);

/* Its name, cut to size; "" where it has none. */
void xen_domain_name(struct xs_handle *xs, xs_transaction_t t, uint32_t domid,
		     char name[XEN_NAME_BYTES]);

/*
 * All devices that backends have, by guest, number and backend; where only dom0 may see all, those
 * of this domain. The caller frees *out.
 */
int xen_devices(struct xs_handle *xs, xs_transaction_t t, struct xen_device **out,
		unsigned int *count);

/* The path of @leaf (NULL: the directory) on the guest's side and on the backend's. */
void xen_front_path(const struct xen_device *dev, const char *leaf, char path[XEN_PATH_BYTES]);
void xen_back_path(const struct xen_device *dev, const char *leaf, char path[XEN_PATH_BYTES]);

/*
 * A value of at most VGPU_XS_VALUE_MAX bytes. -ENOENT: no such node; -EPROTO: longer, or with a
 * NUL in it.
 */
int xen_read(struct xs_handle *xs, xs_transaction_t t, const char *path, char *value, size_t size);

/* A device's or a channel's state; VGPU_XS_UNKNOWN for none and for what is no state. */
uint32_t xen_read_state(struct xs_handle *xs, const char *path);

/* xen_nodes.c */

struct xen_attached {
	bool already;                                /* all was in place, nothing was touched */
	uint32_t other;                              /* with -EBUSY: who serves it */
	char generation[sizeof("0123456789abcdef")]; /* of the nodes that stand now */
};

/*
 * Attach: write all nodes, or repair them where some are missing or wrong.
 * -ESRCH: guest or backend's domain does not exist; -EBUSY: another backend has it; -EAGAIN:
 * XenStore was too busy; -EINVAL: the domain is its own backend, or domain 0: Linux restricts no
 * event channels to that one.
 */
int xen_nodes_attach(struct xs_handle *xs, const struct xen_device *dev, struct xen_attached *out);

/* Say that the device is being detached; -ENOENT: it is not attached. */
int xen_nodes_offline(struct xs_handle *xs, const struct xen_device *dev);

/*
 * Remove both sides, and directories above that are empty then.
 * @generation: only the nodes that it names (NULL: whatever stands there). -ENOENT: no such.
 */
int xen_nodes_remove(struct xs_handle *xs, const struct xen_device *dev, const char *generation);

/* One message about a node that is not as it should be. */
typedef void xen_problem_fn(void *ctx, const char *text);

/* Compare all nodes and their permissions with what they should be; @fn may be NULL. */
int xen_nodes_check(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev,
		    xen_problem_fn *fn, void *ctx, unsigned int *problems);

/* Why the nodes of @dev belong to no living guest; NULL: they do, or only dom0 can tell. */
const char *xen_nodes_stale(struct xs_handle *xs, xs_transaction_t t, const struct xen_device *dev);

#endif
