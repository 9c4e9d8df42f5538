/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "errors.h"

#include <errno.h>
#include <stddef.h>

struct error_entry {
	int number;
	const char *name;
	const char *text;
};

static const struct error_entry entries[] = {
	{ 0, "VGPU_OK", "Success" },
#define ENTRY(name, number, text) { number, #name, text },
	VGPU_ERRORS(ENTRY)
#undef ENTRY
	/* CUDA's numbers (driver_types.h, enum cudaError) that programs meet. */
	{ 1, "cudaErrorInvalidValue", "CUDA: invalid argument" },
	{ 2, "cudaErrorMemoryAllocation", "CUDA: out of memory" },
	{ 3, "cudaErrorInitializationError", "CUDA: initialization error" },
	{ 35, "cudaErrorInsufficientDriver", "CUDA: driver is older than the runtime" },
	{ 46, "cudaErrorDevicesUnavailable", "CUDA: device busy or unavailable" },
	{ 98, "cudaErrorInvalidDeviceFunction", "CUDA: invalid device function" },
	{ 100, "cudaErrorNoDevice", "CUDA: no CUDA-capable device is detected" },
	{ 101, "cudaErrorInvalidDevice", "CUDA: invalid device ordinal" },
	{ 209, "cudaErrorNoKernelImageForDevice", "CUDA: no kernel image for this device" },
	{ 214, "cudaErrorECCUncorrectable", "CUDA: uncorrectable ECC error" },
	{ 400, "cudaErrorInvalidResourceHandle", "CUDA: invalid resource handle" },
	{ 700, "cudaErrorIllegalAddress", "CUDA: illegal memory access" },
	{ 701, "cudaErrorLaunchOutOfResources", "CUDA: too many resources requested for launch" },
	{ 702, "cudaErrorLaunchTimeout", "CUDA: the launch timed out" },
	{ 719, "cudaErrorLaunchFailure", "CUDA: unspecified launch failure" },
	{ 999, "cudaErrorUnknown", "CUDA: unknown error" },
};

static const struct error_entry *find(int error)
{
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		if (entries[i].number == error)
			return &entries[i];
	return NULL;
}

const char *error_text(int error)
{
	const struct error_entry *e = find(error);

	if (e)
		return e->text;
	return error > 0 ? "CUDA: error without a known text" : "Unknown error number";
}

const char *error_name(int error)
{
	const struct error_entry *e = find(error);

	if (e)
		return e->name;
	return error > 0 ? "cudaError" : "VGPU_E?";
}

int error_from_errno(int rc)
{
	if (rc >= 0 || rc <= VGPU_EINVAL)
		return rc;
	switch (-rc) {
	case EINVAL:
		return VGPU_EINVAL;
	case EPROTO:
		return VGPU_EPROTO;
	case EACCES:
	case EPERM:
		return VGPU_EACCES;
	case ENOMEM:
		return VGPU_ENOMEM;
	case ETIMEDOUT:
		return VGPU_ETIMEDOUT;
	case ERANGE:
		return VGPU_ERANGE;
	case ENODEV:
	case ENXIO:
		return VGPU_ENODEV;
	case ENOTSUP:
		return VGPU_ENOTSUP;
	case EBUSY:
		return VGPU_EBUSY;
	case ECONNREFUSED:
	case ENOENT:
		return VGPU_ENOMEDIATOR;
	case ENOTCONN:
	case ECONNRESET:
	case EPIPE:
		return VGPU_EDEVLOST;
	default:
		return VGPU_EIO;
	}
}
