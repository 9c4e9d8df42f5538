/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void sleep_ms(unsigned int ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	while (nanosleep(&t, &t) < 0)
		;
}

bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* State letter and parent of a process; 0 if there is none. */
static char read_stat(pid_t pid, pid_t *parent)
{
	char path[40], text[512], *end;
	int fd, ppid = 0;
	ssize_t n;
	char state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	end = strrchr(text, ')');
	if (!end || sscanf(end + 1, " %c %d", &state, &ppid) != 2)
		return 0;
	if (parent)
		*parent = ppid;
	return state;
}

char process_state(pid_t pid)
{
	return read_stat(pid, NULL);
}

bool alive(pid_t pid)
{
	char state = process_state(pid);

	return state && state != 'Z' && state != 'X';
}

bool gone_within(pid_t pid, unsigned int ms)
{
	uint64_t end = now_ms() + ms;

	while (alive(pid)) {
		if (now_ms() > end)
			return false;
		sleep_ms(5);
	}
	return true;
}

void bed_make(struct bed *b)
{
	memset(b, 0, sizeof(*b));
	strcpy(b->dir, "/tmp/vgpu-faults-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->config, sizeof(b->config), "%s/config", b->dir);
	snprintf(b->log, sizeof(b->log), "%s/log", b->dir);
	snprintf(b->client, sizeof(b->client), "%s/client", b->dir);
	snprintf(b->device, sizeof(b->device), "%s/device", b->dir);
	snprintf(b->pid_file, sizeof(b->pid_file), "%s/pid", b->dir);
	bed_configure(b, "");
}

/* A daemon is nobody's child: a test that failed half-way would leave it behind. */
static void kill_daemon(const struct bed *b)
{
	char exe[64], target[256];
	int pid = 0;
	ssize_t n;
	FILE *f = fopen(b->pid_file, "re");

	if (!f)
		return;
	if (fscanf(f, "%d", &pid) != 1)
		pid = 0;
	fclose(f);
	snprintf(exe, sizeof(exe), "/proc/%d/exe", pid);
	n = readlink(exe, target, sizeof(target) - 1);
	if (pid <= 1 || n < 0)
		return;
	target[n] = '\0';
	if (strcmp(target, TEST_MEDIATOR) == 0)
		kill(pid, SIGKILL);
}

void bed_remove(struct bed *b)
{
	struct dirent *e;
	DIR *dir;

	if (b->mediator)
		bed_kill(b);
	kill_daemon(b);
	dir = opendir(b->dir);
	while (dir && (e = readdir(dir)))
		if (unlinkat(dirfd(dir), e->d_name, 0) < 0)
			unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
	if (dir)
		closedir(dir);
	rmdir(b->dir);
}

void bed_configure(struct bed *b, const char *more)
{
	FILE *f = fopen(b->config, "we");

	assert_non_null(f);
	fprintf(f,
		"[mediator]\nlog = %s\nlog_level = debug\npool_size = 1\n"
		"[backend]\nbackend = cpu\n[devices]\nsocket = %s\n[clients]\nsocket = %s\n"
		"[limits]\n%s\n",
		b->log, b->device, b->client, more);
	fclose(f);
}

/* The child's end of it is ours: nothing outlives the test. */
static pid_t spawn(char *const args[], int out, const char *notify)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (out >= 0) {
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
	}
	unsetenv("NOTIFY_SOCKET");
	if (notify) {
		setenv("NOTIFY_SOCKET", notify, 1);
		setenv("WATCHDOG_USEC", "200000", 1);
		unsetenv("WATCHDOG_PID");
	}
	unsetenv("JOURNAL_STREAM");
	execv(TEST_MEDIATOR, args);
	_exit(127);
}

