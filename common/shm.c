/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shm.h"

/*
 * ThreadSanitizer would report each race with the peer on bulk data, which is
 * allowed to race: what it says is checked by whoever it concerns, after the copy.
 */
#if defined(__SANITIZE_THREAD__)
#define RACES_BY_DESIGN __attribute__((noinline, no_sanitize("thread")))
#else
#define RACES_BY_DESIGN __attribute__((noinline))
#endif

RACES_BY_DESIGN void shm_read_bytes(void *private_dst, const void *shared_src, size_t n)
{
	memcpy(private_dst, shared_src, n);
	__asm__ __volatile__("" ::: "memory");
}

RACES_BY_DESIGN void shm_write_bytes(void *shared_dst, const void *private_src, size_t n)
{
	memcpy(shared_dst, private_src, n);
	__asm__ __volatile__("" ::: "memory");
}
