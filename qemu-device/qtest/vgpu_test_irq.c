/* SPDX-License-Identifier: GPL-2.0-or-later */
/* INTx as a level, MSI-X as messages. The cause is the mailbox's completion. */
#include "qemu/osdep.h"
#include "vgpu_test.h"
#include "hw/pci/pci_regs.h"

#define LINE 10
#define MESSAGE_AT 0x200000u    /* guest memory that nobody else uses */

/* What firmware does: let all four INTx pins reach one input. */
static Vm *start_intx(unsigned with)
{
    Vm *vm = vm_start(with, NULL);
    QPCIDevice *piix = qpci_device_find(vm->bus, QPCI_DEVFN(1, 0));

    for (int pirq = 0x60; pirq < 0x64; pirq++) {
        qpci_config_writeb(piix, pirq, LINE);
    }
    g_free(piix);
    qtest_irq_intercept_in(vm->qts, "ioapic");
    return vm;
}

static bool line(Vm *vm)
{
    return qtest_get_irq(vm->qts, LINE);
}

static void raise_cause(Vm *vm)
{
    mbox_start(vm, 0, NULL, 0);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ENOCMD);
}

static void test_intx_level(void)
{
    Vm *vm = start_intx(WITH_WINDOW);

    raise_cause(vm);
    g_assert_false(line(vm));           /* masked after reset */
    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_MAILBOX);
    g_assert_true(line(vm));            /* a level, not an edge */
    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_MEDIATOR);
    g_assert_false(line(vm));
    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_ALL);
    g_assert_true(line(vm));
    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_ALL & ~VGPU_IRQ_MAILBOX);
    g_assert_true(line(vm));            /* another one's acknowledgement */
    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_MAILBOX);
    g_assert_false(line(vm));
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_STATUS), ==, 0);
    raise_cause(vm);
    g_assert_true(line(vm));
    vm_stop(vm);
}

/* As uio_pci_generic masks, and as a process without config space re-arms. */
static void test_intx_rearm(void)
{
    Vm *vm = start_intx(WITH_WINDOW);
    uint16_t command;

    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_MAILBOX);
    raise_cause(vm);
    g_assert_true(line(vm));
    command = qpci_config_readw(vm->dev, PCI_COMMAND);
    qpci_config_writew(vm->dev, PCI_COMMAND,
                       command | PCI_COMMAND_INTX_DISABLE);
    g_assert_false(line(vm));
    reg_write(vm, VGPU_REG_IRQ_REARM, 0);
    g_assert_false(line(vm));
    reg_write(vm, VGPU_REG_IRQ_REARM, 1);
    g_assert_cmphex(qpci_config_readw(vm->dev, PCI_COMMAND), ==, command);
    g_assert_true(line(vm));            /* the cause is still there */
    vm_stop(vm);
}

static void msix_entry(Vm *vm, unsigned vector, uint32_t data, bool masked)
{
    uint64_t at = vm->dev->msix_table_off + 16 * vector;
    QPCIBar bar = vm->dev->msix_table_bar;

    qpci_io_writel(vm->dev, bar, at + 0, MESSAGE_AT + 4 * vector);
    qpci_io_writel(vm->dev, bar, at + 4, 0);
    qpci_io_writel(vm->dev, bar, at + 8, data);
    qpci_io_writel(vm->dev, bar, at + 12, masked);
}

/* The message of @vector that was delivered since the last look; 0: none. */
static uint32_t message(Vm *vm, unsigned vector)
{
    uint32_t data = qtest_readl(vm->qts, MESSAGE_AT + 4 * vector);

    qtest_writel(vm->qts, MESSAGE_AT + 4 * vector, 0);
    return data;
}

static Vm *start_msix(unsigned with)
{
    Vm *vm = start_intx(with);

    reg_write(vm, VGPU_REG_LIVENESS, VGPU_LIVE_JOIN);   /* bus master */
    qpci_msix_enable(vm->dev);
    for (unsigned v = 0; v <= CHANNELS; v++) {
        msix_entry(vm, v, 0x100 + v, false);
    }
    return vm;
}

static void test_msix_other(void)
{
    Vm *vm = start_msix(WITH_WINDOW);

    raise_cause(vm);
    g_assert_cmphex(message(vm, CHANNELS), ==, 0);
    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_ALL);
    g_assert_cmphex(message(vm, CHANNELS), ==, 0x100 + CHANNELS);
    raise_cause(vm);                    /* from 1 to 1: no message */
    g_assert_cmphex(message(vm, CHANNELS), ==, 0);
    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_MAILBOX);
    raise_cause(vm);
    g_assert_cmphex(message(vm, CHANNELS), ==, 0x100 + CHANNELS);
    for (unsigned k = 0; k < CHANNELS; k++) {
        g_assert_cmphex(message(vm, k), ==, 0);
    }
    g_assert_false(line(vm));
    vm_stop(vm);
}

static void test_msix_channel(void)
{
    Vm *vm = start_msix(WITH_WINDOW | WITH_MEDIATOR);
    uint64_t one = 1;
    Frame frame;

    mediator_connect(vm);
    channel_open(vm, 1, &frame);
    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_ALL);
    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_ALL);
    g_assert_cmpint(write(frame.fds[2], &one, 8), ==, 8);
    reg_wait(vm, VGPU_REG_IRQ_STATUS, ~0u, VGPU_IRQ_CHANNEL(1));
    g_assert_cmphex(message(vm, 1), ==, 0x101);
    g_assert_cmphex(message(vm, 0), ==, 0);
    g_assert_cmphex(message(vm, 2), ==, 0);
    g_assert_cmphex(message(vm, CHANNELS), ==, 0);
    frame_close_fds(&frame);
    vm_stop(vm);
}

static void test_msix_vector_mask(void)
{
    Vm *vm = start_msix(WITH_WINDOW);

    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_ALL);
    msix_entry(vm, CHANNELS, 0x77, true);
    raise_cause(vm);
    g_assert_cmphex(message(vm, CHANNELS), ==, 0);
    g_assert_true(qpci_msix_pending(vm->dev, CHANNELS));
    msix_entry(vm, CHANNELS, 0x77, false);
    g_assert_cmphex(message(vm, CHANNELS), ==, 0x77);
    vm_stop(vm);
}

/* Turning MSI-X on takes the line down; off again, and the level is back. */
static void test_msix_toggle(void)
{
    Vm *vm = start_intx(WITH_WINDOW);

    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_ALL);
    raise_cause(vm);
    g_assert_true(line(vm));
    qpci_msix_enable(vm->dev);
    g_assert_false(line(vm));
    qpci_msix_disable(vm->dev);
    g_assert_true(line(vm));
    vm_stop(vm);
}

void add_irq_tests(void)
{
    qtest_add_func("vgpu-stub/irq/intx-level", test_intx_level);
    qtest_add_func("vgpu-stub/irq/intx-rearm", test_intx_rearm);
    qtest_add_func("vgpu-stub/irq/msix-other", test_msix_other);
    qtest_add_func("vgpu-stub/irq/msix-channel", test_msix_channel);
    qtest_add_func("vgpu-stub/irq/msix-vector-mask", test_msix_vector_mask);
    qtest_add_func("vgpu-stub/irq/msix-toggle", test_msix_toggle);
}
