/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vgpu-admin: give Xen's domains a vGPU, see what they have, and what is missing. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"
#include "decimal.h"
#include "vgpu_xenstore.h"

/* Which options belong to a command. */
#define TAKES_BACKEND (1u << 0)
#define TAKES_DEVICE (1u << 1)
#define TAKES_CONFIG (1u << 2)

static const struct command {
	const char *name;
	admin_command_fn run;
	unsigned int takes;
	const char *arguments;
	const char *help;
} commands[] = {
	{ "attach", command_attach, TAKES_BACKEND | TAKES_DEVICE, "DOMAIN", "give it a vGPU" },
	{ "detach", command_detach, TAKES_DEVICE, "DOMAIN", "take it away" },
	{ "list", command_list, TAKES_BACKEND, "[DOMAIN]", "the vGPUs, their states and channels" },
	{ "sweep", command_sweep, 0, "", "remove what guests that are gone left behind" },
	{ "doctor", command_doctor, TAKES_CONFIG, "[DOMAIN]", "is all well here, and what to do" },
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void print_help(void)
{
	printf("Usage: vgpu-admin [OPTION]... [COMMAND [DOMAIN]]\n"
	       "Give Xen's domains a share of the GPU. Without a command: list.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %-6s %-10s %s\n", commands[i].name, commands[i].arguments,
		       commands[i].help);
	printf("\nA domain is given by its number or its name.\n\n"
	       "Options:\n"
	       "  -b, --backend-domain DOMAIN  where the mediator runs (attach: domain 0; list: "
	       "any)\n"
	       "  -n, --device N               attach, detach: the guest's device (0)\n"
	       "  -c, --config FILE            doctor: the mediator's configuration\n"
	       "      --json                   print one JSON object\n"
	       "  -V, --version\n"
	       "  -h, --help\n\n"
	       "Exit: 0 done, 1 failed, 2 usage, 3 no such domain, 4 no XenStore, 5 not "
	       "permitted,\n"
	       "6 attached to another domain's mediator. See vgpu-admin(8).\n");
}

enum {
	OPT_JSON = 256,
};

/* Returns -1 to go on, else the exit code. */
static int parse_options(struct admin *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "backend-domain", required_argument, NULL, 'b' },
		{ "device", required_argument, NULL, 'n' },
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, OPT_JSON },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, ":b:n:c:Vh", options, NULL)) != -1) {
		switch (c) {
		case 'b':
			a->backend_domain = optarg;
			break;
		case 'n':
			a->device_set = true;
			if (!decimal_parse(optarg, VGPU_XS_DEVICES_MAX - 1, &a->device))
				return admin_usage(a, "--device: \"%s\" is no number from 0 to %u",
						   admin_safe(optarg), VGPU_XS_DEVICES_MAX - 1);
			break;
		case 'c':
			a->config = optarg;
			break;
		case OPT_JSON:
			a->json = true;
			break;
		case 'V':
			printf("vgpu-admin %s\n", VGPU_RELEASE);
			a->json = false;
			return ADMIN_DONE;
		case 'h':
			print_help();
			a->json = false;
			return ADMIN_DONE;
		case ':':
			return admin_usage(a, "%s: needs a value", admin_safe(argv[optind - 1]));
		default:
			return admin_usage(a, "%s: unknown option", admin_safe(argv[optind - 1]));
		}
	}
	return -1;
}

static int run_command(struct admin *a, int argc, char **argv)
{
	const struct command *c = find_command(argc ? argv[0] : "list");

	if (!c)
		return admin_usage(a, "\"%s\" is no command", admin_safe(argv[0]));
	if (a->backend_domain && !(c->takes & TAKES_BACKEND))
		return admin_usage(a, "%s: takes no --backend-domain", c->name);
	if (a->device_set && !(c->takes & TAKES_DEVICE))
		return admin_usage(a, "%s: takes no --device", c->name);
	if (a->config && !(c->takes & TAKES_CONFIG))
		return admin_usage(a, "%s: takes no --config", c->name);
	a->command = c->name;
	admin_add_text(a, "command", c->name);
	return argc ? c->run(a, argc - 1, argv + 1) : c->run(a, 0, argv);
}

int main(int argc, char **argv)
{
	struct admin a = { .command = "vgpu-admin", .result = json_object_new_object() };
	int code;

	/* Known before anything can go wrong, so that every error is printed in the right form. */
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--json"))
			a.json = true;
	code = parse_options(&a, argc, argv);
	if (code < 0)
		code = run_command(&a, argc - optind, argv + optind);
	xs_close(a.xs);
	return admin_finish(&a, code);
}
