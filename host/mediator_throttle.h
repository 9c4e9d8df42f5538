/* SPDX-License-Identifier: GPL-2.0-or-later */
/* So many a second, so many at once; and the clock that such things are measured by. */
#ifndef HOST_MEDIATOR_THROTTLE_H
#define HOST_MEDIATOR_THROTTLE_H

#include <stdint.h>
#include <time.h>

struct throttle {
	uint64_t free_at_us; /* when all that was taken is paid for; all zero: unused yet */
};

static inline uint64_t clock_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/*
 * Take one of @rate a second, of which @burst (at least 1) may come at once; a rate of 0 is no
 * limit. Returns 0, or the microseconds to wait before one can be had; then none was taken.
 */
static inline uint64_t throttle_take(struct throttle *t, uint32_t rate, uint32_t burst,
				     uint64_t now_us)
{
	uint64_t interval_us, ahead_us;

	if (rate == 0)
		return 0;
	interval_us = 1000000 / rate;
	ahead_us = t->free_at_us > now_us ? t->free_at_us - now_us : 0;
	if (ahead_us > interval_us * (burst - 1))
		return ahead_us - interval_us * (burst - 1);
	t->free_at_us = now_us + ahead_us + interval_us;
	return 0;
}

#endif
