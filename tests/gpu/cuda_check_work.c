// SPDX-License-Identifier: GPL-2.0-or-later
/* Kernels, streams, events, fences, host functions and graphs of the cuda backend. */
#include "cuda_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../host/mediator_throttle.h"
#include "../../protocol/vgpu_errors.h"

__asm__(".pushsection .rodata\n"
	".global kernels_ptx, kernels_ptx_end\n"
	"kernels_ptx: .incbin \"tests/gpu/kernels.ptx\"\n"
	"kernels_ptx_end: .byte 0\n"
	".popsection\n");

#define WAIT_US 10000000u
#define SPIN_NS 20000000ull

/* As kernels.ptx has them. */
struct mix {
	uint8_t addend;
	uint64_t out, in;
	uint32_t n, factor;
	uint16_t mask;
} __attribute__((aligned(8)));
#define MIX_BYTES 34u

struct large {
	uint64_t out;
	uint32_t words[1000];
};

static int wait_for_fence(struct gpu_test *t, struct backend_fence *f, void *data)
{
	uint64_t end = clock_us() + WAIT_US;
	int rc;

	while ((rc = t->ops->fence_done(t->b, f, data)) == VGPU_EBUSY)
		if (clock_us() > end) {
			t->ops->fence_drop(t->b, f);
			return VGPU_ETIMEDOUT;
		}
	return rc;
}

int wait_for(struct gpu_test *t, uint32_t kind, void *object)
{
	struct backend_fence *f;
	int rc = t->ops->fence(t->b, kind, object, &f);

	return rc ? rc : wait_for_fence(t, f, NULL);
}

int read_now(struct gpu_test *t, struct backend_stream *s, uint64_t src, void *out, uint32_t n)
{
	struct backend_fence *f;
	int rc = t->ops->read(t->b, s, src, n, &f);

	return rc ? rc : wait_for_fence(t, f, out);
}

static struct backend_module *load(struct gpu_test *t, const void *image, size_t bytes)
{
	struct backend_module *m = NULL;
	char log[512];

	if (!returns(t->ops->module_load(t->b, image, bytes, &m, log, sizeof(log)), 0,
		     "module_load"))
		printf("# %s\n", log);
	return m;
}

static struct backend_kernel *kernel(struct gpu_test *t, struct backend_module *m, const char *name)
{
	struct vgpu_kernel_reply info;
	struct backend_kernel *k = NULL;

	returns(t->ops->kernel_get(t->b, m, name, &k, &info), 0, name);
	return k;
}

static int launch(struct gpu_test *t, struct backend_stream *s, struct backend_kernel *k,
		  uint32_t blocks, uint32_t threads, const void *params, uint32_t bytes)
{
	struct backend_launch l = { .grid = { blocks, 1, 1 },
				    .block = { threads, 1, 1 },
				    .params = params,
				    .param_bytes = bytes };

	return t->ops->launch(t->b, s, k, &l);
}

static int spin(struct gpu_test *t, struct backend_stream *s, struct backend_kernel *k)
{
	uint64_t ns = SPIN_NS;

	return launch(t, s, k, 1, 1, &ns, sizeof(ns));
}

/* On fresh numbers, with the result poisoned and guarded. */
static bool mix_agrees(struct gpu_test *t, struct backend_stream *s, struct backend_kernel *k,
		       uint32_t n)
{
	const size_t bytes = n * sizeof(uint32_t);
	uint32_t *in = (uint32_t *)(void *)t->window, *out = in + n;
	struct mix p = {
		.addend = (uint8_t)rnd(), .n = n, .factor = rnd(), .mask = (uint16_t)rnd()
	};
	uint32_t guard;
	bool passed;

	if (!returns(t->ops->alloc(t->b, 2 * bytes + 4, &p.in), 0, "alloc"))
		return false;
	p.out = p.in + bytes;
	fill_bytes(in, 2 * bytes + 4);
	passed = returns(copy_in(t, s, p.in, in, 2 * bytes + 4), 0, "copy in") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, s), 0, "wait");
	guard = out[n];
	memset(out, 0xd5, bytes + 4);
	passed = passed &&
		 returns(launch(t, s, k, (n + 255) / 256, 256, &p, MIX_BYTES), 0, "mix") &&
		 returns(copy_out(t, s, out, p.out, bytes + 4), 0, "copy out") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, s), 0, "wait");
	for (uint32_t i = 0; i < n && passed; i++)
		passed = out[i] == ((in[i] * p.factor + p.addend) ^ p.mask);
	passed = passed && out[n] == guard;
	return returns(t->ops->free(t->b, p.in), 0, "free") && passed;
}

