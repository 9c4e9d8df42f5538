// SPDX-License-Identifier: GPL-2.0-or-later
/* Versions, errors, nop, status, messages, log. */
#include "conformance.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void versions(void)
{
	CHECK(strcmp(vgpu_library_version(), VGPUGUEST_VERSION) == 0);
	CHECK(vgpu_library_protocol_version() == VGPU_PROTOCOL_VERSION);
}

static void errors_table(void)
{
#define ENTRY(name, number, text)                                                                  \
	CHECK(strcmp(vgpu_strerror(name), text) == 0);                                             \
	CHECK(strcmp(vgpu_strerrorname(number), #name) == 0);
	VGPU_ERRORS(ENTRY)
#undef ENTRY
	CHECK(*vgpu_strerror(0));
	CHECK(strstr(vgpu_strerrorname(2), "cuda"));
	CHECK(strstr(vgpu_strerror(700), "illegal"));
	for (int e = -1100; e < 1100; e++)
		CHECK(vgpu_strerror(e) && vgpu_strerrorname(e) && *vgpu_strerror(e));
	CHECK(*vgpu_strerror(INT_MIN) && *vgpu_strerror(INT_MAX));
}

static void options_defaults(void)
{
	struct vgpu_options o;

	memset(&o, 0xee, sizeof(o));
	vgpu_options_init(&o);
	CHECK(o.size == sizeof(o) && !o.device && o.timeout_ms == -1 && o.spin_us == -1);
	CHECK(o.window_bytes == 0 && !o.log && o.log_level == VGPU_LOG_WARNING);
}

static void nop(void)
{
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (int i = test_rounds(1000); i > 0; i--)
		EXPECT_ON(g, 0, vgpu_nop(g));
}

static void nop_sleeping_and_polling(void)
{
	static const int spins[] = { 0, 1, 2000 };

	for (size_t i = 0; i < sizeof(spins) / sizeof(spins[0]); i++) {
		struct vgpu_options o = test_options();
		auto_close g = NULL;

		o.spin_us = spins[i];
		EXPECT(0, vgpu_open(&g, &o));
		for (int k = test_rounds(100); k > 0; k--) {
			EXPECT_ON(g, 0, vgpu_nop(g));
			/* now and then long enough for the host to sleep */
			if (k % 10 == 0)
				usleep(2000);
		}
	}
}

static void self_test(void)
{
	struct vgpu_vector_add_result r;
	struct vgpu_status s;
	auto_close g = NULL;

	memset(&r, 0xee, sizeof(r));
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_vector_add_self_test(g, &r));
	CHECK(r.elements == VGPU_SELF_TEST_ELEMENTS && r.errors == 0);
	EXPECT_ON(g, 0, vgpu_query_status(g, &s));
	CHECK(r.backend == s.backend);
	/* the result's name may be cut */
	CHECK(r.device[0] && strncmp(r.device, s.device, strlen(r.device)) == 0);
	EXPECT_ON(g, 0, vgpu_vector_add_self_test(g, NULL));
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static void status_fields(void)
{
	struct vgpu_status s, later;
	auto_close g = NULL;

	memset(&s, 0xee, sizeof(s));
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_query_status(g, &s));
	CHECK(VGPU_VERSION_MAJOR(s.protocol_version) == VGPU_PROTOCOL_MAJOR);
	CHECK(s.backend == VGPU_BACKEND_CPU || s.backend == VGPU_BACKEND_CUDA);
	CHECK(s.fallback == 0 || (s.fallback == 1 && s.backend == VGPU_BACKEND_CPU));
	CHECK(s.window_bytes >= 4096 && s.window_bytes % 4096 == 0);
	CHECK(s.memory_total > 0 && s.memory_free <= s.memory_total);
	CHECK(ends(s.device, sizeof(s.device)) && s.device[0]);
	CHECK(ends(s.mediator, sizeof(s.mediator)) && s.mediator[0]);
	CHECK(ends(s.vm, sizeof(s.vm)) && s.vm[0]);
	CHECK(ends(s.transport, sizeof(s.transport)) && strchr(s.transport, ':'));
	if (s.backend == VGPU_BACKEND_CUDA)
		CHECK(s.compute_major > 0 && s.driver_version >= 11000 && s.runtime_version > 0);
	else
		CHECK(s.compute_major == 0 && s.driver_version == 0 && s.runtime_version == 0);
	if (test.device && strchr(test.device, ':'))
		CHECK(strcmp(s.transport, test.device) == 0, "(%s)", s.transport);

	/* counters count */
	EXPECT_ON(g, 0, vgpu_nop(g));
	EXPECT_ON(g, VGPU_ENOCMD, vgpu_call(g, 9999, NULL, 0, NULL, NULL, NULL));
	EXPECT_ON(g, 0, vgpu_query_status(g, &later));
	CHECK(later.requests == s.requests + 3 && later.errors == s.errors + 1);
	CHECK(later.uptime_ms >= s.uptime_ms && later.channel == s.channel);
	CHECK(strcmp(later.device, s.device) == 0);
	EXPECT_ON(g, VGPU_EINVAL, vgpu_query_status(g, NULL));
}

/* The host takes only so many messages a second: wait if this one is too many. */
static int say(struct vgpu *g, const char *text)
{
	int rc = vgpu_message(g, text);

	for (int i = 0; i < 50 && rc == VGPU_ETHROTTLED; i++) {
		usleep(100000);
		rc = vgpu_message(g, text);
	}
	return rc;
}

static void message(void)
{
	char text[VGPU_MESSAGE_MAX + 2];
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_message(g, ""));
	EXPECT_ON(g, VGPU_EINVAL, vgpu_message(g, NULL));
	EXPECT_ON(g, 0, say(g, "x"));
	EXPECT_ON(g, 0,
		  say(g, "conformance: gr\xc3\xbc\xc3\x9f"
			 "e \xe2\x82\xac"));
	memset(text, 'm', sizeof(text));
	text[VGPU_MESSAGE_MAX] = '\0';
	EXPECT_ON(g, 0, say(g, text));
	text[VGPU_MESSAGE_MAX] = 'm';
	text[VGPU_MESSAGE_MAX + 1] = '\0';
	EXPECT_ON(g, VGPU_ETOOBIG, vgpu_message(g, text));
	EXPECT_ON(g, 0, vgpu_nop(g));
}

