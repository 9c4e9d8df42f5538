/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xen_channel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "channel.h"
#include "private.h"
#include "../common/errors.h"

#define ERROR_BYTES 256          /* of the host's `error` */
#define ENDING_PAUSE_NS 10000000 /* until a worker that ends may have ended */

int xen_channel_error(const char *value, const char **text)
{
	char *end;
	long code;

	errno = 0;
	code = strtol(value, &end, 10);
	*text = "";
	if (end == value || errno || code < INT32_MIN || code > INT32_MAX || (*end && *end != ' '))
		return VGPU_EPROTO;
	if (*end)
		*text = end + 1;
	return channel_reason((int32_t)code);
}

bool xen_number_free(const struct xen_number *n)
{
	if (!n->front)
		return !n->back;
	return n->back && n->same_id && n->closed;
}

/* ---- claiming ---- */

struct claim {
	struct xen_channel *c;
	const struct xen_offer *offer;
};

static void set_paths(struct xen_channel *c, uint32_t k)
{
	c->number = k;
	snprintf(c->front, sizeof(c->front), "%.100s/" VGPU_XS_CHANNEL_FMT, c->device->front, k);
	snprintf(c->back, sizeof(c->back), "%.100s/" VGPU_XS_CHANNEL_FMT, c->device->back, k);
}

/* Which of channel-0 to channel-63 @dir has, a bit each. A directory that is not there has none. */
static int list_numbers(struct store *s, xs_transaction_t t, const char *dir, uint64_t *out,
			struct cause *why)
{
	const size_t prefix = strlen(VGPU_XS_CHANNEL_PREFIX);
	unsigned int n = 0;
	char **names = xs_directory(s->xs, t, dir, &n);
	uint32_t k;

	_Static_assert(VGPU_XS_CHANNELS_MAX == 64, "a bit each");
	*out = 0;
	if (!names && (errno == ENOENT || errno == EACCES))
		return 0;
	if (!names)
		return because(why, store_error(errno), "XenStore: list %s: %m", dir);
	for (unsigned int i = 0; i < n; i++)
		if (!strncmp(names[i], VGPU_XS_CHANNEL_PREFIX, prefix) &&
		    store_parse_number(names[i] + prefix, 0, VGPU_XS_CHANNELS_MAX - 1, &k))
			*out |= 1ull << k;
	free(names);
	return 0;
}

/* The numbers of both sides. */
struct numbers {
	uint64_t front, back;
};

static int list_both(const struct xen_device *d, struct store *s, xs_transaction_t t,
		     struct numbers *out, struct cause *why)
{
	int rc = list_numbers(s, t, d->front, &out->front, why);

	return rc ? rc : list_numbers(s, t, d->back, &out->back, why);
}

/* Ids and state, where both sides have the number. What cannot be read is not free. */
static bool is_free(const struct xen_channel *c, struct store *s, xs_transaction_t t,
		    const struct numbers *all)
{
	struct xen_number n = {
		.front = all->front >> c->number & 1,
		.back = all->back >> c->number & 1,
	};
	char ours[VGPU_XS_ID_CHARS + 1], theirs[VGPU_XS_ID_CHARS + 1];
	uint32_t state = 0;

	if (n.front && n.back) {
		n.same_id =
			store_read(s, t, c->front, VGPU_XS_ID, ours, sizeof(ours), NULL) == 0 &&
			store_read(s, t, c->back, VGPU_XS_ID, theirs, sizeof(theirs), NULL) == 0 &&
			!strcmp(ours, theirs);
		n.closed = store_read_number(s, t, c->back, VGPU_XS_STATE, 0, VGPU_XS_CLOSED,
					     &state, NULL) == 0 &&
			   state == VGPU_XS_CLOSED;
	}
	return xen_number_free(&n);
}

/*
 * The first free number, into the channel's paths. VGPU_ENOCHANNEL; -EAGAIN, there is none now, but
 * the host is about to be done with one.
 */
