/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../common/rings.h"
#include "../../common/shm.h"
#include "../../guest-lib/device.h"
#include "../../guest-lib/regs.h"
#include "../../protocol/vgpu_channel.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_version.h"

struct fake_device fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void must(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "fake device: %s: %s\n", what, strerror(errno));
		abort();
	}
}

/* INTx: the kernel's handler masks it and wakes the readers of the node. */
static void irq_update(void)
{
	uint32_t one = 1;

	if ((fake.irq_status & fake.irq_mask) && !fake.intx_disabled && fake.uio >= 0) {
		fake.intx_disabled = 1;
		fake.interrupts++;
		must(write(fake.uio, &one, 4) == 4, "interrupt");
	}
}

void fake_device_raise(uint32_t causes)
{
	pthread_mutex_lock(&fake.lock);
	fake.irq_status |= causes;
	irq_update();
	pthread_mutex_unlock(&fake.lock);
}

void fake_device_end_channel(uint32_t k, int32_t state)
{
	pthread_mutex_lock(&fake.lock);
	fake.state[k] = state;
	fake.irq_status |= VGPU_IRQ_CHANNEL(k);
	irq_update();
	pthread_mutex_unlock(&fake.lock);
}

/* Answers every request until the channel is no longer open. */
static void *work(void *opaque)
{
	uint32_t k = (uint32_t)(uintptr_t)opaque;
	uint8_t *at = fake.window + k * FAKE_SLICE_BYTES;
	struct vgpu_channel_header h = { 0 };
	struct spsc_consumer req;
	struct spsc_producer rsp;
	struct spsc_shape shape;

	shm_copy_in(&h, at, sizeof(h));
	must(h.magic == VGPU_CHANNEL_MAGIC && h.total_bytes == FAKE_SLICE_BYTES, "header");
	shape = rings_requests(at + h.index_offset, at + h.req_offset, h.req_entries);
	spsc_consumer_init(&req, &shape);
	shape = rings_responses(at + h.index_offset, at + h.rsp_offset, h.rsp_entries);
	spsc_producer_init(&rsp, &shape);
	while (fake_get(state[k]) == VGPU_CHANNEL_OPEN) {
		struct vgpu_request q;

		if (spsc_consume(&req, &q)) {
			struct vgpu_response p = { .id = q.id };

			if (fake_get(silent))
				continue;
			if (fake_get(last_words)) {
				usleep(20000); /* it has fallen asleep by now */
				spsc_produce(&rsp, &p);
				fake_device_end_channel(k, VGPU_EDEVLOST);
			} else if (spsc_produce(&rsp, &p) > 0) {
				fake_device_raise(VGPU_IRQ_CHANNEL(k));
			}
		} else {
			usleep(50);
		}
	}
	return NULL;
}

static void stop_worker(uint32_t k)
{
	pthread_t thread = fake.workers[k];
	int working = fake.working[k];

	fake.working[k] = 0;
	pthread_mutex_unlock(&fake.lock);
	if (working)
		pthread_join(thread, NULL);
	pthread_mutex_lock(&fake.lock);
}

static void mailbox(uint32_t command)
{
	uint32_t k = fake.data[0];
	struct vgpu_mbox_opened opened = { .status = fake.open_status };

	must(command == VGPU_MBOX_OPEN && k < FAKE_CHANNELS && fake.data_len == 8 &&
		     fake.data_offset == VGPU_REG_DATA && !fake.data[1],
	     "mailbox payload");
	must(fake.state[k] <= 0, "open of a channel that is open");
	fake.opens++;
	fake.status = (uint32_t)fake.open_status;
	snprintf(opened.text, sizeof(opened.text), "%s", fake.open_text ? fake.open_text : "");
	memcpy(fake.data, &opened, sizeof(opened));
	if (fake.open_status)
		return;
	fake.state[k] = VGPU_CHANNEL_OPEN;
	fake.working[k] = 1;
	must(pthread_create(&fake.workers[k], NULL, work, (void *)(uintptr_t)k) == 0, "worker");
}

