/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_xen_device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/decimal.h"
#include "../common/errors.h"
#include "../protocol/vgpu_channel.h"
#include "../protocol/vgpu_errors.h"
#include "../protocol/vgpu_version.h"
#include "log.h"
#include "mediator_scheduler.h"
#include "mediator_vm.h"
#include "mediator_xen.h"

/* Far above what programs that come and go cause; a guest that writes more often waits. */
#define LOOKS_PER_SECOND 100
#define LOOKS_BURST 200

#define ROOM_WAIT_US 5000 /* until the worker of an earlier channel has made room */
#define TRANSACTION_TRIES 8

#define GONE_AT_ONCE 0 /* milliseconds for a worker: the guest's kernel waits for us */

static struct xen_device *of(struct owner *o)
{
	return (struct xen_device *)((char *)o - offsetof(struct xen_device, owner));
}

static const char *channel_node(char out[24], uint32_t k)
{
	snprintf(out, 24, VGPU_XS_CHANNEL_FMT, k);
	return out;
}

static const char *channel_dir(const char *dir, uint32_t k, char out[XENSTORE_PATH_MAX])
{
	snprintf(out, XENSTORE_PATH_MAX, "%.100s/" VGPU_XS_CHANNEL_FMT, dir, k);
	return out;
}

static void look_after(struct xen_device *d, uint64_t us)
{
	const struct timeval wait = { (time_t)(us / 1000000), (suseconds_t)(us % 1000000) };

	event_add(d->timer, &wait);
}

static void complain(const struct xen_device *d, const char *what, int rc)
{
	log_warn("%s: XenStore: %s: %s", d->owner.label, what, strerror(-rc));
}

static void set_state(struct xen_device *d, enum vgpu_xs_state state)
{
	int rc;

	if (d->state == state)
		return;
	rc = xenstore_write(d->xs, XBT_NULL, d->back, VGPU_XS_STATE, "%d", (int)state);
	if (rc < 0)
		complain(d, "write state", rc);
	else
		d->state = state;
}

/* ---- a channel's nodes ---- */

/* What a transaction does to the nodes of channel @k. 0 or a negative errno: nothing is kept. */
typedef int transaction_body(struct xen_device *d, xs_transaction_t t, uint32_t k,
			     const void *opaque);

/* Run @body, again where somebody was faster; failures are logged as @what. */
static void transact(struct xen_device *d, uint32_t k, transaction_body *body, const void *opaque,
		     const char *what)
{
	int rc = -EAGAIN;

	for (int i = 0; i < TRANSACTION_TRIES && rc == -EAGAIN; i++) {
		xs_transaction_t t = xs_transaction_start(d->xs);

		if (!t) {
			rc = -errno;
			break;
		}
		rc = body(d, t, k, opaque);
		if (!xs_transaction_end(d->xs, t, rc < 0) && rc == 0)
			rc = -errno;
	}
	if (rc < 0)
		complain(d, what, rc);
}

struct channel_news {
	enum vgpu_xs_state state;
	int32_t error;
	const char *text;
};

static int write_body(struct xen_device *d, xs_transaction_t t, uint32_t k, const void *opaque)
{
	const struct channel_news *news = opaque;
	char dir[XENSTORE_PATH_MAX], node[24];
	int rc = xenstore_remove(d->xs, t, d->back, channel_node(node, k));

	channel_dir(d->back, k, dir);
	if (rc == 0)
		rc = xenstore_write(d->xs, t, dir, VGPU_XS_ID, "%s", d->channel[k].claim.id);
	if (rc == 0 && news->error)
		rc = xenstore_write(d->xs, t, dir, VGPU_XS_ERROR, "%d %s", news->error, news->text);
	if (rc == 0)
		rc = xenstore_write(d->xs, t, dir, VGPU_XS_STATE, "%d", (int)news->state);
	return rc;
}

/* Ours, anew: the number's last use must not show through. */
static void write_channel(struct xen_device *d, uint32_t k, enum vgpu_xs_state state, int32_t error,
			  const char *text)
{
	const struct channel_news news = { state, error, text };

	transact(d, k, write_body, &news, "write a channel's state");
}

