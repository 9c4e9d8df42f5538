/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "private.h"

int transport_pci_new(struct transport **out, const char *address, const struct log *log,
		      struct cause *why)
{
	(void)out;
	(void)log;
	return because(why, VGPU_ENODEV, "pci: %s: no such device", address ? address : "any");
}
