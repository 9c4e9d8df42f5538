/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub: saving and loading, for a device that is an identity only, as it
 * is under Xen. With a window or a mediator the state of its guest lives in
 * host processes and on a GPU, and a blocker refuses.
 *
 * Mailbox commands of such a device end at once, so there is never one that
 * runs. What arrives is from a stranger: a state that no device can have is
 * refused.
 */
#include "qemu/osdep.h"
#include "hw/pci/msix.h"
#include "migration/vmstate.h"
#include "qemu/error-report.h"
#include "vgpu_stub.h"

static bool identity_only(VgpuStub *s)
{
    return !s->window && !vgpu_link_configured(s);
}

bool vgpu_migration_init(VgpuStub *s, Error **errp)
{
    if (identity_only(s)) {
        return true;
    }
    error_setg(&s->migration_blocker, "vgpu-stub %s: the state of its guest "
               "lives in host processes and a GPU and cannot be migrated",
               vgpu_name(s));
    return vgpu_compat_add_blocker(&s->migration_blocker, errp) >= 0;
}

void vgpu_migration_exit(VgpuStub *s)
{
    vgpu_compat_del_blocker(&s->migration_blocker);
}

/* NULL, or what is wrong. */
static const char *state_check(VgpuStub *s)
{
    const VgpuMailbox *m = &s->mbox;

    if (!identity_only(s)) {
        return "saved without window and mediator, and has one here";
    }
    if ((s->irq_status | s->irq_mask) & ~VGPU_IRQ_ALL) {
        return "IRQ_STATUS or IRQ_MASK has reserved bits set";
    }
    if (m->status > 0) {
        return "STATUS is no result";
    }
    if (m->data_offset < VGPU_REG_DATA || m->data_offset >= VGPU_REGS_BYTES ||
        m->data_offset % 4) {
        return "DATA_OFFSET is no offset of the data region";
    }
    if (m->data_len > sizeof(m->data) || m->data_len % 4) {
        return "DATA_LEN is no length within the data region";
    }
    return NULL;
}

static int vgpu_post_load(void *opaque, int version_id)
{
    VgpuStub *s = opaque;
    const char *wrong = state_check(s);

    if (wrong) {
        error_report("vgpu-stub %s: incoming state: %s", vgpu_name(s), wrong);
        return -EINVAL;
    }
    /* Messages for these were sent before; the line is a level. */
    s->irq_pending = s->irq_status & s->irq_mask;
    if (!msix_enabled(PCI_DEVICE(s))) {
        pci_set_irq(PCI_DEVICE(s), s->irq_pending != 0);
    }
    return 0;
}

const VMStateDescription vgpu_vmstate = {
    .name = TYPE_VGPU_STUB,
    .version_id = 1,
    .minimum_version_id = 1,
    .post_load = vgpu_post_load,
    .fields = (VMStateField[]) {
        VMSTATE_PCI_DEVICE(parent_obj, VgpuStub),
        VMSTATE_MSIX(parent_obj, VgpuStub),
        VMSTATE_UINT32(irq_status, VgpuStub),
        VMSTATE_UINT32(irq_mask, VgpuStub),
        VMSTATE_UINT32(mbox.command, VgpuStub),
        VMSTATE_INT32(mbox.status, VgpuStub),
        VMSTATE_UINT32(mbox.data_offset, VgpuStub),
        VMSTATE_UINT32(mbox.data_len, VgpuStub),
        VMSTATE_UINT8_ARRAY(mbox.data, VgpuStub,
                            VGPU_REGS_BYTES - VGPU_REG_DATA),
        VMSTATE_END_OF_LIST()
    },
};
