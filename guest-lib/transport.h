/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a channel's pages and notifications are shared with the host. The rest of the
 * library knows nothing but this. `unix`, `pci` and `xen` are three; another one needs one
 * more file and one more line in handle.c.
 *
 * Life: new, attach, [caller formats the memory], start, {notify, wait, check}*, close.
 * close() may come at any point after new. One thread at a time, but for wait() and check(): the
 * thread that reads responses calls them, and another may be in notify() then.
 * In a forked child nothing but discard() is called.
 */
#ifndef GUEST_TRANSPORT_H
#define GUEST_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "last_error.h"
#include "log.h"
#include "mapping.h"

struct transport;

struct transport_ops {
	/*
	 * Get memory for a channel whose window is to have @window_bytes (0: the transport's
	 * choice): sets base and bytes, zeroed as far as nobody else could have written it.
	 */
	int (*attach)(struct transport *t, uint64_t window_bytes, int64_t deadline_ns,
		      struct cause *why);

	/* Hand the formatted memory to the host. When it returns 0, somebody serves it. */
	int (*start)(struct transport *t, int64_t deadline_ns, struct cause *why);

	/* Wake the host: it said that it sleeps. */
	void (*notify)(struct transport *t);

	/*
	 * Sleep until the host signals, the channel ends or @timeout_ms (-1: none) passed.
	 * A signal sent since the last wait() returned is never lost; waking for
	 * nothing is allowed. Returns 0, or -ETIMEDOUT.
	 */
	int (*wait)(struct transport *t, int timeout_ms);

	/* Asked after a wait() that brought no response: 0 served, else the VGPU_E* that ended it. */
	int (*check)(struct transport *t, struct cause *why);

	/*
	 * Did the memory itself go away, so that it only looks as if the host had broken the
	 * protocol? NULL: it cannot.
	 */
	bool (*gone)(struct transport *t);

	/*
	 * Map @m->bytes of the memory, from @offset on, a second time: to @m->base, in the place of
	 * the program's memory there, which stays on failure. All of it is whole pages. NULL: this
	 * transport's pages cannot be mapped twice.
	 */
	int (*map_at)(struct transport *t, struct mapping *m, uint64_t offset, struct cause *why);

	/*
	 * Move @memory, a mapping of as many bytes, there instead. Until that returned 0, @m
	 * belongs to the transport.
	 */
	int (*unmap_at)(struct transport *t, struct mapping *m, void *memory, struct cause *why);

	/* End the channel, in an orderly way if @orderly, and free @t. */
	void (*close)(struct transport *t, bool orderly);

	/* In a forked child: free the memory of @t, touch nothing else. */
	void (*discard)(struct transport *t);
};

struct transport {
	const struct transport_ops *ops;
	const struct log *log;
	void *base;     /* of the channel's memory */
	uint64_t bytes; /* of it, whole pages */
	char name[64];  /* "unix:/run/...", "pci:0000:00:04.0", "xen:0" */
};

/* @path NULL or empty: the default socket. */
int transport_unix_new(struct transport **out, const char *path, const struct log *log,
		       struct cause *why);

/* @address NULL: the first device that is there. VGPU_ENODEV: none. */
int transport_pci_new(struct transport **out, const char *address, const struct log *log,
		      struct cause *why);

/*
 * @which: the device's number, "0". NULL: the automatic choice, device 0 if there is a sign of
 * one. VGPU_ENODEV: none. VGPU_ENOTSUP: built without.
 */
int transport_xen_new(struct transport **out, const char *which, const struct log *log,
		      struct cause *why);

#define TRANSPORT_UNIX_PATH "/run/gpu_mediator/client.sock"

#endif
