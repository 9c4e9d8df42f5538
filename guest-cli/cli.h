/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of vgpu-cli share. */
#ifndef CLI_H
#define CLI_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <vgpuguest.h>

/* Exit codes: stable, see vgpu-cli(1). */
enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NO_DEVICE = 3,
};

struct cli {
	struct vgpu_options options;
	bool json;
	bool iterations_set, seed_set, mode_set;
	uint64_t iterations; /* of bench */
	uint64_t seed;       /* of vector_add N */
	const char *mode;    /* of bench */
	const char *command;
	json_object *result; /* the object that --json prints */
};

/* A command gets what stands after its name. Returns enum cli_exit. */
typedef int (*cli_command_fn)(struct cli *cli, int argc, char **argv);

int command_show(struct cli *cli, int argc, char **argv);
int command_nop(struct cli *cli, int argc, char **argv);
int command_vector_add(struct cli *cli, int argc, char **argv);
int command_status(struct cli *cli, int argc, char **argv);
int command_list(struct cli *cli, int argc, char **argv);
int command_message(struct cli *cli, int argc, char **argv);
int command_bench(struct cli *cli, int argc, char **argv);
int command_doctor(struct cli *cli, int argc, char **argv);

/* output.c */

/* Print for people; nothing with --json. */
void cli_print(const struct cli *cli, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Add to the object that --json prints; takes @value over. */
void cli_add(struct cli *cli, const char *key, json_object *value);

/* A copy of @text without control characters: it came from the host. Overwritten by the 4th call. */
const char *cli_safe(const char *text);

/* Report a wrong command line. Returns CLI_USAGE. */
int cli_usage(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Report that a call failed with @error; @why: its reason in words. Returns the exit code. */
int cli_fail(struct cli *cli, int error, const char *why);

/* Report a failure that is no call's. Returns CLI_FAILED. */
int cli_fail_text(struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Print the --json object, and see that all output has arrived. Returns the exit code. */
int cli_finish(struct cli *cli, int code);

/* Open the chosen device; on failure it is reported and the exit code is returned. */
int cli_open(struct cli *cli, struct vgpu **out);

/* Decimal digits only, @min to @max. */
bool cli_parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *out);

const char *cli_backend(uint32_t backend);

#endif
