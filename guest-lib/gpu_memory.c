/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vgpu_malloc() and its like. */
#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "call.h"
#include "../common/checked.h"

#define UNIT 256u                        /* bytes: alignment and measure of allocations */
#define POOLED_MAX ((uint64_t)32 << 20)  /* larger ones have segments of their own */
#define SEGMENT_MIN ((uint64_t)64 << 20) /* of the pool */
#define SEGMENT_MAX ((uint64_t)512 << 20)
#define IDLE_MAX ((uint64_t)256 << 20) /* bytes of unused segments that are kept for the next one */
#define PITCH_ALIGN 512u

void pool_dispose(struct pool *p)
{
	for (uint32_t i = 0; i < p->count; i++) {
		parts_dispose(&p->segments[i]->parts);
		free(p->segments[i]);
	}
	free(p->segments);
	*p = (struct pool){ 0 };
}

/* Index of the first segment that starts above @address. */
static uint32_t above(const struct pool *p, uint64_t address)
{
	uint32_t low = 0, high = p->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (p->segments[mid]->base <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The segment that @address is in, or NULL. */
static struct segment *segment_of(const struct pool *p, uint64_t address)
{
	uint32_t i = above(p, address);
	struct segment *s = i ? p->segments[i - 1] : NULL;

	return s && address - s->base < s->bytes ? s : NULL;
}

bool pool_holds(const struct pool *p, uint64_t address, uint64_t bytes)
{
	const struct segment *s = segment_of(p, address);

	if (!s || bytes == 0 || s->idle || !checked_range(address - s->base, bytes, s->bytes))
		return false;
	address -= s->base;
	return !s->pooled || parts_hold(&s->parts, (uint32_t)(address / UNIT),
					(uint32_t)((address + bytes - 1) / UNIT));
}

/* Can the host have given this? */
static bool plausible(const struct pool *p, uint64_t base, uint64_t bytes)
{
	uint32_t i = above(p, base);
	uint64_t end;

	if (base == 0 || !checked_aligned(base, UNIT) || !checked_add(base, bytes, &end))
		return false;
	if (i && base - p->segments[i - 1]->base < p->segments[i - 1]->bytes)
		return false;
	return i == p->count || end <= p->segments[i]->base;
}

static int post_free(struct call *c, uint64_t base)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_FREE };
	struct vgpu_free_args args = { .address = base };

	call_args(&req, args);
	return call_post(c, &req);
}

/* Put a segment in its place. On failure it is not there, and not freed. */
static int pool_add(struct pool *p, struct segment *s)
{
	struct segment **all =
		array_insert(p->segments, &p->count, &p->room, sizeof(*all), above(p, s->base), &s);

	if (!all)
		return VGPU_ENOMEM;
	p->segments = all;
	return 0;
}

static void segment_free(struct segment *s)
{
	parts_dispose(&s->parts);
	free(s);
}

/* Give a segment back to the host. */
static int release(struct call *c, struct segment *s)
{
	struct pool *p = &c->vgpu->gpu.pool;
	uint32_t i = above(p, s->base) - 1;
	uint64_t base = s->base;

	if (s->idle)
		p->idle_bytes -= s->bytes;
	array_remove(p->segments, &p->count, sizeof(*p->segments), i);
	segment_free(s);
	return post_free(c, base);
}

static bool unused(const struct segment *s)
{
	return s->pooled ? !s->parts.taken : s->idle;
}

/* Give back what is kept for later. Returns how many, or an error. */
static int release_unused(struct call *c)
{
	struct pool *p = &c->vgpu->gpu.pool;
	int n = 0, rc = 0;

	for (uint32_t i = 0; rc == 0 && i < p->count;) {
		if (!unused(p->segments[i])) {
			i++;
			continue;
		}
		rc = call_ready(c); /* may wait, and others change the pool: start again */
		if (rc || i >= p->count || !unused(p->segments[i])) {
			i = 0;
			continue;
		}
		rc = release(c, p->segments[i]);
		n++;
	}
	return rc ? rc : n;
}

