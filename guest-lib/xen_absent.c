/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What stands in for transport `xen` where the library is built without it (make XEN=no). */
#include "transport.h"
#include "xen_list.h"

int transport_xen_new(struct transport **out, const char *which, const struct log *log,
		      struct cause *why)
{
	(void)out;
	(void)log;
	return because(why, which ? VGPU_ENOTSUP : VGPU_ENODEV,
		       "xen: this libvgpuguest was built without Xen's libraries");
}

size_t xen_list(struct vgpu_device *out, size_t max)
{
	(void)out;
	(void)max;
	return 0;
}
