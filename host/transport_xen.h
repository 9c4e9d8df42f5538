/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Transport "xen" before there is a channel. Built unless XEN=no. */
#ifndef HOST_TRANSPORT_XEN_H
#define HOST_TRANSPORT_XEN_H

#include "transport.h"

extern const struct transport_ops transport_xen;

/*
 * Open this process's handles of grants and event channels, which takes privileges that a worker
 * does not keep. Returns 0, or a negative errno and @why.
 */
int transport_xen_prepare(char *why, size_t why_len);

#endif
