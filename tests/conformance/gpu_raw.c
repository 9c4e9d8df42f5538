// SPDX-License-Identifier: GPL-2.0-or-later
/* Raw requests for GPU work, which the library would not send: the host refuses them all. */
#include "gpu.h"

#include <string.h>

#include <vgpu/vgpu_gpu.h>

#define BYTES 4096u

/* Whatever comes of it, the channel answers the next call. */
static int raw(struct vgpu *g, uint32_t cmd, const void *args, size_t bytes)
{
	int rc = vgpu_call(g, cmd, args, bytes, NULL, NULL, NULL);

	return vgpu_nop(g) == 0 ? rc : VGPU_EIO;
}

/* A handle with an allocation of BYTES that the library knows nothing of. */
static void open_raw(struct vgpu **g, uint64_t *address)
{
	struct vgpu_alloc_args args = { .bytes = BYTES };
	struct vgpu_alloc_reply got;
	uint8_t reply[48];

	EXPECT(0, test_open(g));
	EXPECT_ON(*g, 0, vgpu_call(*g, VGPU_CMD_ALLOC, &args, sizeof(args), NULL, NULL, reply));
	memcpy(&got, reply, sizeof(got));
	*address = got.address;
	CHECK(*address && *address % 256 == 0);
}

static void device_ranges(void)
{
	auto_close g = NULL;
	uint64_t p;

	HELPED(open_raw(&g, &p));
	const uint64_t bad[] = { 0,          p - 1,          p + BYTES - 7, p + BYTES,
				 1ull << 63, UINT64_MAX - 7, UINT64_MAX };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vgpu_memset_args m = { .dst = bad[i], .width = 8, .height = 1, .element = 1 };
		struct vgpu_copy_args c = { bad[i], 0, 0, 0, 8, 1, VGPU_COPY_TO_DEVICE, 0 };
		struct vgpu_write_args w = { .dst = bad[i], .bytes = 8 };
		struct vgpu_read_args r = { .src = bad[i], .bytes = 8 };
		struct vgpu_free_args f = { .address = bad[i] };

		EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_MEMSET, &m, sizeof(m)));
		EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_COPY, &c, sizeof(c)));
		c = (struct vgpu_copy_args){ 0, bad[i], 0, 0, 8, 1, VGPU_COPY_FROM_DEVICE, 0 };
		EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_COPY, &c, sizeof(c)));
		c = (struct vgpu_copy_args){ p, bad[i], 0, 0, 8, 1, VGPU_COPY_ON_DEVICE, 0 };
		EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_COPY, &c, sizeof(c)));
		EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_WRITE, &w, sizeof(w)));
		EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_READ, &r, sizeof(r)));
		EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_FREE, &f, sizeof(f)));
	}
	EXPECT(0, raw(g, VGPU_CMD_FREE, &p, sizeof(p)));
	EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_FREE, &p, sizeof(p)));
}

static void window_ranges(void)
{
	struct vgpu_status s;
	auto_close g = NULL;
	uint64_t p;

	HELPED(open_raw(&g, &p));
	EXPECT_ON(g, 0, vgpu_query_status(g, &s));
	const uint64_t bad[] = { s.window_bytes - 7, s.window_bytes, 1ull << 48,
				 1ull << 63,         UINT64_MAX - 7, UINT64_MAX };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct vgpu_copy_args c = { p, bad[i], 0, 0, 8, 1, VGPU_COPY_TO_DEVICE, 0 };

		EXPECT(VGPU_ERANGE, raw(g, VGPU_CMD_COPY, &c, sizeof(c)));
		c = (struct vgpu_copy_args){ bad[i], p, 0, 0, 8, 1, VGPU_COPY_FROM_DEVICE, 0 };
		EXPECT(VGPU_ERANGE, raw(g, VGPU_CMD_COPY, &c, sizeof(c)));
	}
	struct vgpu_copy_args last = { p, s.window_bytes - 8, 0, 0, 8, 1, VGPU_COPY_TO_DEVICE, 0 };

	EXPECT(0, raw(g, VGPU_CMD_COPY, &last, sizeof(last)));
}

