// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xen-relay PORT DOMAIN: in dom0, carry lines between PORT, which leads to the test, and the agent
 * (tests/vm/guest/agent) on the console of the domain of that name, whichever id it has now: it
 * follows reboots and restores.
 *
 * A request is sent once, when the agent is known to be there, and never again. An answer
 * that the kernel's messages damaged is asked for again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

#define MARK "@vgpu@ "
#define LINE_BYTES_MAX (16u << 20)
#define LOOK_MS 300    /* between two looks for the domain */
#define HELLO_MS 5000  /* between two questions to an agent that owes something */
#define WRITE_MS 30000 /* for a stuck reader */

struct line {
	char *text;
	size_t bytes, room;
};

struct relay {
	struct xs_handle *xs;
	const char *name;
	int port, tty;
	unsigned int domid;    /* while tty is open */
	char instance[64];     /* of the agent; empty: not known to be there */
	struct line from_test; /* a request: being read */
	struct line from_guest;
	char *request; /* held until the agent is there, or awaiting its answer */
	bool sent;
	long long hello_due_ms, look_due_ms;
};

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* Returns 0, or -ETIMEDOUT, or another negative errno: part of it may have been written. */
static int write_all(int fd, const char *text, size_t bytes)
{
	while (bytes > 0) {
		struct pollfd p = { .fd = fd, .events = POLLOUT };
		ssize_t n = write(fd, text, bytes);

		if (n > 0) {
			text += n;
			bytes -= (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (poll(&p, 1, WRITE_MS) == 0)
			return -ETIMEDOUT;
	}
	return 0;
}

static void tell_test(const struct relay *r, const char *text)
{
	if (write_all(r->port, text, strlen(text)) < 0 || write_all(r->port, "\n", 1) < 0)
		fprintf(stderr, "%s: write to the test: %s\n", r->name, strerror(errno));
}

static void tell_agent(const struct relay *r, const char *text)
{
	int rc = write_all(r->tty, text, strlen(text));

	if (rc == 0)
		rc = write_all(r->tty, "\n", 1);
	if (rc < 0)
		fprintf(stderr, "%s: write to domain %u: %s\n", r->name, r->domid, strerror(-rc));
}

static void forget_request(struct relay *r)
{
	free(r->request);
	r->request = NULL;
	r->sent = false;
}

static void send_request(struct relay *r)
{
	if (!r->request || r->sent || !r->instance[0])
		return;
	r->sent = true;
	r->hello_due_ms = now_ms() + HELLO_MS;
	tell_agent(r, r->request);
}

static void say_hello(struct relay *r)
{
	char hello[96];

	/* The request's id is its first word. */
	snprintf(hello, sizeof(hello), "hello %.*s", r->sent ? (int)strcspn(r->request, " ") : 1,
		 r->sent ? r->request : "-");
	tell_agent(r, hello);
	r->hello_due_ms = now_ms() + HELLO_MS;
}

/* A new agent knows nothing of what was sent to the one before. */
static void agent_ready(struct relay *r, const char *line)
{
	const char *instance = line + strlen("ready ");

	if (strcmp(r->instance, instance) == 0)
		return;
	snprintf(r->instance, sizeof(r->instance), "%s", instance);
	if (r->sent)
		forget_request(r);
	fprintf(stderr, "%s: domain %u: %s\n", r->name, r->domid, line);
	tell_test(r, line);
	send_request(r);
}

static bool answers(const struct relay *r, const char *line)
{
	size_t id = r->sent ? strcspn(r->request, " ") + 1 : 0;

	return id > 0 && strncmp(line, r->request, id) == 0;
}

/* What the kernel writes has no mark; what it wrote into is too short. */
static void guest_line(struct relay *r, char *line)
{
	char *text = strstr(line, MARK);
	unsigned long bytes;

	if (!text)
		return;
	bytes = strtoul(text + strlen(MARK), &text, 10);
	if (*text != ' ' || strlen(text + 1) < bytes) {
		fprintf(stderr, "%s: a damaged line\n", r->name);
		r->hello_due_ms = now_ms();
		return;
	}
	text++;
	text[bytes] = '\0';
	if (strncmp(text, "ready ", 6) == 0) {
		agent_ready(r, text);
	} else if (answers(r, text)) {
		forget_request(r);
		tell_test(r, text);
	}
}

static void test_line(struct relay *r, char *line)
{
	forget_request(r);
	r->request = strdup(line);
	if (!r->request)
		exit(1);
	send_request(r);
}

/* Returns 0, or -EPIPE: nothing comes any more. */
static int read_lines(struct relay *r, int fd, struct line *l, void (*each)(struct relay *, char *))
{
	char *end, *start;
	ssize_t n;

	if (l->room - l->bytes < 4096) {
		l->room = l->room ? 2 * l->room : 8192;
		l->text = l->room <= LINE_BYTES_MAX ? realloc(l->text, l->room) : NULL;
		if (!l->text) {
			fprintf(stderr, "%s: a line of %zu bytes: too long\n", r->name, l->bytes);
			exit(1);
		}
	}
	n = read(fd, l->text + l->bytes, l->room - l->bytes - 1);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	if (n == 0)
		return -EPIPE;
	l->bytes += (size_t)n;
	start = l->text;
	while ((end = memchr(start, '\n', (size_t)(l->text + l->bytes - start)))) {
		*end = '\0';
		each(r, start);
		start = end + 1;
	}
	l->bytes = (size_t)(l->text + l->bytes - start);
	memmove(l->text, start, l->bytes);
	return 0;
}

static char *read_node(const struct relay *r, unsigned int domid, const char *node)
{
	char path[96];

	snprintf(path, sizeof(path), "/local/domain/%u/%s", domid, node);
	return xs_read(r->xs, XBT_NULL, path, NULL);
}

static bool has_name(const struct relay *r, unsigned int domid)
{
	char *name = read_node(r, domid, "name");
	bool same = name && strcmp(name, r->name) == 0;

	free(name);
	return same;
}

static void detach(struct relay *r)
{
	fprintf(stderr, "%s: domain %u is gone\n", r->name, r->domid);
	close(r->tty);
	r->tty = -1;
	r->instance[0] = '\0';
	r->from_guest.bytes = 0;
	if (r->sent)
		forget_request(r);
}

static void attach(struct relay *r, unsigned int domid)
{
	char *path = read_node(r, domid, "console/tty");
	struct termios t;

	r->tty = path ? open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC) : -1;
	free(path);
	if (r->tty < 0)
		return;
	if (tcgetattr(r->tty, &t) == 0) {
		cfmakeraw(&t);
		tcsetattr(r->tty, TCSANOW, &t);
	}
	r->domid = domid;
	fprintf(stderr, "%s: domain %u\n", r->name, domid);
	/* A restored guest has its agent; one that boots will say so by itself. */
	say_hello(r);
}

static void look_for_domain(struct relay *r)
{
	unsigned int i, count = 0;
	char **ids;

	r->look_due_ms = now_ms() + LOOK_MS;
	if (r->tty >= 0 && has_name(r, r->domid))
		return;
	if (r->tty >= 0)
		detach(r);
	ids = xs_directory(r->xs, XBT_NULL, "/local/domain", &count);
	for (i = 0; ids && i < count && r->tty < 0; i++) {
		unsigned int domid = (unsigned int)strtoul(ids[i], NULL, 10);

		if (has_name(r, domid))
			attach(r, domid);
	}
	free(ids);
}

int main(int argc, char **argv)
{
	struct relay r = { .tty = -1, .name = argc == 3 ? argv[2] : NULL };

	if (argc != 3) {
		fprintf(stderr, "usage: xen-relay PORT DOMAIN\n");
		return 2;
	}
	r.port = open(argv[1], O_RDWR | O_CLOEXEC | O_NONBLOCK);
	r.xs = xs_open(0);
	if (r.port < 0 || !r.xs) {
		fprintf(stderr, "%s: open %s and XenStore: %s\n", r.name, argv[1], strerror(errno));
		return 1;
	}
	for (;;) {
		struct pollfd p[] = { { .fd = r.port, .events = POLLIN },
				      { .fd = r.tty, .events = POLLIN } };

		if (poll(p, 2, LOOK_MS) < 0 && errno != EINTR)
			return 1;
		if (p[0].revents & POLLHUP)
			usleep(LOOK_MS * 1000); /* the test's end is not open yet */
		else if (p[0].revents)
			read_lines(&r, r.port, &r.from_test, test_line);
		if (p[1].revents && read_lines(&r, r.tty, &r.from_guest, guest_line) < 0)
			detach(&r);
		if (now_ms() >= r.look_due_ms)
			look_for_domain(&r);
		if (r.tty >= 0 && (!r.instance[0] || r.sent) && now_ms() >= r.hello_due_ms)
			say_hello(&r);
	}
}
