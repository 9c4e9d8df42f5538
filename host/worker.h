/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A worker process: one channel, one backend, two threads.
 *
 * The ring thread is the process's first one; it brings the backend up, serves the ring and is
 * the only one that calls the backend. The control thread listens to the supervisor and watches
 * over the ring thread; it starts when a channel was assigned.
 */
#ifndef HOST_WORKER_H
#define HOST_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../common/spsc.h"
#include "backend.h"
#include "log.h"
#include "transport.h"
#include "worker_channel.h"
#include "worker_commands.h"
#include "worker_control.h"

/* gpu_mediator --worker ...; returns the exit status. */
int worker_main(int argc, char **argv);

/* What the ring thread is doing: the low bits of worker_watch.state. */
enum worker_phase {
	WORKER_POLLING,
	WORKER_RUNNING,   /* a command */
	WORKER_NOTIFYING, /* its response is out; the guest is being woken */
	WORKER_SLEEPING,  /* until the guest signals */
	WORKER_DOZING,    /* for a while only */
	WORKER_PHASES = 8,
};

/*
 * How the two threads see each other. Each line is written by one of them; the ring thread pays
 * two plain stores and a load a command, and a fence when it has slept.
 */
struct worker_watch {
	/* By the ring thread: number of the command or look * WORKER_PHASES + phase. */
	_Alignas(128) uint32_t state;
	/* By the control thread. */
	_Alignas(128) uint32_t stop; /* end after the command that runs */
	uint32_t parked;             /* the watchdog is off: wake it when you leave your sleep */
};

struct worker {
	struct worker_watch watch;

	struct spsc_consumer req;
	struct spsc_producer rsp;
	struct commands commands;
	uint32_t *host_closed;  /* in shared memory */
	uint32_t number;        /* of what the backend was last asked for; worker_watch.state */
	uint32_t pause_spin_us; /* to poll through a pause like those of late; 0: they are long */
	uint64_t idle_since_us; /* when the wait began in which it sleeps now */
	uint32_t doze_us; /* how long the last sleep was meant to be; 0: no limit, or no sleep */

	struct worker_assign assign;
	struct transport transport;
	struct channel_geometry geometry;

	const struct backend_ops *ops;
	struct backend *backend;
	struct backend_info info;
	int fallback;

	pthread_t ring_thread;
	int watch_fd; /* eventfd: wakes the watchdog */
	int ended;    /* one thread only says why, and exits */
};

/* worker_serve.c: serve the ring until the end, which ends the process. */
_Noreturn void worker_serve(struct worker *w);

/* worker_control.c */

/* Send one message to the supervisor, at once or not at all. 0 or a negative errno. Any thread. */
int worker_send(const void *message, size_t bytes);

/* log_sink_fn that sends the line to the supervisor. */
void worker_log_sink(void *ctx, enum log_level level, const char *text, size_t len);

/* Start the control thread. Returns 0 or a negative errno. */
int worker_control_start(struct worker *w);

/* Did the transport see the guest's side end? */
static inline bool worker_guest_gone(struct worker *w)
{
	return w->transport.ops->gone && w->transport.ops->gone(&w->transport);
}

/*
 * End this process: tell the guest (@reason not 0) and the supervisor why. The first thread that
 * comes here does it.
 */
_Noreturn void worker_end(struct worker *w, int reason, const char *why);

/* worker_privileges.c */

/*
 * Give up all that serving a channel does not need: user (@user, if root and not NULL),
 * capabilities, new privileges, limits, system calls. Returns 0, or a negative errno and @why.
 */
int worker_drop_privileges(const char *user, char *why, size_t why_len);

/*
 * For tests: a tool such as compute-sanitizer rides along in workers, which keep for it whatever
 * they come with, that is environment, descriptors and privileges. Told by the environment, and
 * so the same in the supervisor and its workers.
 */
#define WORKER_TOOL_VARIABLE "GPU_MEDIATOR_TEST_TOOL"
static inline bool worker_has_tool(void)
{
	const char *value = getenv(WORKER_TOOL_VARIABLE);

	return value && strcmp(value, "1") == 0;
}

#endif
