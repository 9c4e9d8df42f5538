/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The connection: greeting, loss and return, and frames that are wrong. */
#include "qemu/osdep.h"
#include "vgpu_test.h"

#define UUID_TEXT "12345678-9abc-def0-1122-334455667788"

static const uint8_t uuid_bytes[] = {
    0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0,
    0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
};

static Vm *start(void)
{
    return vm_start(WITH_WINDOW | WITH_MEDIATOR, NULL);
}

static bool connected(Vm *vm)
{
    return reg_read(vm, VGPU_REG_MEDIATOR) & VGPU_MEDIATOR_CONNECTED;
}

static uint32_t generation(Vm *vm)
{
    return VGPU_MEDIATOR_GENERATION(reg_read(vm, VGPU_REG_MEDIATOR));
}

static void test_hello(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_RECONNECT,
                      "-name 'a vm' -uuid " UUID_TEXT);
    Frame frame;

    mediator_attach(vm);
    mediator_receive(vm, VGPU_MSG_HELLO, &frame);
    g_assert_cmpuint(frame.head.length, ==, sizeof(frame.hello));
    g_assert_cmphex(frame.hello.magic, ==, VGPU_SOCKET_MAGIC);
    g_assert_cmphex(frame.hello.version, ==, VGPU_PROTOCOL_VERSION);
    g_assert_cmpuint(frame.hello.channels, ==, CHANNELS);
    g_assert_cmpmem(frame.hello.uuid, 16, uuid_bytes, 16);
    g_assert_cmpstr(frame.hello.name, ==, "a vm");
    /* greeted is not yet connected */
    g_assert_false(connected(vm));
    mediator_welcome(vm, frame.head.seq);
    reg_wait(vm, VGPU_REG_MEDIATOR, VGPU_MEDIATOR_CONNECTED, 1);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_STATUS), ==, VGPU_IRQ_MEDIATOR);
    g_assert_cmpuint(generation(vm), ==, 1);
    vm_stop(vm);
}

static void test_anonymous_hello(void)
{
    static const uint8_t zero[64];
    Vm *vm = start();
    Frame frame;

    mediator_attach(vm);
    mediator_receive(vm, VGPU_MSG_HELLO, &frame);
    g_assert_cmpmem(frame.hello.uuid, 16, zero, 16);
    g_assert_cmpmem(frame.hello.name, 64, zero, 64);
    vm_stop(vm);
}

/* A frame may come in any pieces, and several may come at once. */
static void test_fragments(void)
{
    Vm *vm = start();
    struct vgpu_msg_closed closed[2] = {
        { { VGPU_MSG_CLOSED, sizeof(closed[0]) }, 0, VGPU_EWORKER },
        { { VGPU_MSG_CLOSED, sizeof(closed[1]) }, 1, VGPU_EDEADLINE },
    };
    const char *bytes = (void *)closed;
    Frame frame;

    mediator_connect(vm);
    for (uint32_t k = 0; k < 2; k++) {
        channel_open(vm, k, &frame);
        frame_close_fds(&frame);
    }
    mediator_send(vm, bytes, 1);
    reg_read(vm, VGPU_REG_MAGIC);
    mediator_send(vm, bytes + 1, 16);
    reg_read(vm, VGPU_REG_MAGIC);
    mediator_send(vm, bytes + 17, sizeof(closed) - 17);
    channel_wait(vm, 0, VGPU_EWORKER);
    channel_wait(vm, 1, VGPU_EDEADLINE);
    vm_stop(vm);
}

static void test_loss_and_return(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_RECONNECT, NULL);
    Frame frame;

    mediator_connect(vm);
    channel_open(vm, 0, &frame);
    frame_close_fds(&frame);
    mbox_start_channel(vm, VGPU_MBOX_OPEN, 1);
    mediator_receive(vm, VGPU_MSG_OPEN, &frame);
    frame_close_fds(&frame);
    reg_write(vm, VGPU_REG_IRQ_STATUS, VGPU_IRQ_ALL);

    mediator_hang_up(vm);
    reg_wait(vm, VGPU_REG_MEDIATOR, VGPU_MEDIATOR_CONNECTED, 0);
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_EDEVLOST);
    g_assert_cmpint(channel_state(vm, 1), ==, VGPU_EDEVLOST);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_EDEVLOST);
    g_assert_cmphex(reg_read(vm, VGPU_REG_IRQ_STATUS), ==,
                    VGPU_IRQ_MEDIATOR | VGPU_IRQ_MAILBOX |
                    VGPU_IRQ_CHANNEL(0) | VGPU_IRQ_CHANNEL(1));
    g_assert_cmpuint(generation(vm), ==, 1);

    mediator_connect(vm);
    g_assert_cmpuint(generation(vm), ==, 2);
    g_assert_cmpint(channel_state(vm, 0), ==, VGPU_EDEVLOST);
    channel_open(vm, 0, &frame);
    frame_close_fds(&frame);
    vm_stop(vm);
}

