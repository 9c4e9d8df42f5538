/* SPDX-License-Identifier: GPL-2.0-or-later */
/* doctor: the mediator on this machine: configuration, process, sockets, log, GPU. */
#include "doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUN_MS 60000 /* a self-test on a cold GPU takes seconds */
#define PID_FILE "/run/gpu_mediator/gpu_mediator.pid"
#define LOG_FILE "/var/log/gpu_mediator.log"

/* Beside this program, where both are built and installed, else on PATH. */
static void mediator_path(char path[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n > 0) {
		self[n] = '\0';
		if (snprintf(path, PATH_MAX, "%s/gpu_mediator", dirname(self)) < PATH_MAX &&
		    access(path, X_OK) == 0)
			return;
	}
	snprintf(path, PATH_MAX, "gpu_mediator");
}

/* Everything that it prints, as one line; returns its exit status, or -1: it did not run. */
static int collect(int fd, pid_t child, char *out, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t have = 0;
	int status;
	ssize_t n;

	while (poll(&p, 1, RUN_MS) == 1) {
		char text[512];

		n = read(fd, text, sizeof(text));
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n && have < size - 1; i++)
			out[have++] = text[i] == '\n' ? ';' : text[i];
	}
	while (have && out[have - 1] == ';')
		have--;
	out[have] = '\0';
	kill(child, SIGKILL); /* one that hangs; the others have ended */
	if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) == 127)
		return -1;
	return WEXITSTATUS(status);
}

static int run_mediator(struct doctor *d, const char *what, char *out, size_t size)
{
	char path[PATH_MAX];
	int fds[2];
	pid_t child;
	int rc;

	*out = '\0';
	mediator_path(path);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	fflush(stdout);
	child = fork();
	if (child < 0) {
		close(fds[0]);
		close(fds[1]);
		return -1;
	}
	if (child == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		if (d->a->config)
			execlp(path, path, what, "--config", d->a->config, NULL);
		else
			execlp(path, path, what, NULL);
		_exit(127);
	}
	close(fds[1]);
	rc = collect(fds[0], child, out, size);
	close(fds[0]);
	return rc;
}

