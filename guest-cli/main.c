/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vgpu-cli: look at the vGPU and try it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

#define SECONDS_MAX 1000000

static int command_help(struct cli *cli, int argc, char **argv);

static const struct command {
	const char *name;
	cli_command_fn run;
	const char *arguments;
	const char *help;
	const char *more; /* or NULL */
} commands[] = {
	{ "nop", command_nop, "", "one round trip to the host and back", NULL },
	{ "vector_add", command_vector_add, "[N]", "add two vectors on the host's GPU",
	  "Without N the host makes 1024 elements and checks the sum (self-test). With N this\n"
	  "program makes N random elements (--seed SEED, default 1), has the host add them and\n"
	  "checks each sum on the CPU.\n" },
	{ "status", command_status, "", "who serves this machine, and how much it has done", NULL },
	{ "list", command_list, "", "the vGPU devices of this machine, opening none", NULL },
	{ "message", command_message, "TEXT...", "put a line into the mediator's log",
	  "Several words are joined by spaces. At most 480 bytes.\n" },
	{ "bench", command_bench, "", "measure round trips",
	  "--iterations N: round trips a mode, default 10000. --mode polling: spin for the "
	  "answer;\n"
	  "sleeping: sleep until it comes; both: one after the other, the default.\n" },
	{ "doctor", command_doctor, "", "check the whole way to the GPU, step by step",
	  "Prints a line a check: ok, note, or FAIL with what to do.\n" },
	{ "help", command_help, "[COMMAND]", "this text, or more on one command", NULL },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int invalid_command(struct cli *cli, const char *name)
{
	if (cli->json)
		return cli_usage(cli, "Invalid command: %s", cli_safe(name));
	fprintf(stderr, "Error: Invalid command\n");
	fprintf(stderr, "\"%s\" is none; `vgpu-cli help` lists them.\n", cli_safe(name));
	return CLI_USAGE;
}

static void print_overview(void)
{
	printf("Usage: vgpu-cli [OPTION]... [COMMAND [ARGUMENT]...]\n"
	       "Look at this machine's vGPU and try it. Without a command: show it.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int width = printf("  %s %s", commands[i].name, commands[i].arguments);

		printf("%*s%s\n", width < 22 ? 22 - width : 1, "", commands[i].help);
	}
	printf("\nOptions:\n"
	       "  -d, --device DEVICE   auto, xen, xen:1, pci, pci:0000:00:04.0, unix or "
	       "unix:/path\n"
	       "                        (default: the environment's VGPU_DEVICE, else auto)\n"
	       "  -t, --timeout SECONDS for each call (default: as long as the host allows)\n"
	       "      --json            print one JSON object\n"
	       "  -n, --iterations N    bench: round trips of each mode\n"
	       "  -m, --mode MODE       bench: polling, sleeping or both\n"
	       "      --seed SEED       vector_add N: of the random data\n"
	       "  -v, --verbose         tell on standard error what the library does\n"
	       "  -V, --version\n"
	       "  -h, --help\n\n"
	       "Exit: 0 done, 1 failed, 2 usage, 3 no device or no mediator. See vgpu-cli(1).\n");
}

static int command_help(struct cli *cli, int argc, char **argv)
{
	const struct command *c;

	if (argc > 1)
		return cli_usage(cli, "help: one command at a time");
	if (argc == 1) {
		c = find_command(argv[0]);
		if (!c)
			return invalid_command(cli, argv[0]);
	}
	if (cli->json) {
		json_object *list = json_object_new_array();

		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
			json_object *o = json_object_new_object();

			if (argc == 1 && c != &commands[i]) {
				json_object_put(o);
				continue;
			}
			json_object_object_add(o, "name", json_object_new_string(commands[i].name));
			json_object_object_add(o, "arguments",
					       json_object_new_string(commands[i].arguments));
			json_object_object_add(o, "help", json_object_new_string(commands[i].help));
			json_object_array_add(list, o);
		}
		cli_add(cli, "commands", list);
	} else if (argc == 1) {
		printf("Usage: vgpu-cli [OPTION]... %s %s\n%c%s.\n%s", c->name, c->arguments,
		       c->help[0] - 'a' + 'A', c->help + 1, c->more ? c->more : "");
	} else {
		print_overview();
	}
	return CLI_DONE;
}

static void log_to_stderr(void *opaque, enum vgpu_log_level level, const char *text)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };

	(void)opaque;
	fprintf(stderr, "vgpu-cli: %s: %s\n", names[level], cli_safe(text));
}

