/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xen_device.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "private.h"
#include "../protocol/vgpu_errors.h"
#include "../protocol/vgpu_version.h"

#define DOMID_MAX 0x7fefu   /* Xen's own are above */
#define NOBODY_WAIT_MS 2000 /* a mediator that starts right now */
#define PATIENCE_MS 10000   /* with one that is there: it answers at once unless it is dead */
#define LOOK_AGAIN_MS 1000  /* whatever the watches say */

bool xen_guest(void)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/bus/xen", device_sysfs);
	return access(path, F_OK) == 0;
}

bool xen_device_in_sysfs(uint32_t number)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/bus/xen/devices/" VGPU_XS_DEVICE_TYPE "-%u", device_sysfs,
		 number);
	return access(path, F_OK) == 0;
}

int xen_own_domid(struct store *s, uint32_t *out, struct cause *why)
{
	int rc = store_read_number(s, XBT_NULL, "", "domid", 0, DOMID_MAX, out, why);

	return rc == -ENOENT ? VGPU_EIO : rc;
}

int xen_device_find(struct xen_device *d, struct store *s, uint32_t number, struct cause *why)
{
	int rc;

	memset(d, 0, sizeof(*d));
	d->number = number;
	snprintf(d->front, sizeof(d->front), "device/" VGPU_XS_DEVICE_TYPE "/%u", number);
	rc = store_read_number(s, XBT_NULL, d->front, VGPU_XS_BACKEND_ID, 0, DOMID_MAX,
			       &d->backend_id, why);
	if (rc == -ENOENT)
		return because(why, VGPU_ENODEV,
			       "XenStore: no %s: no vgpu is attached to this guest (vgpu-admin "
			       "attach, in the mediator's domain)",
			       d->front);
	if (rc < 0)
		return rc;
	/* Relative: the domain that asks. */
	rc = xen_own_domid(s, &d->domid, why);
	if (rc < 0)
		return rc;
	snprintf(d->back, sizeof(d->back), "/local/domain/%u/backend/" VGPU_XS_DEVICE_TYPE "/%u/%u",
		 d->backend_id, d->domid, number);
	return 0;
}

static int read_state(struct store *s, xs_transaction_t t, const char *dir, uint32_t *out,
		      struct cause *why)
{
	int rc = store_read_number(s, t, dir, VGPU_XS_STATE, VGPU_XS_INITIALISING, VGPU_XS_CLOSED,
				   out, why);

	if (rc != -ENOENT)
		return rc;
	*out = VGPU_XS_UNKNOWN;
	return 0;
}

int xen_device_states(const struct xen_device *d, struct store *s, xs_transaction_t t,
		      struct xen_states *out, struct cause *why)
{
	uint32_t online;
	int rc;

	*out = (struct xen_states){ 0 };
	rc = store_read_number(s, t, d->back, VGPU_XS_ONLINE, 0, 1, &online, why);
	if (rc == -ENOENT)
		return because_of(why, VGPU_ENODEV, "the device was detached");
	if (rc == 0)
		rc = read_state(s, t, d->front, &out->front, why);
	if (rc == 0)
		rc = read_state(s, t, d->back, &out->back, why);
	if (rc < 0)
		return rc;
	out->online = online;
	if (!online)
		return because(why, VGPU_ENODEV, "the device is being detached");
	return 0;
}

int xen_device_limits(struct xen_device *d, struct store *s, struct cause *why)
{
	int rc = store_read_number(s, XBT_NULL, d->back, VGPU_XS_PROTOCOL_VERSION, 1, UINT32_MAX,
				   &d->version, why);

	if (rc == 0 && VGPU_VERSION_MAJOR(d->version) != VGPU_PROTOCOL_MAJOR)
		return because(why, VGPU_EVERSION,
			       "the mediator speaks protocol %u.%u, this library %u.%u",
			       VGPU_VERSION_MAJOR(d->version), VGPU_VERSION_MINOR(d->version),
			       VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR);
	if (rc == 0)
		rc = store_read_number(s, XBT_NULL, d->back, VGPU_XS_MAX_CHANNELS, 0,
				       VGPU_XS_CHANNELS_MAX, &d->max_channels, why);
	if (rc == 0)
		rc = store_read_number(s, XBT_NULL, d->back, VGPU_XS_MAX_WINDOW_PAGES, 0,
				       UINT32_MAX, &d->max_pages, why);
	/* They stand there before the states say that somebody serves. */
	return rc == -ENOENT ? VGPU_EPROTO : rc;
}

enum xen_step xen_device_step(const struct xen_states *now, uint32_t *next)
{
	bool served = now->back == VGPU_XS_INIT_WAIT || now->back == VGPU_XS_CONNECTED;
	bool ends = now->back == VGPU_XS_CLOSING || now->back == VGPU_XS_CLOSED;

