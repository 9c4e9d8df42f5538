#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# vgpu-conformance over the `xen` transport with a stand-in for Xen (tests/xenlib): a mediator of
# its own (backend cpu) in domain 0, the suite in domain 1.
#
# usage: xen.sh BUILD [ARGUMENT OF vgpu-conformance...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1
shift
. "$here/../xenlib/domains.sh"
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-conf.XXXXXX") || exit 1
finish() {
	mediator_stop
	xen_stop
	rm -rf "$dir"
}
trap finish EXIT

# left WHAT DOMAIN: how many are in use. Programs that have just ended may still be cleared away.
left() {
	local i n
	for ((i = 0; i < 100; i++)); do
		n=$("$XENLIB_CTL" count "$2" "$1")
		[ "$n" = 0 ] && break
		sleep 0.05
	done
	echo "$n"
}

if ! xen_start "$build" || ! "$XENLIB_CTL" limit 1 16384 || ! "$XENLIB_CTL" attach 1 0; then
	echo "Bail out! the stand-in for Xen does not start"
	exit 1
fi

if ! xen_mediator_start "$build" "$dir"; then
	echo "Bail out! the mediator does not serve the device"
	exit 1
fi

as_domain 1 "$build/tests/xenlib/vgpu-conformance" --device xen "$@"
rc=$?
if ! mediator_lives; then
	echo "# the mediator died" >&2
	rc=1
fi
for what in grants ports watches transactions; do
	n=$(left $what 1)
	[ "$n" = 0 ] && continue
	echo "# the guest's programs left $n $what behind" >&2
	rc=1
done
if "$XENLIB_CTL" dump | grep '/channel-' | sed 's/^/# left behind: /' >&2 && [ "${PIPESTATUS[1]}" = 0 ]; then
	rc=1
fi
mediator_stop
mediator_is_clean "$dir" || rc=1
[ $rc = 0 ] || mediator_tell "$dir"
xen_stop || rc=1
exit $rc
