/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_xenstore.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../common/decimal.h"

static int join(char out[XENSTORE_PATH_MAX], const char *dir, const char *leaf)
{
	int n = snprintf(out, XENSTORE_PATH_MAX, "%s/%s", dir, leaf);

	return n < 0 || n >= XENSTORE_PATH_MAX ? -ENAMETOOLONG : 0;
}

static int last_error(void)
{
	switch (errno) {
	case EACCES: /* said of what is missing to those who may not see its parents */
		return -ENOENT;
	case 0:
		return -EIO;
	default:
		return -errno;
	}
}

int xenstore_read_text(struct xs_handle *xs, xs_transaction_t t, const char *dir, const char *leaf,
		       char *out, size_t size)
{
	char path[XENSTORE_PATH_MAX];
	unsigned int length;
	char *value;
	int rc = join(path, dir, leaf);

	if (rc < 0)
		return rc;
	errno = 0;
	value = xs_read(xs, t, path, &length);
	if (!value)
		return last_error();
	rc = length < size ? 0 : -EINVAL;
	for (unsigned int i = 0; rc == 0 && i < length; i++)
		if (value[i] < ' ' || value[i] > '~')
			rc = -EINVAL;
	if (rc == 0) {
		memcpy(out, value, length);
		out[length] = '\0';
	}
	free(value);
	return rc;
}

int xenstore_read_number(struct xs_handle *xs, xs_transaction_t t, const char *dir,
			 const char *leaf, uint32_t max, uint32_t *out)
{
	char text[16];
	int rc = xenstore_read_text(xs, t, dir, leaf, text, sizeof(text));

	if (rc == 0 && !decimal_parse(text, max, out))
		rc = -EINVAL;
	return rc;
}

bool xenstore_exists(struct xs_handle *xs, const char *dir, const char *leaf)
{
	char path[XENSTORE_PATH_MAX];
	void *value;

	if (join(path, dir, leaf) < 0)
		return false;
	value = xs_read(xs, XBT_NULL, path, NULL);
	free(value);
	return value != NULL;
}

int xenstore_write(struct xs_handle *xs, xs_transaction_t t, const char *dir, const char *leaf,
		   const char *fmt, ...)
{
	char path[XENSTORE_PATH_MAX], value[256];
	va_list args;
	int rc = join(path, dir, leaf);

	if (rc < 0)
		return rc;
	va_start(args, fmt);
	vsnprintf(value, sizeof(value), fmt, args);
	va_end(args);
	errno = 0;
	return xs_write(xs, t, path, value, (unsigned int)strlen(value)) ? 0 : last_error();
}

int xenstore_remove(struct xs_handle *xs, xs_transaction_t t, const char *dir, const char *leaf)
{
	char path[XENSTORE_PATH_MAX];
	int rc = join(path, dir, leaf);

	if (rc < 0)
		return rc;
	errno = 0;
	if (xs_rm(xs, t, path))
		return 0;
	rc = last_error();
	return rc == -ENOENT ? 0 : rc;
}
