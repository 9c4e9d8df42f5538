/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gpu_mediator: the command, and the supervisor's start, signals and end. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "../protocol/vgpu_commands.h"
#include "../protocol/vgpu_version.h"
#include "backend.h"
#include "log.h"
#include "mediator.h"
#include "mediator_daemon.h"
#include "mediator_listen.h"
#include "mediator_lockfile.h"
#include "mediator_log.h"
#include "mediator_options.h"
#include "mediator_stderr.h"
#include "mediator_xen.h"
#include "self_test.h"
#include "worker.h"

#define RUN_DIR "/run/gpu_mediator"
#define PID_FILE_DEFAULT RUN_DIR "/gpu_mediator.pid"

struct service {
	struct mediator m; /* first: callbacks find the rest from it */
	struct options options;
	bool made_run_dir;
	struct lockfile pid_file;
	struct listener devices;
	struct listener clients;
	struct stderr_pipe worker_stderr;
	struct event *signals[3];
	struct event *watchdog;
	struct timeval watchdog_interval;
	int parent; /* who waits for the daemon to be up, or -1 */
	int exit_code;
};

static struct service *service_of(struct mediator *m)
{
	return (struct service *)(void *)m;
}

/* ---- what the service manager sees ---- */

static void on_status(struct mediator *m)
{
	const struct pool *p = &m->pool;
	const char *backend = "no backend yet";

	if (p->have_info)
		backend = p->info.device;
	if (p->hopeless)
		sd_notifyf(0, "STATUS=NO WORKERS: %s", p->cause);
	else
		sd_notifyf(0, "STATUS=%s%u channels on %s%s", m->draining ? "stopping: " : "",
			   m->channel_count, backend,
			   p->fallback ? " - NO GPU: the CPU does the work" : "");
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	sd_notify(0, "WATCHDOG=1");
}

static int start_watchdog(struct service *s)
{
	uint64_t usec;

	if (sd_watchdog_enabled(0, &usec) <= 0)
		return 0;
	usec /= 2;
	s->watchdog_interval =
		(struct timeval){ (time_t)(usec / 1000000), (suseconds_t)(usec % 1000000) };
	s->watchdog = event_new(s->m.base, -1, EV_PERSIST, on_watchdog, s);
	if (!s->watchdog)
		return -ENOMEM;
	return event_add(s->watchdog, &s->watchdog_interval) < 0 ? -ENOMEM : 0;
}

/* ---- start ---- */

static void fail(struct service *s, int code)
{
	s->exit_code = code;
	event_base_loopbreak(s->m.base);
}

/* The first worker is up, or will not be. */
static void on_started(struct mediator *m, int status)
{
	struct service *s = service_of(m);

	if (status != 0 && m->config.backend == CONFIG_BACKEND_CUDA) {
		log_err("backend = cuda, and no GPU can be used: %s", m->pool.cause);
		fail(s, EXIT_NO_GPU);
		return;
	}
	if (status != 0)
		log_err("serving, but no worker can be had: %s", m->pool.cause);
	on_status(m);
	sd_notify(0, "READY=1");
	if (s->parent >= 0) {
		mediator_log_tee(false);
		daemon_report(s->parent, EXIT_OK);
		s->parent = -1;
	}
}

static void tell_error(void *ctx, const char *text)
{
	(void)ctx;
	fprintf(stderr, "gpu_mediator: %s\n", text);
}

static void log_error(void *ctx, const char *text)
{
	(void)ctx;
	log_err("%s", text);
}

/* NULL: none. */
static const char *pid_file_path(const struct service *s)
{
	const char *path = s->m.config.pid_file;

	if (strcmp(path, "auto") != 0)
		return path;
	return s->options.foreground ? NULL : PID_FILE_DEFAULT;
}

static bool in_run_dir(const char *path)
{
	return path && strncmp(path, RUN_DIR "/", sizeof(RUN_DIR)) == 0;
}

/*
 * The directory of the default paths, which is new at every boot: systemd makes it, and without
 * systemd we do. A failure shows in whatever is to be made there, with its name.
 */
static void make_run_dir(struct service *s)
{
	const struct mediator_config *c = &s->m.config;

	if (in_run_dir(pid_file_path(s)) || (c->devices.enabled && in_run_dir(c->devices.socket)) ||
	    (c->clients.enabled && in_run_dir(c->clients.socket)))
		s->made_run_dir = mkdir(RUN_DIR, 0755) == 0;
}

static int take_pid_file(struct service *s)
{
	const char *path = pid_file_path(s);

	return path ? lockfile_take(&s->pid_file, path, "PID file") : 0;
}

