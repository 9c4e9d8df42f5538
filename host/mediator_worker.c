/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../protocol/vgpu_errors.h"
#include "log.h"
#include "mediator_scheduler.h"
#include "worker.h"

/* Made by gpu_mediator.sysusers.conf. */
#define WORKER_USER "gpu_mediator"

#define START_TIMEOUT_S 60 /* to come up; and to attach, where it pins the whole window */
#define END_GRACE_MS 2000  /* between saying that it ends and being gone */
#define MESSAGES_PER_WAKEUP 16
#define LOG_LINES_PER_SECOND 50
#define LOG_LINES_BURST 100

static const char *label(const struct worker_proc *w, char *buf, size_t size)
{
	if (w->channel)
		snprintf(buf, size, "worker %d (%s)", (int)w->pid, w->channel->label);
	else
		snprintf(buf, size, "worker %d", (int)w->pid);
	return buf;
}
#define LABEL(w) label(w, (char[320]){ 0 }, 320)

static void arm(struct worker_proc *w, uint32_t ms)
{
	const struct timeval t = { ms / 1000, (suseconds_t)(ms % 1000) * 1000 };

	event_add(w->timer, &t);
}

static void set_state(struct worker_proc *w, enum worker_state state)
{
	w->state = state;
	w->since_us = clock_us();
}

/* Milliseconds until the timer fires; it is pending. */
static uint64_t time_left_ms(const struct worker_proc *w)
{
	struct timeval due, now;

	event_pending(w->timer, EV_TIMEOUT, &due);
	event_base_gettimeofday_cached(w->m->base, &now);
	if (evutil_timercmp(&due, &now, <))
		return 0;
	evutil_timersub(&due, &now, &due);
	return (uint64_t)due.tv_sec * 1000 + (uint64_t)due.tv_usec / 1000;
}

/* It is about to end: it has @grace_ms for that, and never more than it had before. */
static void expect_end(struct worker_proc *w, uint32_t grace_ms)
{
	if (w->killed)
		return;
	if (w->ending && event_pending(w->timer, EV_TIMEOUT, NULL) && time_left_ms(w) <= grace_ms)
		return;
	w->ending = true;
	if (grace_ms == 0)
		proc_kill(w);
	else
		arm(w, grace_ms);
}

/* A copy of @text that surely ends. */
static void keep(char *out, size_t size, const char *text, size_t text_size)
{
	log_escape(out, size, text, strnlen(text, text_size));
}

static void on_ready(struct worker_proc *w, const struct worker_ready *msg)
{
	if (w->state != WORKER_STATE_WARMING)
		return;
	w->ready = *msg;
	keep(w->ready.why, sizeof(w->ready.why), msg->why, sizeof(msg->why));
	keep(w->ready.info.device, sizeof(w->ready.info.device), msg->info.device,
	     sizeof(msg->info.device));
	event_del(w->timer);
	set_state(w, WORKER_STATE_IDLE);
	pool_worker_ready(w->m, w);
}

/* Peers take a positive status for a broken mediator; a worker's cannot make it one. */
static int32_t bounded(int32_t status)
{
	return status <= 0 ? status : VGPU_EWORKER;
}

/* FAILED or ENDED: the reason is told when the process is gone. */
static void on_why(struct worker_proc *w, int32_t reason, const char *why, size_t size)
{
	if (w->told_why)
		return;
	w->told_why = true;
	w->reason = bounded(reason);
	keep(w->why, sizeof(w->why), why, size);
	expect_end(w, END_GRACE_MS);
}

static void on_attached(struct worker_proc *w, const struct worker_attached *msg)
{
	char why[sizeof(msg->why)];

	if (w->state != WORKER_STATE_ASSIGNED || w->ending)
		return;
	keep(why, sizeof(why), msg->why, sizeof(msg->why));
	event_del(w->timer);
	set_state(w, WORKER_STATE_SERVING);
	if (msg->status != 0)
		expect_end(w, END_GRACE_MS);
	sched_worker_attached(w, bounded(msg->status), why);
}

