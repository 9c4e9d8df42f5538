/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers as XenStore's nodes have them. QEMU's device includes this, too: libc only. */
#ifndef COMMON_DECIMAL_H
#define COMMON_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

/* Decimal digits only, no sign, no leading zeros, at most @max; false, and *out as it was, if not. */
static inline bool decimal_parse(const char *text, uint32_t max, uint32_t *out)
{
	uint64_t n = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > max)
			return false;
	}
	*out = (uint32_t)n;
	return true;
}

#endif
