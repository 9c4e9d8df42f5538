/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening and closing handles, options. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fork_guard.h"
#include "private.h"
#include "../common/errors.h"

#define DEFAULT_SPIN_US 10000
#define MAX_SPIN_US 1000000

/* struct vgpu_options of the first release; later members follow these. */
#define OPTIONS_BYTES_MIN (offsetof(struct vgpu_options, log_level) + sizeof(enum vgpu_log_level))

const char *vgpu_strerror(int error)
{
	return error_text(error);
}

const char *vgpu_strerrorname(int error)
{
	return error_name(error);
}

const char *vgpu_library_version(void)
{
	return VGPUGUEST_VERSION;
}

uint32_t vgpu_library_protocol_version(void)
{
	return VGPU_PROTOCOL_VERSION;
}

void vgpu_options_init(struct vgpu_options *options)
{
	*options = (struct vgpu_options){
		.size = sizeof(*options),
		.timeout_ms = -1,
		.spin_us = -1,
		.log_level = VGPU_LOG_WARNING,
	};
}

/* The caller's options over the defaults: an older program's are shorter. */
static int take_options(struct vgpu_options *out, const struct vgpu_options *in, struct cause *why)
{
	vgpu_options_init(out);
	if (!in)
		return 0;
	if (in->size < OPTIONS_BYTES_MIN || in->size > 4096)
		return because(why, VGPU_EINVAL,
			       "options: size is %zu: not filled by vgpu_options_init()", in->size);
	memcpy(out, in, in->size < sizeof(*out) ? in->size : sizeof(*out));
	out->size = sizeof(*out);
	if (out->timeout_ms < -1)
		return because(why, VGPU_EINVAL, "options: timeout_ms: %d is below -1",
			       out->timeout_ms);
	if (out->spin_us < -1 || out->spin_us > MAX_SPIN_US)
		return because(why, VGPU_EINVAL, "options: spin_us: %d is not -1 to %d",
			       out->spin_us, MAX_SPIN_US);
	if (out->window_bytes > SIZE_MAX / 2)
		return because(why, VGPU_EINVAL, "options: window_bytes: %zu is too large",
			       out->window_bytes);
	return 0;
}

/* The transport that options.device names. */
static int choose_transport(struct transport **out, const char *device, const struct log *log,
			    struct cause *why)
{
	struct stat st;
	int rc;

	if (!device || !*device || !strcmp(device, "auto"))
		device = secure_getenv("VGPU_DEVICE");
	if (!device || !*device || !strcmp(device, "auto")) {
		rc = transport_xen_new(out, NULL, log, why);
		if (rc == VGPU_ENODEV)
			rc = transport_pci_new(out, NULL, log, why);
		if (rc != VGPU_ENODEV)
			return rc;
		if (stat(TRANSPORT_UNIX_PATH, &st) == 0)
			return transport_unix_new(out, NULL, log, why);
		return because(why, rc,
			       "no vgpu in XenStore, no vgpu-stub PCI device, and no mediator's "
			       "socket " TRANSPORT_UNIX_PATH);
	}
	if (!strcmp(device, "xen"))
		return transport_xen_new(out, "0", log, why);
	if (!strncmp(device, "xen:", 4))
		return transport_xen_new(out, device + 4, log, why);
	if (!strcmp(device, "pci"))
		return transport_pci_new(out, NULL, log, why);
	if (!strncmp(device, "pci:", 4))
		return transport_pci_new(out, device + 4, log, why);
	if (!strcmp(device, "unix"))
		return transport_unix_new(out, NULL, log, why);
	if (!strncmp(device, "unix:", 5))
		return transport_unix_new(out, device + 5, log, why);
	return because(
		why, VGPU_EINVAL,
		"device \"%s\": not auto, xen, xen:NUMBER, pci, pci:ADDRESS, unix or unix:PATH",
		device);
}

static int open_channel(struct vgpu *h, const struct vgpu_options *o, struct cause *why)
{
	int64_t deadline_ns = clock_deadline(o->timeout_ms < 0 ? OPEN_TIMEOUT_MS : o->timeout_ms);
	struct transport *t;
	int rc;

	rc = choose_transport(&h->transport, o->device, &h->log, why);
	if (rc < 0)
		return rc;
	t = h->transport;
	rc = t->ops->attach(t, o->window_bytes, deadline_ns, why);
	if (rc < 0)
		return because_of(why, rc, "%s", t->name);
	channel_format(&h->channel, t->base, t->bytes);
	window_init(&h->heap, h->channel.window_bytes);
	rc = t->ops->start(t, deadline_ns, why);
	if (rc < 0)
		return because_of(why, rc, "%s", t->name);
	log_line(&h->log, VGPU_LOG_INFO, "%s: channel is open, window of %llu bytes", t->name,
		 (unsigned long long)h->channel.window_bytes);
	return 0;
}

int vgpu_open(struct vgpu **out, const struct vgpu_options *options)
{
	struct vgpu_options o;
	struct vgpu *h = NULL;
	struct cause why = { "" };
	int rc;

	if (!out) {
		rc = because(&why, VGPU_EINVAL, "open: no place for the handle");
		goto out;
	}
	*out = NULL;
	rc = take_options(&o, options, &why);
	if (rc < 0)
		goto out;
	/* Cache lines of its own: the ring ends in it are as hot as the rings. */
	h = aligned_alloc(128, (sizeof(*h) + 127) / 128 * 128);
	if (!h) {
		rc = because(&why, VGPU_ENOMEM, "open: out of memory");
		goto out;
	}
	memset(h, 0, sizeof(*h));
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->error_lock, NULL);
	h->fork_epoch = fork_guard_epoch;
	h->log = (struct log){ o.log, o.log_opaque, o.log_level };
	h->timeout_ms = o.timeout_ms;
	h->spin_ns = (int64_t)(o.spin_us < 0 ? DEFAULT_SPIN_US : o.spin_us) * 1000;
	h->spin_gives_way = o.spin_us < 0;
	/* Polling only keeps the other side from running where both share one CPU. */
	if (o.spin_us < 0 && sysconf(_SC_NPROCESSORS_ONLN) == 1)
		h->spin_ns = 0;
	gpu_init(&h->gpu);
	rc = open_channel(h, &o, &why);
	if (rc < 0) {
		log_line(&h->log, VGPU_LOG_INFO, "open: %s", why.text);
		goto out;
	}
	*out = h;
	h = NULL;
out:
	vgpu_close(h);
	last_error_set(rc < 0 ? &why : NULL);
	return rc;
}

void vgpu_close(struct vgpu *vgpu)
{
	if (!vgpu)
		return;
	if (vgpu->fork_epoch != fork_guard_epoch) {
		/* The parent's: its locks may be held for ever here, its channel is not ours, its
		 * tables may be half changed. */
		if (vgpu->transport)
			vgpu->transport->ops->discard(vgpu->transport);
		free(vgpu);
		return;
	}
	/* The library's own threads end; functions of the program's that run come back first. */
	gpu_dispose(vgpu);
	/* "Last call": whoever still is in one comes out first. */
	pthread_mutex_lock(&vgpu->lock);
	host_ranges_dispose(vgpu);
	if (vgpu->transport)
		vgpu->transport->ops->close(vgpu->transport, !vgpu->dead);
	window_dispose(&vgpu->heap);
	pthread_mutex_unlock(&vgpu->lock);
	pthread_mutex_destroy(&vgpu->lock);
	pthread_mutex_destroy(&vgpu->error_lock);
	free(vgpu);
}
