/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPT_SELF_TEST = 256,
	OPT_CHECK_CONFIG,
	OPT_LOG,
	OPT_LOG_LEVEL,
	OPT_BACKEND,
	OPT_GPU,
	OPT_CUDA_LIBRARY,
	OPT_DEVICE_SOCKET,
	OPT_CLIENT_SOCKET,
	OPT_PID_FILE,
};

/* Options that stand for a key of the file. */
static const struct {
	int option;
	const char *name;
	const char *section;
	const char *key;
	bool is_path;
} keyed[] = {
	{ OPT_LOG, "--log", "mediator", "log", true },
	{ OPT_LOG_LEVEL, "--log-level", "mediator", "log_level", false },
	{ OPT_BACKEND, "--backend", "backend", "backend", false },
	{ OPT_GPU, "--gpu", "backend", "device", false },
	{ OPT_CUDA_LIBRARY, "--cuda-library", "backend", "cuda_library", true },
	{ OPT_DEVICE_SOCKET, "--device-socket", "devices", "socket", true },
	{ OPT_CLIENT_SOCKET, "--client-socket", "clients", "socket", true },
	{ OPT_PID_FILE, "--pid-file", "mediator", "pid_file", true },
};

void options_usage(FILE *to)
{
	fputs("Usage: gpu_mediator [OPTION]...\n"
	      "Let virtual machines and local programs share this machine's GPU.\n"
	      "\n"
	      "  -c, --config=FILE         configuration (" CONFIG_DEFAULT_FILE ")\n"
	      "  -f, --foreground          do not become a daemon; always so under systemd\n"
	      "      --log=TO              auto, stderr, journal or a file\n"
	      "      --log-level=LEVEL     error, warning, info or debug\n"
	      "      --backend=NAME        auto, cpu or cuda\n"
	      "      --gpu=N               number of the GPU\n"
	      "      --cuda-library=FILE   the cuda backend, or auto\n"
	      "      --device-socket=PATH  where QEMU connects, or none\n"
	      "      --client-socket=PATH  where local programs connect, or none\n"
	      "      --pid-file=FILE       also written in the foreground if given\n"
	      "\n"
	      "      --self-test           add vectors on the backend, say how it went, end\n"
	      "      --check-config        read the configuration, say what is wrong, end\n"
	      "  -V, --version\n"
	      "  -h, --help\n"
	      "\n"
	      "Exit: 0 done, 1 failed, 2 usage, 3 configuration, 4 no GPU though backend = cuda,\n"
	      "5 another mediator serves already. See gpu_mediator(8), gpu_mediator.conf(5).\n",
	      to);
}

static void add_override(struct options *o, const char *option, const char *section,
			 const char *key, const char *value)
{
	struct override *v = &o->overrides[o->override_count];

	/* an option given twice: the last one counts */
	for (unsigned int i = 0; i < o->override_count; i++)
		if (!strcmp(o->overrides[i].section, section) && !strcmp(o->overrides[i].key, key))
			v = &o->overrides[i];
	if (v == &o->overrides[o->override_count])
		o->override_count++;
	v->option = option;
	v->section = section;
	v->key = key;
	snprintf(v->value, sizeof(v->value), "%s", value);
}

