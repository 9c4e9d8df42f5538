/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvgpuguest: use the host's GPU from a virtual machine, without a kernel module.
 *
 * A handle is one channel to the host: requests on it run in order, in a process of
 * their own on the host, with a GPU context of their own. Open several handles for
 * work that is to run side by side.
 *
 * Threads: any function may be called by any thread. Calls on one handle take turns; one that waits
 * for the GPU lets others pass.
 * vgpu_close() must be the last call on its handle.
 * Fork: a handle belongs to the process that opened it. In a forked child every call
 * on it returns VGPU_EFORKED, vgpu_close() frees the handle, and the parent notices
 * nothing; the child opens a handle of its own.
 * Signals: no function is async-signal-safe; none is interrupted by a signal.
 *
 * Errors: functions return 0, a negative VGPU_E* (vgpu_errors.h), or, for GPU work,
 * the positive native CUDA error number. vgpu_strerror() knows both. Any call may
 * return these:
 *   VGPU_EDEVLOST   the mediator, its worker or the device is gone. Final for this
 *                   handle; vgpu_open() works again as soon as the host is back.
 *   VGPU_EDEADLINE  the command ran longer than the host allows. Final like EDEVLOST.
 *   VGPU_ETIMEDOUT  the handle's own timeout passed. The handle stays usable: the
 *                   next call first waits for the late answer.
 *   VGPU_EPROTO     the host broke the protocol. Final.
 *   VGPU_EFORKED    see above.
 * The library never prints, exits or raises signals. It tells what it does through
 * the log callback, and why a call failed through vgpu_last_error().
 */
#ifndef VGPUGUEST_H
#define VGPUGUEST_H

#include <stddef.h>
#include <stdint.h>

#include <vgpu/vgpu_commands.h>
#include <vgpu/vgpu_errors.h>
#include <vgpu/vgpu_version.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define VGPUGUEST_VERSION "0.1.0"

struct vgpu;

enum vgpu_log_level {
	VGPU_LOG_ERROR = 0,
	VGPU_LOG_WARNING,
	VGPU_LOG_INFO,
	VGPU_LOG_DEBUG,
};

/* @text: one line, no newline, valid during the call. May be called by any thread of the library. */
typedef void (*vgpu_log_fn)(void *opaque, enum vgpu_log_level level, const char *text);

/*
 * Options of vgpu_open(). Fill with vgpu_options_init() first, so that programs built
 * against an older header keep working.
 */
struct vgpu_options {
	size_t size; /* sizeof(struct vgpu_options), by vgpu_options_init() */

	/*
	 * Which device: NULL or "auto": the environment variable VGPU_DEVICE if set, else the
	 * device that XenStore shows to this Xen guest, else the first vgpu-stub PCI function, else
	 * the mediator's socket on this machine if there is one. "xen": XenStore's device 0;
	 * "xen:1": this one. "pci": the first PCI function; "pci:0000:00:04.0": this one. "unix":
	 * the mediator's default socket; "unix:/path": this one.
	 */
	const char *device;

	int timeout_ms; /* of each call; -1, the default: as long as the host allows */

	/*
	 * How long to poll for an answer before sleeping, microseconds. 0: sleep at once.
	 * -1, the default: 10000, and 0 where only one CPU is online. Programs that have a GPU for
	 * themselves poll as long as it works; after 50 us others get the processor first, and
	 * where one takes it the rest is sleep.
	 */
	int spin_us;

	/*
	 * Bytes of shared memory for bulk data. 0, the default: 16 MiB on `unix`; on `xen` an
	 * eighth of what the guest's kernel may share, or what it has left of that, up to 3.8 MiB,
	 * which is the most; on `pci` always what the device has for one channel. Rounded up to
	 * pages; more than a limit is refused with VGPU_EQUOTA.
	 */
	size_t window_bytes;

	vgpu_log_fn log; /* NULL: none */
	void *log_opaque;
	enum vgpu_log_level log_level; /* messages above it are not made; default WARNING */
};

void vgpu_options_init(struct vgpu_options *options);

/*
 * Open a channel. @options may be NULL. On success *@out is the caller's, to be ended by
 * vgpu_close(); on failure it is NULL, nothing remains, and vgpu_last_error(NULL) tells
 * why. Blocks while the host prepares a worker, up to timeout_ms (30 s if that is -1).
 * VGPU_ENODEV: no device. VGPU_ENOTBOUND: udev has not bound it. VGPU_EACCES: not in group
 * vgpu. VGPU_ELOCKDOWN. VGPU_ENOMEDIATOR: nobody serves it on the host. VGPU_ENOCHANNEL: all
 * taken. VGPU_EQUOTA. VGPU_EVERSION. VGPU_EINVAL: a malformed option. VGPU_ENOMEM.
 */
int vgpu_open(struct vgpu **out, const struct vgpu_options *options);

