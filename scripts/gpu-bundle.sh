#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# gpu-bundle.sh BUILD-DIR: all that `make check-gpu` and `bench-gpu` run, in BUILD-DIR/gpu-bundle,
# for a machine that has a GPU but not our libraries, and where nothing can be
# installed. It runs from any place, on any x86-64 Linux with a C library as new as
# this machine's; the same in one file is BUILD-DIR/gpu-bundle.tar.gz.
#
#   bin/    QEMU, gpu_mediator and its cuda backend (if nvcc made one), vgpu-cli,
#           the conformance suite, the cuda backend's own test, what provokes errors, the
#           benchmarks
#   lib/    the libraries they need, but for the C library's own; found through
#           $ORIGIN
#   share/  firmware, kernel, image, the benchmarks' kernels
#   env     where all that is, for tests/vm/lab.sh
set -euo pipefail
. "$(dirname "$0")/lib.sh"
build=$(cd "$1" && pwd)
out=$build/gpu-bundle
limit_mib=60
need_packages patchelf gzip seabios qemu-system-data

. "$build/vm/env"

# Libraries of the machine itself: these belong to its kernel, loader and driver.
system_library() {
	case $1 in
	ld-linux* | libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | libresolv.so* | \
		libutil.so* | libgcc_s.so* | libstdc++.so* | libcuda.so* | linux-vdso*) return 0 ;;
	*) return 1 ;;
	esac
}

# A program or plug-in with all that it needs.
add_program() { # FILE
	local name path
	install -m 755 "$1" "$tmp/bin/"
	ldd "$1" | awk '$2 == "=>" { print $1, $3 }' |
		while read -r name path; do
			system_library "$name" && continue
			[ -e "$path" ] || die "$1: library $name: not found"
			[ -e "$tmp/lib/$name" ] || install -m 644 "$(readlink -f "$path")" "$tmp/lib/$name"
		done
}

tmp=$out.tmp
rm -rf "$tmp"
mkdir -p "$tmp"/{bin,lib,share/qemu}

programs=("$VM_QEMU/bin/qemu-system-x86_64" "$LAB_MEDIATOR" "$LAB_CLI" "$LAB_CONFORMANCE")
[ ! -e "$LAB_CUDA" ] || programs+=("$LAB_CUDA")
bench=$build/tests/bench
programs+=("$build/tests/gpu/"{cuda_backend,vgpu_errors} "$bench"/{round_trip,coldstart,coldstart_client,compare,vgpu_gpu,raw_gpu})
[ ! -e "$bench/native_gpu" ] || programs+=("$bench"/{native_coldstart,native_gpu} "$build/tests/gpu/native_errors")
for p in "${programs[@]}"; do
	add_program "$p"
done
for f in "$tmp"/bin/*; do
	patchelf --set-rpath '$ORIGIN/../lib' "$f"
done
for f in "$tmp"/lib/*; do
	patchelf --set-rpath '$ORIGIN' "$f"
done

for f in bios-256k.bin kvmvapic.bin linuxboot_dma.bin pvh.bin; do
	for dir in /usr/share/qemu /usr/share/seabios; do
		[ ! -e "$dir/$f" ] || cp -L "$dir/$f" "$tmp/share/qemu/"
	done
	[ -e "$tmp/share/qemu/$f" ] || die "firmware $f: not in /usr/share/qemu, /usr/share/seabios"
done
cp "$(dirname "$VM_KERNEL_FILE")/vmlinuz" "$tmp/share/vmlinuz"
[ ! -e "$bench/native_gpu" ] || cp "$bench/bench_kernels.fatbin" "$tmp/share/"
gzip -9 -n <"$VM_INITRD" >"$tmp/share/initrd.img"

cat >"$tmp/env" <<'END'
# Sourced by tests/vm/lab.sh.
bundle=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
VM_QEMU=$bundle
VM_KERNEL_FILE=$bundle/share/vmlinuz
VM_INITRD=$bundle/share/initrd.img
LAB_MEDIATOR=$bundle/bin/gpu_mediator
LAB_CUDA=$bundle/bin/gpu_mediator_cuda.so
LAB_CLI=$bundle/bin/vgpu-cli
LAB_CONFORMANCE=$bundle/bin/vgpu-conformance
END

rm -rf "$out"
mv "$tmp" "$out"
tar -C "$build" --owner=0 --group=0 --sort=name -czf "$out.tar.gz" gpu-bundle
mib=$(du -sm --apparent-size "$out" | cut -f1)
[ "$mib" -lt "$limit_mib" ] || die "$out: $mib MiB, may be $limit_mib"
[ -e "$out/bin/gpu_mediator_cuda.so" ] ||
	echo "note: without nvcc there is no cuda backend in the bundle; check-gpu builds it where it runs"
echo "==> $out: $mib MiB; $(basename "$out").tar.gz: $(du -m "$out.tar.gz" | cut -f1) MiB"
