/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

enum key_type {
	KEY_NUMBER, /* uint32_t, decimal */
	KEY_SIZE,   /* uint64_t, decimal with K, M, G or T */
	KEY_MODE,   /* uint32_t, octal */
	KEY_BOOL,
	KEY_CHOICE, /* uint32_t, index of a word */
	KEY_PATH,   /* absolute, or one of `words`, or empty if `min` is 0 */
	KEY_NAME,   /* may be empty */
};

struct key {
	const char *section;
	const char *name;
	enum key_type type;
	bool at_run_time;
	size_t offset;
	uint64_t min;
	uint64_t max;
	const char *const *words;
	const char *standard; /* default, as text */
};

static const char *const log_words[] = { "auto", "stderr", "journal", NULL };
static const char *const level_words[] = { "error", "warning", "info", "debug", NULL };
static const char *const backend_words[] = { "auto", "cpu", "cuda", NULL };
static const char *const xen_words[] = { "auto", "yes", "no", NULL };
static const char *const auto_words[] = { "auto", NULL };

#define AT(field) offsetof(struct mediator_config, field)
#define MIB (1ull << 20)

static const struct key keys[] = {
	{ "mediator", "log", KEY_PATH, true, AT(log), 1, 0, log_words, "auto" },
	{ "mediator", "log_level", KEY_CHOICE, true, AT(log_level), 0, 0, level_words, "info" },
	{ "mediator", "pid_file", KEY_PATH, false, AT(pid_file), 1, 0, auto_words, "auto" },
	{ "mediator", "pool_size", KEY_NUMBER, true, AT(pool_size), 1, 64, NULL, "2" },
	{ "mediator", "drain_timeout_s", KEY_NUMBER, true, AT(drain_timeout_s), 0, 3600, NULL,
	  "10" },
	{ "mediator", "spin_us", KEY_NUMBER, true, AT(spin_us), 0, 1000000, NULL, "50" },
	{ "mediator", "spin_max_us", KEY_NUMBER, true, AT(spin_max_us), 0, 1000000, NULL, "10000" },
	{ "mediator", "worker_user", KEY_NAME, false, AT(worker_user), 0, 0, NULL, "auto" },

	{ "backend", "backend", KEY_CHOICE, false, AT(backend), 0, 0, backend_words, "auto" },
	{ "backend", "device", KEY_NUMBER, false, AT(device), 0, 255, NULL, "0" },
	{ "backend", "cuda_library", KEY_PATH, false, AT(cuda_library), 1, 0, auto_words, "auto" },

	{ "devices", "enabled", KEY_BOOL, false, AT(devices.enabled), 0, 0, NULL, "yes" },
	{ "devices", "socket", KEY_PATH, false, AT(devices.socket), 1, 0, NULL,
	  "/run/gpu_mediator/device.sock" },
	{ "devices", "mode", KEY_MODE, false, AT(devices.mode), 0, 0777, NULL, "0660" },
	{ "devices", "group", KEY_NAME, false, AT(devices.group), 0, 0, NULL, "" },

	{ "clients", "enabled", KEY_BOOL, false, AT(clients.enabled), 0, 0, NULL, "yes" },
	{ "clients", "socket", KEY_PATH, false, AT(clients.socket), 1, 0, NULL,
	  "/run/gpu_mediator/client.sock" },
	{ "clients", "mode", KEY_MODE, false, AT(clients.mode), 0, 0777, NULL, "0660" },
	{ "clients", "group", KEY_NAME, false, AT(clients.group), 0, 0, NULL, "" },

	{ "xen", "enabled", KEY_CHOICE, false, AT(xen), 0, 0, xen_words, "auto" },

	{ "limits", "channels_per_vm", KEY_NUMBER, true, AT(limits.channels_per_vm), 1, 1024, NULL,
	  "64" },
	{ "limits", "channels_total", KEY_NUMBER, true, AT(limits.channels_total), 1, 4096, NULL,
	  "256" },
	{ "limits", "window_bytes_per_channel", KEY_SIZE, true, AT(limits.window_bytes_per_channel),
	  64 << 10, 1ull << 40, NULL, "1G" },
	{ "limits", "window_bytes_per_vm", KEY_SIZE, true, AT(limits.window_bytes_per_vm), 64 << 10,
	  1ull << 44, NULL, "4G" },
	{ "limits", "window_bytes_total", KEY_SIZE, true, AT(limits.window_bytes_total), 64 << 10,
	  1ull << 44, NULL, "16G" },
	{ "limits", "deadline_ms", KEY_NUMBER, true, AT(limits.deadline_ms), 0, 86400000, NULL,
	  "30000" },
	{ "limits", "open_rate", KEY_NUMBER, true, AT(limits.open_rate), 0, 100000, NULL, "100" },
	{ "limits", "message_rate", KEY_NUMBER, true, AT(limits.message_rate), 0, 100000, NULL,
	  "20" },
	{ "limits", "connections_per_user", KEY_NUMBER, true, AT(limits.connections_per_user), 1,
	  4096, NULL, "128" },
	{ "limits", "connections_total", KEY_NUMBER, true, AT(limits.connections_total), 1, 16384,
	  NULL, "512" },
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

static void *field(struct mediator_config *c, const struct key *k)
{
	return (char *)c + k->offset;
}

static const void *const_field(const struct mediator_config *c, const struct key *k)
{
	return (const char *)c + k->offset;
}

static const struct key *find(const char *section, const char *name)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

bool config_has_section(const char *section)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(keys[i].section, section) == 0)
			return true;
	return false;
}

