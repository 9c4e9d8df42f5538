/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list, status, and both of them: what there is. */
#include <inttypes.h>
#include <stdio.h>

#include "cli.h"

static void add_version(json_object *o, const char *key, uint32_t version)
{
	char text[32];

	snprintf(text, sizeof(text), "%u.%u", VGPU_VERSION_MAJOR(version),
		 VGPU_VERSION_MINOR(version));
	json_object_object_add(o, key, json_object_new_string(text));
}

static json_object *device_json(const struct vgpu_device *d)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "name", json_object_new_string(d->name));
	json_object_object_add(o, "state",
			       json_object_new_string(d->state ? vgpu_strerrorname(d->state)
							       : "usable"));
	if (d->channels) {
		json_object_object_add(o, "channels", json_object_new_int64(d->channels));
		json_object_object_add(o, "channels_free", json_object_new_int64(d->channels_free));
		json_object_object_add(o, "window_bytes", json_object_new_uint64(d->window_bytes));
	}
	if (d->protocol_version)
		add_version(o, "protocol_version", d->protocol_version);
	json_object_object_add(o, "detail", json_object_new_string(cli_safe(d->detail)));
	return o;
}

static void print_device(const struct cli *cli, const struct vgpu_device *d)
{
	cli_print(cli, "%s: %s\n", d->name, d->state ? vgpu_strerror(d->state) : "usable");
	if (d->channels)
		cli_print(cli, "  channels   %u, %u free; window of %" PRIu64 " KiB each\n",
			  d->channels, d->channels_free, d->window_bytes >> 10);
	if (d->detail[0])
		cli_print(cli, "  detail     %s\n", cli_safe(d->detail));
}

/* *@count: how many there are. */
static int show_devices(struct cli *cli, size_t *count)
{
	struct vgpu_device *list;
	json_object *array;
	int rc = vgpu_list_devices(&list, count);

	if (rc)
		return cli_fail(cli, rc, vgpu_last_error(NULL));
	array = json_object_new_array();
	for (size_t i = 0; i < *count; i++) {
		json_object_array_add(array, device_json(&list[i]));
		print_device(cli, &list[i]);
	}
	cli_add(cli, "devices", array);
	vgpu_free_devices(list);
	return CLI_DONE;
}

int command_list(struct cli *cli, int argc, char **argv)
{
	size_t count;
	int code;

	(void)argv;
	if (argc)
		return cli_usage(cli, "list: takes no arguments");
	code = show_devices(cli, &count);
	if (code == CLI_DONE && !count)
		code = cli_fail(cli, VGPU_ENODEV, NULL);
	return code;
}

static void print_status(const struct cli *cli, const struct vgpu_status *s)
{
	cli_print(cli, "%s: %s\n", cli_safe(s->transport), cli_safe(s->device));
	cli_print(cli, "  backend    %s%s\n", cli_backend(s->backend),
		  s->fallback ? " (the host found no GPU: its CPU does the work)" : "");
	cli_print(cli, "  memory     %" PRIu64 " MiB, %" PRIu64 " MiB free\n",
		  s->memory_total >> 20, s->memory_free >> 20);
	if (s->backend == VGPU_BACKEND_CUDA)
		cli_print(cli,
			  "  CUDA       compute capability %u.%u, driver %u.%u, runtime %u.%u\n",
			  s->compute_major, s->compute_minor, s->driver_version / 1000,
			  s->driver_version % 1000 / 10, s->runtime_version / 1000,
			  s->runtime_version % 1000 / 10);
	cli_print(cli, "  mediator   %s, protocol %u.%u, knows this machine as \"%s\"\n",
		  cli_safe(s->mediator), VGPU_VERSION_MAJOR(s->protocol_version),
		  VGPU_VERSION_MINOR(s->protocol_version), cli_safe(s->vm));
	cli_print(cli, "  channel    %u, window of %" PRIu64 " KiB, ", s->channel,
		  s->window_bytes >> 10);
	if (s->deadline_ms)
		cli_print(cli, "commands may take %.3g s\n", s->deadline_ms / 1000.0);
	else
		cli_print(cli, "commands may take any time\n");
	cli_print(cli, "  requests   %" PRIu64 ", %" PRIu64 " failed, in %" PRIu64 " ms\n",
		  s->requests, s->errors, s->uptime_ms);
}

static json_object *status_json(const struct vgpu_status *s)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "transport", json_object_new_string(cli_safe(s->transport)));
	json_object_object_add(o, "device", json_object_new_string(cli_safe(s->device)));
	json_object_object_add(o, "backend", json_object_new_string(cli_backend(s->backend)));
	json_object_object_add(o, "fallback", json_object_new_boolean(s->fallback));
	json_object_object_add(o, "memory_total", json_object_new_uint64(s->memory_total));
	json_object_object_add(o, "memory_free", json_object_new_uint64(s->memory_free));
	json_object_object_add(o, "compute_major", json_object_new_int64(s->compute_major));
	json_object_object_add(o, "compute_minor", json_object_new_int64(s->compute_minor));
	json_object_object_add(o, "driver_version", json_object_new_int64(s->driver_version));
	json_object_object_add(o, "runtime_version", json_object_new_int64(s->runtime_version));
	json_object_object_add(o, "mediator", json_object_new_string(cli_safe(s->mediator)));
	add_version(o, "protocol_version", s->protocol_version);
	json_object_object_add(o, "vm", json_object_new_string(cli_safe(s->vm)));
	json_object_object_add(o, "channel", json_object_new_int64(s->channel));
	json_object_object_add(o, "window_bytes", json_object_new_uint64(s->window_bytes));
	json_object_object_add(o, "deadline_ms", json_object_new_int64(s->deadline_ms));
	json_object_object_add(o, "requests", json_object_new_uint64(s->requests));
	json_object_object_add(o, "errors", json_object_new_uint64(s->errors));
	json_object_object_add(o, "uptime_ms", json_object_new_uint64(s->uptime_ms));
	return o;
}

int command_status(struct cli *cli, int argc, char **argv)
{
	struct vgpu_status s;
	struct vgpu *vgpu;
	int code, rc;

	(void)argv;
	if (argc)
		return cli_usage(cli, "status: takes no arguments");
	code = cli_open(cli, &vgpu);
	if (code)
		return code;
	rc = vgpu_query_status(vgpu, &s);
	if (rc) {
		code = cli_fail(cli, rc, vgpu_last_error(vgpu));
	} else {
		print_status(cli, &s);
		cli_add(cli, "status", status_json(&s));
	}
	vgpu_close(vgpu);
	return code;
}

int command_show(struct cli *cli, int argc, char **argv)
{
	size_t count;
	int code = show_devices(cli, &count);

	if (code)
		return code;
	if (count)
		cli_print(cli, "\n");
	return command_status(cli, argc, argv);
}
