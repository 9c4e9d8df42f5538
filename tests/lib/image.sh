# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Root file systems of unpacked Debian packages and a stock Debian kernel, kept in the cache;
# no maintainer script runs and no privilege is needed. Source it after scripts/lib.sh.
#
# A script that uses it sets
#   PACKAGES       unpacked into the root
#   MODULES        of the kernel, with those that they need
#   EXCLUDE        tar options: what of the packages is left out (may be empty)
#   IMAGE_SOURCES  our files that decide what comes out; the script itself is one
#   image_contents, a function: fills $work/out, with the functions below
# and ends with: image_main TITLE CACHE-FOLDER "$@"
#
#   VM_KERNEL=bookworm            Debian 12's own kernel (default)
#   VM_KERNEL=bookworm-backports  the newer one of its backports
VM_KERNEL=${VM_KERNEL:-bookworm}

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
	state=$cache/resolved-$(content_key "${IMAGE_SOURCES[@]}" "$VM_KERNEL" "$(
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

# unpack_packages ROOT PACKAGE...: into a root that may have some already.
unpack_packages() {
	local root=$1 debs deb dir
	shift
	debs=$(mktemp -d "$work/debs.XXXXXX")
	(cd "$debs" && apt-get "${apt_opts[@]}" -qq download "$@")
	# Debian 12 is /usr-merged, its packages are not.
	mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{proc,sys,dev,run,tmp,root,var,etc}
	for dir in bin sbin lib lib64; do
		[ -L "$root/$dir" ] || ln -s "usr/$dir" "$root/$dir"
	done
	for deb in "$debs"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
			--no-same-owner --exclude='./usr/share/doc' --exclude='./usr/share/man' \
			--exclude='./usr/share/locale' --exclude='./usr/share/bug' \
			--exclude='./usr/share/lintian' --exclude='./usr/share/initramfs-tools' \
			--exclude='./usr/lib/x86_64-linux-gnu/gconv' \
			--exclude='./lib/udev/hwdb.d' --exclude='./usr/lib/udev/hwdb.d' "${EXCLUDE[@]}"
	done
	rm -r "$debs"
}

# busybox under each of its names that nobody else has.
link_busybox() { # ROOT
	"$1/usr/bin/busybox" --list | while read -r applet; do
		[ -e "$1/usr/bin/$applet" ] || [ -e "$1/usr/sbin/$applet" ] ||
			ln -s busybox "$1/usr/bin/$applet"
	done
}

# Every library that a program in one of these roots asks for is in one of them.
check_libraries() { # ROOT...
	local f lib missing roots=("${@/%//usr}")
	find "${roots[@]}" -type f \( -perm -100 -o -name '*.so*' \) | while read -r f; do
		{ readelf -d "$f" 2>/dev/null || true; } | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
	done | sort -u | while read -r lib; do
		[ -n "$(find "${roots[@]}" -name "$lib" -print -quit)" ] || echo "$lib"
	done >"$work/missing"
	missing=$(paste -s -d ' ' "$work/missing")
	[ -z "$missing" ] || die "image: libraries $missing: not in the listed packages"
}

# Unpack the kernel into $work/kernel; $work/out gets vmlinux, vmlinuz and release.
unpack_kernel() {
	mkdir -p "$work/kernel/root" "$work/out"
	(cd "$work/kernel" && apt-get "${apt_kernel_opts[@]}" -qq download "$kernel")
	dpkg-deb -x "$work"/kernel/*.deb "$work/kernel/root"
	release=$(basename "$work"/kernel/root/boot/vmlinuz-*)
	release=${release#vmlinuz-}
	"$VGPU_TOP/tests/vm/extract-vmlinux.sh" "$work/kernel/root/boot/vmlinuz-$release" \
		>"$work/out/vmlinux"
	cp "$work/kernel/root/boot/vmlinuz-$release" "$work/out/vmlinuz"
	/sbin/depmod -b "$work/kernel/root" "$release"
	echo "$release" >"$work/out/release"
}

# install_modules ROOT MODULE...: only these, and those that they need.
install_modules() {
	local root=$1 m
	shift
	mkdir -p "$root/lib/modules/$release"
	cp "$work/kernel/root/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} \
		"$root/lib/modules/$release"
	for m in "$@"; do
		/sbin/modprobe -d "$work/kernel/root" -S "$release" --show-depends "$m" |
			awk '$1 == "insmod" { print $2 }'
	done | sort -u | while read -r m; do
		install -D -m 644 "$m" "$root/${m#"$work/kernel/root/"}"
	done
	/sbin/depmod -b "$root" "$release"
}

# Whoever builds it, root owns the files.
pack_cpio() { # ROOT; to stdout
	(cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --quiet -0 -o -H newc -R +0:+0)
}

# pack_ext4 ROOT OUT: a file system that is only read.
pack_ext4() {
	local size as_root=()
	[ "$(id -u)" = 0 ] || as_root=(unshare -r)
	size=$(du -s -k --apparent-size "$1" | cut -f1)
	size=$((size + size / 8 + $(find "$1" | wc -l) * 4 + 2048))
	rm -f "$2"
	"${as_root[@]}" /sbin/mke2fs -q -t ext4 -O ^has_journal -m 0 -E root_owner=0:0 \
		-d "$1" "$2" "${size}k"
}

image_build() {
	[ -d "$final" ] && return 0
	work=$(mktemp -d "$VGPU_CACHE/tmp.image.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	mkdir "$work/out"
	image_contents
	publish "$work/out" "$final"
}

# image_main TITLE CACHE-FOLDER [--print]
image_main() {
	local title=$1 cache=$VGPU_CACHE/$2 list key kernel final empty
	if [ "$VM_KERNEL" = bookworm ]; then
		apt_kernel_opts=("${apt_opts[@]}")
	elif [ "$VM_KERNEL" = bookworm-backports ]; then
		use_backports
	else
		die "VM_KERNEL=$VM_KERNEL: unknown; bookworm and bookworm-backports are known"
	fi
	need_packages cpio kmod binutils zstd xz-utils e2fsprogs >&2
	mkdir -p "$VGPU_CACHE/logs" "$cache"
	empty=$(mktemp -d "$VGPU_CACHE/tmp.empty.XXXXXX")
	# shellcheck disable=SC2064 # a local: it is gone when the trap runs
	trap "rm -rf '$empty'" EXIT
	IMAGE_SOURCES+=("$VGPU_TOP/tests/lib/image.sh" "$VGPU_TOP/tests/vm/extract-vmlinux.sh")
	if ! list=$(resolve) && [ "$(id -u)" = 0 ]; then
		step "apt-get update" "$VGPU_CACHE/logs/apt.log" apt-get update >&2
		list=$(resolve) || list=
	fi
	[ -n "$list" ] || die "$title: apt does not know its packages; run: apt-get update"
	kernel=${list%%$'\n'*}
	key=$(content_key "$list" "${IMAGE_SOURCES[@]}")
	final=$cache/$VM_KERNEL-$key
	if [ ! -d "$final" ]; then
		step "$title with $kernel" "$VGPU_CACHE/logs/$2.log" with_lock "$2" image_build >&2
	fi
	touch "$final"
	find "$cache" -mindepth 1 -maxdepth 1 -mtime +14 -exec rm -rf {} +
	if [ "${3:-}" = --print ]; then
		echo "$final"
	else
		echo "==> $title: $final"
	fi
}
