/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "rpc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* @name as the parent has it, into @out. */
static void from_parent(const char *name, char *out, size_t size)
{
	size_t length = strlen(name);
	char path[64], *line = NULL;
	size_t room = 0;
	FILE *f;

	out[0] = '\0';
	snprintf(path, sizeof(path), "/proc/%d/environ", (int)getppid());
	f = fopen(path, "re");
	while (f && getdelim(&line, &room, '\0', f) > 0)
		if (strncmp(line, name, length) == 0 && line[length] == '=')
			snprintf(out, size, "%s", line + length + 1);
	free(line);
	if (f)
		fclose(f);
}

static void setting(const char *name, char *out, size_t size)
{
	const char *value = getenv(name);

	if (value)
		snprintf(out, size, "%s", value);
	else
		from_parent(name, out, size);
}

static int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd, rc;

	if (!*path || strlen(path) >= sizeof(a.sun_path))
		return -ENOENT; /* as where there is no such device */
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		rc = -errno;
		if (fd >= 0)
			close(fd);
		return rc;
	}
	return fd;
}

int rpc_open(struct rpc *r, enum wire_kind kind, int *fd)
{
	struct rpc_answer answer = { 0 };
	struct wire_request rq;
	char path[108], domid[16];
	int rc;

	setting("XENLIB_SOCKET", path, sizeof(path));
	setting("XENLIB_DOMID", domid, sizeof(domid));
	r->fd = connect_to(path);
	if (r->fd < 0)
		return r->fd;
	r->owner = getpid();
	pthread_mutex_init(&r->lock, NULL);
	rpc_init(&rq, WIRE_HELLO);
	rq.domid = (uint32_t)strtoul(domid, NULL, 10);
	rq.a = kind;
	rc = rpc_call(r, &rq, 0, &answer);
	if (rc < 0)
		rpc_close(r);
	else if (fd && answer.nfds)
		*fd = answer.fd[0];
	return rc;
}

void rpc_close(struct rpc *r)
{
	close(r->fd);
	r->fd = -1;
	if (r->owner == getpid())
		pthread_mutex_destroy(&r->lock);
}

static void take_fds(struct msghdr *msg, struct rpc_answer *answer)
{
	struct cmsghdr *cm = CMSG_FIRSTHDR(msg);
	int fds[WIRE_FDS_MAX];
	uint32_t n = 0;

	if (cm && cm->cmsg_level == SOL_SOCKET && cm->cmsg_type == SCM_RIGHTS) {
		n = (uint32_t)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(cm), n * sizeof(int));
	}
	for (uint32_t i = 0; i < n; i++) {
		if (answer)
			answer->fd[i] = fds[i];
		else
			close(fds[i]);
	}
	if (answer)
		answer->nfds = n;
}

static int receive(struct rpc *r, struct rpc_answer *answer)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct {
		int32_t rc;
		uint32_t count;
	} head = { 0 };
	struct iovec iov[2] = {
		{ &head, sizeof(head) },
		{ answer ? answer->data : NULL, answer && answer->data ? answer->bytes : 0 },
	};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	ssize_t n;

	_Static_assert(sizeof(head) == WIRE_REPLY_BYTES(0), "the reply's head");
	while ((n = recvmsg(r->fd, &msg, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (n < (ssize_t)sizeof(head))
		return n < 0 ? -errno : -EIO; /* the domain is no more, or xenlibd */
	take_fds(&msg, answer);
	return head.rc;
}

int rpc_call(struct rpc *r, const struct wire_request *rq, size_t extra, struct rpc_answer *answer)
{
	ssize_t n;
	int rc;

	if (r->owner != getpid())
		return -EBADF;
	pthread_mutex_lock(&r->lock);
	while ((n = send(r->fd, rq, WIRE_REQUEST_BYTES(extra), MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	rc = n < 0 ? (errno == EPIPE ? -EIO : -errno) : receive(r, answer);
	pthread_mutex_unlock(&r->lock);
	return rc;
}
