/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line. Options that the file knows too are kept as text and laid over it. */
#ifndef HOST_MEDIATOR_OPTIONS_H
#define HOST_MEDIATOR_OPTIONS_H

#include <stdio.h>

#include "mediator_config.h"

/* Exit codes of gpu_mediator, as gpu_mediator(8) promises them. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_CONFIG = 3,
	EXIT_NO_GPU = 4,
	EXIT_BUSY = 5,
};

enum action {
	ACTION_SERVE,
	ACTION_SELF_TEST,
	ACTION_CHECK_CONFIG,
	ACTION_VERSION,
	ACTION_HELP,
};

#define OVERRIDES_MAX 16

struct override {
	const char *option;
	const char *section;
	const char *key;
	char value[CONFIG_TEXT_MAX];
};

struct options {
	enum action action;
	bool foreground;
	const char *config; /* NULL: the default file, if it is there */
	struct override overrides[OVERRIDES_MAX];
	unsigned int override_count;
};

/* 0, or -EINVAL after a message on stderr. */
int options_parse(struct options *o, int argc, char **argv);

void options_usage(FILE *to);

/*
 * Defaults, file and command line put together and checked. @error is told every mistake.
 * Returns 0, -EINVAL or the errno of reading the file.
 */
int options_load_config(const struct options *o, struct mediator_config *c, config_error_fn *error,
			void *ctx);

#endif