void bed_start(struct bed *b)
{
	char config[160];
	/* the service manager's sign makes --foreground needless */
	char *args[] = { (char[]){ "gpu_mediator" }, config,
			 b->notify ? NULL : (char[]){ "--foreground" }, NULL };
	const char *text;
	size_t before;
	uint64_t end = now_ms() + 20000;

	assert_int_equal(b->mediator, 0);
	before = exists(b->log) ? strlen(bed_log_text(b)) : 0;
	snprintf(config, sizeof(config), "--config=%s", b->config);
	b->mediator = spawn(args, -1, b->notify);
	assert_true(b->mediator > 0);
	for (;;) {
		text = bed_log_text(b);
		if (strlen(text) > before && strstr(text + before, ": ready\n"))
			return;
		if (now_ms() > end || waitpid(b->mediator, NULL, WNOHANG) != 0)
			fail_msg("the mediator does not come up: %s", text);
		sleep_ms(5);
	}
}

int bed_run(const struct bed *b, char *out, size_t size, char *const args[])
{
	uint64_t end = now_ms() + 20000;
	int fds[2], status = 0;
	size_t have = 0;
	pid_t pid;

	(void)b;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = spawn(args, fds[1], NULL);
	close(fds[1]);
	for (;;) {
		struct pollfd p = { .fd = fds[0], .events = POLLIN };
		ssize_t n;

		if (now_ms() > end) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			fail_msg("the mediator does not end");
		}
		if (poll(&p, 1, 100) <= 0) {
			/* a daemon may hold the pipe a moment longer than its command lives */
			if (waitpid(pid, &status, WNOHANG) == pid)
				break;
			continue;
		}
		n = read(fds[0], out + have, size - 1 - have);
		if (n <= 0) {
			waitpid(pid, &status, 0);
			break;
		}
		have += (size_t)n;
	}
	close(fds[0]);
	out[have] = '\0';
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int bed_reap(struct bed *b, int seconds)
{
	uint64_t end = now_ms() + (uint64_t)seconds * 1000;
	int status;

	while (waitpid(b->mediator, &status, WNOHANG) != b->mediator) {
		if (now_ms() > end)
			return -1;
		sleep_ms(5);
	}
	b->mediator = 0;
	return status;
}

void bed_kill(struct bed *b)
{
	kill(b->mediator, SIGKILL);
	waitpid(b->mediator, NULL, 0);
	b->mediator = 0;
}

const char *bed_log_text(const struct bed *b)
{
	static char text[1 << 20];
	int fd = open(b->log, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

bool bed_log_has(const struct bed *b, const char *text)
{
	return strstr(bed_log_text(b), text) != NULL;
}

bool bed_log_will_have(const struct bed *b, const char *text)
{
	uint64_t end = now_ms() + 10000;

	while (!bed_log_has(b, text)) {
		if (now_ms() > end) {
			print_message("# the log lacks \"%s\":\n%s\n", text, bed_log_text(b));
			return false;
		}
		sleep_ms(5);
	}
	return true;
}

pid_t bed_last_worker(const struct bed *b)
{
	const char *mark = ": open: worker ", *found = NULL;

	for (const char *p = bed_log_text(b); (p = strstr(p, mark)); p++)
		found = p;
	return found ? (pid_t)strtol(found + strlen(mark), NULL, 10) : 0;
}

int bed_open_within(const struct bed *b, struct vgpu **v, size_t window_bytes, int timeout_ms)
{
	struct vgpu_options o;
	char device[160];

	snprintf(device, sizeof(device), "unix:%s", b->client);
	vgpu_options_init(&o);
	o.device = device;
	o.window_bytes = window_bytes;
	o.timeout_ms = timeout_ms;
	return vgpu_open(v, &o);
}

int bed_open(const struct bed *b, struct vgpu **v, size_t window_bytes)
{
	return bed_open_within(b, v, window_bytes, -1);
}

static unsigned int children(pid_t of, pid_t *any)
{
	DIR *proc = opendir("/proc");
	unsigned int n = 0;
	struct dirent *e;
	pid_t parent;

	while ((e = readdir(proc))) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 0 && read_stat(pid, &parent) && parent == of) {
			n++;
			if (any)
				*any = pid;
		}
	}
	closedir(proc);
	return n;
}

unsigned int bed_workers(const struct bed *b)
{
	return children(b->mediator, NULL);
}

pid_t bed_any_worker(const struct bed *b)
{
	pid_t pid = 0;

	children(b->mediator, &pid);
	return pid;
}

