/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who uses the mediator, and what he has taken of his limits. A VM behind the device socket is
 * known by its connection: the name that it gives is a label and nothing more. On the client
 * socket the tenant is the user, as the kernel names him.
 */
#ifndef HOST_MEDIATOR_VM_H
#define HOST_MEDIATOR_VM_H

#include <sys/types.h>

#include "mediator.h"

struct vm {
	TAILQ_ENTRY(vm) link;
	struct mediator *m;
	unsigned int refs; /* one a peer, one a channel */
	bool is_user;
	uid_t uid;      /* if is_user */
	bool is_domain; /* of Xen */
	uint32_t domid; /* if is_domain; with the uuid: numbers are used again */
	char uuid[37];
	char name[64];   /* escaped; the guest may see it */
	char label[128]; /* for the log: vm 3 "alpha", user 1000 */

	uint32_t channels;
	uint32_t served; /* channels that have a worker */
	uint64_t window_bytes;

	struct throttle opens;
	struct throttle messages;
	uint32_t suppressed; /* messages not logged since the last note */
	struct event *note;
};

/* Each returns a reference, or NULL without memory. */
struct vm *vm_get_user(struct mediator *m, uid_t uid);
struct vm *vm_new_device(struct mediator *m, uint32_t id, const char *name, const uint8_t uuid[16]);
struct vm *vm_get_domain(struct mediator *m, uint32_t domid, const char *name, const char *uuid);
struct vm *vm_ref(struct vm *vm);
void vm_unref(struct vm *vm); /* NULL is allowed */

/* A guest's line into the log: escaped, cut, not too often. @channel: its label. */
void vm_message(struct vm *vm, const char *channel, const char *text, size_t len);

#endif
