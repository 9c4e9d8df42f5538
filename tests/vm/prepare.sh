#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# prepare.sh BUILD-DIR: put together what the VM tests run, from the cache and
# from what make just built, and say in BUILD-DIR/vm/env where all of it is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
mkdir -p "$build/vm"

qemu=$("$here/../../qemu-device/build-qemu.sh" --print)
image=$("$here/build-image.sh" --print)
"$here/build-overlay.sh" "$build/vm/overlay.cpio" "${@:2}"
cat "$image/base.cpio" "$build/vm/overlay.cpio" >"$build/vm/initrd.img.tmp"
mv "$build/vm/initrd.img.tmp" "$build/vm/initrd.img"

cat >"$build/vm/env" <<END
VM_QEMU=$qemu
VM_KERNEL_FILE=$image/vmlinux
VM_INITRD=$build/vm/initrd.img
LAB_MEDIATOR=$build/host/gpu_mediator
LAB_CUDA=$build/host/gpu_mediator_cuda.so
LAB_CLI=$build/vgpu-cli
LAB_CONFORMANCE=$build/tests/conformance/vgpu-conformance
export LD_LIBRARY_PATH=$build
END
