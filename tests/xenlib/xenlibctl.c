/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xenlibctl COMMAND...: tell xenlibd (XENLIB_SOCKET) something; control.c lists the commands. And,
 * by way of XenStore (XENSTORED_PATH), what whoever attaches a device does:
 *
 *   attach GUEST BACKEND [NUMBER]
 *   detach GUEST BACKEND [NUMBER]    asks for it; removes the nodes once the mediator is done
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <xenstore.h>

#include "../../protocol/vgpu_xenstore.h"
#include "rpc.h"

#define PATH_MAX_ 128
#define CLOSE_WAIT_MS 10000

struct device {
	struct xs_handle *xs;
	xs_transaction_t t;
	unsigned int guest, backend, number;
	char front[PATH_MAX_], back[PATH_MAX_];
};

static int failed(const char *what)
{
	fprintf(stderr, "xenlibctl: %s: %s\n", what, strerror(errno));
	return 1;
}

static int command(int argc, char **argv)
{
	static struct wire_request rq;
	static char text[WIRE_TEXT_MAX];
	struct rpc_answer answer = { .data = text, .bytes = sizeof(text) };
	struct rpc rpc;
	size_t bytes = 0;
	int rc = rpc_open(&rpc, WIRE_KIND_CONTROL, NULL);

	errno = -rc;
	if (rc < 0)
		return failed("connect");
	rpc_init(&rq, WIRE_CONTROL);
	for (int i = 0; i < argc; i++) {
		size_t n = strlen(argv[i]) + 1;

		if (bytes + n > sizeof(rq.text))
			return 2;
		memcpy(rq.text + bytes, argv[i], n);
		bytes += n;
	}
	rc = rpc_call(&rpc, &rq, bytes, &answer);
	rpc_close(&rpc);
	errno = -rc;
	if (rc < 0)
		return failed(argv[0]);
	fputs(text, stdout);
	return 0;
}

/* A node of @owner's that @reader may read. */
static bool node(const struct device *d, const char *dir, const char *name, unsigned int owner,
		 unsigned int reader, const char *value)
{
	struct xs_permissions perms[] = { { .id = owner, .perms = XS_PERM_NONE },
					  { .id = reader, .perms = XS_PERM_READ } };
	char path[2 * PATH_MAX_];

	snprintf(path, sizeof(path), "%s%s%s", dir, *name ? "/" : "", name);
	return xs_write(d->xs, d->t, path, value, (unsigned int)strlen(value)) &&
	       xs_set_permissions(d->xs, d->t, path, perms, 2);
}

static bool front(const struct device *d, const char *name, const char *value)
{
	return node(d, d->front, name, d->guest, d->backend, value);
}

static bool back(const struct device *d, const char *name, const char *value)
{
	return node(d, d->back, name, d->backend, d->guest, value);
}

/* A value of the guest's own directory, or "". */
static void label(const struct device *d, const char *name, char out[VGPU_XS_VALUE_MAX + 1])
{
	char path[PATH_MAX_];
	char *value;

	snprintf(path, sizeof(path), "/local/domain/%u/%s", d->guest, name);
	value = xs_read(d->xs, d->t, path, NULL);
	snprintf(out, VGPU_XS_VALUE_MAX + 1, "%s", value ? value : "");
	free(value);
}

static bool write_nodes(const struct device *d)
{
	char name[VGPU_XS_VALUE_MAX + 1], vm[VGPU_XS_VALUE_MAX + 1];
	char guest[16], backend[16], generation[17], parent[PATH_MAX_];
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return false;
	label(d, "name", name);
	label(d, "vm", vm);
	snprintf(guest, sizeof(guest), "%u", d->guest);
	snprintf(backend, sizeof(backend), "%u", d->backend);
	snprintf(generation, sizeof(generation), "%016llx", (unsigned long long)random);
	snprintf(parent, sizeof(parent), "/local/domain/%u/backend", d->backend);
	/* The backend's domain lists what is attached to it. */
	return node(d, parent, "", d->backend, 0, "") &&
	       node(d, parent, VGPU_XS_DEVICE_TYPE, d->backend, 0, "") && back(d, "", "") &&
	       back(d, VGPU_XS_FRONTEND, d->front) && back(d, VGPU_XS_FRONTEND_ID, guest) &&
	       back(d, VGPU_XS_DOMAIN, name) &&
	       back(d, VGPU_XS_UUID, strncmp(vm, "/vm/", 4) ? "" : vm + 4) &&
	       back(d, VGPU_XS_GENERATION, generation) && back(d, VGPU_XS_ONLINE, "1") &&
	       back(d, VGPU_XS_STATE, "1") && front(d, "", "") &&
	       front(d, VGPU_XS_BACKEND, d->back) && front(d, VGPU_XS_BACKEND_ID, backend) &&
	       front(d, VGPU_XS_STATE, "1");
}

static bool remove_nodes(const struct device *d)
{
	return xs_rm(d->xs, d->t, d->front) && xs_rm(d->xs, d->t, d->back);
}

static int transact(struct device *d, bool (*body)(const struct device *d))
{
	for (;;) {
		bool well;

		d->t = xs_transaction_start(d->xs);
		if (!d->t)
			return failed("start a transaction");
		well = body(d);
		if (!well)
			failed("write nodes");
		if (xs_transaction_end(d->xs, d->t, !well) || !well)
			return !well;
		if (errno != EAGAIN)
			return failed("end a transaction");
	}
}

/* Until its state is 6, or nobody serves it. */
static int wait_closed(const struct device *d)
{
	char path[2 * PATH_MAX_];

	snprintf(path, sizeof(path), "%s/" VGPU_XS_STATE, d->back);
	for (int ms = 0; ms < CLOSE_WAIT_MS; ms += 10) {
		char *state = xs_read(d->xs, XBT_NULL, path, NULL);
		bool over = !state || !strcmp(state, "6") || !strcmp(state, "1");

		free(state);
		if (over)
			return 0;
		usleep(10000);
	}
	fputs("xenlibctl: detach: the mediator does not let go\n", stderr);
	return 1;
}

static int detach(struct device *d)
{
	char path[2 * PATH_MAX_];
	int rc;

	snprintf(path, sizeof(path), "%s/" VGPU_XS_ONLINE, d->back);
	if (!xs_write(d->xs, XBT_NULL, path, "0", 1))
		return failed("detach");
	rc = wait_closed(d);
	return transact(d, remove_nodes) || rc;
}

static int device(int argc, char **argv)
{
	struct device d = {
		.guest = (unsigned int)strtoul(argv[1], NULL, 10),
		.backend = (unsigned int)strtoul(argv[2], NULL, 10),
		.number = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 0,
	};
	int rc;

	snprintf(d.front, sizeof(d.front), "/local/domain/%u/device/" VGPU_XS_DEVICE_TYPE "/%u",
		 d.guest, d.number);
	snprintf(d.back, sizeof(d.back), "/local/domain/%u/backend/" VGPU_XS_DEVICE_TYPE "/%u/%u",
		 d.backend, d.guest, d.number);
	d.xs = xs_open(0);
	if (!d.xs)
		return failed("connect to XenStore");
	rc = strcmp(argv[0], "attach") ? detach(&d) : transact(&d, write_nodes);
	xs_close(d.xs);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fputs("usage: xenlibctl COMMAND [ARGUMENT...]\n", stderr);
		return 2;
	}
	if ((argc == 4 || argc == 5) && (!strcmp(argv[1], "attach") || !strcmp(argv[1], "detach")))
		return device(argc - 1, argv + 1);
	return command(argc - 1, argv + 1);
}