/* Six descriptors a channel at most, one a connection, and some of our own. */
static void raise_descriptor_limit(const struct mediator_config *c)
{
	rlim_t wanted = 6 * (rlim_t)c->limits.channels_total + c->limits.connections_total + 64;
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= wanted)
		return;
	if (wanted > r.rlim_max) {
		log_warn("limits.channels_total and limits.connections_total may need %llu "
			 "descriptors, this process may have %llu",
			 (unsigned long long)wanted, (unsigned long long)r.rlim_max);
		wanted = r.rlim_max;
	}
	r.rlim_cur = wanted;
	setrlimit(RLIMIT_NOFILE, &r);
}

static int open_sockets(struct service *s)
{
	const struct mediator_config *c = &s->m.config;
	int rc = 0;

	if (c->devices.enabled)
		rc = listener_open(&s->devices, &s->m, PEER_DEVICE, &c->devices);
	if (rc == 0 && c->clients.enabled)
		rc = listener_open(&s->clients, &s->m, PEER_CLIENT, &c->clients);
	return rc;
}

/* ---- signals ---- */

static void on_drained(struct mediator *m)
{
	event_base_loopbreak(m->base);
}

static void on_stop(evutil_socket_t number, short what, void *arg)
{
	struct service *s = arg;
	struct mediator *m = &s->m;

	(void)what;
	if (m->draining) {
		log_warn("SIG%s again: stopping at once", sigabbrev_np((int)number));
		mediator_drain(m, 0);
		return;
	}
	log_info("SIG%s: stopping; running commands have %u s", sigabbrev_np((int)number),
		 m->config.drain_timeout_s);
	sd_notify(0, "STOPPING=1");
	listener_close(&s->devices);
	listener_close(&s->clients);
	m->on_drained = on_drained;
	mediator_drain(m, m->config.drain_timeout_s * 1000);
}

static void tell_change(void *ctx, const struct config_change *c)
{
	unsigned int *count = ctx;

	(*count)++;
	if (c->at_run_time)
		log_info("reload: [%s] %s: \"%s\" is now \"%s\"", c->section, c->key, c->from,
			 c->to);
	else
		log_warn("reload: [%s] %s: stays \"%s\"; \"%s\" needs a restart", c->section,
			 c->key, c->from, c->to);
}

static void reload(struct service *s)
{
	struct mediator_config wanted, *c = &s->m.config;
	char log_before[CONFIG_TEXT_MAX];
	unsigned int changes = 0;
	int rc;

	if (options_load_config(&s->options, &wanted, log_error, NULL) < 0) {
		log_err("reload: the configuration has errors, nothing of it is used");
		wanted = *c;
	}
	memcpy(log_before, c->log, sizeof(log_before));
	rc = mediator_log_open(wanted.log, s->options.foreground);
	if (rc < 0) {
		log_err("reload: open log %s: %s", wanted.log, strerror(-rc));
		memcpy(wanted.log, log_before, sizeof(wanted.log));
	}
	config_apply(c, &wanted, tell_change, &changes);
	log_set_level((enum log_level)c->log_level);
	log_info("reload: done, %u changes", changes);
	mediator_reconfigured(&s->m);
}

static void on_reload(evutil_socket_t number, short what, void *arg)
{
	struct service *s = arg;

	(void)number;
	(void)what;
	if (s->m.draining)
		return;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)clock_us());
	reload(s);
	sd_notify(0, "READY=1");
}

