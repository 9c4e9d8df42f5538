/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vgpu-stub: BAR0. docs/registers.md is the specification.
 *
 * Every size and alignment is let through to here and refused here, with our
 * name and the register in the log: the core would split an 8-byte access into
 * two that are allowed.
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "vgpu_stub.h"
#include "trace.h"

#define REGISTER_BYTES 4

static void guest_error(VgpuStub *s, const char *what, hwaddr addr,
                        uint64_t val)
{
    qemu_log_mask(LOG_GUEST_ERROR,
                  "vgpu-stub %s: register 0x%03" HWADDR_PRIx ": %s 0x%" PRIx64
                  "\n", vgpu_name(s), addr, what, val);
}

static bool access_ok(VgpuStub *s, const char *what, hwaddr addr,
                      unsigned size)
{
    if (size == REGISTER_BYTES && addr % REGISTER_BYTES == 0) {
        return true;
    }
    qemu_log_mask(LOG_GUEST_ERROR,
                  "vgpu-stub %s: register 0x%03" HWADDR_PRIx ": %s of %u bytes:"
                  " only aligned 4-byte accesses are allowed\n",
                  vgpu_name(s), addr, what, size);
    return false;
}

/* NULL: not the state of a channel that this device has. */
static VgpuChannel *channel_at(VgpuStub *s, hwaddr addr)
{
    hwaddr k;

    if (addr < VGPU_REG_CHANNEL_STATE) {
        return NULL;
    }
    k = (addr - VGPU_REG_CHANNEL_STATE) / REGISTER_BYTES;
    return k < s->nr_channels ? &s->channels[k] : NULL;
}

static uint32_t features(VgpuStub *s)
{
    return (s->window ? VGPU_FEATURE_WINDOW : 0) |
           (vgpu_link_configured(s) ? VGPU_FEATURE_MEDIATOR : 0);
}

static uint32_t mediator(VgpuStub *s)
{
    return s->link.generation << 1 |
           (vgpu_link_up(s) ? VGPU_MEDIATOR_CONNECTED : 0);
}

static bool decode_read(VgpuStub *s, hwaddr addr, uint32_t *val)
{
    VgpuChannel *ch;

    switch (addr) {
    case VGPU_REG_COMMAND:
        *val = s->mbox.command;
        return true;
    case VGPU_REG_STATUS:
        *val = s->mbox.status;
        return true;
    case VGPU_REG_DATA_OFFSET:
        *val = s->mbox.data_offset;
        return true;
    case VGPU_REG_DATA_LEN:
        *val = s->mbox.data_len;
        return true;
    case VGPU_REG_MAGIC:
        *val = VGPU_MAGIC;
        return true;
    case VGPU_REG_VERSION:
        *val = VGPU_PROTOCOL_VERSION;
        return true;
    case VGPU_REG_FEATURES:
        *val = features(s);
        return true;
    case VGPU_REG_CHANNELS:
        *val = s->nr_channels;
        return true;
    case VGPU_REG_IRQ_STATUS:
        *val = s->irq_status;
        return true;
    case VGPU_REG_IRQ_MASK:
        *val = s->irq_mask;
        return true;
    case VGPU_REG_MEDIATOR:
        *val = mediator(s);
        return true;
    case VGPU_REG_SLICE_PAGES:
        *val = s->slice_bytes / VGPU_PAGE_BYTES;
        return true;
    }
    if (addr >= VGPU_REG_DATA) {
        *val = ldl_le_p(&s->mbox.data[addr - VGPU_REG_DATA]);
        return true;
    }
    ch = channel_at(s, addr);
    if (ch) {
        *val = ch->state;
    }
    return ch != NULL;
}

static uint64_t regs_read(void *opaque, hwaddr addr, unsigned size)
{
    VgpuStub *s = opaque;
    uint32_t val = 0;

    if (access_ok(s, "read", addr, size) && !decode_read(s, addr, &val)) {
        guest_error(s, "read of a register that is reserved or write-only",
                    addr, 0);
    }
    trace_vgpu_stub_read(vgpu_name(s), addr, size, val);
    return val;
}

static const char *write_command(VgpuStub *s, uint32_t val)
{
    if (s->mbox.status == VGPU_MBOX_BUSY) {
        return "command while another one runs";
    }
    vgpu_mailbox_start(s, val);
    return NULL;
}

