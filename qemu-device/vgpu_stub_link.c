/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub: the socket to the mediator; vgpu_socket.h is the specification.
 *
 * The chardev connects, and connects again where it was told to. Every
 * connection starts with HELLO; only WELCOME makes it count. A frame that is
 * wrong in anything ends the connection.
 *
 * No write waits: what is on its way is bounded (see mailbox and channel) and
 * far below a socket's buffer, so that a peer whose buffer is full is one that
 * does not read, and is hung up on.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "chardev/char.h"
#include "vgpu_stub.h"
#include "trace.h"

typedef bool (*FrameHandler)(VgpuStub *s, const void *frame, uint32_t seq,
                             Error **errp);

bool vgpu_link_configured(VgpuStub *s)
{
    return qemu_chr_fe_backend_connected(&s->link.chr);
}

bool vgpu_link_up(const VgpuStub *s)
{
    return s->link.state == VGPU_LINK_UP;
}

/* Never 0: that is the number of what was not asked for. */
uint32_t vgpu_link_next_seq(VgpuStub *s)
{
    if (++s->link.seq == 0) {
        s->link.seq = 1;
    }
    return s->link.seq;
}

/* Leave the connection's state, and tell everybody if it had counted. */
static void link_leave(VgpuStub *s, VgpuLinkState state)
{
    bool was_up = vgpu_link_up(s);

    s->link.state = state;
    s->link.have = 0;
    if (was_up) {
        trace_vgpu_stub_link_lost(vgpu_name(s), s->link.generation);
        vgpu_channels_link_lost(s);
        vgpu_mailbox_link_lost(s);
        vgpu_irq_raise(s, VGPU_IRQ_MEDIATOR);
    }
}

/*
 * Hang up, but not from here: this may run inside the chardev's own read or
 * write. Consumes @err, which may be NULL.
 */
static void link_break(VgpuStub *s, Error *err)
{
    if (err) {
        warn_reportf_err(err, "vgpu-stub %s: mediator: ", vgpu_name(s));
    }
    if (s->link.state == VGPU_LINK_DOWN) {
        return;
    }
    link_leave(s, VGPU_LINK_BROKEN);
    qemu_bh_schedule(s->link.hangup);
}

static void link_hang_up(void *opaque)
{
    VgpuStub *s = opaque;

    if (s->link.state == VGPU_LINK_BROKEN) {
        qemu_chr_fe_disconnect(&s->link.chr);
    }
}

bool vgpu_link_send(VgpuStub *s, void *msg, uint32_t type, uint32_t length,
                    uint32_t seq, int *fds, int nr_fds)
{
    struct vgpu_frame *frame = msg;
    Error *err = NULL;
    int sent;

    frame->type = cpu_to_le32(type);
    frame->length = cpu_to_le32(length);
    frame->seq = cpu_to_le32(seq);
    trace_vgpu_stub_link_send(vgpu_name(s), type, seq, nr_fds);

    /* Also with none: descriptors of a write that failed would go with it. */
    if (qemu_chr_fe_set_msgfds(&s->link.chr, fds, nr_fds) < 0) {
        error_setg(&err, "send message %u: the connection passes no "
                   "descriptors", type);
        link_break(s, err);
        return false;
    }
    sent = qemu_chr_fe_write(&s->link.chr, msg, length);
    if (sent != length) {
        /* The chardev has one errno for all that ends a connection. */
        if (sent >= 0 || errno == EAGAIN) {
            error_setg(&err, "send message %u: the peer does not read", type);
        }
        link_break(s, err);
        return false;
    }
    return true;
}

