#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The slow-changing part of the test image: a stock Debian kernel and a small
# initramfs with a real udevd, made of unpacked Debian packages; no maintainer
# script runs and no privilege is needed. What we build ourselves is a second
# archive on top, see build-overlay.sh.
#
#   build-image.sh            make it if it is not in the cache
#   build-image.sh --print    the same, quietly; prints the directory:
#
#     vmlinux    the kernel, unpacked: QEMU starts it by its PVH entry, which spares
#                an emulated CPU the unpacking
#     vmlinuz    the same as Debian ships it
#     base.cpio  the initramfs without our own part
#     release    the kernel's release
#
#   VM_KERNEL=bookworm            Debian 12's own kernel (default)
#   VM_KERNEL=bookworm-backports  the newer one of its backports
set -euo pipefail
umask 022
. "$(dirname "$0")/../../scripts/lib.sh"

VM_KERNEL=${VM_KERNEL:-bookworm}

PACKAGES=(busybox-static udev libudev1 kmod libkmod2 libssl3 liblzma5 libzstd1 libblkid1 libacl1
	libcap2 libselinux1 libpcre2-8-0 libc6 libgcc-s1 libcrypt1 pciutils libpci3 pci.ids zlib1g
	libjson-c5 systemd-standalone-sysusers libxenstore4 libxenevtchn1 libxengnttab1 libxentoolcore1
	libxentoollog1)
MODULES=(uio uio_pci_generic virtio_pci virtio_console virtio_rng)

apt_opts=(-o APT::Sandbox::User=root)

# Backports come from the mirror that this machine uses, with package lists of our own.
use_backports() {
	local dir=$VGPU_CACHE/apt/$VM_KERNEL mirror
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
		'Codename: bookworm' | head -n 1)
	[ -n "$mirror" ] || die "kernel $VM_KERNEL: no Debian 12 mirror in this machine's apt sources"
	mkdir -p "$dir/lists/partial" "$dir/cache"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"$mirror bookworm-backports main" >"$dir/sources.list"
	apt_kernel_opts=("${apt_opts[@]}" -o "Dir::Etc::SourceList=$dir/sources.list"
		-o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$dir/lists"
		-o "Dir::Cache=$dir/cache" -o Dir::State::status=/dev/null)
	# Fresh for a day: a newer kernel is a new cache entry anyway.
	if [ -z "$(find "$dir/lists" -name '*Packages*' -mtime -1 -print -quit)" ]; then
		apt-get "${apt_kernel_opts[@]}" -qq update >&2
	fi
}

