/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the mediator can be told: one table of keys, their defaults and what they allow, used
 * for the file, the command line, the reload and the documentation's test. Does not log;
 * errors come back as text.
 */
#ifndef HOST_MEDIATOR_CONFIG_H
#define HOST_MEDIATOR_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_DEFAULT_FILE "/etc/gpu_mediator/config.conf"
#define CONFIG_TEXT_MAX 256 /* bytes of a path or a name, with its NUL */

struct endpoint_config { /* a listening socket */
	bool enabled;
	char socket[CONFIG_TEXT_MAX];
	uint32_t mode;
	char group[CONFIG_TEXT_MAX]; /* empty: as the process creates it */
};

struct limits_config {
	uint32_t channels_per_vm;
	uint32_t channels_total;
	uint64_t window_bytes_per_channel; /* all pages of a channel count, not its window alone */
	uint64_t window_bytes_per_vm;
	uint64_t window_bytes_total;
	uint32_t deadline_ms;
	uint32_t open_rate; /* OPEN a second and VM; 0: no limit */
	uint32_t message_rate;
	uint32_t connections_per_user;
	uint32_t connections_total;
};

enum config_backend {
	CONFIG_BACKEND_AUTO,
	CONFIG_BACKEND_CPU,
	CONFIG_BACKEND_CUDA
};

enum config_xen {
	CONFIG_XEN_AUTO, /* if this is a domain of Xen */
	CONFIG_XEN_YES,
	CONFIG_XEN_NO
};

struct mediator_config {
	char log[CONFIG_TEXT_MAX]; /* "auto", "stderr", "journal" or a path */
	uint32_t log_level;        /* enum log_level */
	char pid_file[CONFIG_TEXT_MAX];
	uint32_t pool_size;
	uint32_t drain_timeout_s;
	uint32_t spin_us;
	uint32_t spin_max_us;
	char worker_user[CONFIG_TEXT_MAX];

	uint32_t backend; /* enum config_backend */
	uint32_t device;
	char cuda_library[CONFIG_TEXT_MAX]; /* "auto" or a path */

	struct endpoint_config devices;
	struct endpoint_config clients;
	uint32_t xen; /* enum config_xen: devices in XenStore */
	struct limits_config limits;
};

/* The defaults. */
void config_init(struct mediator_config *c);

/*
 * Set one key from text. Returns 0; -ENOENT, there is no such section or key; -EINVAL, the
 * value is not allowed. On failure @c is unchanged and @why names what is allowed.
 */
int config_set(struct mediator_config *c, const char *section, const char *key, const char *value,
	       char *why, size_t why_len);

bool config_has_section(const char *section);

/* What no single key shows, once all sources were read: "" or what is wrong. */
void config_check(const struct mediator_config *c, char *why, size_t why_len);

/* One whole message, "FILE:LINE: ..."; called once for each error. */
typedef void config_error_fn(void *ctx, const char *text);

/*
 * Read @path over what @c holds. All errors of the file are told, not only the first.
 * Returns 0; -EINVAL after errors, @c is then of no use; -ENOENT and the like if the file
 * cannot be read, which is told too, except for -ENOENT.
 */
int config_load(struct mediator_config *c, const char *path, config_error_fn *error, void *ctx);

/* A key that differs between two configurations. */
struct config_change {
	const char *section;
	const char *key;
	char from[CONFIG_TEXT_MAX];
	char to[CONFIG_TEXT_MAX];
	bool at_run_time; /* can change without a restart */
};
typedef void config_change_fn(void *ctx, const struct config_change *change);

/*
 * Tell each difference; then @current takes over from @wanted what can change at run time.
 */
void config_apply(struct mediator_config *current, const struct mediator_config *wanted,
		  config_change_fn *change, void *ctx);

const char *config_backend_name(uint32_t backend);

/* Walk through all keys with their default values as text: for tests of the documentation. */
typedef void config_key_fn(void *ctx, const char *section, const char *key, const char *value);
void config_keys(config_key_fn *fn, void *ctx);

#endif
