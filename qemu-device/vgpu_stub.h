/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub: what its parts know of each other.
 *
 *   device    QOM, PCI, interrupts, reset
 *   regs      BAR0
 *   mailbox   the guest's commands, one at a time
 *   channel   the shared window's slices and their notifiers
 *   liveness  roll call after a guest process closed its /dev/uioN
 *   link      the socket to the mediator
 *   backend   the nodes in XenStore
 *   migration saving and loading where it is possible
 *
 * The guest is hostile: nothing it writes may block, grow or end QEMU. The
 * mediator is another process with other privileges: what it sends is checked
 * just as thoroughly. Everything runs under the big lock.
 */
#ifndef VGPU_STUB_H
#define VGPU_STUB_H

#include "chardev/char-fe.h"
#include "qemu/event_notifier.h"
#include "qemu/timer.h"
#include "qom/object.h"
#include "vgpu_stub_compat.h"
#include "vgpu_errors.h"
#include "vgpu_pci.h"
#include "vgpu_socket.h"
#include "vgpu_version.h"

#define VGPU_PAGE_BYTES 4096u

#define TYPE_VGPU_STUB "vgpu-stub"
OBJECT_DECLARE_SIMPLE_TYPE(VgpuStub, VGPU_STUB)

typedef struct VgpuChannel {
    VgpuStub *dev;
    uint32_t index;
    int32_t state;          /* as CHANNEL_STATE shows it */
    uint32_t close_seq;     /* of the CLOSE that is on its way; 0: none */
    bool wired;             /* the notifiers exist */
    EventNotifier to_host;  /* DOORBELL -> worker */
    EventNotifier to_guest; /* worker -> IRQ_STATUS */
} VgpuChannel;

typedef struct VgpuMailbox {
    uint32_t command;
    int32_t status;
    uint32_t data_offset;
    uint32_t data_len;
    uint8_t data[VGPU_REGS_BYTES - VGPU_REG_DATA];

    /* The command that runs, latched: the guest may go on writing. */
    uint32_t running;
    uint32_t result_offset;

    /* What the mediator was asked last. It owes the answer while @due. */
    bool due;
    uint32_t asked;
    uint32_t asked_channel;
    uint32_t asked_seq;
    QEMUTimer *timer;
} VgpuMailbox;

typedef struct VgpuLiveness {
    uint32_t leaves;        /* announced closings that are still to come */
    bool calling;
    bool again;             /* a closing fell into the roll call */
    QEMUTimer *timer;
} VgpuLiveness;

typedef enum VgpuLinkState {
    VGPU_LINK_DOWN,
    VGPU_LINK_GREETING,     /* HELLO sent */
    VGPU_LINK_UP,
    VGPU_LINK_BROKEN,       /* to be hung up by @hangup; input is ignored */
} VgpuLinkState;

typedef struct VgpuLink {
    CharBackend chr;
    VgpuLinkState state;
    uint32_t generation;    /* rises with each WELCOME */
    uint32_t seq;
    uint32_t hello_seq;
    uint32_t have;
    uint8_t rx[VGPU_FRAME_BYTES_MAX];
    int32_t refusal;        /* why the mediator refused us; 0: it did not */
    char refusal_text[sizeof(((struct vgpu_mbox_opened *)0)->text)];
    QEMUBH *hangup;
} VgpuLink;

typedef struct VgpuBackend VgpuBackend;

struct VgpuStub {
    PCIDevice parent_obj;

    uint16_t vendor_id;
    uint16_t device_id;
    uint32_t channels_wanted;
    HostMemoryBackend *memdev;

    MemoryRegion regs;
    MemoryRegion *window;   /* NULL without memdev */
    uint64_t slice_bytes;
    uint32_t nr_channels;   /* 0 without window */
    VgpuChannel channels[VGPU_CHANNELS_MAX];

    uint32_t irq_status;
    uint32_t irq_mask;
    uint32_t irq_pending;   /* causes that have been signalled */

    VgpuMailbox mbox;
    VgpuLiveness live;
    VgpuLink link;
    Error *migration_blocker;

    OnOffAuto xenstore;
    uint32_t backend_domid;
    uint32_t xen_device;    /* UINT32_MAX: the next one */
    VgpuBackend *backend;
};

/* device */
const char *vgpu_name(VgpuStub *s);
void vgpu_irq_raise(VgpuStub *s, uint32_t causes);
void vgpu_irq_update(VgpuStub *s);
void vgpu_command_change(VgpuStub *s, uint16_t set, uint16_t clear);

/* regs */
extern const MemoryRegionOps vgpu_regs_ops;

/* mailbox */
void vgpu_mailbox_init(VgpuStub *s);
void vgpu_mailbox_exit(VgpuStub *s);
void vgpu_mailbox_reset(VgpuStub *s);
void vgpu_mailbox_start(VgpuStub *s, uint32_t command);
/* Answers. False: not what we wait for. */
bool vgpu_mailbox_pong(VgpuStub *s, uint32_t seq,
                       const struct vgpu_mbox_info *info);
bool vgpu_mailbox_opened(VgpuStub *s, uint32_t seq, uint32_t channel,
                         int32_t status, const char *text);
void vgpu_mailbox_closed(VgpuStub *s, uint32_t channel);
void vgpu_mailbox_link_lost(VgpuStub *s);

/* channel */
void vgpu_channels_init(VgpuStub *s);
void vgpu_channels_exit(VgpuStub *s);
bool vgpu_channel_open(VgpuChannel *ch, uint32_t seq, Error **errp);
void vgpu_channel_opened(VgpuChannel *ch, int32_t status);
void vgpu_channel_close(VgpuChannel *ch);
bool vgpu_channel_closed(VgpuChannel *ch, uint32_t seq, int32_t reason);
bool vgpu_channel_engaged(const VgpuChannel *ch);
void vgpu_channels_link_lost(VgpuStub *s);
void vgpu_channels_close(VgpuStub *s, uint32_t keep);

/* liveness */
void vgpu_liveness_init(VgpuStub *s);
void vgpu_liveness_exit(VgpuStub *s);
void vgpu_liveness_reset(VgpuStub *s);
void vgpu_liveness_announce(VgpuStub *s, uint32_t what);
void vgpu_liveness_descriptor_closed(VgpuStub *s);
void vgpu_liveness_answer(VgpuStub *s, uint32_t alive);

/* link */
bool vgpu_link_configured(VgpuStub *s);
bool vgpu_link_init(VgpuStub *s, Error **errp);
void vgpu_link_exit(VgpuStub *s);
bool vgpu_link_up(const VgpuStub *s);
uint32_t vgpu_link_next_seq(VgpuStub *s);
/*
 * False: could not be sent, and the link is lost, with all that follows from
 * that for mailbox and channels. Nothing is left for the caller to do.
 */
bool vgpu_link_send(VgpuStub *s, void *msg, uint32_t type, uint32_t length,
                    uint32_t seq, int *fds, int nr_fds);

/* backend; exit may follow an init that failed or never came */
bool vgpu_backend_init(VgpuStub *s, Error **errp);
void vgpu_backend_exit(VgpuStub *s);

/* migration */
extern const VMStateDescription vgpu_vmstate;
bool vgpu_migration_init(VgpuStub *s, Error **errp);
void vgpu_migration_exit(VgpuStub *s);

#endif
