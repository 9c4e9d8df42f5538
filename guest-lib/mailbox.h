/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Mailbox commands of vgpu_pci.h. The caller holds FILE_LOCK_MAILBOX. */
#ifndef GUEST_MAILBOX_H
#define GUEST_MAILBOX_H

#include "regs.h"

/*
 * Open channel @k: the host is asked for a worker. Returns 0, VGPU_ETIMEDOUT, VGPU_EDEVLOST
 * (the device went away), or the host's VGPU_E* with its reason in @why.
 */
int mailbox_open(const struct regs *r, uint32_t k, int64_t deadline_ns, struct cause *why);

#endif