	switch (now->front) {
	case VGPU_XS_INITIALISED:
	case VGPU_XS_CONNECTED:
		if (now->back == VGPU_XS_CONNECTED) {
			*next = VGPU_XS_CONNECTED;
			return now->front == *next ? XEN_STEP_CONNECTED : XEN_STEP_WRITE;
		}
		return served ? XEN_STEP_WAIT : XEN_STEP_NOBODY;
	case VGPU_XS_CLOSING:
		/* The kernel's, if it is at it; else what it or somebody left: go on in its order. */
		*next = VGPU_XS_CLOSED;
		return ends ? XEN_STEP_WRITE : XEN_STEP_NOBODY;
	case VGPU_XS_CLOSED:
		*next = VGPU_XS_INITIALISING;
		return XEN_STEP_WRITE;
	default:
		/* A mediator follows to 2, so 4 is one that has not yet looked. */
		*next = VGPU_XS_INITIALISED;
		return served ? XEN_STEP_WRITE : XEN_STEP_NOBODY;
	}
}

struct handshake {
	struct xen_device *d;
	struct xen_states now;
	enum xen_step step;
	uint32_t next;
};

static int look(struct handshake *h, struct store *s, xs_transaction_t t, struct cause *why)
{
	int rc = xen_device_states(h->d, s, t, &h->now, why);

	if (rc == 0)
		h->step = xen_device_step(&h->now, &h->next);
	return rc;
}

/* Look again before writing: others of this guest may be at it. */
static int write_state(struct store *s, xs_transaction_t t, void *opaque, struct cause *why)
{
	struct handshake *h = opaque;
	int rc = look(h, s, t, why);

	if (rc == 0 && h->step == XEN_STEP_WRITE)
		rc = store_write_number(s, t, h->d->front, VGPU_XS_STATE, h->next, why);
	return rc;
}

static int nobody(const struct handshake *h, int64_t since_ns, struct cause *why)
{
	int waited_ms = (int)((clock_now_ns() - since_ns) / 1000000);

	if (h->step == XEN_STEP_NOBODY)
		return because(why, VGPU_ENOMEDIATOR,
			       "no mediator serves it in domain %u (its state is %u)",
			       h->d->backend_id, h->now.back);
	return because(why, VGPU_ENOMEDIATOR,
		       "the mediator in domain %u did not react for %d ms (states %u and %u)",
		       h->d->backend_id, waited_ms, h->now.front, h->now.back);
}

/* Sleep until the other side may have moved, or say that it does not. */
static int wait_for_it(const struct handshake *h, struct store *s, int64_t since_ns,
		       int64_t deadline_ns, struct cause *why)
{
	int64_t patience_ms = h->step == XEN_STEP_NOBODY ? NOBODY_WAIT_MS : PATIENCE_MS;
	int64_t until_ns = since_ns + patience_ms * 1000000;
	int64_t again_ns = clock_deadline(LOOK_AGAIN_MS);

	if (clock_left_ms(until_ns) == 0)
		return nobody(h, since_ns, why);
	if (clock_left_ms(deadline_ns) == 0)
		return because(
			why, VGPU_ETIMEDOUT,
			"no answer in time from the mediator in domain %u (states %u and %u)",
			h->d->backend_id, h->now.front, h->now.back);
	if (deadline_ns >= 0 && deadline_ns < until_ns)
		until_ns = deadline_ns;
	store_wait(s, clock_left_ms(until_ns < again_ns ? until_ns : again_ns));
	return 0;
}

/* The handshake, with the watch set. Limits come first: so a version that does not fit is told. */
static int shake_hands(struct handshake *h, struct store *s, int64_t deadline_ns, struct cause *why)
{
	struct xen_states last = { 0 };
	int64_t since_ns = 0;
	bool known = false;
	int rc = look(h, s, XBT_NULL, why);

	while (rc == 0) {
		bool served = h->now.back == VGPU_XS_INIT_WAIT || h->now.back == VGPU_XS_CONNECTED;

		if (served && !known)
			rc = xen_device_limits(h->d, s, why);
		known |= served;
		if (rc < 0 || h->step == XEN_STEP_CONNECTED)
			return rc;
		if (h->step == XEN_STEP_WRITE) {
			rc = store_transact(s, write_state, h, deadline_ns, why);
		} else {
			if (!since_ns || h->now.back != last.back || h->now.front != last.front)
				since_ns = clock_now_ns();
			last = h->now;
			rc = wait_for_it(h, s, since_ns, deadline_ns, why);
		}
		if (rc == 0)
			rc = look(h, s, XBT_NULL, why);
	}
	return rc;
}

int xen_device_connect(struct xen_device *d, struct store *s, int64_t deadline_ns,
		       struct cause *why)
{
	struct handshake h = { .d = d };
	char path[STORE_PATH_MAX];
	int rc = look(&h, s, XBT_NULL, why);

	/* As a rule somebody has been here before. */
	if (rc < 0 || h.step == XEN_STEP_CONNECTED)
		return rc < 0 ? rc : xen_device_limits(d, s, why);
	snprintf(path, sizeof(path), "%.100s/" VGPU_XS_STATE, d->back);
	rc = store_watch(s, path, why);
	if (rc < 0)
		return rc;
	rc = shake_hands(&h, s, deadline_ns, why);
	store_unwatch(s, path);
	return rc;
}
