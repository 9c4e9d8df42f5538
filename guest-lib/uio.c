/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../common/errors.h"

int uio_open(const struct device *d, struct cause *why)
{
	char dir[4096], path[512] = "";
	struct dirent *e;
	DIR *entries;
	int fd;

	device_path(dir, sizeof(dir), d, "uio");
	entries = opendir(dir); /* close-on-exec */
	while (entries && (e = readdir(entries)))
		if (!strncmp(e->d_name, "uio", 3))
			snprintf(path, sizeof(path), "%s/%s", device_dev, e->d_name);
	if (entries)
		closedir(entries);
	if (!path[0])
		return because(
			why, VGPU_ENOTBOUND,
			"uio_pci_generic made no uio node for it: has the device an INTx line?");
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0)
		return fd;
	if (errno == EACCES || errno == EPERM)
		return because(
			why, VGPU_EACCES,
			"open %s: %m: is this user in group vgpu? as root: adduser USER vgpu, then "
			"log in again",
			path);
	return because(why, error_from_errno(-errno), "open %s: %m", path);
}

int uio_take(int fd)
{
	uint32_t count;
	ssize_t n;

	do {
		n = read(fd, &count, sizeof(count));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -EAGAIN : -ENODEV;
	return n == sizeof(count) ? 0 : -ENODEV;
}
