/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who lives: the bus-master bit, the roll call, its answer. */
#include "qemu/osdep.h"
#include "vgpu_test.h"
#include "hw/pci/pci_regs.h"

/* Channels 0 and 1 are open, two processes have joined. */
static Vm *start_two(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NULL);
    Frame frame;

    mediator_connect(vm);
    reg_write(vm, VGPU_REG_LIVENESS, VGPU_LIVE_JOIN);
    reg_write(vm, VGPU_REG_LIVENESS, VGPU_LIVE_JOIN);
    for (uint32_t k = 0; k < 2; k++) {
        channel_open(vm, k, &frame);
        frame_close_fds(&frame);
    }
    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_ALL);
    return vm;
}

static bool bus_master(Vm *vm)
{
    return qpci_config_readw(vm->dev, PCI_COMMAND) & PCI_COMMAND_MASTER;
}

/* What uio_pci_generic does when a descriptor is closed. */
static void descriptor_closed(Vm *vm)
{
    uint16_t command = qpci_config_readw(vm->dev, PCI_COMMAND);

    g_assert_true(command & PCI_COMMAND_MASTER);
    qpci_config_writew(vm->dev, PCI_COMMAND, command & ~PCI_COMMAND_MASTER);
    g_assert_true(bus_master(vm));      /* or the next one would not be seen */
}

static bool roll_called(Vm *vm)
{
    bool called = reg_read(vm, VGPU_REG_IRQ_STATUS) & VGPU_IRQ_ROLL_CALL;

    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_ALL);
    return called;
}

static void advance(Vm *vm, int64_t ms)
{
    qtest_clock_step(vm->qts, ms * 1000 * 1000);
}

static void expect_close(Vm *vm, uint32_t channel)
{
    Frame frame;

    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    g_assert_cmpuint(frame.close.channel, ==, channel);
    mediator_closed(vm, frame.head.seq, channel, 0);
    channel_wait(vm, channel, VGPU_CHANNEL_CLOSED);
}

static void test_join(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    g_assert_false(bus_master(vm));
    reg_write(vm, VGPU_REG_LIVENESS, VGPU_LIVE_JOIN);
    g_assert_true(bus_master(vm));
    g_assert_cmphex(qpci_config_readw(vm->dev, PCI_COMMAND), ==,
                    PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    vm_stop(vm);
}

static void test_answer(void)
{
    Vm *vm = start_two();

    descriptor_closed(vm);
    g_assert_true(roll_called(vm));
    reg_write(vm, VGPU_REG_ROLL_CALL, 1u << 1);
    expect_close(vm, 0);
    g_assert_cmpint(channel_state(vm, 1), ==, VGPU_CHANNEL_OPEN);

    /* the call is over: neither a second answer nor time does anything */
    reg_write(vm, VGPU_REG_ROLL_CALL, 0);
    advance(vm, 2 * VGPU_ROLL_CALL_MS);
    g_assert_true(mediator_is_idle(vm));
    g_assert_cmpint(channel_state(vm, 1), ==, VGPU_CHANNEL_OPEN);
    vm_stop(vm);
}

static void test_no_answer(void)
{
    Vm *vm = start_two();

    descriptor_closed(vm);
    advance(vm, VGPU_ROLL_CALL_MS - 1);
    g_assert_true(mediator_is_idle(vm));
    advance(vm, 1);
    expect_close(vm, 0);
    expect_close(vm, 1);
    vm_stop(vm);
}

static void test_announced_leave(void)
{
    Vm *vm = start_two();

    reg_write(vm, VGPU_REG_LIVENESS, VGPU_LIVE_LEAVE);
    descriptor_closed(vm);
    g_assert_false(roll_called(vm));
    advance(vm, 2 * VGPU_ROLL_CALL_MS);
    g_assert_true(mediator_is_idle(vm));

    /* one announcement, one closing */
    descriptor_closed(vm);
    g_assert_true(roll_called(vm));
    vm_stop(vm);
}

/* The answer may be older than the second death: it is asked for again. */
static void test_death_during_call(void)
{
    Vm *vm = start_two();

    descriptor_closed(vm);
    g_assert_true(roll_called(vm));
    descriptor_closed(vm);
    reg_write(vm, VGPU_REG_ROLL_CALL, 3);
    g_assert_true(roll_called(vm));
    g_assert_true(mediator_is_idle(vm));
    reg_write(vm, VGPU_REG_ROLL_CALL, 1);
    expect_close(vm, 1);
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_CHANNEL_OPEN);
    vm_stop(vm);
}

static void test_nothing_open(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    reg_write(vm, VGPU_REG_LIVENESS, VGPU_LIVE_JOIN);
    descriptor_closed(vm);
    g_assert_false(roll_called(vm));
    vm_stop(vm);
}

/* The process died between OPEN and its answer. */
static void test_death_while_opening(void)
{
    Vm *vm = start_two();
    Frame frame;

    mbox_start_channel(vm, VGPU_MBOX_OPEN, 2);
    mediator_receive(vm, VGPU_MSG_OPEN, &frame);
    frame_close_fds(&frame);
    descriptor_closed(vm);
    reg_write(vm, VGPU_REG_ROLL_CALL, 3);
    g_assert_cmpint(channel_state(vm, 2), ==, VGPU_CHANNEL_CLOSING);
    mediator_opened(vm, frame.head.seq, 2, 0, "");
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_EDEVLOST);
    expect_close(vm, 2);
    vm_stop(vm);
}

void add_liveness_tests(void)
{
    qtest_add_func("vgpu-stub/liveness/join", test_join);
    qtest_add_func("vgpu-stub/liveness/answer", test_answer);
    qtest_add_func("vgpu-stub/liveness/no-answer", test_no_answer);
    qtest_add_func("vgpu-stub/liveness/announced-leave", test_announced_leave);
    qtest_add_func("vgpu-stub/liveness/death-during-call",
                   test_death_during_call);
    qtest_add_func("vgpu-stub/liveness/nothing-open", test_nothing_open);
    qtest_add_func("vgpu-stub/liveness/death-while-opening",
                   test_death_while_opening);
}
