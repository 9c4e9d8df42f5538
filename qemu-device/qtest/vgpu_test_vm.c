/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The VM of a test: starting it, its registers, its mailbox. */
#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include "vgpu_test.h"
#include "../libqos/pci-pc.h"
#include "hw/pci/pci_regs.h"

static void listen_at(Vm *vm)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    vm->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(vm->listener, >=, 0);
    g_strlcpy(addr.sun_path, vm->socket_path, sizeof(addr.sun_path));
    g_assert_cmpint(bind(vm->listener, (void *)&addr, sizeof(addr)), ==, 0);
    g_assert_cmpint(listen(vm->listener, 4), ==, 0);
}

void vm_map(Vm *vm)
{
    vm->dev = qpci_device_find(vm->bus, QPCI_DEVFN(SLOT, 0));
    g_assert_nonnull(vm->dev);
    vm->regs = qpci_iomap(vm->dev, VGPU_BAR_REGS, NULL);
    if (reg_read(vm, VGPU_REG_FEATURES) & VGPU_FEATURE_WINDOW) {
        vm->window = qpci_iomap(vm->dev, VGPU_BAR_WINDOW, NULL);
    }
    /* As a kernel leaves it: decoding on, no bus master. */
    qpci_config_writew(vm->dev, PCI_COMMAND, PCI_COMMAND_MEMORY);
}

/* Where its address register says, which nobody here wrote. */
void vm_find(Vm *vm)
{
    uint32_t addr;

    vm->dev = qpci_device_find(vm->bus, QPCI_DEVFN(SLOT, 0));
    g_assert_nonnull(vm->dev);
    addr = qpci_config_readl(vm->dev, PCI_BASE_ADDRESS_0 + 4 * VGPU_BAR_REGS);
    vm->regs = (QPCIBar) { .addr = addr & PCI_BASE_ADDRESS_MEM_MASK };
}

static void vm_enable(Vm *vm)
{
    QPCIDevice *dev = qpci_device_find(vm->bus, QPCI_DEVFN(SLOT, 0));

    g_assert_nonnull(dev);
    qpci_config_writew(dev, PCI_COMMAND, PCI_COMMAND_MEMORY);
    g_free(dev);
}

/* @more_args NO_DEVICE: plugging it is left to the test. */
Vm *vm_start(unsigned with, const char *more_args)
{
    Vm *vm = g_new0(Vm, 1);
    g_autoptr(GString) args = g_string_new("-machine pc -nodefaults");
    bool later = !g_strcmp0(more_args, NO_DEVICE);

    vm->listener = vm->sock = -1;
    vm->dir = g_dir_make_tmp("vgpu-XXXXXX", NULL);
    g_assert_nonnull(vm->dir);
    vm->socket_path = g_build_filename(vm->dir, "m", NULL);
    vm->log_path = g_build_filename(vm->dir, "log", NULL);
    g_string_append_printf(args, " -d guest_errors -D %s", vm->log_path);
    if (with & WITH_WINDOW) {
        g_string_append_printf(args, " -object memory-backend-memfd,id=w0,"
                               "size=%u", WINDOW_BYTES);
    }
    if (with & WITH_RECONNECT) {
        listen_at(vm);
    }
    if (with & (WITH_MEDIATOR | WITH_RECONNECT)) {
        g_string_append_printf(args, " -chardev socket,id=m0,path=%s,%s",
                               vm->socket_path, with & WITH_RECONNECT ?
                               "reconnect=1" : "server=on,wait=off");
    }
    if (!later) {
        g_string_append_printf(args, " -device vgpu-stub,id=v0,addr=%u,"
                               "channels=%u", SLOT, CHANNELS);
        g_string_append(args, with & WITH_WINDOW ? ",memdev=w0" : "");
        g_string_append(args, with & (WITH_MEDIATOR | WITH_RECONNECT) ?
                        ",chardev=m0" : "");
        g_string_append_printf(args, " %s", more_args ?: "");
    }
    vm->qts = qtest_init(args->str);
    vm->bus = qpci_new_pc(vm->qts, NULL);
    if (!later && !(with & INCOMING)) {
        vm_enable(vm);
        vm_map(vm);
    }
    return vm;
}

void vm_stop(Vm *vm)
{
    if (vm->sock >= 0) {
        close(vm->sock);
    }
    if (vm->listener >= 0) {
        close(vm->listener);
    }
    g_free(vm->dev);
    qpci_free_pc(vm->bus);
    qtest_quit(vm->qts);
    g_unlink(vm->socket_path);
    g_unlink(vm->log_path);
    g_rmdir(vm->dir);
    g_free(vm->socket_path);
    g_free(vm->log_path);
    g_free(vm->dir);
    g_free(vm);
}

