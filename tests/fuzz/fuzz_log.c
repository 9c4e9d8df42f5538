// SPDX-License-Identifier: GPL-2.0-or-later
/* A stranger's text on its way into the log: one line, printable, UTF-8, within its buffer. */
#include "fuzz.h"

#include <wchar.h>
#include <locale.h>

#include "../../host/log.h"

static int is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	size_t room = input_u8(&in) * 2;
	char *out =
		malloc(room ? room : 1); /* its exact size, so that ASan sees one byte too many */
	mbstate_t state = { 0 };
	size_t n;

	setlocale(LC_CTYPE, "C.UTF-8");
	n = log_escape(out, room, in.at, in.left);
	if (room == 0) {
		MUST(n == 0);
		free(out);
		return 0;
	}
	MUST(n < room && strlen(out) == n);
	for (size_t i = 0; i < n;) {
		wchar_t c;
		size_t used = mbrtowc(&c, out + i, n - i, &state);

		MUST(used > 0 && used <= 4);
		MUST(c >= 0x20 && (c < 0x7f || c >= 0xa0));
		if (c == '\\')
			MUST(i + 3 < n && out[i + 1] == 'x' && is_hex(out[i + 2]) &&
			     is_hex(out[i + 3]));
		i += used;
	}
	free(out);
	return 0;
}
