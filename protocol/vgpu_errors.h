/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one error table.
 *
 * A request answers 0, one of these negative numbers, or, for GPU work, the
 * positive native CUDA error number. The numbers lie outside the range of
 * errno, so that the two cannot be confused, and never change their meaning.
 *
 * X(name, number, text for people)
 */
#ifndef VGPU_ERRORS_H
#define VGPU_ERRORS_H

#define VGPU_ERRORS(X)                                                                             \
	X(VGPU_EINVAL, -1001, "Invalid argument")                                                  \
	X(VGPU_ENOCMD, -1002, "Unknown command")                                                   \
	X(VGPU_EPROTO, -1003, "The other side broke the protocol")                                 \
	X(VGPU_EVERSION, -1004, "Incompatible protocol versions")                                  \
	X(VGPU_ENODEV, -1005, "No vGPU device found")                                              \
	X(VGPU_ENOMEDIATOR, -1006, "No mediator is connected on the host")                         \
	X(VGPU_EDEVLOST, -1007, "The connection to the host was lost; open again")                 \
	X(VGPU_EACCES, -1008, "Permission denied")                                                 \
	X(VGPU_ENOCHANNEL, -1009, "All channels are in use")                                       \
	X(VGPU_EQUOTA, -1010, "Over the limit that the host sets")                                 \
	X(VGPU_ENOMEM, -1011, "Out of memory")                                                     \
	X(VGPU_ETIMEDOUT, -1012, "Timed out waiting for an answer")                                \
	X(VGPU_EDEADLINE, -1013, "The command exceeded the host's deadline and was ended")         \
	X(VGPU_ERANGE, -1014, "Outside the shared window")                                         \
	X(VGPU_ENOTSUP, -1015, "Not supported")                                                    \
	X(VGPU_EIO, -1016, "Input/output error")                                                   \
	X(VGPU_EFORKED, -1017, "Handle belongs to the parent process; open one in the child")      \
	X(VGPU_EBACKEND, -1018, "The host's GPU backend failed")                                   \
	X(VGPU_ETHROTTLED, -1019, "Too many at once; try again later")                             \
	X(VGPU_ESHUTDOWN, -1020, "The mediator is shutting down")                                  \
	X(VGPU_ETOOBIG, -1021, "Larger than the protocol allows")                                  \
	X(VGPU_ELOCKDOWN, -1022, "Kernel lockdown forbids access to the device")                   \
	X(VGPU_ENOTBOUND, -1023, "The device is not bound to uio_pci_generic")                     \
	X(VGPU_EBUSY, -1024, "Busy with an earlier command")                                       \
	X(VGPU_EWORKER, -1025, "The host's worker process for this channel ended")                 \
	X(VGPU_EMEMORY, -1026, "The shared memory is unsafe: not a sealed memfd, or it shrank")

enum vgpu_error {
#define VGPU_ERROR_ENUM(name, number, text) name = number,
	VGPU_ERRORS(VGPU_ERROR_ENUM)
#undef VGPU_ERROR_ENUM
};

#endif
