/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reset, plugging, and a start that is refused. */
#include "qemu/osdep.h"
#include "vgpu_test.h"
#include "hw/pci/pci_regs.h"

static void reset_vm(Vm *vm)
{
    qtest_qmp_assert_success(vm->qts, "{'execute': 'system_reset'}");
    qtest_qmp_eventwait(vm->qts, "RESET");
    g_free(vm->dev);
    vm_map(vm);
}

static void test_reset(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NULL);
    Frame frame;

    mediator_connect(vm);
    for (uint32_t k = 0; k < 2; k++) {
        channel_open(vm, k, &frame);
        frame_close_fds(&frame);
    }
    mediator_closed(vm, 0, 0, VGPU_EWORKER);
    channel_wait(vm, 0, VGPU_EWORKER);
    reg_write(vm, VGPU_REG_IRQ_MASK, VGPU_IRQ_ALL);
    reg_write(vm, VGPU_REG_DATA, 1);

    reset_vm(vm);
    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    g_assert_cmpuint(frame.close.channel, ==, 1);
    g_assert_true(mediator_is_idle(vm));
    /* the worker still has the memory; the device says so until it is told */
    g_assert_cmpint(channel_state(vm, 1), ==, VGPU_CHANNEL_CLOSING);
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_CHANNEL_CLOSED);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_MASK), ==, 0);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_STATUS), ==, 0);
    g_assert_cmphex(reg_read(vm, VGPU_REG_COMMAND), ==, 0);
    g_assert_cmphex(reg_read(vm, VGPU_REG_DATA_OFFSET), ==, VGPU_REG_DATA);
    g_assert_cmphex(reg_read(vm, VGPU_REG_DATA_LEN), ==, 0);
    g_assert_cmphex(reg_read(vm, VGPU_REG_DATA), ==, 0);
    mediator_closed(vm, frame.head.seq, 1, 0);
    channel_wait(vm, 1, VGPU_CHANNEL_CLOSED);
    /* the connection outlives the reset */
    channel_open(vm, 1, &frame);
    frame_close_fds(&frame);
    vm_stop(vm);
}

/* Reset while the mediator works on a command: no result of it, no channel. */
static void test_reset_while_busy(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NULL);
    Frame frame;

    mediator_connect(vm);
    mbox_start_channel(vm, VGPU_MBOX_OPEN, 0);
    mediator_receive(vm, VGPU_MSG_OPEN, &frame);
    frame_close_fds(&frame);
    reset_vm(vm);
    g_assert_cmpint(reg_read(vm, VGPU_REG_STATUS), ==, 0);
    mediator_opened(vm, frame.head.seq, 0, 0, "");
    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    g_assert_cmpint(reg_read(vm, VGPU_REG_STATUS), ==, 0);
    g_assert_cmphex(reg_read(vm, VGPU_REG_DATA), ==, 0);
    mediator_closed(vm, frame.head.seq, 0, 0);
    channel_wait(vm, 0, VGPU_CHANNEL_CLOSED);
    /* nothing of it comes up when its time would have been over */
    qtest_clock_step(vm->qts, 2000000ll * VGPU_MBOX_TIMEOUT_MS);
    g_assert_cmpint(reg_read(vm, VGPU_REG_STATUS), ==, 0);
    vm_stop(vm);
}

/* Twice, so that what the first leaves behind would be met by the second. */
static void test_hotplug(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NO_DEVICE);
    Frame frame;

    for (int i = 0; i < 2; i++) {
        vm_plug(vm);
        g_assert_cmphex(reg_read(vm, VGPU_REG_MAGIC), ==, VGPU_MAGIC);
        mediator_connect(vm);
        reg_write(vm, VGPU_REG_LIVENESS, VGPU_LIVE_JOIN);
        channel_open(vm, 0, &frame);
        frame_close_fds(&frame);
        /* gone in the middle of a command, its timer running */
        mbox_start_channel(vm, VGPU_MBOX_OPEN, 1);
        mediator_receive(vm, VGPU_MSG_OPEN, &frame);
        vm_unplug(vm);
        mediator_expect_hang_up(vm);
        qtest_clock_step(vm->qts, 2000000ll * VGPU_MBOX_TIMEOUT_MS);
        /* a worker that does not know yet */
        g_assert_cmpint(write(frame.fds[2], "1234567", 8), ==, 8);
        frame_close_fds(&frame);
        /* the chardev lives on, now for nobody */
        mediator_attach(vm);
        mediator_hang_up(vm);
    }
    vm_stop(vm);
}

