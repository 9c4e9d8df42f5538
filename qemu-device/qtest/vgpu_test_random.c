/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that does anything, a mediator that answers late or not: whatever
 * comes of it, the device lives, and asks for no more than it may. The seed is
 * glib's: `--seed` repeats a run.
 */
#include "qemu/osdep.h"
#include "vgpu_test.h"
#include "hw/pci/pci_regs.h"

#define STEPS 20000

/* What the mediator knows of the device. */
typedef struct Model {
    bool open[CHANNELS];
    bool closing[CHANNELS];
    unsigned commands;          /* OPEN and PING that were not answered */
} Model;

static void random_register(Vm *vm)
{
    static const uint32_t offsets[] = {
        VGPU_REG_COMMAND, VGPU_REG_COMMAND, VGPU_REG_DOORBELL,
        VGPU_REG_DATA_OFFSET, VGPU_REG_DATA_LEN, VGPU_REG_IRQ_STATUS,
        VGPU_REG_IRQ_MASK, VGPU_REG_CHANNEL_RESET, VGPU_REG_IRQ_REARM,
        VGPU_REG_LIVENESS, VGPU_REG_ROLL_CALL, VGPU_REG_DATA,
    };
    uint32_t at = offsets[g_test_rand_int_range(0, ARRAY_SIZE(offsets))];

    switch (g_test_rand_int_range(0, 8)) {
    case 0:
        at = g_test_rand_int_range(0, VGPU_REGS_BYTES);
        qpci_io_writeb(vm->dev, vm->regs, at, g_test_rand_int());
        break;
    case 1:
        at = g_test_rand_int_range(0, VGPU_REGS_BYTES - 8);
        qpci_io_writeq(vm->dev, vm->regs, at, g_test_rand_int());
        break;
    case 2:
        reg_read(vm, g_test_rand_int_range(0, VGPU_REGS_BYTES - 4));
        break;
    case 3:
        reg_write(vm, at, g_test_rand_int());
        break;
    default:
        reg_write(vm, at, g_test_rand_int_range(0, 6));
    }
}

static void random_guest(Vm *vm)
{
    switch (g_test_rand_int_range(0, 40)) {
    case 0:
        qpci_config_writew(vm->dev, PCI_COMMAND, PCI_COMMAND_MEMORY |
                           (g_test_rand_int() & (PCI_COMMAND_MASTER |
                                                 PCI_COMMAND_INTX_DISABLE)));
        break;
    case 1:
        /* up to 32 s: beyond each time-out, but seldom */
        qtest_clock_step(vm->qts, 1000000ll << g_test_rand_int_range(0, 16));
        break;
    case 2: case 3: case 4: case 5: case 6: case 7:
        mbox_start_channel(vm, g_test_rand_bit() ? VGPU_MBOX_OPEN :
                           VGPU_MBOX_CLOSE, g_test_rand_int_range(0, 4));
        break;
    default:
        random_register(vm);
    }
}

static void answer_ping(Vm *vm, const Frame *frame)
{
    struct vgpu_msg_pong pong = {
        .frame = { VGPU_MSG_PONG, sizeof(pong), frame->head.seq },
    };

    mediator_send(vm, &pong, sizeof(pong));
}

/* Take what has come, and see that the device had the right to send it. */
static void note(Model *m, const Frame *frame)
{
    uint32_t k;

    switch (frame->head.type) {
    case VGPU_MSG_OPEN:
        k = frame->open.channel;
        g_assert_cmpuint(k, <, CHANNELS);
        g_assert_false(m->open[k] || m->closing[k]);
        g_assert_cmpuint(m->commands++, ==, 0);
        break;
    case VGPU_MSG_PING:
        g_assert_cmpuint(m->commands++, ==, 0);
        break;
    case VGPU_MSG_CLOSE:
        k = frame->close.channel;
        g_assert_cmpuint(k, <, CHANNELS);
        g_assert_true(m->open[k] && !m->closing[k]);
        m->closing[k] = true;
        break;
    default:
        g_error("message %u: not one of a device", frame->head.type);
    }
}

static void answer(Vm *vm, Model *m, const Frame *frame)
{
    uint32_t k = frame->open.channel;
    int32_t status;

    switch (frame->head.type) {
    case VGPU_MSG_OPEN:
        status = g_test_rand_int_range(0, 4) ? 0 : VGPU_EQUOTA;
        mediator_opened(vm, frame->head.seq, k, status, "");
        m->open[k] = !status;
        m->commands--;
        break;
    case VGPU_MSG_PING:
        answer_ping(vm, frame);
        m->commands--;
        break;
    default:
        mediator_closed(vm, frame->head.seq, frame->close.channel, 0);
        m->open[frame->close.channel] = m->closing[frame->close.channel] = false;
    }
}

static void test_random(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NULL);
    GQueue due = G_QUEUE_INIT;
    Model model = { 0 };
    Frame *frame;

    mediator_connect(vm);
    for (unsigned i = 0; i < STEPS; i++) {
        random_guest(vm);
        while (!mediator_is_idle(vm)) {
            frame = g_new0(Frame, 1);
            mediator_receive_any(vm, frame);
            frame_close_fds(frame);
            note(&model, frame);
            g_queue_push_tail(&due, frame);
        }
        if (due.length && g_test_rand_int_range(0, 20) == 0) {
            frame = g_queue_pop_head(&due);
            answer(vm, &model, frame);
            g_free(frame);
        }
    }
    g_assert_cmphex(reg_read(vm, VGPU_REG_MAGIC), ==, VGPU_MAGIC);
    g_assert_cmphex(reg_read(vm, VGPU_REG_MEDIATOR), ==,
                    1u << 1 | VGPU_MEDIATOR_CONNECTED);
    g_queue_foreach(&due, (GFunc)g_free, NULL);
    g_queue_clear(&due);
    vm_stop(vm);
}

void add_random_tests(void)
{
    qtest_add_func("vgpu-stub/random", test_random);
}