/* Ask the host for a segment. */
static int segment_new(struct call *c, uint64_t bytes, bool pooled, struct segment **out)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_ALLOC };
	struct vgpu_alloc_args args = { .bytes = bytes };
	struct segment *s = calloc(1, sizeof(*s));
	struct vgpu_alloc_reply reply;
	struct vgpu_response rsp;
	int rc;

	if (!s)
		return because(&c->why, VGPU_ENOMEM, "malloc: out of memory");
	*s = (struct segment){ .bytes = bytes, .gpu = c->vgpu->gpu.selected, .pooled = pooled };
	rc = pooled ? parts_init(&s->parts, (uint32_t)(bytes / UNIT)) : 0;
	if (rc == 0)
		rc = call_ready(c);
	call_args(&req, args);
	if (rc == 0)
		rc = call_create(c, &req, &rsp, NULL);
	if (rc) {
		segment_free(s);
		return rc;
	}
	memcpy(&reply, rsp.data, sizeof(reply));
	s->base = reply.address;
	if (!plausible(&c->vgpu->gpu.pool, s->base, bytes)) {
		segment_free(s);
		because(&c->why, VGPU_EPROTO, "host: gave memory at an impossible address: %#llx",
			(unsigned long long)reply.address);
		return wait_end(c->vgpu, VGPU_EPROTO, &c->why);
	}
	rc = pool_add(&c->vgpu->gpu.pool, s);
	if (rc) {
		segment_free(s);
		post_free(c, reply.address);
		return because(&c->why, rc, "malloc: out of memory");
	}
	*out = s;
	return 0;
}

static bool is_full(int rc)
{
	return rc == GPU_ERROR_OUT_OF_MEMORY || rc == VGPU_EQUOTA;
}

/* The same; when the host has no more, without what is kept for later. */
static int segment_get(struct call *c, uint64_t bytes, bool pooled, struct segment **out)
{
	int rc = segment_new(c, bytes, pooled, out);
	int released;

	if (!is_full(rc))
		return rc;
	released = release_unused(c);
	if (released < 0)
		return released;
	return released ? segment_new(c, bytes, pooled, out) : rc;
}

/* Larger ones as there are more: few requests, and no more than twice what is needed. */
static uint64_t segment_size(const struct pool *p, uint32_t gpu)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < p->count; i++)
		if (p->segments[i]->pooled && p->segments[i]->gpu == gpu)
			bytes += p->segments[i]->bytes;
	if (bytes < SEGMENT_MIN)
		return SEGMENT_MIN;
	return bytes < SEGMENT_MAX ? bytes : SEGMENT_MAX;
}

static bool take_pooled(const struct gpu *g, uint64_t bytes, uint64_t *out)
{
	for (uint32_t i = 0; i < g->pool.count; i++) {
		struct segment *s = g->pool.segments[i];
		uint32_t at;

		if (!s->pooled || s->gpu != g->selected)
			continue;
		at = parts_take(&s->parts, (uint32_t)(bytes / UNIT));
		if (at == PARTS_NONE)
			continue;
		*out = s->base + (uint64_t)at * UNIT;
		return true;
	}
	return false;
}

/* One that was freed and is not much too large. */
static bool take_idle(struct gpu *g, uint64_t bytes, uint64_t *out)
{
	struct segment *best = NULL;

	for (uint32_t i = 0; i < g->pool.count; i++) {
		struct segment *s = g->pool.segments[i];

		if (s->idle && s->gpu == g->selected && s->bytes >= bytes &&
		    s->bytes - bytes <= bytes / 4 && (!best || s->bytes < best->bytes))
			best = s;
	}
	if (!best)
		return false;
	best->idle = false;
	g->pool.idle_bytes -= best->bytes;
	*out = best->base;
	return true;
}

static int allocate(struct call *c, uint64_t bytes, uint64_t *out)
{
	struct gpu *g = &c->vgpu->gpu;
	struct segment *s;
	int rc = 0;

	if (bytes > UINT64_MAX / 2)
		return GPU_ERROR_OUT_OF_MEMORY;
	bytes = (bytes + UNIT - 1) / UNIT * UNIT;
	if (bytes <= POOLED_MAX) {
		while (!take_pooled(g, bytes, out)) {
			rc = segment_get(c, segment_size(&g->pool, g->selected), true, &s);
			if (rc)
				break;
		}
		if (rc == 0 || !is_full(rc))
			return rc;
		c->why.text[0] = '\0';
	}
	if (take_idle(g, bytes, out))
		return 0;
	rc = segment_get(c, bytes, false, &s);
	if (is_full(rc))
		return because(&c->why, GPU_ERROR_OUT_OF_MEMORY,
			       "malloc: the GPU has no %llu bytes left for this program",
			       (unsigned long long)bytes);
	if (rc == 0)
		*out = s->base;
	return rc;
}

