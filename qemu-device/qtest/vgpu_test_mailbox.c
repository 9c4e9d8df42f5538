/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mailbox, with nobody at the other end and with somebody. */
#include "qemu/osdep.h"
#include <sys/mman.h>
#include "vgpu_test.h"

static int64_t ms(int64_t n)
{
    return n * 1000 * 1000;
}

static int32_t run(Vm *vm, uint32_t command)
{
    mbox_start(vm, command, NULL, 0);
    return mbox_wait(vm);
}

static int32_t run_channel(Vm *vm, uint32_t command, uint32_t channel)
{
    mbox_start_channel(vm, command, channel);
    return mbox_wait(vm);
}

static void expect_reason(Vm *vm, int32_t status, const char *part)
{
    struct vgpu_mbox_opened result;

    mbox_result(vm, &result, sizeof(result));
    g_assert_cmpint(result.status, ==, status);
    g_assert_nonnull(memchr(result.text, 0, sizeof(result.text)));
    g_assert_nonnull(strstr(result.text, part));
}

static Vm *start_connected(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_MEDIATOR, NULL);

    mediator_connect(vm);
    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_ALL);
    return vm;
}

static void expect_absent(unsigned with, int32_t open_status, const char *why)
{
    Vm *vm = vm_start(with, NULL);

    g_assert_cmphex(reg_read(vm, VGPU_REG_MEDIATOR), ==, 0);
    g_assert_cmpint(run(vm, VGPU_MBOX_NOP), ==, VGPU_ENOMEDIATOR);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_STATUS), ==, VGPU_IRQ_MAILBOX);
    g_assert_cmpint(run(vm, VGPU_MBOX_INFO), ==, VGPU_ENOMEDIATOR);
    g_assert_cmpuint(reg_read(vm, VGPU_REG_DATA_LEN), ==, 0);
    g_assert_cmpint(run_channel(vm, VGPU_MBOX_OPEN, 0), ==, open_status);
    expect_reason(vm, open_status, why);
    g_assert_cmpuint(guest_errors(vm), ==, 0);
    vm_stop(vm);
}

static void test_absent(void)
{
    expect_absent(0, VGPU_ENOTSUP, "no window");
    expect_absent(WITH_WINDOW, VGPU_ENOMEDIATOR, "no chardev");
    /* configured, but it never says WELCOME */
    expect_absent(WITH_WINDOW | WITH_MEDIATOR, VGPU_ENOMEDIATOR,
                  "no mediator is connected");
}

static void test_unknown_command(void)
{
    Vm *vm = start_connected();

    g_assert_cmpint(run(vm, 0), ==, VGPU_ENOCMD);
    g_assert_cmpint(run(vm, VGPU_MBOX_CLOSE + 1), ==, VGPU_ENOCMD);
    g_assert_cmpint(run(vm, ~0u), ==, VGPU_ENOCMD);
    g_assert_true(mediator_is_idle(vm));
    vm_stop(vm);
}

static void expect_bad_open(Vm *vm, const void *arg, uint32_t len,
                            int32_t status, const char *why)
{
    mbox_start(vm, VGPU_MBOX_OPEN, arg, len);
    g_assert_cmpint(mbox_wait(vm), ==, status);
    expect_reason(vm, status, why);
    mbox_start(vm, VGPU_MBOX_CLOSE, arg, len);
    g_assert_cmpint(mbox_wait(vm), ==, status);
    g_assert_true(mediator_is_idle(vm));
}

static void test_bad_payload(void)
{
    Vm *vm = start_connected();
    uint32_t beyond[] = { CHANNELS, 0 }, far[] = { ~0u, 0 };
    uint32_t reserved[] = { 0, 1 }, longer[] = { 0, 0, 0 };

    expect_bad_open(vm, beyond, 8, VGPU_EINVAL, "no such channel");
    expect_bad_open(vm, far, 8, VGPU_EINVAL, "no such channel");
    expect_bad_open(vm, reserved, 8, VGPU_EINVAL, "reserved");
    expect_bad_open(vm, longer, 12, VGPU_EINVAL, "not one channel");
    expect_bad_open(vm, longer, 4, VGPU_EINVAL, "not one channel");
    expect_bad_open(vm, longer, 0, VGPU_EINVAL, "not one channel");
    vm_stop(vm);
}

