/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each register's reset value and rights, and each bad access. */
#include "qemu/osdep.h"
#include "vgpu_test.h"

#define READ 1
#define WRITE 2

/* @writable: bits that take part in a write; all others are reserved. */
static const struct Register {
    uint32_t offset;
    unsigned rights;
    uint32_t reset;
    uint32_t writable;
} registers[] = {
    { VGPU_REG_COMMAND, READ | WRITE, 0, ~0u },
    { VGPU_REG_STATUS, READ, 0 },
    { VGPU_REG_DATA_OFFSET, READ | WRITE, VGPU_REG_DATA, 0xffc },
    { VGPU_REG_DATA_LEN, READ | WRITE, 0, 0xffc },
    { VGPU_REG_MAGIC, READ, VGPU_MAGIC },
    { VGPU_REG_VERSION, READ, VGPU_PROTOCOL_VERSION },
    { VGPU_REG_FEATURES, READ, VGPU_FEATURE_WINDOW },
    { VGPU_REG_CHANNELS, READ, CHANNELS },
    { VGPU_REG_DOORBELL, WRITE, 0, 3 },
    { VGPU_REG_IRQ_STATUS, READ | WRITE, 0, VGPU_IRQ_ALL },
    { VGPU_REG_IRQ_MASK, READ | WRITE, 0, VGPU_IRQ_ALL },
    { VGPU_REG_CHANNEL_RESET, WRITE, 0, 3 },
    { VGPU_REG_MEDIATOR, READ, 0 },
    { VGPU_REG_IRQ_REARM, WRITE, 0, 1 },
    { VGPU_REG_LIVENESS, WRITE, 0, 3 },
    { VGPU_REG_ROLL_CALL, WRITE, 0, (1u << CHANNELS) - 1 },
    { VGPU_REG_SLICE_PAGES, READ, SLICE_PAGES },
    { VGPU_REG_CHANNEL_STATE + 0, READ, 0 },
    { VGPU_REG_CHANNEL_STATE + 4, READ, 0 },
    { VGPU_REG_CHANNEL_STATE + 8, READ, 0 },
};

static const struct Register *register_at(uint32_t offset)
{
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
        if (registers[i].offset == offset) {
            return &registers[i];
        }
    }
    return NULL;
}

/* All that a bad access could have changed is as after reset. */
static void assert_unchanged(Vm *vm)
{
    for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
        const struct Register *r = &registers[i];

        if (r->rights & READ) {
            g_assert_cmphex(reg_read(vm, r->offset), ==, r->reset);
        }
    }
    g_assert_cmphex(reg_read(vm, VGPU_REG_DATA), ==, 0);
}

static void test_reset_values(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    expect_guest_errors(vm, 0, assert_unchanged(vm));
    for (uint32_t at = VGPU_REG_DATA; at < VGPU_REGS_BYTES; at += 4) {
        g_assert_cmphex(reg_read(vm, at), ==, 0);
    }
    g_assert_cmpuint(guest_errors(vm), ==, 0);
    vm_stop(vm);
}

static void test_write_only(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
        if (!(registers[i].rights & READ)) {
            uint32_t val;

            expect_guest_errors(vm, 1,
                                val = reg_read(vm, registers[i].offset));
            g_assert_cmphex(val, ==, 0);
        }
    }
    vm_stop(vm);
}

static void test_read_only(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
        if (!(registers[i].rights & WRITE)) {
            expect_guest_errors(vm, 1,
                                reg_write(vm, registers[i].offset, ~0u));
            expect_guest_errors(vm, 1, reg_write(vm, registers[i].offset, 0));
        }
    }
    assert_unchanged(vm);
    vm_stop(vm);
}

static void test_read_write(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    reg_write(vm, VGPU_REG_DATA_OFFSET, 0xffc);
    g_assert_cmphex(reg_read(vm, VGPU_REG_DATA_OFFSET), ==, 0xffc);
    reg_write(vm, VGPU_REG_DATA_LEN, 0xf00);
    g_assert_cmphex(reg_read(vm, VGPU_REG_DATA_LEN), ==, 0xf00);
    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_ALL);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_MASK), ==, VGPU_IRQ_ALL);
    for (uint32_t at = VGPU_REG_DATA; at < VGPU_REGS_BYTES; at += 4) {
        reg_write(vm, at, 0xa5000000 | at);
    }
    for (uint32_t at = VGPU_REG_DATA; at < VGPU_REGS_BYTES; at += 4) {
        g_assert_cmphex(reg_read(vm, at), ==, 0xa5000000 | at);
    }
    g_assert_cmpuint(guest_errors(vm), ==, 0);
    vm_stop(vm);
}

static void test_reserved_registers(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);
    uint32_t val;

    for (uint32_t at = 0; at < VGPU_REG_DATA; at += 4) {
        if (!register_at(at)) {
            expect_guest_errors(vm, 1, val = reg_read(vm, at));
            g_assert_cmphex(val, ==, 0);
            expect_guest_errors(vm, 1, reg_write(vm, at, ~0u));
        }
    }
    assert_unchanged(vm);
    vm_stop(vm);
}

