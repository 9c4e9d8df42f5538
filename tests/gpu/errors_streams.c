// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors of streams and events, and what a query says. */
#include "errors.h"

/* No stream and no event, nor an address that a program can have. */
#define NEVER_MADE 99u

#define BUSY_MS 3000u

static gpu_handle stream(void)
{
	gpu_handle s;

	NEED(gpu_stream_create(&s, 0));
	return s;
}

static gpu_handle destroyed_stream(void)
{
	gpu_handle s = stream();

	NEED(gpu_stream_destroy(s));
	return s;
}

static gpu_handle busy_stream(void)
{
	gpu_handle s = stream();

	NEED(errors_spin(s, BUSY_MS));
	return s;
}

static gpu_handle event(unsigned int flags)
{
	gpu_handle e;

	NEED(gpu_event_create(&e, flags));
	return e;
}

static gpu_handle destroyed_event(void)
{
	gpu_handle e = event(0);

	NEED(gpu_event_destroy(e));
	return e;
}

static gpu_handle recorded(gpu_handle s, unsigned int flags)
{
	gpu_handle e = event(flags);

	NEED(gpu_event_record(e, s));
	return e;
}

static gpu_handle done(unsigned int flags)
{
	gpu_handle e = recorded(0, flags);

	NEED(gpu_event_synchronize(e));
	return e;
}

static void nothing(void *opaque)
{
	(void)opaque;
}

/* ---- streams ---- */

static int create_null(void)
{
	return gpu_stream_create(NULL, 0);
}

static int create_flags(void)
{
	gpu_handle s;

	return gpu_stream_create(&s, 0x80);
}

static int destroy_default(void)
{
	return gpu_stream_destroy(0);
}

static int destroy_twice(void)
{
	return gpu_stream_destroy(destroyed_stream());
}

static int synchronize_destroyed(void)
{
	return gpu_stream_synchronize(destroyed_stream());
}

static int synchronize_never_made(void)
{
	return gpu_stream_synchronize(NEVER_MADE);
}

static int query_destroyed(void)
{
	return gpu_stream_query(destroyed_stream());
}

static int query_busy(void)
{
	return gpu_stream_query(busy_stream());
}

static int query_idle(void)
{
	return gpu_stream_query(stream());
}

static int last_error_of_query(void)
{
	NEED(gpu_stream_query(busy_stream()) != 600);
	return gpu_last_error();
}

static int write_to_destroyed(void)
{
	static const uint8_t data[64];

	return gpu_write_async(errors_large(), data, sizeof(data), destroyed_stream());
}

static int wait_never_recorded(void)
{
	return gpu_stream_wait(stream(), event(0));
}

static int wait_none(void)
{
	return gpu_stream_wait(stream(), 0);
}

static int host_func_null(void)
{
	return gpu_host_func(0, NULL);
}

static int host_func_destroyed(void)
{
	return gpu_host_func(destroyed_stream(), nothing);
}

static int last_error(void)
{
	NEED(gpu_free(4096) == 0);
	return gpu_last_error();
}

static int last_error_again(void)
{
	last_error();
	return gpu_last_error();
}

const struct error_case stream_errors[] = {
	CASE("stream: create to NULL", create_null),
	CASE("stream: create with a flag that is none", create_flags),
	CASE("stream: destroy the default stream", destroy_default),
	UNDEFINED("stream: destroy twice", destroy_twice),
	UNDEFINED("stream: synchronize a destroyed one", synchronize_destroyed),
	UNDEFINED("stream: synchronize one never made", synchronize_never_made),
	UNDEFINED("stream: query a destroyed one", query_destroyed),
	CASE("stream: query a busy one", query_busy),
	CASE("stream: query an idle one", query_idle),
	UNDEFINED("stream: write in a destroyed one", write_to_destroyed),
	CASE("stream: wait for an event never recorded", wait_never_recorded),
	CASE("stream: wait for no event", wait_none),
	CASE("host function: NULL", host_func_null),
	UNDEFINED("host function: in a destroyed stream", host_func_destroyed),
	CASE("last error: after a free that failed", last_error),
	CASE("last error: asked again", last_error_again),
	CASE("last error: after a query of a busy stream", last_error_of_query),
	CASES_END,
};

/* ---- events ---- */

static int event_null(void)
{
	return gpu_event_create(NULL, 0);
}

static int event_flags(void)
{
	gpu_handle e;

	return gpu_event_create(&e, 0x80);
}

static int event_destroy_none(void)
{
	return gpu_event_destroy(0);
}

static int event_destroy_twice(void)
{
	return gpu_event_destroy(destroyed_event());
}

static int event_record_none(void)
{
	return gpu_event_record(0, 0);
}

static int event_record_destroyed(void)
{
	return gpu_event_record(destroyed_event(), 0);
}

static int event_query_none(void)
{
	return gpu_event_query(0);
}

static int event_query_destroyed(void)
{
	return gpu_event_query(destroyed_event());
}

static int event_query_never_made(void)
{
	return gpu_event_query(NEVER_MADE);
}

static int event_query_never_recorded(void)
{
	return gpu_event_query(event(0));
}

static int event_query_busy(void)
{
	return gpu_event_query(recorded(busy_stream(), 0));
}

static int event_synchronize_never_recorded(void)
{
	return gpu_event_synchronize(event(0));
}

static int elapsed(gpu_handle start, gpu_handle stop)
{
	float ms;

	return gpu_event_elapsed(&ms, start, stop);
}

static int elapsed_null(void)
{
	return gpu_event_elapsed(NULL, done(0), done(0));
}

static int elapsed_never_recorded(void)
{
	return elapsed(done(0), event(0));
}

static int elapsed_busy(void)
{
	gpu_handle start = done(0);

	return elapsed(start, recorded(busy_stream(), 0));
}

static int elapsed_no_timing(void)
{
	return elapsed(done(0), done(GPU_EVENT_NO_TIMING));
}

static int elapsed_busy_no_timing(void)
{
	gpu_handle start = done(0);

	return elapsed(start, recorded(busy_stream(), GPU_EVENT_NO_TIMING));
}

static int elapsed_none(void)
{
	return elapsed(done(0), 0);
}

static int elapsed_destroyed(void)
{
	return elapsed(done(0), destroyed_event());
}

const struct error_case event_errors[] = {
	CASE("event: create to NULL", event_null),
	CASE("event: create with a flag that is none", event_flags),
	CASE("event: destroy none", event_destroy_none),
	UNDEFINED("event: destroy twice", event_destroy_twice),
	CASE("event: record none", event_record_none),
	UNDEFINED("event: record a destroyed one", event_record_destroyed),
	CASE("event: query none", event_query_none),
	UNDEFINED("event: query a destroyed one", event_query_destroyed),
	UNDEFINED("event: query one never made", event_query_never_made),
	CASE("event: query one never recorded", event_query_never_recorded),
	CASE("event: query one that is not reached", event_query_busy),
	CASE("event: synchronize one never recorded", event_synchronize_never_recorded),
	CASE("elapsed: to NULL", elapsed_null),
	CASE("elapsed: to an event never recorded", elapsed_never_recorded),
	CASE("elapsed: to one that is not reached", elapsed_busy),
	CASE("elapsed: to one without timing", elapsed_no_timing),
	CASE("elapsed: to one without timing, not reached", elapsed_busy_no_timing),
	CASE("elapsed: to none", elapsed_none),
	UNDEFINED("elapsed: to a destroyed one", elapsed_destroyed),
	CASES_END,
};