static void check_image_file(struct gpu_test *t, const char *path)
{
	static uint8_t image[1 << 20];
	FILE *f = fopen(path, "rb");
	size_t n = f ? fread(image, 1, sizeof(image), f) : 0;
	struct backend_module *m = n ? load(t, image, n) : NULL;

	ok(m && mix_agrees(t, NULL, kernel(t, m, "mix"), 10007), "an image made by nvcc: %s",
	   strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	if (m)
		t->ops->module_unload(t->b, m);
	if (f)
		fclose(f);
}

static void check_bad_images(struct gpu_test *t)
{
	static const uint32_t wrapper[6] = { 0x466243b1, 1 }; /* with an address */
	static const char bad[] = ".version 7.0\n.target sm_70\n.address_size 64\nthis is no PTX\n";
	uint8_t noise[4096];
	struct backend_module *m;
	char log[512] = "";

	ok(returns(t->ops->module_load(t->b, bad, sizeof(bad), &m, log, sizeof(log)),
		   CUDA_INVALID_PTX, "module_load") &&
		   log[0],
	   "PTX that is none, and the compiler's words");
	fill_bytes(noise, sizeof(noise));
	noise[0] = 0x80;
	ok(returns(t->ops->module_load(t->b, noise, sizeof(noise), &m, log, sizeof(log)),
		   CUDA_INVALID_KERNEL_IMAGE, "module_load") &&
		   returns(t->ops->module_load(t->b, wrapper, sizeof(wrapper), &m, log,
					       sizeof(log)),
			   CUDA_INVALID_KERNEL_IMAGE, "module_load"),
	   "images that are none");
}

static void check_params(struct gpu_test *t, struct backend_module *m)
{
	static const struct vgpu_kernel_param want[] = { { 0, 1 },  { 8, 8 },  { 16, 8 },
							 { 24, 4 }, { 28, 4 }, { 32, 2 } };
	struct vgpu_kernel_reply info;
	struct vgpu_kernel_param got;
	struct backend_kernel *k;
	bool passed;

	passed = returns(t->ops->kernel_get(t->b, m, "mix", &k, &info), 0, "kernel_get") &&
		 info.params == 6 && info.param_bytes == MIX_BYTES && info.threads_max >= 256 &&
		 info.registers && info.binary_version >= 70 && info.ptx_version == 70;
	for (uint32_t i = 0; i < 6 && passed; i++)
		passed = returns(t->ops->kernel_param(t->b, k, i, &got), 0, "kernel_param") &&
			 memcmp(&got, &want[i], sizeof(got)) == 0;
	passed = passed && returns(t->ops->kernel_param(t->b, k, 6, &got), CUDA_INVALID_VALUE,
				   "kernel_param of none");
	ok(passed, "attributes and parameters of a kernel");
	ok(returns(t->ops->kernel_get(t->b, m, "mixed", &k, &info), CUDA_SYMBOL_NOT_FOUND,
		   "kernel_get"),
	   "a kernel that is not there: cudaErrorSymbolNotFound");
}

static void check_launch_errors(struct gpu_test *t, struct backend_module *m)
{
	struct backend_kernel *mix = kernel(t, m, "mix"), *nothing = kernel(t, m, "nothing");
	struct backend_launch l = { .grid = { 1, 1, 1 }, .block = { 1, 1, 1 } };
	struct mix p = { 0 };
	bool passed;

	passed =
		returns(launch(t, NULL, mix, 1, 1, &p, MIX_BYTES - 1), CUDA_INVALID_VALUE,
			"too few parameters") &&
		returns(launch(t, NULL, mix, 1, 1, &p, MIX_BYTES + 1), CUDA_INVALID_VALUE,
			"too many parameters") &&
		returns(launch(t, NULL, nothing, 0, 1, NULL, 0), CUDA_INVALID_VALUE, "no block") &&
		returns(launch(t, NULL, nothing, 1, 0, NULL, 0), CUDA_INVALID_VALUE, "no thread") &&
		returns(launch(t, NULL, nothing, 1, 2048, NULL, 0), CUDA_INVALID_VALUE,
			"too many threads");
	l.grid[1] = 65536;
	passed = passed && returns(t->ops->launch(t->b, NULL, nothing, &l), CUDA_INVALID_VALUE,
				   "too many blocks");
	l.grid[1] = 1;
	l.dynamic_shared = 60000;
	passed = passed && returns(t->ops->launch(t->b, NULL, nothing, &l), CUDA_INVALID_VALUE,
				   "too much shared memory");
	ok(passed && returns(launch(t, NULL, nothing, 1, 1, NULL, 0), 0, "a good launch") &&
		   returns(wait_for(t, VGPU_SYNC_DEVICE, NULL), 0, "wait"),
	   "launches that CUDA refuses, with its numbers; they pass");
}

static void check_shared(struct gpu_test *t, struct backend_module *m)
{
	struct backend_kernel *k = kernel(t, m, "shared_size");
	struct backend_launch l = { .grid = { 1, 1, 1 }, .block = { 1, 1, 1 }, .param_bytes = 8 };
	uint32_t sizes[] = { 0, 1024, 49152, 64u << 10 }, got, blocks = 0;
	uint64_t out;
	bool passed = returns(t->ops->alloc(t->b, 4, &out), 0, "alloc");

	l.params = &out;
	passed = passed &&
		 returns(t->ops->kernel_set(t->b, k, VGPU_KERNEL_DYNAMIC_SHARED_MAX, 64 << 10), 0,
			 "kernel_set") &&
		 returns(t->ops->kernel_set(t->b, k, VGPU_KERNEL_SHARED_CARVEOUT, 50), 0,
			 "kernel_set") &&
		 returns(t->ops->occupancy(t->b, k, 256, 32u << 10, &blocks), 0, "occupancy") &&
		 blocks >= 1 && blocks <= 8;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && passed; i++) {
		l.dynamic_shared = sizes[i];
		got = ~0u;
		passed = returns(t->ops->launch(t->b, NULL, k, &l), 0, "shared_size") &&
			 returns(read_now(t, NULL, out, &got, sizeof(got)), 0, "read") &&
			 got == sizes[i];
	}
	t->ops->free(t->b, out);
	ok(passed, "dynamic shared memory, once it is allowed; occupancy");
}