static void link_greet(VgpuStub *s)
{
    struct vgpu_msg_hello msg = {
        .magic = cpu_to_le64(VGPU_SOCKET_MAGIC),
        .version = cpu_to_le32(VGPU_PROTOCOL_VERSION),
        .channels = cpu_to_le32(s->nr_channels),
    };
    const char *name = qemu_get_vm_name();

    QEMU_BUILD_BUG_ON(sizeof(msg.uuid) != sizeof(qemu_uuid.data));
    if (qemu_uuid_set) {
        memcpy(msg.uuid, qemu_uuid.data, sizeof(msg.uuid));
    }
    pstrcpy(msg.name, sizeof(msg.name), name ? name : "");

    s->link.state = VGPU_LINK_GREETING;
    s->link.have = 0;
    s->link.hello_seq = vgpu_link_next_seq(s);
    vgpu_link_send(s, &msg, VGPU_MSG_HELLO, sizeof(msg), s->link.hello_seq,
                   NULL, 0);
}

static bool is_terminated(const char *text, size_t size, Error **errp)
{
    if (!memchr(text, 0, size)) {
        error_setg(errp, "text without end");
        return false;
    }
    return true;
}

static bool answers_hello(VgpuStub *s, uint32_t seq, uint64_t magic,
                          Error **errp)
{
    if (seq != s->link.hello_seq) {
        error_setg(errp, "answer to message %u instead of %u", seq,
                   s->link.hello_seq);
        return false;
    }
    if (le64_to_cpu(magic) != VGPU_SOCKET_MAGIC) {
        error_setg(errp, "wrong magic");
        return false;
    }
    return true;
}

static bool handle_welcome(VgpuStub *s, const void *frame, uint32_t seq,
                           Error **errp)
{
    const struct vgpu_msg_welcome *msg = frame;
    uint32_t version = le32_to_cpu(msg->version);

    if (!answers_hello(s, seq, msg->magic, errp) ||
        !is_terminated(msg->release, sizeof(msg->release), errp)) {
        return false;
    }
    if (VGPU_VERSION_MAJOR(version) != VGPU_PROTOCOL_MAJOR) {
        error_setg(errp, "it speaks protocol %u.%u, this device %u.%u",
                   VGPU_VERSION_MAJOR(version), VGPU_VERSION_MINOR(version),
                   VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR);
        return false;
    }
    s->link.state = VGPU_LINK_UP;
    s->link.refusal = 0;
    s->link.generation++;
    trace_vgpu_stub_link_up(vgpu_name(s), s->link.generation);
    vgpu_irq_raise(s, VGPU_IRQ_MEDIATOR);
    return true;
}

/* For the log: no control characters of another process. */
static char *printable(const char *text)
{
    char *copy = g_strdup(text);

    for (char *p = copy; *p; p++) {
        if (!g_ascii_isprint(*p)) {
            *p = '?';
        }
    }
    return copy;
}

/* Not an error of the protocol. Told once, however often it is tried again. */
static bool handle_refused(VgpuStub *s, const void *frame, uint32_t seq,
                           Error **errp)
{
    const struct vgpu_msg_refused *msg = frame;
    g_autofree char *text = NULL;
    int32_t error = le32_to_cpu(msg->error);
    Error *err = NULL;

    if (!answers_hello(s, seq, msg->magic, errp) ||
        !is_terminated(msg->text, sizeof(msg->text), errp)) {
        return false;
    }
    if (error >= 0) {
        error_setg(errp, "refusal without an error");
        return false;
    }
    text = printable(msg->text);
    text[MIN(strlen(text), sizeof(s->link.refusal_text) - 1)] = 0;
    if (error != s->link.refusal || strcmp(text, s->link.refusal_text)) {
        error_setg(&err, "it refuses this VM: %s (%d)", text, error);
    }
    s->link.refusal = error;
    pstrcpy(s->link.refusal_text, sizeof(s->link.refusal_text), text);
    link_break(s, err);
    return true;
}

static bool channel_of(VgpuStub *s, uint32_t k, VgpuChannel **ch,
                       Error **errp)
{
    if (k >= s->nr_channels) {
        error_setg(errp, "channel %u: the device has %u", k, s->nr_channels);
        return false;
    }
    *ch = &s->channels[k];
    return true;
}

