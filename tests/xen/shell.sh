#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `make xen-lab`: a shell as root in the dom0 of a Xen in emulation, with what a guest
# needs in place.
cd "$(dirname "$0")/../.." || exit 1
[ -t 0 ] || {
	echo "xen-lab: needs a terminal" >&2
	exit 1
}
. tests/xen/lab.sh
. tests/vm/terminal.sh

mapfile -t options < <(terminal_options)
echo "Xen and dom0 are starting, half a minute or so ..."
xen_start "${options[@]}"
for kind in hvm pvh driver; do
	dom0 "cat >/etc/xen/$kind.cfg <<'END'
$(xen_config $kind $kind)
END"
done
cat <<-END
	This is dom0 of Xen $(dom0 "xl info xen_version" && echo "$VM_OUT"), as root, on one emulated processor.
	What is here was built from this tree: gpu_mediator, vgpu-admin, vgpu-cli, and the device model.

	    xl create /etc/xen/hvm.cfg      a guest with vgpu-stub; also pvh.cfg, and driver.cfg, a driver domain
	    tail -f /var/log/xen/console/guest-hvm.log
	    vgpu-admin list
	    gpu_mediator --foreground --config /etc/gpu_mediator/config.conf
	    xl console hvm                  its command agent listens here: see /agent
	    xl destroy hvm

	Leave it with: exit. Nothing is kept.
END
terminal_join dom0 root hvc1