void vm_unplug(Vm *vm)
{
    qtest_qmp_device_del_send(vm->qts, "v0");
    /* the guest's part: ACPI eject of the slot */
    qtest_outl(vm->qts, 0xae08, 1u << SLOT);
    qtest_qmp_eventwait(vm->qts, "DEVICE_DELETED");
    g_free(vm->dev);
    vm->dev = NULL;
}

void vm_plug(Vm *vm)
{
    qtest_qmp_device_add(vm->qts, "vgpu-stub", "v0",
                         "{'addr': %s, 'channels': %d, 'memdev': 'w0',"
                         " 'chardev': 'm0'}", stringify(SLOT), CHANNELS);
    vm_map(vm);
}

uint32_t reg_read(Vm *vm, uint64_t offset)
{
    return qpci_io_readl(vm->dev, vm->regs, offset);
}

void reg_write(Vm *vm, uint64_t offset, uint32_t val)
{
    qpci_io_writel(vm->dev, vm->regs, offset, val);
}

void reg_wait(Vm *vm, uint64_t offset, uint32_t mask, uint32_t val)
{
    for (unsigned ms = 0; ms < HANG_MS; ms++) {
        if ((reg_read(vm, offset) & mask) == val) {
            return;
        }
        g_usleep(1000);
    }
    g_error("register 0x%x: 0x%x & 0x%x never became 0x%x", (unsigned)offset,
            reg_read(vm, offset), mask, val);
}

unsigned guest_errors(Vm *vm)
{
    g_autofree char *log = NULL;
    unsigned count = 0;

    if (!g_file_get_contents(vm->log_path, &log, NULL, NULL)) {
        return 0;
    }
    for (char *p = log; (p = strstr(p, "vgpu-stub v0: register")); p++) {
        count++;
    }
    return count;
}

void mbox_start(Vm *vm, uint32_t command, const void *payload, uint32_t len)
{
    const uint32_t *words = payload;

    reg_write(vm, VGPU_REG_DATA_OFFSET, VGPU_REG_DATA);
    reg_write(vm, VGPU_REG_DATA_LEN, len);
    for (uint32_t i = 0; i < len / 4; i++) {
        reg_write(vm, VGPU_REG_DATA + 4 * i, words[i]);
    }
    reg_write(vm, VGPU_REG_COMMAND, command);
}

int32_t mbox_wait(Vm *vm)
{
    for (unsigned ms = 0; ms < HANG_MS; ms++) {
        uint32_t status = reg_read(vm, VGPU_REG_STATUS);

        if (status != VGPU_MBOX_BUSY) {
            return status;
        }
        g_usleep(1000);
    }
    g_error("mailbox: command %u never ended",
            reg_read(vm, VGPU_REG_COMMAND));
}

void mbox_start_channel(Vm *vm, uint32_t command, uint32_t channel)
{
    struct vgpu_mbox_channel arg = { .channel = channel };

    mbox_start(vm, command, &arg, sizeof(arg));
}

void mbox_result(Vm *vm, void *result, uint32_t len)
{
    uint32_t *words = result;
    uint32_t offset = reg_read(vm, VGPU_REG_DATA_OFFSET);

    g_assert_cmpuint(reg_read(vm, VGPU_REG_DATA_LEN), ==, len);
    for (uint32_t i = 0; i < len / 4; i++) {
        words[i] = reg_read(vm, offset + 4 * i);
    }
}

int32_t channel_state(Vm *vm, uint32_t channel)
{
    return reg_read(vm, VGPU_REG_CHANNEL_STATE + 4 * channel);
}

void channel_wait(Vm *vm, uint32_t channel, int32_t state)
{
    reg_wait(vm, VGPU_REG_CHANNEL_STATE + 4 * channel, ~0u, state);
}

void channel_open(Vm *vm, uint32_t channel, Frame *frame)
{
    mbox_start_channel(vm, VGPU_MBOX_OPEN, channel);
    mediator_receive(vm, VGPU_MSG_OPEN, frame);
    mediator_opened(vm, frame->head.seq, channel, 0, "");
    g_assert_cmpint(mbox_wait(vm), ==, 0);
    g_assert_cmpint(channel_state(vm, channel), ==, VGPU_CHANNEL_OPEN);
}
