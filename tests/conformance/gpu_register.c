// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory of the program's own that the GPU copies from and to: registered, used, given back. */
#include "gpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Whole pages of random bytes, for free(). */
static uint8_t *random_pages(size_t bytes)
{
	uint8_t *p = aligned_alloc(page(), bytes);

	if (p)
		fill_random(p, bytes);
	return p;
}

/* Whole pages of which the window has several times as many. */
static size_t some_bytes(struct vgpu *g)
{
	size_t most = test_bytes(64 << 10, 1 << 20);
	struct vgpu_status s;

	if (vgpu_query_status(g, &s) == 0 && s.window_bytes / 8 < most)
		most = s.window_bytes / 8;
	return most < page() ? page() : most / page() * page();
}

/* Register memory, or, where the transport cannot, see that it says so, and skip. With HELPED(). */
static void registered(struct vgpu *g, void *p, size_t bytes)
{
	int rc = vgpu_host_register(g, p, bytes);

	if (rc == VGPU_ENOTSUP) {
		CHECK(strstr(vgpu_last_error(g), "cannot be mapped a second time"), "(\"%s\")",
		      vgpu_last_error(g));
		CHECK(vgpu_host_unregister(g, p) == CUDA_NOT_REGISTERED);
		test_skipped("this transport's pages cannot be mapped twice");
		return;
	}
	EXPECT_ON(g, 0, rc);
}

/* In a forked child: are all pages there? */
static bool mapped(void *p, size_t bytes)
{
	return msync(p, bytes, MS_ASYNC) == 0;
}

static int status_of(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void one_registration(struct vgpu *g, uint8_t *p, const uint8_t *before, size_t n)
{
	auto_free uint8_t *back = malloc(n), *after = random_bytes(n);
	vgpu_devptr d;

	CHECK(back && after);
	EXPECT_ON(g, 0, vgpu_malloc(g, &d, n));
	CHECK(memcmp(p, before, n) == 0, "(%zu bytes, registered)", n);
	EXPECT_ON(g, 0, vgpu_copy_to_device(g, d, p, n));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, back, d, n));
	CHECK(memcmp(back, before, n) == 0, "(%zu bytes, to the device)", n);
	EXPECT_ON(g, 0, vgpu_copy_to_device(g, d, after, n));
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, p, d, n));
	CHECK(memcmp(p, after, n) == 0, "(%zu bytes, from the device)", n);
	EXPECT_ON(g, 0, vgpu_host_unregister(g, p));
	CHECK(memcmp(p, after, n) == 0, "(%zu bytes, unregistered)", n);
	EXPECT_ON(g, 0, vgpu_free(g, d));
}

static void contents(void)
{
	auto_free uint8_t *p = random_pages(1 << 20), *before = malloc(1 << 20);
	auto_close g = NULL;
	size_t most;

	CHECK(p && before);
	EXPECT(0, test_open(&g));
	most = some_bytes(g) / page();
	for (int i = test_rounds(40); i > 0; i--) {
		size_t n = (1 + test_random() % most) * page();

		memcpy(before, p, n);
		HELPED(registered(g, p, n));
		HELPED(one_registration(g, p, before, n));
	}
}

static void hold(void *open)
{
	while (!__atomic_load_n((int *)open, __ATOMIC_ACQUIRE))
		usleep(100);
}

/* A copy that has not begun takes what is there when it does: nobody has copied before. */
static void no_detour(void)
{
	auto_free uint8_t *p = random_pages(1 << 20), *q = random_pages(1 << 20);
	auto_free uint8_t *late = random_bytes(1 << 20);
	int gate = 0, rcs[3];
	auto_close g = NULL;
	vgpu_stream s;
	vgpu_devptr d;
	size_t n, at;

	CHECK(p && q && late);
	EXPECT(0, test_open(&g));
	n = some_bytes(g);
	at = n / 3;
	HELPED(registered(g, p, n));
	HELPED(registered(g, q, n));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &s, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_malloc(g, &d, n));
	rcs[0] = vgpu_launch_host_func(g, s, hold, &gate);
	rcs[1] = vgpu_copy_to_device_async(g, d, p + at, n - at, s);
	memcpy(p + at, late, n - at);
	__atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
	EXPECT_ON(g, 0, vgpu_stream_synchronize(g, s));
	CHECK(!rcs[0] && !rcs[1], "(%d, %d)", rcs[0], rcs[1]);
	EXPECT_ON(g, 0, vgpu_copy_from_device(g, q + at, d, n - at));
	CHECK(memcmp(q + at, late, n - at) == 0, "(to the device)");

	gate = 0;
	memset(q, POISON, n);
	rcs[0] = vgpu_launch_host_func(g, s, hold, &gate);
	rcs[1] = vgpu_copy_from_device_async(g, q + at, d, n - at, s);
	rcs[2] = bytes_are(q, POISON, n);
	__atomic_store_n(&gate, 1, __ATOMIC_RELEASE);
	EXPECT_ON(g, 0, vgpu_stream_synchronize(g, s));
	CHECK(!rcs[0] && !rcs[1] && rcs[2], "(%d, %d, %d)", rcs[0], rcs[1], rcs[2]);
	CHECK(memcmp(q + at, late, n - at) == 0 && bytes_are(q, POISON, at), "(from the device)");
	EXPECT_ON(g, 0, vgpu_host_unregister(g, p));
	EXPECT_ON(g, 0, vgpu_host_unregister(g, q));
}

