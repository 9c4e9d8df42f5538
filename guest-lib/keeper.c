/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "private.h"
#include "uio.h"

#define STRIKES_MAX 16
#define CENSUS_DELAY_MS 50
#define CENSUS_AGAIN_MS 1000
#define CLAIM_WAIT_MS 1000 /* for a lock that is held for microseconds */
#define STACK_BYTES (256u << 10)

/* All keepers of this process. In a forked child it is empty, and its lock is new. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct keeper *list;
static uint32_t list_epoch;

/* Census: when to take it, -1 never. */
struct census {
	int64_t next_ns;
	int64_t again_ns;
};

static void close_all(struct keeper *k)
{
	int *fds[] = { &k->file, &k->uio, &k->stop };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

static void keeper_forked(struct fork_guarded *g)
{
	close_all((struct keeper *)((char *)g - offsetof(struct keeper, guarded)));
}

/* Change IRQ_MASK; others do so too, hence the lock. */
static void mask_change(struct keeper *k, uint32_t set, uint32_t clear)
{
	regs_write(&k->regs, VGPU_REG_IRQ_MASK,
		   (regs_read(&k->regs, VGPU_REG_IRQ_MASK) | set) & ~clear & VGPU_IRQ_ALL);
}

void keeper_listen(struct keeper *k, uint32_t channel, bool on)
{
	uint32_t bit = VGPU_IRQ_CHANNEL(channel);

	if (on) {
		/* What a predecessor left. */
		regs_write(&k->regs, VGPU_REG_IRQ_STATUS, bit);
		__atomic_or_fetch(&k->own, bit, __ATOMIC_SEQ_CST);
		mask_change(k, bit | VGPU_IRQ_ROLL_CALL, 0);
	} else {
		__atomic_and_fetch(&k->own, ~bit, __ATOMIC_SEQ_CST);
		mask_change(k, 0, bit);
	}
}

/* Take causes out of the mask that nobody acknowledges. */
static void quiet(struct keeper *k, uint32_t causes)
{
	if (file_lock_take(&k->claim, clock_deadline(CLAIM_WAIT_MS)) < 0)
		return;
	causes &= regs_read(&k->regs, VGPU_REG_IRQ_STATUS);
	mask_change(k, 0, causes);
	/* Acknowledged in between: its owner has seen the mask as it was. */
	mask_change(k, causes & ~regs_read(&k->regs, VGPU_REG_IRQ_STATUS), 0);
	file_lock_drop(&k->claim);
	log_line(&k->log, VGPU_LOG_DEBUG, "pci:%s: causes %#x: masked, their owner does not answer",
		 k->device.address, causes);
}

static void restore(struct keeper *k)
{
	if (file_lock_take(&k->claim, clock_deadline(CLAIM_WAIT_MS)) < 0)
		return;
	mask_change(k, __atomic_load_n(&k->own, __ATOMIC_SEQ_CST) | VGPU_IRQ_ROLL_CALL, 0);
	file_lock_drop(&k->claim);
}

/* The device is gone: its mappings would kill whoever touches them. Put memory there. */
static void bury(struct keeper *k)
{
	const int prot = PROT_READ | PROT_WRITE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	void *regs = (void *)(uintptr_t)k->regs.base;

	pthread_mutex_lock(&k->lock);
	k->lost = true;
	for (const struct mapping *m = k->mappings; m; m = m->next)
		mmap(m->base, m->bytes, prot, flags, -1, 0);
	mmap(regs, VGPU_REGS_BYTES, prot, flags, -1, 0);
	memset(regs, 0xff, VGPU_REGS_BYTES);
	pthread_cond_broadcast(&k->woken);
	pthread_mutex_unlock(&k->lock);
	log_line(&k->log, VGPU_LOG_ERROR, "pci:%s: the device was unplugged or unbound",
		 k->device.address);
}

static void wake_callers(struct keeper *k)
{
	pthread_mutex_lock(&k->lock);
	k->wakes++;
	pthread_cond_broadcast(&k->woken);
	pthread_mutex_unlock(&k->lock);
}

/* One interrupt; keeper.h says why in this order. False: the device is gone. */
static bool interrupt(struct keeper *k, uint32_t *foreign, unsigned int *strikes)
{
	uint32_t own = __atomic_load_n(&k->own, __ATOMIC_SEQ_CST) | VGPU_IRQ_ROLL_CALL;
	uint32_t status = regs_read(&k->regs, VGPU_REG_IRQ_STATUS);
	uint32_t mask, others;

	if (status == REGS_GONE)
		return false;
	if (status & own)
		regs_write(&k->regs, VGPU_REG_IRQ_STATUS, status & own);
	mask = regs_read(&k->regs, VGPU_REG_IRQ_MASK);
	if (~mask & own)
		restore(k);
	others = status & mask & ~own;
	*strikes = others && others == *foreign ? *strikes + 1 : 0;
	*foreign = others;
	if (*strikes >= STRIKES_MAX) {
		quiet(k, others);
		*strikes = 0;
	}
	regs_write(&k->regs, VGPU_REG_IRQ_REARM, 1);
	wake_callers(k);
	return true;
}

/* Tell the device who lives; @reset: and close what nobody holds. */
static void take_census(struct keeper *k, bool reset)
{
	uint32_t alive = 0;

	if (file_lock_take(&k->claim, clock_deadline(CLAIM_WAIT_MS)) < 0)
		return;
	for (uint32_t i = 0; i < k->identity.channels; i++)
		if (file_lock_held(k->file, i)) /* our own handles' descriptions are others, too */
			alive |= 1u << i;
	regs_write(&k->regs, VGPU_REG_ROLL_CALL, alive);
	for (uint32_t i = 0; reset && i < k->identity.channels; i++) {
		uint32_t state = regs_read(&k->regs, VGPU_REG_CHANNEL_STATE + 4 * i);

		if (!(alive & (1u << i)) &&
		    (state == VGPU_CHANNEL_OPEN || state == VGPU_CHANNEL_OPENING))
			regs_write(&k->regs, VGPU_REG_CHANNEL_RESET, i);
	}
	file_lock_drop(&k->claim);
}

static int census_timeout(const struct census *c)
{
	int64_t first = c->next_ns;

	if (first < 0 || (c->again_ns >= 0 && c->again_ns < first))
		first = c->again_ns;
	return clock_left_ms(first);
}

static void census_due(struct keeper *k, struct census *c)
{
	int64_t now = clock_now_ns();

	if (c->next_ns >= 0 && now >= c->next_ns) {
		take_census(k, false);
		c->next_ns = -1;
	}
	if (c->again_ns >= 0 && now >= c->again_ns) {
		take_census(k, true);
		c->again_ns = -1;
	}
}

static void *keeper_run(void *opaque)
{
	struct keeper *k = opaque;
	struct census census = { -1, -1 };
	unsigned int strikes = 0;
	uint32_t foreign = 0;

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = k->stop, .events = POLLIN },
			{ .fd = k->uio, .events = POLLIN },
		};
		int rc;

		poll(p, 2, census_timeout(&census));
		if (p[0].revents)
			return NULL;
		if (p[1].revents) {
			rc = uio_take(k->uio);
			if (rc == -ENODEV || (rc == 0 && !interrupt(k, &foreign, &strikes)))
				break;
			/* The first interrupt of a row sets the time, so that a busy device cannot
			 * put the census off for ever. */
			if (census.next_ns < 0)
				census.next_ns = clock_deadline(CENSUS_DELAY_MS);
			if (census.again_ns < 0)
				census.again_ns = clock_deadline(CENSUS_AGAIN_MS);
		}
		census_due(k, &census);
	}
	bury(k);
	return NULL;
}