uint32_t regs_read(const struct regs *r, uint32_t offset)
{
	uint32_t v = 0;

	(void)r;
	pthread_mutex_lock(&fake.lock);
	switch (offset) {
	case VGPU_REG_STATUS:
		v = fake.status;
		break;
	case VGPU_REG_MAGIC:
		v = fake.magic;
		break;
	case VGPU_REG_VERSION:
		v = fake.version;
		break;
	case VGPU_REG_FEATURES:
		v = fake.features;
		break;
	case VGPU_REG_CHANNELS:
		v = fake.channels;
		break;
	case VGPU_REG_IRQ_STATUS:
		v = fake.irq_status;
		break;
	case VGPU_REG_IRQ_MASK:
		v = fake.irq_mask;
		break;
	case VGPU_REG_MEDIATOR:
		v = fake.mediator;
		break;
	case VGPU_REG_SLICE_PAGES:
		v = fake.slice_pages;
		break;
	default:
		if (offset >= VGPU_REG_DATA)
			v = fake.data[(offset - VGPU_REG_DATA) / 4];
		else if (offset >= VGPU_REG_CHANNEL_STATE)
			v = (uint32_t)fake.state[(offset - VGPU_REG_CHANNEL_STATE) / 4];
		else
			must(0, "read of a register that cannot be read");
	}
	if (fake.gone)
		v = UINT32_MAX;
	pthread_mutex_unlock(&fake.lock);
	return v;
}

void regs_write(const struct regs *r, uint32_t offset, uint32_t value)
{
	(void)r;
	pthread_mutex_lock(&fake.lock);
	fake.writes++;
	switch (fake.gone ? UINT32_MAX : offset) {
	case UINT32_MAX:
	case VGPU_REG_DOORBELL:
		break;
	case VGPU_REG_COMMAND:
		mailbox(value);
		break;
	case VGPU_REG_DATA_OFFSET:
		fake.data_offset = value;
		break;
	case VGPU_REG_DATA_LEN:
		fake.data_len = value;
		break;
	case VGPU_REG_IRQ_STATUS:
		fake.irq_status &= ~value;
		fake.acknowledged |= value;
		break;
	case VGPU_REG_IRQ_MASK:
		fake.irq_mask = value;
		break;
	case VGPU_REG_CHANNEL_RESET:
		fake.resets++;
		if (fake.state[value] > 0) {
			fake.state[value] = VGPU_CHANNEL_CLOSING;
			stop_worker(value);
			fake.state[value] = VGPU_CHANNEL_CLOSED;
			fake.irq_status |= VGPU_IRQ_CHANNEL(value);
		}
		break;
	case VGPU_REG_IRQ_REARM:
		fake.intx_disabled = 0;
		break;
	case VGPU_REG_LIVENESS:
		*(value == VGPU_LIVE_JOIN ? &fake.joins : &fake.leaves) += 1;
		break;
	case VGPU_REG_ROLL_CALL:
		fake.roll_calls++;
		fake.roll_call = value;
		break;
	default:
		must(offset >= VGPU_REG_DATA, "write to a register that cannot be written");
		fake.data[(offset - VGPU_REG_DATA) / 4] = value;
	}
	irq_update();
	pthread_mutex_unlock(&fake.lock);
}

void fake_device_path(char out[256], const char *file)
{
	snprintf(out, 256, "%s/bus/pci/devices/%s/%s", fake.dir, FAKE_ADDRESS, file);
}

static void put_file(const char *file, const char *text)
{
	char path[256];
	FILE *f;

	fake_device_path(path, file);
	f = fopen(path, "w");
	must(f && fputs(text, f) >= 0 && fclose(f) == 0, path);
}

static void put_memory(const char *file, off_t bytes, uint8_t **map)
{
	char path[256];
	int fd;

	fake_device_path(path, file);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	must(fd >= 0 && ftruncate(fd, bytes) == 0, path);
	if (map)
		*map = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
}

