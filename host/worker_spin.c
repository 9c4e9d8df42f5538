// SPDX-License-Identifier: GPL-2.0-or-later
#include "worker_spin.h"

/*
 * A yield that took so long let somebody else run, but perhaps only the kernel: so many in a row,
 * and others want the processor.
 */
#define SLOW_YIELD_US 5u
#define SLOW_YIELDS 3u
/* No interrupt lasts so long. Who was kept from running for that lost a time slice to somebody. */
#define SLICE_US 100u

uint32_t spin_through_pause_us(uint64_t pause_us, uint32_t max_us)
{
	if (pause_us > max_us)
		return 0;
	return pause_us < max_us / 2 ? 2 * (uint32_t)pause_us : max_us;
}

bool spin_others_wait(struct spin_yields *y, uint64_t from_us, uint64_t to_us)
{
	const uint64_t since_us = y->last_us ? y->last_us : from_us;

	y->last_us = to_us;
	y->slow = to_us - from_us > SLOW_YIELD_US ? y->slow + 1 : 0;
	return to_us - since_us > SLICE_US || y->slow >= SLOW_YIELDS;
}
