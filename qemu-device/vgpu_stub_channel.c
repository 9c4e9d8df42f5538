/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub: channels.
 *
 *   CLOSED, or a negative reason
 *     -> OPENING     mailbox OPEN; wired, OPEN sent
 *     -> OPEN        OPENED came
 *     -> CLOSING     asked by the guest, a reset or a roll call
 *     -> CLOSED      CLOSED came
 *
 * A channel that is closed while its OPENED is due waits for that first: only
 * then is it known whether there is anything to close. So a guest has at most
 * one CLOSE a channel on its way, however often it asks.
 */
#include "qemu/osdep.h"
#include "vgpu_stub.h"
#include "trace.h"

static void worker_signalled(EventNotifier *n)
{
    VgpuChannel *ch = container_of(n, VgpuChannel, to_guest);

    if (event_notifier_test_and_clear(n)) {
        trace_vgpu_stub_channel_signal(vgpu_name(ch->dev), ch->index);
        vgpu_irq_raise(ch->dev, VGPU_IRQ_CHANNEL(ch->index));
    }
}

/*
 * New notifiers for each opening: a worker of an earlier one that is still
 * dying would take wake-ups off shared ones.
 */
static bool channel_wire(VgpuChannel *ch, Error **errp)
{
    int rc = event_notifier_init(&ch->to_host, 0);

    if (rc < 0) {
        error_setg_errno(errp, -rc, "create eventfd");
        return false;
    }
    rc = event_notifier_init(&ch->to_guest, 0);
    if (rc < 0) {
        event_notifier_cleanup(&ch->to_host);
        error_setg_errno(errp, -rc, "create eventfd");
        return false;
    }
    event_notifier_set_handler(&ch->to_guest, worker_signalled);
    memory_region_add_eventfd(&ch->dev->regs, VGPU_REG_DOORBELL, 4, true,
                              ch->index, &ch->to_host);
    ch->wired = true;
    return true;
}

static void channel_unwire(VgpuChannel *ch)
{
    if (!ch->wired) {
        return;
    }
    ch->wired = false;
    memory_region_del_eventfd(&ch->dev->regs, VGPU_REG_DOORBELL, 4, true,
                              ch->index, &ch->to_host);
    event_notifier_set_handler(&ch->to_guest, NULL);
    event_notifier_cleanup(&ch->to_guest);
    event_notifier_cleanup(&ch->to_host);
}

static void channel_set_state(VgpuChannel *ch, int32_t state)
{
    if (ch->state == state) {
        return;
    }
    trace_vgpu_stub_channel_state(vgpu_name(ch->dev), ch->index, ch->state,
                                  state);
    ch->state = state;
}

/* The memory is no longer used by the host, or never was. */
static void channel_end(VgpuChannel *ch, int32_t state)
{
    channel_unwire(ch);
    channel_set_state(ch, state);
    vgpu_irq_raise(ch->dev, VGPU_IRQ_CHANNEL(ch->index));
    vgpu_mailbox_closed(ch->dev, ch->index);
}

static void channel_send_close(VgpuChannel *ch)
{
    struct vgpu_msg_close msg = { .channel = cpu_to_le32(ch->index) };

    ch->close_seq = vgpu_link_next_seq(ch->dev);
    vgpu_link_send(ch->dev, &msg, VGPU_MSG_CLOSE, sizeof(msg), ch->close_seq,
                   NULL, 0);
}

bool vgpu_channel_engaged(const VgpuChannel *ch)
{
    return ch->state > VGPU_CHANNEL_CLOSED;
}

