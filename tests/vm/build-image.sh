#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The slow-changing part of the test image: a stock Debian kernel and a small
# initramfs with a real udevd, made of unpacked Debian packages. It serves VMs of
# plain QEMU and Xen's guests. What we build ourselves is a second archive on top,
# see build-overlay.sh.
#
#   build-image.sh            make it if it is not in the cache
#   build-image.sh --print    the same, quietly; prints the directory:
#
#     vmlinux    the kernel, unpacked: QEMU starts it by its PVH entry, which spares
#                an emulated CPU the unpacking
#     vmlinuz    the same as Debian ships it
#     base.cpio  the initramfs without our own part
#     mediator.cpio  libraries that gpu_mediator needs besides, for a Xen guest that is
#                a driver domain
#     release    the kernel's release
#
# VM_KERNEL chooses the kernel, see tests/lib/image.sh.
set -euo pipefail
umask 022
. "$(dirname "$0")/../../scripts/lib.sh"
. "$VGPU_TOP/tests/lib/image.sh"

BASE_PACKAGES=(busybox-static udev libudev1 kmod libkmod2 libssl3 liblzma5 libzstd1 libblkid1 libacl1
	libcap2 libselinux1 libpcre2-8-0 libc6 libgcc-s1 libcrypt1 pciutils libpci3 pci.ids zlib1g
	libjson-c5 systemd-standalone-sysusers libxenstore4 libxenevtchn1 libxengnttab1 libxentoolcore1
	libxentoollog1 libxencall1 xenstore-utils kexec-tools libxenmisc4.17 libxendevicemodel1
	libxenforeignmemory1 libxenhypfs1)
MEDIATOR_PACKAGES=(libevent-core-2.1-7 libinih1 libsystemd0 libgcrypt20 libgpg-error0 liblz4-1
	libseccomp2)
PACKAGES=("${BASE_PACKAGES[@]}" "${MEDIATOR_PACKAGES[@]}")
MODULES=(uio uio_pci_generic virtio_pci virtio_console virtio_rng xen-evtchn xen-gntalloc xen-gntdev
	xen-privcmd xenfs)
# Of the toolstack, kexec needs libxenctrl.
EXCLUDE=(--exclude='./etc/init.d' --exclude='./usr/lib/xen-4.17' --exclude='*/libxenguest.so*'
	--exclude='*/libxenlight.so*' --exclude='*/libxenstat.so*' --exclude='*/libxenvchan.so*'
	--exclude='*/libxlutil.so*')
IMAGE_SOURCES=("$0")

image_contents() {
	unpack_packages "$work/base" "${BASE_PACKAGES[@]}"
	link_busybox "$work/base"
	unpack_packages "$work/mediator" "${MEDIATOR_PACKAGES[@]}"
	check_libraries "$work/base"
	check_libraries "$work/base" "$work/mediator"
	unpack_kernel
	install_modules "$work/base" "${MODULES[@]}"
	pack_cpio "$work/base" >"$work/out/base.cpio"
	pack_cpio "$work/mediator" >"$work/out/mediator.cpio"
}

image_main "test image" image "$@"
