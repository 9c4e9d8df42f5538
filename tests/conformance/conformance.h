/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the conformance tests share. The program runs inside test images and on machines
 * with nothing installed, so it needs the library and libc, and no test framework.
 *
 * A test is a function; the first check that fails ends it, and whatever is declared
 * `auto_close` is closed. Checks belong to the main thread; threads return what they saw.
 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpuguest.h"

struct conformance {
	const char *device; /* what is under test, as vgpu_options.device takes it */
	bool quick;         /* under emulation: fewer rounds, less data */
	uint64_t seed;
	size_t window_bytes; /* that handles ask for; 0: the default */
};
extern struct conformance test;

struct test_case {
	const char *name;
	void (*run)(void);
};

extern const struct test_case basic_tests[], open_tests[], vector_add_tests[], call_tests[],
	process_tests[], gpu_memory_tests[], gpu_register_tests[], gpu_copy_tests[],
	gpu_module_tests[], gpu_kernel_tests[], gpu_stream_tests[], gpu_event_tests[],
	gpu_host_func_tests[], gpu_graph_tests[], gpu_error_tests[], gpu_deadline_tests[],
	gpu_isolation_tests[], gpu_raw_tests[];

/* Record a failure or a skip of the test that runs. @what was to hold. */
__attribute__((format(printf, 4, 5))) void test_failed(const char *file, int line, const char *what,
						       const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void test_skipped(const char *fmt, ...);
bool test_is_over(void); /* failed or skipped */

#define CHECK(condition, ...)                                                                      \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			test_failed(__FILE__, __LINE__, #condition, " " __VA_ARGS__);              \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* The call returns exactly this. */
#define EXPECT(wanted, call)                                                                       \
	do {                                                                                       \
		int expect_rc_ = (call), expect_wanted_ = (wanted);                                \
		if (expect_rc_ != expect_wanted_) {                                                \
			test_failed(__FILE__, __LINE__, #call, ": %s, expected %s (%s)",           \
				    vgpu_strerrorname(expect_rc_),                                 \
				    vgpu_strerrorname(expect_wanted_), vgpu_last_error(NULL));     \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* As EXPECT, and the handle says why where it is an error. */
#define EXPECT_ON(handle, wanted, call)                                                            \
	do {                                                                                       \
		int expect_rc_ = (call), expect_wanted_ = (wanted);                                \
		const char *expect_why_ = vgpu_last_error(handle);                                 \
		if (expect_rc_ != expect_wanted_ || !*expect_why_ != !expect_rc_) {                \
			test_failed(__FILE__, __LINE__, #call, ": %s, expected %s (\"%s\")",       \
				    vgpu_strerrorname(expect_rc_),                                 \
				    vgpu_strerrorname(expect_wanted_), expect_why_);               \
			return;                                                                    \
		}                                                                                  \
	} while (0)

/* Let a called function's failure or skip end the caller, too. */
#define HELPED(call)                                                                               \
	do {                                                                                       \
		call;                                                                              \
		if (test_is_over())                                                                \
			return;                                                                    \
	} while (0)

void close_handle(struct vgpu **handle);
#define auto_close __attribute__((cleanup(close_handle))) struct vgpu *

void free_memory(void *pointer_to_pointer);
#define auto_free __attribute__((cleanup(free_memory)))

/* Options for the device under test. */
struct vgpu_options test_options(void);

/* A handle on the device under test. */
int test_open(struct vgpu **out);

/* @many rounds, or fewer with --quick. */
int test_rounds(int many);

/* Fresh random bits. One sequence a thread, all of them from the seed. */
uint64_t test_random(void);

#endif
