/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other end of a peer's connection, driven step by step, and the mediator that it talks to. */
#ifndef FAKE_PEER_H
#define FAKE_PEER_H

#include "../../common/frame.h"
#include "../../host/mediator.h"
#include "../../host/mediator_peer.h"

/* A mediator with fake workers and @config (NULL: the defaults). */
struct mediator *fake_mediator(const struct mediator_config *config);
void fake_mediator_free(struct mediator *m);

/* Let it do all that it can do now. */
void fake_run(struct mediator *m);
/* Go on until @done or 10 s have passed; false then. */
bool fake_run_until(struct mediator *m, bool (*done)(void *), void *ctx);

struct fake_peer {
	struct mediator *m;
	int fd;
	struct frame_rx rx;
	uint32_t seq; /* of the last message sent */
};

void fake_connect(struct fake_peer *p, struct mediator *m, enum peer_kind kind);
void fake_disconnect(struct fake_peer *p);

/* Send; the mediator has read it when they return. */
void fake_send_raw(struct fake_peer *p, const void *bytes, size_t len, const int *fds, int nfds);
void fake_hello(struct fake_peer *p, const char *name, uint32_t channels);
void fake_hello_version(struct fake_peer *p, uint32_t version);
void fake_open(struct fake_peer *p, uint32_t channel, uint64_t length);
void fake_open_fds(struct fake_peer *p, uint32_t channel, uint64_t offset, uint64_t length,
		   const int fds[3]);
void fake_close(struct fake_peer *p, uint32_t channel);
void fake_ping(struct fake_peer *p);

/* The next message, of this type; fails the test if there is none. */
const union frame_message *fake_expect(struct fake_peer *p, uint32_t type);
void fake_expect_nothing(struct fake_peer *p);
void fake_expect_hangup(struct fake_peer *p);

/* HELLO, WELCOME. */
void fake_meet(struct fake_peer *p, struct mediator *m, enum peer_kind kind, uint32_t channels);
/* OPEN with workers that work: served when it returns. */
void fake_serve(struct fake_peer *p, uint32_t channel, uint64_t length);

/* What the log said since the last call of log_forget(). */
bool log_said(const char *text);
unsigned int log_count(const char *text);
void log_forget(void);

unsigned int open_descriptors(void);

#endif
