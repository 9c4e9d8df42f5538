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
	xen_mediator_stop
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
if ! kill -0 "$XENLIB_MEDIATOR_PID" 2>/dev/null; then
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
xen_mediator_stop
# What a sanitizer found in a worker or the supervisor, or the library's error lines.
if grep -qE 'ERROR: [A-Za-z]*Sanitizer|runtime error|WARNING: ThreadSanitizer|SUMMARY:' \
	"$dir/stderr" "$dir/log"; then
	rc=1
fi
if [ $rc != 0 ]; then
	for f in stderr log; do
		[ -s "$dir/$f" ] && echo "# the mediator's $f:" >&2 && tail -n 60 "$dir/$f" | sed 's/^/# /' >&2
	done
fi
xen_stop || rc=1
exit $rc
