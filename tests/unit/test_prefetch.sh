#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The compiler may drop a prefetch unseen, and only a benchmark would tell. In TAP.

object=${VGPU_BUILD:-build}/common/spsc.o

if [ "$(uname -m)" != x86_64 ]; then
	echo "1..0 # SKIP: knows the instruction of x86-64 only"
	exit
fi
echo 1..2
n=0
for f in spsc_pending spsc_consume; do
	if objdump -d --no-show-raw-insn "$object" | sed -n "/<$f>:/,/^\$/p" |
		grep -qE 'prefetch|call .*<(shm_prefetch|fetch_rest)>'; then
		echo "ok $((++n)) - $f fetches lines ahead"
	else
		echo "not ok $((++n)) - $f fetches lines ahead"
	fi
done
