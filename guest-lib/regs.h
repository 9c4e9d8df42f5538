/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* BAR0: the registers of vgpu_pci.h, by aligned 32-bit accesses only. */
#ifndef GUEST_REGS_H
#define GUEST_REGS_H

#include <stdint.h>

#include "device.h"
#include "../protocol/vgpu_pci.h"

struct regs {
	volatile uint32_t *base; /* NULL: not mapped */
};

/* What a device says of itself. */
struct identity {
	uint32_t version;
	uint32_t channels;
	uint64_t slice_bytes; /* of one channel */
	uint32_t mediator;    /* the register */
};

#define REGS_GONE 0xffffffffu /* every read of a device that was unplugged */

/* In a file of their own: tests put a device in their place. */
uint32_t regs_read(const struct regs *r, uint32_t offset);
void regs_write(const struct regs *r, uint32_t offset, uint32_t value);

/*
 * Map BAR0 of a bound device; @fd gets its file, close-on-exec and the caller's, for locks.
 * To be called under the fork guard. VGPU_EACCES, VGPU_ELOCKDOWN, VGPU_EIO.
 */
int regs_map(struct regs *r, int *fd, const struct device *d, struct cause *why);
void regs_unmap(struct regs *r);

/*
 * Read who it is: magic and version first, then what they vouch for. *@id is filled as
 * far as it could be trusted. VGPU_ENODEV: not a vgpu-stub. VGPU_EVERSION. VGPU_ENOTSUP: it
 * has no window. VGPU_EPROTO: impossible geometry.
 */
int regs_identify(const struct regs *r, const struct device *d, struct identity *id,
		  struct cause *why);

/* Does the device still answer? */
static inline int regs_gone(const struct regs *r)
{
	return regs_read(r, VGPU_REG_MAGIC) != VGPU_MAGIC;
}

#endif