/* QEMU ends by itself, and says why. */
static void expect_no_start(const char *args, const char *why)
{
    g_autofree char *command =
        g_strdup_printf("timeout 30 %s -accel qtest -machine pc -nodefaults "
                        "-display none %s", getenv("QTEST_QEMU_BINARY"), args);
    g_autofree char *err = NULL;
    int status = 0;

    g_assert_true(g_spawn_command_line_sync(command, NULL, &err, &status,
                                            NULL));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || !strstr(err, why)) {
        g_error("%s: status 0x%x, said: %s", args, status, err);
    }
}

/* Since 9.2 this backend has a descriptor, which is no better. */
#if QEMU_VERSION_MAJOR >= 10
#define ANONYMOUS_SHARED "memdev 'w0': not sealed against shrinking"
#else
#define ANONYMOUS_SHARED "memdev 'w0': has no file descriptor to share"
#endif

static void test_bad_memdev(void)
{
    expect_no_start("-object memory-backend-ram,id=w0,size=1M "
                    "-device vgpu-stub,memdev=w0",
                    "memdev 'w0': not shared: it needs share=on");
    expect_no_start("-object memory-backend-memfd,id=w0,size=1M,share=off "
                    "-device vgpu-stub,memdev=w0",
                    "memdev 'w0': not shared: it needs share=on");
    expect_no_start("-object memory-backend-ram,id=w0,size=1M,share=on "
                    "-device vgpu-stub,memdev=w0",
                    ANONYMOUS_SHARED);
    expect_no_start("-object memory-backend-memfd,id=w0,size=1M,seal=off "
                    "-device vgpu-stub,memdev=w0",
                    "memdev 'w0': not sealed against shrinking");
    expect_no_start("-object memory-backend-memfd,id=w0,size=64K "
                    "-device vgpu-stub,memdev=w0",
                    "memdev 'w0': 65536 bytes is too small: 16 channels need "
                    "327680");
    expect_no_start("-object memory-backend-memfd,id=w0,size=3M "
                    "-device vgpu-stub,memdev=w0",
                    "memdev 'w0': 3145728 bytes is not a power of two");
    expect_no_start("-object memory-backend-memfd,id=w0,size=1M "
                    "-device vgpu-stub,memdev=w0 -device vgpu-stub,memdev=w0",
                    "memdev 'w0': already in use");
}

static void test_bad_property(void)
{
    expect_no_start("-device vgpu-stub,channels=0",
                    "channels=0: not within 1 and 24");
    expect_no_start("-device vgpu-stub,channels=25",
                    "channels=25: not within 1 and 24");
    expect_no_start("-chardev null,id=m0 -device vgpu-stub,chardev=m0",
                    "chardev 'm0': cannot pass descriptors: it must be a Unix "
                    "socket");
    expect_no_start("-device vgpu-stub,xenstore=on",
                    "xenstore=on: this is no device model of Xen");
}

/* A device that was refused leaves what it was given free for the next. */
static void test_refused_device_add(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NO_DEVICE);
    QDict *rsp;

    qtest_qmp_assert_success(vm->qts, "{'execute': 'chardev-add', 'arguments':"
                             " {'id': 'n0', 'backend': {'type': 'null',"
                             " 'data': {}}}}");
    for (int i = 0; i < 2; i++) {
        rsp = qtest_qmp(vm->qts, "{'execute': 'device_add', 'arguments':"
                        " {'driver': 'vgpu-stub', 'id': 'v0',"
                        " 'channels': %d, 'memdev': 'w0', 'chardev': 'n0'}}",
                        CHANNELS);
        g_assert_true(qdict_haskey(rsp, "error"));
        qobject_unref(rsp);
    }
    vm_plug(vm);
    mediator_connect(vm);
    vm_stop(vm);
}

void add_lifecycle_tests(void)
{
    qtest_add_func("vgpu-stub/lifecycle/reset", test_reset);
    qtest_add_func("vgpu-stub/lifecycle/reset-while-busy",
                   test_reset_while_busy);
    qtest_add_func("vgpu-stub/lifecycle/hotplug", test_hotplug);
    qtest_add_func("vgpu-stub/lifecycle/bad-memdev", test_bad_memdev);
    qtest_add_func("vgpu-stub/lifecycle/bad-property", test_bad_property);
    qtest_add_func("vgpu-stub/lifecycle/refused-device-add",
                   test_refused_device_add);
}
