/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host in a thread: speaks the mediator's side of the client socket and serves the
 * rings, obediently or, by script, in any wrong way. For tests of the guest library.
 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/un.h>

#include "../../common/frame.h"
#include "../../common/spsc.h"
#include "../../protocol/vgpu_channel.h"
#include "../../protocol/vgpu_commands.h"
#include "../../protocol/vgpu_gpu.h"

struct fake_host;

/* What becomes of a request. */
enum fake_fate {
	FAKE_ANSWER,  /* send the response as the script left it */
	FAKE_SILENCE, /* send nothing */
	FAKE_LATER,   /* send it behind the next one that is sent */
	FAKE_HANG_UP, /* close the socket without a word */
	FAKE_CLOSED,  /* send CLOSED with `reason` */
	FAKE_JUNK,    /* send a message that is not for guests */
};

struct fake_script {
	uint32_t version;    /* in WELCOME; 0: the right one */
	int32_t refuse;      /* REFUSED with this error instead of WELCOME */
	const char *text;    /* of REFUSED and of a failing OPENED */
	uint64_t max_bytes;  /* 0: plenty */
	int32_t open_status; /* of OPENED */
	int deaf;            /* accept, and never answer anything */
	int32_t reason;      /* of FAKE_CLOSED */
	int bad_module;      /* MODULE_LOAD fails, and says why */
	uint64_t gpu_memory; /* bytes; 0: 1 GiB */
	/* NULL: serve well. Called with the good answer in *rsp. */
	enum fake_fate (*answer)(struct fake_host *h, const struct vgpu_request *req,
				 struct vgpu_response *rsp);
};

/* What the host's GPU, which is this process's memory, has given. */
struct fake_allocation {
	uint64_t address;
	uint64_t bytes;
	void *memory;
};

#define FAKE_ALLOCATIONS 256
#define FAKE_LATER_MAX 64

struct fake_host {
	struct fake_script script;
	char dir[64];
	struct sockaddr_un address;
	int listener;
	int stop[2]; /* pipe: closed to stop */
	pthread_t thread;

	/* of the connection that is served */
	int sock;
	int to_host;
	int to_guest;
	uint8_t *memory;
	uint64_t bytes;
	struct vgpu_channel_header header;
	struct spsc_consumer req;
	struct spsc_producer rsp;
	uint8_t *window;
	struct fake_allocation allocations[FAKE_ALLOCATIONS];
	uint64_t memory_left; /* for ALLOC */
	int32_t sticky;       /* error of a request without a response */
	struct vgpu_response later[FAKE_LATER_MAX];
	uint32_t later_count;
	_Atomic uint64_t requests;
	_Atomic uint32_t commands[64]; /* how many of each */
	_Atomic int closes;            /* CLOSE messages seen */
	_Atomic int connections;       /* accepted so far */
	_Atomic int disconnected;      /* connections that ended */
	_Atomic int32_t guest_closed;  /* what the guest left there, last connection */
	char peer_name[64];
};

/* Listen on a socket in a directory of its own. */
void fake_host_start(struct fake_host *h, const struct fake_script *script);
void fake_host_stop(struct fake_host *h);

/* "unix:" and the socket's path. */
const char *fake_host_device(const struct fake_host *h);

/* Of the channel being served: a word of the index page. */
uint32_t *fake_host_index(struct fake_host *h, uint32_t offset);

#endif
