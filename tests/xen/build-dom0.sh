#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The slow-changing part of Xen's domain 0: hypervisor, kernel, and a root file system
# with the toolstack and with what our own host programs need, made of unpacked Debian
# packages. What we build ourselves lies on a second disk, see prepare.sh.
#
#   build-dom0.sh            make it if it is not in the cache
#   build-dom0.sh --print    the same, quietly; prints the directory:
#
#     xen        the hypervisor, unpacked, as QEMU starts it (multiboot)
#     vmlinux    dom0's kernel, unpacked, which spares Xen the unpacking
#     vmlinuz, release
#     boot.cpio  the initramfs that mounts the disks, see dom0/boot
#     root.ext4  the root file system
#
# VM_KERNEL chooses the kernel, see tests/lib/image.sh.
set -euo pipefail
umask 022
. "$(dirname "$0")/../../scripts/lib.sh"
. "$VGPU_TOP/tests/lib/image.sh"
here=$VGPU_TOP/tests/xen

XEN=4.17
ROOT_PACKAGES=(busybox-static libc6 libgcc-s1 libcrypt1 kmod libkmod2 libssl3 liblzma5 libzstd1 zlib1g
	systemd-standalone-sysusers libselinux1
	xen-utils-$XEN xenstore-utils libxenmisc$XEN libxencall1 libxendevicemodel1 libxenevtchn1
	libxenforeignmemory1 libxengnttab1 libxenhypfs1 libxenstore4 libxentoolcore1 libxentoollog1
	libncurses6 libtinfo6 libyajl2 libuuid1 libext2fs2 libcom-err2
	qemu-system-data seabios libpixman-1-0 libfdt1 libglib2.0-0 libpcre2-8-0
	libevent-core-2.1-7 libinih1 libsystemd0 libcap2 libgcrypt20 libgpg-error0 liblz4-1 libseccomp2
	libjson-c5 libpci3 libudev1)
PACKAGES=("${ROOT_PACKAGES[@]}" xen-hypervisor-$XEN-amd64)
BOOT_MODULES=(virtio_pci virtio_blk crc32c_generic ext4 overlay)
MODULES=(virtio_console virtio_rng xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs)
EXCLUDE=(--exclude='./etc/init.d' --exclude='*/xen-shim' --exclude='*/xen-*/lib/python'
	--exclude='*/oxenstored' --exclude='*/xen-*/lib/x86_64-linux-gnu'
	--exclude='./usr/share/qemu/*.bin' --exclude='./usr/share/qemu/*.lid' --exclude='./usr/share/qemu/*.img'
	--exclude='./usr/share/qemu/*.elf' --exclude='./usr/share/qemu/*.dtb' --exclude='./usr/share/qemu/openbios*'
	--exclude='./usr/share/qemu/QEMU,*' --exclude='./usr/share/icons' --exclude='*/gio' --exclude='*/glib-2.0'
	--exclude='*/libgio-2.0*' --exclude='*/libgobject-2.0*' --exclude='*/libgmodule-2.0*' --exclude='./usr/share/perl5')
IMAGE_SOURCES=("$0" "$here/dom0/boot")

# The initramfs is busybox, modules, and the script that uses them.
boot_contents() {
	local root=$work/boot
	mkdir -p "$root"/{bin,proc,sys,dev,run}
	cp "$work/root/usr/bin/busybox" "$root/bin/busybox"
	ln -s busybox "$root/bin/sh"
	install -m 755 "$here/dom0/boot" "$root/init"
	install_modules "$root" "${BOOT_MODULES[@]}"
	pack_cpio "$root" >"$work/out/boot.cpio"
}

image_contents() {
	unpack_packages "$work/root" "${ROOT_PACKAGES[@]}"
	# The option ROMs by which QEMU starts a kernel.
	(
		EXCLUDE=()
		unpack_packages "$work/data" qemu-system-data
	)
	cp "$work"/data/usr/share/qemu/{linuxboot,multiboot}*.bin "$work/root/usr/share/qemu/"
	link_busybox "$work/root"
	check_libraries "$work/root"
	unpack_kernel
	install_modules "$work/root" "${MODULES[@]}"
	boot_contents
	unpack_packages "$work/xen" "xen-hypervisor-$XEN-amd64"
	gzip -dc "$work/xen/boot/xen-$XEN-amd64.gz" >"$work/out/xen"
	# Mount points of dom0/boot and dom0/init.
	mkdir -p "$work/root"/{lab,home,dev/pts,dev/shm,proc/xen}
	pack_ext4 "$work/root" "$work/out/root.ext4"
}

image_main "image of dom0" dom0 "$@"
