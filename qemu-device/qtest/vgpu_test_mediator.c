/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mediator that says what the test wants it to say. */
#include "qemu/osdep.h"
#include <poll.h>
#include "vgpu_test.h"

static bool readable(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, ms) == 1;
}

void mediator_attach(Vm *vm)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    g_assert_cmpint(vm->sock, ==, -1);
    if (vm->listener >= 0) {
        g_assert_true(readable(vm->listener, HANG_MS));
        vm->sock = accept4(vm->listener, NULL, NULL, SOCK_CLOEXEC);
        g_assert_cmpint(vm->sock, >=, 0);
        return;
    }
    vm->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    g_assert_cmpint(vm->sock, >=, 0);
    g_strlcpy(addr.sun_path, vm->socket_path, sizeof(addr.sun_path));
    g_assert_cmpint(connect(vm->sock, (void *)&addr, sizeof(addr)), ==, 0);
}

static void take_fds(struct msghdr *msg, Frame *frame)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t bytes = c->cmsg_len - CMSG_LEN(0);

        g_assert_cmpint(c->cmsg_type, ==, SCM_RIGHTS);
        g_assert_cmpuint(frame->nr_fds * sizeof(int) + bytes, <=,
                         sizeof(frame->fds));
        memcpy(frame->fds + frame->nr_fds, CMSG_DATA(c), bytes);
        frame->nr_fds += bytes / sizeof(int);
    }
}

static void receive_bytes(Vm *vm, Frame *frame, size_t from, size_t to)
{
    char control[CMSG_SPACE(sizeof(frame->fds))];

    while (from < to) {
        struct iovec iov = { frame->bytes + from, to - from };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
                              .msg_control = control,
                              .msg_controllen = sizeof(control) };
        ssize_t got;

        g_assert_true(readable(vm->sock, HANG_MS));
        got = recvmsg(vm->sock, &msg, MSG_CMSG_CLOEXEC);
        g_assert_cmpint(got, >, 0);
        g_assert_false(msg.msg_flags & MSG_CTRUNC);
        take_fds(&msg, frame);
        from += got;
    }
}

void mediator_receive_any(Vm *vm, Frame *frame)
{
    memset(frame, 0, sizeof(*frame));
    receive_bytes(vm, frame, 0, sizeof(frame->head));
    g_assert_cmpuint(frame->head.length, <=, sizeof(frame->bytes));
    g_assert_cmpuint(frame->head.reserved, ==, 0);
    g_assert_cmpuint(frame->head.seq, !=, 0);
    receive_bytes(vm, frame, sizeof(frame->head), frame->head.length);
    g_assert_cmpint(frame->nr_fds, ==,
                    frame->head.type == VGPU_MSG_OPEN ? 3 : 0);
}

void mediator_receive(Vm *vm, uint32_t type, Frame *frame)
{
    mediator_receive_any(vm, frame);
    g_assert_cmpuint(frame->head.type, ==, type);
}

/*
 * Nothing sent, nothing hung up. What the device does for a register write it
 * does before the write returns, so there is nothing to wait for.
 */
bool mediator_is_idle(Vm *vm)
{
    return !readable(vm->sock, 0);
}

void mediator_send(Vm *vm, const void *msg, size_t length)
{
    g_assert_cmpint(send(vm->sock, msg, length, MSG_NOSIGNAL), ==, length);
}

void mediator_hang_up(Vm *vm)
{
    close(vm->sock);
    vm->sock = -1;
}

void mediator_expect_hang_up(Vm *vm)
{
    char byte;

    g_assert_true(readable(vm->sock, HANG_MS));
    g_assert_cmpint(recv(vm->sock, &byte, 1, 0), <=, 0);
    mediator_hang_up(vm);
}

void mediator_welcome(Vm *vm, uint32_t seq)
{
    struct vgpu_msg_welcome msg = {
        .frame = { VGPU_MSG_WELCOME, sizeof(msg), seq },
        .magic = VGPU_SOCKET_MAGIC,
        .version = VGPU_PROTOCOL_VERSION,
        .max_channels = CHANNELS,
        .max_window_bytes = WINDOW_BYTES,
        .release = "test",
    };

    mediator_send(vm, &msg, sizeof(msg));
}

void mediator_connect(Vm *vm)
{
    Frame frame;

    mediator_attach(vm);
    mediator_receive(vm, VGPU_MSG_HELLO, &frame);
    mediator_welcome(vm, frame.head.seq);
    reg_wait(vm, VGPU_REG_MEDIATOR, VGPU_MEDIATOR_CONNECTED,
             VGPU_MEDIATOR_CONNECTED);
}

void mediator_opened(Vm *vm, uint32_t seq, uint32_t channel, int32_t status,
                     const char *text)
{
    struct vgpu_msg_opened msg = {
        .frame = { VGPU_MSG_OPENED, sizeof(msg), seq },
        .channel = channel,
        .status = status,
    };

    g_strlcpy(msg.text, text, sizeof(msg.text));
    mediator_send(vm, &msg, sizeof(msg));
}

void mediator_closed(Vm *vm, uint32_t seq, uint32_t channel, int32_t reason)
{
    struct vgpu_msg_closed msg = {
        .frame = { VGPU_MSG_CLOSED, sizeof(msg), seq },
        .channel = channel,
        .reason = reason,
    };

    mediator_send(vm, &msg, sizeof(msg));
}

void frame_close_fds(Frame *frame)
{
    while (frame->nr_fds > 0) {
        close(frame->fds[--frame->nr_fds]);
    }
}
