/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub: the device's nodes in XenStore, so that under Xen a guest that
 * has the PCI function also has the channel that goes past it.
 *
 * Everything happens while the device is realized, before QEMU gives up its
 * privileges. The connection is kept for the removal at the end, except where
 * QEMU is restricted to its domain: one that a guest took over must not find a
 * connection with all of dom0's rights. Then the mediator, or `vgpu-admin
 * sweep`, removes what is left when the domain has gone.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "vgpu_stub.h"
#include "trace.h"

#define NEXT_NUMBER UINT32_MAX

#ifdef CONFIG_XEN_BACKEND

#include "hw/xen/xen.h"
#include "vgpu_xenstore.h"
#include "xen_nodes.h"

struct VgpuBackend {
    VgpuStub *dev;
    struct xs_handle *xs;       /* NULL: not to be removed by us */
    struct xen_device node;
    char generation[VGPU_XS_ID_CHARS + 1];
    Notifier exit;
};

/* Numbers that devices of this process have. */
static uint32_t taken;

static bool take_number(VgpuStub *s, uint32_t *number, Error **errp)
{
    *number = s->xen_device == NEXT_NUMBER ? ctz32(~taken) : s->xen_device;
    if (*number >= VGPU_XS_DEVICES_MAX) {
        error_setg(errp, "xen-device=%u: not within 0 and %u", *number,
                   VGPU_XS_DEVICES_MAX - 1);
        return false;
    }
    if (taken & (1u << *number)) {
        error_setg(errp, "xen-device=%u: another device has that number",
                   *number);
        return false;
    }
    taken |= 1u << *number;
    return true;
}

/* Also when QEMU ends, which does not unrealize devices. */
static void backend_remove(VgpuBackend *b)
{
    if (!b->xs) {
        return;
    }
    /* What goes wrong here is left to the sweep; QEMU may be chrooted. */
    if (xen_nodes_remove(b->xs, &b->node, b->generation) == 0) {
        trace_vgpu_stub_xen_removed(vgpu_name(b->dev), b->node.domid,
                                    b->node.number);
    }
    xs_close(b->xs);
    b->xs = NULL;
}

static void backend_at_exit(Notifier *n, void *data)
{
    backend_remove(container_of(n, VgpuBackend, exit));
}

static void attach_failed(VgpuStub *s, const VgpuBackend *b, uint32_t other,
                          int rc, Error **errp)
{
    g_autofree char *who = rc == -EBUSY ?
        g_strdup_printf("domain %u has it", other) :
        g_strdup(rc == -ESRCH ? "no such domain" : strerror(-rc));

    error_setg(errp, "vgpu-stub %s: XenStore: attach device %u of domain %u to"
               " domain %u: %s", vgpu_name(s), b->node.number, b->node.domid,
               b->node.backend, who);
    error_append_hint(errp, "In dom0, `vgpu-admin attach %u --device %u "
                      "--backend-domain %u` does it.\n", b->node.domid,
                      b->node.number, b->node.backend);
}

static bool backend_attach(VgpuStub *s, VgpuBackend *b, Error **errp)
{
    struct xs_handle *xs = xs_open(0);
    struct xen_attached done = {};
    int rc = xs ? xen_nodes_attach(xs, &b->node, &done) : -errno;

    if (rc < 0) {
        attach_failed(s, b, done.other, rc, errp);
    } else {
        trace_vgpu_stub_xen_attached(vgpu_name(s), b->node.domid,
                                     b->node.number, b->node.backend,
                                     done.already);
    }
    /* Nodes that somebody else wrote stay. */
    if (rc < 0 || done.already || xen_domid_restrict) {
        xs_close(xs);
        return rc == 0;
    }
    b->xs = xs;
    pstrcpy(b->generation, sizeof(b->generation), done.generation);
    return true;
}

bool vgpu_backend_init(VgpuStub *s, Error **errp)
{
    VgpuBackend *b;
    Error *err = NULL;

    if (s->xenstore == ON_OFF_AUTO_OFF) {
        return true;
    }
    if (!xen_enabled()) {
        if (s->xenstore == ON_OFF_AUTO_ON) {
            error_setg(errp, "xenstore=on: this is no device model of Xen");
            return false;
        }
        return true;
    }
    b = g_new0(VgpuBackend, 1);
    b->dev = s;
    b->node.domid = xen_domid;
    b->node.backend = s->backend_domid;
    if (!take_number(s, &b->node.number, errp)) {
        g_free(b);
        return false;
    }
    b->exit.notify = backend_at_exit;
    qemu_add_exit_notifier(&b->exit);
    s->backend = b;
    if (!backend_attach(s, b, &err)) {
        if (s->xenstore == ON_OFF_AUTO_ON) {
            error_propagate(errp, err);
            return false;
        }
        warn_report_err(err);
    }
    return true;
}

void vgpu_backend_exit(VgpuStub *s)
{
    VgpuBackend *b = s->backend;

    if (!b) {
        return;
    }
    s->backend = NULL;
    backend_remove(b);
    qemu_remove_exit_notifier(&b->exit);
    taken &= ~(1u << b->node.number);
    g_free(b);
}

#else /* no Xen in this QEMU */

bool vgpu_backend_init(VgpuStub *s, Error **errp)
{
    if (s->xenstore == ON_OFF_AUTO_ON) {
        error_setg(errp, "xenstore=on: this QEMU was built without Xen");
        return false;
    }
    return true;
}

void vgpu_backend_exit(VgpuStub *s)
{
}

#endif