static void ignore_error(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

static void note_default(void *ctx, const char *section, const char *key, const char *value)
{
	struct doctor *d = ctx;

	if (!strcmp(section, "xen") && !strcmp(key, "enabled"))
		snprintf(d->xen_enabled, sizeof(d->xen_enabled), "%.15s", value);
}

static void note_change(void *ctx, const struct config_change *change)
{
	note_default(ctx, change->section, change->key, change->to);
}

/* False: there is no mediator on this machine, and nothing more to check. */
static bool check_config(struct doctor *d)
{
	const char *path = d->a->config ? d->a->config : CONFIG_DEFAULT_FILE;
	struct mediator_config defaults;
	char out[600];
	int rc;

	config_init(&d->config);
	config_init(&defaults);
	config_keys(note_default, d);
	rc = run_mediator(d, "--check-config", out, sizeof(out));
	if (rc < 0) {
		say(d, d->xen ? VERDICT_NOTE : VERDICT_FAIL, "mediator",
		    "gpu_mediator is not installed on this machine%s",
		    d->xen ? "; if it runs in a driver domain, run doctor there" : "");
		return false;
	}
	if (rc != 0) {
		say(d, VERDICT_FAIL, "config", "%s", admin_safe(out));
		return true;
	}
	if (access(path, F_OK) < 0)
		say(d, VERDICT_NOTE, "config", "%s is not there: all settings have their defaults",
		    path);
	else if (config_load(&d->config, path, ignore_error, NULL) == 0)
		say(d, VERDICT_OK, "config", "%s has no mistakes", path);
	config_apply(&defaults, &d->config, note_change, d);
	if (d->xen && !strcmp(d->xen_enabled, "no"))
		say(d, VERDICT_FAIL, "config",
		    "[xen] enabled = no: guests of Xen are not served: say auto or yes, and "
		    "restart the mediator");
	return true;
}

/* Does anybody hold a lock on it? Looked up, not tried: trying could get in its owner's way. */
static bool is_locked(const char *path, long *pid)
{
	char line[256], inode[32];
	bool locked = false;
	struct stat st;
	FILE *f;

	*pid = 0;
	if (stat(path, &st) < 0)
		return false;
	f = fopen(path, "re");
	if (f) {
		if (fgets(line, sizeof(line), f))
			*pid = strtol(line, NULL, 10);
		fclose(f);
	}
	snprintf(inode, sizeof(inode), ":%llu ", (unsigned long long)st.st_ino);
	f = fopen("/proc/locks", "re");
	while (f && !locked && fgets(line, sizeof(line), f))
		locked = strstr(line, " FLOCK ") && strstr(line, inode);
	if (f)
		fclose(f);
	return locked;
}

static void check_process(struct doctor *d)
{
	const char *const sockets[] = { d->config.devices.socket, d->config.clients.socket };
	char path[CONFIG_TEXT_MAX + 8];
	long pid;

	snprintf(path, sizeof(path), "%s",
		 strcmp(d->config.pid_file, "auto") ? d->config.pid_file : PID_FILE);
	d->mediator_runs = is_locked(path, &pid);
	for (size_t i = 0; !d->mediator_runs && i < sizeof(sockets) / sizeof(sockets[0]); i++) {
		snprintf(path, sizeof(path), "%s.lock", sockets[i]);
		d->mediator_runs = is_locked(path, &pid);
	}
	if (d->mediator_runs)
		say(d, VERDICT_OK, "mediator", "runs as process %ld (%s)", pid, path);
	else
		say(d, VERDICT_FAIL, "mediator",
		    "does not run on this machine: `systemctl start gpu_mediator`, or "
		    "`gpu_mediator` where there is no systemd. If it runs in a driver domain, "
		    "run doctor there");
}

/* Without the name service, which a statically linked program cannot rely on. */
static void group_name(gid_t gid, char name[64])
{
	FILE *f = fopen("/etc/group", "re");
	struct group *group = NULL;

	while (f && (group = fgetgrent(f)) != NULL && group->gr_gid != gid)
		;
	if (group)
		snprintf(name, 64, "%s", group->gr_name);
	else
		snprintf(name, 64, "%u", gid);
	if (f)
		fclose(f);
}

static void check_socket(struct doctor *d, const char *check, const struct endpoint_config *e)
{
	struct stat st;
	char group[64];

	if (!e->enabled) {
		say(d, VERDICT_NOTE, check, "disabled in the configuration");
		return;
	}
	if (stat(e->socket, &st) < 0) {
		say(d, d->mediator_runs ? VERDICT_FAIL : VERDICT_NOTE, check, "%s: %s%s", e->socket,
		    strerror(errno), d->mediator_runs ? "" : ": the mediator makes it");
		return;
	}
	if (!S_ISSOCK(st.st_mode)) {
		say(d, VERDICT_FAIL, check, "%s: is no socket: remove it, restart the mediator",
		    e->socket);
		return;
	}
	group_name(st.st_gid, group);
	if (!d->mediator_runs)
		say(d, VERDICT_NOTE, check, "%s: nobody serves it; left behind", e->socket);
	else if (st.st_gid == 0 && !(st.st_mode & S_IWOTH))
		say(d, VERDICT_NOTE, check,
		    "%s: only root may connect (mode %04o); `group` and `mode` in the "
		    "configuration change it",
		    e->socket, st.st_mode & 07777u);
	else
		say(d, VERDICT_OK, check, "%s: open to group %s, mode %04o", e->socket, group,
		    st.st_mode & 07777u);
}

static void check_log(struct doctor *d)
{
	char path[CONFIG_TEXT_MAX], *dir;
	const char *log = d->config.log;

	if (!strcmp(log, "journal") || !strcmp(log, "stderr")) {
		say(d, VERDICT_OK, "log", "goes to %s", log);
		return;
	}
	if (!strcmp(log, "auto") && access("/run/systemd/system", F_OK) == 0) {
		say(d, VERDICT_OK, "log", "goes to the journal: `journalctl -u gpu_mediator`");
		return;
	}
	snprintf(path, sizeof(path), "%s", strcmp(log, "auto") ? log : LOG_FILE);
	if (access(path, W_OK) == 0) {
		say(d, VERDICT_OK, "log", "%s can be written", path);
		return;
	}
	if (errno == EACCES && geteuid()) {
		say(d, VERDICT_NOTE, "log", "%s: run it as root to see whether it can be written",
		    path);
		return;
	}
	if (errno == ENOENT) {
		dir = dirname(path);
		if (access(dir, W_OK) == 0 || geteuid()) {
			say(d, VERDICT_OK, "log", "will be made in %s", dir);
			return;
		}
	}
	say(d, VERDICT_FAIL, "log", "%s: cannot be written: %s", path, strerror(errno));
}

/* What the self-test prints behind @label. */
static bool value_of(const char *out, const char *label, char *value, size_t size)
{
	const char *p = strstr(out, label);

	if (!p)
		return false;
	p += strlen(label);
	p += strspn(p, " ");
	snprintf(value, size, "%.*s", (int)strcspn(p, ";"), p);
	return true;
}

static void check_gpu(struct doctor *d)
{
	char out[1200], backend[32] = "", device[128] = "";
	int rc = run_mediator(d, "--self-test", out, sizeof(out));

	if (rc < 0)
		say(d, VERDICT_FAIL, "gpu",
		    "the self-test did not end: `gpu_mediator --self-test`");
	else if (rc != 0)
		say(d, VERDICT_FAIL, "gpu", "the self-test failed (`gpu_mediator --self-test`): %s",
		    admin_safe(out));
	else if (!value_of(out, ";  backend ", backend, sizeof(backend)) ||
		 !value_of(out, ";  device ", device, sizeof(device)) || strcmp(backend, "cuda"))
		say(d, VERDICT_NOTE, "gpu",
		    "no GPU is used, the CPU computes (%s): does `nvidia-smi` show a GPU, and is "
		    "gpu_mediator_cuda.so installed? `gpu_mediator --self-test` says why",
		    admin_safe(device));
	else
		say(d, VERDICT_OK, "gpu", "the self-test passed on %s", admin_safe(device));
}

void check_mediator(struct doctor *d)
{
	if (!check_config(d))
		return;
	check_process(d);
	check_socket(d, "devices", &d->config.devices);
	check_socket(d, "clients", &d->config.clients);
	check_log(d);
	check_gpu(d);
}
