/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cmocka wants included before it. */
#ifndef GUEST_TEST_H
#define GUEST_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define assert_contains(text, part)                                                                \
	do {                                                                                       \
		if (!strstr(text, part))                                                           \
			fail_msg("\"%s\" does not contain \"%s\"", text, part);                    \
	} while (0)

#endif
