/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When a worker polls for longer than spin_us, and when it stops: the rules, without a clock of
 * their own.
 */
#ifndef WORKER_SPIN_H
#define WORKER_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/* How long to poll through a pause like one of @pause_us that was slept through; 0: too long. */
uint32_t spin_through_pause_us(uint64_t pause_us, uint32_t max_us);

/* Of one time of polling; all 0 at first. */
struct spin_yields {
	uint64_t last_us; /* when the last one ended */
	uint32_t slow;    /* in a row that let somebody run */
};

/*
 * There was a yield from @from_us to @to_us; polling looks at the clock every few microseconds and
 * yields each time. Returns whether others want the processor: threads of this machine, or, where
 * that is a virtual one, other machines.
 */
bool spin_others_wait(struct spin_yields *y, uint64_t from_us, uint64_t to_us);

#endif
