/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "mailbox.h"

#include <endian.h>
#include <string.h>
#include <time.h>

#include "private.h"
#include "../common/errors.h"

/*
 * Until the mailbox is idle; *@status is then what the last command ended with. Polled:
 * a command takes the mediator milliseconds, and is rare.
 */
static int wait_idle(const struct regs *r, int64_t deadline_ns, int32_t *status, struct cause *why)
{
	struct timespec pause = { .tv_nsec = 20000 };

	for (;;) {
		uint32_t s = regs_read(r, VGPU_REG_STATUS);

		if (s == REGS_GONE && regs_gone(r))
			return because(why, VGPU_EDEVLOST, "mailbox: the device is gone");
		*status = (int32_t)s;
		if (*status != VGPU_MBOX_BUSY)
			return 0;
		if (clock_left_ms(deadline_ns) == 0)
			return because(why, VGPU_ETIMEDOUT, "mailbox: no answer in time");
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 2000000)
			pause.tv_nsec += pause.tv_nsec / 2;
	}
}

/* The result's text, terminated whatever stands there. */
static void read_text(const struct regs *r, char *out, size_t size)
{
	size_t at = VGPU_REG_DATA + offsetof(struct vgpu_mbox_opened, text);

	for (size_t i = 0; i < size; i += 4) {
		uint32_t word = htole32(regs_read(r, (uint32_t)(at + i)));

		memcpy(out + i, &word, 4);
	}
	out[size - 1] = '\0';
}

int mailbox_open(const struct regs *r, uint32_t k, int64_t deadline_ns, struct cause *why)
{
	char text[sizeof(((struct vgpu_mbox_opened *)0)->text)];
	int32_t status;
	int rc;

	/* A process that died may have left a command running. */
	rc = wait_idle(r, deadline_ns, &status, why);
	if (rc < 0)
		return rc;
	regs_write(r, VGPU_REG_DATA_OFFSET, VGPU_REG_DATA);
	regs_write(r, VGPU_REG_DATA_LEN, sizeof(struct vgpu_mbox_channel));
	regs_write(r, VGPU_REG_DATA, k);
	regs_write(r, VGPU_REG_DATA + 4, 0);
	regs_write(r, VGPU_REG_COMMAND, VGPU_MBOX_OPEN);
	rc = wait_idle(r, deadline_ns, &status, why);
	if (rc < 0 || status == 0)
		return rc;
	rc = channel_reason(status);
	read_text(r, text, sizeof(text));
	return because(why, rc, "open channel %u: %s", k, text[0] ? text : error_text(rc));
}
