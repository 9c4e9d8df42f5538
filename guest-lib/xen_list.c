/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xen_list.h"

#include <stdio.h>

#include "channel.h"
#include "fork_guard.h"
#include "xen_channel.h"
#include "xen_pages.h"
#include "../common/errors.h"

static void set_state(struct vgpu_device *out, uint32_t number, int state, const struct cause *why)
{
	snprintf(out->name, sizeof(out->name), "xen:%u", number);
	out->state = state;
	if (state)
		snprintf(out->detail, sizeof(out->detail), "%.*s", (int)sizeof(out->detail) - 1,
			 why->text[0] ? why->text : error_text(state));
}

/* What vgpu_open() would find, as far as looking tells. */
static int look(struct vgpu_device *out, struct xen_device *d, struct store *s, struct cause *why)
{
	struct xen_states now;
	uint32_t pages;
	int rc = xen_device_states(d, s, XBT_NULL, &now, why);

	if (rc < 0)
		return rc;
	if (now.back != VGPU_XS_INIT_WAIT && now.back != VGPU_XS_CONNECTED)
		return because(why, VGPU_ENOMEDIATOR,
			       "no mediator serves it in domain %u (its state is %u)",
			       d->backend_id, now.back);
	rc = xen_device_limits(d, s, why);
	out->protocol_version = d->version;
	if (rc < 0)
		return rc;
	out->channels = d->max_channels;
	out->channels_free = xen_channel_count_free(d, s);
	rc = xen_pages_choose(&pages, 0, xen_pages_limit(), d->max_pages, why);
	if (rc == 0)
		out->window_bytes = (uint64_t)pages * VGPU_PAGE_BYTES - CHANNEL_OVERHEAD;
	if (rc == 0 && !out->channels_free)
		rc = because(why, VGPU_ENOCHANNEL, "all %u channels are in use", out->channels);
	return rc;
}

size_t xen_list(struct vgpu_device *out, size_t max)
{
	struct store s = { NULL, -1 };
	struct cause why = { "" };
	struct xen_device d;
	size_t n = 0;
	int rc;

	if (!xen_guest() || !max)
		return 0;
	fork_guard_lock();
	rc = store_open(&s, &why);
	fork_guard_unlock();
	if (rc < 0) {
		if (!xen_device_in_sysfs(0))
			return 0;
		set_state(out, 0, rc, &why);
		return 1;
	}
	for (uint32_t i = 0; i < VGPU_XS_DEVICES_MAX && n < max; i++) {
		why.text[0] = '\0';
		rc = xen_device_find(&d, &s, i, &why);
		if (rc == VGPU_ENODEV)
			continue;
		if (rc == 0)
			rc = look(&out[n], &d, &s, &why);
		set_state(&out[n++], i, rc, &why);
	}
	fork_guard_lock();
	store_close(&s);
	fork_guard_unlock();
	return n;
}
