/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The pci transport: finding, claiming, interrupts, roll calls, unplugging. */
#include "guest_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake_device.h"
#include "../../guest-lib/file_lock.h"
#include "../../guest-lib/private.h"
#include "vgpuguest.h"

static struct vgpu_options options;
static struct vgpu *vgpu;

static int setup(void **state)
{
	(void)state;
	unsetenv("VGPU_DEVICE");
	fake_device_plug_in();
	vgpu_options_init(&options);
	options.device = "pci:" FAKE_ADDRESS;
	options.spin_us = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vgpu_close(vgpu);
	vgpu = NULL;
	fake_device_remove();
	return 0;
}

static void refused(int code, const char *text)
{
	assert_int_equal(vgpu_open(&vgpu, &options), code);
	assert_null(vgpu);
	assert_contains(vgpu_last_error(NULL), text);
}

static struct vgpu *opened(void)
{
	struct vgpu *v;
	int rc = vgpu_open(&v, &options);

	if (rc)
		fail_msg("open: %s", vgpu_last_error(NULL));
	return v;
}

/* Wait for what another thread will do; a failure is a hang that ends. */
#define eventually(condition)                                                                      \
	do {                                                                                       \
		for (int i_ = 0; i_ < 6000 && !(condition); i_++)                                  \
			usleep(5000);                                                              \
		assert_true(condition);                                                            \
	} while (0)