/* A daemon changes its directory, so paths must not depend on it. */
static int absolute(char *out, size_t size, const char *path)
{
	char cwd[PATH_MAX];
	int n;

	if (path[0] == '/')
		n = snprintf(out, size, "%s", path);
	else if (getcwd(cwd, sizeof(cwd)))
		n = snprintf(out, size, "%s/%s", cwd, path);
	else
		return -errno;
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* What a path's key may say instead of a path. */
static bool is_word(const char *value)
{
	return !strcmp(value, "auto") || !strcmp(value, "stderr") || !strcmp(value, "journal");
}

static int take_keyed(struct options *o, int option, const char *value)
{
	char path[CONFIG_TEXT_MAX];

	for (size_t i = 0; i < sizeof(keyed) / sizeof(keyed[0]); i++) {
		if (keyed[i].option != option)
			continue;
		if ((option == OPT_DEVICE_SOCKET || option == OPT_CLIENT_SOCKET) &&
		    strcmp(value, "none") == 0) {
			add_override(o, keyed[i].name, keyed[i].section, "enabled", "no");
			return 0;
		}
		if (keyed[i].is_path && *value && !is_word(value)) {
			if (absolute(path, sizeof(path), value) < 0) {
				fprintf(stderr, "gpu_mediator: %s %s: path is too long\n",
					keyed[i].name, value);
				return -EINVAL;
			}
			value = path;
		}
		if (strlen(value) >= CONFIG_TEXT_MAX)
			value = ""; /* which no such key allows */
		add_override(o, keyed[i].name, keyed[i].section, keyed[i].key, value);
		return 0;
	}
	return -EINVAL;
}

static int take_option(struct options *o, int c, const char *value)
{
	switch (c) {
	case 'c':
		o->config = value;
		return 0;
	case 'f':
		o->foreground = true;
		return 0;
	case 'V':
		o->action = ACTION_VERSION;
		return 0;
	case 'h':
		o->action = ACTION_HELP;
		return 0;
	case OPT_SELF_TEST:
		o->action = ACTION_SELF_TEST;
		return 0;
	case OPT_CHECK_CONFIG:
		o->action = ACTION_CHECK_CONFIG;
		return 0;
	default:
		return take_keyed(o, c, value);
	}
}

int options_parse(struct options *o, int argc, char **argv)
{
	static const struct option table[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ "self-test", no_argument, NULL, OPT_SELF_TEST },
		{ "check-config", no_argument, NULL, OPT_CHECK_CONFIG },
		{ "log", required_argument, NULL, OPT_LOG },
		{ "log-level", required_argument, NULL, OPT_LOG_LEVEL },
		{ "backend", required_argument, NULL, OPT_BACKEND },
		{ "gpu", required_argument, NULL, OPT_GPU },
		{ "cuda-library", required_argument, NULL, OPT_CUDA_LIBRARY },
		{ "device-socket", required_argument, NULL, OPT_DEVICE_SOCKET },
		{ "client-socket", required_argument, NULL, OPT_CLIENT_SOCKET },
		{ "pid-file", required_argument, NULL, OPT_PID_FILE },
		{ 0 },
	};
	int c;

	memset(o, 0, sizeof(*o));
	while ((c = getopt_long(argc, argv, "c:fVh", table, NULL)) != -1) {
		if (c == '?' || take_option(o, c, optarg) < 0) {
			fputs("Try: gpu_mediator --help\n", stderr);
			return -EINVAL;
		}
	}
	if (optind < argc) {
		fprintf(stderr,
			"gpu_mediator: unexpected argument \"%s\"\nTry: gpu_mediator --help\n",
			argv[optind]);
		return -EINVAL;
	}
	return 0;
}

/* A missing file is a mistake only where it was asked for. */
static int load_file(const struct options *o, struct mediator_config *c, config_error_fn *error,
		     void *ctx)
{
	const char *path = o->config ? o->config : CONFIG_DEFAULT_FILE;
	char text[PATH_MAX + 100];
	int rc = config_load(c, path, error, ctx);

	if (rc != -ENOENT || !o->config)
		return rc == -ENOENT ? 0 : rc;
	snprintf(text, sizeof(text), "%s: cannot read: %s", path, strerror(ENOENT));
	error(ctx, text);
	return rc;
}

int options_load_config(const struct options *o, struct mediator_config *c, config_error_fn *error,
			void *ctx)
{
	char why[600], text[700];
	int rc;

	config_init(c);
	rc = load_file(o, c, error, ctx);
	for (unsigned int i = 0; i < o->override_count; i++) {
		const struct override *v = &o->overrides[i];

		if (config_set(c, v->section, v->key, v->value, why, sizeof(why)) < 0) {
			snprintf(text, sizeof(text), "%s: %s", v->option, why);
			error(ctx, text);
			rc = -EINVAL;
		}
	}
	if (rc < 0)
		return rc;
	config_check(c, why, sizeof(why));
	if (!why[0])
		return 0;
	error(ctx, why);
	return -EINVAL;
}
