#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# prepare.sh BUILD-DIR FILE:PATH... -- FILE:PATH...: put together what the Xen tests run, from the cache,
# from what `make vm-image` prepared and from what make just built, and say in
# BUILD-DIR/xen/env where all of it is. Each FILE is at PATH in dom0 and in a driver
# domain, or, behind the dashes, in every guest.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
shift
host=()
while [ "$1" != -- ]; do
	host+=("$1")
	shift
done
shift
out=$build/xen
mkdir -p "$out"

dom0=$("$here/build-dom0.sh" --print)
. "$build/vm/env"
image=$(dirname "$VM_KERNEL_FILE")

"$here/../vm/build-overlay.sh" "$out/overlay.cpio" "${host[@]}"
cat "$image/base.cpio" "$image/mediator.cpio" "$out/overlay.cpio" "$build/vm/overlay.cpio" >"$out/driver.img"
"$here/../vm/build-overlay.sh" "$out/guest.cpio" "$@"
cat "$VM_INITRD" "$out/guest.cpio" >"$out/guest.img"
# A guest that starts another kernel has what it then starts from.
"$here/../vm/build-overlay.sh" "$out/kexec.cpio" "$image/vmlinuz:/boot/vmlinuz" "$out/guest.img:/boot/initrd"
cat "$out/guest.img" "$out/kexec.cpio" >"$out/kexec.img"
rm "$out/kexec.cpio"
# See hvm_start.S: the kernel's setup code, with that behind it.
sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$image/vmlinuz")
head -c $(((sectors + 1) * 512)) "$image/vmlinuz" | cat - "$build/tests/xen/hvm_start.bin" >"$out/hvm.boot"
# What a guest starts from is in dom0's folder /lab.
"$here/../vm/build-overlay.sh" --init "$here/dom0/init" "$out/ours.ext4" "${host[@]}" \
	"$VM_QEMU/bin/qemu-system-x86_64:/usr/libexec/vgpu/qemu-system-x86_64" \
	"$image/vmlinux:/lab/vmlinux" "$out/hvm.boot:/lab/hvm.boot" \
	"$out/guest.img:/lab/guest.img" "$out/driver.img:/lab/driver.img" "$out/kexec.img:/lab/kexec.img"

cat >"$out/env" <<END
. $build/vm/env
XEN_DOM0=$dom0
XEN_OURS=$out/ours.ext4
XEN_IMAGES=$out
END
