/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transport `pci`: the channel is a slice of the stub device's BAR2, the host is woken by
 * a doorbell register and wakes us by INTx, which the keeper takes from /dev/uioN.
 *
 * The slice is mapped from sysfs `resource2`, not `resource2_wc`. Where the processor heeds
 * the guest's memory type (AMD), write-combining would let a slot's number overtake the
 * rest of the slot: the rings rely on stores staying in order. Uncached keeps them in order
 * everywhere; on Intel hosts KVM maps RAM behind a BAR cached whatever the guest asks for,
 * and nothing is lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "keeper.h"
#include "mailbox.h"
#include "private.h"
#include "../common/errors.h"

#define CLOSE_WAIT_MS 200  /* for a lock that is held for microseconds */
#define LOOK_AGAIN_MS 1000 /* sleep no longer without asking the device, interrupt or not */
#define NO_CHANNEL UINT32_MAX

struct pci_transport {
	struct transport base;
	struct fork_guarded guarded;
	struct device device;
	struct keeper *keeper;
	struct mapping slice;
	int lock_file;    /* resource0 again: its description holds the channel's byte */
	uint32_t channel; /* NO_CHANNEL */
	uint32_t seen;    /* interrupts at the last look at the channel's state */
};

static struct pci_transport *of(struct transport *t)
{
	return (struct pci_transport *)((char *)t - offsetof(struct pci_transport, base));
}

static void pci_forked(struct fork_guarded *g)
{
	struct pci_transport *p =
		(struct pci_transport *)((char *)g - offsetof(struct pci_transport, guarded));

	if (p->lock_file >= 0)
		close(p->lock_file);
	p->lock_file = -1;
}

static int open_file(struct pci_transport *p, int *fd, const char *file, struct cause *why)
{
	char path[4096];

	device_path(path, sizeof(path), &p->device, file);
	fork_guard_lock();
	*fd = open(path, O_RDWR | O_CLOEXEC);
	fork_guard_unlock();
	if (*fd >= 0)
		return 0;
	if (errno == EACCES)
		return because(
			why, VGPU_EACCES,
			"open %s: %m: is this user in group vgpu? as root: adduser USER vgpu, then "
			"log in again",
			file);
	return because(why, error_from_errno(-errno), "open %s: %m", file);
}

static int32_t channel_state(const struct pci_transport *p, uint32_t channel)
{
	return (int32_t)regs_read(&p->keeper->regs, VGPU_REG_CHANNEL_STATE + 4 * channel);
}

/* The own channel's state; pci_wait() waits for an interrupt after this look. */
static int32_t look(struct pci_transport *p)
{
	p->seen = keeper_wakes(p->keeper);
	return channel_state(p, p->channel);
}

/* Lock the first free byte; only of closed channels if @closed. -EAGAIN: there is none. */
static int claim_first(struct pci_transport *p, bool closed)
{
	for (uint32_t i = 0; i < p->keeper->identity.channels; i++) {
		int rc;

		if (closed && channel_state(p, i) > VGPU_CHANNEL_CLOSED)
			continue;
		rc = file_lock_try(p->lock_file, i);
		if (rc == 0)
			p->channel = i;
		if (rc != -EAGAIN)
			return rc;
	}
	return -EAGAIN;
}

/*
 * Take a channel: the first that nobody has, so that few are ever in use, but rather one that is
 * closed than one whose last worker is still coming to its end.
 */
static int claim(struct pci_transport *p, int64_t deadline_ns, struct cause *why)
{
	struct keeper *k = p->keeper;
	int rc;

	rc = open_file(p, &p->lock_file, "resource0", why);
	if (rc < 0)
		return rc;
	rc = file_lock_take(&k->claim, deadline_ns);
	if (rc < 0)
		return because(why, error_from_errno(rc), "claim a channel: %s", strerror(-rc));
	rc = claim_first(p, true);
	if (rc == -EAGAIN)
		rc = claim_first(p, false);
	if (rc == 0)
		keeper_listen(k, p->channel, true);
	file_lock_drop(&k->claim);
	if (rc == -EAGAIN)
		return because(why, VGPU_ENOCHANNEL,
			       "all %u channels are in use by processes of this machine",
			       k->identity.channels);
	if (rc < 0)
		return because(why, VGPU_EIO, "lock a channel: %s", strerror(-rc));
	return 0;
}

