# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Each kind of guest, alone: what a user types first.

basic() { # NAME
	local id
	id=$(guest_domid "$1")
	guest_is "$1" alice "vgpu-cli nop" 0 'NOP command successful' "$1: nop, as alice of group vgpu"
	guest_is "$1" alice "vgpu-cli vector_add" 0 '1024 elements, 0 errors' "$1: vector_add on the host"
	guest_is "$1" alice "vgpu-cli vector_add 300000" 0 '300000 elements, 0 errors' \
		"$1: vector_add of its own data, more than fits the window"
	guest_is "$1" alice "vgpu-cli status" 0 "xen:0.*" "$1: status"
	like "$VM_OUT" "knows this machine as \"$1\"" "$1: it names the guest"
	guest_is "$1" alice "vgpu-cli message 'it is $1'" 0 '' "$1: message"
	pass "$1: is logged with domain, name and uuid" within 5 on dom0 \
		"grep -E 'domain $id \"$1\" \\([0-9a-f-]{36}\\): channel [0-9]+: message: it is $1' $MEDIATOR_LOG"
	guest_is "$1" bob "vgpu-cli nop" 1 'group vgpu' "$1: bob, not in the group, is told so"
	guest_is "$1" alice "vgpu-cli doctor" 0 '' "$1: doctor finds nothing wrong"
	pass "$1: no channel is left" within 5 channel_nodes_are "$1" 0
}

for guest in $guests; do
	basic $guest
done

for guest in alpha gamma; do
	guest_is $guest root "lspci -nnk -d 1af4:1111" 0 'Kernel driver in use: uio_pci_generic' \
		"$guest: udev bound the stub device"
done
guest_is alpha alice "vgpu-cli list" 0 'xen:0: usable' "alpha: list shows the device in XenStore"
examples_run alpha
guest_is beta root "ls /sys/bus/pci/devices 2>/dev/null | wc -l" 0 '^0$' "beta has no PCI device"
