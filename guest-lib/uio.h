/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* /dev/uioN: where the device's interrupts arrive. */
#ifndef GUEST_UIO_H
#define GUEST_UIO_H

#include "device.h"

/*
 * Open the node of a bound device, non-blocking and close-on-exec. Under the fork guard.
 * Returns the descriptor, VGPU_ENOTBOUND, VGPU_EACCES or VGPU_EIO.
 */
int uio_open(const struct device *d, struct cause *why);

/* Take the interrupts that arrived. 0; -EAGAIN, none; -ENODEV, the device was unbound. */
int uio_take(int fd);

#endif
