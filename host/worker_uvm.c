// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the kernel and NVIDIA's driver can (HMM; ATS on some machines), a kernel on the GPU reaches
 * all memory of the process that launched it, and so a guest the worker's own. The driver's kernel
 * module leaves that out on request, when its file is first set up; CUDA has no call for it and
 * never asks. So the worker does: this program's ioctl() stands in front of the C library's, also
 * for CUDA's libraries, and adds the request to that one call.
 *
 * Whether it worked the backend tells, in backend_info.host_exposed.
 */
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of NVIDIA's open kernel modules: uvm_linux_ioctl.h, uvm_types.h. */
#define UVM_INITIALIZE 0x30000001ul
#define UVM_DISABLE_HMM 0x1u
#define UVM_DISABLE_PAGEABLE_ACCESS 0x4u /* later releases: HMM and ATS */

struct uvm_initialize {
	uint64_t flags;
	uint32_t status; /* 0 is success */
	uint32_t reserved;
};

/* A release refuses flags that it does not know, and then nothing was done. */
static int uvm_initialize(int fd, struct uvm_initialize *arg)
{
	static const uint32_t wishes[] = { UVM_DISABLE_HMM | UVM_DISABLE_PAGEABLE_ACCESS,
					   UVM_DISABLE_HMM, 0 };
	const uint64_t flags = arg->flags;
	int rc = 0;

	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		arg->flags = flags | wishes[i];
		rc = (int)syscall(SYS_ioctl, fd, UVM_INITIALIZE, arg);
		if (rc == 0 && arg->status == 0)
			break;
	}
	arg->flags = flags;
	return rc;
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == UVM_INITIALIZE)
		return uvm_initialize(fd, arg);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}
