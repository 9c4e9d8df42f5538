/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a driver reads before it touches anything else. */
#include "qemu/osdep.h"
#include "vgpu_test.h"
#include "qemu/host-utils.h"
#include "hw/pci/pci_regs.h"

static uint64_t bar_size(Vm *vm, int bar)
{
    uint8_t reg = PCI_BASE_ADDRESS_0 + 4 * bar;
    uint32_t old = qpci_config_readl(vm->dev, reg);
    uint32_t mask;

    qpci_config_writel(vm->dev, reg, ~0u);
    mask = qpci_config_readl(vm->dev, reg);
    qpci_config_writel(vm->dev, reg, old);
    mask &= PCI_BASE_ADDRESS_MEM_MASK;
    return mask ? 1ull << ctz32(mask) : 0;
}

static uint8_t bar_flags(Vm *vm, int bar)
{
    return qpci_config_readl(vm->dev, PCI_BASE_ADDRESS_0 + 4 * bar) & 0xf;
}

static void test_config_space(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    g_assert_cmphex(qpci_config_readw(vm->dev, PCI_VENDOR_ID), ==, 0x1af4);
    g_assert_cmphex(qpci_config_readw(vm->dev, PCI_DEVICE_ID), ==, 0x1111);
    g_assert_cmphex(qpci_config_readw(vm->dev, PCI_CLASS_DEVICE), ==, 0x1200);
    g_assert_cmpuint(qpci_config_readb(vm->dev, PCI_REVISION_ID), ==, 1);
    g_assert_cmpuint(qpci_config_readb(vm->dev, PCI_INTERRUPT_PIN), ==, 1);
    vm_stop(vm);
}

static void test_bars(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    g_assert_cmpuint(bar_size(vm, VGPU_BAR_REGS), ==, 4096);
    g_assert_cmphex(bar_flags(vm, VGPU_BAR_REGS), ==, 0);
    g_assert_cmpuint(bar_size(vm, VGPU_BAR_MSIX), ==, 4096);
    g_assert_cmpuint(bar_size(vm, VGPU_BAR_WINDOW), ==, WINDOW_BYTES);
    g_assert_cmphex(bar_flags(vm, VGPU_BAR_WINDOW), ==,
                    PCI_BASE_ADDRESS_MEM_TYPE_64 |
                    PCI_BASE_ADDRESS_MEM_PREFETCH);
    vm_stop(vm);
}

static void test_msix_capability(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);
    uint8_t cap = qpci_find_capability(vm->dev, PCI_CAP_ID_MSIX, 0);
    uint16_t flags;

    g_assert_cmpuint(cap, !=, 0);
    flags = qpci_config_readw(vm->dev, cap + PCI_MSIX_FLAGS);
    g_assert_cmpuint((flags & PCI_MSIX_FLAGS_QSIZE) + 1, ==, CHANNELS + 1);
    g_assert_cmpuint(qpci_config_readl(vm->dev, cap + PCI_MSIX_TABLE) & 7, ==,
                     VGPU_BAR_MSIX);
    vm_stop(vm);
}

/* As on Xen: no window, no mediator, and still to be known. */
static void test_identity_alone(void)
{
    Vm *vm = vm_start(0, NULL);

    g_assert_cmphex(reg_read(vm, VGPU_REG_MAGIC), ==, VGPU_MAGIC);
    g_assert_cmphex(reg_read(vm, VGPU_REG_VERSION), ==, VGPU_PROTOCOL_VERSION);
    g_assert_cmphex(reg_read(vm, VGPU_REG_FEATURES), ==, 0);
    g_assert_cmpuint(reg_read(vm, VGPU_REG_CHANNELS), ==, 0);
    g_assert_cmpuint(reg_read(vm, VGPU_REG_SLICE_PAGES), ==, 0);
    g_assert_cmpuint(bar_size(vm, VGPU_BAR_WINDOW), ==, 0);
    g_assert_cmpuint(guest_errors(vm), ==, 0);
    /* no channel, no state of it */
    expect_guest_errors(vm, 1, channel_state(vm, 0));
    vm_stop(vm);
}

static void test_features(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    g_assert_cmphex(reg_read(vm, VGPU_REG_FEATURES), ==, VGPU_FEATURE_WINDOW);
    vm_stop(vm);

    vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NULL);
    g_assert_cmphex(reg_read(vm, VGPU_REG_FEATURES), ==, VGPU_FEATURES_ALL);
    vm_stop(vm);
}

static void test_properties(void)
{
    Vm *vm = vm_start(0, "-global vgpu-stub.vendor-id=0x1234 "
                         "-global vgpu-stub.device-id=0xabcd");

    g_assert_cmphex(qpci_config_readw(vm->dev, PCI_VENDOR_ID), ==, 0x1234);
    g_assert_cmphex(qpci_config_readw(vm->dev, PCI_DEVICE_ID), ==, 0xabcd);
    g_assert_cmphex(reg_read(vm, VGPU_REG_MAGIC), ==, VGPU_MAGIC);
    vm_stop(vm);
}

void add_identity_tests(void)
{
    qtest_add_func("vgpu-stub/identity/config-space", test_config_space);
    qtest_add_func("vgpu-stub/identity/bars", test_bars);
    qtest_add_func("vgpu-stub/identity/msix-capability", test_msix_capability);
    qtest_add_func("vgpu-stub/identity/alone", test_identity_alone);
    qtest_add_func("vgpu-stub/identity/features", test_features);
    qtest_add_func("vgpu-stub/identity/properties", test_properties);
}