/* Digits only: no sign, no space, no 0x. */
static bool parse_digits(const char *text, int base, uint64_t *out, const char **end)
{
	char *stop;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &stop, base);
	*end = stop;
	return errno == 0;
}

static bool parse_size(const char *text, uint64_t *out)
{
	static const char suffixes[] = "KMGT";
	const char *end, *suffix;

	if (!parse_digits(text, 10, out, &end))
		return false;
	if (*end == '\0')
		return true;
	suffix = strchr(suffixes, *end);
	if (!suffix || end[1] != '\0')
		return false;
	for (const char *s = suffixes; s <= suffix; s++)
		if (__builtin_mul_overflow(*out, (uint64_t)1024, out))
			return false;
	return true;
}

static void format_size(uint64_t bytes, char *out, size_t size)
{
	static const char suffixes[] = "\0KMGT";
	unsigned int i = 0;

	while (bytes && bytes % 1024 == 0 && i + 1 < sizeof(suffixes) - 1) {
		bytes /= 1024;
		i++;
	}
	if (i)
		snprintf(out, size, "%llu%c", (unsigned long long)bytes, suffixes[i]);
	else
		snprintf(out, size, "%llu", (unsigned long long)bytes);
}

static int set_number(void *at, const struct key *k, const char *value)
{
	const char *end;
	uint64_t n;

	if (!parse_digits(value, 10, &n, &end) || *end || n < k->min || n > k->max)
		return -EINVAL;
	*(uint32_t *)at = (uint32_t)n;
	return 0;
}

static int set_mode(void *at, const struct key *k, const char *value)
{
	const char *end;
	uint64_t n;

	if (!parse_digits(value, 8, &n, &end) || *end || n > k->max)
		return -EINVAL;
	*(uint32_t *)at = (uint32_t)n;
	return 0;
}

static int set_size(void *at, const struct key *k, const char *value)
{
	uint64_t n;

	if (!parse_size(value, &n) || n < k->min || n > k->max)
		return -EINVAL;
	*(uint64_t *)at = n;
	return 0;
}

