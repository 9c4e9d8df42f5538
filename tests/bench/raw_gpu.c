// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gpu.h, the first part of it, by a second process that polls a ring of 128-byte slots and has
 * its "device memory" in pages that both share: the least that any mediator on this machine must
 * spend. Nothing is checked, and nobody sleeps while there is work.
 */
#include "gpu.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "work.h"

#define SLOTS 256u
#define DEVICE_BYTES (512ull << 20)
#define CHUNK_BYTES (1u << 20)
#define CHUNKS 4u
#define IDLE_LOOKS 1000000u /* some milliseconds */

struct slot {
	_Alignas(128) uint64_t copy_bytes; /* 0: add one at dst, or nothing if that is 0 */
	uint64_t dst, src;
};

struct shared {
	_Alignas(128) uint32_t produced;
	_Alignas(128) uint32_t consumed;
	struct slot slots[SLOTS];
	uint8_t chunks[CHUNKS][CHUNK_BYTES];
	uint8_t device[DEVICE_BYTES];
	uint8_t window[];
};

const struct work_command more_work[] = { { 0 } };

static struct shared *shared;
static size_t shared_bytes, device_used;
static uint32_t produced;
static pid_t partner;

static void run_slot(const struct slot *s)
{
	if (s->copy_bytes)
		memcpy((void *)(uintptr_t)s->dst, (const void *)(uintptr_t)s->src, s->copy_bytes);
	else if (s->dst)
		++*(uint32_t *)(uintptr_t)s->dst;
}

/* Until slot number @n is there. Others need this CPU while this program is not asked anything. */
static void wait_for_slot(uint32_t n)
{
	for (uint32_t looks = 0; __atomic_load_n(&shared->produced, __ATOMIC_ACQUIRE) == n;
	     looks++) {
		if (looks > IDLE_LOOKS)
			usleep(1000);
	}
}

static _Noreturn void serve(int cpu)
{
	struct slot slot;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	bench_pin(cpu);
	for (uint32_t n = 0;; n++) {
		wait_for_slot(n);
		slot = shared->slots[n % SLOTS];
		run_slot(&slot);
		__atomic_store_n(&shared->consumed, n + 1, __ATOMIC_RELEASE);
	}
}

/* Until everything up to slot number @end is done. */
static void wait_for(uint32_t end)
{
	while ((int32_t)(__atomic_load_n(&shared->consumed, __ATOMIC_ACQUIRE) - end) < 0)
		;
}

static void submit(uint64_t dst, uint64_t src, size_t copy_bytes)
{
	struct slot *s = &shared->slots[produced % SLOTS];

	wait_for(produced + 1 - SLOTS);
	*s = (struct slot){ .copy_bytes = copy_bytes, .dst = dst, .src = src };
	__atomic_store_n(&shared->produced, ++produced, __ATOMIC_RELEASE);
}

void gpu_open(const char *where, const char *image, size_t window_bytes)
{
	(void)image;
	shared_bytes = sizeof(*shared) + window_bytes;
	shared = mmap(NULL, shared_bytes, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (shared == MAP_FAILED)
		bench_die("raw: map %zu bytes: %s", shared_bytes, strerror(errno));
	partner = fork();
	if (partner < 0)
		bench_die("raw: fork: %s", strerror(errno));
	if (partner == 0)
		serve(atoi(where));
}

void gpu_close(void)
{
	kill(partner, SIGKILL);
	waitpid(partner, NULL, 0);
	munmap(shared, shared_bytes);
}

/* Like a stack; what work.c does needs no more. */
gpu_ptr gpu_alloc(size_t bytes)
{
	uint8_t *p = &shared->device[device_used];

	if (bytes > DEVICE_BYTES - device_used)
		bench_die("raw: out of memory");
	device_used += bytes;
	return (uintptr_t)p;
}

void gpu_free(gpu_ptr p)
{
	device_used = (size_t)(p - (uintptr_t)shared->device);
}

void *gpu_window_alloc(size_t bytes)
{
	if (sizeof(*shared) + bytes > shared_bytes)
		bench_die("raw: no such window");
	return shared->window;
}

void gpu_window_free(void *p)
{
	(void)p;
}

static size_t chunk_at(size_t at, size_t bytes)
{
	return bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES;
}

static uint8_t *chunk_of(size_t at)
{
	return shared->chunks[at / CHUNK_BYTES % CHUNKS];
}

/* Both: a chunk is copied on this side while the partner copies another. */
static void write_through_chunks(gpu_ptr dst, const uint8_t *src, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += CHUNK_BYTES) {
		wait_for(produced + 1 - CHUNKS);
		memcpy(chunk_of(at), src + at, chunk_at(at, bytes));
		submit(dst + at, (uintptr_t)chunk_of(at), chunk_at(at, bytes));
	}
	gpu_synchronize();
}

static void read_through_chunks(uint8_t *dst, gpu_ptr src, size_t bytes)
{
	const uint32_t start = produced;
	size_t asked = 0;

	for (size_t at = 0; at < bytes; at += CHUNK_BYTES) {
		for (; asked < bytes && asked < at + CHUNKS * (size_t)CHUNK_BYTES;
		     asked += CHUNK_BYTES)
			submit((uintptr_t)chunk_of(asked), src + asked, chunk_at(asked, bytes));
		wait_for(start + (uint32_t)(at / CHUNK_BYTES) + 1);
		memcpy(dst + at, chunk_of(at), chunk_at(at, bytes));
	}
}

static int in_window(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)shared->window &&
	       (uintptr_t)p < (uintptr_t)shared + shared_bytes;
}

void gpu_write(gpu_ptr dst, const void *src, size_t bytes)
{
	if (!in_window(src)) {
		write_through_chunks(dst, src, bytes);
		return;
	}
	submit(dst, (uintptr_t)src, bytes);
	gpu_synchronize();
}

void gpu_read(void *dst, gpu_ptr src, size_t bytes)
{
	if (!in_window(dst)) {
		read_through_chunks(dst, src, bytes);
		return;
	}
	submit((uintptr_t)dst, src, bytes);
	gpu_synchronize();
}

/* add_one of one element, which is what work.c launches. */
void gpu_launch(const struct gpu_launch *l)
{
	submit(*(const uint64_t *)l->params, 0, 0);
}

void gpu_synchronize(void)
{
	submit(0, 0, 0);
	wait_for(produced);
}

void gpu_wake(void)
{
	gpu_synchronize();
}
