// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control thread: listens to the supervisor and watches over the ring thread.
 *
 * The watchdog samples what the ring thread does, which costs that thread no clock and no system
 * call. It samples only while the channel is active: when it finds the ring thread asleep it
 * parks, and is woken by the next request after that sleep. An idle channel wakes nobody.
 */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../common/errors.h"
#include "../common/shm.h"
#include "../protocol/vgpu_version.h"

#define SAMPLES_PER_DEADLINE 8u
#define SAMPLE_MS_MIN 2u
#define SAMPLE_MS_MAX 1000u
/* How often a ring thread that sleeps is told to stop, until it hears. */
#define STOP_KICK_MS 10
/* Longest that saying goodbye may take. */
#define END_S 2u

struct watchdog {
	uint64_t deadline_us;
	int sample_ms;     /* 0: never */
	uint32_t state;    /* of the ring thread, as last seen */
	uint64_t since_us; /* when it was first seen so */
};

static enum worker_phase phase_of(uint32_t state)
{
	return state % WORKER_PHASES;
}

int worker_send(const void *message, size_t bytes)
{
	ssize_t n;

	do {
		n = send(WORKER_CONTROL_FD, message, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

void worker_log_sink(void *ctx, enum log_level level, const char *text, size_t len)
{
	struct worker_text m = { .type = WORKER_LOG, .level = level };

	(void)ctx;
	m.length = len < sizeof(m.text) ? (uint32_t)len : (uint32_t)sizeof(m.text);
	memcpy(m.text, text, m.length);
	worker_send(&m, sizeof(m)); /* a supervisor that does not listen loses lines */
}

/* A program that asks later than we wait is told what it would have been told. */
static int closed_word(const struct worker *w, int reason)
{
	return reason == VGPU_EBACKEND && w->commands.lost > 0 ? w->commands.lost : reason;
}

_Noreturn void worker_end(struct worker *w, int reason, const char *why)
{
	struct worker_ended m = { .type = WORKER_ENDED, .reason = reason };

	if (__atomic_exchange_n(&w->ended, 1, __ATOMIC_SEQ_CST)) {
		for (;;)
			pause(); /* the other thread is about to exit */
	}
	/* Neither a guest that filled its eventfd nor a deaf supervisor keeps us alive. */
	alarm(END_S);
	if (reason)
		shm_store(w->host_closed, (uint32_t)closed_word(w, reason));
	snprintf(m.why, sizeof(m.why), "%s", why);
	while (worker_send(&m, sizeof(m)) == -EAGAIN)
		poll(&(struct pollfd){ .fd = WORKER_CONTROL_FD, .events = POLLOUT }, 1, -1);
	if (reason)
		w->transport.ops->notify(&w->transport);
	/* Not exit(): the backend's destructors could hang on the GPU that failed. */
	_exit(0);
}

/* Asleep for a whole sample: only now, so that a channel in use is not woken each time. */
static void watchdog_park(struct worker *w)
{
	shm_store(&w->watch.parked, 1);
	/* The other half of the fence in sleep_for_request(). */
	shm_full_fence();
	if (phase_of(shm_load(&w->watch.state)) != WORKER_SLEEPING)
		shm_store(&w->watch.parked, 0);
}

static void watchdog_look(struct worker *w, struct watchdog *dog)
{
	uint32_t state = shm_load(&w->watch.state);
	uint64_t now_us = clock_us();
	uint64_t same_us = now_us - dog->since_us;
	char why[96];

	if (state != dog->state) {
		dog->state = state;
		dog->since_us = now_us;
		shm_store(&w->watch.parked, 0);
		return;
	}
	switch (phase_of(state)) {
	case WORKER_SLEEPING:
		if (same_us >= (uint64_t)dog->sample_ms * 1000)
			watchdog_park(w);
		break;
	case WORKER_RUNNING:
	case WORKER_NOTIFYING:
		if (worker_guest_gone(w))
			worker_end(w, VGPU_EDEVLOST, "the guest's program is gone");
		if (!dog->deadline_us || same_us < dog->deadline_us)
			break;
		snprintf(why, sizeof(why), "command ran longer than %u ms", w->assign.deadline_ms);
		worker_end(w, VGPU_EDEADLINE, why);
	default:
		break;
	}
}

/* Anything but STOP is for the supervisor's mistakes: no reason to go on. */
static void take_message(struct worker *w)
{
	struct worker_stop m = { 0 };
	ssize_t n = recv(WORKER_CONTROL_FD, &m, sizeof(m), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(m) || m.type != WORKER_STOP)
		_exit(0); /* the supervisor is gone */
	shm_store(&w->watch.stop, 1);
}

/* Wake a sleeping ring thread, which may be about to sleep: until it is gone. */
static void kick(struct worker *w)
{
	uint32_t phase = phase_of(shm_load(&w->watch.state));

	if (phase == WORKER_SLEEPING || phase == WORKER_DOZING || phase == WORKER_NOTIFYING)
		pthread_kill(w->ring_thread, SIGUSR1);
}

static int next_timeout_ms(const struct worker *w, const struct watchdog *dog)
{
	if (shm_load(&w->watch.stop))
		return STOP_KICK_MS;
	if (!dog->sample_ms || shm_load(&w->watch.parked))
		return -1;
	return dog->sample_ms;
}

/* 0: there is nothing to watch for. */
static int sample_interval_ms(const struct worker *w)
{
	uint32_t ms = w->assign.deadline_ms / SAMPLES_PER_DEADLINE;

	if (!w->assign.deadline_ms)
		return w->transport.ops->gone ? SAMPLE_MS_MAX : 0;
	if (ms < SAMPLE_MS_MIN)
		return SAMPLE_MS_MIN;
	return (int)(ms > SAMPLE_MS_MAX ? SAMPLE_MS_MAX : ms);
}

static void *control_thread(void *arg)
{
	struct worker *w = arg;
	struct pollfd p[] = {
		{ .fd = WORKER_CONTROL_FD, .events = POLLIN },
		{ .fd = w->watch_fd, .events = POLLIN },
	};
	struct watchdog dog = {
		.deadline_us = (uint64_t)w->assign.deadline_ms * 1000,
		.sample_ms = sample_interval_ms(w),
		.since_us = clock_us(),
	};
	eventfd_t count;

	for (;;) {
		if (poll(p, 2, next_timeout_ms(w, &dog)) < 0)
			continue; /* EINTR */
		if (p[0].revents)
			take_message(w);
		if (p[1].revents)
			eventfd_read(w->watch_fd, &count);
		if (dog.sample_ms)
			watchdog_look(w, &dog);
		if (shm_load(&w->watch.stop))
			kick(w);
	}
	return NULL;
}

static void wake_only(int signal_number)
{
	(void)signal_number; /* its arrival ends a sleeping system call; no more is wanted */
}

int worker_control_start(struct worker *w)
{
	struct sigaction sa = { .sa_handler = wake_only }; /* no SA_RESTART */
	pthread_t thread;
	int rc;

	sigaction(SIGUSR1, &sa, NULL);
	w->ring_thread = pthread_self();
	w->watch_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->watch_fd < 0)
		return -errno;
	rc = pthread_create(&thread, NULL, control_thread, w);
	if (rc)
		return -rc;
	pthread_detach(thread);
	return 0;
}
