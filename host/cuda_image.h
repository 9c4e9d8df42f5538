/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef HOST_CUDA_IMAGE_H
#define HOST_CUDA_IMAGE_H

#include <stddef.h>

enum cuda_image {
	CUDA_IMAGE_BAD,
	CUDA_IMAGE_BINARY, /* a cubin or fatbin */
	CUDA_IMAGE_TEXT,   /* PTX, perhaps; wants a NUL behind it */
};

/* Is @image, private memory, one that the driver can be given, which never asks how long it is? */
enum cuda_image cuda_image_check(const void *image, size_t bytes);

#endif