static int set_bool(void *at, const char *value)
{
	static const char *const yes[] = { "yes", "true", "on", "1", NULL };
	static const char *const no[] = { "no", "false", "off", "0", NULL };

	for (size_t i = 0; yes[i]; i++) {
		if (strcmp(value, yes[i]) == 0 || strcmp(value, no[i]) == 0) {
			*(bool *)at = strcmp(value, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

static int word_index(const char *const *words, const char *value)
{
	for (int i = 0; words && words[i]; i++)
		if (strcmp(words[i], value) == 0)
			return i;
	return -EINVAL;
}

static int set_choice(void *at, const struct key *k, const char *value)
{
	int i = word_index(k->words, value);

	if (i < 0)
		return i;
	*(uint32_t *)at = (uint32_t)i;
	return 0;
}

static int set_text(void *at, const struct key *k, const char *value)
{
	if (strlen(value) >= CONFIG_TEXT_MAX)
		return -EINVAL;
	if (k->type == KEY_PATH && value[0] != '/' && word_index(k->words, value) < 0)
		return -EINVAL;
	memset(at, 0, CONFIG_TEXT_MAX);
	strcpy(at, value);
	return 0;
}

static int set_key(struct mediator_config *c, const struct key *k, const char *value)
{
	void *at = field(c, k);

	switch (k->type) {
	case KEY_NUMBER:
		return set_number(at, k, value);
	case KEY_SIZE:
		return set_size(at, k, value);
	case KEY_MODE:
		return set_mode(at, k, value);
	case KEY_BOOL:
		return set_bool(at, value);
	case KEY_CHOICE:
		return set_choice(at, k, value);
	case KEY_PATH:
	case KEY_NAME:
		return set_text(at, k, value);
	}
	return -EINVAL;
}

static void join_words(const char *const *words, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; words && words[i] && used < size; i++) {
		int n = snprintf(out + used, size - used, "%s%s", i ? ", " : "", words[i]);

		if (n < 0)
			return;
		used += (size_t)n;
	}
}

static void describe(const struct key *k, char *out, size_t size)
{
	char low[24], high[24], words[100];

	join_words(k->words, words, sizeof(words));
	switch (k->type) {
	case KEY_NUMBER:
		snprintf(out, size, "a number from %llu to %llu", (unsigned long long)k->min,
			 (unsigned long long)k->max);
		return;
	case KEY_SIZE:
		format_size(k->min, low, sizeof(low));
		format_size(k->max, high, sizeof(high));
		snprintf(out, size, "bytes from %s to %s, with K, M, G or T if you like", low,
			 high);
		return;
	case KEY_MODE:
		snprintf(out, size, "permissions in octal, 0000 to 0777");
		return;
	case KEY_BOOL:
		snprintf(out, size, "yes or no");
		return;
	case KEY_CHOICE:
		snprintf(out, size, "one of %s", words);
		return;
	case KEY_PATH:
		snprintf(out, size, "an absolute path of at most %d bytes%s%s", CONFIG_TEXT_MAX - 1,
			 k->words ? ", or " : "", words);
		return;
	case KEY_NAME:
		snprintf(out, size, "a name of at most %d bytes", CONFIG_TEXT_MAX - 1);
		return;
	}
}

static void unknown_key(const char *section, const char *key, char *why, size_t why_len)
{
	size_t used;

	if (!config_has_section(section)) {
		snprintf(
			why, why_len,
			"unknown section [%s]; there are mediator, backend, devices, clients, xen, "
			"limits",
			section);
		return;
	}
	used = (size_t)snprintf(why, why_len, "unknown key \"%s\" in [%s]; there are", key,
				section);
	for (size_t i = 0, n = 0; i < KEYS && used < why_len; i++) {
		if (strcmp(keys[i].section, section) != 0)
			continue;
		used += (size_t)snprintf(why + used, why_len - used, "%s %s", n++ ? "," : "",
					 keys[i].name);
	}
}

int config_set(struct mediator_config *c, const char *section, const char *key, const char *value,
	       char *why, size_t why_len)
{
	const struct key *k = find(section, key);
	char allowed[200], shown[100];

	if (!k) {
		unknown_key(section, key, why, why_len);
		return -ENOENT;
	}
	if (set_key(c, k, value) < 0) {
		describe(k, allowed, sizeof(allowed));
		log_escape(shown, sizeof(shown), value, strlen(value));
		snprintf(why, why_len, "[%s] %s = \"%s\" is not allowed: give %s", section, key,
			 shown, allowed);
		return -EINVAL;
	}
	return 0;
}

void config_init(struct mediator_config *c)
{
	memset(c, 0, sizeof(*c));
	for (size_t i = 0; i < KEYS; i++)
		set_key(c, &keys[i], keys[i].standard);
}

void config_check(const struct mediator_config *c, char *why, size_t why_len)
{
	why[0] = '\0';
	if (!c->devices.enabled && !c->clients.enabled && c->xen == CONFIG_XEN_NO)
		snprintf(why, why_len,
			 "none of [devices], [clients] and [xen] is enabled: nothing to serve");
	else if (c->devices.enabled && c->clients.enabled &&
		 strcmp(c->devices.socket, c->clients.socket) == 0)
		snprintf(why, why_len, "[devices] and [clients] have the same socket, %s",
			 c->devices.socket);
}

static bool same(const struct mediator_config *a, const struct mediator_config *b,
		 const struct key *k)
{
	const void *x = const_field(a, k), *y = const_field(b, k);

	switch (k->type) {
	case KEY_SIZE:
		return *(const uint64_t *)x == *(const uint64_t *)y;
	case KEY_BOOL:
		return *(const bool *)x == *(const bool *)y;
	case KEY_PATH:
	case KEY_NAME:
		return strcmp(x, y) == 0;
	case KEY_NUMBER:
	case KEY_MODE:
	case KEY_CHOICE:
		break;
	}
	return *(const uint32_t *)x == *(const uint32_t *)y;
}

static void format_key(const struct mediator_config *c, const struct key *k, char *out, size_t size)
{
	const void *at = const_field(c, k);

	switch (k->type) {
	case KEY_NUMBER:
		snprintf(out, size, "%u", *(const uint32_t *)at);
		return;
	case KEY_SIZE:
		format_size(*(const uint64_t *)at, out, size);
		return;
	case KEY_MODE:
		snprintf(out, size, "%04o", *(const uint32_t *)at);
		return;
	case KEY_BOOL:
		snprintf(out, size, "%s", *(const bool *)at ? "yes" : "no");
		return;
	case KEY_CHOICE:
		snprintf(out, size, "%s", k->words[*(const uint32_t *)at]);
		return;
	case KEY_PATH:
	case KEY_NAME:
		snprintf(out, size, "%s", (const char *)at);
		return;
	}
}

static size_t field_bytes(const struct key *k)
{
	switch (k->type) {
	case KEY_SIZE:
		return sizeof(uint64_t);
	case KEY_BOOL:
		return sizeof(bool);
	case KEY_PATH:
	case KEY_NAME:
		return CONFIG_TEXT_MAX;
	case KEY_NUMBER:
	case KEY_MODE:
	case KEY_CHOICE:
		break;
	}
	return sizeof(uint32_t);
}

void config_apply(struct mediator_config *current, const struct mediator_config *wanted,
		  config_change_fn *change, void *ctx)
{
	for (size_t i = 0; i < KEYS; i++) {
		const struct key *k = &keys[i];
		struct config_change told = {
			.section = k->section,
			.key = k->name,
			.at_run_time = k->at_run_time,
		};

		if (same(current, wanted, k))
			continue;
		format_key(current, k, told.from, sizeof(told.from));
		format_key(wanted, k, told.to, sizeof(told.to));
		if (k->at_run_time)
			memcpy(field(current, k), const_field(wanted, k), field_bytes(k));
		change(ctx, &told);
	}
}

const char *config_backend_name(uint32_t backend)
{
	return backend_words[backend];
}

void config_keys(config_key_fn *fn, void *ctx)
{
	for (size_t i = 0; i < KEYS; i++)
		fn(ctx, keys[i].section, keys[i].name, keys[i].standard);
}
