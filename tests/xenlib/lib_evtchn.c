/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libxenevtchn, of it what this project uses. The descriptor to poll is a pipe of ports, as long
 * as the kernel's ring; xenlibd writes one when it is due.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <xenevtchn.h>

#include "rpc.h"

struct xenevtchn_handle {
	struct rpc rpc;
	int ports;
};

xenevtchn_handle *xenevtchn_open(struct xentoollog_logger *logger, unsigned int flags)
{
	xenevtchn_handle *xce = calloc(1, sizeof(*xce));
	int rc;

	(void)logger;
	if (!xce || flags) {
		free(xce);
		errno = flags ? EINVAL : ENOMEM;
		return NULL;
	}
	xce->ports = -1;
	rc = rpc_open(&xce->rpc, WIRE_KIND_EVTCHN, &xce->ports);
	if (rc < 0) {
		free(xce);
		errno = -rc;
		return NULL;
	}
	return xce;
}

int xenevtchn_close(xenevtchn_handle *xce)
{
	if (!xce)
		return 0;
	rpc_close(&xce->rpc);
	close(xce->ports);
	free(xce);
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->ports;
}

static int call(xenevtchn_handle *xce, enum wire_op op, uint32_t a, uint32_t b)
{
	struct wire_request rq;
	int rc;

	rpc_init(&rq, op);
	rq.a = a;
	rq.b = b;
	rc = rpc_call(&xce->rpc, &rq, 0, NULL);
	if (rc >= 0)
		return rc;
	errno = -rc;
	return -1;
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	return call(xce, WIRE_EVTCHN_NOTIFY, port, 0);
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid)
{
	return call(xce, WIRE_EVTCHN_ALLOC, domid, 0);
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid,
						     evtchn_port_t remote_port)
{
	return call(xce, WIRE_EVTCHN_BIND, domid, remote_port);
}

int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port)
{
	return call(xce, WIRE_EVTCHN_UNBIND, port, 0);
}

int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t port)
{
	return call(xce, WIRE_EVTCHN_UNMASK, port, 0);
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid)
{
	return call(xce, WIRE_EVTCHN_RESTRICT, domid, 0);
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce)
{
	uint32_t port;
	ssize_t n = read(xce->ports, &port, sizeof(port));

	if (n == (ssize_t)sizeof(port))
		return (xenevtchn_port_or_error_t)port;
	if (n >= 0)
		errno = EIO; /* the domain is no more */
	return -1;
}