# The real image behind the metapackage linux-image-amd64.
kernel_package() {
	apt-cache "${apt_kernel_opts[@]}" depends linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# The kernel's package, then "file hash" lines: what the packages are today, without
# downloading them. Asked of apt once for each state of its lists.
resolve() {
	local state kernel
	state=$VGPU_CACHE/image/resolved-$(content_key "$0" "$VM_KERNEL" "$(
		stat -c '%n %y %s' /var/lib/apt/lists/* "$VGPU_CACHE/apt/$VM_KERNEL"/lists/* 2>/dev/null
	)")
	if [ ! -e "$state" ]; then
		kernel=$(kernel_package)
		[ -n "$kernel" ] || return 1
		echo "$kernel" >"$empty/resolved"
		(
			cd "$empty"
			apt-get "${apt_opts[@]}" download --print-uris "${PACKAGES[@]}" &&
			apt-get "${apt_kernel_opts[@]}" download --print-uris "$kernel"
		) | awk '{ print $2, $4 }' >>"$empty/resolved" || return 1
		mv "$empty/resolved" "$state"
	fi
	cat "$state"
}

unpack_packages() {
	local deb
	# Debian 12 is /usr-merged, its packages are not.
	mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{proc,sys,dev,run,tmp,root,var,etc}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root"
	for deb in "$work"/debs/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
			--no-same-owner --exclude='./usr/share/doc' --exclude='./usr/share/man' \
			--exclude='./usr/share/locale' --exclude='./usr/share/bug' \
			--exclude='./usr/share/lintian' --exclude='./usr/share/initramfs-tools' \
			--exclude='./usr/lib/x86_64-linux-gnu/gconv' \
			--exclude='./lib/udev/hwdb.d' --exclude='./usr/lib/udev/hwdb.d'
	done
	"$root/usr/bin/busybox" --list | while read -r applet; do
		[ -e "$root/usr/bin/$applet" ] || [ -e "$root/usr/sbin/$applet" ] ||
			ln -s busybox "$root/usr/bin/$applet"
	done
}

# Every library that a program of the image asks for is in the image.
check_libraries() {
	local f lib
	find "$root/usr" -type f \( -perm -100 -o -name '*.so*' \) | while read -r f; do
		{ readelf -d "$f" 2>/dev/null || true; } | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
	done | sort -u | while read -r lib; do
		[ -n "$(find "$root/usr" -name "$lib" -print -quit)" ] ||
			die "image: library $lib: not in the listed packages"
	done
}

# Only the modules that are wanted, and those that they need.
unpack_kernel() {
	local release m
	dpkg-deb -x "$work"/kernel/*.deb "$work/kernel/root"
	release=$(basename "$work"/kernel/root/boot/vmlinuz-*)
	release=${release#vmlinuz-}
	"$VGPU_TOP/tests/vm/extract-vmlinux.sh" "$work/kernel/root/boot/vmlinuz-$release" \
		>"$work/out/vmlinux"
	cp "$work/kernel/root/boot/vmlinuz-$release" "$work/out/vmlinuz"
	/sbin/depmod -b "$work/kernel/root" "$release"
	mkdir -p "$root/lib/modules/$release"
	cp "$work/kernel/root/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} \
		"$root/lib/modules/$release"
	for m in "${MODULES[@]}"; do
		/sbin/modprobe -d "$work/kernel/root" -S "$release" --show-depends "$m" |
			awk '$1 == "insmod" { print $2 }'
	done | sort -u | while read -r m; do
		install -D -m 644 "$m" "$root/${m#"$work/kernel/root/"}"
	done
	/sbin/depmod -b "$root" "$release"
	echo "$release" >"$work/out/release"
}

build() {
	[ -d "$final" ] && return 0
	work=$(mktemp -d "$VGPU_CACHE/tmp.image.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	root=$work/root
	mkdir -p "$work"/{debs,kernel/root,out} "$root"
	(cd "$work/debs" && apt-get "${apt_opts[@]}" -qq download "${PACKAGES[@]}")
	(cd "$work/kernel" && apt-get "${apt_kernel_opts[@]}" -qq download "$kernel")
	unpack_packages
	check_libraries
	unpack_kernel
	(cd "$root" && find . -print0 | LC_ALL=C sort -z |
		cpio --quiet -0 -o -H newc -R +0:+0) >"$work/out/base.cpio"
	publish "$work/out" "$final"
}

main() {
	local list key
	if [ "$VM_KERNEL" = bookworm ]; then
		apt_kernel_opts=("${apt_opts[@]}")
	elif [ "$VM_KERNEL" = bookworm-backports ]; then
		use_backports
	else
		die "VM_KERNEL=$VM_KERNEL: unknown; bookworm and bookworm-backports are known"
	fi
	need_packages cpio kmod binutils zstd xz-utils >&2
	mkdir -p "$VGPU_CACHE/logs" "$VGPU_CACHE/image"
	empty=$(mktemp -d "$VGPU_CACHE/tmp.empty.XXXXXX")
	trap 'rm -rf "$empty"' EXIT
	if ! list=$(resolve) && [ "$(id -u)" = 0 ]; then
		step "apt-get update" "$VGPU_CACHE/logs/apt.log" apt-get update >&2
		list=$(resolve) || list=
	fi
	[ -n "$list" ] || die "test image: apt does not know its packages; run: apt-get update"
	kernel=${list%%$'\n'*}
	key=$(content_key "$list" "$0" "$VGPU_TOP/tests/vm/extract-vmlinux.sh")
	final=$VGPU_CACHE/image/$VM_KERNEL-$key
	if [ ! -d "$final" ]; then
		step "test image with $kernel" "$VGPU_CACHE/logs/image.log" \
			with_lock image build >&2
	fi
	touch "$final"
	find "$VGPU_CACHE/image" -mindepth 1 -maxdepth 1 -mtime +14 -exec rm -rf {} +
	if [ "${1:-}" = --print ]; then
		echo "$final"
	else
		echo "==> test image: $final"
	fi
}

main "$@"
