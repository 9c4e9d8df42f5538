/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub: the PCI function through which a guest finds its GPU mediator.
 *
 * It names itself, carries a mailbox, and hands slices of a shared window with
 * a pair of eventfds each to the mediator. It does no DMA and no work of a GPU:
 * requests go through the window, past QEMU.
 *
 *   -object memory-backend-memfd,id=w0,size=64M
 *   -chardev socket,id=m0,path=/run/gpu_mediator/device.sock,reconnect=1
 *   -device vgpu-stub,memdev=w0,chardev=m0
 *
 * Both properties are optional; without them there is the identity only, which
 * is what Xen needs: there requests go through grants, and the device writes
 * the XenStore nodes through which both sides find each other.
 * After realize nothing is opened but what the chardev opens.
 */
#include "qemu/osdep.h"
#include "qemu/module.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties-system.h"
#include "vgpu_stub.h"
#include "trace.h"

/* Header, indices, two rings and a window of one page each. */
#define SLICE_PAGES_MIN 5

const char *vgpu_name(VgpuStub *s)
{
    return DEVICE(s)->id ? DEVICE(s)->id : "(no id)";
}

/* Channel k has vector k, all else the one behind the channels'. */
static void irq_notify_msix(VgpuStub *s, uint32_t fresh)
{
    if (fresh & ~VGPU_IRQ_CHANNELS_ALL) {
        msix_notify(PCI_DEVICE(s), s->nr_channels);
    }
    for (uint32_t k = 0; k < s->nr_channels; k++) {
        if (fresh & VGPU_IRQ_CHANNEL(k)) {
            msix_notify(PCI_DEVICE(s), k);
        }
    }
}

void vgpu_irq_update(VgpuStub *s)
{
    uint32_t pending = s->irq_status & s->irq_mask;
    uint32_t fresh = pending & ~s->irq_pending;

    if (pending != s->irq_pending) {
        trace_vgpu_stub_irq(vgpu_name(s), s->irq_status, s->irq_mask);
    }
    s->irq_pending = pending;
    if (msix_enabled(PCI_DEVICE(s))) {
        irq_notify_msix(s, fresh);
    } else {
        pci_set_irq(PCI_DEVICE(s), pending != 0);
    }
}

void vgpu_irq_raise(VgpuStub *s, uint32_t causes)
{
    s->irq_status |= causes;
    vgpu_irq_update(s);
}

/* Through the default handler, so that all that hangs on these bits follows. */
void vgpu_command_change(VgpuStub *s, uint16_t set, uint16_t clear)
{
    PCIDevice *pdev = PCI_DEVICE(s);
    uint16_t command = pci_get_word(pdev->config + PCI_COMMAND);

    pci_default_write_config(pdev, PCI_COMMAND, (command | set) & ~clear, 2);
}

static bool bus_master(PCIDevice *pdev)
{
    return pci_get_word(pdev->config + PCI_COMMAND) & PCI_COMMAND_MASTER;
}

static void vgpu_config_write(PCIDevice *pdev, uint32_t addr, uint32_t val,
                              int len)
{
    VgpuStub *s = VGPU_STUB(pdev);
    bool was_master = bus_master(pdev);

    pci_default_write_config(pdev, addr, val, len);
    vgpu_irq_update(s); /* MSI-X may be on or off now */
    if (was_master && !bus_master(pdev)) {
        vgpu_command_change(s, PCI_COMMAND_MASTER, 0);
        vgpu_liveness_descriptor_closed(s);
    }
}

static void vgpu_reset(DeviceState *dev)
{
    VgpuStub *s = VGPU_STUB(dev);

    trace_vgpu_stub_reset(vgpu_name(s));
    vgpu_liveness_reset(s);
    vgpu_mailbox_reset(s);
    vgpu_channels_close(s, 0);
    s->irq_status = 0;
    s->irq_mask = 0;
    vgpu_irq_update(s);
}

static bool window_check(VgpuStub *s, MemoryRegion *mr, Error **errp)
{
    g_autofree char *name = host_memory_backend_get_name(s->memdev);
    uint64_t size = memory_region_size(mr);
    uint64_t least = (uint64_t)s->channels_wanted * SLICE_PAGES_MIN *
                     VGPU_PAGE_BYTES;
    int seals;

    if (host_memory_backend_is_mapped(s->memdev)) {
        error_setg(errp, "memdev '%s': already in use", name);
        return false;
    }
    if (!object_property_get_bool(OBJECT(s->memdev), "share", errp)) {
        error_setg(errp, "memdev '%s': not shared: it needs share=on", name);
        return false;
    }
    if (memory_region_get_fd(mr) < 0) {
        error_setg(errp, "memdev '%s': has no file descriptor to share: use "
                   "memory-backend-memfd", name);
        return false;
    }
    seals = fcntl(memory_region_get_fd(mr), F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK)) {
        error_setg(errp, "memdev '%s': not sealed against shrinking: use "
                   "memory-backend-memfd with seal=on", name);
        return false;
    }
    if (!is_power_of_2(size)) {
        error_setg(errp, "memdev '%s': %" PRIu64 " bytes is not a power of "
                   "two", name, size);
        return false;
    }
    if (size < least) {
        error_setg(errp, "memdev '%s': %" PRIu64 " bytes is too small: %u "
                   "channels need %" PRIu64, name, size, s->channels_wanted,
                   least);
        return false;
    }
    return true;
}

