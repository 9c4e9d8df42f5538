/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A handle's connection to xenlibd, in the place of an open file of Xen's drivers: it closes when
 * the last process that has it ends.
 */
#ifndef TESTS_XENLIB_RPC_H
#define TESTS_XENLIB_RPC_H

#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#include "wire.h"

struct rpc {
	int fd;
	pid_t owner; /* a forked child may only close it */
	pthread_mutex_t lock;
};

/*
 * Connect, as the domain XENLIB_DOMID, to XENLIB_SOCKET. Where the environment lacks them the
 * parent's counts: the mediator's workers get a scrubbed one. @fd, where the kind has one.
 * Returns 0, or a negative errno.
 */
int rpc_open(struct rpc *r, enum wire_kind kind, int *fd);
void rpc_close(struct rpc *r);

/* What a request says nothing of is nothing. Not the text, which is long. */
static inline void rpc_init(struct wire_request *rq, enum wire_op op)
{
	memset(rq, 0, WIRE_REQUEST_BYTES(0));
	rq->op = op;
	rq->notify_offset = rq->notify_port = WIRE_NONE;
}

struct rpc_answer {
	void *data; /* what goes with it, @bytes at most; or NULL */
	size_t bytes;
	int fd[WIRE_FDS_MAX]; /* the caller's to close */
	uint32_t nfds;
};

/*
 * Send a request with @extra bytes of its refs or text, wait for the reply. Returns what that
 * says, or a negative errno. @answer may be NULL. For any thread.
 */
int rpc_call(struct rpc *r, const struct wire_request *rq, size_t extra, struct rpc_answer *answer);

#endif