static int first_free(struct xen_channel *c, struct store *s, xs_transaction_t t, struct cause *why)
{
	struct numbers all;
	bool ending = false;
	int rc = list_both(c->device, s, t, &all, why);

	for (uint32_t k = 0; rc == 0 && k < c->device->max_channels; k++) {
		set_paths(c, k);
		if (is_free(c, s, t, &all))
			return 0;
		ending |= !(all.front >> k & 1);
	}
	if (rc == 0)
		rc = because(why, ending ? -EAGAIN : VGPU_ENOCHANNEL,
			     "all %u channels are in use by this guest%s", c->device->max_channels,
			     ending ? ", or the host does not come to their end" : "");
	return rc;
}

uint32_t xen_channel_count_free(const struct xen_device *d, struct store *s)
{
	struct xen_channel c = { .device = d };
	struct numbers all;
	uint32_t n = 0;

	if (list_both(d, s, XBT_NULL, &all, NULL) < 0)
		return 0;
	for (uint32_t k = 0; k < d->max_channels; k++) {
		set_paths(&c, k);
		n += is_free(&c, s, XBT_NULL, &all);
	}
	return n;
}

/* Each node, and not the directory alone: whether new ones inherit is xenstored's business. */
static int permit(const struct xen_channel *c, struct store *s, xs_transaction_t t,
		  const char *node, struct cause *why)
{
	struct xs_permissions perms[] = {
		{ .id = c->device->domid, .perms = XS_PERM_NONE },
		{ .id = c->device->backend_id, .perms = XS_PERM_READ | XS_PERM_WRITE },
	};
	char path[STORE_PATH_MAX];

	snprintf(path, sizeof(path), "%.100s%s%s", c->front, *node ? "/" : "", node);
	if (xs_set_permissions(s->xs, t, path, perms, sizeof(perms) / sizeof(perms[0])))
		return 0;
	return because(why, store_error(errno), "XenStore: permissions of %s: %m", path);
}

static int write_nodes(const struct xen_channel *c, struct store *s, xs_transaction_t t,
		       const struct xen_offer *offer, struct cause *why)
{
	static const char *const nodes[] = {
		"",           VGPU_XS_ID, VGPU_XS_PAGES, VGPU_XS_RING_REF, VGPU_XS_EVENT_CHANNEL,
		VGPU_XS_STATE
	};
	int rc = store_write(s, t, c->front, VGPU_XS_ID, c->id, why);

	if (rc == 0)
		rc = store_write_number(s, t, c->front, VGPU_XS_PAGES, offer->pages, why);
	if (rc == 0)
		rc = store_write_number(s, t, c->front, VGPU_XS_RING_REF, offer->ring_ref, why);
	if (rc == 0)
		rc = store_write_number(s, t, c->front, VGPU_XS_EVENT_CHANNEL, offer->port, why);
	if (rc == 0)
		rc = store_write_number(s, t, c->front, VGPU_XS_STATE, VGPU_XS_INITIALISED, why);
	for (size_t i = 0; rc == 0 && i < sizeof(nodes) / sizeof(nodes[0]); i++)
		rc = permit(c, s, t, nodes[i], why);
	return rc;
}

static int claim_body(struct store *s, xs_transaction_t t, void *opaque, struct cause *why)
{
	struct claim *claim = opaque;
	struct xen_channel *c = claim->c;
	int rc = first_free(c, s, t, why);

	if (rc < 0)
		return rc;
	/* Of a use that is over: none of its nodes may show through. */
	if (!xs_rm(s->xs, t, c->front) && errno != ENOENT)
		return because(why, store_error(errno), "XenStore: remove %s: %m", c->front);
	return write_nodes(c, s, t, claim->offer, why);
}

int xen_channel_claim(struct xen_channel *c, struct store *s, const struct xen_device *d,
		      const struct xen_offer *offer, int64_t deadline_ns, struct cause *why)
{
	const struct timespec pause = { .tv_nsec = ENDING_PAUSE_NS };
	struct claim claim = { c, offer };
	char path[STORE_PATH_MAX];
	uint64_t random;
	int rc;

	c->device = d;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return because(why, VGPU_EIO, "getrandom: %m");
	snprintf(c->id, sizeof(c->id), "%016" PRIx64, random);
	while ((rc = store_transact(s, claim_body, &claim, deadline_ns, why)) == -EAGAIN) {
		if (clock_left_ms(deadline_ns) == 0)
			return VGPU_ENOCHANNEL;
		nanosleep(&pause, NULL);
	}
	if (rc < 0)
		return rc;
	c->claimed = true;
	snprintf(path, sizeof(path), "%.100s/" VGPU_XS_STATE, c->back);
	rc = store_watch(s, path, why);
	if (rc == 0)
		memcpy(c->watched, path, sizeof(path));
	return rc;
}