static void kernels_between(void)
{
	auto_free uint32_t *p = (uint32_t *)random_pages(1 << 20), *was = malloc(1 << 20);
	struct kernels k;
	auto_close g = NULL;
	vgpu_devptr d;
	size_t n;

	CHECK(p && was);
	HELPED(open_with_kernels(&g, &k));
	n = some_bytes(g);
	memcpy(was, p, n);
	HELPED(registered(g, p, n));
	EXPECT_ON(g, 0, vgpu_malloc(g, &d, n));
	for (uint32_t i = 0; i < 3; i++) {
		EXPECT(0, vgpu_copy_to_device_async(g, d, p, n, 0));
		EXPECT(0, add_one(g, &k, 0, d, n / 4));
		EXPECT(0, vgpu_copy_from_device_async(g, p, d, n, 0));
	}
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	for (size_t i = 0; i < n / 4; i++)
		CHECK(p[i] == was[i] + 3, "(word %zu)", i);
	EXPECT_ON(g, 0, vgpu_host_unregister(g, p));
}

/* What is under way comes to its end first. */
static void unregister_waits(void)
{
	auto_free uint8_t *p = random_pages(1 << 20);
	struct kernels k;
	auto_close g = NULL;
	vgpu_stream s;
	vgpu_devptr d;
	size_t n;

	CHECK(p);
	HELPED(open_with_kernels(&g, &k));
	n = some_bytes(g);
	EXPECT_ON(g, 0, vgpu_malloc(g, &d, n));
	EXPECT_ON(g, 0, vgpu_stream_create(g, &s, VGPU_STREAM_NONBLOCKING, 0));
	EXPECT_ON(g, 0, vgpu_memset(g, d, POISON, n));
	EXPECT_ON(g, 0, vgpu_synchronize(g));
	HELPED(registered(g, p, n));
	EXPECT(0, spin(g, &k, s, 50));
	EXPECT(0, vgpu_copy_from_device_async(g, p, d, n, s));
	EXPECT_ON(g, 0, vgpu_host_unregister(g, p));
	CHECK(bytes_are(p, POISON, n));
}

static void close_gives_back(void)
{
	const size_t n = 4 * page();
	auto_free uint8_t *p = random_pages(n), *was = random_bytes(n);
	auto_close g = NULL;
	pid_t pid;

	CHECK(p && was);
	for (int i = 0; i < 3; i++) {
		EXPECT(0, test_open(&g));
		HELPED(registered(g, p, page()));
		HELPED(registered(g, p + 2 * page(), 2 * page()));
		memcpy(p, was, n);
		close_handle(&g);
		CHECK(memcmp(p, was, n) == 0);
	}
	pid = fork(); /* private again: the child has a copy of its own */
	if (pid == 0) {
		bool same = mapped(p, n) && memcmp(p, was, n) == 0;

		memset(p, POISON, n);
		_exit(!same);
	}
	CHECK(pid > 0 && status_of(pid) == 0);
	CHECK(memcmp(p, was, n) == 0, "(a child wrote there)");
}

