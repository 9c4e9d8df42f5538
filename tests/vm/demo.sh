#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `make demo`: from a fresh machine to a program in a VM that uses the host's GPU,
# with a word on each step. DEMO_SHELL=1 ends in a shell in that VM.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. scripts/lib.sh

say() {
	printf '\n\033[1m%s\033[0m\n' "$*"
}
[ -t 1 ] || say() {
	printf '\n%s\n' "$*"
}

# What a user would type in the VM, and what comes back.
type_in_vm() {
	echo "vm\$ $1${2:+    (as $2)}"
	vm_run demo "${2:-alice}" "$1"
	[ -z "$VM_OUT" ] || printf '%s\n' "$VM_OUT"
	[ -z "$VM_ERR" ] || printf '%s\n' "$VM_ERR"
	[ "$VM_RC" = 0 ] || failed+=("$1")
}

say "1. Packages, QEMU with the stub device, a Debian kernel and a small image, and our own programs"
scripts/deps.sh build || exit 1
make --no-print-directory -j2 all vm-image || die "build failed"
. tests/vm/lab.sh
. tests/vm/terminal.sh

say "2. The mediator, on this machine"
LAB_BACKEND=auto LAB_LOG_LEVEL=info lab_mediator_start
echo "gpu_mediator runs as process $lab_mediator_pid; it says:"
sed 's/^/    /' "$LAB_LOG"

say "3. A virtual machine ($(vm_accel)) with a stub PCI device and a stock Debian kernel"
mapfile -t options < <(terminal_options)
lab_vm demo "${options[@]}"
type_in_vm "uname -sr"
type_in_vm "lspci -v -s 04.0" root
echo
echo "udev has bound it to uio_pci_generic and opened it to group vgpu:"
type_in_vm "id; ls -lL /dev/vgpu0"

say "4. A user in that VM computes on this machine; each result names what executed it"
failed=()
type_in_vm "vgpu-cli nop"
type_in_vm "vgpu-cli vector_add"
type_in_vm "vgpu-cli vector_add 1000000"
type_in_vm "vgpu-cli status"
type_in_vm "vgpu-cli message 'Hello from the VM'"
echo
echo "That message stands in the mediator's log:"
within 5 grep -q 'Hello from the VM' "$LAB_LOG"
grep 'Hello from the VM' "$LAB_LOG" | sed 's/^/    /' || failed+=("message in the log")

if [ -n "${DEMO_SHELL:-}" ]; then
	say "A shell in the VM, as user alice; leave it with: exit"
	terminal_join demo alice hvc0
fi

say "5. Cleaning up"
vm_stop demo
lab_mediator_stop
if [ ${#failed[@]} -gt 0 ]; then
	echo "Failed: ${failed[*]}"
	exit 1
fi
echo "The VM and the mediator have ended; QEMU, kernel and image stay in the cache ($VGPU_CACHE)."
