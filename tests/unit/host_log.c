/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The log: escaping, levels, files that fill up or are moved away. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the others, as it wants */
#include <cmocka.h>

#include "../../host/log.h"
#include "../../host/mediator_log.h"

static void escapes_to(const char *in, size_t len, size_t size, const char *wanted)
{
	char out[64];

	memset(out, 'Z', sizeof(out));
	assert_int_equal(log_escape(out, size, in, len), strlen(wanted));
	assert_string_equal(out, wanted);
	for (size_t i = size; i < sizeof(out); i++)
		assert_int_equal(out[i], 'Z');
}
#define ESCAPES(in, wanted) escapes_to(in, sizeof(in) - 1, 64, wanted)

static void test_escape(void **state)
{
	(void)state;
	ESCAPES("plain text", "plain text");
	ESCAPES("", "");
	ESCAPES("a\nb\r\t\x1b[0m", "a\\x0ab\\x0d\\x09\\x1b[0m");
	ESCAPES("nul\0in it", "nul\\x00in it");
	ESCAPES("back\\slash", "back\\x5cslash");
	ESCAPES("del\x7f", "del\\x7f");
	ESCAPES("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	ESCAPES("\xff\xc3", "\\xff\\xc3");                   /* no such byte; cut short */
	ESCAPES("\xc0\xaf", "\\xc0\\xaf");                   /* overlong */
	ESCAPES("\xe0\x80\xaf", "\\xe0\\x80\\xaf");          /* overlong */
	ESCAPES("\xe0\x82\xa9", "\\xe0\\x82\\xa9");          /* overlong */
	ESCAPES("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* surrogate */
	ESCAPES("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
	ESCAPES("\xc2\x9b"
		"31m",
		"\\xc2\\x9b31m");                   /* C1: CSI */
	ESCAPES("\xe2\x80\xae", "\\xe2\\x80\\xae"); /* right to left override */
	ESCAPES("\xe2\x80\xa8", "\\xe2\\x80\\xa8"); /* line separator */
}

static void test_escape_cuts(void **state)
{
	(void)state;
	escapes_to("0123456789", 10, 11, "0123456789");
	escapes_to("0123456789", 10, 10, "012345...");
	escapes_to("\n\n\n", 3, 10, "\\x0a...");
	escapes_to("ab\xc3\xa4\xc3\xa4", 6, 6, "ab...");
	escapes_to("abcdef", 6, 3, "..");
	escapes_to("abcdef", 6, 1, "");
	assert_int_equal(log_escape(NULL, 0, "abc", 3), 0);
}

struct caught {
	enum log_level level;
	char text[LOG_LINE_MAX];
	unsigned int count;
};

static void capture(void *ctx, enum log_level level, const char *text, size_t len)
{
	struct caught *c = ctx;

	assert_int_equal(strlen(text), len);
	c->level = level;
	strcpy(c->text, text);
	c->count++;
}

static void test_levels_and_lines(void **state)
{
	struct caught c = { .count = 0 };
	char longest[3000];
	enum log_level level;

	(void)state;
	log_set_sink(capture, &c);
	log_set_level(LOG_LEVEL_INFO);
	log_debug("unseen");
	assert_int_equal(c.count, 0);
	errno = EXDEV;
	log_warn("two\nlines %d", 7);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(c.level, LOG_LEVEL_WARNING);
	assert_string_equal(c.text, "two lines 7");
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	log_err("%s", longest);
	assert_int_equal(strlen(c.text), LOG_LINE_MAX - 1);
	log_set_sink(NULL, NULL);

	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud", &level), -EINVAL);
	assert_null(log_level_name(4));
}

static char *slurp(const char *path)
{
	static char text[8192];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static void test_file_and_rotation(void **state)
{
	char dir[] = "/tmp/vgpu-log-XXXXXX", path[64], moved[64], *text;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/log", dir);
	snprintf(moved, sizeof(moved), "%s/log.1", dir);
	assert_int_equal(mediator_log_open(path, true), 0);
	log_info("one");
	text = slurp(path);
	/* 2026-01-31T12:34:56.789Z info: one */
	assert_int_equal(text[10], 'T');
	assert_string_equal(text + 24, " info: one\n");

	assert_int_equal(rename(path, moved), 0);
	log_info("two");
	assert_int_equal(mediator_log_open(path, true), 0);
	log_info("three");
	assert_non_null(strstr(slurp(moved), "two"));
	assert_null(strstr(slurp(moved), "three"));
	assert_null(strstr(slurp(path), "two"));
	assert_non_null(strstr(slurp(path), "three"));

	/* a place that cannot be: the old one stays */
	assert_int_equal(mediator_log_open("/nonexistent/log", true), -ENOENT);
	log_info("four");
	assert_non_null(strstr(slurp(path), "four"));
	mediator_log_close();
	unlink(path);
	unlink(moved);
	rmdir(dir);
}

static void test_full_disk(void **state)
{
	char path[] = "/tmp/vgpu-log-XXXXXX", *text;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(mediator_log_open("/dev/full", true), 0);
	for (int i = 0; i < 5; i++)
		log_info("lost %d", i);
	assert_int_equal(mediator_log_lost(), 5);
	assert_int_equal(mediator_log_open(path, true), 0);
	log_info("back");
	assert_int_equal(mediator_log_lost(), 0);
	text = slurp(path);
	assert_non_null(strstr(text, "warning: log: 5 lines were lost: No space left on device\n"));
	assert_non_null(strstr(text, " info: back\n"));
	log_info("again");
	assert_null(strstr(strstr(slurp(path), "back"), "lost"));
	mediator_log_close();
	unlink(path);
}

/* A pipe that nobody reads must not stop us. */
static void test_stuck_stderr(void **state)
{
	int fds[2], saved = dup(STDERR_FILENO);
	char buf[4096];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	assert_int_equal(mediator_log_open("stderr", true), 0);
	alarm(20);
	for (int i = 0; i < 5000; i++)
		log_info("a line that fills the pipe in no time, if there are enough of them");
	alarm(0);
	assert_true(mediator_log_lost() > 0);
	for (int i = 0; i < 8; i++)
		assert_true(read(fds[0], buf, sizeof(buf)) > 0);
	log_info("back");
	assert_int_equal(mediator_log_lost(), 0);
	mediator_log_close();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_escape),           cmocka_unit_test(test_escape_cuts),
		cmocka_unit_test(test_levels_and_lines), cmocka_unit_test(test_file_and_rotation),
		cmocka_unit_test(test_full_disk),        cmocka_unit_test(test_stuck_stderr),
	};

	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
