/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the fuzz targets share: taking values off the input. Past its end everything is 0,
 * so any input is a whole one.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct input {
	const uint8_t *at;
	size_t left;
};

static inline void input_bytes(struct input *in, void *out, size_t n)
{
	size_t have = n < in->left ? n : in->left;

	memset(out, 0, n);
	if (have)
		memcpy(out, in->at, have);
	in->at += have;
	in->left -= have;
}

static inline uint8_t input_u8(struct input *in)
{
	uint8_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint32_t input_u32(struct input *in)
{
	uint32_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

static inline uint64_t input_u64(struct input *in)
{
	uint64_t v;

	input_bytes(in, &v, sizeof(v));
	return v;
}

/*
 * A number near a limit, which is where range checks go wrong: random bytes hardly ever
 * come close to it.
 */
static inline uint64_t input_near(struct input *in, uint64_t limit)
{
	uint8_t how = input_u8(in);
	uint64_t delta = input_u8(in);

	switch (how % 8) {
	case 0:
		return delta;
	case 1:
		return limit - delta;
	case 2:
		return limit + delta;
	case 3:
		return limit / 2 + 4 * delta;
	case 4:
		return UINT64_MAX - delta;
	case 5:
		return (UINT64_MAX / 2) - delta;
	case 6:
		return delta * 4096;
	default:
		return input_u64(in);
	}
}

/* A property that must hold whatever the input is; libFuzzer keeps the input if not. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			__builtin_trap();                                                          \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