static void test_open_call_close(void **state)
{
	int before = dup(0), after;

	(void)state;
	close(before);
	for (int spin = 0; spin < 100; spin += 50) {
		options.spin_us = spin;
		vgpu = opened();
		for (int i = 0; i < 50; i++)
			assert_int_equal(vgpu_nop(vgpu), 0);
		assert_int_equal(fake_get(state[0]), VGPU_CHANNEL_OPEN);
		vgpu_close(vgpu);
		vgpu = NULL;
		assert_int_equal(fake_get(state[0]), VGPU_CHANNEL_CLOSED);
	}
	assert_int_equal(fake.joins, 2);
	assert_int_equal(fake.leaves, 2);
	assert_int_equal(fake.irq_mask & VGPU_IRQ_CHANNELS_ALL, 0);
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

static void test_found_by_scanning(void **state)
{
	(void)state;
	options.device = "auto";
	vgpu = opened();
	assert_int_equal(vgpu_nop(vgpu), 0);
	vgpu_close(vgpu);
	options.device = "pci";
	vgpu = opened();
}

static void test_two_handles_share_the_node(void **state)
{
	struct vgpu *second;

	(void)state;
	vgpu = opened();
	second = opened();
	assert_int_equal(fake.joins, 1);
	assert_int_equal(fake_get(state[1]), VGPU_CHANNEL_OPEN);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(vgpu_nop(vgpu), 0);
		assert_int_equal(vgpu_nop(second), 0);
	}
	vgpu_close(second);
	assert_int_equal(fake.leaves, 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
}

static void replace(const char *file, const char *text)
{
	char path[256];
	FILE *f;

	fake_device_path(path, file);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_other_devices_are_left_alone(void **state)
{
	(void)state;
	replace("class", "0x020000\n"); /* a network card with our numbers */
	refused(VGPU_ENODEV, "of class 0200");
	options.device = "pci";
	refused(VGPU_ENODEV, "no device 1af4:1111");
	replace("class", "0x120000\n");
	replace("device", "0x1000\n");
	refused(VGPU_ENODEV, "no device");
	options.device = "pci:0000:00:05.0";
	refused(VGPU_ENODEV, "no such device");
	assert_int_equal(fake.writes, 0);
}

static void test_identity_comes_first(void **state)
{
	(void)state;
	fake.magic = 0x12345678;
	refused(VGPU_ENODEV, "not a vgpu-stub");
	fake.magic = UINT32_MAX;
	refused(VGPU_ENODEV, "does not answer");
	fake.magic = VGPU_MAGIC;
	fake.version = 3 << 16 | 1;
	refused(VGPU_EVERSION, "speaks protocol 3.1, this library 2.");
	fake.version = VGPU_PROTOCOL_VERSION + 9;
	fake.features = 0;
	refused(VGPU_ENOTSUP, "memdev=");
	fake.features = VGPU_FEATURES_ALL;
	fake.channels = 0;
	refused(VGPU_ENOTSUP, "memdev=");
	fake.channels = VGPU_CHANNELS_MAX + 1;
	refused(VGPU_EPROTO, "claims");
	fake.channels = FAKE_CHANNELS + 1;
	refused(VGPU_EPROTO, "claims");
	fake.channels = FAKE_CHANNELS;
	fake.slice_pages = 1;
	refused(VGPU_EPROTO, "claims");
	fake.slice_pages = UINT32_MAX;
	refused(VGPU_EPROTO, "claims");
	assert_int_equal(fake.writes, 0);
}

static void test_not_bound(void **state)
{
	char path[256];

	(void)state;
	fake_device_path(path, "driver");
	unlink(path);
	refused(VGPU_ENOTBOUND, "driver is none, not uio_pci_generic");
	assert_contains(vgpu_last_error(NULL), "60-vgpu.rules");
	assert_contains(vgpu_last_error(NULL), "driver_override");
	assert_int_equal(symlink("/drivers/vfio-pci", path), 0);
	refused(VGPU_ENOTBOUND, "driver is vfio-pci");
}

static void test_no_node(void **state)
{
	char path[256];

	(void)state;
	fake_device_path(path, "uio/uio0");
	rmdir(path);
	refused(VGPU_ENOTBOUND, "no uio node");
}

static void test_no_permission(void **state)
{
	char path[256];

	(void)state;
	if (geteuid() == 0) {
		chmod(fake.dir, 0755);
		for (int i = 0; i < 3; i++) {
			static const char *const up[] = { "../../..", "../..", ".." };

			fake_device_path(path, up[i]);
			chmod(path, 0755);
		}
		fake_device_path(path, ".");
		chmod(path, 0755);
		assert_int_equal(seteuid(65534), 0);
	} else {
		fake_device_path(path, "resource0");
		chmod(path, 0);
	}
	refused(VGPU_EACCES, "group vgpu");
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
}

static void test_all_channels_taken(void **state)
{
	int locks[FAKE_CHANNELS];

	(void)state;
	for (uint32_t i = 0; i < FAKE_CHANNELS; i++)
		locks[i] = fake_device_lock(i);
	refused(VGPU_ENOCHANNEL, "all 6 channels");
	close(locks[4]); /* its owner dies */
	vgpu = opened();
	assert_int_equal(fake_get(state[4]), VGPU_CHANNEL_OPEN);
	for (uint32_t i = 0; i < FAKE_CHANNELS; i++)
		if (i != 4)
			close(locks[i]);
}

static void test_dead_predecessor(void **state)
{
	int locks[FAKE_CHANNELS];

	(void)state;
	fake.state[0] = VGPU_CHANNEL_OPEN; /* and nobody holds its lock */
	fake.irq_status = VGPU_IRQ_CHANNEL(0);
	for (uint32_t i = 1; i < FAKE_CHANNELS; i++)
		locks[i] = fake_device_lock(i);
	vgpu = opened(); /* the fake refuses OPEN of what is open */
	assert_int_equal(fake.resets, 1);
	assert_int_equal(vgpu_nop(vgpu), 0);
	for (uint32_t i = 1; i < FAKE_CHANNELS; i++)
		close(locks[i]);
}

/* Nobody waits for a worker that is ending while another channel is ready. */
static void test_closed_channel_first(void **state)
{
	(void)state;
	fake.state[0] = VGPU_CHANNEL_CLOSING;
	vgpu = opened();
	assert_int_equal(fake_get(state[1]), VGPU_CHANNEL_OPEN);
	assert_int_equal(fake.resets, 0);
	fake.state[0] = VGPU_CHANNEL_CLOSED;
}

static void test_predecessor_that_failed(void **state)
{
	(void)state;
	fake.state[0] = VGPU_EDEADLINE;
	vgpu = opened();
	assert_int_equal(vgpu_nop(vgpu), 0);
}

static void test_mailbox_fails(void **state)
{
	(void)state;
	fake.open_status = VGPU_EQUOTA;
	fake.open_text = "vm 7: window is over the limit";
	refused(VGPU_EQUOTA, "vm 7: window is over the limit");
	fake.open_text = "";
	fake.open_status = VGPU_ENOMEDIATOR;
	refused(VGPU_ENOMEDIATOR, "No mediator");
	fake.open_status = 77;
	refused(VGPU_EPROTO, "open channel 0");
	fake.status = 0;
	fake.open_status = 0;
	vgpu = opened(); /* nothing of the failures remains */
}

static void test_mailbox_never_answers(void **state)
{
	(void)state;
	fake.status = VGPU_MBOX_BUSY;
	options.timeout_ms = 300;
	refused(VGPU_ETIMEDOUT, "mailbox");
	fake.status = 0;
}

static void test_mailbox_lock_is_held(void **state)
{
	int fd = fake_device_lock(FILE_LOCK_MAILBOX);

	(void)state;
	options.timeout_ms = 300;
	refused(VGPU_ETIMEDOUT, "mailbox");
	assert_int_equal(fake.opens, 0);
	close(fd);
	options.timeout_ms = -1;
	vgpu = opened();
}

static void *end_soon(void *reason)
{
	usleep(50000);
	fake_device_end_channel(0, (int32_t)(intptr_t)reason);
	return NULL;
}

static void call_ends_with(int32_t reason, int code, const char *text)
{
	pthread_t thread;

	fake.silent = 1;
	vgpu = opened();
	pthread_create(&thread, NULL, end_soon, (void *)(intptr_t)reason);
	assert_int_equal(vgpu_nop(vgpu), code);
	assert_contains(vgpu_last_error(vgpu), text);
	pthread_join(thread, NULL);
	assert_int_equal(vgpu_nop(vgpu), code == VGPU_EPROTO ? code : VGPU_EDEVLOST);
}

static void test_deadline(void **state)
{
	(void)state;
	call_ends_with(VGPU_EDEADLINE, VGPU_EDEADLINE, "deadline");
}

static void test_mediator_lost(void **state)
{
	(void)state;
	call_ends_with(VGPU_EDEVLOST, VGPU_EDEVLOST, "lost");
}

static void test_closed_by_the_device(void **state)
{
	(void)state;
	call_ends_with(VGPU_CHANNEL_CLOSED, VGPU_EDEVLOST, "closed by the device");
}

static int waited_in_vain;

static void count_waits(void *opaque, enum vgpu_log_level level, const char *text)
{
	(void)opaque;
	(void)level;
	if (strstr(text, "no interrupt"))
		__atomic_store_n(&waited_in_vain, 1, __ATOMIC_RELAXED);
}

/* The interrupt of an answer was that of the end as well: the next call hears of it at once. */
static void test_end_that_comes_with_an_answer(void **state)
{
	(void)state;
	fake.last_words = 1;
	options.log = count_waits;
	options.log_level = VGPU_LOG_DEBUG;
	vgpu = opened();
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EDEVLOST);
	assert_int_equal(__atomic_load_n(&waited_in_vain, __ATOMIC_RELAXED), 0);
}

static void test_timeout(void **state)
{
	(void)state;
	fake.silent = 1;
	vgpu = opened();
	vgpu->timeout_ms = 30;
	assert_int_equal(vgpu_nop(vgpu), VGPU_ETIMEDOUT);
}

static void *unplug_soon(void *arg)
{
	usleep(50000);
	fake_device_unplug();
	return arg;
}

static void test_unplugged_during_a_call(void **state)
{
	struct vgpu *idle;
	pthread_t thread;

	(void)state;
	vgpu = opened();
	idle = opened();
	assert_int_equal(vgpu_nop(vgpu), 0); /* so that memory of zeros looks like a lie */
	assert_int_equal(vgpu_nop(idle), 0);
	pthread_mutex_lock(&fake.lock);
	fake.silent = 1;
	pthread_mutex_unlock(&fake.lock);
	pthread_create(&thread, NULL, unplug_soon, NULL);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EDEVLOST);
	assert_contains(vgpu_last_error(vgpu), "unplugged");
	pthread_join(thread, NULL);
	assert_int_equal(vgpu_nop(vgpu), VGPU_EDEVLOST);
	assert_int_equal(vgpu_nop(idle), VGPU_EDEVLOST); /* its memory is still memory */
	vgpu_close(idle);
}

