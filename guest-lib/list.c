/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vgpu_list_devices(): what vgpu_open() would find, without opening anything of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "file_lock.h"
#include "fork_guard.h"
#include "private.h"
#include "regs.h"
#include "xen_list.h"
#include "../protocol/vgpu_xenstore.h"
#include "../common/errors.h"

static void set_detail(struct vgpu_device *out, int state, const struct cause *why)
{
	out->state = state;
	if (state)
		snprintf(out->detail, sizeof(out->detail), "%.*s", (int)sizeof(out->detail) - 1,
			 why->text[0] ? why->text : error_text(state));
}

/* Look at the registers; the channels' locks tell which are free. */
static int look(struct vgpu_device *out, const struct device *d, struct cause *why)
{
	struct regs regs = { NULL };
	struct identity id = { 0 };
	int fd = -1;
	int rc = device_bound(d, why);

	if (rc < 0)
		return rc;
	fork_guard_lock(); /* a child would keep the file for a moment: it locks nothing */
	rc = regs_map(&regs, &fd, d, why);
	fork_guard_unlock();
	if (rc < 0)
		return rc;
	rc = regs_identify(&regs, d, &id, why);
	out->protocol_version = id.version;
	out->channels = id.channels;
	out->window_bytes =
		id.slice_bytes > CHANNEL_OVERHEAD ? id.slice_bytes - CHANNEL_OVERHEAD : 0;
	for (uint32_t i = 0; i < id.channels; i++)
		out->channels_free += !file_lock_held(fd, i);
	if (rc == 0 && !(id.mediator & VGPU_MEDIATOR_CONNECTED))
		rc = because(why, VGPU_ENOMEDIATOR, "no mediator is connected on the host");
	if (rc == 0 && !out->channels_free)
		rc = because(why, VGPU_ENOCHANNEL, "all %u channels are in use", id.channels);
	regs_unmap(&regs);
	close(fd);
	return rc;
}

/* Does somebody listen on the mediator's socket? False: there is no socket. */
static bool look_unix(struct vgpu_device *out)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = TRANSPORT_UNIX_PATH };
	struct cause why = { "" };
	struct stat st;
	int fd, rc = 0;

	if (stat(sa.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	snprintf(out->name, sizeof(out->name), "unix:%s", sa.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno != EAGAIN)
		rc = because(&why, error_from_errno(-errno), "connect: %m%s",
			     errno == EACCES ? ": not open to this user"
					     : ": is gpu_mediator running?");
	if (fd >= 0)
		close(fd);
	set_detail(out, rc, &why);
	return true;
}

int vgpu_list_devices(struct vgpu_device **list, size_t *count)
{
	struct device found[DEVICES_MAX];
	size_t xen;
	struct cause why = { "" };
	struct vgpu_device *out;
	int n;

	if (!list || !count) {
		n = because(&why, VGPU_EINVAL, "list: no place for the list");
		goto fail;
	}
	*list = NULL;
	*count = 0;
	n = device_scan(found, &why);
	if (n < 0)
		goto fail;
	out = calloc(VGPU_XS_DEVICES_MAX + (size_t)n + 1, sizeof(*out));
	if (!out) {
		n = because(&why, VGPU_ENOMEM, "list: out of memory");
		goto fail;
	}
	*list = out;
	xen = xen_list(out, VGPU_XS_DEVICES_MAX);
	out += xen;
	for (int i = 0; i < n; i++) {
		int rc;

		why.text[0] = '\0';
		snprintf(out[i].name, sizeof(out[i].name), "pci:%.15s", found[i].address);
		rc = look(&out[i], &found[i], &why);
		if (rc == VGPU_ENOTSUP && xen)
			because(&why, rc, "its memory is shared by XenStore's device");
		set_detail(&out[i], rc, &why);
	}
	*count = xen + (size_t)n + look_unix(&out[n]);
	last_error_set(NULL);
	return 0;
fail:
	last_error_set(&why);
	return n;
}

void vgpu_free_devices(struct vgpu_device *list)
{
	free(list);
}
