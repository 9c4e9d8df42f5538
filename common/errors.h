/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names and texts of the protocol's errors, for both sides. */
#ifndef COMMON_ERRORS_H
#define COMMON_ERRORS_H

#include "../protocol/vgpu_errors.h"

/*
 * Text and name of 0, of a VGPU_E* and of a positive CUDA error number. Never
 * NULL, never to be freed; unknown numbers have a text that says so.
 */
const char *error_text(int error);
const char *error_name(int error);

/* The VGPU_E* that fits a negative errno; a VGPU_E*, 0 or a positive number stays. */
int error_from_errno(int rc);

#endif