/* Have the device close the channel, and wait until the host no longer uses its memory. */
static int reset_channel(struct pci_transport *p, int64_t deadline_ns, struct cause *why)
{
	struct keeper *k = p->keeper;
	int32_t state = look(p);

	if (state <= VGPU_CHANNEL_CLOSED)
		return 0;
	regs_write(&k->regs, VGPU_REG_CHANNEL_RESET, p->channel);
	while ((state = look(p)) > VGPU_CHANNEL_CLOSED) {
		int64_t soon = clock_deadline(10); /* the interrupt may be masked or shared */

		if (clock_left_ms(deadline_ns) == 0)
			return because(why, VGPU_ETIMEDOUT,
				       "channel %u: the host does not close it for its last user",
				       p->channel);
		keeper_wait(k, p->seen, soon < deadline_ns ? soon : deadline_ns);
	}
	return 0;
}

/* Map @bytes of the channel's slice, from @offset on, wherever there is room. */
static int map_window(struct pci_transport *p, uint64_t offset, uint64_t bytes, void **out,
		      struct cause *why)
{
	uint64_t slice = p->keeper->identity.slice_bytes * p->channel;
	void *base;
	int fd, rc;

	rc = open_file(p, &fd, "resource2", why);
	if (rc < 0)
		return rc;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(slice + offset));
	rc = errno;
	close(fd);
	if (base == MAP_FAILED)
		return because(why, rc == EPERM ? VGPU_ELOCKDOWN : error_from_errno(-rc),
			       "map resource2: %s%s", strerror(rc),
			       rc == EPERM ? ": kernel lockdown (Secure Boot) forbids PCI access"
					   : "");
	if (madvise(base, bytes, MADV_DONTFORK) < 0) {
		because(why, VGPU_EIO, "madvise: %m");
		munmap(base, bytes);
		return VGPU_EIO;
	}
	*out = base;
	return 0;
}

static int map_slice(struct pci_transport *p, struct cause *why)
{
	uint64_t bytes = p->keeper->identity.slice_bytes;
	int rc = map_window(p, 0, bytes, &p->base.base, why);

	if (rc < 0)
		return rc;
	p->base.bytes = bytes;
	p->slice = (struct mapping){ .base = p->base.base, .bytes = bytes };
	keeper_mapped(p->keeper, &p->slice);
	return 0;
}

static int pci_attach(struct transport *t, uint64_t window_bytes, int64_t deadline_ns,
		      struct cause *why)
{
	struct pci_transport *p = of(t);
	int rc;

	(void)window_bytes; /* every channel has its slice */
	rc = keeper_get(&p->keeper, &p->device, t->log, why);
	if (rc == 0)
		rc = claim(p, deadline_ns, why);
	if (rc == 0) /* a process that died may have left it open: its worker still writes there */
		rc = reset_channel(p, deadline_ns, why);
	if (rc == 0)
		rc = map_slice(p, why);
	return rc;
}

static int pci_start(struct transport *t, int64_t deadline_ns, struct cause *why)
{
	struct pci_transport *p = of(t);
	int rc;

	rc = file_lock_take(&p->keeper->mailbox, deadline_ns);
	if (rc < 0)
		return because(why, error_from_errno(rc), "mailbox: lock: %s", strerror(-rc));
	rc = mailbox_open(&p->keeper->regs, p->channel, deadline_ns, why);
	file_lock_drop(&p->keeper->mailbox);
	return rc;
}

static void pci_notify(struct transport *t)
{
	struct pci_transport *p = of(t);

	regs_write(&p->keeper->regs, VGPU_REG_DOORBELL, p->channel);
}

static int pci_wait(struct transport *t, int timeout_ms)
{
	struct pci_transport *p = of(t);
	bool again = timeout_ms < 0 || timeout_ms > LOOK_AGAIN_MS;
	int rc =
		keeper_wait(p->keeper, p->seen, clock_deadline(again ? LOOK_AGAIN_MS : timeout_ms));

	if (rc < 0 && again)
		log_line(t->log, VGPU_LOG_DEBUG, "%s: channel %u: no interrupt for %d ms", t->name,
			 p->channel, LOOK_AGAIN_MS);
	return again ? 0 : rc;
}

