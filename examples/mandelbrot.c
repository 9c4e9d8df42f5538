// SPDX-License-Identifier: LGPL-2.1-or-later
/* mandelbrot [FILE [WIDTH [HEIGHT]]]: a picture of the set, as a PNG. */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define TILE 16

static void put_u32(uint8_t *to, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* Length, type, data, checksum of type and data. */
static void write_chunk(FILE *f, const char type[4], const void *data, size_t bytes)
{
	uLong crc = crc32(0, (const Bytef *)type, 4);
	uint8_t length[4], sum[4];

	if (bytes) /* given NULL, crc32() starts anew */
		crc = crc32(crc, data, (uInt)bytes);
	put_u32(length, (uint32_t)bytes);
	put_u32(sum, (uint32_t)crc);
	fwrite(length, 1, 4, f);
	fwrite(type, 1, 4, f);
	if (bytes)
		fwrite(data, 1, bytes, f);
	fwrite(sum, 1, 4, f);
}

/* 8 bits a channel, RGB; each row begins with its filter's number, 0: none. */
static int write_png(const char *path, const uint8_t *rgb, uint32_t width, uint32_t height)
{
	static const uint8_t signature[] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
	size_t row = (size_t)width * 3, bytes = (row + 1) * height;
	uint8_t header[13] = { [8] = 8, [9] = 2 }, *raw = example_alloc(bytes);
	uLongf packed_bytes = compressBound(bytes);
	uint8_t *packed = example_alloc(packed_bytes);
	FILE *f = fopen(path, "wb");
	int rc = -1;

	for (uint32_t y = 0; y < height; y++) {
		raw[y * (row + 1)] = 0;
		memcpy(raw + y * (row + 1) + 1, rgb + y * row, row);
	}
	put_u32(header, width);
	put_u32(header + 4, height);
	if (f && compress(packed, &packed_bytes, raw, bytes) == Z_OK) {
		fwrite(signature, 1, sizeof(signature), f);
		write_chunk(f, "IHDR", header, sizeof(header));
		write_chunk(f, "IDAT", packed, packed_bytes);
		write_chunk(f, "IEND", NULL, 0);
		rc = ferror(f) ? -1 : 0;
	}
	if (f && fclose(f))
		rc = -1;
	free(raw);
	free(packed);
	return rc;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : "mandelbrot.png";
	uint32_t width = example_number(argc, argv, 2, 1200);
	uint32_t height = example_number(argc, argv, 3, 800), iterations = 500;
	const struct vgpu_dim3 block = { TILE, TILE, 1 };
	const struct vgpu_dim3 grid = { (width + TILE - 1) / TILE, (height + TILE - 1) / TILE, 1 };
	float x0 = -2.25f, y0 = -1.0f, dx = 3.0f / (float)width, dy = 2.0f / (float)height;
	size_t bytes = (size_t)width * height * 3;
	uint8_t *rgb = example_alloc(bytes);
	struct vgpu *vgpu = example_open();
	vgpu_kernel mandelbrot = example_kernel(vgpu, "mandelbrot", "mandelbrot");
	vgpu_devptr pixels;
	void *args[] = { &pixels, &width, &height, &x0, &y0, &dx, &dy, &iterations };

	OK(vgpu, vgpu_malloc(vgpu, &pixels, bytes));
	OK(vgpu, vgpu_launch_args(vgpu, mandelbrot, grid, block, 0, 0, args));
	OK(vgpu, vgpu_copy_from_device(vgpu, rgb, pixels, bytes));
	OK(vgpu, vgpu_free(vgpu, pixels));
	vgpu_close(vgpu);

	if (write_png(path, rgb, width, height)) {
		perror(path);
		return 1;
	}
	printf("mandelbrot: %u x %u pixels in %s\n", width, height, path);
	free(rgb);
	return 0;
}