#define PAGE ((size_t)sysconf(_SC_PAGESIZE))

/* A page of the program's own, in the one page of window that a program can have here. */
static uint8_t *registered_page(void)
{
	uint8_t *p = aligned_alloc(PAGE, PAGE);

	assert_non_null(p);
	memset(p, 0x5a, PAGE);
	assert_int_equal(vgpu_host_register(vgpu, p, PAGE), 0);
	return p;
}

static void test_registered_memory(void **state)
{
	const uint8_t *slice = fake.window; /* of channel 0, as the host has it */
	uint8_t *p;

	(void)state;
	vgpu = opened();
	p = registered_page();
	assert_memory_equal(slice + FAKE_SLICE_BYTES - PAGE, p, PAGE);
	p[7] = 7;
	assert_int_equal(slice[FAKE_SLICE_BYTES - PAGE + 7], 7);
	assert_int_equal(vgpu_host_unregister(vgpu, p), 0);
	p[7] = 8;
	assert_int_equal(slice[FAKE_SLICE_BYTES - PAGE + 7], 7);
	assert_int_equal(p[8], 0x5a);
	assert_int_equal(vgpu_host_register(vgpu, p, PAGE), 0);
	vgpu_close(vgpu);
	vgpu = NULL;
	p[7] = 9;
	assert_int_equal(slice[FAKE_SLICE_BYTES - PAGE + 7], 8);
	assert_int_equal(p[8], 0x5a);
	free(p);
}