static void on_log(struct worker_proc *w, const struct worker_text *msg)
{
	char text[LOG_LINE_MAX - 330];

	if (throttle_take(&w->lines, LOG_LINES_PER_SECOND, LOG_LINES_BURST, clock_us()))
		return;
	log_escape(text, sizeof(text), msg->text, msg->length);
	log_write(log_level_name(msg->level) ? (enum log_level)msg->level : LOG_LEVEL_WARNING,
		  "%s: %s", LABEL(w), text);
}

union control_message {
	uint32_t type;
	struct worker_ready ready;
	struct worker_failed failed;
	struct worker_attached attached;
	struct worker_text text;
	struct worker_ended ended;
};

/* False: not a message that a worker sends. */
static bool take_control(struct worker_proc *w, const union control_message *msg, size_t n)
{
	if (n < sizeof(msg->type))
		return false;
	switch (msg->type) {
	case WORKER_READY:
		if (n == sizeof(msg->ready))
			on_ready(w, &msg->ready);
		return n == sizeof(msg->ready);
	case WORKER_FAILED:
		if (n == sizeof(msg->failed))
			on_why(w, msg->failed.status, msg->failed.why, sizeof(msg->failed.why));
		return n == sizeof(msg->failed);
	case WORKER_ATTACHED:
		if (n == sizeof(msg->attached))
			on_attached(w, &msg->attached);
		return n == sizeof(msg->attached);
	case WORKER_ENDED:
		if (n == sizeof(msg->ended))
			on_why(w, msg->ended.reason, msg->ended.why, sizeof(msg->ended.why));
		return n == sizeof(msg->ended);
	case WORKER_MESSAGE:
	case WORKER_LOG:
		/* the text may be sent cut to its length */
		if (n < offsetof(struct worker_text, text) || n > sizeof(msg->text) ||
		    msg->text.length > n - offsetof(struct worker_text, text))
			return false;
		if (msg->type == WORKER_LOG)
			on_log(w, &msg->text);
		else if (w->channel)
			sched_worker_message(w, msg->text.text, msg->text.length);
		return true;
	default:
		return false;
	}
}

/* Read up to @limit messages. False: nothing more will come. */
static bool read_control(struct worker_proc *w, unsigned int limit)
{
	union control_message msg;

	while (limit--) {
		ssize_t n = recv(w->control, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);

		/* Reset: it ended with a STOP unread; what it said before is still there. */
		if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
			return true;
		if (n <= 0)
			return false;
		if ((size_t)n > sizeof(msg) || !take_control(w, &msg, (size_t)n)) {
			log_err("%s: broke the control protocol: killed", LABEL(w));
			proc_kill(w);
			return false;
		}
	}
	return true;
}

static void on_control(evutil_socket_t fd, short what, void *arg)
{
	struct worker_proc *w = arg;

	(void)fd;
	(void)what;
	if (!read_control(w, MESSAGES_PER_WAKEUP)) {
		event_del(w->control_event);
		expect_end(w, END_GRACE_MS); /* it closed its end, so it is about to exit */
	}
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct worker_proc *w = arg;

	(void)fd;
	(void)what;
	if (w->ending) {
		log_warn("%s: did not end in time: killed", LABEL(w));
	} else {
		snprintf(w->why, sizeof(w->why), "did not %s within %d s: killed",
			 w->state == WORKER_STATE_WARMING ? "come up" : "attach its channel",
			 START_TIMEOUT_S);
		log_err("%s: %s", LABEL(w), w->why);
	}
	proc_kill(w);
}

static void proc_free(struct worker_proc *w)
{
	TAILQ_REMOVE(&w->m->pool.workers, w, link);
	w->m->pool.total--;
	if (w->state == WORKER_STATE_WARMING)
		w->m->pool.warming--;
	else if (w->state == WORKER_STATE_IDLE)
		w->m->pool.idle--;
	if (w->exit_event)
		event_free(w->exit_event);
	if (w->control_event)
		event_free(w->control_event);
	if (w->timer)
		event_free(w->timer);
	if (w->pidfd >= 0)
		close(w->pidfd);
	if (w->control >= 0)
		close(w->control);
	free(w);
}