/*
 * End the channel and free the handle; NULL is allowed. Blocks for a moment at most; on Xen until
 * the worker has let go of the shared pages, 2 s at most. Memory of the window is gone then; what
 * vgpu_host_register() put there is private memory again, with its contents.
 */
void vgpu_close(struct vgpu *vgpu);

/* One round trip that does nothing. */
int vgpu_nop(struct vgpu *vgpu);

/* Who computed, and how much. */
struct vgpu_vector_add_result {
	size_t elements;
	size_t errors;    /* of the self-test */
	uint32_t backend; /* VGPU_BACKEND_CPU or VGPU_BACKEND_CUDA */
	char device[64];  /* its name, "NVIDIA H200" */
};

/*
 * c[i] = a[i] + b[i] for @n floats of ordinary memory; c may be a or b. Any @n: what does not
 * fit the window goes in pieces. @result may be NULL. On failure the contents of c are
 * undefined. n = 0 does nothing. VGPU_EINVAL: NULL, or c overlaps a or b partly.
 */
int vgpu_vector_add(struct vgpu *vgpu, const float *a, const float *b, float *c, size_t n,
		    struct vgpu_vector_add_result *result);

/* The host makes VGPU_SELF_TEST_ELEMENTS elements, adds and verifies them. Not 0 errors is no
 * failure of the call. */
int vgpu_vector_add_self_test(struct vgpu *vgpu, struct vgpu_vector_add_result *result);

struct vgpu_status {
	uint32_t protocol_version; /* that the host speaks */
	uint32_t backend;          /* VGPU_BACKEND_* */
	int fallback;              /* 1: the host found no GPU and computes on its CPU */
	uint32_t channel;
	uint64_t requests; /* on this channel */
	uint64_t errors;
	uint64_t uptime_ms;
	uint64_t window_bytes;
	uint64_t memory_total; /* of the GPU, bytes */
	uint64_t memory_free;
	uint32_t compute_major;
	uint32_t compute_minor;
	uint32_t driver_version; /* CUDA's numbers: 13000 is 13.0 */
	uint32_t runtime_version;
	uint32_t deadline_ms; /* that the host sets for a command; 0 none */
	char device[96];
	char mediator[32];
	char vm[64];        /* name that the host knows this VM by */
	char transport[64]; /* "xen:0", "pci:0000:00:04.0" or "unix:/run/..." */
};

int vgpu_query_status(struct vgpu *vgpu, struct vgpu_status *status);

/*
 * Put a line of text into the mediator's log. UTF-8, 1 to VGPU_MESSAGE_MAX bytes; the host
 * escapes control characters. VGPU_ETOOBIG; VGPU_EINVAL: empty; VGPU_ETHROTTLED: too many.
 */
int vgpu_message(struct vgpu *vgpu, const char *text);

/*
 * One request of any command number, for tests and tools: @args (up to 104 bytes) go inline;
 * @data_len bytes of @data go into the window before, at the data_ptr of the request, and the bytes
 * that the host says it wrote come back into @data after. @reply, if not NULL, gets the response's
 * 48 bytes. Returns as all calls do; an unknown @cmd gives VGPU_ENOCMD and the channel lives on.
 */
int vgpu_call(struct vgpu *vgpu, uint32_t cmd, const void *args, size_t args_len, void *data,
	      size_t *data_len, uint8_t reply[48]);

/* A device that vgpu_open() could use. */
struct vgpu_device {
	char name[64];     /* what struct vgpu_options.device takes: "xen:0" */
	int state;         /* 0: usable; otherwise the VGPU_E* that vgpu_open() would return */
	uint32_t channels; /* 0 where not known */
	uint32_t channels_free;
	uint64_t window_bytes; /* of one channel */
	uint32_t protocol_version;
	char detail[160]; /* what is wrong and what to do, or empty */
};

/*
 * Find the devices of this machine; opens no channel. *@list is the caller's, to be freed
 * by vgpu_free_devices(). No device is no error: *@count is 0.
 */
int vgpu_list_devices(struct vgpu_device **list, size_t *count);
void vgpu_free_devices(struct vgpu_device *list);

/* Text and name ("VGPU_EDEVLOST") of any number that a call returned. Static, never NULL. */
const char *vgpu_strerror(int error);
const char *vgpu_strerrorname(int error);

/*
 * Why the last call on this handle (NULL: the last vgpu_open() or vgpu_list_devices() of
 * this thread) failed, in one line that names subject, action and cause; "" after success.
 * Valid until this thread's next call.
 */
const char *vgpu_last_error(const struct vgpu *vgpu);

/* Release of the library, and VGPU_PROTOCOL_VERSION as it was built. */
const char *vgpu_library_version(void);
uint32_t vgpu_library_protocol_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#include "vgpuguest_gpu.h"

#endif