/* What was asked on one connection is not owed on the next. */
static void test_loss_forgives_late_answer(void)
{
    Vm *vm = start();
    Frame frame;

    mediator_connect(vm);
    mbox_start(vm, VGPU_MBOX_NOP, NULL, 0);
    mediator_receive(vm, VGPU_MSG_PING, &frame);
    qtest_clock_step(vm->qts, VGPU_MBOX_TIMEOUT_MS * 1000000ll);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ETIMEDOUT);
    mediator_hang_up(vm);
    mediator_connect(vm);
    channel_open(vm, 0, &frame);
    frame_close_fds(&frame);
    vm_stop(vm);
}

static void refuse(Vm *vm, int32_t error, const char *text)
{
    struct vgpu_msg_refused msg = {
        .frame = { VGPU_MSG_REFUSED, sizeof(msg) },
        .magic = VGPU_SOCKET_MAGIC,
        .version = VGPU_PROTOCOL_VERSION,
        .error = error,
    };
    Frame frame;

    mediator_attach(vm);
    mediator_receive(vm, VGPU_MSG_HELLO, &frame);
    msg.frame.seq = frame.head.seq;
    g_strlcpy(msg.text, text, sizeof(msg.text));
    mediator_send(vm, &msg, sizeof(msg));
    mediator_expect_hang_up(vm);
}

/* The guest learns why; a mediator that takes it later makes it forget. */
static void test_refused(void)
{
    Vm *vm = vm_start(WITH_WINDOW | WITH_RECONNECT, NULL);
    struct vgpu_mbox_opened result;

    refuse(vm, VGPU_EVERSION, "protocol 3.0 here,\n2.0 there");
    g_assert_false(connected(vm));
    g_assert_cmpuint(generation(vm), ==, 0);
    mbox_start_channel(vm, VGPU_MBOX_OPEN, 0);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_EVERSION);
    mbox_result(vm, &result, sizeof(result));
    g_assert_cmpstr(result.text, ==, "protocol 3.0 here,?2.0 there");

    mediator_connect(vm);
    mediator_hang_up(vm);
    reg_wait(vm, VGPU_REG_MEDIATOR, VGPU_MEDIATOR_CONNECTED, 0);
    mbox_start_channel(vm, VGPU_MBOX_OPEN, 0);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_ENOMEDIATOR);
    vm_stop(vm);
}

/*
 * Send @msg and expect the end of this connection. The chardev makes the next
 * one, on which the device works as before.
 */
static void expect_break(Vm *vm, const void *msg, size_t length)
{
    mediator_send(vm, msg, length);
    mediator_expect_hang_up(vm);
    g_assert_false(connected(vm));
}

typedef struct Damage {
    size_t offset;
    uint32_t value;
    size_t bytes;       /* 0: four */
} Damage;

static void damage(void *msg, const Damage *d)
{
    if (d->bytes) {
        memset((char *)msg + d->offset, d->value, d->bytes);
    } else {
        memcpy((char *)msg + d->offset, &d->value, 4);
    }
}

/* In the header, alike in every message. */
#define DAMAGED_HEADER                                                  \
    { offsetof(struct vgpu_frame, type), 0 },                           \
    { offsetof(struct vgpu_frame, type), VGPU_MSG_PONG + 1 },           \
    { offsetof(struct vgpu_frame, type), VGPU_MSG_HELLO },              \
    { offsetof(struct vgpu_frame, type), VGPU_MSG_OPEN },               \
    { offsetof(struct vgpu_frame, length), 0 },                         \
    { offsetof(struct vgpu_frame, length), 20 },                        \
    { offsetof(struct vgpu_frame, length), 0xffffffff },                \
    { offsetof(struct vgpu_frame, seq), 0x7777 },                       \
    { offsetof(struct vgpu_frame, reserved), 1 }

static void test_bad_welcome(void)
{
    static const Damage damages[] = {
        DAMAGED_HEADER,
        { offsetof(struct vgpu_frame, type), VGPU_MSG_OPENED },
        { offsetof(struct vgpu_msg_welcome, magic), 0 },
        { offsetof(struct vgpu_msg_welcome, magic) + 4, 0 },
        { offsetof(struct vgpu_msg_welcome, version),
          VGPU_PROTOCOL_VERSION + 0x10000 },
        { offsetof(struct vgpu_msg_welcome, version), 0 },
        { offsetof(struct vgpu_msg_welcome, release), 'x', 32 },
    };
    Vm *vm = start();
    Frame frame;

    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        struct vgpu_msg_welcome msg = {
            .frame = { VGPU_MSG_WELCOME, sizeof(msg) },
            .magic = VGPU_SOCKET_MAGIC,
            .version = VGPU_PROTOCOL_VERSION,
        };

        mediator_attach(vm);
        mediator_receive(vm, VGPU_MSG_HELLO, &frame);
        msg.frame.seq = frame.head.seq;
        damage(&msg, &damages[i]);
        expect_break(vm, &msg, sizeof(msg));
        g_assert_cmpuint(generation(vm), ==, 0);
    }
    mediator_connect(vm);
    vm_stop(vm);
}

