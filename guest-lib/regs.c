/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "regs.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "channel.h"
#include "../common/checked.h"
#include "../common/errors.h"

#define GROUP_HINT "is this user in group vgpu? as root: adduser USER vgpu, then log in again"

int regs_map(struct regs *r, int *fd, const struct device *d, struct cause *why)
{
	char path[4096];
	void *p;
	int rc;

	device_path(path, sizeof(path), d, "resource0");
	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0 && errno == EACCES)
		return because(why, VGPU_EACCES, "open resource0: %m: " GROUP_HINT);
	if (*fd < 0 && errno == EPERM)
		return because(why, VGPU_ELOCKDOWN, "open resource0: %m: kernel lockdown");
	if (*fd < 0)
		return because(why, error_from_errno(-errno), "open resource0: %m");
	p = mmap(NULL, VGPU_REGS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (p != MAP_FAILED) {
		madvise(p, VGPU_REGS_BYTES, MADV_DONTFORK);
		r->base = p;
		return 0;
	}
	rc = errno == EPERM ? because(why, VGPU_ELOCKDOWN,
				      "map resource0: %m: kernel lockdown (Secure Boot) forbids "
				      "PCI access")
			    : because(why, error_from_errno(-errno), "map resource0: %m");
	close(*fd);
	*fd = -1;
	return rc;
}

void regs_unmap(struct regs *r)
{
	if (r->base)
		munmap((void *)(uintptr_t)r->base, VGPU_REGS_BYTES);
	r->base = NULL;
}

int regs_identify(const struct regs *r, const struct device *d, struct identity *id,
		  struct cause *why)
{
	uint32_t magic = regs_read(r, VGPU_REG_MAGIC);
	uint64_t all;

	*id = (struct identity){ 0 };
	if (magic != VGPU_MAGIC)
		return because(why, VGPU_ENODEV, "magic is %#x, not %#x: %s", magic, VGPU_MAGIC,
			       magic == REGS_GONE ? "the device does not answer"
						  : "not a vgpu-stub");
	id->version = regs_read(r, VGPU_REG_VERSION);
	if (VGPU_VERSION_MAJOR(id->version) != VGPU_PROTOCOL_MAJOR)
		return because(why, VGPU_EVERSION,
			       "the device speaks protocol %u.%u, this library %u.%u",
			       VGPU_VERSION_MAJOR(id->version), VGPU_VERSION_MINOR(id->version),
			       VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR);
	id->mediator = regs_read(r, VGPU_REG_MEDIATOR);
	id->channels = regs_read(r, VGPU_REG_CHANNELS);
	if (!(regs_read(r, VGPU_REG_FEATURES) & VGPU_FEATURE_WINDOW) || !id->channels)
		return because(
			why, VGPU_ENOTSUP,
			"the device has no shared window: QEMU's -device vgpu-stub needs memdev=");
	id->slice_bytes = (uint64_t)regs_read(r, VGPU_REG_SLICE_PAGES) * VGPU_PAGE_BYTES;
	if (id->channels > VGPU_CHANNELS_MAX || id->slice_bytes < CHANNEL_BYTES_MIN ||
	    !checked_mul(id->slice_bytes, id->channels, &all) || all > d->window_bytes) {
		int rc = because(why, VGPU_EPROTO,
				 "the device claims %u channels of %llu bytes in a window of %llu",
				 id->channels, (unsigned long long)id->slice_bytes,
				 (unsigned long long)d->window_bytes);

		id->channels = 0;
		return rc;
	}
	return 0;
}
