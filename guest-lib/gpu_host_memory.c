/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vgpu_host_alloc(), vgpu_host_register() and what undoes them. */
#include "gpu_host_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "array.h"
#include "call.h"
#include "mapping.h"
#include "../common/checked.h"
#include "../common/errors.h"
#include "../common/shm.h"

struct host_range {
	struct mapping mapping; /* in the program's place */
	struct window_block *block;
	void *own; /* private memory that takes the place again: had early, lest it cannot be had */
};

/* ---- where is it? ---- */

/* Index of the first range that starts above @at. */
static uint32_t above(const struct host_ranges *r, uintptr_t at)
{
	uint32_t low = 0, high = r->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if ((uintptr_t)r->ranges[mid]->mapping.base <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Pages of the window, as the program sees them. */
struct view {
	uintptr_t base;
	uint64_t bytes;
	uint64_t offset; /* in the window */
};

static enum host_place place_in(const struct view *v, uintptr_t at, uint64_t bytes,
				uint64_t *offset)
{
	if (at < v->base)
		return bytes > v->base - at ? HOST_ACROSS : HOST_ORDINARY;
	if (at - v->base >= v->bytes)
		return HOST_ORDINARY;
	*offset = v->offset + (at - v->base);
	return bytes <= v->bytes - (at - v->base) ? HOST_WINDOW : HOST_ACROSS;
}

static struct view view_of(const struct host_range *r)
{
	return (struct view){ (uintptr_t)r->mapping.base, r->mapping.bytes, r->block->offset };
}

enum host_place host_place(const struct vgpu *vgpu, const void *ptr, uint64_t bytes,
			   uint64_t *offset)
{
	const struct host_ranges *r = &vgpu->gpu.host_ranges;
	struct view v = { (uintptr_t)vgpu->channel.window, vgpu->channel.window_bytes, 0 };
	uintptr_t at = (uintptr_t)ptr;
	enum host_place place = place_in(&v, at, bytes, offset);
	uint32_t next = above(r, at);

	if (place == HOST_ORDINARY && next > 0) {
		v = view_of(r->ranges[next - 1]);
		place = place_in(&v, at, bytes, offset);
	}
	if (place == HOST_ORDINARY && next < r->count) {
		v = view_of(r->ranges[next]);
		place = place_in(&v, at, bytes, offset);
	}
	return place;
}

/* ---- parts of the window ---- */

struct host_alloc {
	uint64_t bytes, align;
	struct window_block *block;
};

static bool alloc_now(struct vgpu *vgpu, void *opaque)
{
	struct host_alloc *a = opaque;

	if (!a->block)
		a->block = window_alloc(&vgpu->heap, a->bytes, a->align);
	return a->block || !window_could_alloc(&vgpu->heap, a->bytes, a->align);
}

/* What calls hold of the window they give back: wait for it. No block: there is no room. */
static int alloc_block(struct call *c, uint64_t bytes, uint64_t align, struct window_block **out)
{
	struct host_alloc a = { .bytes = bytes, .align = align };
	int rc = wait_until(c->vgpu, alloc_now, &a, NULL, c->deadline_ns, &c->why);

	*out = a.block;
	return a.block ? 0 : rc;
}

int vgpu_host_alloc(struct vgpu *vgpu, void **out, size_t bytes)
{
	struct window_block *block;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = vgpu->dead;
	if (rc == 0 && !out)
		rc = GPU_ERROR_INVALID_VALUE;
	if (rc == 0)
		*out = NULL;
	if (rc == 0 && bytes) {
		rc = alloc_block(&c, bytes, WINDOW_ALIGN, &block);
		if (rc == 0 && block)
			*out = call_window(&c, block);
		else if (rc == 0)
			rc = because(&c.why, VGPU_EQUOTA,
				     "host_alloc: the window of %llu bytes has no %zu left",
				     (unsigned long long)vgpu->heap.bytes, bytes);
	}
	return call_end(&c, rc);
}

/* Memory of the window must not become another's while the GPU still copies. */
static int window_idle(struct call *c)
{
	const struct gpu *g = &c->vgpu->gpu;
	int rc;

	if (c->vgpu->dead || g->window_work <= g->synchronized)
		return 0;
	rc = call_ready(c);
	return rc ? rc : gpu_synchronize(c);
}

int vgpu_host_free(struct vgpu *vgpu, void *ptr)
{
	uint64_t offset = 0;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc || !ptr)
		return rc ? rc : call_end(&c, 0);
	offset = (uint64_t)((uintptr_t)ptr - (uintptr_t)vgpu->channel.window);
	if (!window_find(&vgpu->heap, offset))
		rc = because(&c.why, GPU_ERROR_INVALID_VALUE, "host_free: was not allocated");
	if (rc == 0)
		rc = window_idle(&c);
	if (rc == 0 || vgpu->dead)
		call_unstage(&c, window_find(&vgpu->heap, offset));
	return call_end(&c, rc);
}

/* ---- ranges of the program's ---- */

/* The range that starts there, or NULL. */
static struct host_range *range_at(const struct host_ranges *r, const void *ptr)
{
	uint32_t i = above(r, (uintptr_t)ptr);

	return i && r->ranges[i - 1]->mapping.base == ptr ? r->ranges[i - 1] : NULL;
}

static int ranges_add(struct host_ranges *r, struct host_range *range)
{
	struct host_range **all = array_insert(r->ranges, &r->count, &r->room, sizeof(*all),
					       above(r, (uintptr_t)range->mapping.base), &range);

	if (!all)
		return VGPU_ENOMEM;
	r->ranges = all;
	return 0;
}

static void ranges_remove(struct host_ranges *r, const struct host_range *range)
{
	array_remove(r->ranges, &r->count, sizeof(*r->ranges),
		     above(r, (uintptr_t)range->mapping.base) - 1);
}

/* One that is not mapped. */
static void range_free(struct call *c, struct host_range *r)
{
	if (r->own != MAP_FAILED)
		munmap(r->own, r->mapping.bytes);
	call_unstage(c, r->block);
	free(r);
}

static struct host_range *range_new(const struct mapping *m)
{
	struct host_range *r = malloc(sizeof(*r));

	if (!r)
		return NULL;
	*r = (struct host_range){ .mapping = *m };
	r->own = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (r->own == MAP_FAILED) {
		free(r);
		return NULL;
	}
	return r;
}

/* Its part of the window. */
static int range_alloc(struct call *c, struct host_range *r)
{
	int rc = alloc_block(c, r->mapping.bytes, mapping_page(), &r->block);

	if (rc || r->block)
		return rc;
	return because(&c->why, GPU_ERROR_OUT_OF_MEMORY,
		       "the window of %llu bytes has no %llu left in one piece: open with more "
		       "window_bytes",
		       (unsigned long long)c->vgpu->heap.bytes,
		       (unsigned long long)r->mapping.bytes);
}

/* Let the host have the program's bytes, and the program the host's pages. */
static int range_map(struct call *c, struct host_range *r)
{
	struct transport *t = c->vgpu->transport;
	uint8_t *window = call_window(c, r->block);
	int rc = ranges_add(&c->vgpu->gpu.host_ranges, r);

	if (rc)
		return because(&c->why, rc, "out of memory");
	shm_write_bytes(window, r->mapping.base, r->mapping.bytes);
	rc = t->ops->map_at(t, &r->mapping, (uint64_t)(window - (uint8_t *)t->base), &c->why);
	if (rc)
		ranges_remove(&c->vgpu->gpu.host_ranges, r);
	return rc;
}

static int range_unmap(struct vgpu *vgpu, struct host_range *r, struct cause *why)
{
	struct transport *t = vgpu->transport;

	shm_read_bytes(r->own, vgpu->channel.window + r->block->offset, r->mapping.bytes);
	return t->ops->unmap_at(t, &r->mapping, r->own, why);
}

static int no_overlap(struct call *c, const struct mapping *m)
{
	uint64_t offset;

	if (host_place(c->vgpu, m->base, m->bytes, &offset) == HOST_ORDINARY)
		return 0;
	return because(&c->why, GPU_ERROR_ALREADY_REGISTERED,
		       "some of it is registered, or vgpu_host_alloc()'s");
}

/* May it be registered? */
static int range_check(struct call *c, const struct mapping *m)
{
	const uint64_t page = mapping_page();
	uint64_t end;
	int rc;

	if (!m->base || !m->bytes || !checked_add((uintptr_t)m->base, m->bytes, &end))
		return because(&c->why, GPU_ERROR_INVALID_VALUE, "%llu bytes at %p are no memory",
			       (unsigned long long)m->bytes, m->base);
	if (!checked_aligned((uintptr_t)m->base, page) || !checked_aligned(m->bytes, page))
		return because(&c->why, GPU_ERROR_INVALID_VALUE,
			       "%llu bytes at %p are not whole pages of %llu bytes, and the host "
			       "is to see nothing else of this program",
			       (unsigned long long)m->bytes, m->base, (unsigned long long)page);
	rc = no_overlap(c, m);
	return rc ? rc : mapping_may_be_replaced(m, &c->why);
}

static int register_range(struct call *c, const struct mapping *m)
{
	const struct transport *t = c->vgpu->transport;
	struct host_range *r;
	int rc;

	if (!t->ops->map_at)
		return because(&c->why, VGPU_ENOTSUP,
			       "%s: its pages cannot be mapped a second time: use "
			       "vgpu_host_alloc(), or copy from ordinary memory",
			       t->name);
	rc = range_check(c, m);
	if (rc)
		return rc;
	r = range_new(m);
	if (!r)
		return because(&c->why, VGPU_ENOMEM, "out of memory");
	rc = range_alloc(c, r);
	if (rc == 0)
		rc = no_overlap(c, m); /* another thread may have been here meanwhile */
	if (rc == 0)
		rc = range_map(c, r);
	if (rc)
		range_free(c, r);
	return rc;
}

int vgpu_host_register(struct vgpu *vgpu, void *ptr, size_t bytes)
{
	const struct mapping m = { .base = ptr, .bytes = bytes };
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = vgpu->dead;
	if (rc == 0) {
		rc = register_range(&c, &m);
		if (rc && c.why.text[0])
			because_of(&c.why, rc, "host_register");
	}
	return call_end(&c, rc);
}

static int not_registered(struct call *c, const void *ptr)
{
	if (c->vgpu->dead)
		return c->vgpu->dead;
	if (!ptr)
		return GPU_ERROR_INVALID_VALUE;
	return because(&c->why, GPU_ERROR_NOT_REGISTERED,
		       "host_unregister: nothing that was registered starts at %p", ptr);
}

int vgpu_host_unregister(struct vgpu *vgpu, void *ptr)
{
	struct host_range *r;
	struct call c;
	int rc = call_begin(&c, vgpu), unmapped;

	if (rc)
		return rc;
	if (!range_at(&vgpu->gpu.host_ranges, ptr))
		return call_end(&c, not_registered(&c, ptr));
	rc = window_idle(&c);
	r = range_at(&vgpu->gpu.host_ranges, ptr); /* another thread may have been here meanwhile */
	if (r && (rc == 0 || vgpu->dead)) {
		unmapped = range_unmap(vgpu, r, &c.why);
		if (unmapped)
			return call_end(&c, unmapped);
		ranges_remove(&vgpu->gpu.host_ranges, r);
		r->own = MAP_FAILED; /* the program's now */
		range_free(&c, r);
	}
	return call_end(&c, rc);
}

void host_ranges_dispose(struct vgpu *vgpu)
{
	struct host_ranges *ranges = &vgpu->gpu.host_ranges;
	struct cause why = { "" };

	for (uint32_t i = 0; i < ranges->count; i++) {
		struct host_range *r = ranges->ranges[i];

		if (range_unmap(vgpu, r, &why) == 0)
			free(r);
		else /* it stays as it is, and so must what knows of it */
			log_line(&vgpu->log, VGPU_LOG_ERROR,
				 "%s: close: registered memory at %p: %s", vgpu->transport->name,
				 r->mapping.base, why.text);
	}
	free(ranges->ranges);
	*ranges = (struct host_ranges){ 0 };
}