static void check_large_params(struct gpu_test *t, struct backend_module *m)
{
	struct backend_kernel *k = kernel(t, m, "large");
	static struct large p;
	bool passed = returns(t->ops->alloc(t->b, sizeof(p.words), &p.out), 0, "alloc");

	fill_bytes(p.words, sizeof(p.words));
	memset(t->window, 0xd5, sizeof(p.words));
	passed = passed && returns(launch(t, NULL, k, 1, 1000, &p, sizeof(p)), 0, "large") &&
		 returns(copy_out(t, NULL, t->window, p.out, sizeof(p.words)), 0, "copy") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, NULL), 0, "wait");
	ok(passed && memcmp(t->window, p.words, sizeof(p.words)) == 0, "4,008 bytes of parameters");
	t->ops->free(t->b, p.out);
}

void check_modules(struct gpu_test *t, int images, char **image)
{
	size_t bytes = (size_t)(kernels_ptx_end - kernels_ptx);
	struct backend_module *m = load(t, kernels_ptx, bytes); /* without its NUL */
	struct backend_kernel *k = kernel(t, m, "mix");

	ok(m && k, "PTX is loaded");
	ok(mix_agrees(t, NULL, k, 1) && mix_agrees(t, NULL, k, 256) &&
		   mix_agrees(t, NULL, k, 1 + rnd() % 100000) && mix_agrees(t, NULL, k, 3000000),
	   "a kernel's results, of four sizes");
	check_params(t, m);
	check_launch_errors(t, m);
	check_shared(t, m);
	check_large_params(t, m);
	t->ops->module_unload(t->b, m);
	m = load(t, kernels_ptx, bytes + 1);
	ok(m && mix_agrees(t, NULL, kernel(t, m, "mix"), 777), "and again, with its NUL");
	t->ops->module_unload(t->b, m);
	check_bad_images(t);
	for (int i = 0; i < images; i++)
		check_image_file(t, image[i]);
}

