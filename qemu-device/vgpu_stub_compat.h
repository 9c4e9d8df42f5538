/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The differences between the QEMU versions that vgpu-stub builds in
 * (7.2 and 10.0), in one place.
 */
#ifndef VGPU_STUB_COMPAT_H
#define VGPU_STUB_COMPAT_H

#include "qapi/error.h"
#include "hw/qdev-properties.h"
#include "migration/blocker.h"

#if QEMU_VERSION_MAJOR >= 10
#include "hw/pci/pci_device.h"
#include "system/hostmem.h"
#include "system/system.h"
#include "system/xen.h"
#else
#include "hw/pci/pci.h"
#include "sysemu/hostmem.h"
#include "sysemu/sysemu.h"
#include "sysemu/xen.h"
#endif

#if QEMU_VERSION_MAJOR >= 10
#define VGPU_PROPERTIES_END
#define VGPU_PROPERTY const Property
#else
#define VGPU_PROPERTIES_END DEFINE_PROP_END_OF_LIST(),
#define VGPU_PROPERTY Property
#endif

static inline void vgpu_compat_set_reset(DeviceClass *dc,
                                         void (*reset)(DeviceState *dev))
{
#if QEMU_VERSION_MAJOR >= 10
    device_class_set_legacy_reset(dc, reset);
#else
    dc->reset = reset;
#endif
}

/* On failure *reason is freed and NULL. */
static inline int vgpu_compat_add_blocker(Error **reason, Error **errp)
{
#if QEMU_VERSION_MAJOR >= 10
    return migrate_add_blocker(reason, errp);
#else
    int rc = migrate_add_blocker(*reason, errp);

    if (rc < 0) {
        error_free(*reason);
        *reason = NULL;
    }
    return rc;
#endif
}

static inline void vgpu_compat_del_blocker(Error **reason)
{
    if (!*reason) {
        return;
    }
#if QEMU_VERSION_MAJOR >= 10
    migrate_del_blocker(reason);
#else
    migrate_del_blocker(*reason);
    error_free(*reason);
    *reason = NULL;
#endif
}

#endif
