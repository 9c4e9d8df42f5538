// SPDX-License-Identifier: GPL-2.0-or-later
/* Errors of captures and graphs. */
#include "errors.h"

/* A stream that captures. Kernel and memory are there before: to load them meanwhile is refused. */
static gpu_handle capturing(unsigned int mode)
{
	gpu_handle s;

	NEED(gpu_stream_create(&s, 0));
	NEED(errors_spin(s, 0));
	NEED(gpu_synchronize());
	NEED(gpu_capture_begin(s, mode));
	NEED(errors_spin(s, 0));
	return s;
}

static gpu_handle captured(void)
{
	return capturing(GPU_CAPTURE_GLOBAL);
}

/* A second stream that has joined the capture of @s. */
static gpu_handle joined(gpu_handle other, gpu_handle s)
{
	gpu_handle e;

	NEED(gpu_event_create(&e, GPU_EVENT_NO_TIMING));
	NEED(gpu_event_record(e, s));
	NEED(gpu_stream_wait(other, e));
	NEED(errors_spin(other, 0));
	return e;
}

static int begin_default(void)
{
	return gpu_capture_begin(0, GPU_CAPTURE_GLOBAL);
}

static int begin_mode(void)
{
	gpu_handle s;

	NEED(gpu_stream_create(&s, 0));
	return gpu_capture_begin(s, 7);
}

static int begin_twice(void)
{
	return gpu_capture_begin(captured(), GPU_CAPTURE_GLOBAL);
}

static int end(gpu_handle s)
{
	gpu_handle graph;

	return gpu_capture_end(s, &graph);
}

static int end_not_begun(void)
{
	gpu_handle s;

	NEED(gpu_stream_create(&s, 0));
	return end(s);
}

static int end_default(void)
{
	return end(0);
}

static int end_null(void)
{
	return gpu_capture_end(captured(), NULL);
}

static int end_twice(void)
{
	gpu_handle s = captured();

	NEED(end(s));
	return end(s);
}

static int end_unjoined(void)
{
	gpu_handle other, s;

	NEED(gpu_stream_create(&other, 0));
	s = captured();
	joined(other, s);
	return end(s);
}

static int end_joined(void)
{
	gpu_handle other;

	NEED(gpu_stream_create(&other, 0));
	joined(other, captured());
	return end(other);
}

static int synchronize_stream(void)
{
	return gpu_stream_synchronize(captured());
}

static int synchronize_relaxed(void)
{
	return gpu_stream_synchronize(capturing(GPU_CAPTURE_RELAXED));
}

static int synchronize_all(void)
{
	captured();
	return gpu_synchronize();
}

static int synchronize_default(void)
{
	captured();
	return gpu_stream_synchronize(0);
}

static int query_stream(void)
{
	return gpu_stream_query(captured());
}

static int end_after_synchronize(void)
{
	gpu_handle s = captured();

	NEED(gpu_stream_synchronize(s) == 0);
	return end(s);
}

static int end_after_query(void)
{
	gpu_handle s = captured();

	NEED(gpu_stream_query(s) == 0);
	return end(s);
}

static int end_after_synchronize_all(void)
{
	gpu_handle s = captured();

	NEED(gpu_synchronize() == 0);
	return end(s);
}

static int end_after_synchronize_default(void)
{
	gpu_handle s = captured();

	NEED(gpu_stream_synchronize(0) == 0);
	return end(s);
}

static int end_after_begin(void)
{
	gpu_handle s = captured();

	NEED(gpu_capture_begin(s, GPU_CAPTURE_GLOBAL) == 0);
	return end(s);
}

static int end_after_joined(void)
{
	gpu_handle other, s;

	NEED(gpu_stream_create(&other, 0));
	s = captured();
	joined(other, s);
	NEED(end(other) == 0);
	return end(s);
}

static int launch_in_default(void)
{
	captured();
	return errors_spin(0, 0);
}

static int end_after_launch_in_default(void)
{
	gpu_handle s = captured();

	NEED(errors_spin(0, 0) == 0);
	return end(s);
}

static int write_meanwhile(void)
{
	static const uint8_t data[64];
	gpu_ptr p = errors_large();

	captured();
	return gpu_write(p, data, sizeof(data));
}

static int read_meanwhile(void)
{
	gpu_ptr p = errors_large();
	uint8_t data[64];

	captured();
	return gpu_read(data, p, sizeof(data));
}

static int malloc_meanwhile(void)
{
	gpu_ptr p;

	captured();
	return gpu_malloc(&p, LARGE);
}