static void not_for_children(void)
{
	const size_t n = 3 * page();
	auto_free uint8_t *p = random_pages(n), *was = malloc(n);
	auto_close g = NULL;
	pid_t pid;
	int seen;

	CHECK(p && was);
	memcpy(was, p, n);
	EXPECT(0, test_open(&g));
	HELPED(registered(g, p + page(), page()));
	pid = fork();
	if (pid == 0) {
		int bad = 0;

		bad |= (vgpu_host_register(g, p, page()) != VGPU_EFORKED) << 0;
		bad |= (vgpu_host_unregister(g, p + page()) != VGPU_EFORKED) << 1;
		bad |= !mapped(p, page()) << 2;
		bad |= mapped(p + page(), page()) << 3;
		bad |= !mapped(p + 2 * page(), page()) << 4;
		vgpu_close(g);
		_exit(bad);
	}
	CHECK(pid > 0);
	seen = status_of(pid);
	CHECK(seen == 0, "(child: %#x)", (unsigned int)seen);
	EXPECT_ON(g, 0, vgpu_host_unregister(g, p + page()));
	CHECK(memcmp(p, was, n) == 0);
}

/* A copy is inside or outside, as with all memory of the window. */
static void across(struct vgpu *g, uint8_t *p, vgpu_devptr d)
{
	const size_t n = page();

	EXPECT_ON(g, 0, vgpu_copy_to_device(g, d, p, n));
	EXPECT_ON(g, 0, vgpu_copy_to_device(g, d, p + n, n));
	EXPECT_ON(g, 0, vgpu_copy_to_device(g, d, p + 3 * n, n));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_copy_to_device(g, d, p, n + 1));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_copy_to_device(g, d, p + 2 * n - 1, 2));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_copy_to_device(g, d, p + 3 * n - 1, 2));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_copy_to_device(g, d, p, 4 * n));
}

/* Pieces of one arena, in any order: what is in it stays. */
static void pieces(void)
{
	enum {
		PIECES = 8
	};
	const size_t n = PIECES * page();
	auto_free uint8_t *p = random_pages(n), *was = malloc(n);
	bool in[PIECES] = { false };
	auto_close g = NULL;
	vgpu_devptr d;

	CHECK(p && was);
	EXPECT(0, test_open(&g));
	EXPECT_ON(g, 0, vgpu_malloc(g, &d, n));
	for (int i = test_rounds(300); i > 0; i--) {
		size_t k = test_random() % PIECES, at = k * page() + test_random() % page();

		p[at]++;
		memcpy(was, p, n);
		if (in[k])
			EXPECT_ON(g, 0, vgpu_host_unregister(g, p + k * page()));
		else
			HELPED(registered(g, p + k * page(), page()));
		in[k] = !in[k];
		CHECK(memcmp(p, was, n) == 0, "(piece %zu)", k);
	}
	for (size_t k = 0; k < PIECES; k++)
		if (in[k])
			EXPECT_ON(g, 0, vgpu_host_unregister(g, p + k * page()));
	EXPECT_ON(g, 0, vgpu_host_register(g, p + page(), page()));
	EXPECT_ON(g, 0, vgpu_host_register(g, p + 2 * page(), page()));
	HELPED(across(g, p, d));
}

static void until_full(void)
{
	struct vgpu_options o = test_options();
	auto_free uint8_t *p = NULL, *was = NULL;
	auto_close g = NULL;
	struct vgpu_status s;
	size_t n, done = 0;
	int rc = 0;

	o.window_bytes = 1 << 20;
	EXPECT(0, vgpu_open(&g, &o));
	EXPECT_ON(g, 0, vgpu_query_status(g, &s));
	n = s.window_bytes / 16 / page() * page() + page();
	p = random_pages(20 * n);
	was = malloc(20 * n);
	CHECK(p && was);
	memcpy(was, p, 20 * n);
	HELPED(registered(g, p, n));
	while (rc == 0 && ++done < 20)
		rc = vgpu_host_register(g, p + done * n, n);
	CHECK(rc == CUDA_OUT_OF_MEMORY && strstr(vgpu_last_error(g), "window_bytes"), "(%s: %s)",
	      vgpu_strerrorname(rc), vgpu_last_error(g));
	EXPECT_ON(g, CUDA_OUT_OF_MEMORY, vgpu_host_register(g, p + done * n, 2 * n));
	EXPECT_ON(g, 0, vgpu_vector_add_self_test(g, NULL)); /* there is room for the library */
	while (done--)
		EXPECT_ON(g, 0, vgpu_host_unregister(g, p + done * n));
	CHECK(memcmp(p, was, 20 * n) == 0);
	EXPECT_ON(g, 0, vgpu_host_register(g, p, 8 * n)); /* all of it came back */
}

static void refused(struct vgpu *g, int wanted, void *p, size_t bytes, const char *text)
{
	EXPECT_ON(g, wanted, vgpu_host_register(g, p, bytes));
	CHECK(strstr(vgpu_last_error(g), text), "(\"%s\", not \"%s\")", vgpu_last_error(g), text);
}

