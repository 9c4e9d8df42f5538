// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole supervisor between hostile peers and hostile workers: real sockets, the real
 * event loop, and worker processes that exist in name only. The linker puts the functions
 * that start, watch and end processes aside (--wrap); what a worker says and when it dies is
 * the input's choice. After every step the books must balance, and in the end no descriptor
 * may be left.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../common/memfd.h"
#include "../../host/log.h"
#include "../../host/mediator.h"
#include "../../host/mediator_peer.h"
#include "../../host/mediator_scheduler.h"
#include "../../host/mediator_vm.h"
#include "../../host/mediator_worker.h"
#include "../../protocol/vgpu_commands.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_version.h"

#define PEERS 4
#define PROCESSES 16
#define FIRST_PID 5000000 /* above any pid_max */
#define STEPS_MAX 200

/* A worker process that is not there. */
struct process {
	int control; /* its end of the control socket */
	int exited;  /* eventfd in place of its pidfd; the mediator's */
	int status;
	bool dead;
	bool reaped;
};

static struct process processes[PROCESSES];
static int process_count;
static int next_control = -1;

static struct process *process_of(pid_t pid)
{
	MUST(pid >= FIRST_PID && pid < FIRST_PID + process_count);
	return &processes[pid - FIRST_PID];
}

static void process_die(struct process *p, int status)
{
	const uint64_t one = 1;

	if (p->dead)
		return;
	p->dead = true;
	p->status = status;
	close(p->control);
	p->control = -1;
	if (p->exited >= 0)
		MUST(write(p->exited, &one, sizeof(one)) == sizeof(one));
}

int __wrap_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int as);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
long __wrap_syscall(long number, ...);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
int __wrap_kill(pid_t pid, int sig);
int __wrap_prlimit(pid_t pid, int resource, const struct rlimit *new_limit, struct rlimit *old);

int __wrap_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int as)
{
	(void)actions;
	if (as == WORKER_CONTROL_FD)
		next_control = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return 0;
}

int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	(void)path;
	(void)actions;
	(void)attr;
	(void)envp;
	MUST(strcmp(argv[1], "--worker") == 0 && next_control >= 0);
	if (process_count == PROCESSES) {
		close(next_control);
		next_control = -1;
		return EAGAIN;
	}
	processes[process_count] = (struct process){ .control = next_control, .exited = -1 };
	next_control = -1;
	*pid = FIRST_PID + process_count++;
	return 0;
}

long __wrap_syscall(long number, ...)
{
	struct process *p;
	va_list args;

	MUST(number == SYS_pidfd_open);
	va_start(args, number);
	p = process_of(va_arg(args, pid_t));
	va_end(args);
	return p->exited = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
	struct process *p = process_of(pid);

	MUST(!p->reaped);
	if (!p->dead) {
		MUST(options & WNOHANG);
		return 0;
	}
	p->reaped = true;
	p->exited = -1; /* closed by the mediator */
	if (status)
		*status = p->status;
	return pid;
}

int __wrap_kill(pid_t pid, int sig)
{
	struct process *p = process_of(pid);

	/* never to a number that may be somebody else's by now */
	MUST(sig == SIGKILL && !p->reaped);
	process_die(p, SIGKILL);
	return 0;
}

int __wrap_prlimit(pid_t pid, int resource, const struct rlimit *new_limit, struct rlimit *old)
{
	(void)resource;
	(void)new_limit;
	(void)old;
	process_of(pid);
	return 0;
}

