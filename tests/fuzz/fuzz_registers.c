// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * BAR0 of a device that is not what it says: identity and the mailbox's answers, as the
 * guest library reads them. Each read of a register is the input's next word; therefore
 * the two files that read them are part of this one, with another regs_read().
 */
#include "fuzz.h"

#include "../../guest-lib/channel.h"
#include "../../guest-lib/private.h"
#include "../../guest-lib/regs.h"
#include "../../protocol/vgpu_errors.h"

static struct input in;

static uint32_t device_read(const struct regs *r, uint32_t offset)
{
	(void)r;
	MUST(offset % 4 == 0 && offset < VGPU_REGS_BYTES);
	switch (offset) {
	/* right, mostly: or nothing that comes after it would be read */
	case VGPU_REG_MAGIC:
		return input_u8(&in) == 255 ? input_u32(&in) : VGPU_MAGIC;
	case VGPU_REG_VERSION:
		return input_u8(&in) == 255 ? input_u32(&in) : VGPU_PROTOCOL_VERSION;
	case VGPU_REG_FEATURES:
		return VGPU_FEATURES_ALL ^ (input_u8(&in) == 255);
	case VGPU_REG_CHANNELS:
		return (uint32_t)input_near(&in, VGPU_CHANNELS_MAX);
	case VGPU_REG_SLICE_PAGES:
		return (uint32_t)input_near(&in, 16);
	case VGPU_REG_STATUS: {
		uint8_t how = input_u8(&in);

		return how < 32 ? (uint32_t)(VGPU_EINVAL - how) : how < 64 ? 0 : input_u32(&in);
	}
	default:
		return input_u32(&in);
	}
}
#define regs_read device_read
#include "../../guest-lib/mailbox.c"
#include "../../guest-lib/regs.c"

/* One line, terminated, of printable characters as far as ASCII goes. */
static void check_cause(const struct cause *why)
{
	size_t n = strnlen(why->text, sizeof(why->text));

	MUST(n > 0 && n < sizeof(why->text));
	for (size_t i = 0; i < n; i++)
		MUST((unsigned char)why->text[i] >= 0x20 && why->text[i] != 0x7f);
}

static void identify(const struct regs *r)
{
	struct device d = { .address = "0000:00:04.0", .window_bytes = input_near(&in, 64 << 10) };
	struct cause why = { "" };
	struct identity id;
	int rc = regs_identify(r, &d, &id, &why);

	if (rc == 0) {
		MUST(id.channels >= 1 && id.channels <= VGPU_CHANNELS_MAX);
		MUST(id.slice_bytes >= CHANNEL_BYTES_MIN && id.slice_bytes % VGPU_PAGE_BYTES == 0);
		MUST((unsigned __int128)id.slice_bytes * id.channels <= d.window_bytes);
		MUST(VGPU_VERSION_MAJOR(id.version) == VGPU_PROTOCOL_MAJOR);
		return;
	}
	MUST(rc == VGPU_ENODEV || rc == VGPU_EVERSION || rc == VGPU_ENOTSUP || rc == VGPU_EPROTO);
	MUST(id.channels == 0 || rc == VGPU_ENOTSUP);
	check_cause(&why);
}

static void mailbox(const struct regs *r, uint32_t channel)
{
	struct cause why = { "" };
	int rc = mailbox_open(r, channel, clock_now_ns(), &why);

	MUST(rc == 0 || (rc <= VGPU_EINVAL && rc > VGPU_EINVAL - 1000));
	if (rc)
		check_cause(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t *regs = calloc(1, VGPU_REGS_BYTES); /* what is written goes nowhere */
	struct regs r = { .base = regs };

	MUST(regs);
	in = (struct input){ data, size };
	if (input_u8(&in) & 1)
		identify(&r);
	else
		mailbox(&r, input_u8(&in));
	free(regs);
	return 0;
}
