/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qtest cases of vgpu-stub: a VM without a guest, and a mediator that is
 * this process.
 */
#ifndef VGPU_TEST_H
#define VGPU_TEST_H

#include "../libqtest.h"
#include "../libqos/pci.h"
#if QEMU_VERSION_MAJOR >= 10
#include "qobject/qdict.h"
#else
#include "qapi/qmp/qdict.h"
#endif
#include "vgpu_errors.h"
#include "vgpu_pci.h"
#include "vgpu_socket.h"
#include "vgpu_version.h"

#define SLOT 4
#define CHANNELS 3              /* does not divide the window */
#define WINDOW_BYTES (1u << 20)
#define SLICE_PAGES (WINDOW_BYTES / CHANNELS / 4096)

/* Where nothing says how long it takes: a hang, not a slow machine. */
#define HANG_MS 20000

#define WITH_WINDOW 1u
#define WITH_MEDIATOR 2u         /* QEMU listens: no wait for a reconnect */
#define WITH_RECONNECT 4u        /* QEMU connects, as it does to a mediator */
#define INCOMING 8u              /* the state comes from elsewhere: see vm_find */
#define NO_DEVICE "no device"

typedef struct Vm {
    QTestState *qts;
    QPCIBus *bus;
    QPCIDevice *dev;
    QPCIBar regs;
    QPCIBar window;
    char *dir;                  /* private, for the socket and the log */
    char *socket_path;
    char *log_path;
    int listener;               /* -1: QEMU listens, or there is none */
    int sock;                   /* the connection; -1: none */
} Vm;

typedef struct Frame {
    union {
        struct vgpu_frame head;
        struct vgpu_msg_hello hello;
        struct vgpu_msg_open open;
        struct vgpu_msg_close close;
        struct vgpu_msg_ping ping;
        uint8_t bytes[VGPU_FRAME_BYTES_MAX];
    };
    int fds[VGPU_FRAME_FDS_MAX];
    int nr_fds;
} Frame;

/* The VM */
Vm *vm_start(unsigned with, const char *more_args);
void vm_stop(Vm *vm);
void vm_map(Vm *vm);
/* The same for a device that somebody else has set up. */
void vm_find(Vm *vm);
/* device_add and device_del, with all of the guest's part. */
void vm_plug(Vm *vm);
void vm_unplug(Vm *vm);
uint32_t reg_read(Vm *vm, uint64_t offset);
void reg_write(Vm *vm, uint64_t offset, uint32_t val);
/* Wait until (register & mask) == val. */
void reg_wait(Vm *vm, uint64_t offset, uint32_t mask, uint32_t val);
/* Lines of our device in QEMU's guest-error log. */
unsigned guest_errors(Vm *vm);

#define expect_guest_errors(vm, count, statement)                       \
    do {                                                                \
        unsigned before_ = guest_errors(vm);                            \
        statement;                                                      \
        g_assert_cmpuint(guest_errors(vm) - before_, ==, count);        \
    } while (0)

/* The mediator */
void mediator_attach(Vm *vm);
void mediator_receive_any(Vm *vm, Frame *frame);
void mediator_receive(Vm *vm, uint32_t type, Frame *frame);
bool mediator_is_idle(Vm *vm);
void mediator_send(Vm *vm, const void *msg, size_t length);
void mediator_hang_up(Vm *vm);
/* Wait until the device hangs up on us. */
void mediator_expect_hang_up(Vm *vm);
void mediator_welcome(Vm *vm, uint32_t seq);
/* attach, HELLO, WELCOME */
void mediator_connect(Vm *vm);
void mediator_opened(Vm *vm, uint32_t seq, uint32_t channel, int32_t status,
                     const char *text);
void mediator_closed(Vm *vm, uint32_t seq, uint32_t channel, int32_t reason);
void frame_close_fds(Frame *frame);

/* The mailbox, as a guest uses it */
void mbox_start(Vm *vm, uint32_t command, const void *payload, uint32_t len);
int32_t mbox_wait(Vm *vm);
void mbox_start_channel(Vm *vm, uint32_t command, uint32_t channel);
void mbox_result(Vm *vm, void *result, uint32_t len);
/* Open @channel, with the mediator's consent; keeps the eventfds in *frame. */
void channel_open(Vm *vm, uint32_t channel, Frame *frame);
int32_t channel_state(Vm *vm, uint32_t channel);
void channel_wait(Vm *vm, uint32_t channel, int32_t state);

/* The groups */
void add_identity_tests(void);
void add_register_tests(void);
void add_mailbox_tests(void);
void add_irq_tests(void);
void add_liveness_tests(void);
void add_link_tests(void);
void add_lifecycle_tests(void);
void add_migration_tests(void);
void add_random_tests(void);

#endif
