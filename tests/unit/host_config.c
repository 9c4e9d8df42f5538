/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The configuration: values, files, errors and the example that is installed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "../../host/mediator_config.h"
#include "../../host/mediator_options.h"

struct errors {
	char text[8][1000];
	unsigned int count;
};

static void note(void *ctx, const char *text)
{
	struct errors *e = ctx;

	assert_true(e->count < 8);
	snprintf(e->text[e->count++], sizeof(e->text[0]), "%s", text);
}

/* Load @content from a file; @e gets the messages without the path. */
static int load(struct mediator_config *c, const char *content, size_t len, struct errors *e)
{
	char path[] = "/tmp/vgpu-config-XXXXXX";
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, len), len);
	close(fd);
	e->count = 0;
	config_init(c);
	rc = config_load(c, path, note, e);
	unlink(path);
	for (unsigned int i = 0; i < e->count; i++) {
		assert_memory_equal(e->text[i], path, strlen(path));
		memmove(e->text[i], e->text[i] + strlen(path),
			strlen(e->text[i] + strlen(path)) + 1);
	}
	return rc;
}

static int load_text(struct mediator_config *c, const char *content, struct errors *e)
{
	return load(c, content, strlen(content), e);
}

static void test_values(void **state)
{
	struct mediator_config c;
	struct errors e;

	(void)state;
	assert_int_equal(load_text(&c,
				   "[mediator]\nlog = /x/y.log\nlog_level=debug\npool_size = 5\n"
				   "[backend]\n  backend = cpu ; the reference\n"
				   "[devices]\nmode = 0600\nenabled = no\n"
				   "[limits]\nwindow_bytes_per_vm = 3M\ndeadline_ms = 1\n"
				   "window_bytes_total=1T\n",
				   &e),
			 0);
	assert_int_equal(e.count, 0);
	assert_string_equal(c.log, "/x/y.log");
	assert_int_equal(c.log_level, 3);
	assert_int_equal(c.pool_size, 5);
	assert_int_equal(c.backend, CONFIG_BACKEND_CPU);
	assert_int_equal(c.devices.mode, 0600);
	assert_false(c.devices.enabled);
	assert_true(c.clients.enabled);
	assert_true(c.limits.window_bytes_per_vm == 3 << 20);
	assert_true(c.limits.window_bytes_total == 1ull << 40);
	assert_int_equal(c.limits.deadline_ms, 1);
}

static void test_all_errors_are_told(void **state)
{
	struct mediator_config c;
	struct errors e;

	(void)state;
	assert_int_equal(load_text(&c,
				   "[mediator]\n"
				   "log_level = loud\n"
				   "poolsize = 2\n"
				   "\n"
				   "[mediators]\n"
				   "log = x\n"
				   "[limits]\n"
				   "deadline_ms = -1\n"
				   "what is this\n",
				   &e),
			 -EINVAL);
	assert_int_equal(e.count, 5);
	assert_string_equal(e.text[0], ":2: [mediator] log_level = \"loud\" is not allowed: give "
				       "one of error, warning, info, debug");
	assert_non_null(
		strstr(e.text[1], ":3: unknown key \"poolsize\" in [mediator]; there are "));
	assert_non_null(strstr(e.text[1], " pool_size"));
	assert_string_equal(e.text[2], ":5: unknown section [mediators]; there are mediator, "
				       "backend, devices, clients, limits");
	assert_string_equal(e.text[3], ":8: [limits] deadline_ms = \"-1\" is not allowed: give a "
				       "number from 0 to 86400000");
	assert_string_equal(e.text[4], ":9: expected \"key = value\", \"[section]\" or a comment");
}

static void test_duplicate_key(void **state)
{
	struct mediator_config c;
	struct errors e;

	(void)state;
	assert_int_equal(
		load_text(&c, "[mediator]\npool_size=1\n[limits]\n[mediator]\npool_size=1\n", &e),
		-EINVAL);
	assert_int_equal(e.count, 1);
	assert_string_equal(e.text[0], ":5: [mediator] pool_size stands twice, first in line 2");
}

static void test_indented_line_continues_nothing(void **state)
{
	struct mediator_config c;
	struct errors e;

	(void)state;
	assert_int_equal(load_text(&c, "[mediator]\nlog_level = info\n   pool_size = 3\n", &e), 0);
	assert_int_equal(c.pool_size, 3);
}

