/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "mediator_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define MESSAGE_BURST 20
#define NOTE_AFTER_S 2

static void on_note(evutil_socket_t fd, short what, void *arg)
{
	struct vm *vm = arg;

	(void)fd;
	(void)what;
	log_warn("%s: %u messages suppressed: more than %u a second", vm->label, vm->suppressed,
		 vm->m->config.limits.message_rate);
	vm->suppressed = 0;
}

static struct vm *vm_new(struct mediator *m)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return NULL;
	vm->note = evtimer_new(m->base, on_note, vm);
	if (!vm->note) {
		free(vm);
		return NULL;
	}
	vm->m = m;
	vm->refs = 1;
	TAILQ_INSERT_TAIL(&m->vms, vm, link);
	return vm;
}

struct vm *vm_ref(struct vm *vm)
{
	vm->refs++;
	return vm;
}

void vm_unref(struct vm *vm)
{
	if (!vm || --vm->refs)
		return;
	if (vm->suppressed)
		on_note(-1, 0, vm);
	TAILQ_REMOVE(&vm->m->vms, vm, link);
	event_free(vm->note);
	free(vm);
}

struct vm *vm_get_user(struct mediator *m, uid_t uid)
{
	struct vm *vm;

	TAILQ_FOREACH(vm, &m->vms, link)
		if (vm->is_user && vm->uid == uid)
			return vm_ref(vm);
	vm = vm_new(m);
	if (!vm)
		return NULL;
	vm->is_user = true;
	vm->uid = uid;
	snprintf(vm->name, sizeof(vm->name), "user %u", uid);
	snprintf(vm->label, sizeof(vm->label), "user %u", uid);
	return vm;
}

/* The name stands in quotes: it must not end them. */
static void set_name(struct vm *vm, const char *name)
{
	log_escape(vm->name, sizeof(vm->name), name, strlen(name));
	for (char *p = vm->name; (p = strchr(p, '"')); p++)
		*p = '\'';
}

struct vm *vm_get_domain(struct mediator *m, uint32_t domid, const char *name, const char *uuid)
{
	char number[24];
	struct vm *vm;

	TAILQ_FOREACH(vm, &m->vms, link)
		if (vm->is_domain && vm->domid == domid && strcmp(vm->uuid, uuid) == 0)
			return vm_ref(vm);
	vm = vm_new(m);
	if (!vm)
		return NULL;
	vm->is_domain = true;
	vm->domid = domid;
	log_escape(vm->uuid, sizeof(vm->uuid), uuid, strlen(uuid));
	snprintf(number, sizeof(number), "domain %u", domid);
	set_name(vm, name[0] ? name : number);
	snprintf(vm->label, sizeof(vm->label), "domain %u \"%s\" (%s)", domid, vm->name,
		 vm->uuid[0] ? vm->uuid : "no uuid");
	return vm;
}

static void format_uuid(char *out, size_t size, const uint8_t u[16])
{
	snprintf(out, size,
		 " (%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x)", u[0],
		 u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13],
		 u[14], u[15]);
}

struct vm *vm_new_device(struct mediator *m, uint32_t id, const char *name, const uint8_t uuid[16])
{
	static const uint8_t none[16];
	struct vm *vm = vm_new(m);
	char uuid_text[48] = "", number[24];

	if (!vm)
		return NULL;
	snprintf(number, sizeof(number), "vm %u", id);
	set_name(vm, name[0] ? name : number);
	if (memcmp(uuid, none, sizeof(none)) != 0)
		format_uuid(uuid_text, sizeof(uuid_text), uuid);
	snprintf(vm->label, sizeof(vm->label), "vm %u \"%s\"%s", id, vm->name, uuid_text);
	return vm;
}

void vm_message(struct vm *vm, const char *channel, const char *text, size_t len)
{
	uint32_t rate = vm->m->config.limits.message_rate;
	const struct timeval later = { .tv_sec = NOTE_AFTER_S };
	char safe[LOG_LINE_MAX - 300];

	if (throttle_take(&vm->messages, rate, MESSAGE_BURST, clock_us())) {
		if (vm->suppressed++ == 0)
			event_add(vm->note, &later);
		return;
	}
	log_escape(safe, sizeof(safe), text, len);
	log_info("%s: message: %s", channel, safe);
}
