// SPDX-License-Identifier: GPL-2.0-or-later
/* errors.h through the mediator. */
#include "errors.h"

#include <vgpuguest.h>

static struct vgpu *vgpu;

/* Of a call that only puts work on the ring: its own error, else what the host finds wrong. */
static int told(int rc)
{
	return rc ?: vgpu_get_last_error(vgpu);
}

/* The library's pointer to a number, or NULL if the case gives it none. */
#define INTO(out, number) ((out) ? &(number) : NULL)

/* And what the call made, to the case. */
#define MADE(call, out, number)                                                                    \
	({                                                                                         \
		int made_rc_ = (call);                                                             \
		if (made_rc_ == 0 && (out))                                                        \
			*(out) = (number);                                                         \
		made_rc_;                                                                          \
	})

void gpu_open(const char *where)
{
	struct vgpu_options o;

	vgpu_options_init(&o);
	o.device = where;
	NEED(vgpu_open(&vgpu, &o));
}

int gpu_select(unsigned int gpu)
{
	return told(vgpu_select_gpu(vgpu, gpu));
}

int gpu_properties(unsigned int gpu)
{
	struct vgpu_gpu_properties p;

	return vgpu_get_gpu_properties(vgpu, gpu, &p);
}

/* ---- memory ---- */

int gpu_malloc(gpu_ptr *out, size_t bytes)
{
	return vgpu_malloc(vgpu, out, bytes);
}

int gpu_malloc_pitch(gpu_ptr *out, size_t *pitch, size_t width, size_t height)
{
	return vgpu_malloc_pitch(vgpu, out, pitch, width, height);
}

int gpu_free(gpu_ptr p)
{
	return vgpu_free(vgpu, p);
}

int gpu_host_alloc(void **out, size_t bytes)
{
	return vgpu_host_alloc(vgpu, out, bytes);
}

int gpu_host_free(void *p)
{
	return vgpu_host_free(vgpu, p);
}

int gpu_memset(gpu_ptr dst, size_t bytes)
{
	return told(vgpu_memset(vgpu, dst, 0, bytes));
}

int gpu_memset_2d(gpu_ptr dst, size_t pitch, size_t width, size_t height)
{
	return told(vgpu_memset_2d_async(vgpu, dst, pitch, 0, width, height, 0));
}

int gpu_write(gpu_ptr dst, const void *src, size_t bytes)
{
	return told(vgpu_copy_to_device(vgpu, dst, src, bytes));
}

int gpu_read(void *dst, gpu_ptr src, size_t bytes)
{
	return vgpu_copy_from_device(vgpu, dst, src, bytes);
}

int gpu_copy(gpu_ptr dst, gpu_ptr src, size_t bytes)
{
	return vgpu_copy_on_device(vgpu, dst, src, bytes);
}

int gpu_write_async(gpu_ptr dst, const void *src, size_t bytes, gpu_handle stream)
{
	return told(vgpu_copy_to_device_async(vgpu, dst, src, bytes, (vgpu_stream)stream));
}

int gpu_write_2d(gpu_ptr dst, size_t dst_pitch, const void *src, size_t src_pitch, size_t width,
		 size_t height)
{
	return told(vgpu_copy_2d_to_device(vgpu, dst, dst_pitch, src, src_pitch, width, height));
}

/* ---- modules and launches ---- */

int gpu_load(gpu_handle *out, const void *image, size_t bytes)
{
	vgpu_module m;

	return MADE(vgpu_module_load(vgpu, &m, image, bytes), out, m);
}

int gpu_load_file(gpu_handle *out, const char *path)
{
	vgpu_module m;

	return MADE(vgpu_module_load_file(vgpu, &m, path), out, m);
}

int gpu_unload(gpu_handle module)
{
	return told(vgpu_module_unload(vgpu, (vgpu_module)module));
}

int gpu_kernel(gpu_handle module, const char *name, gpu_handle *out)
{
	vgpu_kernel k;

	return MADE(vgpu_module_get_kernel(vgpu, (vgpu_module)module, name, &k), out, k);
}