/* Payload or result would reach over the end of the data region. */
static void test_no_room(void)
{
    Vm *vm = start_connected();

    reg_write(vm, VGPU_REG_DATA_OFFSET, VGPU_REGS_BYTES - 8);
    reg_write(vm, VGPU_REG_DATA_LEN, 12);
    reg_write(vm, VGPU_REG_COMMAND, VGPU_MBOX_NOP);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ERANGE);

    reg_write(vm, VGPU_REG_DATA_LEN, 8);
    reg_write(vm, VGPU_REG_COMMAND, VGPU_MBOX_OPEN);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ERANGE);
    g_assert_cmpuint(reg_read(vm, VGPU_REG_DATA_LEN), ==, 0);

    reg_write(vm, VGPU_REG_COMMAND, VGPU_MBOX_INFO);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ERANGE);
    g_assert_true(mediator_is_idle(vm));
    vm_stop(vm);
}

static void test_nop(void)
{
    Vm *vm = start_connected();
    struct vgpu_msg_pong pong = { .frame = { VGPU_MSG_PONG, sizeof(pong) } };
    Frame frame;

    mbox_start(vm, VGPU_MBOX_NOP, NULL, 0);
    mediator_receive(vm, VGPU_MSG_PING, &frame);
    g_assert_cmpint(reg_read(vm, VGPU_REG_STATUS), ==, VGPU_MBOX_BUSY);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_STATUS), ==, 0);
    /* a command while one runs changes nothing */
    expect_guest_errors(vm, 1, reg_write(vm, VGPU_REG_COMMAND,
                                         VGPU_MBOX_OPEN));
    g_assert_cmpuint(reg_read(vm, VGPU_REG_COMMAND), ==, VGPU_MBOX_NOP);

    pong.frame.seq = frame.head.seq;
    mediator_send(vm, &pong, sizeof(pong));
    g_assert_cmpint(mbox_wait(vm), ==, 0);
    g_assert_cmpuint(reg_read(vm, VGPU_REG_DATA_LEN), ==, 0);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_STATUS), ==, VGPU_IRQ_MAILBOX);
    vm_stop(vm);
}

/* The result lands where the command was told, wherever DATA_OFFSET is now. */
static void test_info(void)
{
    Vm *vm = start_connected();
    struct vgpu_msg_pong pong = {
        .frame = { VGPU_MSG_PONG, sizeof(pong) },
        .version = VGPU_PROTOCOL_VERSION + 7, .max_channels = 5, .release = "9.8.7",
    };
    struct vgpu_mbox_info info;
    Frame frame;

    reg_write(vm, VGPU_REG_DATA_OFFSET, 0x800);
    reg_write(vm, VGPU_REG_COMMAND, VGPU_MBOX_INFO);
    mediator_receive(vm, VGPU_MSG_PING, &frame);
    reg_write(vm, VGPU_REG_DATA_OFFSET, VGPU_REGS_BYTES - 4);

    pong.frame.seq = frame.head.seq;
    mediator_send(vm, &pong, sizeof(pong));
    g_assert_cmpint(mbox_wait(vm), ==, 0);
    reg_write(vm, VGPU_REG_DATA_OFFSET, 0x800);
    mbox_result(vm, &info, sizeof(info));
    g_assert_cmphex(info.protocol_version, ==, VGPU_PROTOCOL_VERSION + 7);
    g_assert_cmpuint(info.max_channels, ==, 5);
    g_assert_cmpstr(info.version, ==, "9.8.7");
    vm_stop(vm);
}

static void signal_fd(int fd)
{
    uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, sizeof(one)), ==, sizeof(one));
}