/* ---- while it lives ---- */

/* Is the use of the number still ours? Returns 0, VGPU_EDEVLOST or an error of reading. */
static int still_ours(const struct xen_channel *c, struct store *s, xs_transaction_t t,
		      struct cause *why)
{
	char id[VGPU_XS_VALUE_MAX + 1];
	uint32_t domid;
	int rc = xen_own_domid(s, &domid, why);

	if (rc == 0 && domid != c->device->domid)
		return because(why, VGPU_EDEVLOST,
			       "this guest was restored or migrated: it is domain %u now, not %u",
			       domid, c->device->domid);
	if (rc == 0)
		rc = store_read(s, t, c->front, VGPU_XS_ID, id, sizeof(id), why);
	if (rc == -ENOENT)
		return because(why, VGPU_EDEVLOST,
			       "channel %u: its nodes were removed: the device was detached, or "
			       "the mediator started again",
			       c->number);
	if (rc == 0 && strcmp(id, c->id))
		return because(why, VGPU_EDEVLOST, "channel %u: belongs to another program now",
			       c->number);
	return rc;
}

static int read_reason(const struct xen_channel *c, struct store *s, struct cause *why)
{
	char value[ERROR_BYTES];
	const char *text;
	int rc = store_read(s, XBT_NULL, c->back, VGPU_XS_ERROR, value, sizeof(value), why);

	if (rc == -ENOENT)
		return because(why, VGPU_EDEVLOST, "channel %u: the host ended it", c->number);
	if (rc < 0)
		return rc;
	rc = xen_channel_error(value, &text);
	return because(why, rc, "mediator: %s", *text ? text : error_text(rc));
}

int xen_channel_look(struct xen_channel *c, struct store *s, uint32_t *state, struct cause *why)
{
	char id[VGPU_XS_VALUE_MAX + 1];
	int rc = still_ours(c, s, XBT_NULL, why);

	*state = VGPU_XS_UNKNOWN;
	if (rc < 0)
		return rc;
	rc = store_read(s, XBT_NULL, c->back, VGPU_XS_ID, id, sizeof(id), why);
	if (rc == -ENOENT || (rc == 0 && strcmp(id, c->id)))
		return 0; /* nothing yet, or of the number's last use */
	if (rc == 0)
		rc = store_read_number(s, XBT_NULL, c->back, VGPU_XS_STATE, VGPU_XS_UNKNOWN,
				       VGPU_XS_CLOSED, state, why);
	if (rc == -ENOENT)
		return 0; /* going */
	if (rc < 0)
		return rc;
	if (*state == VGPU_XS_CLOSED)
		return read_reason(c, s, why);
	if (*state != VGPU_XS_INITIALISED && *state != VGPU_XS_CONNECTED)
		return because(why, VGPU_EPROTO, "channel %u: the host's state is %u", c->number,
			       *state);
	return 0;
}

static int connected_body(struct store *s, xs_transaction_t t, void *opaque, struct cause *why)
{
	struct xen_channel *c = opaque;
	int rc = still_ours(c, s, t, why);

	if (rc == 0)
		rc = store_write_number(s, t, c->front, VGPU_XS_STATE, VGPU_XS_CONNECTED, why);
	return rc;
}

int xen_channel_connected(struct xen_channel *c, struct store *s, int64_t deadline_ns,
			  struct cause *why)
{
	return store_transact(s, connected_body, c, deadline_ns, why);
}

static int release_body(struct store *s, xs_transaction_t t, void *opaque, struct cause *why)
{
	struct xen_channel *c = opaque;
	int rc = still_ours(c, s, t, why);

	if (rc == 0 && !xs_rm(s->xs, t, c->front))
		rc = because(why, VGPU_EIO, "XenStore: remove %s: %m", c->front);
	return rc;
}

void xen_channel_release(struct xen_channel *c, struct store *s, int64_t deadline_ns)
{
	if (c->watched[0])
		store_unwatch(s, c->watched);
	c->watched[0] = '\0';
	if (c->claimed)
		store_transact(s, release_body, c, deadline_ns, NULL);
	c->claimed = false;
}
