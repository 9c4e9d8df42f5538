/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only two places that touch a register. */
#include <endian.h>

#include "regs.h"

uint32_t regs_read(const struct regs *r, uint32_t offset)
{
	return le32toh(r->base[offset / 4]);
}

void regs_write(const struct regs *r, uint32_t offset, uint32_t value)
{
	r->base[offset / 4] = htole32(value);
}
