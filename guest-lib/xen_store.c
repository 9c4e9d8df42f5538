/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "xen_store.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "private.h"
#include "../common/decimal.h"
#include "../common/errors.h"
#include "../protocol/vgpu_xenstore.h"

#define WATCH_TOKEN "vgpu"
#define ODD_TRIES_MAX 20 /* of a transaction that xenstored refuses for no good reason */

int store_open(struct store *s, struct cause *why)
{
	s->xs = xs_open(0);
	if (s->xs) {
		s->fd = xs_fileno(s->xs);
		return 0;
	}
	s->fd = -1;
	if (errno == EACCES || errno == EPERM)
		return because(why, VGPU_EACCES,
			       "open /dev/xen/xenbus: %m: is this user in group vgpu? as root: "
			       "adduser USER vgpu, then log in again");
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return because(why, VGPU_ENODEV,
			       "no /dev/xen/xenbus: this machine is no Xen guest, or xenfs is not "
			       "loaded");
	return because(why, error_from_errno(-errno), "open /dev/xen/xenbus: %m");
}

void store_close(struct store *s)
{
	if (s->xs)
		xs_close(s->xs);
	s->xs = NULL;
	s->fd = -1;
}

void store_forked(struct store *s)
{
	if (s->xs)
		xs_daemon_destroy_postfork(s->xs);
	s->xs = NULL;
	s->fd = -1;
}

/* @dir empty: a node of our own domain's directory. */
static void join(char out[STORE_PATH_MAX], const char *dir, const char *node)
{
	snprintf(out, STORE_PATH_MAX, "%.100s%s%.24s", dir, *dir ? "/" : "", node);
}

/* What xenstored's refusals mean. oxenstored's EQUOTA has no number, and comes as EINVAL. */
int store_error(int error)
{
	switch (error) {
	case ENOSPC:
	case E2BIG:
		return VGPU_EQUOTA;
	case EACCES:
	case EPERM:
		return VGPU_EACCES;
	case ENOENT: /* not what others mean by it */
		return VGPU_EIO;
	default:
		return error_from_errno(-error);
	}
}

int store_read(struct store *s, xs_transaction_t t, const char *dir, const char *node, char *out,
	       size_t size, struct cause *why)
{
	char path[STORE_PATH_MAX];
	unsigned int len = 0;
	char *value;
	int rc = 0;

	join(path, dir, node);
	value = xs_read(s->xs, t, path, &len);
	if (!value && (errno == ENOENT || errno == EACCES))
		return because(why, -ENOENT, "XenStore: %s: %m", path);
	if (!value)
		return because(why, store_error(errno), "XenStore: read %s: %m", path);
	if (len >= size)
		rc = because(why, VGPU_EPROTO, "XenStore: %s: has %u bytes, at most %zu are due",
			     path, len, size - 1);
	for (unsigned int i = 0; rc == 0 && i < len; i++)
		if (value[i] < 0x20 || value[i] == 0x7f)
			rc = because(why, VGPU_EPROTO, "XenStore: %s: is no text", path);
	if (rc == 0) {
		memcpy(out, value, len);
		out[len] = '\0';
	}
	free(value);
	return rc;
}

bool store_parse_number(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint32_t v;

	if (!decimal_parse(text, max, &v) || v < min)
		return false;
	*out = v;
	return true;
}

int store_read_number(struct store *s, xs_transaction_t t, const char *dir, const char *node,
		      uint32_t min, uint32_t max, uint32_t *out, struct cause *why)
{
	char text[VGPU_XS_VALUE_MAX + 1];
	int rc = store_read(s, t, dir, node, text, sizeof(text), why);

	if (rc == 0 && !store_parse_number(text, min, max, out))
		rc = because(why, VGPU_EPROTO, "XenStore: %s/%s: \"%s\" is no number from %u to %u",
			     dir, node, text, min, max);
	return rc;
}

int store_write(struct store *s, xs_transaction_t t, const char *dir, const char *node,
		const char *value, struct cause *why)
{
	char path[STORE_PATH_MAX];

	join(path, dir, node);
	if (xs_write(s->xs, t, path, value, (unsigned int)strlen(value)))
		return 0;
	return because(why, store_error(errno), "XenStore: write %s: %m", path);
}

int store_write_number(struct store *s, xs_transaction_t t, const char *dir, const char *node,
		       uint32_t value, struct cause *why)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	return store_write(s, t, dir, node, text, why);
}

/* 0: go on; VGPU_ETIMEDOUT. Pauses get longer, and differ: everybody is told to wait at once. */
static int pause_until(int64_t deadline_ns, unsigned int tries, struct cause *why)
{
	struct timespec pause = { 0 };

	if (clock_left_ms(deadline_ns) == 0)
		return because(why, VGPU_ETIMEDOUT,
			       "XenStore: no transaction of %u went through: %s", tries,
			       strerror(errno));
	if (tries > 8)
		tries = 8;
	pause.tv_nsec = 20000 + (clock_now_ns() / 64 % (50000 * tries));
	nanosleep(&pause, NULL);
	return 0;
}

int store_transact(struct store *s, store_body body, void *opaque, int64_t deadline_ns,
		   struct cause *why)
{
	unsigned int odd = 0;
	bool ended;
	int rc = 0;

	for (unsigned int tries = 1; rc == 0; tries++) {
		xs_transaction_t t = xs_transaction_start(s->xs);

		if (t == XBT_NULL) {
			/* So many at a time: ENOSPC, or EINVAL where it is oxenstored's EQUOTA. */
			if (errno != ENOSPC && errno != EBUSY && errno != EAGAIN && errno != EINVAL)
				return because(why, store_error(errno),
					       "XenStore: start a transaction: %m");
			rc = pause_until(deadline_ns, tries, why);
			continue;
		}
		rc = body(s, t, opaque, why);
		ended = xs_transaction_end(s->xs, t, rc != 0);
		/* xenstored shows each node as it was when it was first looked at, so two may not
		 * fit together, and refuse what makes sense. */
		if (rc == VGPU_EIO && odd++ < ODD_TRIES_MAX) {
			rc = pause_until(deadline_ns, tries, why);
			continue;
		}
		if (ended || rc)
			return rc;
		if (errno != EAGAIN)
			return because(why, store_error(errno), "XenStore: end a transaction: %m");
		rc = pause_until(deadline_ns, tries, why);
	}
	return rc;
}

int store_watch(struct store *s, const char *path, struct cause *why)
{
	if (xs_watch(s->xs, path, WATCH_TOKEN))
		return 0;
	return because(why, store_error(errno), "XenStore: watch %s: %m%s", path,
		       errno == E2BIG ? ": this guest has as many watches as it may" : "");
}

void store_unwatch(struct store *s, const char *path)
{
	xs_unwatch(s->xs, path, WATCH_TOKEN);
}

bool store_fired(struct store *s)
{
	bool fired = false;
	char **event;

	while ((event = xs_check_watch(s->xs))) {
		fired = true;
		free(event);
	}
	return fired;
}

int store_wait(struct store *s, int timeout_ms)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	int64_t deadline_ns = clock_deadline(timeout_ms);

	while (!store_fired(s)) {
		int n = poll(&p, 1, clock_left_ms(deadline_ns));

		if (n == 0)
			return -ETIMEDOUT;
	}
	return 0;
}
