/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vgpu-stub without QEMU: its sysfs directory and uio node as files, its registers as
 * functions in place of the library's regs_io.c, and workers that answer every request.
 */
#ifndef FAKE_DEVICE_H
#define FAKE_DEVICE_H

#include <pthread.h>
#include <stdint.h>

#include "../../protocol/vgpu_pci.h"

#define FAKE_ADDRESS "0000:00:04.0"
#define FAKE_CHANNELS 6u
#define FAKE_SLICE_BYTES (64u << 10)

struct fake_device {
	pthread_mutex_t lock;
	/* what it says of itself */
	uint32_t magic, version, features, channels, slice_pages, mediator;
	/* registers */
	uint32_t command, status, data_offset, data_len, irq_status, irq_mask;
	uint32_t data[(VGPU_REGS_BYTES - VGPU_REG_DATA) / 4];
	int32_t state[VGPU_CHANNELS_MAX];
	int intx_disabled;
	int gone; /* reads are all ones */
	/* script */
	int32_t open_status; /* of mailbox OPEN, with open_text */
	const char *open_text;
	int silent;     /* workers answer nothing */
	int last_words; /* they end with the answer that a sleeper waits for: one interrupt for both
			 */
	/* what was done to it */
	uint32_t writes, joins, leaves, opens, resets, interrupts, acknowledged;
	uint32_t roll_calls, roll_call; /* answers, and the last one */
	/* insides */
	char dir[64];
	int uio; /* the kernel's end */
	uint8_t *window;
	pthread_t workers[VGPU_CHANNELS_MAX];
	int working[VGPU_CHANNELS_MAX];
};

extern struct fake_device fake;

void fake_device_plug_in(void);
void fake_device_remove(void);

/*
 * Unplugged without notice: registers read as all ones, the uio node ends, and touching a
 * mapping is a SIGBUS.
 */
void fake_device_unplug(void);

/* Change the registers under the lock. */
void fake_device_raise(uint32_t causes);
void fake_device_end_channel(uint32_t k, int32_t state);

/* Read a member under the lock. */
#define fake_get(member)                                                                           \
	({                                                                                         \
		pthread_mutex_lock(&fake.lock);                                                    \
		__typeof__(fake.member) v_ = fake.member;                                          \
		pthread_mutex_unlock(&fake.lock);                                                  \
		v_;                                                                                \
	})

/* A file of the device's directory. */
void fake_device_path(char out[256], const char *file);

/* Lock @byte of resource0 as another process would. Returns the descriptor that holds it. */
int fake_device_lock(uint32_t byte);

#endif
