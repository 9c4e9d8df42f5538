/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub: the mailbox.
 *
 * One command at a time. What needs the mediator becomes one message, and at
 * most one answer is due at any time: after a timeout or a reset the next such
 * command is refused until the late answer came or the connection is gone.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "vgpu_stub.h"
#include "trace.h"

#define DATA_AT(offset) ((offset) - VGPU_REG_DATA)

static bool mailbox_busy(const VgpuMailbox *m)
{
    return m->status == VGPU_MBOX_BUSY;
}

/* End the running command. One that is not waited for any more is dropped. */
static void mailbox_complete(VgpuStub *s, int32_t status, const void *result,
                             uint32_t length)
{
    VgpuMailbox *m = &s->mbox;

    if (!mailbox_busy(m)) {
        trace_vgpu_stub_mailbox_late(vgpu_name(s), m->asked, status);
        return;
    }
    trace_vgpu_stub_mailbox_done(vgpu_name(s), m->running, status);
    timer_del(m->timer);
    if (length) {
        memcpy(&m->data[DATA_AT(m->result_offset)], result, length);
    }
    m->data_len = length;
    m->status = status;
    vgpu_irq_raise(s, VGPU_IRQ_MAILBOX);
}

static void mailbox_complete_open(VgpuStub *s, int32_t status,
                                  const char *text)
{
    struct vgpu_mbox_opened result = { .status = cpu_to_le32(status) };

    pstrcpy(result.text, sizeof(result.text), text);
    mailbox_complete(s, status, &result, sizeof(result));
}

static void mailbox_fail(VgpuStub *s, int32_t status, const char *text)
{
    if (s->mbox.running == VGPU_MBOX_OPEN) {
        mailbox_complete_open(s, status, text);
    } else {
        mailbox_complete(s, status, NULL, 0);
    }
}

static void mailbox_timed_out(void *opaque)
{
    VgpuStub *s = opaque;
    VgpuMailbox *m = &s->mbox;

    mailbox_fail(s, VGPU_ETIMEDOUT, "the mediator did not answer in time");
    if (m->asked == VGPU_MBOX_OPEN) {
        vgpu_channel_close(&s->channels[m->asked_channel]);
    }
}

/* An answer is due from here on. */
static void mailbox_await(VgpuStub *s, uint32_t channel)
{
    VgpuMailbox *m = &s->mbox;

    m->due = true;
    m->asked = m->running;
    m->asked_channel = channel;
    m->asked_seq = vgpu_link_next_seq(s);
    timer_mod(m->timer, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) +
                        VGPU_MBOX_TIMEOUT_MS);
}

/* False: completed with an error, as there is no one to ask. */
static bool mailbox_may_ask(VgpuStub *s)
{
    if (s->mbox.due) {
        mailbox_fail(s, VGPU_EBUSY,
                     "the mediator has not answered an earlier command yet");
        return false;
    }
    if (vgpu_link_up(s)) {
        return true;
    }
    if (s->link.refusal) {
        mailbox_fail(s, s->link.refusal, s->link.refusal_text);
    } else if (vgpu_link_configured(s)) {
        mailbox_fail(s, VGPU_ENOMEDIATOR, "no mediator is connected");
    } else {
        mailbox_fail(s, VGPU_ENOMEDIATOR,
                     "the device was given no chardev to a mediator");
    }
    return false;
}

static void mailbox_ping(VgpuStub *s)
{
    struct vgpu_msg_ping msg = {};

    if (mailbox_may_ask(s)) {
        mailbox_await(s, 0);
        vgpu_link_send(s, &msg, VGPU_MSG_PING, sizeof(msg), s->mbox.asked_seq,
                       NULL, 0);
    }
}

static void mailbox_open(VgpuStub *s, VgpuChannel *ch)
{
    g_autofree char *text = NULL;
    Error *err = NULL;

    if (ch->state == VGPU_CHANNEL_CLOSING) {
        mailbox_fail(s, VGPU_EBUSY, "the channel is still being closed");
        return;
    }
    if (vgpu_channel_engaged(ch)) {
        mailbox_fail(s, VGPU_EBUSY, "the channel is open");
        return;
    }
    if (!mailbox_may_ask(s)) {
        return;
    }
    mailbox_await(s, ch->index);
    if (!vgpu_channel_open(ch, s->mbox.asked_seq, &err)) {
        s->mbox.due = false;
        text = g_strdup(error_get_pretty(err));
        error_free(err);
        mailbox_fail(s, VGPU_ENOMEM, text);
    }
}

static void mailbox_close(VgpuStub *s, VgpuChannel *ch)
{
    if (!vgpu_channel_engaged(ch)) {
        vgpu_channel_close(ch); /* forgets the reason of an earlier end */
        mailbox_complete(s, 0, NULL, 0);
    } else if (ch->state != VGPU_CHANNEL_OPEN) {
        mailbox_complete(s, VGPU_EBUSY, NULL, 0);
    } else if (mailbox_may_ask(s)) {
        mailbox_await(s, ch->index);
        vgpu_channel_close(ch);
    }
}