static void remove_channel(struct xen_device *d, uint32_t k)
{
	char node[24];
	int rc = xenstore_remove(d->xs, XBT_NULL, d->back, channel_node(node, k));

	if (rc < 0)
		complain(d, "remove a channel", rc);
}

static int bury_body(struct xen_device *d, xs_transaction_t t, uint32_t k, const void *opaque)
{
	char dir[XENSTORE_PATH_MAX], node[24], now[VGPU_XS_ID_CHARS + 1];
	const char *id = opaque;
	int rc = 0;

	channel_node(node, k);
	channel_dir(d->front, k, dir);
	if (xenstore_read_text(d->xs, t, dir, VGPU_XS_ID, now, sizeof(now)) == 0 &&
	    strcmp(now, id) == 0)
		rc = xenstore_remove(d->xs, t, d->front, node);
	return rc < 0 ? rc : xenstore_remove(d->xs, t, d->back, node);
}

/* Both sides' nodes of a use whose program is dead; the guest may have taken the number again. */
static void bury_channel(struct xen_device *d, uint32_t k, const char *id)
{
	transact(d, k, bury_body, id, "remove a dead program's channel");
}

/* ---- channels ---- */

static bool in_use(const struct xen_channel *ch)
{
	return ch->state != XEN_CHANNEL_FREE && ch->state != XEN_CHANNEL_ENDED;
}

static bool any_in_use(const struct xen_device *d)
{
	for (uint32_t k = 0; k < VGPU_XS_CHANNELS_MAX; k++)
		if (in_use(&d->channel[k]))
			return true;
	return false;
}

static void end_channel(struct xen_device *d, uint32_t k, int32_t reason, const char *why,
			uint32_t grace_ms)
{
	struct xen_channel *ch = &d->channel[k];

	if (ch->state == XEN_CHANNEL_ENDING && grace_ms)
		return;
	ch->state = XEN_CHANNEL_ENDING;
	sched_end(&d->owner, k, reason, why, grace_ms);
}

static void end_all(struct xen_device *d, const char *why, uint32_t grace_ms)
{
	for (uint32_t k = 0; k < VGPU_XS_CHANNELS_MAX; k++)
		if (in_use(&d->channel[k]))
			end_channel(d, k, 0, why, grace_ms);
}

/* Its worker is gone, or it never had one. */
static void channel_ended(struct xen_device *d, uint32_t k, int32_t reason, const char *text)
{
	struct xen_channel *ch = &d->channel[k];

	/* EDEVLOST is what a worker says when the presence page told it. */
	if (reason == VGPU_EDEVLOST || !d->serving) {
		bury_channel(d, k, ch->claim.id);
		ch->state = XEN_CHANNEL_FREE;
	} else {
		write_channel(d, k, VGPU_XS_CLOSED, reason, text[0] ? text : error_text(reason));
		ch->state = XEN_CHANNEL_ENDED;
	}
	/* Whether the guest's node is still there, or already another's, shows the next look. */
	look_after(d, 0);
}

static void on_opened(struct owner *o, uint32_t seq, uint32_t number, int32_t status,
		      const char *text)
{
	struct xen_device *d = of(o);
	struct xen_channel *ch = &d->channel[number];

	(void)seq;
	if (status < 0) {
		channel_ended(d, number, ch->state == XEN_CHANNEL_ENDING ? 0 : status, text);
		return;
	}
	if (ch->state != XEN_CHANNEL_OPENING)
		return;
	ch->state = XEN_CHANNEL_OPEN;
	write_channel(d, number, VGPU_XS_CONNECTED, 0, "");
}

static void on_closed(struct owner *o, uint32_t seq, uint32_t number, int32_t reason,
		      const char *text)
{
	(void)seq;
	channel_ended(of(o), number, reason, text);
}

static const struct owner_ops xen_owner_ops = {
	.opened = on_opened,
	.closed = on_closed,
};

