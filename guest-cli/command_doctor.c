/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is in the way? The whole way to the GPU, a line a step, each with what to do. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define SYSFS_XEN "/sys/bus/xen"
#define GNTALLOC_LIMIT "/sys/module/xen_gntalloc/parameters/limit"
#define LOCKDOWN "/sys/kernel/security/lockdown"
#define FULL_CHANNEL_PAGES 994 /* the most that one can have, its presence page included */
#define GROUPS_MAX 1024

enum verdict {
	VERDICT_OK,
	VERDICT_NOTE, /* not as usual, but it need not harm */
	VERDICT_FAIL,
};

struct doctor {
	struct cli *cli;
	json_object *checks;
	int failed;
	bool xen_device; /* XenStore has one */
	bool any_usable;
	bool closed; /* a device is not open to this user */
};

static void __attribute__((format(printf, 4, 5)))
say(struct doctor *d, enum verdict verdict, const char *check, const char *format, ...)
{
	static const char *const words[] = { "ok", "note", "FAIL" };
	static const char *const json_words[] = { "ok", "note", "fail" };
	json_object *o = json_object_new_object();
	char text[768];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	cli_print(d->cli, "%-5s %-12s %s\n", words[verdict], check, text);
	json_object_object_add(o, "check", json_object_new_string(check));
	json_object_object_add(o, "result", json_object_new_string(json_words[verdict]));
	json_object_object_add(o, "text", json_object_new_string(text));
	json_object_array_add(d->checks, o);
	d->failed += verdict == VERDICT_FAIL;
}

/* The first line of a small file, or false. */
static bool read_line(const char *path, char *out, int size)
{
	FILE *f = fopen(path, "re");
	bool got = f && fgets(out, size, f);

	if (f)
		fclose(f);
	if (got)
		out[strcspn(out, "\n")] = '\0';
	return got;
}

static void check_machine(struct doctor *d)
{
	char type[64];

	if (access(SYSFS_XEN, F_OK) == 0)
		say(d, VERDICT_OK, "machine", "a guest of Xen: transport xen is possible");
	else if (read_line("/sys/hypervisor/type", type, sizeof(type)))
		say(d, VERDICT_NOTE, "machine", "hypervisor %s", cli_safe(type));
	else
		say(d, VERDICT_OK, "machine", "no guest of Xen: transports pci and unix");
}

static int check_devices(struct doctor *d)
{
	struct vgpu_device *list;
	size_t count;
	int rc = vgpu_list_devices(&list, &count);

	if (rc) {
		say(d, VERDICT_FAIL, "devices", "%s", cli_safe(vgpu_last_error(NULL)));
		return rc;
	}
	for (size_t i = 0; i < count; i++) {
		d->any_usable |= list[i].state == 0;
		d->closed |= list[i].state == VGPU_EACCES;
		d->xen_device |= !strncmp(list[i].name, "xen:", 4);
	}
	if (!count)
		say(d, d->cli->options.device ? VERDICT_NOTE : VERDICT_FAIL, "devices",
		    "none: attach one to this VM (-device vgpu-stub of QEMU, vgpu-admin attach on "
		    "Xen), or run gpu_mediator on this machine");
	for (size_t i = 0; i < count; i++) {
		if (list[i].state)
			say(d, d->any_usable ? VERDICT_NOTE : VERDICT_FAIL, "device", "%s: %s",
			    cli_safe(list[i].name), cli_safe(list[i].detail));
		else if (list[i].channels)
			say(d, VERDICT_OK, "device",
			    "%s: served; %u of %u channels free, window of %" PRIu64 " KiB",
			    cli_safe(list[i].name), list[i].channels_free, list[i].channels,
			    list[i].window_bytes >> 10);
		else
			say(d, VERDICT_OK, "device", "%s: served", cli_safe(list[i].name));
	}
	vgpu_free_devices(list);
	return 0;
}

static bool in_group(gid_t gid)
{
	static gid_t groups[GROUPS_MAX];
	int n = getgroups(GROUPS_MAX, groups);

	for (int i = 0; i < n; i++)
		if (groups[i] == gid)
			return true;
	return getegid() == gid;
}

/* Only where something was closed to this user is it a failure. */
static void check_user(struct doctor *d)
{
	const struct group *g = getgrnam("vgpu");
	enum verdict bad = d->closed ? VERDICT_FAIL : VERDICT_NOTE;

	if (geteuid() == 0)
		say(d, VERDICT_OK, "user", "root");
	else if (!g)
		say(d, bad, "user", "group vgpu does not exist: make install-guest creates it");
	else if (in_group(g->gr_gid))
		say(d, d->closed ? VERDICT_FAIL : VERDICT_OK, "user", "in group vgpu%s",
		    d->closed ? ", but the device is not open to it: is the udev rule "
				"60-vgpu.rules installed? as root: udevadm trigger"
			      : "");
	else
		say(d, bad, "user",
		    "not in group vgpu: as root: adduser USER vgpu, then log in again");
}