static void test_odd_lines(void **state)
{
	static const char nul[] = "[mediator]\nlog_level = in\0fo\n";
	char longest[700];
	struct mediator_config c;
	struct errors e;

	(void)state;
	assert_int_equal(load(&c, nul, sizeof(nul) - 1, &e), -EINVAL);
	assert_string_equal(e.text[0], ":2: line holds a NUL byte: not a text file");

	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "[mediator]\nlog = /", 18);
	assert_int_equal(load(&c, longest, sizeof(longest), &e), -EINVAL);
	assert_int_equal(e.count, 1);
	assert_non_null(strstr(e.text[0], ":2: line is longer than "));

	assert_int_equal(load_text(&c, "log = auto\n", &e), -EINVAL);
	assert_string_equal(e.text[0], ":1: a key before the first [section]");
	assert_int_equal(load_text(&c, "[mediator\nlog = auto\n", &e), -EINVAL);
	assert_string_equal(e.text[0], ":1: section header without \"]\"");
	/* last line without newline, byte order mark, DOS line ends */
	assert_int_equal(load_text(&c, "\xef\xbb\xbf[mediator]\r\npool_size = 7\r\n\r\n#x", &e), 0);
	assert_int_equal(c.pool_size, 7);
	assert_int_equal(load_text(&c, "", &e), 0);
}

static void test_unreadable(void **state)
{
	struct mediator_config c;
	struct errors e = { .count = 0 };

	(void)state;
	config_init(&c);
	assert_int_equal(config_load(&c, "/nonexistent/file", note, &e), -ENOENT);
	assert_int_equal(e.count, 0);
	assert_true(config_load(&c, "/tmp", note, &e) < 0);
	assert_int_equal(e.count, 1);
	assert_string_equal(e.text[0], "/tmp: cannot read: Is a directory");
}

static void test_refused_values(void **state)
{
	static const char *const table[][3] = {
		{ "mediator", "log", "relative.log" },
		{ "mediator", "pid_file", "" },
		{ "mediator", "pool_size", "0" },
		{ "mediator", "pool_size", "65" },
		{ "mediator", "pool_size", "2 " },
		{ "mediator", "pool_size", "0x2" },
		{ "mediator", "pool_size", "+2" },
		{ "mediator", "pool_size", "" },
		{ "mediator", "pool_size", "18446744073709551617" },
		{ "backend", "backend", "CUDA" },
		{ "backend", "backend", "" },
		{ "devices", "mode", "0888" },
		{ "devices", "mode", "01777" },
		{ "devices", "enabled", "maybe" },
		{ "devices", "socket", "d.sock" },
		{ "limits", "window_bytes_per_vm", "1X" },
		{ "limits", "window_bytes_per_vm", "1KB" },
		{ "limits", "window_bytes_per_vm", "K" },
		{ "limits", "window_bytes_per_vm", "18446744073709551615T" },
		{ "limits", "window_bytes_per_vm", "1" },
	};
	struct mediator_config c, before;
	char why[600];

	(void)state;
	config_init(&c);
	before = c;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		why[0] = '\0';
		assert_int_equal(config_set(&c, table[i][0], table[i][1], table[i][2], why,
					    sizeof(why)),
				 -EINVAL);
		assert_non_null(strstr(why, table[i][1]));
		assert_non_null(strstr(why, "give "));
		assert_memory_equal(&c, &before, sizeof(c));
	}
	assert_int_equal(config_set(&c, "x", "y", "z", why, sizeof(why)), -ENOENT);
}

static void test_value_is_escaped(void **state)
{
	struct mediator_config c;
	struct errors e;

	(void)state;
	assert_int_equal(load_text(&c, "[mediator]\nlog_level = a\x1b[31m\n", &e), -EINVAL);
	assert_non_null(strstr(e.text[0], "a\\x1b[31m"));
}

static void count_change(void *ctx, const struct config_change *change)
{
	unsigned int *counts = ctx;

	counts[change->at_run_time]++;
	if (strcmp(change->key, "pool_size") == 0) {
		assert_string_equal(change->from, "2");
		assert_string_equal(change->to, "4");
	}
}

static void test_apply(void **state)
{
	struct mediator_config c, wanted;
	unsigned int counts[2] = { 0, 0 };
	char why[200];

	(void)state;
	config_init(&c);
	config_init(&wanted);
	config_apply(&c, &wanted, count_change, counts);
	assert_int_equal(counts[0] + counts[1], 0);
	config_set(&wanted, "mediator", "pool_size", "4", why, sizeof(why));
	config_set(&wanted, "limits", "window_bytes_total", "1G", why, sizeof(why));
	config_set(&wanted, "backend", "backend", "cpu", why, sizeof(why));
	config_set(&wanted, "devices", "socket", "/other", why, sizeof(why));
	config_apply(&c, &wanted, count_change, counts);
	assert_int_equal(counts[true], 2);
	assert_int_equal(counts[false], 2);
	assert_int_equal(c.pool_size, 4);
	assert_true(c.limits.window_bytes_total == 1 << 30);
	assert_int_equal(c.backend, CONFIG_BACKEND_AUTO);
	assert_string_equal(c.devices.socket, "/run/gpu_mediator/device.sock");
}

