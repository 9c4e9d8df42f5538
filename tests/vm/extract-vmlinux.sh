#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# extract-vmlinux.sh BZIMAGE: write the ELF kernel that a bzImage carries to
# stdout. The boot protocol's header says where it is: setup_sects (0x1f1),
# payload_offset (0x248) and payload_length (0x24c).
set -euo pipefail

number() { # OFFSET BYTES
	od -An -tu"$2" -j "$(($1))" -N "$2" "$image" | tr -d ' '
}

image=$1
sects=$(number 0x1f1 1)
start=$((((sects ? sects : 4) + 1) * 512 + $(number 0x248 4)))
bytes=$(number 0x24c 4)
magic=$(od -An -tx1 -j "$start" -N 4 "$image" | tr -d ' ')
case $magic in
fd377a58) unpack=(xz -dc --single-stream) ;;
28b52ffd) unpack=(zstd -dc) ;;
1f8b*) unpack=(gzip -dc) ;;
*)
	echo "$image: payload: unknown compression $magic" >&2
	exit 1
	;;
esac

# The last four bytes are the unpacked size.
head -c $((start + bytes - 4)) "$image" | tail -c $((bytes - 4)) | "${unpack[@]}"
