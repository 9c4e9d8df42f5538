/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Workers without processes: they do and say what the test tells them. Link fake_worker.c in
 * place of host/mediator_worker.c.
 */
#ifndef FAKE_WORKER_H
#define FAKE_WORKER_H

#include "../../host/mediator_worker.h"

extern int fake_start_error;      /* proc_start() fails with this errno, if not 0 */
extern int fake_assign_error;     /* so does proc_assign() */
extern unsigned int fake_started; /* calls of proc_start() that worked */
extern unsigned int fake_killed;
extern struct worker_assign fake_assign; /* the last one */

/* The first worker of that state, or NULL. */
struct worker_proc *fake_find(struct mediator *m, enum worker_state state);
unsigned int fake_count(struct mediator *m, enum worker_state state);

/* What a worker can do. */
void fake_ready(struct worker_proc *w, bool fallback);
void fake_ready_all(struct mediator *m);
void fake_attached(struct worker_proc *w, int32_t status, const char *why);
void fake_message(struct worker_proc *w, const char *text);
/* The process is gone: with FAILED or ENDED said before if @why, else as if killed. */
void fake_gone(struct worker_proc *w, int32_t reason, const char *why);

#endif
