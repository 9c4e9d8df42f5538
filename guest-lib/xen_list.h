/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GUEST_XEN_LIST_H
#define GUEST_XEN_LIST_H

#include <stddef.h>

#include "vgpuguest.h"

/* The devices that XenStore shows, @max at most. Returns how many; opens no channel. */
size_t xen_list(struct vgpu_device *out, size_t max);

#endif
