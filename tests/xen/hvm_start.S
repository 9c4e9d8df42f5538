/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an HVM guest runs between Linux's real-mode setup code and the kernel proper, in the place of
 * the code that unpacks it.
 *
 * QEMU under Xen hands kernel and initramfs to the guest byte by byte through an I/O port, and each
 * byte leaves the emulated guest: minutes. So it gets this as kernel, behind the setup code of the
 * real one, and `-device loader` puts the unpacked kernel and the initramfs into memory beforehand.
 *
 * As the boot protocol says (Linux, Documentation/x86/boot.rst): entered at 0x100000 in 32-bit
 * mode, %esi boot_params; leaves in 64-bit mode, memory mapped one to one, %rsi boot_params.
 * tests/xen/lab.sh has the addresses, too.
 */
#define KERNEL 0x1000000
#define TABLES 0x5000000 /* three pages */
#define INITRD_BYTES 0x5fff000
#define INITRD 0x6000000

#define RAMDISK_IMAGE 0x218 /* in boot_params */
#define RAMDISK_SIZE 0x21c

	.text
	.code32
	.globl _start
_start:
	cli
	movl	$INITRD, RAMDISK_IMAGE(%esi)
	movl	INITRD_BYTES, %eax
	movl	%eax, RAMDISK_SIZE(%esi)

	/* One GiB in pages of 2 MiB. */
	cld
	xorl	%eax, %eax
	movl	$TABLES, %edi
	movl	$(3 * 4096 / 4), %ecx
	rep stosl
	movl	$(TABLES + 0x1000 + 3), TABLES
	movl	$(TABLES + 0x2000 + 3), TABLES + 0x1000
	movl	$(TABLES + 0x2000), %edi
	movl	$0x83, %eax /* present, writable, large */
	movl	$512, %ecx
1:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x200000, %eax
	loop	1b

	lgdt	gdt_pointer
	movl	%cr4, %eax
	orl	$0x20, %eax /* PAE */
	movl	%eax, %cr4
	movl	$TABLES, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx /* EFER */
	rdmsr
	orl	$0x100, %eax /* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000001, %eax /* PG, PE */
	movl	%eax, %cr0
	ljmp	$0x10, $long_mode

	.code64
long_mode:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%esi, %esi /* its upper half is zero from here */
	movl	$KERNEL, %eax
	jmp	*%rax

	.balign	8
gdt:
	.quad	0, 0
	.quad	0x00af9a000000ffff /* 0x10: code, 64 bits */
	.quad	0x00cf92000000ffff /* 0x18: data */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
