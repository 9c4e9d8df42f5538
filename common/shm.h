/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The only ways in which this code touches memory that another party can write.
 *
 * The other party may change any byte at any time. So a value is loaded exactly
 * once, through these helpers, into private memory; it is checked there and used
 * from there. Nothing here checks anything.
 *
 * Memory order, by the job it does:
 *   shm_store_release / shm_load_acquire   hand over slots: with their numbers (64 bits),
 *                                          and back with an index
 *   shm_full_fence                         own store before own load, of two words
 *                                          that two sides use to find each other
 *                                          (publish-then-look on both sides)
 *   shm_load / shm_store                   no order needed
 */
#ifndef COMMON_SHM_H
#define COMMON_SHM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t shm_load(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline uint32_t shm_load_acquire(const uint32_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void shm_store(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

static inline void shm_store_release(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline uint64_t shm_load_acquire64(const uint64_t *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void shm_store_release64(uint64_t *p, uint64_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static inline uint8_t shm_load_byte(const uint8_t *p)
{
	return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void shm_store_byte(uint8_t *p, uint8_t v)
{
	__atomic_store_n(p, v, __ATOMIC_RELAXED);
}

/* ThreadSanitizer does not know fences; what ours order lies between processes anyhow. */
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
static inline void shm_full_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
#if defined(__SANITIZE_THREAD__)
#pragma GCC diagnostic pop
#endif

/*
 * Copy @n bytes, a multiple of 8, between private and shared memory, both aligned
 * to 8. Each word is loaded and stored exactly once.
 */
static inline void shm_copy_in(void *private_dst, const void *shared_src, size_t n)
{
	uint64_t *d = private_dst;
	const uint64_t *s = shared_src;

	for (size_t i = 0; i < n / 8; i++)
		d[i] = __atomic_load_n(&s[i], __ATOMIC_RELAXED);
}

static inline void shm_copy_out(void *shared_dst, const void *private_src, size_t n)
{
	uint64_t *d = shared_dst;
	const uint64_t *s = private_src;

	for (size_t i = 0; i < n / 8; i++)
		__atomic_store_n(&d[i], s[i], __ATOMIC_RELAXED);
}

/*
 * Copy bulk data out of or into the window. The bytes are data, never numbers to
 * steer by: whoever must trust them copies first and looks at the copy. noinline,
 * so that no caller's later reads can be served from shared memory instead.
 */
void shm_read_bytes(void *private_dst, const void *shared_src, size_t n);
void shm_write_bytes(void *shared_dst, const void *private_src, size_t n);

/* Fetch a line that will be read soon; harmless whatever stands there. */
static inline void shm_prefetch(const void *p)
{
	__builtin_prefetch(p, 0, 3);
	/* GCC drops calls of functions that only prefetch: to it they have no effect. */
	__asm__ __volatile__("");
}

/* One turn of a polling loop: gives the other hyperthread a chance. */
static inline void shm_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield" ::: "memory");
#endif
}

#endif