static bool handle_opened(VgpuStub *s, const void *frame, uint32_t seq,
                          Error **errp)
{
    const struct vgpu_msg_opened *msg = frame;
    uint32_t k = le32_to_cpu(msg->channel);
    int32_t status = le32_to_cpu(msg->status);
    VgpuChannel *ch;

    if (!channel_of(s, k, &ch, errp) ||
        !is_terminated(msg->text, sizeof(msg->text), errp)) {
        return false;
    }
    if (status > 0) {
        error_setg(errp, "channel %u: status %d is no error", k, status);
        return false;
    }
    if (!vgpu_mailbox_opened(s, seq, k, status, msg->text)) {
        error_setg(errp, "channel %u: opened, but not asked for", k);
        return false;
    }
    return true;
}

static bool handle_closed(VgpuStub *s, const void *frame, uint32_t seq,
                          Error **errp)
{
    const struct vgpu_msg_closed *msg = frame;
    uint32_t k = le32_to_cpu(msg->channel);
    int32_t reason = le32_to_cpu(msg->reason);
    VgpuChannel *ch;

    if (!channel_of(s, k, &ch, errp)) {
        return false;
    }
    if (reason > 0) {
        error_setg(errp, "channel %u: reason %d is no error", k, reason);
        return false;
    }
    if (!vgpu_channel_closed(ch, seq, reason)) {
        error_setg(errp, "channel %u: closed, but it is not open", k);
        return false;
    }
    return true;
}

static bool handle_pong(VgpuStub *s, const void *frame, uint32_t seq,
                        Error **errp)
{
    const struct vgpu_msg_pong *msg = frame;
    struct vgpu_mbox_info info = {
        .protocol_version = msg->version,   /* little-endian both */
        .max_channels = msg->max_channels,
    };

    QEMU_BUILD_BUG_ON(sizeof(info.version) != sizeof(msg->release));
    if (!is_terminated(msg->release, sizeof(msg->release), errp)) {
        return false;
    }
    pstrcpy(info.version, sizeof(info.version), msg->release);
    if (!vgpu_mailbox_pong(s, seq, &info)) {
        error_setg(errp, "pong without ping");
        return false;
    }
    return true;
}

static const struct FrameKind {
    uint32_t type;
    uint32_t length;
    VgpuLinkState state;    /* the only one in which it may come */
    FrameHandler handle;
} frame_kinds[] = {
    { VGPU_MSG_WELCOME, sizeof(struct vgpu_msg_welcome), VGPU_LINK_GREETING,
      handle_welcome },
    { VGPU_MSG_REFUSED, sizeof(struct vgpu_msg_refused), VGPU_LINK_GREETING,
      handle_refused },
    { VGPU_MSG_OPENED, sizeof(struct vgpu_msg_opened), VGPU_LINK_UP,
      handle_opened },
    { VGPU_MSG_CLOSED, sizeof(struct vgpu_msg_closed), VGPU_LINK_UP,
      handle_closed },
    { VGPU_MSG_PONG, sizeof(struct vgpu_msg_pong), VGPU_LINK_UP,
      handle_pong },
};

/* What the frame that starts the buffer is. NULL: nothing that may come now. */
static const struct FrameKind *frame_kind(VgpuStub *s, Error **errp)
{
    const struct vgpu_frame *frame = (const void *)s->link.rx;
    uint32_t type = le32_to_cpu(frame->type);
    uint32_t length = le32_to_cpu(frame->length);

    if (frame->reserved) {
        error_setg(errp, "message %u: reserved field is set", type);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(frame_kinds); i++) {
        const struct FrameKind *kind = &frame_kinds[i];

        if (kind->type != type || kind->state != s->link.state) {
            continue;
        }
        if (kind->length != length) {
            error_setg(errp, "message %u: %u bytes instead of %u", type,
                       length, kind->length);
            return NULL;
        }
        return kind;
    }
    error_setg(errp, "message %u: unknown, or not to come now", type);
    return NULL;
}