/* What arrives is BAR2's memory and a working eventfd each way. */
static void test_open_descriptors(void)
{
    Vm *vm = start_connected();
    Frame frame;
    uint64_t count, offset;
    uint32_t *slice;
    const uint32_t k = CHANNELS - 1;

    channel_open(vm, k, &frame);
    offset = frame.open.offset;
    g_assert_cmpuint(frame.open.channel, ==, k);
    g_assert_cmpuint(frame.open.reserved, ==, 0);
    g_assert_cmpuint(offset, ==, (uint64_t)k * SLICE_PAGES * 4096);
    g_assert_cmpuint(frame.open.length, ==, SLICE_PAGES * 4096);

    g_assert_cmpint(fcntl(frame.fds[0], F_GET_SEALS) & F_SEAL_SHRINK, !=, 0);
    slice = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, frame.fds[0],
                 offset);
    g_assert(slice != MAP_FAILED);
    qpci_io_writel(vm->dev, vm->window, offset + 16, 0xfeedbeef);
    g_assert_cmphex(slice[4], ==, 0xfeedbeef);
    slice[5] = 0x600df00d;
    g_assert_cmphex(qpci_io_readl(vm->dev, vm->window, offset + 20), ==,
                    0x600df00d);
    munmap(slice, 4096);

    g_assert_cmpint(read(frame.fds[1], &count, 8), ==, -1);
    reg_write(vm, VGPU_REG_DOORBELL, k);
    g_assert_cmpint(read(frame.fds[1], &count, 8), ==, 8);
    g_assert_cmpuint(count, ==, 1);

    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_ALL);
    signal_fd(frame.fds[2]);
    reg_wait(vm, VGPU_REG_IRQ_STATUS, ~0u, VGPU_IRQ_CHANNEL(k));
    g_assert_cmpuint(guest_errors(vm), ==, 0);
    frame_close_fds(&frame);
    vm_stop(vm);
}

static void test_doorbell_is_own(void)
{
    Vm *vm = start_connected();
    Frame a, b;
    uint64_t count;

    channel_open(vm, 0, &a);
    channel_open(vm, 1, &b);
    reg_write(vm, VGPU_REG_DOORBELL, 1);
    g_assert_cmpint(read(a.fds[1], &count, 8), ==, -1);
    g_assert_cmpint(read(b.fds[1], &count, 8), ==, 8);
    /* not open: nobody's, and no error */
    expect_guest_errors(vm, 0, reg_write(vm, VGPU_REG_DOORBELL, 2));
    frame_close_fds(&a);
    frame_close_fds(&b);
    vm_stop(vm);
}

static void test_open_refused(void)
{
    Vm *vm = start_connected();
    Frame frame;

    mbox_start_channel(vm, VGPU_MBOX_OPEN, 1);
    mediator_receive(vm, VGPU_MSG_OPEN, &frame);
    g_assert_cmpint(channel_state(vm, 1), ==, VGPU_CHANNEL_OPENING);
    mediator_opened(vm, frame.head.seq, 1, VGPU_EQUOTA, "one is enough");
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_EQUOTA);
    expect_reason(vm, VGPU_EQUOTA, "one is enough");
    g_assert_cmpint(channel_state(vm, 1), ==, VGPU_CHANNEL_CLOSED);
    frame_close_fds(&frame);
    vm_stop(vm);
}

static void test_close(void)
{
    Vm *vm = start_connected();
    Frame frame;

    channel_open(vm, 0, &frame);
    frame_close_fds(&frame);
    g_assert_cmpint(run_channel(vm, VGPU_MBOX_OPEN, 0), ==, VGPU_EBUSY);
    expect_reason(vm, VGPU_EBUSY, "is open");

    mbox_start_channel(vm, VGPU_MBOX_CLOSE, 0);
    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    g_assert_cmpuint(frame.close.channel, ==, 0);
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_CHANNEL_CLOSING);
    mediator_closed(vm, frame.head.seq, 0, 0);
    g_assert_cmpint(mbox_wait(vm), ==, 0);
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_CHANNEL_CLOSED);

    /* closed already: nothing to ask */
    g_assert_cmpint(run_channel(vm, VGPU_MBOX_CLOSE, 0), ==, 0);
    g_assert_true(mediator_is_idle(vm));
    vm_stop(vm);
}

/* The host ends a channel: the reason stays until it is opened again. */
static void test_host_closes(void)
{
    Vm *vm = start_connected();
    Frame frame;

    channel_open(vm, 2, &frame);
    frame_close_fds(&frame);
    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_ALL);
    mediator_closed(vm, 0, 2, VGPU_EWORKER);
    channel_wait(vm, 2, VGPU_EWORKER);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_STATUS), ==,
                    VGPU_IRQ_CHANNEL(2));
    channel_open(vm, 2, &frame);
    frame_close_fds(&frame);
    mediator_closed(vm, 0, 2, 0);
    channel_wait(vm, 2, VGPU_CHANNEL_CLOSED);
    vm_stop(vm);
}