static bool window_init(VgpuStub *s, Error **errp)
{
    MemoryRegion *mr;

    if (!s->memdev) {
        return true;
    }
    mr = host_memory_backend_get_memory(s->memdev);
    if (!window_check(s, mr, errp)) {
        return false;
    }
    host_memory_backend_set_mapped(s->memdev, true);
    s->window = mr;
    s->nr_channels = s->channels_wanted;
    s->slice_bytes = QEMU_ALIGN_DOWN(memory_region_size(mr) / s->nr_channels,
                                     VGPU_PAGE_BYTES);
    pci_register_bar(PCI_DEVICE(s), VGPU_BAR_WINDOW,
                     PCI_BASE_ADDRESS_SPACE_MEMORY |
                     PCI_BASE_ADDRESS_MEM_PREFETCH |
                     PCI_BASE_ADDRESS_MEM_TYPE_64, mr);
    return true;
}

static bool msix_setup(VgpuStub *s, Error **errp)
{
    uint32_t nr = s->nr_channels + 1;
    Error *err = NULL;
    int rc = msix_init_exclusive_bar(PCI_DEVICE(s), nr, VGPU_BAR_MSIX, &err);

    if (rc == -ENOTSUP) {
        error_free(err); /* the machine has no MSI; INTx is enough */
        return true;
    }
    if (rc < 0) {
        error_propagate(errp, err);
        return false;
    }
    for (uint32_t i = 0; i < nr; i++) {
        msix_vector_use(PCI_DEVICE(s), i);
    }
    return true;
}

/* Undoes a realize that came to any point. */
static void vgpu_exit(PCIDevice *pdev)
{
    VgpuStub *s = VGPU_STUB(pdev);

    vgpu_backend_exit(s);
    vgpu_link_exit(s);
    vgpu_liveness_exit(s);
    vgpu_mailbox_exit(s);
    vgpu_channels_exit(s);
    vgpu_migration_exit(s);
    msix_uninit_exclusive_bar(pdev);
    if (s->window) {
        host_memory_backend_set_mapped(s->memdev, false);
        s->window = NULL;
    }
}

static void vgpu_realize(PCIDevice *pdev, Error **errp)
{
    VgpuStub *s = VGPU_STUB(pdev);

    if (s->channels_wanted < 1 || s->channels_wanted > VGPU_CHANNELS_MAX) {
        error_setg(errp, "channels=%u: not within 1 and %u",
                   s->channels_wanted, VGPU_CHANNELS_MAX);
        return;
    }
    pci_config_set_vendor_id(pdev->config, s->vendor_id);
    pci_config_set_device_id(pdev->config, s->device_id);
    pci_config_set_interrupt_pin(pdev->config, 1);

    memory_region_init_io(&s->regs, OBJECT(s), &vgpu_regs_ops, s,
                          "vgpu-stub-regs", VGPU_REGS_BYTES);
    pci_register_bar(pdev, VGPU_BAR_REGS, PCI_BASE_ADDRESS_SPACE_MEMORY,
                     &s->regs);
    if (!window_init(s, errp)) {
        return;
    }
    vgpu_channels_init(s);
    vgpu_mailbox_init(s);
    vgpu_liveness_init(s);
    vgpu_mailbox_reset(s);
    if (!msix_setup(s, errp) || !vgpu_migration_init(s, errp) ||
        !vgpu_link_init(s, errp) || !vgpu_backend_init(s, errp)) {
        vgpu_exit(pdev);
    }
}

static VGPU_PROPERTY vgpu_properties[] = {
    DEFINE_PROP_UINT16("vendor-id", VgpuStub, vendor_id, VGPU_PCI_VENDOR_ID),
    DEFINE_PROP_UINT16("device-id", VgpuStub, device_id, VGPU_PCI_DEVICE_ID),
    DEFINE_PROP_UINT32("channels", VgpuStub, channels_wanted, 16),
    DEFINE_PROP_LINK("memdev", VgpuStub, memdev, TYPE_MEMORY_BACKEND,
                     HostMemoryBackend *),
    DEFINE_PROP_CHR("chardev", VgpuStub, link.chr),
    DEFINE_PROP_ON_OFF_AUTO("xenstore", VgpuStub, xenstore, ON_OFF_AUTO_AUTO),
    DEFINE_PROP_UINT32("backend-domid", VgpuStub, backend_domid, 0),
    DEFINE_PROP_UINT32("xen-device", VgpuStub, xen_device, UINT32_MAX),
    VGPU_PROPERTIES_END
};

static void vgpu_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *k = PCI_DEVICE_CLASS(klass);

    k->realize = vgpu_realize;
    k->exit = vgpu_exit;
    k->config_write = vgpu_config_write;
    k->vendor_id = VGPU_PCI_VENDOR_ID;
    k->device_id = VGPU_PCI_DEVICE_ID;
    k->class_id = VGPU_PCI_CLASS;
    k->revision = VGPU_PCI_REVISION;
    vgpu_compat_set_reset(dc, vgpu_reset);
    dc->vmsd = &vgpu_vmstate;
    device_class_set_props(dc, vgpu_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    dc->desc = "stub through which a guest finds its GPU mediator";
}

static const TypeInfo vgpu_info = {
    .name = TYPE_VGPU_STUB,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(VgpuStub),
    .class_init = vgpu_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { },
    },
};

static void vgpu_register_types(void)
{
    type_register_static(&vgpu_info);
}

type_init(vgpu_register_types)