/* What Xen's device needs beside XenStore. */
static void check_xen_nodes(struct doctor *d)
{
	static const struct {
		const char *path, *module;
	} nodes[] = {
		{ "/dev/xen/xenbus", "xenfs" },
		{ "/dev/xen/evtchn", "xen-evtchn" },
		{ "/dev/xen/gntalloc", "xen-gntalloc" },
	};

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		if (access(nodes[i].path, R_OK | W_OK) == 0)
			say(d, VERDICT_OK, "node", "%s", nodes[i].path);
		else if (errno == ENOENT)
			say(d, VERDICT_FAIL, "node",
			    "%s: missing: as root: modprobe %s; the udev rule 60-vgpu.rules does "
			    "so",
			    nodes[i].path, nodes[i].module);
		else
			say(d, VERDICT_FAIL, "node",
			    "%s: %s: the udev rule 60-vgpu.rules opens it to group vgpu",
			    nodes[i].path, strerror(errno));
	}
}

static void check_gntalloc(struct doctor *d)
{
	char text[32];
	uint64_t limit;

	if (!read_line(GNTALLOC_LIMIT, text, sizeof(text)) ||
	    !cli_parse_number(text, 0, UINT32_MAX, &limit))
		return; /* no module: told above */
	if (limit / 8 < FULL_CHANNEL_PAGES)
		say(d, VERDICT_NOTE, "memory",
		    "this guest shares %" PRIu64 " pages at most, so windows are small: raise "
		    "xen_gntalloc's limit, as /usr/lib/modprobe.d/vgpu-gntalloc.conf does",
		    limit);
	else
		say(d, VERDICT_OK, "memory",
		    "this guest shares %" PRIu64 " pages at most: %" PRIu64
		    " channels of full size",
		    limit, limit / FULL_CHANNEL_PAGES);
}

static void check_lockdown(struct doctor *d)
{
	char text[128];

	if (!read_line(LOCKDOWN, text, sizeof(text)) || strstr(text, "[none]"))
		say(d, VERDICT_OK, "lockdown", "off");
	else
		say(d, d->xen_device || d->any_usable ? VERDICT_NOTE : VERDICT_FAIL, "lockdown",
		    "on (%s): programs cannot map PCI devices, so only transports xen and unix "
		    "work; Secure Boot turns it on",
		    cli_safe(text));
}

static void check_vector_add(struct doctor *d, struct vgpu *vgpu)
{
	struct vgpu_vector_add_result r;
	int rc = vgpu_vector_add_self_test(vgpu, &r);

	if (rc)
		say(d, VERDICT_FAIL, "vector_add", "%s", cli_safe(vgpu_last_error(vgpu)));
	else if (r.errors)
		say(d, VERDICT_FAIL, "vector_add", "%zu of %zu sums are wrong, by %s (backend %s)",
		    r.errors, r.elements, cli_safe(r.device), cli_backend(r.backend));
	else
		say(d, r.backend == VGPU_BACKEND_CPU ? VERDICT_NOTE : VERDICT_OK, "vector_add",
		    "%zu sums are right, by %s (backend %s)%s", r.elements, cli_safe(r.device),
		    cli_backend(r.backend),
		    r.backend == VGPU_BACKEND_CPU ? ": the host computes without a GPU" : "");
}

/* Sleeping at once makes the answer come by the event or interrupt, or not at all. */
static int check_channel(struct doctor *d, int spin_us, const char *check, bool all)
{
	struct vgpu_options options = d->cli->options;
	struct vgpu_status status;
	struct vgpu *vgpu;
	int rc;

	options.spin_us = spin_us;
	rc = vgpu_open(&vgpu, &options);
	if (rc) {
		say(d, VERDICT_FAIL, all ? "channel" : check, "%s (%s)",
		    cli_safe(vgpu_last_error(NULL)), vgpu_strerrorname(rc));
		return rc;
	}
	if (all) {
		rc = vgpu_query_status(vgpu, &status);
		if (rc)
			say(d, VERDICT_FAIL, "channel", "status: %s",
			    cli_safe(vgpu_last_error(vgpu)));
		else
			say(d, VERDICT_OK, "channel", "%s: opened, served by mediator %s",
			    cli_safe(status.transport), cli_safe(status.mediator));
	}
	rc = vgpu_nop(vgpu);
	if (rc)
		say(d, VERDICT_FAIL, check, "%s", cli_safe(vgpu_last_error(vgpu)));
	else
		say(d, VERDICT_OK, check, "%s",
		    all ? "the host answers" : "the host's signal wakes a sleeper");
	if (all && rc == 0)
		check_vector_add(d, vgpu);
	vgpu_close(vgpu);
	return 0;
}

int command_doctor(struct cli *cli, int argc, char **argv)
{
	struct doctor d = { .cli = cli };
	int rc;

	(void)argv;
	if (argc)
		return cli_usage(cli, "doctor: takes no arguments");
	if (cli->options.timeout_ms < 0)
		cli->options.timeout_ms = 30000; /* a patient must not keep the doctor for ever */
	d.checks = json_object_new_array();
	cli_add(cli, "checks", d.checks);
	check_machine(&d);
	check_devices(&d);
	check_user(&d);
	if (d.xen_device) {
		check_xen_nodes(&d);
		check_gntalloc(&d);
	}
	check_lockdown(&d);
	rc = check_channel(&d, cli->options.spin_us, "nop", true);
	if (rc)
		return cli_fail(cli, rc, vgpu_last_error(NULL));
	check_channel(&d, 0, "event", false);
	return d.failed ? cli_fail_text(cli, "doctor: %d checks failed", d.failed) : CLI_DONE;
}