int gpu_set_dynamic_shared(gpu_handle kernel, int bytes)
{
	return vgpu_set_kernel_attribute(vgpu, (vgpu_kernel)kernel, VGPU_MAX_DYNAMIC_SHARED, bytes);
}

int gpu_occupancy(gpu_handle kernel, unsigned int block)
{
	uint32_t blocks;

	return vgpu_get_occupancy(vgpu, (vgpu_kernel)kernel, block, 0, &blocks);
}

int gpu_launch(const struct gpu_launch *l)
{
	const struct vgpu_dim3 grid = { l->grid[0], l->grid[1], l->grid[2] };
	const struct vgpu_dim3 block = { l->block[0], l->block[1], l->block[2] };

	return told(vgpu_launch_args(vgpu, (vgpu_kernel)l->kernel, grid, block, l->shared,
				     (vgpu_stream)l->stream, l->args));
}

/* ---- streams and events ---- */

int gpu_stream_create(gpu_handle *out, unsigned int flags)
{
	vgpu_stream s;

	return MADE(told(vgpu_stream_create(vgpu, INTO(out, s), flags, 0)), out, s);
}

int gpu_stream_destroy(gpu_handle stream)
{
	return told(vgpu_stream_destroy(vgpu, (vgpu_stream)stream));
}

int gpu_stream_synchronize(gpu_handle stream)
{
	return vgpu_stream_synchronize(vgpu, (vgpu_stream)stream);
}

int gpu_stream_query(gpu_handle stream)
{
	return vgpu_stream_query(vgpu, (vgpu_stream)stream);
}

int gpu_stream_wait(gpu_handle stream, gpu_handle event)
{
	return told(vgpu_stream_wait_event(vgpu, (vgpu_stream)stream, (vgpu_event)event));
}

int gpu_host_func(gpu_handle stream, void (*fn)(void *opaque))
{
	return told(vgpu_launch_host_func(vgpu, (vgpu_stream)stream, fn, NULL));
}

int gpu_synchronize(void)
{
	return vgpu_synchronize(vgpu);
}

int gpu_event_create(gpu_handle *out, unsigned int flags)
{
	vgpu_event e;

	return MADE(told(vgpu_event_create(vgpu, INTO(out, e), flags)), out, e);
}

int gpu_event_destroy(gpu_handle event)
{
	return told(vgpu_event_destroy(vgpu, (vgpu_event)event));
}

int gpu_event_record(gpu_handle event, gpu_handle stream)
{
	return told(vgpu_event_record(vgpu, (vgpu_event)event, (vgpu_stream)stream));
}

int gpu_event_synchronize(gpu_handle event)
{
	return vgpu_event_synchronize(vgpu, (vgpu_event)event);
}

int gpu_event_query(gpu_handle event)
{
	return vgpu_event_query(vgpu, (vgpu_event)event);
}

int gpu_event_elapsed(float *ms, gpu_handle start, gpu_handle stop)
{
	return vgpu_event_elapsed(vgpu, ms, (vgpu_event)start, (vgpu_event)stop);
}

/* ---- graphs ---- */

int gpu_capture_begin(gpu_handle stream, unsigned int mode)
{
	return vgpu_capture_begin(vgpu, (vgpu_stream)stream, (enum vgpu_capture_mode)mode);
}

int gpu_capture_end(gpu_handle stream, gpu_handle *graph)
{
	vgpu_graph g;

	return MADE(vgpu_capture_end(vgpu, (vgpu_stream)stream, INTO(graph, g)), graph, g);
}

int gpu_graph_launch(gpu_handle graph, gpu_handle stream)
{
	return told(vgpu_graph_launch(vgpu, (vgpu_graph)graph, (vgpu_stream)stream));
}

int gpu_graph_destroy(gpu_handle graph)
{
	return told(vgpu_graph_destroy(vgpu, (vgpu_graph)graph));
}

int gpu_last_error(void)
{
	return vgpu_get_last_error(vgpu);
}