static void sink(void *ctx, enum log_level level, const char *text, size_t len)
{
	(void)ctx;
	(void)level;
	MUST(strlen(text) == len);
	for (size_t i = 0; i < len; i++)
		MUST((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

static struct mediator mediator;
static int peers[PEERS];
static struct frame_rx heard[PEERS];

static void check_books(void)
{
	uint32_t channels = 0, connections = 0, total = 0, warming = 0, idle = 0;
	const struct mediator *m = &mediator;
	const struct channel *ch;
	const struct worker_proc *w;
	const struct peer *p;
	const struct vm *vm;
	uint64_t bytes = 0;

	TAILQ_FOREACH(ch, &m->channels, link) {
		channels++;
		bytes += ch->rq.length;
		MUST(!ch->worker || ch->worker->channel == ch);
		MUST(ch->worker || ch->state == CHANNEL_WAITING);
	}
	MUST(channels == m->channel_count && bytes == m->window_bytes);
	MUST(channels <= m->config.limits.channels_total);
	MUST(bytes <= m->config.limits.window_bytes_total);
	TAILQ_FOREACH(vm, &m->vms, link) {
		uint32_t of_vm = 0;

		MUST(vm->refs > 0 && vm->channels <= m->config.limits.channels_per_vm);
		TAILQ_FOREACH(ch, &m->channels, link)
			of_vm += ch->vm == vm;
		MUST(of_vm == vm->channels);
	}
	TAILQ_FOREACH(w, &m->pool.workers, link) {
		total++;
		warming += w->state == WORKER_STATE_WARMING;
		idle += w->state == WORKER_STATE_IDLE;
	}
	MUST(total == m->pool.total && warming == m->pool.warming && idle == m->pool.idle);
	TAILQ_FOREACH(p, &m->peers, link)
		connections++;
	MUST(connections == m->peer_count && connections <= m->config.limits.connections_total);
}

static void turn(void)
{
	for (int i = 0; i < 3; i++)
		event_base_loop(mediator.base, EVLOOP_NONBLOCK);
	check_books();
}

/* What the mediator says is of the protocol, whatever its workers and other peers said. */
static void peer_hear(int which)
{
	struct frame_rx *rx = &heard[which];
	int fds[VGPU_FRAME_FDS_MAX];
	union frame_message msg;
	int rc;

	while (peers[which] >= 0 && frame_rx_read(rx, peers[which]) == 0) {
		while ((rc = frame_rx_next(rx, &msg, fds)) == 0) {
			MUST(msg.frame.type != VGPU_MSG_OPENED || msg.opened.status <= 0);
			MUST(msg.frame.type != VGPU_MSG_CLOSED || msg.closed.reason <= 0);
		}
		MUST(rc == -EAGAIN);
	}
}

static void peer_connect(struct input *in)
{
	int which = input_u8(in) % PEERS;
	int pair[2];

	if (peers[which] >= 0)
		close(peers[which]);
	MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	peers[which] = pair[0];
	frame_rx_init(&heard[which]);
	peer_new(&mediator, which & 1 ? PEER_CLIENT : PEER_DEVICE, pair[1]);
}

static void peer_say(int which, const void *bytes, size_t n, const int *fds, uint32_t nfds)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, n };
	union {
		char buf[CMSG_SPACE(3 * sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nfds) {
		struct cmsghdr *c;

		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	if (peers[which] >= 0)
		(void)!sendmsg(peers[which], &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hello(int which, struct input *in)
{
	struct vgpu_msg_hello m = {
		.frame = { VGPU_MSG_HELLO, sizeof(m), input_u8(in), 0 },
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.channels = input_u8(in) % 30,
	};

	if (input_u8(in) == 255)
		m.version = input_u32(in);
	input_bytes(in, m.name, input_u8(in) % 32);
	peer_say(which, &m, sizeof(m), NULL, 0);
}

static void open_channel(int which, struct input *in)
{
	uint8_t how = input_u8(in);
	struct vgpu_msg_open m = {
		.frame = { VGPU_MSG_OPEN, sizeof(m), input_u8(in), 0 },
		.channel = how & 1 ? input_u8(in) : how >> 6,
		.length = 8 * 4096,
	};
	int fds[3] = { memfd_new_sealed("fuzz", 16 * 4096), eventfd(0, EFD_CLOEXEC),
		       eventfd(0, EFD_CLOEXEC) };

	if (how & 2) {
		m.offset = input_near(in, 8 * 4096);
		m.length = input_near(in, 8 * 4096);
	}
	if (how & 4) { /* not sealed */
		close(fds[0]);
		fds[0] = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	}
	if (how & 8) { /* an eventfd where the memory belongs */
		int t = fds[0];

		fds[0] = fds[1];
		fds[1] = t;
	}
	peer_say(which, &m, sizeof(m), fds, how & 16 ? 2 : 3);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void small_message(int which, struct input *in)
{
	uint8_t how = input_u8(in);
	struct vgpu_msg_close m = {
		.frame = { VGPU_MSG_CLOSE, sizeof(m), input_u8(in), 0 },
		.channel = how >> 4,
	};

	if (how & 1) {
		m.frame.type = VGPU_MSG_PING;
		m.frame.length = sizeof(struct vgpu_msg_ping);
	}
	if (how & 2)
		m.frame.type = input_u8(in);
	peer_say(which, &m, m.frame.length, NULL, 0);
}

static void peer_step(struct input *in)
{
	uint8_t op = input_u8(in);
	int which = (op >> 3) % PEERS;
	uint8_t raw[128];

	switch (op % 8) {
	case 0:
	case 1:
		hello(which, in);
		break;
	case 2:
	case 3:
	case 4:
		open_channel(which, in);
		break;
	case 5:
		small_message(which, in);
		break;
	case 6:
		input_bytes(in, raw, sizeof(raw));
		peer_say(which, raw, 1 + op % sizeof(raw), NULL, 0);
		break;
	default:
		if (op & 0x80 && peers[which] >= 0) {
			close(peers[which]);
			peers[which] = -1;
		}
	}
	peer_hear(which);
}

/* What a worker says: right in form, unless @how says otherwise, at a time of its choice. */
static size_t worker_words(uint8_t *out, struct input *in)
{
	uint8_t how = input_u8(in);
	union {
		uint32_t type;
		struct worker_ready ready;
		struct worker_failed failed;
		struct worker_attached attached;
		struct worker_text text;
		struct worker_ended ended;
	} m = { 0 };
	size_t n = 0;

	switch (how % 8) {
	case 0:
	case 1:
		m.ready = (struct worker_ready){ .type = WORKER_READY, .fallback = how >> 7 };
		m.ready.info.kind = VGPU_BACKEND_CPU;
		/* it has met no guest yet, so it is honest about its GPU */
		memset(m.ready.info.device, 'G', how >> 5);
		n = sizeof(m.ready);
		break;
	case 2:
		m.failed = (struct worker_failed){ .type = WORKER_FAILED, .status = VGPU_EBACKEND };
		memset(m.failed.why, how & 16 ? '\n' : 'x', sizeof(m.failed.why));
		n = sizeof(m.failed);
		break;
	case 3:
	case 4:
		m.attached = (struct worker_attached){ .type = WORKER_ATTACHED };
		m.attached.status = how & 16 ? (how & 32 ? 700 : VGPU_EPROTO) : 0;
		n = sizeof(m.attached);
		break;
	case 5:
		m.text = (struct worker_text){ .type = how & 16 ? WORKER_LOG : WORKER_MESSAGE };
		m.text.level = input_u8(in);
		m.text.length = (uint32_t)input_near(in, sizeof(m.text.text));
		memset(m.text.text, 't', sizeof(m.text.text)); /* no escapes: long ones stay long */
		input_bytes(in, m.text.text, how >> 6 << 3);
		n = how & 32 ? sizeof(m.text) : offsetof(struct worker_text, text) + 32;
		break;
	case 6:
		m.ended = (struct worker_ended){ .type = WORKER_ENDED };
		m.ended.reason = how & 16 ? (int32_t)input_u32(in) : VGPU_EPROTO;
		memset(m.ended.why, how & 32 ? 0x1b : '\n', sizeof(m.ended.why));
		n = sizeof(m.ended);
		break;
	default:
		m.type = input_u8(in);
		n = input_u32(in) % (sizeof(m) + 1);
	}
	memcpy(out, &m, sizeof(m));
	return n;
}

static void worker_step(struct input *in)
{
	uint8_t op = input_u8(in);
	struct process *p = &processes[(op >> 2) % PROCESSES];
	uint8_t words[1024];
	size_t n;

	if ((op >> 2) % PROCESSES >= process_count || p->dead)
		return;
	if (op % 4 == 0) {
		process_die(p, op & 0x80 ? SIGSEGV : (op & 0x40) << 2);
		return;
	}
	n = worker_words(words, in);
	(void)!send(p->control, words, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static unsigned int open_fds(void)
{
	unsigned int n = 0;

	for (int fd = 3; fd < 128; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void start(struct input *in)
{
	struct mediator_config config;

	for (int i = 0; i < PEERS; i++)
		peers[i] = -1;
	process_count = 0;
	config_init(&config);
	config.limits.channels_per_vm = 1 + input_u8(in) % 4;
	config.limits.channels_total = 1 + input_u8(in) % 6;
	config.limits.window_bytes_total = 40 * 4096;
	config.limits.open_rate = 0; /* no waiting for a clock */
	config.limits.connections_total = 3;
	config.pool_size = 1 + input_u8(in) % 3;
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_sink(sink, NULL);
	MUST(mediator_init(&mediator, &config) == 0);
	mediator_reconfigured(&mediator); /* starts the pool */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	unsigned int before = open_fds();

	start(&in);
	for (int i = 0; i < STEPS_MAX && in.left; i++) {
		uint8_t op = input_u8(&in);

		switch (op % 8) {
		case 0:
			peer_connect(&in);
			break;
		case 1:
		case 2:
		case 3:
			peer_step(&in);
			break;
		case 4:
		case 5:
		case 6:
			worker_step(&in);
			break;
		default:
			if (op == 255)
				mediator_drain(&mediator, 1000);
			else
				mediator.config.pool_size = 1 + (op >> 4) % 4;
			mediator_reconfigured(&mediator);
		}
		turn();
	}
	mediator_dispose(&mediator);
	mediator_dispose(&mediator);
	for (int i = 0; i < PEERS; i++) {
		peer_hear(i);
		if (peers[i] >= 0)
			close(peers[i]);
	}
	for (int i = 0; i < process_count; i++) {
		MUST(processes[i].reaped);
		if (processes[i].control >= 0)
			close(processes[i].control);
	}
	MUST(open_fds() == before);
	return 0;
}
