#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# build-overlay.sh [--init FILE] OUT FILE:PATH...: the part of a test image that changes
# with every build: init (the guests', if no other is named), the agent, users, and each
# FILE at PATH (a library brings the symlinks that stand beside it and point to it).
# OUT ends in .cpio or in .ext4, and is that.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../scripts/lib.sh"
. "$here/../lib/image.sh"
init=$here/guest/init
if [ "$1" = --init ]; then
	init=$2
	shift 2
fi
out=$1
shift

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"

install -D -m 755 "$init" "$root/init"
install -D -m 755 "$here/guest/agent" "$root/agent"
mkdir -p "$root/etc" "$root/usr/lib/sysusers.d"
cat >"$root/etc/passwd" <<END
root:x:0:0:root:/root:/bin/sh
END
# The groups that udev's own rules name, as on any Debian.
{
	echo root:x:0:
	gid=5
	for group in tty disk lp dialout cdrom floppy tape audio video sgx kvm render input kmem; do
		echo "$group:x:$gid:"
		gid=$((gid + 1))
	done
} >"$root/etc/group"
# alice may use the device, bob may not. The group itself is the product's to make.
cat >"$root/usr/lib/sysusers.d/vgpu-test-users.conf" <<END
u alice 1000 "in group vgpu" /home/alice /bin/sh
u bob 1001 "not in it" /home/bob /bin/sh
m alice vgpu
END

for pair in "$@"; do
	file=${pair%%:*} path=${pair#*:}
	mkdir -p "$root$(dirname "$path")"
	cp -p "$file" "$root$path"
	# Symlinks beside it: libx.so.1 -> libx.so.1.2
	find "$(dirname "$file")" -maxdepth 1 -type l -lname "$(basename "$file")" \
		-exec cp -P {} "$root$(dirname "$path")/" \;
done

case $out in
*.cpio) pack_cpio "$root" >"$out.tmp" ;;
*.ext4) pack_ext4 "$root" "$out.tmp" ;;
*) die "$out: neither .cpio nor .ext4" ;;
esac
mv "$out.tmp" "$out"