/* Fences wait for what came before them, and for no more. */
static void check_fences(struct gpu_test *t, struct backend_kernel *k, struct backend_stream **s)
{
	struct backend_fence *first, *device;
	struct backend_event *e;
	uint64_t start = clock_us(), first_us;
	bool passed;

	passed = returns(spin(t, s[0], k), 0, "spin") &&
		 returns(t->ops->stream_query(t->b, s[0]), CUDA_NOT_READY, "stream_query") &&
		 returns(t->ops->stream_query(t->b, s[1]), 0, "stream_query of another") &&
		 returns(t->ops->fence(t->b, VGPU_SYNC_STREAM, s[0], &first), 0, "fence") &&
		 returns(t->ops->fence_done(t->b, first, NULL), VGPU_EBUSY, "fence_done") &&
		 returns(t->ops->fence_mark(t->b, first), 0, "fence_mark") &&
		 returns(t->ops->fence(t->b, VGPU_SYNC_DEVICE, NULL, &device), 0, "fence") &&
		 returns(t->ops->fence_mark(t->b, device), 0, "fence_mark");
	for (int i = 0; i < 5; i++)
		passed = passed && returns(spin(t, s[0], k), 0, "spin");
	while (passed && t->ops->fence_done(t->b, first, NULL) == VGPU_EBUSY)
		;
	first_us = clock_us() - start;
	passed = passed && returns(t->ops->stream_query(t->b, s[0]), CUDA_NOT_READY, "query") &&
		 first_us >= SPIN_NS / 1000 && first_us < 4 * SPIN_NS / 1000;
	while (passed && t->ops->fence_done(t->b, device, NULL) == VGPU_EBUSY)
		;
	passed = passed && clock_us() - start < 5 * SPIN_NS / 1000;
	ok(passed && returns(wait_for(t, VGPU_SYNC_DEVICE, NULL), 0, "wait"),
	   "fences of a stream and of the device are done when they should");

	/* An event's fence keeps to the record that it was made behind. */
	start = clock_us();
	passed = returns(t->ops->event_create(t->b, VGPU_EVENT_NO_TIMING, &e), 0, "event_create") &&
		 returns(t->ops->event_query(t->b, e), 0, "event_query, never recorded") &&
		 returns(spin(t, s[0], k), 0, "spin") &&
		 returns(t->ops->event_record(t->b, e, s[0]), 0, "event_record") &&
		 returns(t->ops->fence(t->b, VGPU_SYNC_EVENT, e, &first), 0, "fence") &&
		 returns(t->ops->fence_mark(t->b, first), 0, "fence_mark");
	for (int i = 0; i < 5; i++)
		passed = passed && returns(spin(t, s[0], k), 0, "spin");
	passed = passed && returns(t->ops->event_record(t->b, e, s[0]), 0, "event_record");
	while (passed && t->ops->fence_done(t->b, first, NULL) == VGPU_EBUSY)
		;
	passed = passed && clock_us() - start < 4 * SPIN_NS / 1000 &&
		 returns(t->ops->event_query(t->b, e), CUDA_NOT_READY, "event_query") &&
		 returns(wait_for(t, VGPU_SYNC_EVENT, e), 0, "wait") &&
		 clock_us() - start >= 6 * SPIN_NS / 1000;
	ok(passed, "an event's fence keeps to its record");
	t->ops->event_destroy(t->b, e);
}

static void check_destroyed(struct gpu_test *t, struct backend_kernel *k)
{
	struct backend_stream *s;
	struct backend_fence *f;
	uint64_t start = clock_us();
	bool passed;

	passed = returns(t->ops->stream_create(t->b, 0, -1000, &s), 0, "stream_create") &&
		 returns(spin(t, s, k), 0, "spin") &&
		 returns(t->ops->fence(t->b, VGPU_SYNC_STREAM, s, &f), 0, "fence");
	t->ops->stream_destroy(t->b, s);
	passed = passed && returns(t->ops->fence_done(t->b, f, NULL), VGPU_EBUSY, "fence_done") &&
		 returns(wait_for(t, VGPU_SYNC_DEVICE, NULL), 0, "wait") &&
		 clock_us() - start >= SPIN_NS / 1000 &&
		 returns(t->ops->fence_done(t->b, f, NULL), 0, "fence_done");
	ok(passed, "a destroyed stream's work is still waited for");
}

static void check_events(struct gpu_test *t, struct backend_kernel *k, struct backend_stream **s)
{
	struct backend_event *e[3];
	float ms = -1;
	bool passed = true;

	for (int i = 0; i < 3; i++)
		passed = passed && returns(t->ops->event_create(t->b, i == 2, &e[i]), 0, "create");
	passed = passed && returns(t->ops->event_record(t->b, e[0], s[0]), 0, "record") &&
		 returns(spin(t, s[0], k), 0, "spin") &&
		 returns(t->ops->event_record(t->b, e[1], s[0]), 0, "record") &&
		 returns(t->ops->event_elapsed(t->b, e[0], e[1], &ms), CUDA_NOT_READY, "elapsed") &&
		 returns(t->ops->stream_wait(t->b, s[1], e[1]), 0, "stream_wait") &&
		 returns(t->ops->stream_query(t->b, s[1]), CUDA_NOT_READY, "stream_query") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, s[1]), 0, "wait") &&
		 returns(t->ops->event_query(t->b, e[1]), 0, "event_query") &&
		 returns(t->ops->event_elapsed(t->b, e[0], e[1], &ms), 0, "elapsed");
	ok(passed && ms >= (float)SPIN_NS / 1e6f && ms < 3 * (float)SPIN_NS / 1e6f,
	   "events: %.2f ms elapsed, another stream waited", (double)ms);
	passed = returns(t->ops->event_record(t->b, e[2], s[0]), 0, "record") &&
		 returns(wait_for(t, VGPU_SYNC_EVENT, e[2]), 0, "wait");
	ok(passed && t->ops->event_elapsed(t->b, e[0], e[2], &ms) > 0,
	   "no times of an event without them");
	for (int i = 0; i < 3; i++)
		t->ops->event_destroy(t->b, e[i]);
}