static bool pci_gone(struct transport *t)
{
	struct pci_transport *p = of(t);

	return keeper_lost(p->keeper) || regs_gone(&p->keeper->regs);
}

static int pci_check(struct transport *t, struct cause *why)
{
	struct pci_transport *p = of(t);
	int32_t state = look(p);

	if ((uint32_t)state == REGS_GONE && pci_gone(t))
		return because(why, VGPU_EDEVLOST, "the device was unplugged");
	if (state == VGPU_CHANNEL_OPEN)
		return 0;
	if (state < 0)
		return because(why, channel_reason(state), "channel %u: ended by the host: %s",
			       p->channel, error_text(channel_reason(state)));
	return because(why, VGPU_EDEVLOST, "channel %u: was closed by the device", p->channel);
}

static int pci_map_at(struct transport *t, struct mapping *m, uint64_t offset, struct cause *why)
{
	struct pci_transport *p = of(t);
	void *again;
	int rc = map_window(p, offset, m->bytes, &again, why);

	if (rc < 0)
		return rc;
	rc = keeper_replace(p->keeper, m, again, true);
	if (rc == 0)
		return 0;
	munmap(again, m->bytes);
	return because(why, rc == -ENODEV ? VGPU_EDEVLOST : error_from_errno(rc),
		       "map the window again: %s", strerror(-rc));
}

static int pci_unmap_at(struct transport *t, struct mapping *m, void *memory, struct cause *why)
{
	int rc = keeper_replace(of(t)->keeper, m, memory, false);

	return rc ? because(why, error_from_errno(rc), "move memory: %s", strerror(-rc)) : 0;
}

static void pci_discard(struct transport *t)
{
	struct pci_transport *p = of(t);

	if (p->keeper)
		keeper_discard(p->keeper);
	free(p);
}

static void pci_close(struct transport *t, bool orderly)
{
	struct pci_transport *p = of(t);
	struct keeper *k = p->keeper;

	(void)orderly; /* a reset closes from any state */
	if (p->channel != NO_CHANNEL) {
		if (!keeper_lost(k)) {
			/* Whoever claims it next waits for the worker's end, which can take long. */
			regs_write(&k->regs, VGPU_REG_CHANNEL_RESET, p->channel);
			if (file_lock_take(&k->claim, clock_deadline(CLOSE_WAIT_MS)) == 0) {
				keeper_listen(k, p->channel, false);
				file_lock_drop(&k->claim);
			}
		}
		keeper_unmapped(k, &p->slice);
	}
	if (t->base)
		munmap(t->base, t->bytes);
	fork_guard_lock();
	fork_guard_leave(&p->guarded);
	if (p->lock_file >= 0)
		close(p->lock_file);
	fork_guard_unlock();
	if (k)
		keeper_put(k);
	free(p);
}

static const struct transport_ops pci_ops = {
	.attach = pci_attach,
	.start = pci_start,
	.notify = pci_notify,
	.wait = pci_wait,
	.check = pci_check,
	.gone = pci_gone,
	.map_at = pci_map_at,
	.unmap_at = pci_unmap_at,
	.close = pci_close,
	.discard = pci_discard,
};

int transport_pci_new(struct transport **out, const char *address, const struct log *log,
		      struct cause *why)
{
	struct device found[DEVICES_MAX];
	struct pci_transport *p;
	int rc;

	if (address) {
		rc = device_get(&found[0], address, why);
	} else {
		rc = device_scan(found, why);
		if (rc == 0)
			return because(why, VGPU_ENODEV,
				       "pci: no device %04x:%04x of class %04x on this machine",
				       VGPU_PCI_VENDOR_ID, VGPU_PCI_DEVICE_ID, VGPU_PCI_CLASS);
	}
	if (rc < 0)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return because(why, VGPU_ENOMEM, "pci: out of memory");
	p->base.ops = &pci_ops;
	p->base.log = log;
	p->device = found[0];
	p->lock_file = -1;
	p->channel = NO_CHANNEL;
	snprintf(p->base.name, sizeof(p->base.name), "pci:%s", p->device.address);
	fork_guard_lock();
	fork_guard_join(&p->guarded, pci_forked);
	fork_guard_unlock();
	*out = &p->base;
	return 0;
}