static void test_bad_refused(void)
{
    static const Damage damages[] = {
        { offsetof(struct vgpu_frame, seq), 0x7777 },
        { offsetof(struct vgpu_msg_refused, magic), 0 },
        { offsetof(struct vgpu_msg_refused, error), 0 },
        { offsetof(struct vgpu_msg_refused, error), 5 },
        { offsetof(struct vgpu_msg_refused, text), 'x', 128 },
    };
    Vm *vm = start();
    Frame frame;

    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        struct vgpu_msg_refused msg = {
            .frame = { VGPU_MSG_REFUSED, sizeof(msg) },
            .magic = VGPU_SOCKET_MAGIC,
            .error = VGPU_EQUOTA,
        };

        mediator_attach(vm);
        mediator_receive(vm, VGPU_MSG_HELLO, &frame);
        msg.frame.seq = frame.head.seq;
        damage(&msg, &damages[i]);
        expect_break(vm, &msg, sizeof(msg));
        /* what cannot be believed is not kept either */
        mbox_start(vm, VGPU_MBOX_NOP, NULL, 0);
        g_assert_cmpint(mbox_wait(vm), ==, VGPU_ENOMEDIATOR);
    }
    vm_stop(vm);
}

static void test_bad_opened(void)
{
    static const Damage damages[] = {
        DAMAGED_HEADER,
        { offsetof(struct vgpu_frame, type), VGPU_MSG_WELCOME },
        { offsetof(struct vgpu_msg_opened, channel), 1 },
        { offsetof(struct vgpu_msg_opened, channel), CHANNELS },
        { offsetof(struct vgpu_msg_opened, channel), 0xffffffff },
        { offsetof(struct vgpu_msg_opened, status), 1 },
        { offsetof(struct vgpu_msg_opened, text), 'x', 104 },
    };
    Vm *vm = start();
    Frame frame;

    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        struct vgpu_msg_opened msg = {
            .frame = { VGPU_MSG_OPENED, sizeof(msg) },
        };

        mediator_connect(vm);
        mbox_start_channel(vm, VGPU_MBOX_OPEN, 0);
        mediator_receive(vm, VGPU_MSG_OPEN, &frame);
        frame_close_fds(&frame);
        msg.frame.seq = frame.head.seq;
        damage(&msg, &damages[i]);
        expect_break(vm, &msg, sizeof(msg));
        g_assert_cmpint(mbox_wait(vm), ==, VGPU_EDEVLOST);
        g_assert_cmpint(channel_state(vm, 0), ==, VGPU_EDEVLOST);
    }
    vm_stop(vm);
}

static void test_bad_closed(void)
{
    static const Damage damages[] = {
        { offsetof(struct vgpu_frame, type), VGPU_MSG_OPENED },
        { offsetof(struct vgpu_frame, length), 28 },
        { offsetof(struct vgpu_frame, reserved), 0x80000000 },
        { offsetof(struct vgpu_msg_closed, channel), 1 },   /* not open */
        { offsetof(struct vgpu_msg_closed, channel), CHANNELS },
        { offsetof(struct vgpu_msg_closed, channel), 0xffffffff },
        { offsetof(struct vgpu_msg_closed, reason), 1 },
    };
    Vm *vm = start();
    Frame frame;

    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        struct vgpu_msg_closed msg = {
            .frame = { VGPU_MSG_CLOSED, sizeof(msg) },
            .reason = VGPU_EWORKER,
        };

        mediator_connect(vm);
        channel_open(vm, 0, &frame);
        frame_close_fds(&frame);
        damage(&msg, &damages[i]);
        expect_break(vm, &msg, sizeof(msg));
        g_assert_cmpint(channel_state(vm, 0), ==, VGPU_EDEVLOST);
    }
    vm_stop(vm);
}