static int start_thread(struct keeper *k, struct cause *why)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int rc;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the program's own business */
	rc = pthread_create(&k->thread, &attr, keeper_run, k);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (rc)
		return because(why, VGPU_ENOMEM, "start thread: %s", strerror(rc));
	k->running = true;
	return 0;
}

static int keeper_start(struct keeper *k, struct cause *why)
{
	int rc = device_bound(&k->device, why);

	if (rc < 0)
		return rc;
	fork_guard_lock();
	fork_guard_join(&k->guarded, keeper_forked);
	rc = regs_map(&k->regs, &k->file, &k->device, why);
	fork_guard_unlock();
	if (rc == 0)
		rc = regs_identify(&k->regs, &k->device, &k->identity, why);
	if (rc < 0)
		return rc;
	k->mailbox.fd = k->claim.fd = k->file;

	fork_guard_lock();
	k->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = k->uio = uio_open(&k->device, why);
	fork_guard_unlock();
	if (rc < 0)
		return rc;
	if (k->stop < 0)
		return because(why, VGPU_EIO, "eventfd: %m");
	regs_write(&k->regs, VGPU_REG_LIVENESS, VGPU_LIVE_JOIN);
	regs_write(&k->regs, VGPU_REG_IRQ_REARM, 1);
	return start_thread(k, why);
}

