/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub: which of the guest's processes live.
 *
 * The device cannot see processes. It sees that the guest's kernel cleared Bus
 * Master Enable, which uio_pci_generic does whenever a descriptor is closed,
 * and asks those who are left; see VGPU_LIVE_* in vgpu_pci.h.
 */
#include "qemu/osdep.h"
#include "vgpu_stub.h"
#include "trace.h"

/* Announcing more than can be open at once buys a guest nothing. */
#define LEAVES_MAX 1024

static void roll_call_start(VgpuStub *s)
{
    VgpuLiveness *l = &s->live;

    trace_vgpu_stub_roll_call(vgpu_name(s));
    l->calling = true;
    l->again = false;
    timer_mod(l->timer, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) +
                        VGPU_ROLL_CALL_MS);
    vgpu_irq_raise(s, VGPU_IRQ_ROLL_CALL);
}

static void roll_call_unanswered(void *opaque)
{
    VgpuStub *s = opaque;

    trace_vgpu_stub_roll_call_unanswered(vgpu_name(s));
    s->live.calling = false;
    vgpu_channels_close(s, 0);
}

static bool anything_engaged(VgpuStub *s)
{
    for (uint32_t k = 0; k < s->nr_channels; k++) {
        if (vgpu_channel_engaged(&s->channels[k])) {
            return true;
        }
    }
    return false;
}

void vgpu_liveness_announce(VgpuStub *s, uint32_t what)
{
    if (what == VGPU_LIVE_JOIN) {
        vgpu_command_change(s, PCI_COMMAND_MASTER, 0);
    } else if (s->live.leaves < LEAVES_MAX) {
        s->live.leaves++;
    }
}

void vgpu_liveness_descriptor_closed(VgpuStub *s)
{
    VgpuLiveness *l = &s->live;
    bool announced = l->leaves > 0;

    trace_vgpu_stub_descriptor_closed(vgpu_name(s), announced);
    if (announced) {
        l->leaves--;
    } else if (l->calling) {
        /* The answer may have been made up before this one died. */
        l->again = true;
    } else if (anything_engaged(s)) {
        roll_call_start(s);
    }
}

void vgpu_liveness_answer(VgpuStub *s, uint32_t alive)
{
    VgpuLiveness *l = &s->live;

    trace_vgpu_stub_roll_call_answer(vgpu_name(s), alive, l->calling);
    if (!l->calling) {
        return; /* the second answer to one call */
    }
    l->calling = false;
    timer_del(l->timer);
    vgpu_channels_close(s, alive);
    if (l->again && anything_engaged(s)) {
        roll_call_start(s);
    }
}

void vgpu_liveness_reset(VgpuStub *s)
{
    timer_del(s->live.timer);
    s->live.leaves = 0;
    s->live.calling = false;
    s->live.again = false;
}

void vgpu_liveness_init(VgpuStub *s)
{
    s->live.timer = timer_new_ms(QEMU_CLOCK_VIRTUAL, roll_call_unanswered, s);
}

void vgpu_liveness_exit(VgpuStub *s)
{
    g_clear_pointer(&s->live.timer, timer_free);
}
