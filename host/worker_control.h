/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages between the supervisor and a worker, over the SOCK_SEQPACKET socket that the
 * worker finds as descriptor WORKER_CONTROL_FD. Both are this program, so structs travel as
 * they are; still the supervisor trusts a worker no further than its channel, since a worker
 * reads what the guest writes: lengths, types and terminations are checked.
 *
 *   supervisor                     worker (exec'd: gpu_mediator --worker ...)
 *                          <-      READY (backend is warm) or FAILED and exit
 *   ASSIGN + fds           ->
 *                          <-      ATTACHED (status 0: serving; else it exits)
 *                          <-      MESSAGE, LOG at any time
 *   STOP                   ->      finish the command that runs, then ENDED and exit
 *                          <-      ENDED (why), then exit
 *
 * When the socket closes, the worker exits at once; it also dies with its supervisor
 * (PR_SET_PDEATHSIG).
 */
#ifndef HOST_WORKER_CONTROL_H
#define HOST_WORKER_CONTROL_H

#include <stdint.h>

#include "backend.h"

#define WORKER_CONTROL_FD 3

enum worker_message_type {
	WORKER_READY = 1,
	WORKER_FAILED,
	WORKER_ASSIGN,
	WORKER_ATTACHED,
	WORKER_MESSAGE,
	WORKER_LOG,
	WORKER_STOP,
	WORKER_ENDED,
};

struct worker_ready {
	uint32_t type;
	uint32_t fallback; /* 1: backend = auto found no GPU */
	struct backend_info info;
	char why[200]; /* cause of the fallback */
};

struct worker_failed {
	uint32_t type;
	int32_t status;
	char why[200];
};

/* Transport "xen": whose pages, where their list is, and who wakes whom. All the guest's words. */
struct worker_xen {
	uint32_t domid;
	uint32_t ring_ref;
	uint32_t event_channel;
};

/*
 * Transport "memfd": descriptors are sealed memfd, eventfd to the host, eventfd to the guest.
 * Transport "xen": no descriptors; the worker has opened its own.
 */
struct worker_assign {
	uint32_t type;
	uint32_t transport; /* WORKER_TRANSPORT_* */
	uint32_t channel;
	uint32_t deadline_ms;  /* per command, 0 none */
	uint32_t spin_us;      /* how long to poll before sleeping, 0 not at all */
	uint32_t spin_max_us;  /* the same while the GPU works or requests come often */
	uint32_t message_rate; /* MESSAGE a second, 0 no limit */
	struct worker_xen xen; /* all 0 on other transports */
	uint64_t offset;
	uint64_t length;
	char vm[64];
};
#define WORKER_TRANSPORT_MEMFD 1u
#define WORKER_TRANSPORT_XEN 2u
#define WORKER_FDS_MAX 3

struct worker_attached {
	uint32_t type;
	int32_t status; /* 0, or a negative VGPU_E*: bad header, bad memory */
	char why[104];
};

struct worker_text { /* MESSAGE: from the guest, untrusted; LOG: the worker's own */
	uint32_t type;
	uint32_t level;  /* LOG: as in log.h */
	uint32_t length; /* bytes of text, not terminated */
	char text[512];
};

struct worker_stop {
	uint32_t type;
};

struct worker_ended {
	uint32_t type;
	int32_t reason; /* what the guest is told: 0 or a negative VGPU_E* */
	char why[200];
};

#endif