static int watch_signals(struct service *s)
{
	static const struct {
		int number;
		event_callback_fn fn;
	} table[] = {
		{ SIGTERM, on_stop },
		{ SIGINT, on_stop },
		{ SIGHUP, on_reload },
	};

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		s->signals[i] = evsignal_new(s->m.base, table[i].number, table[i].fn, s);
		if (!s->signals[i] || event_add(s->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- the service ---- */

static void service_dispose(struct service *s)
{
	listener_close(&s->devices);
	listener_close(&s->clients);
	for (size_t i = 0; i < sizeof(s->signals) / sizeof(s->signals[0]); i++)
		if (s->signals[i])
			event_free(s->signals[i]);
	if (s->watchdog)
		event_free(s->watchdog);
	stderr_pipe_close(&s->worker_stderr);
	mediator_dispose(&s->m);
	lockfile_release(&s->pid_file);
	if (s->made_run_dir)
		rmdir(RUN_DIR);
}

static int service_start(struct service *s)
{
	int rc;

	make_run_dir(s);
	rc = take_pid_file(s);
	if (rc < 0)
		return rc == -EBUSY ? EXIT_BUSY : EXIT_FAILED;
	raise_descriptor_limit(&s->m.config);
	rc = watch_signals(s);
	if (rc == 0)
		rc = start_watchdog(s);
	if (rc == 0)
		rc = stderr_pipe_open(&s->worker_stderr, &s->m);
	if (rc < 0) {
		log_err("start: %s", strerror(-rc));
		return EXIT_FAILED;
	}
	rc = open_sockets(s);
	if (rc == 0)
		rc = xen_start(&s->m); /* before workers, which must be told */
	if (rc < 0)
		return rc == -EBUSY ? EXIT_BUSY : EXIT_FAILED;
	if (!s->m.config.devices.enabled && !s->m.config.clients.enabled && !s->m.xen) {
		log_err("neither [devices] nor [clients] is enabled, and no guests of Xen can be "
			"served: nothing to serve");
		return EXIT_CONFIG;
	}
	s->m.on_started = on_started;
	s->m.on_status = on_status;
	pool_balance(&s->m);
	return EXIT_OK;
}

static void log_event(int severity, const char *text)
{
	log_write(severity == EVENT_LOG_ERR    ? LOG_LEVEL_ERROR
		  : severity == EVENT_LOG_WARN ? LOG_LEVEL_WARNING
					       : LOG_LEVEL_DEBUG,
		  "libevent: %s", text);
}

static int serve(struct service *s, const struct mediator_config *config)
{
	event_set_log_callback(log_event);
	if (mediator_init(&s->m, config) < 0) {
		log_err("start: out of memory");
		return EXIT_FAILED;
	}
	log_info("gpu_mediator %s, protocol %d.%d, process %ld", VGPU_RELEASE, VGPU_PROTOCOL_MAJOR,
		 VGPU_PROTOCOL_MINOR, (long)getpid());
	if (worker_has_tool())
		log_warn("** " WORKER_TOOL_VARIABLE " is set: workers keep all privileges.  **");
	s->exit_code = service_start(s);
	if (s->exit_code == EXIT_OK)
		event_base_dispatch(s->m.base);
	log_info("ended%s", s->exit_code ? " after a failure" : "");
	service_dispose(s);
	return s->exit_code;
}

static int run(const struct options *o)
{
	static struct service s = {
		.pid_file = LOCKFILE_NONE,
		.devices = LISTENER_NONE,
		.clients = LISTENER_NONE,
		.worker_stderr = STDERR_PIPE_NONE,
		.parent = -1,
	};
	struct mediator_config c;
	int code, rc;

	s.options = *o;
	/* A service manager that is told when we are ready has no use for a daemon. */
	if (getenv("NOTIFY_SOCKET"))
		s.options.foreground = true;
	if (options_load_config(o, &c, tell_error, NULL) < 0)
		return EXIT_CONFIG;
	if (!s.options.foreground) {
		s.parent = daemon_fork();
		if (s.parent < 0) {
			fprintf(stderr, "gpu_mediator: become a daemon: %s\n", strerror(-s.parent));
			return EXIT_FAILED;
		}
	}
	log_set_level((enum log_level)c.log_level);
	rc = mediator_log_open(c.log, s.options.foreground);
	if (rc < 0) {
		fprintf(stderr, "gpu_mediator: open log %s: %s\n", c.log, strerror(-rc));
		return EXIT_FAILED;
	}
	mediator_log_tee(s.parent >= 0);
	if (!o->config && access(CONFIG_DEFAULT_FILE, F_OK) < 0)
		log_info("no " CONFIG_DEFAULT_FILE ": all settings are the defaults");
	code = serve(&s, &c);
	mediator_log_close();
	if (s.parent >= 0)
		daemon_report(s.parent, code);
	return code;
}

static int check_config(const struct options *o)
{
	struct mediator_config c;

	if (options_load_config(o, &c, tell_error, NULL) < 0)
		return EXIT_CONFIG;
	puts("configuration: no errors");
	return EXIT_OK;
}

static int self_test(const struct options *o)
{
	struct mediator_config c;
	char path[PATH_MAX];
	const char *library = c.cuda_library;

	if (options_load_config(o, &c, tell_error, NULL) < 0)
		return EXIT_CONFIG;
	log_set_level((enum log_level)c.log_level);
	if (strcmp(library, "auto") == 0)
		library = backend_cuda_default_path(path, sizeof(path));
	return self_test_run(config_backend_name(c.backend), library, (int)c.device);
}

int main(int argc, char **argv)
{
	struct options o;

	if (argc > 1 && strcmp(argv[1], "--worker") == 0)
		return worker_main(argc, argv);
	if (options_parse(&o, argc, argv) < 0)
		return EXIT_USAGE;
	switch (o.action) {
	case ACTION_HELP:
		options_usage(stdout);
		return EXIT_OK;
	case ACTION_VERSION:
		printf("gpu_mediator %s, protocol %d.%d\n", VGPU_RELEASE, VGPU_PROTOCOL_MAJOR,
		       VGPU_PROTOCOL_MINOR);
		return EXIT_OK;
	case ACTION_CHECK_CONFIG:
		return check_config(&o);
	case ACTION_SELF_TEST:
		return self_test(&o);
	case ACTION_SERVE:
		break;
	}
	return run(&o);
}
