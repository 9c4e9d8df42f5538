// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Images of modules: what the driver is given, and what not. Each lies at the end of a heap block
 * of its own, so that a sanitizer sees a look behind it.
 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../host/cuda_image.h"

#define CONTENT 100u /* bytes of an ELF's one section */
#define ELF_BYTES (sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr) + sizeof(Elf64_Shdr) + CONTENT)

struct cubin {
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	Elf64_Shdr section;
	uint8_t content[CONTENT];
} __attribute__((packed));

struct entry {
	uint16_t kind, version;
	uint32_t header_bytes;
	uint64_t bytes;
	uint8_t more[48];
};

struct fatbin {
	uint32_t magic;
	uint16_t version, header_bytes;
	uint64_t bytes;
	struct entry elf;
	struct cubin cubin;
	struct entry ptx;
	uint8_t text[20];
} __attribute__((packed));

static enum cuda_image check(const void *image, size_t bytes)
{
	void *copy = malloc(bytes);
	enum cuda_image kind;

	assert_true(copy || !bytes);
	if (bytes)
		memcpy(copy, image, bytes);
	kind = cuda_image_check(copy, bytes);
	free(copy);
	return kind;
}

static struct cubin cubin(void)
{
	return (struct cubin){
		.header = { .e_ident = ELFMAG "\2\1\1",
			    .e_ehsize = sizeof(Elf64_Ehdr),
			    .e_phoff = offsetof(struct cubin, segment),
			    .e_phentsize = sizeof(Elf64_Phdr),
			    .e_phnum = 1,
			    .e_shoff = offsetof(struct cubin, section),
			    .e_shentsize = sizeof(Elf64_Shdr),
			    .e_shnum = 1 },
		.segment = { .p_offset = offsetof(struct cubin, content), .p_filesz = CONTENT },
		.section = { .sh_type = SHT_PROGBITS,
			     .sh_offset = offsetof(struct cubin, content),
			     .sh_size = CONTENT },
	};
}

static struct fatbin fatbin(void)
{
	return (struct fatbin){
		.magic = 0xba55ed50,
		.version = 1,
		.header_bytes = offsetof(struct fatbin, elf),
		.bytes = sizeof(struct fatbin) - offsetof(struct fatbin, elf),
		.elf = { .kind = 2, .header_bytes = sizeof(struct entry), .bytes = ELF_BYTES },
		.cubin = cubin(),
		.ptx = { .kind = 1, .header_bytes = sizeof(struct entry), .bytes = 20 },
		.text = ".version 7.0",
	};
}

static void test_elf(void **state)
{
	struct cubin c = cubin();

	(void)state;
	assert_int_equal(check(&c, sizeof(c)), CUDA_IMAGE_BINARY);
	for (size_t n = SELFMAG; n < sizeof(c); n++)
		assert_int_equal(check(&c, n), CUDA_IMAGE_BAD);
	c.section.sh_type = SHT_NOBITS; /* takes no room */
	c.section.sh_size = ~0ull;
	assert_int_equal(check(&c, sizeof(c)), CUDA_IMAGE_BINARY);
}

static void test_elf_lies(void **state)
{
#define LIE(member, value)                                                                         \
	do {                                                                                       \
		struct cubin c = cubin();                                                          \
		c.member = value;                                                                  \
		assert_int_equal(check(&c, sizeof(c)), CUDA_IMAGE_BAD);                            \
	} while (0)

	(void)state;
	LIE(header.e_ident[EI_CLASS], ELFCLASS32);
	LIE(header.e_ident[EI_DATA], ELFDATA2MSB);
	LIE(header.e_shoff, ~0ull);
	LIE(header.e_shoff, sizeof(struct cubin));
	LIE(header.e_shnum, 0xffff);
	LIE(header.e_shnum, 0);
	LIE(header.e_shentsize, 1);
	LIE(header.e_shstrndx, 1);
	LIE(header.e_phoff, ~0ull);
	LIE(header.e_phnum, 0xffff);
	LIE(header.e_phentsize, 8);
	LIE(section.sh_offset, ~0ull);
	LIE(section.sh_offset, offsetof(struct cubin, content) + 1);
	LIE(section.sh_size, CONTENT + 1);
	LIE(section.sh_size, ~0ull);
	LIE(segment.p_offset, ~0ull);
	LIE(segment.p_filesz, CONTENT + 1);
#undef LIE
}

static void test_fatbin(void **state)
{
	struct fatbin f = fatbin();

	(void)state;
	assert_int_equal(check(&f, sizeof(f)), CUDA_IMAGE_BINARY);
	for (size_t n = sizeof(f.magic); n < sizeof(f); n++)
		assert_int_equal(check(&f, n), CUDA_IMAGE_BAD);
	memset(&f.cubin, 0xff, sizeof(f.cubin)); /* compressed, for all one can tell */
	assert_int_equal(check(&f, sizeof(f)), CUDA_IMAGE_BINARY);
}

static void test_fatbin_lies(void **state)
{
#define LIE(member, value)                                                                         \
	do {                                                                                       \
		struct fatbin f = fatbin();                                                        \
		f.member = value;                                                                  \
		assert_int_equal(check(&f, sizeof(f)), CUDA_IMAGE_BAD);                            \
	} while (0)

	(void)state;
	LIE(header_bytes, 0);
	LIE(header_bytes, 0xffff);
	LIE(bytes, ~0ull);
	LIE(bytes, sizeof(struct fatbin));
	LIE(elf.header_bytes, 0);
	LIE(elf.header_bytes, ~0u);
	LIE(elf.bytes, ~0ull);
	LIE(elf.bytes, ~0ull - sizeof(struct entry) + 1); /* the sum would be 0 */
	LIE(elf.bytes, sizeof(struct fatbin));
	LIE(ptx.bytes, 21);
	LIE(cubin.section.sh_size, ~0ull);
	LIE(cubin.header.e_shoff, sizeof(struct cubin));
#undef LIE
}

static void test_text(void **state)
{
	static const char text[] = "//\n.version 8.0\n.target sm_90\n";

	(void)state;
	assert_int_equal(check(text, strlen(text)), CUDA_IMAGE_TEXT);
	assert_int_equal(check(text, sizeof(text)), CUDA_IMAGE_TEXT);
	assert_int_equal(check("\n\t.version\0\0\0", 13), CUDA_IMAGE_TEXT);
	assert_int_equal(check(".version\0 8.0", 13), CUDA_IMAGE_BAD);
	assert_int_equal(check("\0\0\0\0", 4), CUDA_IMAGE_BAD);
	assert_int_equal(check("", 0), CUDA_IMAGE_BAD);
	assert_int_equal(check("x", 1), CUDA_IMAGE_TEXT); /* the compiler will say */
}

/* What has an address in it, and what only CUDA's own tools make. */
static void test_others(void **state)
{
	static const uint32_t wrapper[6] = { 0x466243b1, 1 };
	static const uint8_t ltoir[] = { 0xed, 0x43, 0x4e, 0x7f, 1, 1, 1, 1 };

	(void)state;
	assert_int_equal(check(wrapper, sizeof(wrapper)), CUDA_IMAGE_BAD);
	assert_int_equal(check(ltoir, sizeof(ltoir)), CUDA_IMAGE_BAD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf),    cmocka_unit_test(test_elf_lies),
		cmocka_unit_test(test_fatbin), cmocka_unit_test(test_fatbin_lies),
		cmocka_unit_test(test_text),   cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