static void malformed_ranges(void)
{
	const size_t n = page();
	auto_free uint8_t *p = random_pages(4 * n), *was = malloc(4 * n);
	uint8_t *high = (uint8_t *)(UINTPTR_MAX - n + 1);
	auto_close g = NULL;

	CHECK(p && was);
	memcpy(was, p, 4 * n);
	EXPECT(0, test_open(&g));
	HELPED(registered(g, p, n));
	EXPECT_ON(g, 0, vgpu_host_unregister(g, p));
	HELPED(refused(g, CUDA_INVALID_VALUE, NULL, n, "no memory"));
	HELPED(refused(g, CUDA_INVALID_VALUE, p, 0, "no memory"));
	HELPED(refused(g, CUDA_INVALID_VALUE, high, n, "no memory"));
	HELPED(refused(g, CUDA_INVALID_VALUE, high, 2 * n, "no memory"));
	HELPED(refused(g, CUDA_INVALID_VALUE, p, SIZE_MAX - n + 1, "no memory"));
	HELPED(refused(g, CUDA_INVALID_VALUE, p + 1, n, "whole pages"));
	HELPED(refused(g, CUDA_INVALID_VALUE, p + n / 2, n, "the host is to see nothing else"));
	HELPED(refused(g, CUDA_INVALID_VALUE, p, 1, "whole pages"));
	HELPED(refused(g, CUDA_INVALID_VALUE, p, n + 1, "whole pages"));
	HELPED(refused(g, CUDA_INVALID_VALUE, p, SIZE_MAX / 2, "whole pages"));
	CHECK(memcmp(p, was, 4 * n) == 0);
	EXPECT_ON(g, 0, vgpu_nop(g));
}

/*
 * Page @i of six, each of another kind; the last is ordinary. The first is a hole, which is not
 * ours to unmap again: somebody else's memory may have come there.
 */