static void test_check(void **state)
{
	struct mediator_config c;
	char why[200];

	(void)state;
	config_init(&c);
	config_check(&c, why, sizeof(why));
	assert_string_equal(why, "");
	strcpy(c.devices.socket, c.clients.socket);
	config_check(&c, why, sizeof(why));
	assert_non_null(strstr(why, "same socket"));
	c.devices.enabled = false;
	config_check(&c, why, sizeof(why));
	assert_string_equal(why, "");
	c.clients.enabled = false;
	config_check(&c, why, sizeof(why));
	assert_string_equal(why, ""); /* guests of Xen are left */
	c.xen = CONFIG_XEN_NO;
	config_check(&c, why, sizeof(why));
	assert_non_null(strstr(why, "nothing to serve"));
}

struct example {
	char *text;
	unsigned int missing;
};

static void find_in_example(void *ctx, const char *section, const char *key, const char *value)
{
	struct example *ex = ctx;
	char header[64], line[300];
	char *at, *end, saved;

	snprintf(header, sizeof(header), "\n[%s]\n", section);
	snprintf(line, sizeof(line), *value ? "\n#%s = %s\n" : "\n#%s =%s\n", key, value);
	at = strstr(ex->text, header);
	end = at ? strstr(at + 1, "\n[") : NULL;
	if (!end && at)
		end = at + strlen(at);
	saved = at ? *end : 0;
	if (at)
		*end = '\0';
	if (!at || !strstr(at, line)) {
		print_message("# host/gpu_mediator.conf: [%s] lacks the line: %s", section,
			      line + 1);
		ex->missing++;
	}
	if (at)
		*end = saved;
}

/* Each key stands in the example with its default, and what stands there is allowed. */
static void test_example(void **state)
{
	static char text[16384], live[16384];
	FILE *f = fopen("host/gpu_mediator.conf", "r");
	struct example ex = { .text = text };
	struct mediator_config c, defaults;
	struct errors e;
	size_t n, out = 0;

	(void)state;
	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	assert_true(n > 0 && n < sizeof(text) - 1);
	config_keys(find_in_example, &ex);
	assert_int_equal(ex.missing, 0);

	/* "#key" becomes "key"; prose has a space after its "#" */
	for (size_t i = 0; i < n; i++)
		if (!(text[i] == '#' && text[i + 1] != ' '))
			live[out++] = text[i];
	config_init(&defaults);
	assert_int_equal(load(&c, text, n, &e), 0);
	assert_memory_equal(&c, &defaults, sizeof(c));
	assert_int_equal(load(&c, live, out, &e), 0);
	assert_memory_equal(&c, &defaults, sizeof(c));
}

static void test_command_line_wins(void **state)
{
	char path[] = "/tmp/vgpu-config-XXXXXX";
	char config[64];
	char *argv[] = { (char[]){ "gpu_mediator" },
			 config,
			 (char[]){ "--backend=cpu" },
			 (char[]){ "--device-socket=none" },
			 (char[]){ "--client-socket=sub/c.sock" },
			 NULL };
	struct errors e = { .count = 0 };
	struct mediator_config c;
	struct options o;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_true(write(fd, "[backend]\nbackend = cuda\n[mediator]\npool_size = 9\n", 50) == 50);
	close(fd);
	snprintf(config, sizeof(config), "--config=%s", path);
	assert_int_equal(options_parse(&o, 5, argv), 0);
	assert_int_equal(options_load_config(&o, &c, note, &e), 0);
	unlink(path);
	assert_int_equal(c.backend, CONFIG_BACKEND_CPU);
	assert_int_equal(c.pool_size, 9);
	assert_false(c.devices.enabled);
	assert_int_equal(c.clients.socket[0], '/');
	assert_non_null(strstr(c.clients.socket, "/sub/c.sock"));

	/* the file is gone: asked for by name, that is an error */
	assert_int_equal(options_load_config(&o, &c, note, &e), -ENOENT);
	assert_int_equal(e.count, 1);
	assert_non_null(strstr(e.text[0], path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_all_errors_are_told),
		cmocka_unit_test(test_duplicate_key),
		cmocka_unit_test(test_indented_line_continues_nothing),
		cmocka_unit_test(test_odd_lines),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_refused_values),
		cmocka_unit_test(test_value_is_escaped),
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_command_line_wins),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
