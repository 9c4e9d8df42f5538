/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transport `xen`: the channel is memory that this guest's kernel grants to the mediator's domain,
 * each side wakes the other by an event channel, and XenStore says who serves
 * (protocol/vgpu_xenstore.h). It needs no PCI device; where there is a vgpu-stub, its registers
 * are asked first whether both speak the same version.
 *
 * Three things tell that the host is gone. Its kernel clears its byte of the presence page and
 * signals when the worker ends, by whatever cause. The mediator writes the channel's end into
 * XenStore, with its reason. And where the domain was saved, restored or migrated, grants and ports
 * are dead without a sign, but the kernel sets its watches anew, which makes them fire.
 *
 * Xen's library reads XenStore in a thread of its own, one a channel; it blocks all signals.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xen/sys/evtchn.h> /* needs what the other defines */

#include "fork_guard.h"
#include "private.h"
#include "regs.h"
#include "xen_channel.h"
#include "xen_pages.h"
#include "xen_port.h"
#include "../common/errors.h"

#define REACT_MS 10000      /* in which a mediator that lives has seen a new channel */
#define LOOK_AGAIN_MS 1000  /* while opening, whatever the watch says */
#define REASON_WAIT_MS 1000 /* from a worker's end to the mediator's word about it */
#define CLOSE_WAIT_MS 1000  /* for a transaction */
#define WORKER_LEAVES_MS 2000
#define WORKER_LOOK_MS 100 /* its end signals; but who knows */

struct xen_transport {
	struct transport base;
	struct fork_guarded guarded;
	struct xen_log xen_log;
	struct store store;
	struct xen_device device;
	struct xen_channel channel;
	struct xen_pages pages;
	xenevtchn_handle *evtchn; /* of this channel alone, so that no other's events overflow it */
	evtchn_port_t port;
	bool changed; /* a watch fired since the last look */
	int lost;     /* 0, or why the channel ended */
};

static struct xen_transport *of(struct transport *t)
{
	return (struct xen_transport *)((char *)t - offsetof(struct xen_transport, base));
}

/* What Xen's libraries allow in a child; we hold the guard, so none of ours is in their locks. */
static void xen_forked(struct fork_guarded *g)
{
	struct xen_transport *x =
		(struct xen_transport *)((char *)g - offsetof(struct xen_transport, guarded));

	if (x->evtchn)
		xenevtchn_close(x->evtchn);
	x->evtchn = NULL;
	xen_pages_forked(&x->pages);
	store_forked(&x->store);
}

/* ---- attach ---- */

/*
 * Where there is a vgpu-stub and we may ask it: does it speak our version? XenStore decides all
 * else, so a device that is not bound, or a kernel in lockdown, is no obstacle.
 */
static int ask_stub(const struct transport *t, struct cause *why)
{
	struct device found[DEVICES_MAX];
	struct regs regs = { NULL };
	struct identity id;
	int fd = -1, rc = device_scan(found, why);

	if (rc == 0) {
		log_line(t->log, VGPU_LOG_DEBUG, "%s: no vgpu-stub PCI device: XenStore alone",
			 t->name);
		return 0;
	}
	if (rc > 0)
		rc = device_bound(&found[0], why);
	if (rc == 0) {
		fork_guard_lock();
		rc = regs_map(&regs, &fd, &found[0], why);
		if (rc == 0)
			close(fd);
		fork_guard_unlock();
	}
	if (rc == 0)
		rc = regs_identify(&regs, &found[0], &id, why);
	regs_unmap(&regs);
	if (rc == VGPU_EVERSION)
		return because_of(why, rc, "pci:%s", found[0].address);
	if (rc < 0 && rc != VGPU_ENOTSUP) /* no window: as it should be here */
		log_line(t->log, VGPU_LOG_INFO, "%s: vgpu-stub: %s: XenStore alone", t->name,
			 why->text);
	why->text[0] = '\0';
	return 0;
}