#define READS_MAX 4096
#define READS_HELD 200 /* what a stream takes before its caller has to wait is more */

/* Reads have their place in the stream, and nobody waits for them, as many as there may be. */
static void check_reads(struct gpu_test *t, struct backend_stream *s)
{
	static struct backend_fence *reads[READS_MAX];
	uint32_t n = 0, word, got;
	uint64_t device;
	int rc = 0;
	bool passed = returns(t->ops->alloc(t->b, 4, &device), 0, "alloc");

	passed = passed && returns(t->ops->hold(t->b, s, 9), 0, "hold");
	while (passed && rc == 0 && n < READS_MAX) {
		word = 3 * n;
		passed = returns(t->ops->write(t->b, s, device, &word, 4), 0, "write");
		rc = t->ops->read(t->b, s, device, 4, &reads[n]);
		n += rc == 0;
		if (n != READS_HELD)
			continue;
		passed = passed && returns(t->ops->fence_done(t->b, reads[0], &got), VGPU_EBUSY,
					   "fence_done");
		t->ops->release(t->b, 9);
	}
	passed = passed && returns(rc, VGPU_EQUOTA, "one read too many") && n > READS_HELD;
	for (uint32_t i = 0; i < n; i++) {
		got = ~0u;
		passed = returns(wait_for_fence(t, reads[i], &got), 0, "wait") && passed &&
			 got == 3 * i;
	}
	passed = passed && returns(read_now(t, s, device, &got, 4), 0, "read") && got == 3 * n;
	ok(passed, "%u reads at once, each in its place", n);
	t->ops->free(t->b, device);
}

/* Numbers are used again at once, and streams get on in the order in which they are let. */
static void check_holds(struct gpu_test *t, struct backend_stream **s)
{
	uint64_t device;
	uint32_t word = 0, got = 0;
	bool passed = returns(t->ops->alloc(t->b, 4, &device), 0, "alloc");

	passed = passed && returns(t->ops->hold(t->b, s[0], 3), 0, "hold") &&
		 returns(t->ops->hold(t->b, s[1], VGPU_HOST_FUNCS_MAX - 1), 0, "hold") &&
		 returns(t->ops->stream_query(t->b, s[0]), CUDA_NOT_READY, "query") &&
		 returns(t->ops->stream_query(t->b, s[1]), CUDA_NOT_READY, "query");
	/* Nothing of this may wait for them. */
	memset(t->window, 0x77, 4);
	passed = passed && returns(copy_in(t, s[0], device, t->window, 4), 0, "copy") &&
		 returns(copy_out(t, s[0], t->window + 64, device, 4), 0, "copy");
	t->ops->release(t->b, VGPU_HOST_FUNCS_MAX - 1);
	passed = passed && returns(wait_for(t, VGPU_SYNC_STREAM, s[1]), 0, "wait") &&
		 returns(t->ops->stream_query(t->b, s[0]), CUDA_NOT_READY, "query");
	t->ops->release(t->b, 3);
	passed = passed && returns(wait_for(t, VGPU_SYNC_STREAM, s[0]), 0, "wait") &&
		 memcmp(t->window, t->window + 64, 4) == 0;
	ok(passed, "streams stand still until they are let go, each by itself");
	for (uint32_t i = 0; i < 1000 && passed; i++) {
		word = rnd();
		passed = returns(t->ops->hold(t->b, s[0], 5), 0, "hold") &&
			 returns(t->ops->write(t->b, s[0], device, &word, 4), 0, "write");
		t->ops->release(t->b, 5);
	}
	passed = passed && returns(read_now(t, s[0], device, &got, 4), 0, "read");
	ok(passed && got == word, "one number, 1,000 times over");
	t->ops->free(t->b, device);
}

void check_streams(struct gpu_test *t)
{
	struct backend_module *m = load(t, kernels_ptx, (size_t)(kernels_ptx_end - kernels_ptx));
	struct backend_kernel *k = kernel(t, m, "spin");
	struct backend_stream *s[2];

	ok(returns(t->ops->stream_create(t->b, VGPU_STREAM_NON_BLOCKING, 0, &s[0]), 0, "create") &&
		   returns(t->ops->stream_create(t->b, 0, 1000, &s[1]), 0, "create"),
	   "two streams");
	check_fences(t, k, s);
	check_destroyed(t, k);
	check_events(t, k, s);
	check_holds(t, s);
	check_reads(t, s[0]);
	ok(mix_agrees(t, s[0], kernel(t, m, "mix"), 50000), "a kernel in a stream of its own");
	t->ops->stream_destroy(t->b, s[0]);
	t->ops->stream_destroy(t->b, s[1]);
	t->ops->module_unload(t->b, m);
}