/* Take one frame off the buffer, if it is there. False: @errp or no more. */
static bool link_take_frame(VgpuStub *s, Error **errp)
{
    VgpuLink *l = &s->link;
    uint8_t frame[VGPU_FRAME_BYTES_MAX] QEMU_ALIGNED(8);
    const struct FrameKind *kind;
    uint32_t seq;

    if (l->have < sizeof(struct vgpu_frame)) {
        return false;
    }
    kind = frame_kind(s, errp);
    if (!kind || l->have < kind->length) {
        return false;
    }
    memcpy(frame, l->rx, kind->length);
    l->have -= kind->length;
    memmove(l->rx, l->rx + kind->length, l->have);
    seq = le32_to_cpu(((struct vgpu_frame *)frame)->seq);
    trace_vgpu_stub_link_receive(vgpu_name(s), kind->type, seq);
    return kind->handle(s, frame, seq, errp);
}

/* True: there were some. */
static bool link_drop_descriptors(VgpuStub *s)
{
    int fd, nr = qemu_chr_fe_get_msgfds(&s->link.chr, &fd, 1);

    if (nr > 0) {
        close(fd);
    }
    return nr > 0;
}

static int link_can_read(void *opaque)
{
    VgpuStub *s = opaque;

    if (s->link.state != VGPU_LINK_GREETING && !vgpu_link_up(s)) {
        return 0;
    }
    return sizeof(s->link.rx) - s->link.have;
}

static void link_read(void *opaque, const uint8_t *buf, int size)
{
    VgpuStub *s = opaque;
    Error *err = NULL;

    if (link_drop_descriptors(s)) {
        error_setg(&err, "it sent descriptors");
        link_break(s, err);
        return;
    }
    if (size > link_can_read(s)) {
        return; /* broken meanwhile */
    }
    memcpy(s->link.rx + s->link.have, buf, size);
    s->link.have += size;
    while (link_take_frame(s, &err)) {
        /* each may bring the link down, and then nothing is left */
    }
    if (err) {
        link_break(s, err);
    }
}

static void link_event(void *opaque, QEMUChrEvent event)
{
    VgpuStub *s = opaque;

    switch (event) {
    case CHR_EVENT_OPENED:
        link_leave(s, VGPU_LINK_DOWN);
        link_greet(s);
        break;
    case CHR_EVENT_CLOSED:
        link_leave(s, VGPU_LINK_DOWN);
        break;
    default:
        break;
    }
}

/* The last of realize: the first HELLO may go out from within. */
bool vgpu_link_init(VgpuStub *s, Error **errp)
{
    Chardev *chr = qemu_chr_fe_get_driver(&s->link.chr);

    if (!chr) {
        return true;
    }
    if (!qemu_chr_has_feature(chr, QEMU_CHAR_FEATURE_FD_PASS)) {
        error_setg(errp, "chardev '%s': cannot pass descriptors: it must be a "
                   "Unix socket given by its path", chr->label);
        return false;
    }
    s->link.hangup = qemu_bh_new(link_hang_up, s);
    qemu_chr_fe_set_handlers(&s->link.chr, link_can_read, link_read,
                             link_event, NULL, s, NULL, true);
    return true;
}

/* The mediator ends all channels of a connection that hangs up. */
void vgpu_link_exit(VgpuStub *s)
{
    if (!s->link.hangup) {
        return;
    }
    qemu_chr_fe_set_handlers(&s->link.chr, NULL, NULL, NULL, NULL, NULL, NULL,
                             false);
    qemu_chr_fe_disconnect(&s->link.chr);
    g_clear_pointer(&s->link.hangup, qemu_bh_delete);
    s->link.state = VGPU_LINK_DOWN;
}
