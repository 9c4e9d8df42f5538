// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The driver takes a module's image as an address: how long it is, it believes the image itself,
 * which the guest wrote. So the lengths and offsets are checked here.
 *
 * What looks like none of these is refused: above all the wrapper that nvcc puts around a fatbin in
 * a program, which has an address in it that the driver would follow.
 */
#include "cuda_image.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "../common/checked.h"

#define FATBIN_MAGIC 0xba55ed50u

struct fatbin_header {
	uint32_t magic;
	uint16_t version;
	uint16_t header_bytes;
	uint64_t bytes; /* of the entries behind the header */
};

struct fatbin_entry {
	uint16_t kind;
	uint16_t version;
	uint32_t header_bytes; /* more than is named here */
	uint64_t bytes;        /* behind the header */
};

#define FATBIN_ENTRY_MIN 64u /* bytes that an entry's header has at least */
#define FATBIN_KIND_ELF 2u

/* The sections' contents are inside; their own structure is the loader's to check. */
static bool elf_is_sound(const uint8_t *image, size_t bytes)
{
	Elf64_Ehdr h;
	Elf64_Shdr section;
	Elf64_Phdr segment;

	if (bytes < sizeof(h))
		return false;
	memcpy(&h, image, sizeof(h));
	if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB ||
	    h.e_shentsize != sizeof(section) || h.e_shstrndx >= h.e_shnum ||
	    (h.e_phnum && h.e_phentsize != sizeof(segment)) ||
	    !checked_range(h.e_shoff, (uint64_t)h.e_shnum * sizeof(section), bytes) ||
	    !checked_range(h.e_phoff, (uint64_t)h.e_phnum * sizeof(segment), bytes))
		return false;
	for (size_t i = 0; i < h.e_shnum; i++) {
		memcpy(&section, image + h.e_shoff + i * sizeof(section), sizeof(section));
		if (section.sh_type != SHT_NOBITS &&
		    !checked_range(section.sh_offset, section.sh_size, bytes))
			return false;
	}
	for (size_t i = 0; i < h.e_phnum; i++) {
		memcpy(&segment, image + h.e_phoff + i * sizeof(segment), sizeof(segment));
		if (!checked_range(segment.p_offset, segment.p_filesz, bytes))
			return false;
	}
	return true;
}

static bool is_elf(const uint8_t *image, size_t bytes)
{
	return bytes >= SELFMAG && memcmp(image, ELFMAG, SELFMAG) == 0;
}

static bool fatbin_is_sound(const uint8_t *image, size_t bytes)
{
	struct fatbin_header h;
	struct fatbin_entry e;
	uint64_t at, end;

	if (bytes < sizeof(h))
		return false;
	memcpy(&h, image, sizeof(h));
	if (h.header_bytes < sizeof(h) || !checked_range(h.header_bytes, h.bytes, bytes))
		return false;
	end = h.header_bytes + h.bytes;
	for (at = h.header_bytes; at < end; at += e.header_bytes + e.bytes) {
		if (!checked_range(at, FATBIN_ENTRY_MIN, end))
			return false;
		memcpy(&e, image + at, sizeof(e));
		if (e.header_bytes < FATBIN_ENTRY_MIN || e.bytes > end ||
		    !checked_range(at, e.header_bytes + e.bytes, end))
			return false;
		/* Unless it is compressed. */
		if (e.kind == FATBIN_KIND_ELF && is_elf(image + at + e.header_bytes, e.bytes) &&
		    !elf_is_sound(image + at + e.header_bytes, e.bytes))
			return false;
	}
	return true;
}

/* Text, and at its end perhaps NULs. */
static bool is_text(const uint8_t *image, size_t bytes)
{
	while (bytes && image[bytes - 1] == 0)
		bytes--;
	if (!bytes || memchr(image, 0, bytes))
		return false;
	return (image[0] >= ' ' && image[0] <= '~') || (image[0] >= '\t' && image[0] <= '\r');
}

enum cuda_image cuda_image_check(const void *image, size_t bytes)
{
	uint32_t magic = 0;

	if (bytes >= sizeof(magic))
		memcpy(&magic, image, sizeof(magic));
	if (magic == FATBIN_MAGIC)
		return fatbin_is_sound(image, bytes) ? CUDA_IMAGE_BINARY : CUDA_IMAGE_BAD;
	if (is_elf(image, bytes))
		return elf_is_sound(image, bytes) ? CUDA_IMAGE_BINARY : CUDA_IMAGE_BAD;
	return is_text(image, bytes) ? CUDA_IMAGE_TEXT : CUDA_IMAGE_BAD;
}