/* Our CLOSE and the host's own CLOSED cross on their way; both are answered. */
static void test_close_crosses(void)
{
    Vm *vm = start_connected();
    Frame frame;
    uint32_t seq;

    channel_open(vm, 1, &frame);
    frame_close_fds(&frame);
    channel_open(vm, 0, &frame);
    frame_close_fds(&frame);
    mbox_start_channel(vm, VGPU_MBOX_CLOSE, 0);
    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    seq = frame.head.seq;
    mediator_closed(vm, 0, 0, VGPU_EWORKER);
    g_assert_cmpint(mbox_wait(vm), ==, 0);

    /* the late answer ends neither the channel's next life nor its next end */
    channel_open(vm, 0, &frame);
    frame_close_fds(&frame);
    mbox_start_channel(vm, VGPU_MBOX_CLOSE, 0);
    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    mediator_closed(vm, seq, 0, 0);
    mediator_closed(vm, 0, 1, VGPU_EWORKER);
    channel_wait(vm, 1, VGPU_EWORKER);
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_CHANNEL_CLOSING);
    mediator_closed(vm, frame.head.seq, 0, 0);
    g_assert_cmpint(mbox_wait(vm), ==, 0);
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_CHANNEL_CLOSED);
    vm_stop(vm);
}

static void test_channel_reset(void)
{
    Vm *vm = start_connected();
    Frame frame;

    /* closed: nothing happens */
    reg_write(vm, VGPU_REG_CHANNEL_RESET, 1);
    g_assert_true(mediator_is_idle(vm));

    /* open: one CLOSE, however often */
    channel_open(vm, 1, &frame);
    frame_close_fds(&frame);
    reg_write(vm, VGPU_REG_CHANNEL_RESET, 1);
    reg_write(vm, VGPU_REG_CHANNEL_RESET, 1);
    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    g_assert_true(mediator_is_idle(vm));
    g_assert_cmpint(run_channel(vm, VGPU_MBOX_OPEN, 1), ==, VGPU_EBUSY);
    expect_reason(vm, VGPU_EBUSY, "being closed");
    mediator_closed(vm, frame.head.seq, 1, 0);
    channel_wait(vm, 1, VGPU_CHANNEL_CLOSED);

    /* opening: closed once it is known to be open */
    mbox_start_channel(vm, VGPU_MBOX_OPEN, 1);
    mediator_receive(vm, VGPU_MSG_OPEN, &frame);
    frame_close_fds(&frame);
    reg_write(vm, VGPU_REG_CHANNEL_RESET, 1);
    g_assert_true(mediator_is_idle(vm));
    mediator_opened(vm, frame.head.seq, 1, 0, "");
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_EDEVLOST);
    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    mediator_closed(vm, frame.head.seq, 1, 0);
    channel_wait(vm, 1, VGPU_CHANNEL_CLOSED);

    /* ended by the host: the reason is forgotten */
    channel_open(vm, 1, &frame);
    frame_close_fds(&frame);
    mediator_closed(vm, 0, 1, VGPU_EDEADLINE);
    channel_wait(vm, 1, VGPU_EDEADLINE);
    reg_write(vm, VGPU_REG_CHANNEL_RESET, 1);
    g_assert_cmpint(channel_state(vm, 1), ==, VGPU_CHANNEL_CLOSED);
    vm_stop(vm);
}

/* The late answer is on its way; when it is there, OPEN is sent. */
static void start_when_free(Vm *vm)
{
    for (unsigned i = 0; i < HANG_MS; i++) {
        mbox_start_channel(vm, VGPU_MBOX_OPEN, 0);
        if (reg_read(vm, VGPU_REG_STATUS) == VGPU_MBOX_BUSY) {
            return;
        }
        g_assert_cmpint(mbox_wait(vm), ==, VGPU_EBUSY);
        g_usleep(1000);
    }
    g_error("mailbox: never free again");
}

