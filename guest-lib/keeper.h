/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A PCI device as one process uses it: shared by all its handles, with one thread, the
 * keeper, which is the only reader of /dev/uioN.
 *
 * Interrupts. UIO wakes every process that has the node open at each interrupt, and masks
 * INTx until somebody re-arms it. Each keeper then
 *   1. acknowledges the causes that are its own process's channels, and no others: a cause
 *      that another process acknowledges could vanish before the kernel's handler saw it,
 *      and the wake-up with it;
 *   2. re-arms;
 *   3. wakes the callers, who look at their rings, so after 1 and 2: what is signalled later
 *      raises an interrupt that this keeper gets again.
 * A cause whose owner does not acknowledge (it was stopped, or died) would interrupt for
 * ever: after STRIKES_MAX times in a row a keeper takes it out of IRQ_MASK. An owner puts
 * its own causes back whenever it wakes. Both orders are safe: the owner acknowledges and
 * then looks at the mask, the other clears the mask and then looks at the cause.
 *
 * Roll calls. The device asks who lives when a descriptor of /dev/uioN was closed without
 * notice. The answer is a bit for each channel whose byte is locked, and is made and written
 * under FILE_LOCK_CLAIM. A channel is claimed under it as well, and opened later: so at the
 * time of the answer a claim is either seen, or its channel is not open yet and cannot be
 * closed by mistake.
 *   - A dying process's descriptors close in no particular order: its locks may go after
 *     its uio node. So the answer waits for CENSUS_DELAY_MS, and CENSUS_AGAIN_MS later
 *     channels that nobody holds and that are open nevertheless are reset.
 *   - The process that took the cause from IRQ_STATUS may be dying itself. So every keeper
 *     answers a while after every interrupt, whether it saw the cause or not. An answer to
 *     no question changes nothing.
 */
#ifndef GUEST_KEEPER_H
#define GUEST_KEEPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "device.h"
#include "file_lock.h"
#include "fork_guard.h"
#include "log.h"
#include "mapping.h"
#include "regs.h"

struct keeper {
	struct fork_guarded guarded;
	struct device device;
	struct identity identity;
	struct regs regs;
	int file; /* resource0: the mapping, and the locks that threads share */
	int uio;
	int stop; /* eventfd: the thread is to end */
	pthread_t thread;
	bool running;
	uint32_t own; /* IRQ bits of this process's channels; atomic */
	struct file_lock mailbox;
	struct file_lock claim;
	struct log log; /* of the handle that was first */

	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t woken;
	uint32_t wakes;           /* interrupts taken so far */
	bool lost;                /* the device was unplugged or unbound */
	struct mapping *mappings; /* of the window, in this process */

	unsigned int users; /* handles; guarded by keeper.c's list lock */
	struct keeper *next;
};

/*
 * The keeper of @d in this process, started if it is the first use. Identity is read before
 * anything else is touched. Errors as vgpu_open().
 */
int keeper_get(struct keeper **out, const struct device *d, const struct log *log,
	       struct cause *why);

/* The last one to put stops the thread and closes the node in an orderly way. */
void keeper_put(struct keeper *k);

/* In a forked child: forget this handle's share. */
void keeper_discard(struct keeper *k);

/* Let channel @k interrupt (true), or no longer. With `claim` held. */
void keeper_listen(struct keeper *k, uint32_t channel, bool on);

/* How many interrupts were taken so far, mod 2^32. */
uint32_t keeper_wakes(struct keeper *k);

/*
 * Sleep until an interrupt came after the first @seen, or @deadline_ns. Returns 0 or -ETIMEDOUT.
 * One interrupt can stand for an answer and for the channel's end: take @seen before you look
 * at all that it may mean, and keep it until you have.
 */
int keeper_wait(struct keeper *k, uint32_t seen, int64_t deadline_ns);

/* Tell that the window is mapped at @m, so that it survives an unplugging, or no longer is. */
void keeper_mapped(struct keeper *k, struct mapping *m);
void keeper_unmapped(struct keeper *k, struct mapping *m);

/*
 * The same along with mapping_replace(): by @fresh, which is the window, or which is not. Returns 0
 * or a negative errno, and then nothing has changed; -ENODEV: @fresh is of a device that was lost.
 */
int keeper_replace(struct keeper *k, struct mapping *m, void *fresh, bool window);

bool keeper_lost(struct keeper *k);

#endif