/* Seconds with at most three decimals: "30", "0.5". */
static bool parse_timeout(const char *text, int *ms)
{
	const char *point = strchr(text, '.');
	char whole[16], fraction[4] = "000";
	uint64_t s, f;

	if (!point)
		point = text + strlen(text);
	if (point == text || (size_t)(point - text) >= sizeof(whole))
		return false;
	memcpy(whole, text, (size_t)(point - text));
	whole[point - text] = '\0';
	if (*point) {
		size_t n = strlen(point + 1);

		if (n < 1 || n > 3)
			return false;
		memcpy(fraction, point + 1, n);
	}
	if (!cli_parse_number(whole, 0, SECONDS_MAX, &s) ||
	    !cli_parse_number(fraction, 0, 999, &f) || s + f == 0)
		return false;
	*ms = (int)(s * 1000 + f);
	return true;
}

enum {
	OPT_JSON = 256,
	OPT_SEED,
};

/* Returns -1 to go on, else the exit code. */
static int parse_options(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", required_argument, NULL, 'd' },
		{ "timeout", required_argument, NULL, 't' },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "iterations", required_argument, NULL, 'n' },
		{ "mode", required_argument, NULL, 'm' },
		{ "seed", required_argument, NULL, OPT_SEED },
		{ "verbose", no_argument, NULL, 'v' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, ":d:t:n:m:vVh", options, NULL)) != -1) {
		switch (c) {
		case 'd':
			cli->options.device = optarg;
			break;
		case 't':
			if (!parse_timeout(optarg, &cli->options.timeout_ms))
				return cli_usage(cli,
						 "--timeout: \"%s\" is no number of seconds from "
						 "0.001 to %d",
						 cli_safe(optarg), SECONDS_MAX);
			break;
		case OPT_JSON:
			cli->json = true;
			break;
		case 'n':
			cli->iterations_set = true;
			if (!cli_parse_number(optarg, 1, 100000000, &cli->iterations))
				return cli_usage(
					cli,
					"--iterations: \"%s\" is no number from 1 to 100000000",
					cli_safe(optarg));
			break;
		case 'm':
			cli->mode_set = true;
			cli->mode = optarg;
			if (strcmp(optarg, "polling") && strcmp(optarg, "sleeping") &&
			    strcmp(optarg, "both"))
				return cli_usage(cli,
						 "--mode: \"%s\" is not polling, sleeping or both",
						 cli_safe(optarg));
			break;
		case OPT_SEED:
			cli->seed_set = true;
			if (!cli_parse_number(optarg, 0, UINT64_MAX, &cli->seed))
				return cli_usage(cli, "--seed: \"%s\" is no number",
						 cli_safe(optarg));
			break;
		case 'v':
			cli->options.log = log_to_stderr;
			cli->options.log_level = VGPU_LOG_DEBUG;
			break;
		case 'V':
			printf("vgpu-cli %s, libvgpuguest %s, protocol %u.%u\n", VGPU_RELEASE,
			       vgpu_library_version(),
			       VGPU_VERSION_MAJOR(vgpu_library_protocol_version()),
			       VGPU_VERSION_MINOR(vgpu_library_protocol_version()));
			return CLI_DONE;
		case 'h':
			print_overview();
			return CLI_DONE;
		case ':':
			return cli_usage(cli, "%s: needs a value", cli_safe(argv[optind - 1]));
		default:
			return cli_usage(cli, "%s: unknown option", cli_safe(argv[optind - 1]));
		}
	}
	return -1;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
	const struct command *c;

	if (argc == 0)
		return command_show(cli, 0, argv);
	c = find_command(argv[0]);
	if (!c)
		return invalid_command(cli, argv[0]);
	cli->command = c->name;
	if ((cli->iterations_set || cli->mode_set) && c->run != command_bench)
		return cli_usage(cli, "%s: --iterations and --mode belong to bench", c->name);
	if (cli->seed_set && (c->run != command_vector_add || argc < 2))
		return cli_usage(cli, "%s: --seed belongs to vector_add N", c->name);
	cli_add(cli, "command", json_object_new_string(c->name));
	return c->run(cli, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	struct cli cli = {
		.iterations = 10000,
		.seed = 1,
		.mode = "both",
		.command = "vgpu-cli",
		.result = json_object_new_object(),
	};
	int code;

	vgpu_options_init(&cli.options);
	/* Known before anything can go wrong, so that every error is printed in the right form. */
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json"))
			cli.json = true;
	code = parse_options(&cli, argc, argv);
	if (code == CLI_DONE) {
		cli.json = false; /* --version and --help are for people */
	} else if (code < 0) {
		code = run_command(&cli, argc - optind, argv + optind);
	}
	return cli_finish(&cli, code);
}
