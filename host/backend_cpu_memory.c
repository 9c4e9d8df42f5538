// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Device memory is this process's own, and its addresses are too: so every address is looked up
 * again when it is used, which may be long after it was checked.
 */
#include "backend_cpu.h"

#include <string.h>
#include <sys/mman.h>

#include "../common/checked.h"
#include "../common/errors.h"
#include "../common/shm.h"

int cpu_alloc(struct backend *b, uint64_t bytes, uint64_t *address)
{
	void *at;
	int rc;

	if (b->fault)
		return b->fault;
	if (!checked_range(b->memory_used, bytes, b->memory_total))
		return CPU_OUT_OF_MEMORY;
	rc = allocations_reserve(&b->memory);
	if (rc)
		return rc;
	/* From the kernel, not the heap: what was there before is nobody's business. */
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		  -1, 0);
	if (at == MAP_FAILED)
		return CPU_OUT_OF_MEMORY;
	allocations_add(&b->memory, (uintptr_t)at, bytes);
	b->memory_used += bytes;
	*address = (uintptr_t)at;
	return 0;
}

int cpu_free(struct backend *b, uint64_t address)
{
	struct backend_fence *all;
	uint64_t bytes;
	int rc = cpu_fence(b, VGPU_SYNC_DEVICE, NULL, &all);

	if (rc == 0) {
		cpu_wait(b, all);
		cpu_point_put(all);
	}
	bytes = allocations_remove(&b->memory, address);
	if (!bytes)
		return CPU_INVALID_VALUE;
	munmap((void *)(uintptr_t)address, bytes);
	b->memory_used -= bytes;
	return b->fault;
}

void cpu_memory_dispose(struct backend *b)
{
	for (uint32_t i = 0; i < b->memory.count; i++)
		munmap((void *)(uintptr_t)b->memory.at[i].start, b->memory.at[i].bytes);
	allocations_dispose(&b->memory);
}

static bool have_rows(struct backend *b, uint64_t at, uint64_t pitch, uint64_t width,
		      uint64_t height)
{
	return allocations_have(&b->memory, at, pitch * (height - 1) + width);
}

int cpu_do_copy(struct backend *b, const struct backend_copy *c)
{
	if (c->kind != VGPU_COPY_TO_DEVICE &&
	    !have_rows(b, c->src, c->src_pitch, c->width, c->height))
		return CPU_ILLEGAL_ADDRESS;
	if (c->kind != VGPU_COPY_FROM_DEVICE &&
	    !have_rows(b, c->dst, c->dst_pitch, c->width, c->height))
		return CPU_ILLEGAL_ADDRESS;
	for (uint64_t row = 0; row < c->height; row++) {
		void *dst = (void *)(uintptr_t)(c->dst + row * c->dst_pitch);
		const void *src = (const void *)(uintptr_t)(c->src + row * c->src_pitch);

		if (c->kind == VGPU_COPY_TO_DEVICE)
			shm_read_bytes(dst, src, c->width);
		else if (c->kind == VGPU_COPY_FROM_DEVICE)
			shm_write_bytes(dst, src, c->width);
		else
			memmove(dst, src, c->width);
	}
	return 0;
}

static void set_row(void *at, const struct backend_memset *m)
{
	uint16_t *halves = at;
	uint32_t *words = at;

	if (m->element == 1)
		memset(at, (int)(m->value & 0xff), m->width);
	for (uint64_t i = 0; m->element == 2 && i < m->width; i++)
		halves[i] = (uint16_t)m->value;
	for (uint64_t i = 0; m->element == 4 && i < m->width; i++)
		words[i] = m->value;
}

int cpu_do_memset(struct backend *b, const struct backend_memset *m)
{
	if (!have_rows(b, m->dst, m->pitch, m->width * m->element, m->height))
		return CPU_ILLEGAL_ADDRESS;
	for (uint64_t row = 0; row < m->height; row++)
		set_row((void *)(uintptr_t)(m->dst + row * m->pitch), m);
	return 0;
}

int cpu_do_write(struct backend *b, uint64_t dst, const void *data, uint32_t bytes)
{
	if (!allocations_have(&b->memory, dst, bytes))
		return CPU_ILLEGAL_ADDRESS;
	memcpy((void *)(uintptr_t)dst, data, bytes);
	return 0;
}

int cpu_do_read(struct backend *b, const struct cpu_read *r, struct backend_fence *point)
{
	if (!allocations_have(&b->memory, r->src, r->bytes))
		return CPU_ILLEGAL_ADDRESS;
	memcpy(point->data, (const void *)(uintptr_t)r->src, r->bytes);
	point->bytes = r->bytes;
	return 0;
}

int cpu_memset(struct backend *b, struct backend_stream *s, const struct backend_memset *m)
{
	const struct cpu_op op = { .kind = CPU_MEMSET, .stream = cpu_stream(b, s), .set = *m };

	return cpu_submit(b, &op);
}

int cpu_copy(struct backend *b, struct backend_stream *s, const struct backend_copy *c)
{
	const struct cpu_op op = { .kind = CPU_COPY, .stream = cpu_stream(b, s), .copy = *c };

	return cpu_submit(b, &op);
}

int cpu_write(struct backend *b, struct backend_stream *s, uint64_t dst, const void *data,
	      uint32_t bytes)
{
	const struct cpu_op op = {
		.kind = CPU_WRITE,
		.stream = cpu_stream(b, s),
		.dst = dst,
		.data = data,
		.bytes = bytes,
	};

	return cpu_submit(b, &op);
}

int cpu_read(struct backend *b, struct backend_stream *stream, uint64_t src, uint32_t bytes,
	     struct backend_fence **out)
{
	struct cpu_op op = {
		.kind = CPU_READ,
		.stream = cpu_stream(b, stream),
		.read = { .src = src, .bytes = bytes },
	};

	if (b->fault)
		return b->fault;
	/* CUDA makes no difference here between a stream that captures and the default one. */
	return cpu_may_wait(b, op.stream) ? CPU_CAPTURE_UNSUPPORTED : cpu_submit_point(b, &op, out);
}