static void rectangles(void)
{
	const uint64_t overflow = UINT64_MAX / 4 + 1;
	auto_close g = NULL;
	uint64_t p;

	HELPED(open_raw(&g, &p));
	const struct {
		struct vgpu_copy_args c;
		int wanted;
	} bad[] = {
		{ { p, 0, 7, 8, 8, 2, VGPU_COPY_TO_DEVICE, 0 }, CUDA_INVALID_PITCH },
		{ { p, 0, 8, 7, 8, 2, VGPU_COPY_TO_DEVICE, 0 }, CUDA_INVALID_PITCH },
		{ { p, 0, BYTES, 8, 8, 2, VGPU_COPY_TO_DEVICE, 0 }, CUDA_INVALID_VALUE },
		{ { p, 0, overflow, 8, 8, 5, VGPU_COPY_TO_DEVICE, 0 }, CUDA_INVALID_VALUE },
		{ { p, 0, 8, overflow, 8, 5, VGPU_COPY_TO_DEVICE, 0 }, VGPU_ERANGE },
		{ { p, 0, 0, 0, UINT64_MAX, 1, VGPU_COPY_TO_DEVICE, 0 }, VGPU_ERANGE },
		{ { p, 0, 8, 8, 8, UINT64_MAX, VGPU_COPY_TO_DEVICE, 0 }, VGPU_ERANGE },
		{ { p, 0, 0, 0, 0, 1, VGPU_COPY_TO_DEVICE, 0 }, VGPU_EINVAL },
		{ { p, 0, 0, 0, 8, 0, VGPU_COPY_TO_DEVICE, 0 }, VGPU_EINVAL },
		{ { p, 0, 8, 0, 8, 1, VGPU_COPY_TO_DEVICE, 0 }, VGPU_EINVAL },
		{ { p, 0, 0, 0, 8, 1, 0, 0 }, VGPU_EINVAL },
		{ { p, 0, 0, 0, 8, 1, 4, 0 }, VGPU_EINVAL },
		{ { p, 0, 0, 0, 8, 1, UINT32_MAX, 0 }, VGPU_EINVAL },
		{ { p, 0, 0, 0, 8, 1, VGPU_COPY_TO_DEVICE, 77 }, CUDA_INVALID_HANDLE },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = raw(g, VGPU_CMD_COPY, &bad[i].c, sizeof(bad[i].c));

		CHECK(rc == bad[i].wanted, "(%zu: %s)", i, vgpu_strerrorname(rc));
	}
}

static void fields(void)
{
	auto_close g = NULL;
	uint64_t p;

	HELPED(open_raw(&g, &p));
	const uint32_t elements[] = { 0, 3, 5, 8, UINT32_MAX };
	struct vgpu_memset_args m = { .dst = p + 2, .width = 1, .height = 1, .element = 4 };
	struct vgpu_write_args w = { .dst = p, .bytes = VGPU_WRITE_MAX + 1 };
	struct vgpu_read_args r = { .src = p, .bytes = VGPU_READ_MAX + 1 };

	EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_MEMSET, &m, sizeof(m))); /* not aligned */
	m = (struct vgpu_memset_args){ .dst = p, .pitch = 4, .width = 2, .height = 2, .element = 4 };
	EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_MEMSET, &m, sizeof(m))); /* rows overlap */
	m = (struct vgpu_memset_args){ .dst = p, .width = 1, .height = 1 };
	for (size_t i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		m.element = elements[i];
		EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_MEMSET, &m, sizeof(m)));
	}
	m.element = 4;
	m.width = UINT64_MAX / 2;
	EXPECT(CUDA_INVALID_VALUE, raw(g, VGPU_CMD_MEMSET, &m, sizeof(m)));
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_WRITE, &w, sizeof(w)));
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_READ, &r, sizeof(r)));
	w.bytes = r.bytes = 0;
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_WRITE, &w, sizeof(w)));
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_READ, &r, sizeof(r)));
	w.bytes = 4;
	w.data[4] = 1; /* behind the bytes */
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_WRITE, &w, sizeof(w)));
}

