#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# After installing: create the group, let udevd read the rule, and treat devices
# that are there already as if they came now. After removing (--removed): let
# udevd forget the rule, and say what stays as it is.
devices() {
	for d in /sys/bus/pci/devices/*; do
		case $(cat "$d/vendor" "$d/device" "$d/class" 2>/dev/null | tr '\n' ' ') in
		'0x1af4 0x1111 0x1200'*) echo "${d##*/}" ;;
		esac
	done
}

xen_devices() {
	for d in /sys/bus/xen/devices/vgpu-*; do
		[ ! -e "$d" ] || echo "$d"
	done
}

# In a container or an image there may be no udevd to tell.
tell_udevd() {
	[ -S /run/udev/control ] || return 1
	udevadm control --reload
}

if [ "$1" = --removed ]; then
	tell_udevd
	for d in $(devices); do
		[ "$(basename "$(readlink "/sys/bus/pci/devices/$d/driver")")" = uio_pci_generic ] || continue
		echo "$d stays bound to uio_pci_generic. To release it, as root:"
		echo "    echo $d > /sys/bus/pci/drivers/uio_pci_generic/unbind"
		echo "    echo > /sys/bus/pci/devices/$d/driver_override"
	done
	for node in /dev/xen/gntalloc /dev/xen/evtchn /dev/xen/xenbus; do
		[ "$(stat -c %G "$node" 2>/dev/null)" = vgpu ] || continue
		echo "$node stays open to group vgpu until the next boot. To close it, as root:"
		echo "    chmod 600 $node && chgrp root $node"
	done
	echo "Group vgpu stays; groupdel vgpu removes it."
	exit 0
fi

if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers vgpu.conf
elif ! grep -q '^vgpu:' /etc/group; then
	groupadd --system vgpu
fi || echo "group vgpu: not created; create it, then run: udevadm control --reload" >&2
if tell_udevd; then
	# That includes what is below, so also the node of one that was bound before.
	for d in $(devices); do
		udevadm trigger --action=add "/sys/bus/pci/devices/$d"
	done
	for d in $(xen_devices); do
		udevadm trigger --action=add "$d"
	done
fi
echo "Users who may use the device belong in group vgpu: adduser NAME vgpu"
