/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A xenlibd of its own for each case, with domains 0, 1 and 2. */
#ifndef TESTS_XENLIB_BED_H
#define TESTS_XENLIB_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/types.h>
#include <xenstore.h>

#define BED_WAIT_MS 5000 /* a hang, not a pace */

int bed_setup(void **state);
int bed_teardown(void **state);

/* XENLIB_REAL: a xenstored of Xen's is there, and all that asks it is domain 0. */
bool bed_real(void);
/* The domain whose data directory a case uses: without privileges, where that can be. */
uint32_t bed_own(void);

/* Handles that are opened from now on are of this domain. */
void bed_become(uint32_t domid);
struct xs_handle *bed_xs(uint32_t domid);

/* A command of control.c. Returns 0 or a negative errno; the answer's number is in *@n. */
int bed_command(const char *command, long *n);
/* Until as many are left: what a program that ended had goes a moment after it. */
void bed_expect_count(uint32_t domid, const char *what, long n);

/* Is the descriptor readable, now or in a moment? */
bool bed_readable(int fd, int timeout_ms);

/* Run a program's part in a process of its own, which ends without closing anything. */
pid_t bed_program(void (*body)(int to_parent), int *from_child);

#endif