static void describe_end(const struct worker_proc *w, int status, char *out, size_t size)
{
	if (w->why[0])
		snprintf(out, size, "%s", w->why);
	else if (WIFSIGNALED(status))
		snprintf(out, size, "killed by signal %d (%s)%s", WTERMSIG(status),
			 strsignal(WTERMSIG(status)), w->killed ? ", sent by the mediator" : "");
	else
		snprintf(out, size, "exited with status %d", WEXITSTATUS(status));
}

static void on_exit_of(evutil_socket_t fd, short what, void *arg)
{
	struct worker_proc *w = arg;
	struct mediator *m = w->m;
	char how[240];
	int status = 0;

	(void)fd;
	(void)what;
	if (waitpid(w->pid, &status, WNOHANG) != w->pid)
		return;
	/* Its last words may still lie in the socket. */
	while (read_control(w, MESSAGES_PER_WAKEUP) && !w->told_why && !w->killed) {
		char c;

		if (recv(w->control, &c, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
			break;
	}
	describe_end(w, status, how, sizeof(how));
	log_debug("%s: gone: %s", LABEL(w), how);
	if (w->channel)
		sched_worker_gone(w, how);
	else
		pool_worker_gone(m, w, how);
	proc_free(w);
	pool_balance(m);
	if (m->draining && m->pool.total == 0 && m->on_drained)
		m->on_drained(m);
}

/* What of our environment a worker may see: what CUDA and sanitizers are steered by. */
static bool may_see(const char *variable)
{
	static const char *const kept[] = { "PATH=",          "LD_LIBRARY_PATH=",
					    "LANG=",          "TZ=",
					    "HOME=",          "CUDA_",
					    "NVIDIA_",        "ASAN_OPTIONS=",
					    "UBSAN_OPTIONS=", "TSAN_OPTIONS=",
					    "LSAN_OPTIONS=" };

	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (strncmp(variable, kept[i], strlen(kept[i])) == 0)
			return true;
	return worker_has_tool();
}

static char **scrubbed_environment(void)
{
	size_t n = 0, used = 0;
	char **out;

	while (environ[n])
		n++;
	out = calloc(n + 1, sizeof(*out));
	for (size_t i = 0; out && i < n; i++)
		if (may_see(environ[i]))
			out[used++] = environ[i];
	return out;
}

/* Whom a worker becomes; empty: nobody else. Only root can become another. */
static const char *worker_user(const struct mediator_config *c)
{
	if (strcmp(c->worker_user, "auto") != 0)
		return c->worker_user;
	if (geteuid() != 0)
		return "";
	return getpwnam(WORKER_USER) ? WORKER_USER : "nobody";
}

static int spawn(struct worker_proc *w, int control, int err)
{
	char backend[32], library[PATH_MAX + 32], device[32], user[CONFIG_TEXT_MAX + 16];
	char path[PATH_MAX];
	const struct mediator_config *c = &w->m->config;
	char xen[] = "--xen";
	char *argv[] = { (char[]){ "gpu_mediator" },
			 (char[]){ "--worker" },
			 backend,
			 library,
			 device,
			 *worker_user(c) ? user
			 : w->m->xen     ? xen
					 : NULL,
			 *worker_user(c) && w->m->xen ? xen : NULL,
			 NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	char **env = scrubbed_environment();
	sigset_t none, all;
	int rc;

	if (!env)
		return -ENOMEM;
	snprintf(backend, sizeof(backend), "--backend=%s", config_backend_name(c->backend));
	snprintf(library, sizeof(library), "--cuda-library=%s",
		 strcmp(c->cuda_library, "auto") == 0
			 ? backend_cuda_default_path(path, sizeof(path))
			 : c->cuda_library);
	snprintf(device, sizeof(device), "--device=%u", c->device);
	snprintf(user, sizeof(user), "--user=%s", worker_user(c));

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	/* a group of its own: a terminal's ^C is for the supervisor to hear */
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
	posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
	/* also clears close-on-exec if it happens to be this number already */
	posix_spawn_file_actions_adddup2(&actions, control, WORKER_CONTROL_FD);
	if (!worker_has_tool())
		posix_spawn_file_actions_addclosefrom_np(&actions, WORKER_CONTROL_FD + 1);
	rc = posix_spawn(&w->pid, "/proc/self/exe", &actions, &attr, argv, env);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	free(env);
	return -rc;
}

static int watch(struct worker_proc *w)
{
	struct event_base *base = w->m->base;

	w->pidfd = (int)syscall(SYS_pidfd_open, w->pid, 0);
	if (w->pidfd < 0)
		return -errno;
	fcntl(w->pidfd, F_SETFD, FD_CLOEXEC);
	w->exit_event = event_new(base, w->pidfd, EV_READ | EV_PERSIST, on_exit_of, w);
	w->control_event = event_new(base, w->control, EV_READ | EV_PERSIST, on_control, w);
	w->timer = evtimer_new(base, on_timer, w);
	if (!w->exit_event || !w->control_event || !w->timer)
		return -ENOMEM;
	event_add(w->exit_event, NULL);
	event_add(w->control_event, NULL);
	return 0;
}

int proc_start(struct mediator *m, struct worker_proc **out)
{
	struct worker_proc *w = calloc(1, sizeof(*w));
	int pair[2] = { -1, -1 };
	int rc;

	if (!w)
		return -ENOMEM;
	w->m = m;
	w->pidfd = -1;
	w->control = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		rc = -errno;
		free(w);
		return rc;
	}
	w->control = pair[0];
	TAILQ_INSERT_TAIL(&m->pool.workers, w, link);
	m->pool.total++;
	m->pool.warming++;
	set_state(w, WORKER_STATE_WARMING);

	rc = spawn(w, pair[1], m->pool.worker_stderr >= 0 ? m->pool.worker_stderr : STDERR_FILENO);
	close(pair[1]);
	if (rc == 0)
		rc = watch(w);
	if (rc < 0) {
		proc_abandon(w);
		return rc;
	}
	arm(w, START_TIMEOUT_S * 1000);
	log_debug("worker %d: started", (int)w->pid);
	*out = w;
	return 0;
}

int proc_assign(struct worker_proc *w, struct channel *ch, const struct worker_assign *assign,
		const int *fds, uint32_t nfds)
{
	union {
		char buf[CMSG_SPACE(WORKER_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec iov = { (void *)(uintptr_t)assign, sizeof(*assign) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	struct cmsghdr *c;

	if (nfds) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	if (sendmsg(w->control, &msg, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return -errno;
	w->channel = ch;
	set_state(w, WORKER_STATE_ASSIGNED);
	arm(w, START_TIMEOUT_S * 1000);
	return 0;
}

void proc_stop(struct worker_proc *w, uint32_t grace_ms)
{
	const struct worker_stop msg = { .type = WORKER_STOP };

	/* one that is not up yet does not listen */
	if (w->state == WORKER_STATE_WARMING && !w->ending)
		grace_ms = 0;
	else if (!w->asked)
		send(w->control, &msg, sizeof(msg), MSG_NOSIGNAL | MSG_DONTWAIT);
	w->asked = true;
	expect_end(w, grace_ms);
}

void proc_kill(struct worker_proc *w)
{
	w->ending = true;
	w->killed = true;
	event_del(w->timer);
	kill(w->pid, SIGKILL); /* not reaped yet, so the number is still its own */
}

void proc_abandon(struct worker_proc *w)
{
	if (w->pid > 0) {
		kill(w->pid, SIGKILL);
		waitpid(w->pid, NULL, 0);
	}
	proc_free(w);
}
