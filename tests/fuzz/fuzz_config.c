// SPDX-License-Identifier: GPL-2.0-or-later
/* The mediator's configuration file, read, checked and applied over the defaults. */
#include "fuzz.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../host/mediator_config.h"

static unsigned int errors_told;

static void told(void *ctx, const char *text)
{
	(void)ctx;
	/* FILE:LINE: what; one line */
	MUST(text && strchr(text, ':') && !strchr(text, '\n'));
	errors_told++;
}

static void changed(void *ctx, const struct config_change *change)
{
	(void)ctx;
	MUST(change->section && change->key && strcmp(change->from, change->to) != 0);
	MUST(memchr(change->to, 0, sizeof(change->to)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mediator_config config, current;
	char path[64], why[256] = "";
	int fd = memfd_create("config", MFD_CLOEXEC);
	int rc;

	MUST(fd >= 0);
	if (size)
		MUST(write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

	config_init(&config);
	config_init(&current);
	errors_told = 0;
	rc = config_load(&config, path, told, NULL);
	MUST((rc == 0) == (errors_told == 0));
	if (rc == 0) {
		MUST(memchr(config.log, 0, sizeof(config.log)));
		MUST(memchr(config.devices.socket, 0, sizeof(config.devices.socket)));
		MUST(memchr(config.cuda_library, 0, sizeof(config.cuda_library)));
		config_check(&config, why, sizeof(why));
		MUST(memchr(why, 0, sizeof(why)));
		config_apply(&current, &config, changed, NULL);
	}
	close(fd);
	return 0;
}