static void test_bad_pong(void)
{
    static const Damage damages[] = {
        { offsetof(struct vgpu_frame, seq), 0 },
        { offsetof(struct vgpu_frame, length), 16 },
        { offsetof(struct vgpu_msg_pong, release), 'x', 32 },
    };
    Vm *vm = start();
    Frame frame;

    for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
        struct vgpu_msg_pong msg = {
            .frame = { VGPU_MSG_PONG, sizeof(msg) },
        };

        mediator_connect(vm);
        mbox_start(vm, VGPU_MBOX_NOP, NULL, 0);
        mediator_receive(vm, VGPU_MSG_PING, &frame);
        msg.frame.seq = frame.head.seq;
        damage(&msg, &damages[i]);
        expect_break(vm, &msg, sizeof(msg));
        g_assert_cmpint(mbox_wait(vm), ==, VGPU_EDEVLOST);
    }
    vm_stop(vm);
}

/* Answers to nothing. */
static void test_unsolicited(void)
{
    Vm *vm = start();
    struct vgpu_msg_pong pong = { .frame = { VGPU_MSG_PONG, sizeof(pong) } };
    struct vgpu_msg_opened opened = {
        .frame = { VGPU_MSG_OPENED, sizeof(opened) },
    };
    struct vgpu_msg_welcome welcome = {
        .frame = { VGPU_MSG_WELCOME, sizeof(welcome) },
        .magic = VGPU_SOCKET_MAGIC,
        .version = VGPU_PROTOCOL_VERSION,
    };

    mediator_connect(vm);
    expect_break(vm, &pong, sizeof(pong));
    mediator_connect(vm);
    expect_break(vm, &opened, sizeof(opened));
    mediator_connect(vm);
    expect_break(vm, &welcome, sizeof(welcome));
    vm_stop(vm);
}

static void test_descriptors_sent(void)
{
    Vm *vm = start();
    struct vgpu_msg_pong pong = { .frame = { VGPU_MSG_PONG, sizeof(pong) } };
    char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec iov = { &pong, sizeof(pong) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof(control) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    Frame frame;

    mediator_connect(vm);
    mbox_start(vm, VGPU_MBOX_NOP, NULL, 0);
    mediator_receive(vm, VGPU_MSG_PING, &frame);
    pong.frame.seq = frame.head.seq;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &vm->sock, sizeof(int));
    g_assert_cmpint(sendmsg(vm->sock, &msg, MSG_NOSIGNAL), ==, sizeof(pong));
    mediator_expect_hang_up(vm);
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_EDEVLOST);
    vm_stop(vm);
}

/*
 * A mediator that answers without reading: the device never waits for room in
 * the socket, it hangs up. The answers' numbers can be guessed, as they count.
 */
static void test_peer_does_not_read(void)
{
    Vm *vm = start();
    struct vgpu_msg_pong pong = { .frame = { VGPU_MSG_PONG, sizeof(pong) } };
    int32_t status = 0;
    Frame frame;

    mediator_attach(vm);
    mediator_receive(vm, VGPU_MSG_HELLO, &frame);
    mediator_welcome(vm, frame.head.seq);
    reg_wait(vm, VGPU_REG_MEDIATOR, VGPU_MEDIATOR_CONNECTED, 1);
    pong.frame.seq = frame.head.seq;
    for (unsigned i = 0; status == 0 && i < 100000; i++) {
        mbox_start(vm, VGPU_MBOX_NOP, NULL, 0);
        pong.frame.seq++;
        if (send(vm->sock, &pong, sizeof(pong), MSG_NOSIGNAL) < 0) {
            break;
        }
        status = mbox_wait(vm);
    }
    g_assert_cmpint(mbox_wait(vm), ==, VGPU_EDEVLOST);
    mediator_hang_up(vm);
    mediator_connect(vm);
    vm_stop(vm);
}

void add_link_tests(void)
{
    qtest_add_func("vgpu-stub/link/hello", test_hello);
    qtest_add_func("vgpu-stub/link/anonymous-hello", test_anonymous_hello);
    qtest_add_func("vgpu-stub/link/fragments", test_fragments);
    qtest_add_func("vgpu-stub/link/loss-and-return", test_loss_and_return);
    qtest_add_func("vgpu-stub/link/loss-forgives-late-answer",
                   test_loss_forgives_late_answer);
    qtest_add_func("vgpu-stub/link/refused", test_refused);
    qtest_add_func("vgpu-stub/link/bad-welcome", test_bad_welcome);
    qtest_add_func("vgpu-stub/link/bad-refused", test_bad_refused);
    qtest_add_func("vgpu-stub/link/bad-opened", test_bad_opened);
    qtest_add_func("vgpu-stub/link/bad-closed", test_bad_closed);
    qtest_add_func("vgpu-stub/link/bad-pong", test_bad_pong);
    qtest_add_func("vgpu-stub/link/unsolicited", test_unsolicited);
    qtest_add_func("vgpu-stub/link/descriptors-sent", test_descriptors_sent);
    qtest_add_func("vgpu-stub/link/peer-does-not-read",
                   test_peer_does_not_read);
}
