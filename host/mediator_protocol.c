/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/errors.h"
#include "../protocol/vgpu_pci.h"
#include "../protocol/vgpu_version.h"
#include "mediator_fd.h"
#include "mediator_scheduler.h"
#include "mediator_vm.h"

/* Between two looks whether a worker that is ending has made room. */
#define ROOM_WAIT_US 5000

static void head(struct vgpu_frame *f, uint32_t type, size_t length, uint32_t seq)
{
	f->type = type;
	f->length = (uint32_t)length;
	f->seq = seq;
}

void protocol_refuse(struct peer *p, int32_t error, const char *text)
{
	struct vgpu_msg_refused msg = {
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.error = error,
	};

	head(&msg.frame, VGPU_MSG_REFUSED, sizeof(msg), 0);
	snprintf(msg.text, sizeof(msg.text), "%s", text);
	peer_send(p, &msg);
}

static struct peer *peer_of(struct owner *o)
{
	return (struct peer *)((char *)o - offsetof(struct peer, owner));
}

static void protocol_opened(struct owner *o, uint32_t seq, uint32_t channel, int32_t status,
			    const char *text)
{
	struct vgpu_msg_opened msg = { .channel = channel, .status = status };

	head(&msg.frame, VGPU_MSG_OPENED, sizeof(msg), seq);
	snprintf(msg.text, sizeof(msg.text), "%s", text);
	peer_send(peer_of(o), &msg);
}

static void protocol_closed(struct owner *o, uint32_t seq, uint32_t channel, int32_t reason,
			    const char *text)
{
	struct vgpu_msg_closed msg = { .channel = channel, .reason = reason };

	(void)text; /* the message has no room for it; the number says it */
	head(&msg.frame, VGPU_MSG_CLOSED, sizeof(msg), seq);
	peer_send(peer_of(o), &msg);
}

const struct owner_ops protocol_owner_ops = {
	.opened = protocol_opened,
	.closed = protocol_closed,
};

static uint32_t channels_of(const struct peer *p)
{
	uint32_t limit = p->owner.m->config.limits.channels_per_vm;

	return p->owner.channels < limit ? p->owner.channels : limit;
}

static void welcome(struct peer *p, uint32_t seq)
{
	struct vgpu_msg_welcome msg = {
		.magic = VGPU_SOCKET_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.max_channels = channels_of(p),
		.max_window_bytes = p->owner.m->config.limits.window_bytes_per_channel,
	};

	head(&msg.frame, VGPU_MSG_WELCOME, sizeof(msg), seq);
	snprintf(msg.release, sizeof(msg.release), "%s", VGPU_RELEASE);
	peer_send(p, &msg);
}

static void refuse_version(struct peer *p, uint32_t version)
{
	char text[128];

	snprintf(text, sizeof(text), "peer speaks protocol version %u.%u, this mediator %u.%u",
		 VGPU_VERSION_MAJOR(version), VGPU_VERSION_MINOR(version), VGPU_PROTOCOL_MAJOR,
		 VGPU_PROTOCOL_MINOR);
	protocol_refuse(p, VGPU_EVERSION, text);
	peer_doom(p, "%s", text);
}

static void name_peer(struct peer *p, const struct vgpu_msg_hello *hello)
{
	char name[64];

	if (p->kind == PEER_DEVICE) {
		p->owner.vm = vm_new_device(p->owner.m, p->id, hello->name, hello->uuid);
		if (p->owner.vm)
			snprintf(p->owner.label, sizeof(p->owner.label), "%s", p->owner.vm->label);
		return;
	}
	p->owner.vm = vm_get_user(p->owner.m, p->uid);
	log_escape(name, sizeof(name), hello->name, strlen(hello->name));
	if (p->owner.vm)
		snprintf(p->owner.label, sizeof(p->owner.label), "%s (%s, pid %d)",
			 p->owner.vm->label, name, (int)p->pid);
}

