/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Work that is recorded once and put into a stream as a whole. */
#include "call.h"

int vgpu_capture_begin(struct vgpu *vgpu, vgpu_stream stream, enum vgpu_capture_mode mode)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_CAPTURE_BEGIN };
	struct vgpu_capture_begin_args args = { .stream = stream, .mode = mode };
	struct vgpu_response rsp;
	struct gpu_stream *s;
	struct call c;
	bool first;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	s = handles_get(&vgpu->gpu.streams, stream);
	if (rc == 0 && stream == 0) /* CUDA cannot capture the default stream */
		rc = GPU_ERROR_CAPTURE_UNSUPPORTED;
	else if (rc == 0 && !s)
		rc = GPU_ERROR_INVALID_HANDLE;
	else if (rc == 0 && (unsigned int)mode > VGPU_CAPTURE_MODE_RELAXED)
		rc = GPU_ERROR_INVALID_VALUE;
	if (rc)
		return call_end(&c, rc);
	call_args(&req, args);
	/* From here on: another thread must put nothing into it that is answered. */
	first = !s->capture; /* else the host refuses, and that one goes on */
	if (first) {
		s->capture = stream;
		vgpu->gpu.capturing++;
	}
	rc = call_create(&c, &req, &rsp, NULL);
	s = handles_get(&vgpu->gpu.streams, stream);
	if (rc && first && s && s->capture == stream) {
		s->capture = 0;
		vgpu->gpu.capturing--;
	}
	return call_end(&c, rc);
}

void gpu_capture_ended(struct gpu *g, uint32_t stream)
{
	struct gpu_stream *s;
	struct gpu_event *e;

	for (uint32_t i = 0; i < g->streams.used; i++) {
		s = handles_at(&g->streams, i);
		if (s && s->capture == stream)
			s->capture = 0;
	}
	for (uint32_t i = 0; i < g->events.used; i++) {
		e = handles_at(&g->events, i);
		if (e && e->capture == stream)
			e->capture = 0;
	}
	g->capturing--;
}

int vgpu_capture_end(struct vgpu *vgpu, vgpu_stream stream, vgpu_graph *out)
{
	struct vgpu_request req = { .cmd = VGPU_CMD_CAPTURE_END };
	struct vgpu_graph_args args = { .stream = stream };
	struct vgpu_response rsp;
	struct gpu_stream *s;
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = out ? call_ready(&c) : GPU_ERROR_INVALID_VALUE;
	s = handles_get(&vgpu->gpu.streams, stream);
	if (rc == 0 && stream && !s)
		rc = GPU_ERROR_INVALID_HANDLE;
	if (rc == 0)
		rc = handles_new(&vgpu->gpu.graphs, &args.graph);
	if (rc)
		return call_end(&c, rc);
	call_args(&req, args);
	if (s && s->capture == stream) /* else the host says what is wrong */
		gpu_capture_ended(&vgpu->gpu, stream);
	rc = call_create(&c, &req, &rsp, NULL);
	if (rc && !vgpu->late) /* else the host may still make it */
		handles_free(&vgpu->gpu.graphs, args.graph);
	*out = rc ? 0 : args.graph;
	return call_end(&c, rc);
}

/* 0 is CUDA's NULL. */
static int graph_is_there(const struct gpu *g, vgpu_graph graph)
{
	if (handles_get(&g->graphs, graph))
		return 0;
	return graph ? GPU_ERROR_INVALID_HANDLE : GPU_ERROR_INVALID_VALUE;
}

/* GRAPH_LAUNCH and GRAPH_DESTROY */
static int graph_request(struct call *c, uint32_t cmd, vgpu_graph graph, vgpu_stream stream)
{
	struct vgpu_request req = { .cmd = cmd };
	struct vgpu_graph_args args = { .graph = graph, .stream = stream };

	call_args(&req, args);
	return call_post(c, &req);
}

int vgpu_graph_launch(struct vgpu *vgpu, vgpu_graph graph, vgpu_stream stream)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = graph_is_there(&vgpu->gpu, graph);
	if (rc == 0)
		rc = gpu_work(&vgpu->gpu, stream);
	if (rc == 0) {
		vgpu->gpu.window_work = vgpu->gpu.work; /* it may have copies in it */
		rc = graph_request(&c, VGPU_CMD_GRAPH_LAUNCH, graph, stream);
	}
	return call_end(&c, rc);
}

int vgpu_graph_destroy(struct vgpu *vgpu, vgpu_graph graph)
{
	struct call c;
	int rc = call_begin(&c, vgpu);

	if (rc)
		return rc;
	rc = call_ready(&c);
	if (rc == 0)
		rc = graph_is_there(&vgpu->gpu, graph);
	if (rc == 0) {
		handles_free(&vgpu->gpu.graphs, graph);
		rc = graph_request(&c, VGPU_CMD_GRAPH_DESTROY, graph, 0);
	}
	return call_end(&c, rc);
}