static void open_channel(struct xen_device *d, uint32_t k, const struct xen_claim *claim)
{
	const struct limits_config *limits = &d->owner.m->config.limits;
	const struct channel_request rq = {
		.number = k,
		.transport = WORKER_TRANSPORT_XEN,
		.length = (uint64_t)claim->pages * VGPU_PAGE_BYTES,
		.fds = { -1, -1, -1 },
		.xen = { d->domid, claim->ring_ref, claim->event_channel },
	};
	uint64_t wait_us = 0;

	if (sched_room_soon(&d->owner, rq.length))
		wait_us = ROOM_WAIT_US;
	if (wait_us == 0)
		wait_us = throttle_take(&d->owner.vm->opens, limits->open_rate,
					limits->channels_per_vm, clock_us());
	if (wait_us) {
		look_after(d, wait_us);
		return;
	}
	d->channel[k].claim = *claim;
	d->channel[k].state = XEN_CHANNEL_OPENING;
	write_channel(d, k, VGPU_XS_INITIALISED, 0, "");
	sched_open(&d->owner, &rq);
}

static void refuse_channel(struct xen_device *d, uint32_t k, const struct xen_claim *claim,
			   const char *text)
{
	struct xen_channel *ch = &d->channel[k];

	if (in_use(ch)) {
		end_channel(d, k, VGPU_EPROTO, text, STOP_GRACE_MS);
		return;
	}
	if (ch->state == XEN_CHANNEL_ENDED && strcmp(ch->claim.id, claim->id) == 0)
		return; /* it has been told */
	log_warn("%s: channel %u: refused: %s", d->owner.label, k, text);
	ch->claim = *claim;
	ch->state = XEN_CHANNEL_ENDED;
	write_channel(d, k, VGPU_XS_CLOSED, VGPU_EPROTO, text);
}

static void miss_channel(struct xen_device *d, uint32_t k)
{
	struct xen_channel *ch = &d->channel[k];

	if (in_use(ch)) {
		end_channel(d, k, 0, "the guest closed it", STOP_GRACE_MS);
	} else if (ch->state == XEN_CHANNEL_ENDED) {
		remove_channel(d, k);
		ch->state = XEN_CHANNEL_FREE;
	}
}

/* The rest of a claim. NULL, or what is wrong with it. */
static const char *read_claim(const struct xen_device *d, const char *dir, struct xen_claim *claim,
			      uint32_t *state)
{
	if (xenstore_read_number(d->xs, XBT_NULL, dir, VGPU_XS_STATE, VGPU_XS_CLOSED, state) < 0)
		return "state is no XenbusState";
	if (xenstore_read_number(d->xs, XBT_NULL, dir, VGPU_XS_PAGES, 1 + VGPU_GRANTS_MAX,
				 &claim->pages) < 0)
		return "pages is no number up to 993";
	if (xenstore_read_number(d->xs, XBT_NULL, dir, VGPU_XS_RING_REF, UINT32_MAX,
				 &claim->ring_ref) < 0)
		return "ring-ref is no grant reference";
	if (xenstore_read_number(d->xs, XBT_NULL, dir, VGPU_XS_EVENT_CHANNEL, UINT32_MAX,
				 &claim->event_channel) < 0)
		return "event-channel is no port";
	return NULL;
}

/* Empty if there is none, or if it is no id. */
static void read_id(const struct xen_device *d, const char *dir, char id[VGPU_XS_ID_CHARS + 1])
{
	if (xenstore_read_text(d->xs, XBT_NULL, dir, VGPU_XS_ID, id, VGPU_XS_ID_CHARS + 1) < 0 ||
	    strlen(id) != VGPU_XS_ID_CHARS || strspn(id, "0123456789abcdef") != VGPU_XS_ID_CHARS)
		memset(id, 0, VGPU_XS_ID_CHARS + 1);
}

