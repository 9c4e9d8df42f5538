#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# vgpu-conformance over the `unix` transport, against a mediator of its own (backend cpu).
#
# usage: [CONFORMANCE_LIMITS=LINE] unix.sh BUILD [ARGUMENT OF vgpu-conformance...]
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1
shift
. "$here/../lib/mediator.sh"
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-conf.XXXXXX") || exit 1

finish() {
	mediator_stop
	rm -rf "$dir"
}
trap finish EXIT

listening() {
	grep -qs 'client socket .*: listening' "$dir/log"
}

if ! mediator_start "$build/host/gpu_mediator" "$dir" listening <<END; then
[clients]
socket = $dir/client.sock
[limits]
open_rate = 0
${CONFORMANCE_LIMITS:-}
END
	echo "Bail out! the mediator does not start"
	exit 1
fi

"$build/tests/conformance/vgpu-conformance" --device "unix:$dir/client.sock" "$@"
rc=$?
if ! mediator_lives; then
	echo "# the mediator died" >&2
	rc=1
fi
mediator_is_clean "$dir" || rc=1
[ $rc = 0 ] || mediator_tell "$dir"
exit $rc