static void greet(struct peer *p, const struct vgpu_msg_hello *hello)
{
	char before[sizeof(p->owner.label)];

	if (VGPU_VERSION_MAJOR(hello->version) != VGPU_PROTOCOL_MAJOR) {
		refuse_version(p, hello->version);
		return;
	}
	if (p->owner.m->draining) {
		protocol_refuse(p, VGPU_ESHUTDOWN, error_text(VGPU_ESHUTDOWN));
		peer_doom(p, "came while the mediator shuts down");
		return;
	}
	if (p->kind == PEER_DEVICE && hello->channels > VGPU_CHANNELS_MAX) {
		protocol_refuse(p, VGPU_EINVAL, "more channels than a device can have");
		peer_doom(p, "announced %u channels, a device has at most %d", hello->channels,
			  VGPU_CHANNELS_MAX);
		return;
	}
	memcpy(before, p->owner.label, sizeof(before));
	name_peer(p, hello);
	if (!p->owner.vm) {
		protocol_refuse(p, VGPU_ENOMEM, error_text(VGPU_ENOMEM));
		peer_doom(p, "out of memory");
		return;
	}
	p->owner.channels = hello->channels;
	event_del(p->timer);
	peer_log(p, LOG_LEVEL_INFO, "connected by %s, protocol %u.%u, up to %u channels", before,
		 VGPU_VERSION_MAJOR(hello->version), VGPU_VERSION_MINOR(hello->version),
		 channels_of(p));
	welcome(p, hello->frame.seq);
}

/* Each channel of a program may have a connection of its own; beyond that it is a flood. */
static uint64_t on_hello(struct peer *p, const struct vgpu_msg_hello *hello)
{
	const struct limits_config *limits = &p->owner.m->config.limits;
	uint64_t wait_us;

	if (p->owner.vm) {
		peer_doom(p, "sent HELLO twice");
		return 0;
	}
	wait_us = throttle_take(&peer_user(p)->greetings, 2 * limits->open_rate,
				limits->connections_per_user, clock_us());
	if (wait_us == 0)
		greet(p, hello);
	return wait_us;
}

static void on_ping(struct peer *p, uint32_t seq)
{
	struct vgpu_msg_pong msg = {
		.version = VGPU_PROTOCOL_VERSION,
		.max_channels = channels_of(p),
	};

	head(&msg.frame, VGPU_MSG_PONG, sizeof(msg), seq);
	snprintf(msg.release, sizeof(msg.release), "%s", VGPU_RELEASE);
	peer_send(p, &msg);
}

static uint64_t on_open(struct peer *p, const struct vgpu_msg_open *open, const int *fds)
{
	uint32_t rate = p->owner.m->config.limits.open_rate;
	/* as many at once as the VM may have channels: a start of all is no abuse */
	uint32_t burst = p->owner.m->config.limits.channels_per_vm;
	struct channel_request rq = {
		.number = open->channel,
		.seq = open->frame.seq,
		.transport = WORKER_TRANSPORT_MEMFD,
		.offset = open->offset,
		.length = open->length,
		.fds = { fds[0], fds[1], fds[2] },
		.nfds = 3,
	};
	uint64_t wait_us;

	if (sched_room_soon(&p->owner, open->length))
		return ROOM_WAIT_US;
	wait_us = throttle_take(&p->owner.vm->opens, rate, burst, clock_us());
	if (wait_us == 0)
		sched_open(&p->owner, &rq);
	return wait_us;
}

uint64_t protocol_message(struct peer *p, const union frame_message *msg,
			  const int fds[VGPU_FRAME_FDS_MAX])
{
	int unwanted[VGPU_FRAME_FDS_MAX];

	if (msg->frame.type == VGPU_MSG_HELLO)
		return on_hello(p, &msg->hello);
	if (!p->owner.vm) {
		memcpy(unwanted, fds, sizeof(unwanted));
		fd_discard(unwanted, VGPU_FRAME_FDS_MAX);
		peer_doom(p, "sent message type %u before HELLO", msg->frame.type);
		return 0;
	}
	switch (msg->frame.type) {
	case VGPU_MSG_OPEN:
		return on_open(p, &msg->open, fds);
	case VGPU_MSG_CLOSE:
		sched_close(&p->owner, msg->close.channel, msg->frame.seq);
		return 0;
	case VGPU_MSG_PING:
		on_ping(p, msg->frame.seq);
		return 0;
	default:
		peer_doom(p, "sent message type %u, which is the mediator's to send",
			  msg->frame.type);
		return 0;
	}
}