static void test_nop_timeout(void)
{
    Vm *vm = start_connected();
    struct vgpu_msg_pong pong = { .frame = { VGPU_MSG_PONG, sizeof(pong) } };
    Frame frame;

    mbox_start(vm, VGPU_MBOX_NOP, NULL, 0);
    mediator_receive(vm, VGPU_MSG_PING, &frame);
    pong.frame.seq = frame.head.seq;
    qtest_clock_step(vm->qts, ms(VGPU_MBOX_TIMEOUT_MS - 1));
    g_assert_cmpint(reg_read(vm, VGPU_REG_STATUS), ==, VGPU_MBOX_BUSY);
    qtest_clock_step(vm->qts, ms(1));
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ETIMEDOUT);

    /* until the late answer, nothing more is asked */
    g_assert_cmpint(run(vm, VGPU_MBOX_NOP), ==, VGPU_EBUSY);
    g_assert_cmpint(run_channel(vm, VGPU_MBOX_OPEN, 0), ==, VGPU_EBUSY);
    expect_reason(vm, VGPU_EBUSY, "earlier command");
    g_assert_true(mediator_is_idle(vm));

    mediator_send(vm, &pong, sizeof(pong));
    start_when_free(vm);
    mediator_receive(vm, VGPU_MSG_OPEN, &frame);
    frame_close_fds(&frame);
    vm_stop(vm);
}

/* Opened too late: closed at once, or it would be open for nobody. */
static void test_open_timeout(void)
{
    Vm *vm = start_connected();
    Frame frame;

    mbox_start_channel(vm, VGPU_MBOX_OPEN, 0);
    mediator_receive(vm, VGPU_MSG_OPEN, &frame);
    frame_close_fds(&frame);
    qtest_clock_step(vm->qts, ms(VGPU_MBOX_TIMEOUT_MS));
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ETIMEDOUT);
    expect_reason(vm, VGPU_ETIMEDOUT, "did not answer");
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_CHANNEL_CLOSING);

    mediator_opened(vm, frame.head.seq, 0, 0, "");
    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ETIMEDOUT);
    mediator_closed(vm, frame.head.seq, 0, 0);
    channel_wait(vm, 0, VGPU_CHANNEL_CLOSED);
    channel_open(vm, 0, &frame);
    frame_close_fds(&frame);
    vm_stop(vm);
}

static void test_close_timeout(void)
{
    Vm *vm = start_connected();
    Frame frame;

    channel_open(vm, 0, &frame);
    frame_close_fds(&frame);
    mbox_start_channel(vm, VGPU_MBOX_CLOSE, 0);
    mediator_receive(vm, VGPU_MSG_CLOSE, &frame);
    qtest_clock_step(vm->qts, ms(VGPU_MBOX_TIMEOUT_MS));
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ETIMEDOUT);
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_CHANNEL_CLOSING);
    mediator_closed(vm, frame.head.seq, 0, 0);
    channel_wait(vm, 0, VGPU_CHANNEL_CLOSED);
    channel_open(vm, 0, &frame);
    frame_close_fds(&frame);
    vm_stop(vm);
}

void add_mailbox_tests(void)
{
    qtest_add_func("vgpu-stub/mailbox/absent", test_absent);
    qtest_add_func("vgpu-stub/mailbox/unknown-command", test_unknown_command);
    qtest_add_func("vgpu-stub/mailbox/bad-payload", test_bad_payload);
    qtest_add_func("vgpu-stub/mailbox/no-room", test_no_room);
    qtest_add_func("vgpu-stub/mailbox/nop", test_nop);
    qtest_add_func("vgpu-stub/mailbox/info", test_info);
    qtest_add_func("vgpu-stub/mailbox/open-descriptors", test_open_descriptors);
    qtest_add_func("vgpu-stub/mailbox/doorbell-is-own", test_doorbell_is_own);
    qtest_add_func("vgpu-stub/mailbox/open-refused", test_open_refused);
    qtest_add_func("vgpu-stub/mailbox/close", test_close);
    qtest_add_func("vgpu-stub/mailbox/host-closes", test_host_closes);
    qtest_add_func("vgpu-stub/mailbox/close-crosses", test_close_crosses);
    qtest_add_func("vgpu-stub/mailbox/channel-reset", test_channel_reset);
    qtest_add_func("vgpu-stub/mailbox/nop-timeout", test_nop_timeout);
    qtest_add_func("vgpu-stub/mailbox/open-timeout", test_open_timeout);
    qtest_add_func("vgpu-stub/mailbox/close-timeout", test_close_timeout);
}
