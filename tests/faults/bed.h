/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mediator of one's own in a directory of its own, and what it takes to hurt it and to see
 * what became of it. Failures of the bed itself fail the test.
 */
#ifndef TESTS_FAULTS_BED_H
#define TESTS_FAULTS_BED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vgpuguest.h"

struct bed {
	char dir[64];
	char config[128];
	char log[128];
	char client[128]; /* sockets */
	char device[128];
	char pid_file[128];
	const char *notify; /* NOTIFY_SOCKET of the mediator, or NULL */
	pid_t mediator;     /* 0: none */
};

void bed_make(struct bed *b);
void bed_remove(struct bed *b); /* kills what is left */

/* Write the configuration: sockets, log and @more, which may start with keys of [limits]. */
void bed_configure(struct bed *b, const char *more);

/* Start it in the foreground, and wait until it has a warm worker. */
void bed_start(struct bed *b);

/* Run it with these arguments to its end; what it printed goes to @out. The exit code. */
int bed_run(const struct bed *b, char *out, size_t size, char *const args[]);

/* Wait for the mediator to end, @seconds at most. Its wait status, or -1. */
int bed_reap(struct bed *b, int seconds);

/* kill -9 and reap. */
void bed_kill(struct bed *b);

const char *bed_log_text(const struct bed *b); /* valid until the next call */
bool bed_log_has(const struct bed *b, const char *text);

/* Wait until the log has @text, 10 s at most. */
bool bed_log_will_have(const struct bed *b, const char *text);

/* Worker of the channel that was opened last; 0 if there is none. */
pid_t bed_last_worker(const struct bed *b);

/* Open a channel over the client socket. */
int bed_open(const struct bed *b, struct vgpu **v, size_t window_bytes);
/* The same, with the time that each call may take. */
int bed_open_within(const struct bed *b, struct vgpu **v, size_t window_bytes, int timeout_ms);

/* Number of the mediator's children. */
unsigned int bed_workers(const struct bed *b);
pid_t bed_any_worker(const struct bed *b);
unsigned int bed_descriptors(const struct bed *b);

bool exists(const char *path);
uint64_t now_ms(void);
bool alive(pid_t pid); /* and no zombie */
char process_state(pid_t pid);
bool gone_within(pid_t pid, unsigned int ms);
void sleep_ms(unsigned int ms);

/* One call in a thread of its own. */
struct call;
struct call *call_nop(struct vgpu *v);
/*
 * A command that takes tens of milliseconds; @v needs BIG_WINDOW. @worker, if not 0, is asleep
 * when it comes, so that whatever it does then is this command.
 */
#define BIG_WINDOW (192u << 20)
struct call *call_big(struct vgpu *v, pid_t worker);
bool call_done(const struct call *c);
/* Wait for its end; frees it. */
int call_result(struct call *c);

/* Stop @worker in the middle of @c's command. */
void stop_within(pid_t worker, const struct call *c);

/* A client that works all the time and must notice nothing. */
struct witness {
	pid_t pid;
	int stop;
};
void witness_start(struct witness *w, const struct bed *b);
/* True if it has worked until now and never failed. */
bool witness_end(struct witness *w);

#endif