/* out = (in * factor + addend) ^ mask, three times over, from and to the window. */
static void check_graph(struct gpu_test *t, struct backend_kernel *k, struct backend_stream *s)
{
	enum {
		N = 5000
	};
	uint32_t *in = (uint32_t *)(void *)t->window, *out = in + N, word = rnd();
	struct mix p = { .addend = 7, .n = N, .factor = 3, .mask = 0x1234 };
	struct backend_graph *g = NULL;
	bool passed;

	passed = returns(t->ops->alloc(t->b, 2 * N * 4, &p.in), 0, "alloc");
	p.out = p.in + N * 4;
	passed = passed &&
		 returns(t->ops->capture_begin(t->b, s, VGPU_CAPTURE_GLOBAL), 0, "begin") &&
		 returns(copy_in(t, s, p.in, in, N * 4), 0, "copy") &&
		 returns(t->ops->write(t->b, s, p.in, &word, 4), 0, "write") &&
		 returns(launch(t, s, k, (N + 255) / 256, 256, &p, MIX_BYTES), 0, "launch") &&
		 returns(copy_out(t, s, out, p.out, N * 4), 0, "copy") &&
		 returns(t->ops->capture_end(t->b, s, &g), 0, "end");
	p = (struct mix){ .in = p.in, .out = p.out }; /* the graph has its own */
	for (int turn = 0; turn < 3 && passed; turn++) {
		fill_bytes(in, N * 4);
		memset(out, 0xd5, N * 4);
		passed = returns(t->ops->graph_launch(t->b, g, s), 0, "graph_launch") &&
			 returns(wait_for(t, VGPU_SYNC_STREAM, s), 0, "wait");
		in[0] = word;
		for (uint32_t i = 0; i < N && passed; i++)
			passed = out[i] == ((in[i] * 3 + 7) ^ 0x1234);
	}
	ok(passed, "a graph of copies, a write and a kernel, three times on fresh numbers");
	if (g)
		t->ops->graph_destroy(t->b, g);
	t->ops->free(t->b, p.in);
}

static void check_captures(struct gpu_test *t, struct backend_kernel *k, struct backend_stream *s)
{
	uint64_t address, total, free_bytes;
	struct backend_stream *gone;
	struct backend_graph *g;
	struct backend_fence *f;
	bool passed;

	passed = returns(t->ops->capture_end(t->b, s, &g), CUDA_ILLEGAL_STATE, "end of none") &&
		 returns(t->ops->capture_begin(t->b, NULL, VGPU_CAPTURE_GLOBAL),
			 CUDA_CAPTURE_UNSUPPORTED, "of the default stream");
	ok(passed, "captures that CUDA refuses");
	/* Fences from before a capture are looked at during it, and do it no harm. */
	passed = returns(spin(t, NULL, k), 0, "spin") &&
		 returns(t->ops->fence(t->b, VGPU_SYNC_DEVICE, NULL, &f), 0, "fence") &&
		 returns(t->ops->fence_mark(t->b, f), 0, "fence_mark") &&
		 returns(t->ops->capture_begin(t->b, s, VGPU_CAPTURE_GLOBAL), 0, "begin") &&
		 returns(spin(t, s, k), 0, "spin");
	while (passed && t->ops->fence_done(t->b, f, NULL) == VGPU_EBUSY)
		;
	passed = passed &&
		 returns(t->ops->fence(t->b, VGPU_SYNC_STREAM, s, &f), CUDA_CAPTURE_UNSUPPORTED,
			 "fence of a stream that captures") &&
		 returns(t->ops->hold(t->b, s, 0), CUDA_CAPTURE_UNSUPPORTED, "hold") &&
		 returns(t->ops->memory(t->b, &total, &free_bytes), 0, "memory") &&
		 returns(t->ops->capture_end(t->b, s, &g), 0, "end");
	ok(passed, "a capture is not disturbed by fences");
	if (passed)
		t->ops->graph_destroy(t->b, g);
	passed = returns(t->ops->capture_begin(t->b, s, VGPU_CAPTURE_GLOBAL), 0, "begin") &&
		 returns(t->ops->alloc(t->b, 100, &address), CUDA_CAPTURE_UNSUPPORTED, "alloc") &&
		 returns(t->ops->capture_end(t->b, s, &g), CUDA_CAPTURE_INVALIDATED, "end") &&
		 returns(t->ops->alloc(t->b, 100, &address), 0, "alloc") &&
		 returns(t->ops->free(t->b, address), 0, "free");
	ok(passed, "alloc ends a global capture, as in CUDA");
	passed = returns(t->ops->capture_begin(t->b, s, VGPU_CAPTURE_GLOBAL), 0, "begin") &&
		 returns(t->ops->stream_query(t->b, s), CUDA_CAPTURE_UNSUPPORTED, "query") &&
		 returns(t->ops->capture_end(t->b, s, &g), CUDA_CAPTURE_INVALIDATED, "end") &&
		 returns(t->ops->stream_query(t->b, s), 0, "query");
	ok(passed, "a query spoils a capture");
	passed = returns(t->ops->stream_create(t->b, 0, 0, &gone), 0, "stream_create") &&
		 returns(t->ops->capture_begin(t->b, gone, VGPU_CAPTURE_GLOBAL), 0, "begin") &&
		 returns(spin(t, gone, k), 0, "spin");
	if (passed)
		t->ops->stream_destroy(t->b, gone);
	passed = passed && returns(t->ops->alloc(t->b, 100, &address), 0, "alloc") &&
		 returns(t->ops->free(t->b, address), 0, "free") &&
		 returns(wait_for(t, VGPU_SYNC_DEVICE, NULL), 0, "wait");
	ok(passed, "a capture goes with its stream");
}