static bool make_kinds(uint8_t *p)
{
	const int rw = PROT_READ | PROT_WRITE;
	const size_t n = page();

	return munmap(p, n) == 0 && mprotect(p + n, n, PROT_READ) == 0 &&
	       mprotect(p + 2 * n, n, PROT_NONE) == 0 &&
	       mmap(p + 3 * n, n, rw, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 3 * n &&
	       mprotect(p + 4 * n, n, rw | PROT_EXEC) == 0;
}

static void other_memory(void)
{
	static const char *const texts[] = { "is no memory", "not for reading and writing",
					     "not for reading and writing", "has to be private",
					     "not for reading and writing" };
	const size_t n = page();
	uint8_t stack[2 * 65536], *on_stack, *below, *p;
	auto_free uint8_t *probe = random_pages(n);
	auto_close g = NULL;

	CHECK(probe);
	EXPECT(0, test_open(&g));
	HELPED(registered(g, probe, n));
	/* A page below, or the hole would be the end of all the room that is free. */
	below = mmap(NULL, 7 * n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(below != MAP_FAILED);
	p = below + n;
	CHECK(make_kinds(p));
	for (size_t i = 0; i < 5; i++)
		HELPED(refused(g, CUDA_INVALID_VALUE, p + i * n, n, texts[i]));
	HELPED(refused(g, CUDA_INVALID_VALUE, p + 4 * n, 2 * n, texts[4]));
	HELPED(refused(g, CUDA_INVALID_VALUE, p, 6 * n, texts[0]));
	if (syscall(SYS_mlock, p + 5 * n, n) == 0) /* sanitizers have no mlock() */
		HELPED(refused(g, CUDA_INVALID_VALUE, p + 5 * n, n, "munlock"));
	syscall(SYS_munlock, p + 5 * n, n);
	EXPECT_ON(g, 0, vgpu_host_register(g, p + 5 * n, n));
	EXPECT_ON(g, 0, vgpu_host_unregister(g, p + 5 * n));
	munmap(below, n);
	munmap(p + n, 5 * n);
	on_stack = (uint8_t *)(((uintptr_t)stack + n - 1) / n * n);
	HELPED(refused(g, CUDA_INVALID_VALUE, on_stack, n, "[stack]"));
	EXPECT_ON(g, 0, vgpu_host_unregister(g, probe));
}

static void overlaps(void)
{
	static const struct {
		size_t first, pages;
	} bad[] = { { 2, 2 }, { 3, 1 }, { 1, 2 }, { 3, 2 }, { 0, 8 }, { 2, 1 } };
	const size_t n = page();
	auto_free uint8_t *p = random_pages(8 * n);
	auto_close g = NULL;
	auto_close other = NULL;
	uint8_t *window;

	CHECK(p);
	EXPECT(0, test_open(&g));
	HELPED(registered(g, p + 2 * n, 2 * n));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		HELPED(refused(g, CUDA_ALREADY_REGISTERED, p + bad[i].first * n, bad[i].pages * n,
			       "registered"));
	EXPECT_ON(g, 0, vgpu_host_alloc(g, (void **)&window, 2 * n));
	window = (uint8_t *)(((uintptr_t)window + n - 1) / n * n);
	HELPED(refused(g, CUDA_ALREADY_REGISTERED, window, n, "vgpu_host_alloc"));
	EXPECT_ON(g, CUDA_NOT_REGISTERED, vgpu_host_unregister(g, window));
	EXPECT_ON(g, CUDA_NOT_REGISTERED, vgpu_host_unregister(g, p));
	EXPECT_ON(g, CUDA_NOT_REGISTERED, vgpu_host_unregister(g, p + 3 * n));
	EXPECT_ON(g, CUDA_NOT_REGISTERED, vgpu_host_unregister(g, p + 2 * n + 1));
	EXPECT_ON(g, CUDA_INVALID_VALUE, vgpu_host_unregister(g, NULL));
	EXPECT_REFUSAL(vgpu_host_free(g, p + 2 * n));
	EXPECT(0, test_open(&other));
	HELPED(refused(other, CUDA_INVALID_VALUE, p + 2 * n, n, "has to be private"));
	EXPECT_ON(other, CUDA_NOT_REGISTERED, vgpu_host_unregister(other, p + 2 * n));
	EXPECT_ON(other, 0, vgpu_host_register(other, p + 4 * n, n));
	EXPECT_ON(g, 0, vgpu_host_unregister(g, p + 2 * n));
	EXPECT_ON(g, CUDA_NOT_REGISTERED, vgpu_host_unregister(g, p + 2 * n));
	EXPECT(CUDA_NOT_REGISTERED, vgpu_get_last_error(g));
	EXPECT_ON(g, 0, vgpu_vector_add_self_test(g, NULL));
}

/* A handle that is lost gives the memory back, by the call or by its end. */
static void after_a_fault(void)
{
	const struct vgpu_dim3 one = { 1, 1, 1 };
	const size_t n = page();
	auto_free uint8_t *p = random_pages(2 * n), *was = malloc(2 * n);
	struct kernels k;
	auto_close g = NULL;
	vgpu_devptr d;
	int rc = 0;

	CHECK(p && was);
	memcpy(was, p, 2 * n);
	HELPED(open_with_kernels(&g, &k));
	HELPED(registered(g, p, n));
	EXPECT_ON(g, 0, vgpu_host_register(g, p + n, n));
	EXPECT_ON(g, 0, vgpu_malloc(g, &d, n));
	EXPECT(0, vgpu_copy_to_device_async(g, d, p, n, 0));
	EXPECT(0, vgpu_launch(g, k.fault, one, one, 0, 0, NULL, 0));
	EXPECT_ON(g, CUDA_ILLEGAL_ADDRESS, vgpu_synchronize(g));
	for (int i = 0; i < 1000 && (rc = vgpu_nop(g)) != VGPU_EDEVLOST; i++)
		usleep(10000);
	EXPECT(VGPU_EDEVLOST, rc);
	EXPECT_ON(g, VGPU_EDEVLOST, vgpu_host_register(g, p, n));
	EXPECT_ON(g, 0, vgpu_host_unregister(g, p));
	EXPECT_ON(g, VGPU_EDEVLOST, vgpu_host_unregister(g, p));
	close_handle(&g);
	CHECK(memcmp(p, was, 2 * n) == 0);
}

const struct test_case gpu_register_tests[] = {
	{ "registered memory keeps its contents", contents },
	{ "registered memory is copied without a detour", no_detour },
	{ "registered memory with kernels between", kernels_between },
	{ "unregistering waits for work under way", unregister_waits },
	{ "close gives registered memory back", close_gives_back },
	{ "registered memory is not for children", not_for_children },
	{ "registered pieces of an arena", pieces },
	{ "registered memory until the window is full", until_full },
	{ "register refuses malformed ranges", malformed_ranges },
	{ "register refuses memory that is not ordinary", other_memory },
	{ "register refuses what is registered, unregister what is not", overlaps },
	{ "registered memory after a fault", after_a_fault },
	{ NULL, NULL },
};