/* Hand the slice and its notifiers to the mediator. */
bool vgpu_channel_open(VgpuChannel *ch, uint32_t seq, Error **errp)
{
    VgpuStub *s = ch->dev;
    struct vgpu_msg_open msg = {
        .channel = cpu_to_le32(ch->index),
        .offset = cpu_to_le64(ch->index * s->slice_bytes),
        .length = cpu_to_le64(s->slice_bytes),
    };
    int fds[3];

    if (!channel_wire(ch, errp)) {
        return false;
    }
    fds[0] = memory_region_get_fd(s->window);
    fds[1] = event_notifier_get_fd(&ch->to_host);
    fds[2] = event_notifier_get_fd(&ch->to_guest);
    ch->close_seq = 0;
    channel_set_state(ch, VGPU_CHANNEL_OPENING);
    vgpu_link_send(s, &msg, VGPU_MSG_OPEN, sizeof(msg), seq, fds,
                   ARRAY_SIZE(fds));
    return true;
}

void vgpu_channel_opened(VgpuChannel *ch, int32_t status)
{
    if (status) {
        channel_end(ch, VGPU_CHANNEL_CLOSED);
    } else if (ch->state == VGPU_CHANNEL_OPENING) {
        channel_set_state(ch, VGPU_CHANNEL_OPEN);
    } else {
        channel_send_close(ch);
    }
}

void vgpu_channel_close(VgpuChannel *ch)
{
    switch (ch->state) {
    case VGPU_CHANNEL_CLOSING:
        break;
    case VGPU_CHANNEL_OPENING:
        channel_set_state(ch, VGPU_CHANNEL_CLOSING);
        break;
    case VGPU_CHANNEL_OPEN:
        channel_set_state(ch, VGPU_CHANNEL_CLOSING);
        channel_send_close(ch);
        break;
    default:
        channel_set_state(ch, VGPU_CHANNEL_CLOSED);
    }
}

/*
 * The mediator ended the channel: @seq is that of our CLOSE, or 0. @reason is 0
 * where its worker ended in order. The two may
 * cross, and then both come; the second finds the channel closed, or open
 * again, and is dropped. False: there was nothing that could be closed.
 */
bool vgpu_channel_closed(VgpuChannel *ch, uint32_t seq, int32_t reason)
{
    if (seq != 0) {
        if (seq != ch->close_seq) {
            trace_vgpu_stub_channel_late_closed(vgpu_name(ch->dev), ch->index,
                                                seq);
            return true;
        }
        ch->close_seq = 0;
        if (ch->state == VGPU_CHANNEL_CLOSING) {
            channel_end(ch, VGPU_CHANNEL_CLOSED);
        }
        return true;
    }

    if (ch->state == VGPU_CHANNEL_OPEN) {
        channel_end(ch, reason);
        return true;
    }
    if (ch->state == VGPU_CHANNEL_CLOSING && ch->close_seq != 0) {
        channel_end(ch, VGPU_CHANNEL_CLOSED);
        return true;
    }
    return false;
}

void vgpu_channels_link_lost(VgpuStub *s)
{
    for (uint32_t k = 0; k < s->nr_channels; k++) {
        VgpuChannel *ch = &s->channels[k];

        ch->close_seq = 0;
        if (ch->state == VGPU_CHANNEL_CLOSING) {
            channel_end(ch, VGPU_CHANNEL_CLOSED);
        } else if (vgpu_channel_engaged(ch)) {
            channel_end(ch, VGPU_EDEVLOST);
        }
    }
}

/* Close all but those whose bit is set in @keep. */
void vgpu_channels_close(VgpuStub *s, uint32_t keep)
{
    for (uint32_t k = 0; k < s->nr_channels; k++) {
        if (!(keep & (1u << k))) {
            vgpu_channel_close(&s->channels[k]);
        }
    }
}

void vgpu_channels_init(VgpuStub *s)
{
    for (uint32_t k = 0; k < s->nr_channels; k++) {
        s->channels[k].dev = s;
        s->channels[k].index = k;
    }
}

void vgpu_channels_exit(VgpuStub *s)
{
    for (uint32_t k = 0; k < s->nr_channels; k++) {
        channel_unwire(&s->channels[k]);
    }
}