/* A claim whose nodes are sound, in this state. */
static void follow_claim(struct xen_device *d, uint32_t k, const struct xen_claim *claim,
			 uint32_t state)
{
	struct xen_channel *ch = &d->channel[k];

	if (!in_use(ch)) {
		if (ch->state == XEN_CHANNEL_ENDED && strcmp(ch->claim.id, claim->id) == 0)
			return;
		if (state == VGPU_XS_INITIALISED)
			open_channel(d, k, claim);
		else if (state == VGPU_XS_CONNECTED && !d->adopted)
			bury_channel(d, k, claim->id); /* the last mediator's */
		else if (state == VGPU_XS_CONNECTED)
			refuse_channel(d, k, claim, "state is 4 before anybody served it");
		return;
	}
	if (strcmp(ch->claim.id, claim->id) != 0)
		end_channel(d, k, 0, "the guest uses its number again", STOP_GRACE_MS);
	else if (memcmp(&ch->claim, claim, sizeof(*claim)) != 0)
		end_channel(d, k, VGPU_EPROTO, "its nodes changed while it was in use",
			    STOP_GRACE_MS);
	else if (state != VGPU_XS_INITIALISED && state != VGPU_XS_CONNECTED)
		end_channel(d, k, 0, "the guest closes it", STOP_GRACE_MS);
}

/* The guest had a node for this number when they were listed. */
static void meet_channel(struct xen_device *d, uint32_t k)
{
	char dir[XENSTORE_PATH_MAX], node[24], id[VGPU_XS_ID_CHARS + 1];
	struct xen_claim claim = { .pages = 0 };
	uint32_t state = 0;
	const char *wrong;

	channel_dir(d->front, k, dir);
	read_id(d, dir, claim.id);
	wrong = claim.id[0] ? read_claim(d, dir, &claim, &state) : "id is not 16 hex digits";
	/*
	 * The nodes were read one by one. They belong together if the id is still there: a claim
	 * is written and removed as a whole.
	 */
	read_id(d, dir, id);
	if (strcmp(id, claim.id) != 0)
		look_after(d, 0);
	else if (!wrong)
		follow_claim(d, k, &claim, state);
	else if (xenstore_exists(d->xs, d->front, channel_node(node, k)))
		refuse_channel(d, k, &claim, wrong);
	else
		miss_channel(d, k);
}

/* The numbers that the guest has nodes for. Returns 0 or a negative errno. */
static int list_channels(const struct xen_device *d, bool seen[VGPU_XS_CHANNELS_MAX])
{
	const size_t prefix = strlen(VGPU_XS_CHANNEL_PREFIX);
	unsigned int n;
	uint32_t k;
	char **names;

	errno = 0;
	names = xs_directory(d->xs, XBT_NULL, d->front, &n);
	if (!names)
		return errno ? -errno : -EIO;
	for (unsigned int i = 0; i < n; i++)
		if (strncmp(names[i], VGPU_XS_CHANNEL_PREFIX, prefix) == 0 &&
		    decimal_parse(names[i] + prefix, VGPU_XS_CHANNELS_MAX - 1, &k))
			seen[k] = true;
	free(names);
	return 0;
}

static void sync_channels(struct xen_device *d)
{
	bool seen[VGPU_XS_CHANNELS_MAX] = { false };

	if (list_channels(d, seen) < 0)
		return; /* the next look tells why */
	for (uint32_t k = 0; k < VGPU_XS_CHANNELS_MAX; k++) {
		if (seen[k])
			meet_channel(d, k);
		else
			miss_channel(d, k);
	}
}

/* ---- the device ---- */

void xen_device_publish(struct xen_device *d)
{
	const struct limits_config *limits = &d->owner.m->config.limits;
	uint64_t pages = limits->window_bytes_per_channel / VGPU_PAGE_BYTES;
	const uint32_t channels = limits->channels_per_vm < VGPU_XS_CHANNELS_MAX
					  ? limits->channels_per_vm
					  : VGPU_XS_CHANNELS_MAX;
	int rc;

	if (pages > 1 + VGPU_GRANTS_MAX)
		pages = 1 + VGPU_GRANTS_MAX;
	d->owner.channels = channels;
	rc = xenstore_write(d->xs, XBT_NULL, d->back, VGPU_XS_PROTOCOL_VERSION, "%u",
			    VGPU_PROTOCOL_VERSION);
	if (rc == 0)
		rc = xenstore_write(d->xs, XBT_NULL, d->back, VGPU_XS_RELEASE, "%s", VGPU_RELEASE);
	if (rc == 0)
		rc = xenstore_write(d->xs, XBT_NULL, d->back, VGPU_XS_MAX_CHANNELS, "%u", channels);
	if (rc == 0)
		rc = xenstore_write(d->xs, XBT_NULL, d->back, VGPU_XS_MAX_WINDOW_PAGES, "%llu",
				    (unsigned long long)pages);
	if (rc < 0)
		complain(d, "publish the limits", rc);
}

