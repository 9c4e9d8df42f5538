/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The PCI function `vgpu-stub`: identity, BARs, registers, mailbox.
 * docs/registers.md is the prose of this header; the two change together.
 *
 * BAR0  4 KiB registers, 32-bit, non-prefetchable
 * BAR1  MSI-X table and pending bits
 * BAR2  shared window, 64-bit, prefetchable; only when the device has a memdev
 *
 * Registers take aligned 32-bit accesses, little-endian. Any other access, an
 * access to a reserved register and a reserved bit written as one are guest
 * errors: reads give 0, writes change nothing, QEMU logs them.
 */
#ifndef VGPU_PCI_H
#define VGPU_PCI_H

#include <stdint.h>

#define VGPU_PCI_VENDOR_ID 0x1af4
#define VGPU_PCI_DEVICE_ID 0x1111
#define VGPU_PCI_CLASS 0x1200 /* processing accelerator */
#define VGPU_PCI_REVISION 1

#define VGPU_BAR_REGS 0
#define VGPU_BAR_MSIX 1
#define VGPU_BAR_WINDOW 2

#define VGPU_REGS_BYTES 0x1000

/* Mailbox. Writing COMMAND starts it, STATUS tells how it went. */
#define VGPU_REG_COMMAND 0x000     /* rw: VGPU_MBOX_*; a write starts it */
#define VGPU_REG_STATUS 0x004      /* ro: 0, VGPU_MBOX_BUSY, or a negative VGPU_E* */
#define VGPU_REG_DATA_OFFSET 0x008 /* rw: start of the payload, 0x100..0xffc, multiple of 4 */
#define VGPU_REG_DATA_LEN 0x00c    /* rw: payload bytes, multiple of 4; after: result bytes */

/* Identity. A driver reads these before it touches anything else. */
#define VGPU_REG_MAGIC 0x010    /* ro: VGPU_MAGIC */
#define VGPU_REG_VERSION 0x014  /* ro: VGPU_PROTOCOL_VERSION */
#define VGPU_REG_FEATURES 0x018 /* ro: VGPU_FEATURE_* */
#define VGPU_REG_CHANNELS 0x01c /* ro: number of channels, 1..VGPU_CHANNELS_MAX, 0 without window */

#define VGPU_REG_DOORBELL 0x020      /* wo: channel number; tells the worker to look */
#define VGPU_REG_IRQ_STATUS 0x024    /* rw1c: VGPU_IRQ_* */
#define VGPU_REG_IRQ_MASK 0x028      /* rw: a set bit lets that cause interrupt; 0 after reset */
#define VGPU_REG_CHANNEL_RESET 0x02c /* wo: channel number; closes it from any state */

#define VGPU_REG_MEDIATOR 0x030    /* ro: bit 0 connected, bits 31:1 connection generation */
#define VGPU_REG_IRQ_REARM 0x034   /* wo: 1 clears Interrupt Disable in the PCI command register */
#define VGPU_REG_LIVENESS 0x038    /* wo: VGPU_LIVE_* */
#define VGPU_REG_ROLL_CALL 0x03c   /* wo: bit per channel whose process lives; ends a roll call */
#define VGPU_REG_SLICE_PAGES 0x040 /* ro: 4 KiB pages of BAR2 that one channel owns */
#define VGPU_REG_CHANNEL_STATE 0x080 /* ro: + 4 * k: VGPU_CHANNEL_* or negative VGPU_E* */
#define VGPU_REG_DATA 0x100          /* rw: mailbox payload, to the end of BAR0 */

#define VGPU_MAGIC 0x55504756u /* "VGPU", little-endian */

#define VGPU_CHANNELS_MAX 24

#define VGPU_FEATURE_WINDOW (1u << 0)   /* BAR2 is there */
#define VGPU_FEATURE_MEDIATOR (1u << 1) /* a chardev to a mediator is configured */
#define VGPU_FEATURES_ALL (VGPU_FEATURE_WINDOW | VGPU_FEATURE_MEDIATOR)

#define VGPU_MEDIATOR_CONNECTED (1u << 0)
#define VGPU_MEDIATOR_GENERATION(r) ((r) >> 1)