unsigned int bed_descriptors(const struct bed *b)
{
	char path[40];
	unsigned int n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)b->mediator);
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

struct call {
	pthread_t thread;
	struct vgpu *v;
	bool big;
	int rc;
	int done;
};

/* a + b fill the window but for a third, which is c's: one command, one piece. */
static int run_big(struct vgpu *v)
{
	const uint32_t n = BIG_WINDOW / 3 / sizeof(float) & ~1023u;
	struct {
		uint64_t a, b, c;
		uint32_t n, flags;
	} args = { 0, n * sizeof(float), 2ull * n * sizeof(float), n, 0 };

	return vgpu_call(v, VGPU_CMD_VECTOR_ADD, &args, sizeof(args), NULL, NULL, NULL);
}

static void *call_thread(void *arg)
{
	struct call *c = arg;

	c->rc = c->big ? run_big(c->v) : vgpu_nop(c->v);
	__atomic_store_n(&c->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static struct call *call_start(struct vgpu *v, bool big)
{
	struct call *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->v = v;
	c->big = big;
	assert_int_equal(pthread_create(&c->thread, NULL, call_thread, c), 0);
	return c;
}

struct call *call_nop(struct vgpu *v)
{
	return call_start(v, false);
}

struct call *call_big(struct vgpu *v, pid_t worker)
{
	uint64_t end = now_ms() + 10000;

	while (worker && process_state(worker) != 'S')
		assert_true(now_ms() < end);
	return call_start(v, true);
}

bool call_done(const struct call *c)
{
	return __atomic_load_n(&c->done, __ATOMIC_ACQUIRE);
}

int call_result(struct call *c)
{
	int rc;

	pthread_join(c->thread, NULL);
	rc = c->rc;
	free(c);
	return rc;
}

void stop_within(pid_t worker, const struct call *c)
{
	uint64_t end = now_ms() + 10000;

	/* its first thread is the one that executes; awake at first, then well within it */
	for (int i = 0; i < 2; i++) {
		while (process_state(worker) != 'R') {
			assert_false(call_done(c));
			assert_true(now_ms() < end);
		}
		sleep_ms(3);
	}
	kill(worker, SIGSTOP);
	while (process_state(worker) != 'T')
		assert_true(now_ms() < end);
	assert_false(call_done(c));
}

static int work(struct vgpu *v, float *a, float *b, float *c, unsigned int round)
{
	int rc = vgpu_nop(v);

	for (unsigned int i = 0; i < 1024; i++) {
		a[i] = (float)(i + round % 1000);
		b[i] = (float)i;
	}
	if (rc == 0)
		rc = vgpu_vector_add(v, a, b, c, 1024, NULL);
	for (unsigned int i = 0; i < 1024 && rc == 0; i++)
		if (c[i] != a[i] + b[i])
			rc = VGPU_EIO;
	return rc;
}

static void witness_main(const struct bed *b, int ready, int stop)
{
	static float x[1024], y[1024], z[1024];
	struct pollfd p = { .fd = stop, .events = POLLIN };
	struct vgpu *v;
	unsigned int round = 0;
	int rc = bed_open(b, &v, 1 << 20);

	if (rc == 0)
		rc = work(v, x, y, z, 0);
	if (write(ready, "", 1) != 1)
		_exit(3);
	while (rc == 0 && poll(&p, 1, 1) == 0)
		rc = work(v, x, y, z, ++round);
	if (rc)
		fprintf(stderr, "# the witness noticed: %s: %s\n", vgpu_strerror(rc),
			vgpu_last_error(v));
	vgpu_close(v);
	_exit(rc ? 1 : 0);
}

void witness_start(struct witness *w, const struct bed *b)
{
	int ready[2], stop[2];
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
	w->pid = fork();
	if (w->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(stop[1]);
		witness_main(b, ready[1], stop[0]);
	}
	close(ready[1]);
	close(stop[0]);
	w->stop = stop[1];
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
}

bool witness_end(struct witness *w)
{
	int status;

	close(w->stop);
	waitpid(w->pid, &status, 0);
	return status == 0;
}