void check_graphs(struct gpu_test *t)
{
	struct backend_module *m = load(t, kernels_ptx, (size_t)(kernels_ptx_end - kernels_ptx));
	struct backend_stream *s;

	if (!returns(t->ops->stream_create(t->b, 0, 0, &s), 0, "stream_create"))
		return;
	check_graph(t, kernel(t, m, "mix"), s);
	check_captures(t, kernel(t, m, "spin"), s);
	t->ops->stream_destroy(t->b, s);
	t->ops->module_unload(t->b, m);
}

/* Between two GPUs, and kernels on each. */
void check_second(struct gpu_test *t)
{
	struct vgpu_device_info i;
	struct backend_module *m;
	struct backend_kernel *k;
	struct backend_stream *s, *first;
	struct backend_copy c = { .kind = VGPU_COPY_ON_DEVICE, .width = 1 << 20, .height = 1 };
	uint8_t bytes[23], got[23];
	bool passed;

	if (t->ops->device_info(t->b, 0, &i) || i.devices < 2) {
		ok(true, "a second GPU # SKIP there is one");
		return;
	}
	m = load(t, kernels_ptx, (size_t)(kernels_ptx_end - kernels_ptx));
	k = kernel(t, m, "mix");
	passed = returns(t->ops->stream_create(t->b, 0, 0, &first), 0, "stream_create") &&
		 returns(t->ops->alloc(t->b, 1 << 20, &c.src), 0, "alloc") &&
		 returns(t->ops->device_set(t->b, 1), 0, "device_set") &&
		 returns(t->ops->alloc(t->b, 1 << 20, &c.dst), 0, "alloc on the second") &&
		 returns(t->ops->stream_create(t->b, 0, 0, &s), 0, "stream_create");
	fill_bytes(t->window, 1 << 20);
	memset(t->window + (1 << 20), 0xd5, 1 << 20);
	passed = passed && returns(copy_in(t, first, c.src, t->window, 1 << 20), 0, "copy") &&
		 returns(t->ops->copy(t->b, first, &c), 0, "copy between") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, first), 0, "wait") &&
		 returns(copy_out(t, s, t->window + (1 << 20), c.dst, 1 << 20), 0, "copy") &&
		 returns(wait_for(t, VGPU_SYNC_DEVICE, NULL), 0, "wait");
	ok(passed && memcmp(t->window, t->window + (1 << 20), 1 << 20) == 0,
	   "a copy from one GPU to another");
	ok(mix_agrees(t, s, k, 12345) && mix_agrees(t, NULL, k, 54321), "a kernel on the second");
	fill_bytes(bytes, sizeof(bytes));
	passed = returns(t->ops->write(t->b, s, c.src + 3, bytes, sizeof(bytes)), 0, "write") &&
		 returns(wait_for(t, VGPU_SYNC_STREAM, s), 0, "wait") &&
		 returns(read_now(t, s, c.src + 3, got, sizeof(got)), 0, "read");
	ok(passed && memcmp(bytes, got, sizeof(got)) == 0, "a write into the other GPU's memory");
	passed =
		returns(t->ops->device_set(t->b, 0), 0, "device_set") && mix_agrees(t, NULL, k, 99);
	ok(passed, "and back to the first");
	t->ops->stream_destroy(t->b, s);
	t->ops->stream_destroy(t->b, first);
	t->ops->free(t->b, c.src);
	t->ops->free(t->b, c.dst);
	t->ops->module_unload(t->b, m);
}