static void message_hostile_text(void)
{
	static const char *const texts[] = {
		"line one\nline two\r\n",
		"\x1b[2J\x1b]0;title\x07 bell \x7f",
		"%s%n%x",
		"broken UTF-8: \xc0\xaf \xed\xa0\x80 \xff",
		"\xe2\x80\xae right to left",
	};
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		EXPECT_ON(g, 0, say(g, texts[i]));
	EXPECT_ON(g, 0, vgpu_nop(g));
}

static void message_throttled(void)
{
	auto_close g = NULL;
	int rc = 0;

	EXPECT(0, test_open(&g));
	for (int i = 0; i < 5000 && rc == 0; i++)
		rc = vgpu_message(g, "conformance: many");
	CHECK(rc == 0 || rc == VGPU_ETHROTTLED);
	EXPECT_ON(g, 0, vgpu_nop(g));
}

struct lines {
	int count;
	bool bad;
};

static void take_line(void *opaque, enum vgpu_log_level level, const char *text)
{
	struct lines *l = opaque;

	__atomic_add_fetch(&l->count, 1, __ATOMIC_RELAXED);
	if (level > VGPU_LOG_DEBUG || !*text || strchr(text, '\n'))
		l->bad = true;
}

static void log_callback(void)
{
	struct vgpu_options o = test_options();
	struct lines lines = { 0 };
	struct vgpu *g = NULL;

	o.log = take_line;
	o.log_opaque = &lines;
	o.log_level = VGPU_LOG_DEBUG;
	EXPECT(0, vgpu_open(&g, &o));
	EXPECT_ON(g, 0, vgpu_nop(g));
	vgpu_close(g);
	CHECK(lines.count > 0 && !lines.bad);
}

static void last_error(void)
{
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	CHECK(!*vgpu_last_error(NULL) && !*vgpu_last_error(g));
	EXPECT_ON(g, VGPU_ENOCMD, vgpu_call(g, 4711, NULL, 0, NULL, NULL, NULL));
	CHECK(!*vgpu_last_error(NULL)); /* each handle has its own */
	EXPECT_ON(g, 0, vgpu_nop(g));
}

const struct test_case basic_tests[] = {
	{ "versions", versions },
	{ "errors table", errors_table },
	{ "options have defaults", options_defaults },
	{ "nop", nop },
	{ "nop while both sides sleep and poll", nop_sleeping_and_polling },
	{ "self-test", self_test },
	{ "status fields are plausible", status_fields },
	{ "message of 0, 1, most and more bytes", message },
	{ "message with control characters and broken UTF-8", message_hostile_text },
	{ "messages without end are throttled", message_throttled },
	{ "log callback gets whole lines", log_callback },
	{ "last error is told and forgotten", last_error },
	{ NULL, NULL },
};