static void handles(void)
{
	struct vgpu_stream_create_args s = { .stream = 0x0001ea60 };
	struct vgpu_event_create_args e = { .event = 0x00010005 };
	struct vgpu_event_args record = { .event = 0x00020005 };
	struct vgpu_host_func_args f = { .number = 7 };
	struct vgpu_sync_args sync = { .kind = 4 };
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	CHECK(raw(g, VGPU_CMD_STREAM_CREATE, &(struct vgpu_stream_create_args){ 0 }, sizeof(s)));
	s.stream = 0x10000; /* place 0 */
	CHECK(raw(g, VGPU_CMD_STREAM_CREATE, &s, sizeof(s)) != 0);
	EXPECT(0, raw(g, VGPU_CMD_EVENT_CREATE, &e, sizeof(e)));
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_EVENT_CREATE, &e, sizeof(e)));
	e.event = record.event; /* the same place, another generation */
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_EVENT_CREATE, &e, sizeof(e)));
	EXPECT(CUDA_INVALID_HANDLE, raw(g, VGPU_CMD_EVENT_RECORD, &record, sizeof(record)));
	EXPECT(CUDA_INVALID_HANDLE, raw(g, VGPU_CMD_EVENT_DESTROY, &record, sizeof(record)));
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_HOST_FUNC, &f, sizeof(f)));
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_HOST_FUNC_DONE, &f, sizeof(f)));
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_SYNCHRONIZE, &sync, sizeof(sync)));
	sync = (struct vgpu_sync_args){ VGPU_SYNC_DEVICE, 1 };
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_SYNCHRONIZE, &sync, sizeof(sync)));
}

static int piece(struct vgpu *g, uint32_t module, uint64_t offset, uint64_t total)
{
	struct vgpu_module_data_args args = { module, 0, offset, total };
	uint8_t data[64] = { 'x' };
	size_t n = sizeof(data);

	return vgpu_call(g, VGPU_CMD_MODULE_DATA, &args, sizeof(args), data, &n, NULL);
}

static void pieces_of_modules(void)
{
	struct vgpu_module_args m = { .module = 0x00010009 };
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	EXPECT(CUDA_INVALID_HANDLE, raw(g, VGPU_CMD_MODULE_LOAD, &m, sizeof(m)));
	EXPECT_ON(g, VGPU_ETOOBIG, piece(g, m.module, 0, VGPU_MODULE_BYTES_MAX + 1));
	EXPECT_ON(g, VGPU_ETOOBIG, piece(g, m.module, 0, UINT64_MAX));
	EXPECT_ON(g, VGPU_EINVAL, piece(g, m.module, 0, 63));
	EXPECT_ON(g, CUDA_INVALID_HANDLE, piece(g, m.module, 64, 256));
	EXPECT_ON(g, 0, piece(g, m.module, 0, 256));
	EXPECT_ON(g, VGPU_EINVAL, piece(g, m.module, 0, 256));
	EXPECT_ON(g, VGPU_EINVAL, piece(g, m.module, 128, 256)); /* a gap */
	EXPECT_ON(g, VGPU_EINVAL, piece(g, m.module, 64, 320));  /* another total */
	EXPECT_ON(g, VGPU_EINVAL, piece(g, m.module, UINT64_MAX - 63, 256));
	EXPECT(VGPU_EINVAL, raw(g, VGPU_CMD_MODULE_LOAD, &m, sizeof(m))); /* not all of it */
	EXPECT(0, raw(g, VGPU_CMD_MODULE_UNLOAD, &m, sizeof(m)));
	EXPECT(CUDA_INVALID_HANDLE, raw(g, VGPU_CMD_MODULE_UNLOAD, &m, sizeof(m)));
}

/* Any bytes as arguments, except where they could mean a lot of memory or a wait for ever. */
static void random_arguments(void)
{
	auto_close g = NULL;

	EXPECT(0, test_open(&g));
	for (int i = test_rounds(3000); i > 0; i--) {
		uint32_t cmd = VGPU_CMD_DEVICE_INFO + (uint32_t)test_random() % 29;
		uint8_t args[104];

		if (cmd == VGPU_CMD_ALLOC || cmd == VGPU_CMD_HOST_FUNC)
			continue;
		for (size_t k = 0; k < sizeof(args); k++)
			args[k] = test_random() % 6 ? 0 : (uint8_t)test_random();
		vgpu_call(g, cmd, args, sizeof(args), NULL, NULL, NULL);
		EXPECT(0, vgpu_nop(g));
	}
	EXPECT_ON(g, 0, vgpu_vector_add_self_test(g, NULL));
}

const struct test_case gpu_raw_tests[] = {
	{ "raw work outside of device memory", device_ranges },
	{ "raw copies outside of the window", window_ranges },
	{ "raw rectangles and kinds of copies", rectangles },
	{ "raw fields out of their range", fields },
	{ "raw handles, twice and stale", handles },
	{ "raw pieces of modules", pieces_of_modules },
	{ "raw GPU work with random arguments", random_arguments },
	{ NULL, NULL },
};