/* The window cannot be mapped: the memory stays what it was. */
static void test_registering_fails(void **state)
{
	uint8_t *p = aligned_alloc(PAGE, PAGE);
	char path[256];

	(void)state;
	memset(p, 0x5a, PAGE);
	vgpu = opened();
	fake_device_path(path, "resource2");
	unlink(path);
	assert_true(vgpu_host_register(vgpu, p, PAGE) < 0);
	assert_contains(vgpu_last_error(vgpu), "host_register: open resource2: ");
	assert_int_equal(vgpu_host_unregister(vgpu, p), 713);
	assert_int_equal(p[PAGE - 1], 0x5a);
	free(p);
}

static int unplugging_seen;

static void see_unplugging(void *opaque, enum vgpu_log_level level, const char *text)
{
	(void)opaque;
	(void)level;
	if (strstr(text, "was unplugged"))
		__atomic_store_n(&unplugging_seen, 1, __ATOMIC_RELEASE);
}

/* What is registered survives an unplugging as the window does, and only what still is. */
static void test_unplugged_with_registered_memory(void **state)
{
	uint8_t *p, *was;

	(void)state;
	options.log = see_unplugging;
	vgpu = opened();
	was = registered_page();
	assert_int_equal(vgpu_host_unregister(vgpu, was), 0);
	p = registered_page();
	fake_device_unplug();
	eventually(__atomic_load_n(&unplugging_seen, __ATOMIC_ACQUIRE));
	assert_int_equal(vgpu_nop(vgpu), VGPU_EDEVLOST);
	assert_int_equal(was[0], 0x5a);
	assert_int_equal(p[0], 0); /* and no SIGBUS */
	p[1] = 1;
	vgpu_close(vgpu);
	vgpu = NULL;
	assert_int_equal(p[0], 0);
	p[2] = 2;
	assert_int_equal(was[0], 0x5a);
	free(p);
	free(was);
}

static void test_roll_call(void **state)
{
	int lock;

	(void)state;
	vgpu = opened();
	lock = fake_device_lock(2);
	fake_device_raise(VGPU_IRQ_ROLL_CALL);
	eventually(fake_get(roll_calls));
	assert_int_equal(fake_get(roll_call), 1u << 0 | 1u << 2);
	assert_true(fake_get(acknowledged) & VGPU_IRQ_ROLL_CALL);
	close(lock);
	pthread_mutex_lock(&fake.lock);
	fake.roll_calls = 0;
	pthread_mutex_unlock(&fake.lock);
	fake_device_raise(VGPU_IRQ_ROLL_CALL);
	eventually(fake_get(roll_calls));
	assert_int_equal(fake_get(roll_call), 1u << 0);
}

/* Another keeper took the cause and died: this one sees an interrupt and nothing else. */
static void test_roll_call_that_another_took(void **state)
{
	(void)state;
	vgpu = opened();
	fake_device_raise(VGPU_IRQ_CHANNEL(0));
	eventually(fake_get(roll_calls));
	assert_int_equal(fake_get(roll_call), 1u << 0);
}

/* A lock that went after the roll call: its channel is closed a while later. */
static void test_locks_that_go_late(void **state)
{
	int lock;

	(void)state;
	vgpu = opened();
	lock = fake_device_lock(3);
	pthread_mutex_lock(&fake.lock);
	fake.state[3] = VGPU_CHANNEL_OPEN;
	pthread_mutex_unlock(&fake.lock);
	fake_device_raise(VGPU_IRQ_ROLL_CALL);
	eventually(fake_get(roll_calls));
	assert_int_equal(fake_get(roll_call), 1u << 0 | 1u << 3);
	close(lock);
	eventually(fake_get(state[3]) == VGPU_CHANNEL_CLOSED);
	assert_int_equal(fake_get(state[0]), VGPU_CHANNEL_OPEN);
	assert_int_equal(vgpu_nop(vgpu), 0);
}