/*
 * Interrupt causes. INTx is asserted while IRQ_STATUS & IRQ_MASK is not 0.
 * With MSI-X enabled, channel k uses vector k and everything else vector
 * CHANNELS; a message is sent when an unmasked cause goes from 0 to 1.
 */
#define VGPU_IRQ_CHANNEL(k) (1u << (k)) /* k < VGPU_CHANNELS_MAX */
#define VGPU_IRQ_CHANNELS_ALL ((1u << VGPU_CHANNELS_MAX) - 1)
#define VGPU_IRQ_MAILBOX (1u << 28)   /* a mailbox command completed */
#define VGPU_IRQ_MEDIATOR (1u << 29)  /* MEDIATOR changed */
#define VGPU_IRQ_ROLL_CALL (1u << 30) /* answer through ROLL_CALL */
#define VGPU_IRQ_ALL                                                                               \
	(VGPU_IRQ_CHANNELS_ALL | VGPU_IRQ_MAILBOX | VGPU_IRQ_MEDIATOR | VGPU_IRQ_ROLL_CALL)

/*
 * Liveness. The kernel clears Bus Master Enable each time a descriptor of
 * /dev/uioN is closed (uio_pci_generic, release()), also when its process was
 * killed. The device does no DMA and uses that bit as a sign of death: it sets
 * the bit again at once, and unless the closing was announced by
 * VGPU_LIVE_LEAVE it calls the roll. Whoever lives answers with the channels
 * whose file lock is held; the others are closed. If nobody answers within
 * VGPU_ROLL_CALL_MS, all are closed.
 */
#define VGPU_LIVE_JOIN 1  /* a descriptor was opened: makes its closing visible */
#define VGPU_LIVE_LEAVE 2 /* the next closing of a descriptor is an orderly one */
#define VGPU_ROLL_CALL_MS 2000

/* CHANNEL_STATE. Negative: closed by the host, and why; kept until reopened. */
#define VGPU_CHANNEL_CLOSED 0
#define VGPU_CHANNEL_OPEN 1
#define VGPU_CHANNEL_OPENING 2
#define VGPU_CHANNEL_CLOSING 3

/*
 * Mailbox commands. The payload is read from, and the result written to,
 * DATA_OFFSET; it must lie within the data region. A command written while
 * STATUS is VGPU_MBOX_BUSY is a guest error and changes nothing. One that the
 * mediator does not answer within VGPU_MBOX_TIMEOUT_MS ends with
 * VGPU_ETIMEDOUT; until the late answer came, commands that need the mediator
 * end at once with VGPU_EBUSY.
 */
#define VGPU_MBOX_NOP 1   /* no payload; 0 if the mediator answered */
#define VGPU_MBOX_INFO 2  /* result: struct vgpu_mbox_info */
#define VGPU_MBOX_OPEN 3  /* payload: struct vgpu_mbox_channel; result: struct vgpu_mbox_opened */
#define VGPU_MBOX_CLOSE 4 /* payload: struct vgpu_mbox_channel; no result */

#define VGPU_MBOX_BUSY 1
#define VGPU_MBOX_TIMEOUT_MS 20000

struct vgpu_mbox_channel {
	uint32_t channel;
	uint32_t reserved; /* 0 */
};

/* Also written when STATUS is an error, so that the cause can be told. */
struct vgpu_mbox_opened {
	int32_t status; /* as STATUS */
	char text[108]; /* reason, NUL-terminated, empty on success */
};

struct vgpu_mbox_info {
	uint32_t protocol_version; /* the mediator's */
	uint32_t max_channels;     /* that the mediator admits for this device */
	char version[32];          /* the mediator's release, NUL-terminated */
};

_Static_assert(sizeof(struct vgpu_mbox_channel) == 8, "wire size");
_Static_assert(sizeof(struct vgpu_mbox_opened) == 112, "wire size");
_Static_assert(sizeof(struct vgpu_mbox_info) == 40, "wire size");
_Static_assert(VGPU_REG_CHANNEL_STATE + 4 * VGPU_CHANNELS_MAX <= VGPU_REG_DATA, "registers fit");

#endif