/* Channels of ours that a mediator before us left. The guest's are cleared one by one, see there. */
static void clear_leftovers(struct xen_device *d)
{
	for (uint32_t k = 0; k < VGPU_XS_CHANNELS_MAX; k++)
		remove_channel(d, k);
}

/* The guest starts from the beginning: no channel node of its can mean anything. */
static void clear_channels(struct xen_device *d)
{
	bool seen[VGPU_XS_CHANNELS_MAX] = { false };
	char node[24];

	if (list_channels(d, seen) < 0)
		return;
	for (uint32_t k = 0; k < VGPU_XS_CHANNELS_MAX; k++) {
		if (!seen[k] || in_use(&d->channel[k]))
			continue;
		xenstore_remove(d->xs, XBT_NULL, d->front, channel_node(node, k));
		miss_channel(d, k);
	}
}

/* True: there is still such a domain. */
static bool guest_lives(const struct xen_device *d)
{
	return xs_is_domain_introduced(d->xs, d->domid);
}

/* Follow the guest's state; the table stands in vgpu_xenstore.h. */
static void follow(struct xen_device *d, uint32_t front, bool online)
{
	d->serving = online && (front == VGPU_XS_INITIALISED || front == VGPU_XS_CONNECTED);
	if (!online) {
		end_all(d, "the device is being detached", GONE_AT_ONCE);
		set_state(d, any_in_use(d) ? VGPU_XS_CLOSING : VGPU_XS_CLOSED);
		return;
	}
	switch (front) {
	case VGPU_XS_INITIALISED:
	case VGPU_XS_CONNECTED:
		sync_channels(d);
		d->adopted = true;
		set_state(d, VGPU_XS_CONNECTED);
		break;
	case VGPU_XS_INITIALISING:
	case VGPU_XS_INIT_WAIT:
		end_all(d, "the guest starts anew", GONE_AT_ONCE);
		clear_channels(d);
		set_state(d, any_in_use(d) ? VGPU_XS_CLOSING : VGPU_XS_INIT_WAIT);
		break;
	case VGPU_XS_CLOSING:
		end_all(d, "the guest resets the device", GONE_AT_ONCE);
		set_state(d, VGPU_XS_CLOSING);
		break;
	default:
		end_all(d, "the guest closed the device", GONE_AT_ONCE);
		set_state(d, any_in_use(d) ? VGPU_XS_CLOSING : VGPU_XS_CLOSED);
	}
}

/* Our directory of it, and that of its domain once it is empty: nobody else would. */
static void remove_backend(struct xen_device *d)
{
	char domain[XENSTORE_PATH_MAX];
	unsigned int n = 0;
	char **names;

	xs_rm(d->xs, XBT_NULL, d->back);
	snprintf(domain, sizeof(domain), "backend/" VGPU_XS_DEVICE_TYPE "/%u", d->domid);
	names = xs_directory(d->xs, XBT_NULL, domain, &n);
	if (names && n == 0)
		xs_rm(d->xs, XBT_NULL, domain);
	free(names);
}

static enum xen_look look(struct xen_device *d)
{
	char generation[sizeof(d->generation)];
	uint32_t online = 0, front = VGPU_XS_UNKNOWN;
	int rc;

