// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cost pipelined N | sequential N: what N NOPs over transport `xen` cost in events and hypercalls,
 * which, unlike time, do not depend on how fast the processor is. In a guest.
 *
 *   pipelined    as many on their way as the rings hold
 *   sequential   one at a time, the guest polling; the host must poll as well (spin_us)
 *
 * The guest's event-channel calls are counted where they enter Xen's library. Each notify is an
 * event for the host and a hypercall; each event taken was a notify of the host's, and is followed
 * by a hypercall that unmasks the port. XenStore has no part in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenevtchn.h>

#include "../../guest-lib/private.h"

#define POLL_US 1000000 /* longer than any answer takes */
#define WARM_UP 20

static unsigned long sent, taken, unmasked;

int __real_xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port);
int __wrap_xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port);
int __wrap_xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	sent++;
	return __real_xenevtchn_notify(xce, port);
}

xenevtchn_port_or_error_t __real_xenevtchn_pending(xenevtchn_handle *xce);
xenevtchn_port_or_error_t __wrap_xenevtchn_pending(xenevtchn_handle *xce);
xenevtchn_port_or_error_t __wrap_xenevtchn_pending(xenevtchn_handle *xce)
{
	taken++;
	return __real_xenevtchn_pending(xce);
}

int __real_xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port);
int __wrap_xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port);
int __wrap_xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	unmasked++;
	return __real_xenevtchn_unmask(xce, port);
}

static _Noreturn void fail(const char *what, int rc, const struct cause *why)
{
	fprintf(stderr, "cost: %s: %s: %s\n", what, vgpu_strerror(rc), why->text);
	exit(1);
}

static void submit(struct vgpu *gpu, struct cause *why)
{
	struct vgpu_request nop = { .cmd = VGPU_CMD_NOP };
	int rc = channel_submit(&gpu->channel, &nop, why);

	if (rc < 0)
		fail("send", rc, why);
	if (rc == 1)
		gpu->transport->ops->notify(gpu->transport);
}

static void take(struct vgpu *gpu, struct cause *why)
{
	struct vgpu_response rsp;
	int rc = wait_pending(gpu, clock_deadline(60000), why);

	if (rc == 0)
		rc = channel_take(&gpu->channel, &rsp, why);
	if (rc < 0 || rsp.status)
		fail("answer", rc < 0 ? rc : rsp.status, why);
}

/* @depth at a time on their way. */
static void run(struct vgpu *gpu, unsigned long n, unsigned long depth)
{
	struct cause why = { "" };
	unsigned long out = 0;

	for (unsigned long i = 0; i < n; i++) {
		/* A pipeline refills in batches: one by one it would be a queue of round trips. */
		if (out == depth)
			for (unsigned long room = (depth + 1) / 2; room; room--, out--)
				take(gpu, &why);
		submit(gpu, &why);
		out++;
	}
	while (out--)
		take(gpu, &why);
}

int main(int argc, char **argv)
{
	struct vgpu_options options;
	unsigned long n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	unsigned long depth;
	struct vgpu *gpu;

	if (!n || (strcmp(argv[1], "pipelined") != 0 && strcmp(argv[1], "sequential") != 0)) {
		fprintf(stderr, "usage: cost pipelined N | sequential N\n");
		return 2;
	}
	depth = argv[1][0] == 'p' ? CHANNEL_ENTRIES : 1;
	vgpu_options_init(&options);
	options.device = "xen";
	options.spin_us = depth == 1 ? POLL_US : 0;
	if (vgpu_open(&gpu, &options)) {
		fprintf(stderr, "cost: open: %s\n", vgpu_last_error(NULL));
		return 1;
	}
	run(gpu, WARM_UP, 1); /* until both sides are awake */
	sent = taken = unmasked = 0;
	run(gpu, n, depth);
	printf("%s %lu: events to the host %lu, to the guest %lu, hypercalls of the guest %lu\n",
	       argv[1], n, sent, taken, sent + unmasked);
	printf("events a request %.4f\n", (double)(sent + taken) / (double)n);
	vgpu_close(gpu);
	return 0;
}
