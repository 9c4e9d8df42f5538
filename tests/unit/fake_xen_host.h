/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's side of transport xen over tests/xenlib: mediator and workers in one thread, which
 * does what the script says. It is domain 0, the test's own process is the guest, domain 1.
 */
#ifndef FAKE_XEN_HOST_H
#define FAKE_XEN_HOST_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "../../common/spsc.h"
#include "../../protocol/vgpu_channel.h"

#define FAKE_XEN_CHANNELS 8

enum fake_xen_answer {
	FAKE_XEN_SERVE,
	FAKE_XEN_SEEN,   /* sees it, has no worker */
	FAKE_XEN_SILENT, /* does not look */
	FAKE_XEN_END,    /* `state` and `error`, as they are */
};

struct fake_xen_channel {
	char id[64]; /* of the use that was answered */
	uint8_t *base, *presence;
	uint32_t pages;
	evtchn_port_t port;
	bool bound;
	struct spsc_consumer req;
	struct spsc_producer rsp;
};

struct fake_xen_host {
	pthread_mutex_t lock;
	/* script; set it before start, or between lock and unlock */
	enum fake_xen_answer answer;
	const char *state, *error; /* NULL: no node */
	const char *version, *max_channels, *max_pages, *device_state;
	bool mute;       /* workers take requests and do not answer */
	bool last_words; /* they die with an answer: one signal for both */
	bool frozen;     /* the device's state is not followed */
	/* what happened */
	unsigned int served;
	/* insides */
	pthread_t thread;
	bool running, stop;
	struct xs_handle *xs;
	xengnttab_handle *gnttab;
	xenevtchn_handle *evtchn;
	struct fake_xen_channel channel[FAKE_XEN_CHANNELS];
};

/* A device for domain 1 is attached, and the process is domain 1 from then on. */
void fake_xen_host_start(struct fake_xen_host *h);
void fake_xen_host_stop(struct fake_xen_host *h); /* harmless if it does not run */

/* Domain 0 writes (NULL: removes) FRONT or BACK/node. */
void fake_xen_front(struct fake_xen_host *h, const char *node, const char *value);
void fake_xen_back(struct fake_xen_host *h, const char *node, const char *value);

/* Read FRONT/node into @out; "" where there is none. */
void fake_xen_read(struct fake_xen_host *h, const char *node, char out[64]);

/* The worker of channel @k dies. With @error, the mediator says so after @delay_ms. */
void fake_xen_kill(struct fake_xen_host *h, uint32_t k, const char *error, int delay_ms);

#endif
