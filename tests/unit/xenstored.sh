# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A real xenstored for a test: private, and without Xen (see xenstored_host.c). Source it, and
# call xenstored_start DIR; xenstored_stop ends it. Afterwards libxenstore and xenstore-* of this
# shell's children mean that one. Every client is dom0.
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

XENSTORED_PACKAGES=(xen-utils-4.17 xenstore-utils)
xenstored_pid=

# The packages are unpacked, not installed: installing them is for machines that run Xen.
xenstored_unpack() {
	local tmp
	[ -d "$XENSTORED_TREE" ] && return 0
	tmp=$(mktemp -d "$VGPU_CACHE/tmp-xenstored.XXXXXX")
	(cd "$tmp" && apt-get -o APT::Sandbox::User= download "${XENSTORED_PACKAGES[@]}" &&
		for f in *.deb; do dpkg -x "$f" tree; done) >"$tmp/log" 2>&1 || {
		cat "$tmp/log" >&2
		die "xenstored: cannot get ${XENSTORED_PACKAGES[*]} (apt-get update?)"
	}
	publish "$tmp/tree" "$XENSTORED_TREE"
	rm -rf "$tmp"
}

xenstored_start() { # DIR
	local i
	mkdir -p "$VGPU_CACHE"
	XENSTORED_TREE=$VGPU_CACHE/xenstored-4.17
	with_lock xenstored xenstored_unpack || return 1
	export XENSTORED_RUNDIR=$1 PATH=$XENSTORED_TREE/usr/bin:$PATH
	LD_PRELOAD=$(realpath "${VGPU_BUILD:-build}/tests/unit/xenstored_host.so") \
		timeout 300 "$XENSTORED_TREE/usr/lib/xen-4.17/bin/xenstored" --no-fork \
		--pid-file="$1/pid" >"$1/log" 2>&1 </dev/null &
	xenstored_pid=$!
	for ((i = 0; i < 100; i++)); do
		xenstore-exists / 2>/dev/null && return 0
		kill -0 "$xenstored_pid" 2>/dev/null || break
		sleep 0.1
	done
	cat "$1/log" >&2
	die "xenstored did not start"
}

xenstored_stop() {
	[ -n "$xenstored_pid" ] && kill "$xenstored_pid" 2>/dev/null
	wait "$xenstored_pid" 2>/dev/null
	xenstored_pid=
}

# A guest as toolstacks make it: xen_guest DOMID NAME UUID
xen_guest() {
	xenstore-write "/local/domain/$1/name" "$2" "/local/domain/$1/vm" "/vm/$3"
	xenstore-chmod "/local/domain/$1" n0 "r$1"
}