static int malloc_again_meanwhile(void)
{
	gpu_ptr p;

	errors_large();
	captured();
	return gpu_malloc(&p, LARGE);
}

static int free_meanwhile(void)
{
	gpu_ptr p = errors_large();

	captured();
	return gpu_free(p);
}

static int malloc_relaxed(void)
{
	gpu_ptr p;

	capturing(GPU_CAPTURE_RELAXED);
	return gpu_malloc(&p, LARGE);
}

static int destroy_stream(void)
{
	return gpu_stream_destroy(captured());
}

/* An event that is recorded in a capture. */
static gpu_handle captured_event(void)
{
	gpu_handle e, s;

	NEED(gpu_event_create(&e, 0));
	s = captured();
	NEED(gpu_event_record(e, s));
	return e;
}

static int end_after_query_event(void)
{
	gpu_handle e, s;

	NEED(gpu_event_create(&e, 0));
	s = captured();
	NEED(gpu_event_record(e, s));
	NEED(gpu_event_query(e) == 0);
	return end(s);
}

static int end_after_read(void)
{
	gpu_ptr p = errors_large();
	gpu_handle s = captured();
	uint8_t data[64];

	NEED(gpu_read(data, p, sizeof(data)) == 0);
	return end(s);
}

static int end_after_destroying_joined(void)
{
	gpu_handle other, s;

	NEED(gpu_stream_create(&other, 0));
	s = captured();
	joined(other, s);
	NEED(gpu_stream_destroy(other));
	return end(s);
}

static int query_event(void)
{
	return gpu_event_query(captured_event());
}

static int synchronize_event(void)
{
	return gpu_event_synchronize(captured_event());
}

static int elapsed_event(void)
{
	gpu_handle start;
	float ms;

	NEED(gpu_event_create(&start, 0));
	NEED(gpu_event_record(start, 0));
	return gpu_event_elapsed(&ms, start, captured_event());
}

static int launch_none(void)
{
	return gpu_graph_launch(0, 0);
}

static int destroy_none(void)
{
	return gpu_graph_destroy(0);
}

const struct error_case capture_errors[] = {
	CASE("capture: of the default stream", begin_default),
	CASE("capture: a mode that is none", begin_mode),
	CASE("capture: begun twice", begin_twice),
	CASE("capture: ended, not begun", end_not_begun),
	CASE("capture: ended in the default stream", end_default),
	CASE("capture: ended to NULL", end_null),
	CASE("capture: ended twice", end_twice),
	CASE("capture: ended, a stream not joined again", end_unjoined),
	CASE("capture: ended in a stream that joined it", end_joined),
	CASE("capture: synchronize its stream", synchronize_stream),
	CASE("capture: synchronize its stream, relaxed", synchronize_relaxed),
	CASE("capture: synchronize all", synchronize_all),
	CASE("capture: synchronize the default stream", synchronize_default),
	CASE("capture: query its stream", query_stream),
	CASE("capture: ended after such a synchronize", end_after_synchronize),
	CASE("capture: ended after such a query", end_after_query),
	CASE("capture: ended after a synchronize of all", end_after_synchronize_all),
	CASE("capture: ended after one of the default stream", end_after_synchronize_default),
	CASE("capture: ended after a second begin", end_after_begin),
	CASE("capture: ended after an end in a stream that joined it", end_after_joined),
	CASE("capture: a launch in the default stream", launch_in_default),
	CASE("capture: ended after such a launch", end_after_launch_in_default),
	CASE("capture: a write in the default stream", write_meanwhile),
	CASE("capture: a read in the default stream", read_meanwhile),
	CASE("capture: ended after such a read", end_after_read),
	CASE("capture: malloc", malloc_meanwhile),
	BY_DESIGN("capture: malloc, not the first", malloc_again_meanwhile, 0,
		  "vgpuguest_gpu.h: what the pool has, it gives in a capture, too"),
	CASE("capture: malloc, relaxed", malloc_relaxed),
	CASE("capture: free", free_meanwhile),
	CASE("capture: destroy its stream", destroy_stream),
	CASE("capture: ended after a stream that joined it was destroyed",
	     end_after_destroying_joined),
	CASE("capture: query an event of it", query_event),
	CASE("capture: ended after such a query of an event", end_after_query_event),
	CASE("capture: synchronize an event of it", synchronize_event),
	CASE("capture: elapsed to an event of it", elapsed_event),
	CASE("graph: launch none", launch_none),
	CASE("graph: destroy none", destroy_none),
	CASES_END,
};
