// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * BAR0 of a device that is not what it says: identity and the mailbox's answers, as the
 * guest library reads them. The registers are plain memory here and answer at once.
 */
#include "fuzz.h"

#include "../../guest-lib/channel.h"
#include "../../guest-lib/mailbox.h"
#include "../../guest-lib/private.h"
#include "../../guest-lib/regs.h"
#include "../../protocol/vgpu_errors.h"

static void put(uint32_t *regs, uint32_t offset, uint32_t value)
{
	regs[offset / 4] = value;
}

/* One line, terminated, of printable characters as far as ASCII goes. */
static void check_cause(const struct cause *why)
{
	size_t n = strnlen(why->text, sizeof(why->text));

	MUST(n > 0 && n < sizeof(why->text));
	for (size_t i = 0; i < n; i++)
		MUST((unsigned char)why->text[i] >= 0x20 && why->text[i] != 0x7f);
}

static void identify(const struct regs *r, struct input *in)
{
	struct device d = { .address = "0000:00:04.0", .window_bytes = input_near(in, 64 << 20) };
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
	struct input in = { data, size };
	uint8_t mode = input_u8(&in);
	uint32_t *regs = calloc(1, VGPU_REGS_BYTES);
	struct regs r = { .base = regs };

	MUST(regs);
	/* the rest of the input is the registers, over an identity that is right */
	put(regs, VGPU_REG_MAGIC, VGPU_MAGIC);
	put(regs, VGPU_REG_VERSION, VGPU_PROTOCOL_VERSION);
	put(regs, VGPU_REG_FEATURES, VGPU_FEATURES_ALL);
	put(regs, VGPU_REG_CHANNELS, 4);
	put(regs, VGPU_REG_SLICE_PAGES, 4096);
	for (int i = 0; i < (mode >> 4) && in.left; i++) {
		uint32_t offset = input_u8(&in) % 8 * 4;

		put(regs, VGPU_REG_MAGIC + offset, (uint32_t)input_near(&in, 16384));
	}
	if (mode & 1)
		put(regs, VGPU_REG_SLICE_PAGES, (uint32_t)input_near(&in, 4096));
	identify(&r, &in);
	put(regs, VGPU_REG_STATUS, mode & 2 ? input_u32(&in) : VGPU_EINVAL - input_u8(&in) % 32);
	input_bytes(&in, (uint8_t *)regs + VGPU_REG_DATA, VGPU_REGS_BYTES - VGPU_REG_DATA);
	mailbox(&r, mode >> 4);
	free(regs);
	return 0;
}