	rc = xenstore_read_text(d->xs, XBT_NULL, d->back, VGPU_XS_GENERATION, generation,
				sizeof(generation));
	if (rc == -ENOENT)
		return XEN_LOOK_GONE;
	if (rc == 0 && strcmp(generation, d->generation) != 0)
		return XEN_LOOK_OTHER;
	if (rc < 0)
		return XEN_LOOK_ERROR;
	xenstore_read_number(d->xs, XBT_NULL, d->back, VGPU_XS_ONLINE, 1, &online);
	rc = xenstore_read_number(d->xs, XBT_NULL, d->front, VGPU_XS_STATE, VGPU_XS_CLOSED, &front);
	if (rc < 0 && !guest_lives(d)) {
		log_info("%s: the guest is gone: its device is removed", d->owner.label);
		remove_backend(d);
		return XEN_LOOK_GONE;
	}
	follow(d, front, online);
	return XEN_LOOK_FINE;
}

enum xen_look xen_device_look(struct xen_device *d)
{
	uint64_t wait_us = throttle_take(&d->looks, LOOKS_PER_SECOND, LOOKS_BURST, clock_us());

	if (wait_us) {
		look_after(d, wait_us);
		return XEN_LOOK_FINE;
	}
	return look(d);
}

static int name_device(struct xen_device *d)
{
	char name[VGPU_XS_VALUE_MAX + 1] = "", uuid[37] = "";
	struct vm *vm;
	int rc;

	rc = xenstore_read_text(d->xs, XBT_NULL, d->back, VGPU_XS_GENERATION, d->generation,
				sizeof(d->generation));
	if (rc < 0)
		return rc;
	xenstore_read_text(d->xs, XBT_NULL, d->back, VGPU_XS_DOMAIN, name, sizeof(name));
	xenstore_read_text(d->xs, XBT_NULL, d->back, VGPU_XS_UUID, uuid, sizeof(uuid));
	vm = vm_get_domain(d->owner.m, d->domid, name, uuid);
	if (!vm)
		return -ENOMEM;
	d->owner.vm = vm;
	if (d->number)
		snprintf(d->owner.label, sizeof(d->owner.label), "%s: device %u", vm->label,
			 d->number);
	else
		snprintf(d->owner.label, sizeof(d->owner.label), "%s", vm->label);
	return 0;
}

int xen_device_new(struct xen_device **out, struct mediator *m, struct xs_handle *xs,
		   uint32_t domid, uint32_t number)
{
	struct xen_device *d = calloc(1, sizeof(*d));
	char token[32];
	int rc;

	if (!d)
		return -ENOMEM;
	d->owner.ops = &xen_owner_ops;
	d->owner.m = m;
	d->xs = xs;
	d->domid = domid;
	d->number = number;
	snprintf(d->front, sizeof(d->front), "/local/domain/%u/device/" VGPU_XS_DEVICE_TYPE "/%u",
		 domid, number);
	/* Relative: this domain's own, whichever it is. */
	snprintf(d->back, sizeof(d->back), "backend/" VGPU_XS_DEVICE_TYPE "/%u/%u", domid, number);
	rc = name_device(d);
	d->timer = rc == 0 ? evtimer_new(m->base, xen_device_due, d) : NULL;
	if (rc == 0 && !d->timer)
		rc = -ENOMEM;
	snprintf(token, sizeof(token), "%u/%u", domid, number);
	if (rc == 0 && !xs_watch(xs, d->front, token))
		rc = errno ? -errno : -EIO;
	if (rc < 0) {
		xen_device_free(d, false);
		return rc;
	}
	d->watched = true;
	clear_leftovers(d);
	xen_device_publish(d);
	log_info("%s: attached", d->owner.label);
	*out = d;
	return 0;
}

void xen_device_free(struct xen_device *d, bool released)
{
	char token[32];

	if (d->owner.vm)
		sched_owner_gone(&d->owner, GONE_AT_ONCE);
	snprintf(token, sizeof(token), "%u/%u", d->domid, d->number);
	if (d->watched)
		xs_unwatch(d->xs, d->front, token);
	if (released)
		set_state(d, VGPU_XS_INITIALISING);
	if (d->timer)
		event_free(d->timer);
	vm_unref(d->owner.vm);
	free(d);
}
