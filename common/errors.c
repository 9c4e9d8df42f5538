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
	{ 9, "cudaErrorInvalidConfiguration", "CUDA: invalid configuration argument" },
	{ 12, "cudaErrorInvalidPitchValue", "CUDA: invalid pitch argument" },
	{ 35, "cudaErrorInsufficientDriver", "CUDA: driver is older than the runtime" },
	{ 46, "cudaErrorDevicesUnavailable", "CUDA: device busy or unavailable" },
	{ 98, "cudaErrorInvalidDeviceFunction", "CUDA: invalid device function" },
	{ 100, "cudaErrorNoDevice", "CUDA: no CUDA-capable device is detected" },
	{ 101, "cudaErrorInvalidDevice", "CUDA: invalid device ordinal" },
	{ 200, "cudaErrorInvalidKernelImage", "CUDA: device kernel image is invalid" },
	{ 209, "cudaErrorNoKernelImageForDevice", "CUDA: no kernel image for this device" },
	{ 214, "cudaErrorECCUncorrectable", "CUDA: uncorrectable ECC error" },
	{ 218, "cudaErrorInvalidPtx", "CUDA: a PTX JIT compilation failed" },
	{ 221, "cudaErrorJitCompilerNotFound", "CUDA: PTX JIT compiler library not found" },
	{ 222, "cudaErrorUnsupportedPtxVersion",
	  "CUDA: the PTX was compiled with an unsupported toolchain" },
	{ 300, "cudaErrorInvalidSource", "CUDA: device kernel image is no valid source" },
	{ 400, "cudaErrorInvalidResourceHandle", "CUDA: invalid resource handle" },
	{ 401, "cudaErrorIllegalState", "CUDA: the object's state does not allow this" },
	{ 500, "cudaErrorSymbolNotFound", "CUDA: named symbol not found" },
	{ 600, "cudaErrorNotReady", "CUDA: not ready: the work is still under way" },
	{ 700, "cudaErrorIllegalAddress", "CUDA: illegal memory access" },
	{ 701, "cudaErrorLaunchOutOfResources", "CUDA: too many resources requested for launch" },
	{ 702, "cudaErrorLaunchTimeout", "CUDA: the launch timed out" },
	{ 704, "cudaErrorPeerAccessAlreadyEnabled", "CUDA: peer access is already enabled" },
	{ 705, "cudaErrorPeerAccessNotEnabled", "CUDA: peer access has not been enabled" },
	{ 708, "cudaErrorSetOnActiveProcess",
	  "CUDA: cannot set while the device is active in this process" },
	{ 709, "cudaErrorContextIsDestroyed", "CUDA: the context is destroyed" },
	{ 710, "cudaErrorAssert", "CUDA: a device-side assert triggered" },
	{ 712, "cudaErrorHostMemoryAlreadyRegistered", "CUDA: memory is already registered" },
	{ 713, "cudaErrorHostMemoryNotRegistered", "CUDA: memory is not registered" },
	{ 714, "cudaErrorHardwareStackError", "CUDA: hardware stack error" },
	{ 715, "cudaErrorIllegalInstruction", "CUDA: illegal instruction" },
	{ 716, "cudaErrorMisalignedAddress", "CUDA: misaligned address" },
	{ 717, "cudaErrorInvalidAddressSpace",
	  "CUDA: operation not supported on this address space" },
	{ 718, "cudaErrorInvalidPc", "CUDA: invalid program counter" },
	{ 719, "cudaErrorLaunchFailure", "CUDA: unspecified launch failure" },
	{ 720, "cudaErrorCooperativeLaunchTooLarge",
	  "CUDA: too many blocks in cooperative launch" },
	{ 800, "cudaErrorNotPermitted", "CUDA: operation not permitted" },
	{ 801, "cudaErrorNotSupported", "CUDA: operation not supported" },
	{ 900, "cudaErrorStreamCaptureUnsupported",
	  "CUDA: operation not permitted while a stream is capturing" },
	{ 901, "cudaErrorStreamCaptureInvalidated", "CUDA: an earlier error ended the capture" },
	{ 902, "cudaErrorStreamCaptureMerge", "CUDA: this would merge two captures" },
	{ 903, "cudaErrorStreamCaptureUnmatched",
	  "CUDA: the capture did not begin in this stream" },
	{ 904, "cudaErrorStreamCaptureUnjoined",
	  "CUDA: the capture has work that was not joined to the stream where it began" },
	{ 905, "cudaErrorStreamCaptureIsolation",
	  "CUDA: a dependency would cross the boundary of the capture" },
	{ 906, "cudaErrorStreamCaptureImplicit",
	  "CUDA: this would make a capture depend on the default stream" },
	{ 907, "cudaErrorCapturedEvent", "CUDA: the event was last recorded in a capture" },
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
