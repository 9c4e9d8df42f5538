// SPDX-License-Identifier: LGPL-2.1-or-later
#include <stdint.h>

// One thread a pixel: how long z = z^2 + c takes to leave, as a colour. Black: it never does.
extern "C" __global__ void mandelbrot(uint8_t *rgb, uint32_t width, uint32_t height, float x0,
				      float y0, float dx, float dy, uint32_t max_iterations)
{
	uint32_t column = blockIdx.x * blockDim.x + threadIdx.x;
	uint32_t row = blockIdx.y * blockDim.y + threadIdx.y;
	float cx = x0 + dx * column, cy = y0 + dy * row, x = 0, y = 0;
	uint32_t i = 0;

	if (column >= width || row >= height)
		return;
	for (; i < max_iterations && x * x + y * y <= 4; i++) {
		float next = x * x - y * y + cx;

		y = 2 * x * y + cy;
		x = next;
	}
	rgb += 3 * ((uint64_t)row * width + column);
	rgb[0] = i < max_iterations ? i * 5 : 0;
	rgb[1] = i < max_iterations ? i * 3 : 0;
	rgb[2] = i < max_iterations ? 64 + i * 7 : 0;
}