static const char *write_data_offset(VgpuStub *s, uint32_t val)
{
    if (val < VGPU_REG_DATA || val >= VGPU_REGS_BYTES || val % 4) {
        return "no offset of the data region";
    }
    s->mbox.data_offset = val;
    return NULL;
}

static const char *write_data_len(VgpuStub *s, uint32_t val)
{
    if (val > VGPU_REGS_BYTES - VGPU_REG_DATA || val % 4) {
        return "no length within the data region";
    }
    s->mbox.data_len = val;
    return NULL;
}

/* The doorbell of an open channel is an eventfd and does not come here. */
static const char *write_doorbell(VgpuStub *s, uint32_t val)
{
    if (val >= s->nr_channels) {
        return "no such channel";
    }
    trace_vgpu_stub_doorbell_closed(vgpu_name(s), val);
    return NULL;
}

static const char *write_channel_reset(VgpuStub *s, uint32_t val)
{
    if (val >= s->nr_channels) {
        return "no such channel";
    }
    vgpu_channel_close(&s->channels[val]);
    return NULL;
}

static const char *write_irq_status(VgpuStub *s, uint32_t val)
{
    if (val & ~VGPU_IRQ_ALL) {
        return "reserved bits set";
    }
    s->irq_status &= ~val;
    vgpu_irq_update(s);
    return NULL;
}

static const char *write_irq_mask(VgpuStub *s, uint32_t val)
{
    if (val & ~VGPU_IRQ_ALL) {
        return "reserved bits set";
    }
    s->irq_mask = val;
    vgpu_irq_update(s);
    return NULL;
}

static const char *write_irq_rearm(VgpuStub *s, uint32_t val)
{
    if (val & ~1u) {
        return "reserved bits set";
    }
    if (val) {
        vgpu_command_change(s, 0, PCI_COMMAND_INTX_DISABLE);
    }
    return NULL;
}

static const char *write_liveness(VgpuStub *s, uint32_t val)
{
    if (val != VGPU_LIVE_JOIN && val != VGPU_LIVE_LEAVE) {
        return "neither join nor leave";
    }
    vgpu_liveness_announce(s, val);
    return NULL;
}

static const char *write_roll_call(VgpuStub *s, uint32_t val)
{
    if (val & ~((1u << s->nr_channels) - 1)) {
        return "no such channel";
    }
    vgpu_liveness_answer(s, val);
    return NULL;
}

/* NULL, or what is wrong with it. */
static const char *decode_write(VgpuStub *s, hwaddr addr, uint32_t val)
{
    switch (addr) {
    case VGPU_REG_COMMAND:
        return write_command(s, val);
    case VGPU_REG_DATA_OFFSET:
        return write_data_offset(s, val);
    case VGPU_REG_DATA_LEN:
        return write_data_len(s, val);
    case VGPU_REG_DOORBELL:
        return write_doorbell(s, val);
    case VGPU_REG_CHANNEL_RESET:
        return write_channel_reset(s, val);
    case VGPU_REG_IRQ_STATUS:
        return write_irq_status(s, val);
    case VGPU_REG_IRQ_MASK:
        return write_irq_mask(s, val);
    case VGPU_REG_IRQ_REARM:
        return write_irq_rearm(s, val);
    case VGPU_REG_LIVENESS:
        return write_liveness(s, val);
    case VGPU_REG_ROLL_CALL:
        return write_roll_call(s, val);
    }
    if (addr >= VGPU_REG_DATA) {
        stl_le_p(&s->mbox.data[addr - VGPU_REG_DATA], val);
        return NULL;
    }
    return "write to a register that is reserved or read-only";
}

static void regs_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    VgpuStub *s = opaque;
    const char *wrong;

    trace_vgpu_stub_write(vgpu_name(s), addr, size, val);
    if (!access_ok(s, "write", addr, size)) {
        return;
    }
    wrong = decode_write(s, addr, val);
    if (wrong) {
        guest_error(s, wrong, addr, val);
    }
}

const MemoryRegionOps vgpu_regs_ops = {
    .read = regs_read,
    .write = regs_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
    .impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};
