/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The name under which QEMU's sources include their generated trace events. */
#include "trace/trace-hw_vgpu.h"