static void put_tree(void)
{
	static const char *const dirs[] = { "",
					    "/bus",
					    "/bus/pci",
					    "/bus/pci/devices",
					    "/bus/pci/devices/" FAKE_ADDRESS,
					    "/bus/pci/devices/" FAKE_ADDRESS "/uio",
					    "/bus/pci/devices/" FAKE_ADDRESS "/uio/uio0",
					    "/dev" };
	char path[256];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", fake.dir, dirs[i]);
		must(i == 0 || mkdir(path, 0700) == 0, path);
	}
	put_file("vendor", "0x1af4\n");
	put_file("device", "0x1111\n");
	put_file("class", "0x120000\n");
	put_file("irq", "11\n");
	put_file("config", "");
	put_file("resource", "0x00000000febf0000 0x00000000febf0fff 0x0000000000040200\n"
			     "0x00000000febf1000 0x00000000febf1fff 0x0000000000040200\n"
			     "0x00000000e0000000 0x00000000e005ffff 0x000000000014220c\n");
	put_memory("resource0", VGPU_REGS_BYTES, NULL);
	put_memory("resource2", FAKE_CHANNELS * FAKE_SLICE_BYTES, &fake.window);
	fake_device_path(path, "driver");
	must(symlink("../../../../bus/pci/drivers/uio_pci_generic", path) == 0, path);
	snprintf(path, sizeof(path), "%s/dev/uio0", fake.dir);
	must(mkfifo(path, 0600) == 0, path);
	fake.uio = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	must(fake.uio >= 0, path);
}

void fake_device_plug_in(void)
{
	static char sysfs[64], dev[80];

	fake = (struct fake_device){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.magic = VGPU_MAGIC,
		.version = VGPU_PROTOCOL_VERSION,
		.features = VGPU_FEATURES_ALL,
		.channels = FAKE_CHANNELS,
		.slice_pages = FAKE_SLICE_BYTES / VGPU_PAGE_BYTES,
		.mediator = VGPU_MEDIATOR_CONNECTED | 2,
		.dir = "/tmp/vgpu-test-XXXXXX",
	};
	must(mkdtemp(fake.dir) != NULL, "mkdtemp");
	put_tree();
	snprintf(sysfs, sizeof(sysfs), "%s", fake.dir);
	snprintf(dev, sizeof(dev), "%s/dev", fake.dir);
	device_sysfs = sysfs;
	device_dev = dev;
}

void fake_device_unplug(void)
{
	static const char *const files[] = { "resource0", "resource2" };
	char path[256];

	pthread_mutex_lock(&fake.lock);
	fake.gone = 1;
	for (uint32_t k = 0; k < FAKE_CHANNELS; k++) {
		fake.state[k] = VGPU_CHANNEL_CLOSED;
		stop_worker(k);
	}
	for (size_t i = 0; i < 2; i++) {
		fake_device_path(path, files[i]);
		must(truncate(path, 0) == 0, path);
	}
	/* No end of file in a fifo that its reader opened for writing, too: half a record. */
	must(write(fake.uio, "", 1) == 1, "end of the node");
	close(fake.uio);
	fake.uio = -1;
	pthread_mutex_unlock(&fake.lock);
}

void fake_device_remove(void)
{
	char command[128];

	pthread_mutex_lock(&fake.lock);
	for (uint32_t k = 0; k < FAKE_CHANNELS; k++) {
		fake.state[k] = VGPU_CHANNEL_CLOSED;
		stop_worker(k);
	}
	pthread_mutex_unlock(&fake.lock);
	munmap(fake.window, FAKE_CHANNELS * FAKE_SLICE_BYTES);
	if (fake.uio >= 0)
		close(fake.uio);
	snprintf(command, sizeof(command), "rm -r %s", fake.dir);
	must(system(command) == 0, command);
}

int fake_device_lock(uint32_t byte)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	char path[256];
	int fd;

	fake_device_path(path, "resource0");
	fd = open(path, O_RDWR | O_CLOEXEC);
	must(fd >= 0 && fcntl(fd, F_OFD_SETLK, &l) == 0, "lock");
	return fd;
}
