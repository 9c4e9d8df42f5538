// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Transport "memfd": a sealed memfd and an eventfd each way. Both `unix` (the library's memfd)
 * and `pci` (QEMU's, of which the channel is a slice) arrive here.
 */
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../common/checked.h"
#include "../common/errors.h"
#include "../common/memfd.h"
#include "../common/shm.h"
#include "../protocol/vgpu_channel.h"
#include "eventfd_check.h"

static const char *memfd_problem(int rc)
{
	switch (rc) {
	case -EINVAL:
		return "it is no memfd that can be sealed";
	case -EPERM:
		return "it is not sealed against shrinking, or it is sealed against writing";
	case -ERANGE:
		return "the channel reaches beyond its end";
	default:
		return strerror(-rc);
	}
}

static int memfd_attach(struct transport *t, const struct worker_assign *assign, const int *fds,
			uint32_t nfds, struct vgpu_channel_header *header, char *why,
			size_t why_len)
{
	void *base;
	int rc;

	if (nfds != 3) {
		snprintf(why, why_len, "channel %u: %u descriptors instead of 3", assign->channel,
			 nfds);
		return VGPU_EPROTO;
	}
	if (assign->length < sizeof(*header) || !checked_aligned(assign->offset, VGPU_PAGE_BYTES) ||
	    !checked_aligned(assign->length, VGPU_PAGE_BYTES)) {
		snprintf(why, why_len, "channel %u: memory is too small or not page-aligned",
			 assign->channel);
		return VGPU_EINVAL;
	}
	/* The supervisor has looked as well, but a mapping is only as safe as the last look. */
	rc = memfd_check(fds[0], assign->offset, assign->length);
	if (rc < 0) {
		snprintf(why, why_len, "channel %u: shared memory: %s", assign->channel,
			 memfd_problem(rc));
		return VGPU_EMEMORY;
	}
	if (!fd_is_eventfd(fds[1]) || !fd_is_eventfd(fds[2])) {
		snprintf(why, why_len, "channel %u: a notification descriptor is no eventfd",
			 assign->channel);
		return VGPU_EINVAL;
	}
	base = mmap(NULL, assign->length, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0],
		    (off_t)assign->offset);
	if (base == MAP_FAILED) {
		rc = errno;
		snprintf(why, why_len, "channel %u: map %llu bytes: %s", assign->channel,
			 (unsigned long long)assign->length, strerror(rc));
		return error_from_errno(-rc);
	}
	close(fds[0]); /* the mapping keeps the memory */
	shm_copy_in(header, base, sizeof(*header));
	t->base = base;
	t->length = assign->length;
	t->wait_fd = fds[1];
	t->notify_fd = fds[2];
	t->registrable = true;
	return 0;
}

/* The descriptor is the guest's too, so whether a plain read blocks is the guest's choice. */
static void take_now(int fd)
{
	uint64_t count;
	struct iovec iov = { &count, sizeof(count) };
	ssize_t n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);

	if (n < 0 && errno == EOPNOTSUPP)
		n = read(fd, &count, sizeof(count)); /* a kernel before 5.8 */
	(void)n;
}

static bool wait_a_while(int fd, int64_t timeout_us)
{
	const struct timespec timeout = { timeout_us / 1000000, timeout_us % 1000000 * 1000 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int n = ppoll(&p, 1, &timeout, NULL);

	if (n > 0)
		take_now(fd);
	return n != 0;
}

static bool memfd_wait(struct transport *t, int64_t timeout_us)
{
	struct pollfd p = { .fd = t->wait_fd, .events = POLLIN };
	uint64_t count;

	if (timeout_us >= 0)
		return wait_a_while(t->wait_fd, timeout_us);
	if (read(t->wait_fd, &count, sizeof(count)) < 0 && errno == EAGAIN)
		poll(&p, 1, -1);
	return true;
}

static void memfd_notify(struct transport *t)
{
	const uint64_t one = 1;
	ssize_t n;

	/* EAGAIN: the counter is full, so the guest has more than enough signals waiting. */
	n = write(t->notify_fd, &one, sizeof(one));
	(void)n;
}

const struct transport_ops transport_memfd = {
	.attach = memfd_attach,
	.wait = memfd_wait,
	.notify = memfd_notify,
};
