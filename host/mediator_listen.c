/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_listen.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define BACKLOG 128
#define ACCEPTS_PER_WAKEUP 8
#define RESUME_AFTER_S 1 /* accepting again after running out of descriptors */

static int set_address(struct sockaddr_un *sa, const char *path, const char *what)
{
	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(sa->sun_path)) {
		log_err("%s %s: path is too long: %zu bytes, the system allows %zu", what, path,
			strlen(path), sizeof(sa->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(sa->sun_path, path);
	return 0;
}

/* The directory may be missing where no service manager made it; its parents may not. */
static int make_directory(const char *path, const char *what)
{
	char copy[CONFIG_TEXT_MAX];
	const char *dir;

	snprintf(copy, sizeof(copy), "%s", path);
	dir = dirname(copy);
	if (mkdir(dir, 0755) == 0) {
		log_info("%s %s: made its directory", what, path);
		return 0;
	}
	if (errno == EEXIST)
		return 0;
	log_err("%s %s: make directory %s: %s", what, path, dir, strerror(errno));
	return -errno;
}

/* A socket file without a lock may be another program's, or an older one's left behind. */
static int clear_way(const struct sockaddr_un *sa, const char *what)
{
	const char *path = sa->sun_path;
	struct stat st;
	int fd, rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		log_err("%s %s: a file that is no socket stands there", what, path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;
	close(fd);
	if (rc == 0 || rc == -EAGAIN) {
		log_err("%s %s: already served by another process", what, path);
		return -EBUSY;
	}
	if (rc != -ECONNREFUSED) {
		log_err("%s %s: see whether it is served: %s", what, path, strerror(-rc));
		return rc;
	}
	log_info("%s %s: left behind, nobody serves it: replaced", what, path);
	return unlink(path) < 0 ? -errno : 0;
}

static int set_access(const struct endpoint_config *c, const char *what)
{
	struct group *group;

	if (c->group[0]) {
		group = getgrnam(c->group);
		if (!group) {
			log_err("%s %s: there is no group \"%s\"", what, c->socket, c->group);
			return -EINVAL;
		}
		if (lchown(c->socket, (uid_t)-1, group->gr_gid) < 0) {
			log_err("%s %s: give it to group %s: %s", what, c->socket, c->group,
				strerror(errno));
			return -EPERM;
		}
	}
	if (chmod(c->socket, c->mode) < 0) {
		log_err("%s %s: set mode %04o: %s", what, c->socket, c->mode, strerror(errno));
		return -errno;
	}
	return 0;
}

static int bind_socket(struct listener *l, const struct sockaddr_un *sa)
{
	struct stat st;
	mode_t mask;
	int rc;

	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	mask = umask(0177); /* closed until its mode is set */
	rc = bind(l->fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0 ? -errno : 0;
	umask(mask);
	if (rc < 0) {
		log_err("%s %s: bind: %s", l->what, sa->sun_path, strerror(-rc));
		return rc;
	}
	if (lstat(sa->sun_path, &st) < 0)
		return -errno;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	snprintf(l->path, sizeof(l->path), "%s", sa->sun_path);
	return 0;
}

/* Out of descriptors: the pending connection stays readable, so stop looking for a while. */
static void pause_accepting(struct listener *l, int error)
{
	const struct timeval wait = { .tv_sec = RESUME_AFTER_S };

	if (!l->complained)
		log_err("%s %s: accept: %s; trying again every %d s", l->what, l->path,
			strerror(error), RESUME_AFTER_S);
	l->complained = true;
	event_del(l->ready);
	event_add(l->resume, &wait);
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_PER_WAKEUP; i++) {
		int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (peer >= 0) {
			l->complained = false;
			peer_new(l->m, l->kind, peer);
		} else if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) {
			return;
		} else {
			pause_accepting(l, errno);
			return;
		}
	}
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	(void)what;
	event_add(l->ready, NULL);
}

static int start_listening(struct listener *l)
{
	if (listen(l->fd, BACKLOG) < 0) {
		log_err("%s %s: listen: %s", l->what, l->path, strerror(errno));
		return -errno;
	}
	l->ready = event_new(l->m->base, l->fd, EV_READ | EV_PERSIST, on_connection, l);
	l->resume = evtimer_new(l->m->base, on_resume, l);
	if (!l->ready || !l->resume)
		return -ENOMEM;
	event_add(l->ready, NULL);
	log_info("%s %s: listening", l->what, l->path);
	return 0;
}

int listener_open(struct listener *l, struct mediator *m, enum peer_kind kind,
		  const struct endpoint_config *c)
{
	char lock[CONFIG_TEXT_MAX + 8];
	struct sockaddr_un sa;
	int rc;

	*l = (struct listener)LISTENER_NONE;
	l->m = m;
	l->kind = kind;
	l->what = kind == PEER_DEVICE ? "device socket" : "client socket";
	rc = set_address(&sa, c->socket, l->what);
	if (rc == 0)
		rc = make_directory(c->socket, l->what);
	snprintf(lock, sizeof(lock), "%s.lock", c->socket);
	if (rc == 0)
		rc = lockfile_take(&l->lock, lock, l->what);
	if (rc == 0)
		rc = clear_way(&sa, l->what);
	if (rc == 0)
		rc = bind_socket(l, &sa);
	if (rc == 0)
		rc = set_access(c, l->what);
	if (rc == 0)
		rc = start_listening(l);
	if (rc < 0)
		listener_close(l);
	return rc;
}

void listener_close(struct listener *l)
{
	struct stat st;

	if (l->ready)
		event_free(l->ready);
	if (l->resume)
		event_free(l->resume);
	l->ready = NULL;
	l->resume = NULL;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (l->path[0] && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	l->path[0] = '\0';
	lockfile_release(&l->lock);
}
