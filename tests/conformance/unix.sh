#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# vgpu-conformance over the `unix` transport, against a mediator of its own (backend cpu).
#
# usage: [CONFORMANCE_LIMITS=LINE] unix.sh BUILD [ARGUMENT OF vgpu-conformance...]
set -u
build=$1
shift
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-conf.XXXXXX") || exit 1
mediator=

finish() {
	if [ -n "$mediator" ]; then
		kill "$mediator" 2>/dev/null
		wait "$mediator" 2>/dev/null
	fi
	rm -rf "$dir"
}
trap finish EXIT

cat >"$dir/config" <<END
[mediator]
log = $dir/log
pid_file = $dir/pid
pool_size = 2
[backend]
backend = cpu
[devices]
enabled = no
[clients]
socket = $dir/client.sock
[limits]
open_rate = 0
${CONFORMANCE_LIMITS:-}
END
"$build/host/gpu_mediator" --foreground --config "$dir/config" 2>"$dir/stderr" &
mediator=$!
listening() { grep -qs 'client socket .*: listening' "$dir/log"; }
for ((i = 0; i < 300; i++)); do
	listening && break
	kill -0 "$mediator" 2>/dev/null || break
	sleep 0.1
done
if ! listening; then
	echo "Bail out! the mediator does not start"
	sed 's/^/# /' "$dir/stderr" "$dir/log" >&2
	exit 1
fi

"$build/tests/conformance/vgpu-conformance" --device "unix:$dir/client.sock" "$@"
rc=$?
if ! kill -0 "$mediator" 2>/dev/null; then
	echo "# the mediator died" >&2
	rc=1
fi
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
exit $rc