static void keeper_free(struct keeper *k)
{
	const uint64_t one = 1;

	if (k->running && write(k->stop, &one, sizeof(one)) == sizeof(one))
		pthread_join(k->thread, NULL);
	fork_guard_lock();
	fork_guard_leave(&k->guarded);
	if (k->uio >= 0 && !k->lost)
		regs_write(&k->regs, VGPU_REG_LIVENESS, VGPU_LIVE_LEAVE);
	close_all(k);
	fork_guard_unlock();
	regs_unmap(&k->regs);
	file_lock_dispose(&k->mailbox);
	file_lock_dispose(&k->claim);
	pthread_cond_destroy(&k->woken);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static struct keeper *keeper_new(const struct device *d, const struct log *log)
{
	struct keeper *k = calloc(1, sizeof(*k));
	pthread_condattr_t attr;

	if (!k)
		return NULL;
	k->device = *d;
	k->log = *log;
	k->file = k->uio = k->stop = -1;
	file_lock_init(&k->mailbox, -1, FILE_LOCK_MAILBOX);
	file_lock_init(&k->claim, -1, FILE_LOCK_CLAIM);
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->woken, &attr);
	pthread_condattr_destroy(&attr);
	return k;
}

/* The list of this process; a child begins with none, whoever held the lock at the fork. */
static void list_take(void)
{
	fork_guard_lock();
	if (list_epoch != fork_guard_epoch) {
		list_epoch = fork_guard_epoch;
		list = NULL;
		pthread_mutex_init(&list_lock, NULL);
	}
	fork_guard_unlock();
	pthread_mutex_lock(&list_lock);
}

int keeper_get(struct keeper **out, const struct device *d, const struct log *log,
	       struct cause *why)
{
	struct keeper *k;
	int rc = 0;

	list_take();
	for (k = list; k; k = k->next)
		if (!strcmp(k->device.address, d->address) && !keeper_lost(k))
			break;
	if (!k) {
		k = keeper_new(d, log);
		if (!k)
			rc = because(why, VGPU_ENOMEM, "out of memory");
		else
			rc = keeper_start(k, why);
		if (rc == 0) {
			k->next = list;
			list = k;
		} else if (k) {
			keeper_free(k);
			k = NULL;
		}
	}
	if (k)
		k->users++;
	pthread_mutex_unlock(&list_lock);
	*out = k;
	return rc;
}

void keeper_put(struct keeper *k)
{
	list_take();
	if (--k->users == 0) {
		for (struct keeper **at = &list; *at; at = &(*at)->next) {
			if (*at == k) {
				*at = k->next;
				break;
			}
		}
		keeper_free(k);
	}
	pthread_mutex_unlock(&list_lock);
}

void keeper_discard(struct keeper *k)
{
	/* Its thread, its locks and its mappings are the parent's. */
	if (__atomic_sub_fetch(&k->users, 1, __ATOMIC_RELAXED) == 0)
		free(k);
}

uint32_t keeper_wakes(struct keeper *k)
{
	uint32_t wakes;

	pthread_mutex_lock(&k->lock);
	wakes = k->wakes;
	pthread_mutex_unlock(&k->lock);
	return wakes;
}

int keeper_wait(struct keeper *k, uint32_t seen, int64_t deadline_ns)
{
	struct timespec until = {
		.tv_sec = deadline_ns / 1000000000,
		.tv_nsec = deadline_ns % 1000000000,
	};
	int rc = 0;

	pthread_mutex_lock(&k->lock);
	while (k->wakes == seen && !k->lost && rc == 0)
		rc = pthread_cond_timedwait(&k->woken, &k->lock, &until);
	pthread_mutex_unlock(&k->lock);
	return rc ? -ETIMEDOUT : 0;
}

static void list_mapping(struct keeper *k, struct mapping *m)
{
	m->next = k->mappings;
	k->mappings = m;
}

static void unlist_mapping(struct keeper *k, const struct mapping *m)
{
	for (struct mapping **at = &k->mappings; *at; at = &(*at)->next) {
		if (*at == m) {
			*at = m->next;
			return;
		}
	}
}

void keeper_mapped(struct keeper *k, struct mapping *m)
{
	pthread_mutex_lock(&k->lock);
	list_mapping(k, m);
	pthread_mutex_unlock(&k->lock);
}

void keeper_unmapped(struct keeper *k, struct mapping *m)
{
	pthread_mutex_lock(&k->lock);
	unlist_mapping(k, m);
	pthread_mutex_unlock(&k->lock);
}

int keeper_replace(struct keeper *k, struct mapping *m, void *fresh, bool window)
{
	int rc;

	pthread_mutex_lock(&k->lock);
	rc = window && k->lost ? -ENODEV : mapping_replace(m, fresh);
	if (rc == 0 && window)
		list_mapping(k, m);
	else if (rc == 0)
		unlist_mapping(k, m);
	pthread_mutex_unlock(&k->lock);
	return rc;
}

bool keeper_lost(struct keeper *k)
{
	bool lost;

	pthread_mutex_lock(&k->lock);
	lost = k->lost;
	pthread_mutex_unlock(&k->lock);
	return lost;
}