/* The payload of OPEN and CLOSE. NULL: refused and completed. */
static VgpuChannel *mailbox_channel(VgpuStub *s)
{
    VgpuMailbox *m = &s->mbox;
    struct vgpu_mbox_channel arg;
    uint32_t k;

    if (!s->window) {
        mailbox_fail(s, VGPU_ENOTSUP, "the device was given no window");
        return NULL;
    }
    if (m->data_len != sizeof(arg)) {
        mailbox_fail(s, VGPU_EINVAL, "the payload is not one channel");
        return NULL;
    }
    memcpy(&arg, &m->data[DATA_AT(m->data_offset)], sizeof(arg));
    k = le32_to_cpu(arg.channel);
    if (arg.reserved) {
        mailbox_fail(s, VGPU_EINVAL, "a reserved field of the payload is set");
        return NULL;
    }
    if (k >= s->nr_channels) {
        mailbox_fail(s, VGPU_EINVAL, "the device has no such channel");
        return NULL;
    }
    return &s->channels[k];
}

static uint32_t result_bytes(uint32_t command)
{
    switch (command) {
    case VGPU_MBOX_INFO:
        return sizeof(struct vgpu_mbox_info);
    case VGPU_MBOX_OPEN:
        return sizeof(struct vgpu_mbox_opened);
    default:
        return 0;
    }
}

static void mailbox_run(VgpuStub *s)
{
    VgpuMailbox *m = &s->mbox;
    uint32_t room = VGPU_REGS_BYTES - m->data_offset;
    VgpuChannel *ch;

    if (m->data_len > room || result_bytes(m->running) > room) {
        mailbox_complete(s, VGPU_ERANGE, NULL, 0);
        return;
    }

    switch (m->running) {
    case VGPU_MBOX_NOP:
    case VGPU_MBOX_INFO:
        mailbox_ping(s);
        break;
    case VGPU_MBOX_OPEN:
        ch = mailbox_channel(s);
        if (ch) {
            mailbox_open(s, ch);
        }
        break;
    case VGPU_MBOX_CLOSE:
        ch = mailbox_channel(s);
        if (ch) {
            mailbox_close(s, ch);
        }
        break;
    default:
        mailbox_complete(s, VGPU_ENOCMD, NULL, 0);
    }
}

/* The caller has seen that no command runs. */
void vgpu_mailbox_start(VgpuStub *s, uint32_t command)
{
    VgpuMailbox *m = &s->mbox;

    trace_vgpu_stub_mailbox_start(vgpu_name(s), command);
    m->command = command;
    m->status = VGPU_MBOX_BUSY;
    m->running = command;
    m->result_offset = m->data_offset;
    mailbox_run(s);
}

bool vgpu_mailbox_pong(VgpuStub *s, uint32_t seq,
                       const struct vgpu_mbox_info *info)
{
    VgpuMailbox *m = &s->mbox;

    if (!m->due || seq != m->asked_seq ||
        (m->asked != VGPU_MBOX_NOP && m->asked != VGPU_MBOX_INFO)) {
        return false;
    }
    m->due = false;
    mailbox_complete(s, 0, info, result_bytes(m->asked));
    return true;
}

bool vgpu_mailbox_opened(VgpuStub *s, uint32_t seq, uint32_t channel,
                         int32_t status, const char *text)
{
    VgpuMailbox *m = &s->mbox;
    VgpuChannel *ch;

    if (!m->due || seq != m->asked_seq || m->asked != VGPU_MBOX_OPEN ||
        channel != m->asked_channel) {
        return false;
    }
    m->due = false;
    ch = &s->channels[channel];
    if (!status && ch->state != VGPU_CHANNEL_OPENING) {
        mailbox_complete_open(s, VGPU_EDEVLOST,
                              "the channel was closed while it was opened");
    } else {
        mailbox_complete_open(s, status, text);
    }
    vgpu_channel_opened(ch, status);
    return true;
}

/* @channel has ended, as it was asked or for another reason. */
void vgpu_mailbox_closed(VgpuStub *s, uint32_t channel)
{
    VgpuMailbox *m = &s->mbox;

    if (m->due && m->asked == VGPU_MBOX_CLOSE && m->asked_channel == channel) {
        m->due = false;
        mailbox_complete(s, 0, NULL, 0);
    }
}

void vgpu_mailbox_link_lost(VgpuStub *s)
{
    s->mbox.due = false;
    if (mailbox_busy(&s->mbox)) {
        mailbox_fail(s, VGPU_EDEVLOST, "the connection to the mediator broke");
    }
}

/* An answer that is due stays due: the mediator knows nothing of the reset. */
void vgpu_mailbox_reset(VgpuStub *s)
{
    VgpuMailbox *m = &s->mbox;

    timer_del(m->timer);
    m->command = 0;
    m->status = 0;
    m->data_offset = VGPU_REG_DATA;
    m->data_len = 0;
    memset(m->data, 0, sizeof(m->data));
}

void vgpu_mailbox_init(VgpuStub *s)
{
    s->mbox.timer = timer_new_ms(QEMU_CLOCK_VIRTUAL, mailbox_timed_out, s);
}

void vgpu_mailbox_exit(VgpuStub *s)
{
    g_clear_pointer(&s->mbox.timer, timer_free);
}
