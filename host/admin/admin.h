/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of vgpu-admin share. */
#ifndef ADMIN_H
#define ADMIN_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "../xen_nodes.h"

/* Exit codes: stable, see vgpu-admin(8). */
enum admin_exit {
	ADMIN_DONE = 0,
	ADMIN_FAILED = 1,
	ADMIN_USAGE = 2,
	ADMIN_NO_DOMAIN = 3,
	ADMIN_NO_XENSTORE = 4,
	ADMIN_NOT_PERMITTED = 5,
	ADMIN_BUSY = 6,
};

struct admin {
	bool json;
	const char *command;
	const char *backend_domain; /* NULL: domain 0 for attach, any for others */
	bool device_set;
	uint32_t device;
	const char *config; /* of the mediator, for doctor */
	struct xs_handle *xs;
	json_object *result; /* the object that --json prints */
};

/* A command gets what stands after its name. Returns enum admin_exit. */
typedef int (*admin_command_fn)(struct admin *a, int argc, char **argv);

int command_attach(struct admin *a, int argc, char **argv);
int command_detach(struct admin *a, int argc, char **argv);
int command_list(struct admin *a, int argc, char **argv);
int command_sweep(struct admin *a, int argc, char **argv);
int command_doctor(struct admin *a, int argc, char **argv);

/* output.c */

/* Print for people; nothing with --json. */
void admin_print(const struct admin *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Add to the object that --json prints. */
void admin_add_text(struct admin *a, const char *key, const char *text);
void admin_add_number(struct admin *a, const char *key, uint32_t number);
void admin_add_bool(struct admin *a, const char *key, bool value);

/* A copy of @text without control characters: others wrote it. Overwritten by the 8th call. */
const char *admin_safe(const char *text);

/* Report a failure. Return the code that they are given. */
int admin_fail(struct admin *a, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int admin_usage(struct admin *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Report that @what failed with the negative errno @error, and what to do. Returns the code. */
int admin_fail_errno(struct admin *a, const char *what, int error);

/* Print the --json object, and see that all output has arrived. Returns the exit code. */
int admin_finish(struct admin *a, int code);

/* store.c */

/* Open XenStore; a negative errno. What follows is bounded in time, see admin_bound(). */
int admin_try_open(struct admin *a);

/* Start the time that XenStore has to answer, or stop it while something else takes its time. */
void admin_bound(bool on);

/* The same; on failure it is reported and the exit code is returned. */
int admin_open(struct admin *a);

/* The domain that @text names; as above. */
int admin_domain(struct admin *a, const char *text, uint32_t *domid);

/* "domain 7 (web)", or without a name; for messages. Overwritten by the 4th call. */
const char *admin_domain_label(struct admin *a, uint32_t domid);

/* In words: "connected". */
const char *admin_state(uint32_t state);

/* The backend's state of @dev. */
uint32_t admin_back_state(struct admin *a, const struct xen_device *dev);

/*
 * Wait until @is_enough holds for the mediator's state of @dev, at most @timeout_ms. Returns the
 * state that it had last.
 */
uint32_t admin_wait(struct admin *a, const struct xen_device *dev, bool (*is_enough)(uint32_t),
		    int timeout_ms);

#endif