/* Under the fork guard. */
static int open_port(struct xen_transport *x, struct cause *why)
{
	xenevtchn_port_or_error_t port;

	x->evtchn = xenevtchn_open(&x->xen_log.ops, 0);
	if (!x->evtchn && (errno == EACCES || errno == EPERM))
		return because(why, VGPU_EACCES,
			       "open /dev/xen/evtchn: %m: is this user in group vgpu? as root: "
			       "adduser USER vgpu, then log in again");
	if (!x->evtchn && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return because(why, VGPU_ENOTSUP,
			       "open /dev/xen/evtchn: %m: module xen-evtchn is not loaded; as "
			       "root: modprobe xen-evtchn, or install the udev rule 60-vgpu.rules");
	if (!x->evtchn)
		return because(why, error_from_errno(-errno), "open /dev/xen/evtchn: %m");
	port = xenevtchn_bind_unbound_port(x->evtchn, x->device.backend_id);
	if (port < 0)
		return because(why, error_from_errno(-errno), "event channel for domain %u: %m",
			       x->device.backend_id);
	x->port = (evtchn_port_t)port;
	return 0;
}

/* Under the fork guard. */
static int make_pages(struct xen_transport *x, uint32_t count, bool less, struct cause *why)
{
	int rc = xen_pages_open(&x->pages, &x->xen_log, why);

	if (rc == 0)
		rc = xen_pages_announce(&x->pages, x->device.backend_id, x->port, why);
	if (rc == 0)
		rc = xen_pages_share(&x->pages, x->device.backend_id, count, less, why);
	return rc;
}

/* Once a process: it is the same for every channel. */
static void tell_of_step_down(const struct transport *t, uint32_t wanted, uint32_t got)
{
	static bool told;

	if (got >= wanted || __atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
		return;
	log_line(t->log, VGPU_LOG_WARNING,
		 "%s: a channel of %u pages instead of %u: this guest's kernel shares no more than "
		 "%u in all: " XEN_PAGES_RAISE_LIMIT,
		 t->name, got, wanted, xen_pages_limit());
}

static int xen_attach(struct transport *t, uint64_t window_bytes, int64_t deadline_ns,
		      struct cause *why)
{
	struct xen_transport *x = of(t);
	uint32_t count = 0;
	int rc;

	rc = ask_stub(t, why);
	if (rc == 0)
		rc = xen_device_connect(&x->device, &x->store, deadline_ns, why);
	if (rc == 0)
		rc = xen_pages_choose(&count, window_bytes, xen_pages_limit(), x->device.max_pages,
				      why);
	if (rc < 0)
		return rc;
	fork_guard_lock();
	rc = open_port(x, why);
	if (rc == 0)
		rc = make_pages(x, count, window_bytes == 0, why);
	fork_guard_unlock();
	if (rc < 0)
		return rc;
	tell_of_step_down(t, count, x->pages.count);
	t->base = x->pages.base;
	t->bytes = (uint64_t)x->pages.count * VGPU_PAGE_BYTES;
	return 0;
}

/* ---- start ---- */

/* Until a worker serves the channel. A mediator that lives says soon that it has seen it. */
static int wait_for_worker(struct xen_transport *x, int64_t deadline_ns, struct cause *why)
{
	int64_t react_ns = clock_deadline(REACT_MS);
	uint32_t state;

	for (;;) {
		int64_t until_ns = clock_deadline(LOOK_AGAIN_MS);
		int rc = xen_channel_look(&x->channel, &x->store, &state, why);

		if (rc < 0 || state == VGPU_XS_CONNECTED)
			return rc;
		if (state == VGPU_XS_UNKNOWN && clock_left_ms(react_ns) == 0)
			return because(why, VGPU_ENOMEDIATOR,
				       "channel %u: the mediator in domain %u did not react",
				       x->channel.number, x->device.backend_id);
		if (clock_left_ms(deadline_ns) == 0)
			return because(why, VGPU_ETIMEDOUT, "channel %u: no worker in time",
				       x->channel.number);
		if (deadline_ns >= 0 && deadline_ns < until_ns)
			until_ns = deadline_ns;
		store_wait(&x->store, clock_left_ms(until_ns));
	}
}

static int xen_start(struct transport *t, int64_t deadline_ns, struct cause *why)
{
	struct xen_transport *x = of(t);
	const struct xen_offer offer = { x->pages.count, x->pages.refs[0], x->port };
	int rc;

	xen_pages_write_refs(&x->pages);
	rc = xen_channel_claim(&x->channel, &x->store, &x->device, &offer, deadline_ns, why);
	if (rc == 0)
		rc = wait_for_worker(x, deadline_ns, why);
	if (rc == 0)
		rc = xen_channel_connected(&x->channel, &x->store, deadline_ns, why);
	return rc;
}

/* ---- while it lives ---- */

static void xen_notify(struct transport *t)
{
	struct xen_transport *x = of(t);

	if (xenevtchn_notify(x->evtchn, x->port) < 0)
		log_line(t->log, VGPU_LOG_ERROR, "%s: notify: %m", t->name);
}

/*
 * Take the event and let the next one come, which the caller's look at the rings follows: one that
 * is sent in between is delivered again.
 */
static void take_event(struct xen_transport *x)
{
	xenevtchn_port_or_error_t port = xenevtchn_pending(x->evtchn);

	/* More events than the kernel's buffer holds: it says no more until that is emptied. */
	if (port < 0 && errno == EFBIG && ioctl(xenevtchn_fd(x->evtchn), IOCTL_EVTCHN_RESET) == 0)
		port = (xenevtchn_port_or_error_t)x->port;
	if (port >= 0 && xenevtchn_unmask(x->evtchn, (evtchn_port_t)port) == 0)
		return;
	if (errno != EINTR && errno != EAGAIN) {
		log_line(x->base.log, VGPU_LOG_ERROR, "%s: event channel: %m", x->base.name);
		x->lost = VGPU_EIO;
	}
}

static int xen_wait(struct transport *t, int timeout_ms)
{
	struct xen_transport *x = of(t);
	int64_t deadline_ns = clock_deadline(timeout_ms);
	struct pollfd p[2] = {
		{ .fd = xenevtchn_fd(x->evtchn), .events = POLLIN },
		{ .fd = x->store.fd, .events = POLLIN },
	};
	int n;

	/*
	 * What woke us last may have stood for an answer and for the end, and the caller had no
	 * need to check(): it will not come again.
	 */
	if (x->lost || x->changed || !xen_pages_host_there(&x->pages))
		return 0;
	while ((n = poll(p, 2, timeout_ms)) < 0 && errno == EINTR)
		timeout_ms = clock_left_ms(deadline_ns);
	if (n == 0)
		return -ETIMEDOUT;
	if (p[0].revents)
		take_event(x);
	if (p[1].revents && store_fired(&x->store))
		x->changed = true;
	return 0;
}

/* Does XenStore say that the channel is over? An error of reading is no end. */
static int look(struct xen_transport *x, struct cause *why)
{
	uint32_t state;
	int rc = xen_channel_look(&x->channel, &x->store, &state, why);

	if (rc == 0 && state == VGPU_XS_UNKNOWN)
		return because(why, VGPU_EDEVLOST, "channel %u: the host ended it",
			       x->channel.number);
	if (rc == VGPU_EIO || rc == VGPU_EACCES || rc == VGPU_ENOMEM) {
		log_line(x->base.log, VGPU_LOG_WARNING, "%s: %s", x->base.name, why->text);
		return 0;
	}
	return rc;
}

/* The worker is gone. Why, says the mediator in a moment, if it lives. */
static int worker_gone(struct xen_transport *x, struct cause *why)
{
	int64_t deadline_ns = clock_deadline(REASON_WAIT_MS);
	int rc = look(x, why);

	while (rc == 0 && store_wait(&x->store, clock_left_ms(deadline_ns)) == 0)
		rc = look(x, why);
	if (rc == 0)
		rc = because(why, VGPU_EDEVLOST, "channel %u: its worker is gone",
			     x->channel.number);
	return rc;
}

static int xen_check(struct transport *t, struct cause *why)
{
	struct xen_transport *x = of(t);

	if (x->lost)
		return because(why, x->lost, "channel %u: %s", x->channel.number,
			       error_text(x->lost));
	if (!xen_pages_host_there(&x->pages)) {
		x->lost = worker_gone(x, why);
	} else if (x->changed) {
		x->changed = false;
		x->lost = look(x, why);
	}
	return x->lost;
}

/* ---- the end ---- */

static void xen_discard(struct transport *t)
{
	free(of(t));
}

/*
 * Pages that the worker still has mapped when they are given back stay in the kernel's hands, which
 * asks for them again ten at a time, once a second (gnttab_handle_deferred() in Linux): a program
 * that opens and closes would soon find the guest's grant table full. So the worker goes first; it
 * is about to, now that the nodes are gone.
 */
static void let_the_worker_go(struct xen_transport *x)
{
	int64_t deadline_ns = clock_deadline(WORKER_LEAVES_MS);

	while (!x->lost && x->pages.presence && xen_pages_host_there(&x->pages) &&
	       clock_left_ms(deadline_ns) > 0)
		xen_wait(&x->base, WORKER_LOOK_MS);
}

static bool restored(struct xen_transport *x)
{
	struct cause ignored = { "" };
	uint32_t domid;

	return x->store.xs && xen_own_domid(&x->store, &domid, &ignored) == 0 &&
	       domid != x->device.domid;
}

static void xen_close(struct transport *t, bool orderly)
{
	struct xen_transport *x = of(t);
	bool was_restored = x->evtchn && restored(x);

	(void)orderly; /* the nodes go either way: who else would remove them? */
	if (x->store.xs)
		xen_channel_release(&x->channel, &x->store, clock_deadline(CLOSE_WAIT_MS));
	if (x->evtchn && x->store.xs)
		let_the_worker_go(x);
	fork_guard_lock();
	fork_guard_leave(&x->guarded);
	xen_pages_close(&x->pages); /* signals the port, so before that */
	if (x->evtchn)
		xen_port_close(x->evtchn, x->port, x->device.backend_id, was_restored, t->log);
	store_close(&x->store);
	fork_guard_unlock();
	free(x);
}

static const struct transport_ops xen_ops = {
	.attach = xen_attach,
	.start = xen_start,
	.notify = xen_notify,
	.wait = xen_wait,
	.check = xen_check,
	.close = xen_close,
	.discard = xen_discard,
};

static struct xen_transport *xen_new(uint32_t number, const struct log *log)
{
	struct xen_transport *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->base.ops = &xen_ops;
	x->base.log = log;
	x->store.fd = -1;
	xen_log_init(&x->xen_log, log);
	snprintf(x->base.name, sizeof(x->base.name), "xen:%u", number);
	return x;
}

int transport_xen_new(struct transport **out, const char *which, const struct log *log,
		      struct cause *why)
{
	struct xen_transport *x;
	uint32_t number = 0;
	int rc;

	if (which && !store_parse_number(which, 0, VGPU_XS_DEVICES_MAX - 1, &number))
		return because(why, VGPU_EINVAL, "xen: \"%s\" is no device's number from 0 to %u",
			       which, VGPU_XS_DEVICES_MAX - 1);
	if (!which && !xen_guest())
		return because(why, VGPU_ENODEV, "xen: this machine is no Xen guest");
	x = xen_new(number, log);
	if (!x)
		return because(why, VGPU_ENOMEM, "xen: out of memory");
	fork_guard_lock();
	fork_guard_join(&x->guarded, xen_forked);
	rc = store_open(&x->store, why);
	fork_guard_unlock();
	/* Where nothing is known of a device, being kept from looking for one is no error. */
	if (rc == VGPU_EACCES && !which && !xen_device_in_sysfs(number))
		rc = VGPU_ENODEV;
	if (rc == 0)
		rc = xen_device_find(&x->device, &x->store, number, why);
	if (rc < 0) {
		because_of(why, rc, "%s", x->base.name);
		xen_close(&x->base, false);
		return rc;
	}
	*out = &x->base;
	return 0;
}
