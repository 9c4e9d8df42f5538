// SPDX-License-Identifier: GPL-2.0-or-later
/* Graphs, made by capturing a stream. */
#include "cuda_backend.h"

#include <stdlib.h>

#include "../common/errors.h"

struct backend_graph {
	cudaGraphExec_t handle;
};

int cuda_capture_begin(struct backend *b, struct backend_stream *s, uint32_t mode)
{
	int rc = cuda_stream_use(b, s);

	if (rc)
		return rc;
	if (!s) /* as CUDA says of the default stream */
		return cudaErrorStreamCaptureUnsupported;
	/* A copy in a graph is the GPU's own. */
	cuda_window_register(b);
	rc = cuda_result(cudaStreamBeginCapture(s->handle, (enum cudaStreamCaptureMode)mode));
	if (rc)
		return rc;
	s->capturing = true;
	b->captures++;
	b->blocking_captures += s->blocking;
	return 0;
}

void cuda_capture_left(struct backend *b, struct backend_stream *s)
{
	s->capturing = false;
	b->captures--;
	b->blocking_captures -= s->blocking;
}

int cuda_capture_end(struct backend *b, struct backend_stream *s, struct backend_graph **out)
{
	struct backend_graph *g;
	cudaGraph_t graph = NULL;
	int rc = cuda_stream_use(b, s);

	if (rc)
		return rc;
	if (!s) /* as CUDA says of the default stream */
		return cudaErrorIllegalState;
	rc = cuda_result(cudaStreamEndCapture(s->handle, &graph));
	if (s->capturing)
		cuda_capture_left(b, s);
	if (rc)
		return rc;
	g = calloc(1, sizeof(*g));
	rc = g ? cuda_result(cudaGraphInstantiate(&g->handle, graph, 0)) : VGPU_ENOMEM;
	cudaGraphDestroy(graph);
	if (rc) {
		free(g);
		return rc;
	}
	*out = g;
	return 0;
}

int cuda_graph_launch(struct backend *b, struct backend_graph *g, struct backend_stream *s)
{
	int rc = cuda_stream_use(b, s);

	return rc ? rc : (int)cuda_driver.cuGraphLaunch(g->handle, cuda_stream_handle(s));
}

void cuda_graph_destroy(struct backend *b, struct backend_graph *g)
{
	(void)b;
	cuda_result(cudaGraphExecDestroy(g->handle));
	free(g);
}