static void test_reserved_bits(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    for (size_t i = 0; i < ARRAY_SIZE(registers); i++) {
        const struct Register *r = &registers[i];

        for (int bit = 0; (r->rights & WRITE) && bit < 32; bit++) {
            if (!(r->writable & (1u << bit))) {
                expect_guest_errors(vm, 1,
                                    reg_write(vm, r->offset, 1u << bit));
            }
        }
    }
    assert_unchanged(vm);
    vm_stop(vm);
}

/* Values that are out of range without a reserved bit. */
static void test_bad_values(void)
{
    static const struct { uint32_t offset, val; } bad[] = {
        { VGPU_REG_DATA_OFFSET, 0 },
        { VGPU_REG_DATA_OFFSET, 0xfc },
        { VGPU_REG_DATA_OFFSET, 0x102 },
        { VGPU_REG_DATA_OFFSET, 0x1000 },
        { VGPU_REG_DATA_LEN, 0xf04 },
        { VGPU_REG_DATA_LEN, 7 },
        { VGPU_REG_DOORBELL, CHANNELS },
        { VGPU_REG_DOORBELL, ~0u },
        { VGPU_REG_CHANNEL_RESET, CHANNELS },
        { VGPU_REG_LIVENESS, 0 },
        { VGPU_REG_LIVENESS, 3 },
    };
    Vm *vm = vm_start(WITH_WINDOW, NULL);

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        expect_guest_errors(vm, 1, reg_write(vm, bad[i].offset, bad[i].val));
    }
    assert_unchanged(vm);
    vm_stop(vm);
}

static void test_wrong_size(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);
    QPCIDevice *dev = vm->dev;
    uint64_t val;

    for (uint32_t at = 0; at + 8 <= VGPU_REG_DATA + 16; at += 4) {
        expect_guest_errors(vm, 1, val = qpci_io_readb(dev, vm->regs, at));
        g_assert_cmphex(val, ==, 0);
        expect_guest_errors(vm, 1, val = qpci_io_readw(dev, vm->regs, at));
        g_assert_cmphex(val, ==, 0);
        expect_guest_errors(vm, 1, val = qpci_io_readq(dev, vm->regs, at));
        g_assert_cmphex(val, ==, 0);
        expect_guest_errors(vm, 1, qpci_io_writeb(dev, vm->regs, at, 1));
        expect_guest_errors(vm, 1, qpci_io_writew(dev, vm->regs, at, 1));
        expect_guest_errors(vm, 1, qpci_io_writeq(dev, vm->regs, at, 1));
    }
    assert_unchanged(vm);
    vm_stop(vm);
}

static void test_unaligned(void)
{
    Vm *vm = vm_start(WITH_WINDOW, NULL);
    uint32_t val;

    for (uint32_t at = 0; at < VGPU_REG_DATA + 16; at++) {
        if (at % 4) {
            expect_guest_errors(vm, 1, val = reg_read(vm, at));
            g_assert_cmphex(val, ==, 0);
            expect_guest_errors(vm, 1, reg_write(vm, at, 1));
        }
    }
    assert_unchanged(vm);
    vm_stop(vm);
}

/* The end of the BAR is the end: across it and behind it is nothing of ours. */
static void test_beyond_end(void)
{
    Vm *vm = vm_start(0, NULL);

    reg_write(vm, VGPU_REGS_BYTES - 4, 0x12345678);
    expect_guest_errors(vm, 1, reg_write(vm, VGPU_REGS_BYTES - 2, ~0u));
    reg_write(vm, VGPU_REGS_BYTES, 0x11111111);
    reg_write(vm, VGPU_REGS_BYTES + 0x10, 0x11111111);
    g_assert_cmphex(reg_read(vm, VGPU_REGS_BYTES + VGPU_REG_MAGIC), !=,
                    VGPU_MAGIC);
    g_assert_cmphex(reg_read(vm, VGPU_REGS_BYTES - 4), ==, 0x12345678);
    g_assert_cmphex(reg_read(vm, VGPU_REG_MAGIC), ==, VGPU_MAGIC);
    vm_stop(vm);
}

void add_register_tests(void)
{
    qtest_add_func("vgpu-stub/registers/reset-values", test_reset_values);
    qtest_add_func("vgpu-stub/registers/write-only", test_write_only);
    qtest_add_func("vgpu-stub/registers/read-only", test_read_only);
    qtest_add_func("vgpu-stub/registers/read-write", test_read_write);
    qtest_add_func("vgpu-stub/registers/reserved", test_reserved_registers);
    qtest_add_func("vgpu-stub/registers/reserved-bits", test_reserved_bits);
    qtest_add_func("vgpu-stub/registers/bad-values", test_bad_values);
    qtest_add_func("vgpu-stub/registers/wrong-size", test_wrong_size);
    qtest_add_func("vgpu-stub/registers/unaligned", test_unaligned);
    qtest_add_func("vgpu-stub/registers/beyond-end", test_beyond_end);
}
