// SPDX-License-Identifier: GPL-2.0-or-later
/* gpu.h through the mediator. */
#include "gpu.h"

#include <vgpuguest.h>

#include "bench.h"

static struct vgpu *vgpu;
static vgpu_module module;
static vgpu_kernel kernels[GPU_KERNELS];
static vgpu_stream graph_stream, stream; /* the second is that of launches */
static vgpu_graph graph;
static struct vgpu_gpu_properties properties;

static void check(int rc, const char *what)
{
	if (rc != 0)
		bench_die("vgpu: %s: %s: %s", what, vgpu_strerror(rc), vgpu_last_error(vgpu));
}

void gpu_open(const char *where, const char *image, size_t window_bytes)
{
	struct vgpu_options o;

	vgpu_options_init(&o);
	o.device = where;
	o.window_bytes = window_bytes;
	check(vgpu_open(&vgpu, &o), "open");
	check(vgpu_module_load_file(vgpu, &module, image), "load kernels");
}

void gpu_close(void)
{
	check(vgpu_get_last_error(vgpu), "left over");
	vgpu_close(vgpu);
}

gpu_ptr gpu_alloc(size_t bytes)
{
	vgpu_devptr p;

	check(vgpu_malloc(vgpu, &p, bytes), "allocate");
	return p;
}

void gpu_free(gpu_ptr p)
{
	check(vgpu_free(vgpu, p), "free");
}

void *gpu_window_alloc(size_t bytes)
{
	void *p;

	check(vgpu_host_alloc(vgpu, &p, bytes), "allocate in the window");
	return p;
}

void gpu_window_free(void *p)
{
	check(vgpu_host_free(vgpu, p), "free in the window");
}

void gpu_write(gpu_ptr dst, const void *src, size_t bytes)
{
	check(vgpu_copy_to_device(vgpu, dst, src, bytes), "write");
}

void gpu_read(void *dst, gpu_ptr src, size_t bytes)
{
	check(vgpu_copy_from_device(vgpu, dst, src, bytes), "read");
}

static vgpu_kernel kernel_of(enum gpu_kernel number)
{
	if (!kernels[number])
		check(vgpu_module_get_kernel(vgpu, module, gpu_kernel_names[number],
					     &kernels[number]),
		      gpu_kernel_names[number]);
	return kernels[number];
}

void gpu_launch(const struct gpu_launch *l)
{
	const struct vgpu_dim3 grid = { l->grid[0], l->grid[1], 1 };
	const struct vgpu_dim3 block = { l->block[0], l->block[1], 1 };

	check(vgpu_launch(vgpu, kernel_of(l->kernel), grid, block, 0, stream, l->params,
			  l->param_bytes),
	      "launch");
}

void gpu_synchronize(void)
{
	check(vgpu_synchronize(vgpu), "synchronize");
}

void gpu_wake(void)
{
	check(vgpu_nop(vgpu), "nop");
}

const char *gpu_name(void)
{
	check(vgpu_get_gpu_properties(vgpu, 0, &properties), "properties");
	return properties.name;
}

void gpu_memory_info(size_t *free_bytes, size_t *total_bytes)
{
	check(vgpu_memory_info(vgpu, free_bytes, total_bytes), "memory info");
}

void gpu_query(void)
{
	check(vgpu_stream_query(vgpu, 0), "query");
}

void gpu_graph_begin(void)
{
	check(vgpu_stream_create(vgpu, &graph_stream, VGPU_STREAM_DEFAULT, 0), "create a stream");
	check(vgpu_capture_begin(vgpu, graph_stream, VGPU_CAPTURE_MODE_GLOBAL), "capture");
	stream = graph_stream;
}

void gpu_graph_end(void)
{
	check(vgpu_capture_end(vgpu, graph_stream, &graph), "end the capture");
	stream = 0;
}

void gpu_graph_launch(void)
{
	check(vgpu_graph_launch(vgpu, graph, graph_stream), "launch the graph");
}

void gpu_graph_free(void)
{
	check(vgpu_graph_destroy(vgpu, graph), "destroy the graph");
	check(vgpu_stream_destroy(vgpu, graph_stream), "destroy the stream");
}