static int malloc_call(struct vgpu *vgpu, vgpu_devptr *out, uint64_t bytes)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = vgpu->dead;
	if (rc == 0 && !out)
		rc = GPU_ERROR_INVALID_VALUE;
	if (rc == 0) {
		*out = 0;
		if (bytes)
			rc = allocate(&c, bytes, out);
	}
	return call_end(&c, rc);
}

int vgpu_malloc(struct vgpu *vgpu, vgpu_devptr *out, size_t bytes)
{
	return malloc_call(vgpu, out, bytes);
}

int vgpu_malloc_pitch(struct vgpu *vgpu, vgpu_devptr *out, size_t *pitch, size_t width,
		      size_t height)
{
	uint64_t row = width, bytes;

	if (!pitch || !checked_add(row, PITCH_ALIGN - 1, &row))
		return malloc_call(vgpu, NULL, 0);
	row = row / PITCH_ALIGN * PITCH_ALIGN;
	if (!checked_mul(row, height, &bytes))
		return malloc_call(vgpu, NULL, 0);
	*pitch = row;
	return malloc_call(vgpu, out, bytes);
}

/* Can work under way still use memory that is given out again to the default stream? */
static bool in_use(const struct gpu *g)
{
	return g->busy || g->orphan_work > g->synchronized ||
	       (g->non_blocking && g->default_work > g->synchronized);
}

/* The allocation that starts there, or NULL. */
static struct segment *find(const struct pool *p, uint64_t ptr)
{
	struct segment *s = segment_of(p, ptr);
	uint64_t at;

	if (!s)
		return NULL;
	at = ptr - s->base;
	if (!s->pooled)
		return at == 0 && !s->idle ? s : NULL;
	return at % UNIT == 0 && parts_starts(&s->parts, (uint32_t)(at / UNIT)) ? s : NULL;
}

/* How many segments of the pool on that GPU are free altogether? */
static uint32_t empty_ones(const struct pool *p, uint32_t gpu)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->count; i++)
		n += p->segments[i]->pooled && p->segments[i]->gpu == gpu &&
		     !p->segments[i]->parts.taken;
	return n;
}

static int give(struct call *c, struct segment *s, uint64_t ptr)
{
	struct pool *p = &c->vgpu->gpu.pool;

	if (s->pooled) {
		parts_give(&s->parts, (uint32_t)((ptr - s->base) / UNIT));
		if (s->parts.taken || empty_ones(p, s->gpu) < 2)
			return 0;
	} else {
		s->idle = true;
		p->idle_bytes += s->bytes;
		if (p->idle_bytes <= IDLE_MAX)
			return 0;
	}
	return release(c, s);
}

int vgpu_free(struct vgpu *vgpu, vgpu_devptr ptr)
{
	struct segment *s = NULL;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0 && ptr && !find(&vgpu->gpu.pool, ptr))
		rc = because(&c.why, GPU_ERROR_INVALID_VALUE, "free: nothing is allocated at %#llx",
			     (unsigned long long)ptr);
	if (rc == 0 && ptr && in_use(&vgpu->gpu)) {
		rc = gpu_synchronize(&c);
		if (rc == 0)
			rc = call_ready(&c);
	}
	if (rc == 0 && ptr)
		s = find(&vgpu->gpu.pool, ptr); /* another thread may have been here meanwhile */
	if (s)
		rc = give(&c, s, ptr);
	return call_end(&c, rc);
}

int vgpu_memory_info(struct vgpu *vgpu, size_t *free_bytes, size_t *total_bytes)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_MEMORY_INFO };
	struct vgpu_memory_reply reply;
	struct vgpu_response rsp;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = call_round_trip(&c, &req, &rsp, NULL);
	if (rc == 0) {
		memcpy(&reply, rsp.data, sizeof(reply));
		if (free_bytes)
			*free_bytes = reply.free;
		if (total_bytes)
			*total_bytes = reply.total;
	}
	return call_end(&c, rc);
}