/* The cause of a stopped process: not ours to acknowledge, and not to interrupt for ever. */
static void test_cause_that_nobody_takes(void **state)
{
	uint32_t calm;

	(void)state;
	vgpu = opened();
	pthread_mutex_lock(&fake.lock);
	fake.irq_mask |= VGPU_IRQ_CHANNEL(5);
	pthread_mutex_unlock(&fake.lock);
	fake_device_raise(VGPU_IRQ_CHANNEL(5) | VGPU_IRQ_ROLL_CALL);
	eventually(!(fake_get(irq_mask) & VGPU_IRQ_CHANNEL(5)));
	assert_true(fake_get(irq_status) & VGPU_IRQ_CHANNEL(5));
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_true(fake_get(irq_mask) & VGPU_IRQ_CHANNEL(0));
	usleep(20000);
	calm = fake_get(interrupts);
	usleep(100000);
	assert_int_equal(fake_get(interrupts), calm);
}

/* Another process masked our cause while we were stopped. */
static void test_own_cause_is_put_back(void **state)
{
	(void)state;
	vgpu = opened();
	pthread_mutex_lock(&fake.lock);
	fake.irq_mask &= ~VGPU_IRQ_CHANNEL(0);
	pthread_mutex_unlock(&fake.lock);
	fake_device_raise(VGPU_IRQ_ROLL_CALL);
	eventually(fake_get(irq_mask) & VGPU_IRQ_CHANNEL(0));
	assert_int_equal(vgpu_nop(vgpu), 0);
}

static void test_fork(void **state)
{
	int status, lock, ready[2];
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	vgpu = opened();
	pid = fork();
	if (pid == 0) {
		alarm(60);
		if (vgpu_nop(vgpu) != VGPU_EFORKED)
			_exit(1);
		vgpu_close(vgpu);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(vgpu_nop(vgpu), 0);
	assert_int_equal(fake.leaves, 0);

	/* While a child lives, the parent's lock goes with the parent's handle. */
	pid = fork();
	if (pid == 0) {
		alarm(60);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1); /* fork() has returned there, too */
	close(ready[0]);
	close(ready[1]);
	vgpu_close(vgpu);
	vgpu = NULL;
	lock = fake_device_lock(0);
	close(lock);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_list(void **state)
{
	struct vgpu_device *list;
	int lock = fake_device_lock(3);
	char path[256];
	size_t n;

	(void)state;
	vgpu = opened();
	assert_int_equal(vgpu_list_devices(&list, &n), 0);
	assert_true(n >= 1); /* the mediator's socket may be there, too */
	assert_string_equal(list[0].name, "pci:" FAKE_ADDRESS);
	assert_int_equal(list[0].state, 0);
	assert_int_equal(list[0].channels, FAKE_CHANNELS);
	assert_int_equal(list[0].channels_free, FAKE_CHANNELS - 2);
	assert_string_equal(list[0].detail, "");
	vgpu_free_devices(list);

	fake.mediator = 0;
	assert_int_equal(vgpu_list_devices(&list, &n), 0);
	assert_int_equal(list[0].state, VGPU_ENOMEDIATOR);
	vgpu_free_devices(list);

	fake_device_path(path, "driver");
	unlink(path);
	assert_int_equal(vgpu_list_devices(&list, &n), 0);
	assert_int_equal(list[0].state, VGPU_ENOTBOUND);
	assert_contains(list[0].detail, "uio_pci_generic");
	vgpu_free_devices(list);
	close(lock);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_open_call_close),
		T(test_found_by_scanning),
		T(test_two_handles_share_the_node),
		T(test_other_devices_are_left_alone),
		T(test_identity_comes_first),
		T(test_not_bound),
		T(test_no_node),
		T(test_no_permission),
		T(test_all_channels_taken),
		T(test_dead_predecessor),
		T(test_closed_channel_first),
		T(test_predecessor_that_failed),
		T(test_mailbox_fails),
		T(test_mailbox_never_answers),
		T(test_mailbox_lock_is_held),
		T(test_deadline),
		T(test_mediator_lost),
		T(test_closed_by_the_device),
		T(test_end_that_comes_with_an_answer),
		T(test_timeout),
		T(test_unplugged_during_a_call),
		T(test_registered_memory),
		T(test_registering_fails),
		T(test_unplugged_with_registered_memory),
		T(test_roll_call),
		T(test_roll_call_that_another_took),
		T(test_locks_that_go_late),
		T(test_cause_that_nobody_takes),
		T(test_own_cause_is_put_back),
		T(test_fork),
		T(test_list),
	};

	return cmocka_run_group_tests_name("pci", tests, NULL, NULL);
}