void check_devices(struct gpu_test *t)
{
	struct vgpu_device_info i = { 0 }, none;
	bool passed = returns(t->ops->device_info(t->b, 0, &i), 0, "device_info");

	passed = passed && i.devices >= 1 && i.memory_total && i.warp_size == 32 &&
		 i.threads_per_block >= 512 && i.multiprocessors && i.block_max[0] &&
		 i.grid_max[2] && i.name[0] && i.priority_greatest < i.priority_least &&
		 i.shared_per_block >= 48u << 10;
	ok(passed, "device_info: %s, %u GPUs", i.name, i.devices);
	ok(returns(t->ops->device_info(t->b, i.devices, &none), CUDA_INVALID_DEVICE,
		   "device_info") &&
		   returns(t->ops->device_set(t->b, 1000), CUDA_INVALID_DEVICE, "device_set"),
	   "a GPU that is not there: cudaErrorInvalidDevice");
}

typedef int (*timed_fn)(struct gpu_test *t, void *what);

struct timed {
	struct backend_stream *stream;
	struct backend_kernel *kernel;
	uint64_t device;
};

static int time_launch(struct gpu_test *t, void *what)
{
	struct timed *w = what;

	return launch(t, w->stream, w->kernel, 1, 32, NULL, 0);
}

static int time_launch_wait(struct gpu_test *t, void *what)
{
	int rc = time_launch(t, what);

	return rc ? rc : wait_for(t, VGPU_SYNC_STREAM, ((struct timed *)what)->stream);
}

static int time_write_wait(struct gpu_test *t, void *what)
{
	struct timed *w = what;
	uint32_t word = 1;
	int rc = t->ops->write(t->b, w->stream, w->device, &word, 4);

	return rc ? rc : wait_for(t, VGPU_SYNC_STREAM, w->stream);
}

static int time_write_many_wait(struct gpu_test *t, void *what)
{
	struct timed *w = what;
	uint8_t bytes[VGPU_WRITE_MAX] = { 0 };
	int rc = t->ops->write(t->b, w->stream, w->device, bytes, sizeof(bytes));

	return rc ? rc : wait_for(t, VGPU_SYNC_STREAM, w->stream);
}

static int time_copy_wait(struct gpu_test *t, void *what)
{
	struct timed *w = what;
	int rc = copy_in(t, w->stream, w->device, t->window, 4);

	return rc ? rc : wait_for(t, VGPU_SYNC_STREAM, w->stream);
}

static int time_read(struct gpu_test *t, void *what)
{
	struct timed *w = what;
	uint32_t word;

	return read_now(t, w->stream, w->device, &word, 4);
}

static void time_one(struct gpu_test *t, struct timed *w, const char *name, timed_fn fn)
{
	enum {
		TIMES = 5000
	};
	uint64_t start;
	int rc = 0;

	for (int i = 0; i < 200 && rc == 0; i++)
		rc = fn(t, w);
	wait_for(t, VGPU_SYNC_STREAM, w->stream);
	start = clock_us();
	for (int i = 0; i < TIMES && rc == 0; i++)
		rc = fn(t, w);
	printf("# %-28s %.2f us%s\n", name, (double)(clock_us() - start) / TIMES,
	       rc ? " (failed)" : "");
	wait_for(t, VGPU_SYNC_STREAM, w->stream);
}

void time_work(struct gpu_test *t)
{
	struct backend_module *m = load(t, kernels_ptx, (size_t)(kernels_ptx_end - kernels_ptx));
	struct timed w = { .kernel = kernel(t, m, "nothing") };

	if (t->ops->stream_create(t->b, VGPU_STREAM_NON_BLOCKING, 0, &w.stream) ||
	    t->ops->alloc(t->b, 4096, &w.device))
		return;
	time_one(t, &w, "launch", time_launch);
	time_one(t, &w, "launch, wait", time_launch_wait);
	time_one(t, &w, "write 4 bytes, wait", time_write_wait);
	time_one(t, &w, "write 80 bytes, wait", time_write_many_wait);
	time_one(t, &w, "copy 4 bytes in, wait", time_copy_wait);
	time_one(t, &w, "read 4 bytes", time_read);
	t->ops->stream_destroy(t->b, w.stream);
	t->ops->free(t->b, w.device);
	t->ops->module_unload(t->b, m);
}

void check_fault(struct gpu_test *t)
{
	struct backend_module *m = load(t, kernels_ptx, (size_t)(kernels_ptx_end - kernels_ptx));
	uint64_t total, free_bytes;
	int rc;

	rc = launch(t, NULL, kernel(t, m, "fault"), 1, 1, NULL, 0);
	if (rc == 0)
		rc = wait_for(t, VGPU_SYNC_DEVICE, NULL);
	ok(rc == 700, "an illegal address: %d", rc);
	ok(t->ops->memory(t->b, &total, &free_bytes) != 0,
	   "memory() tells that the context is gone");
}
