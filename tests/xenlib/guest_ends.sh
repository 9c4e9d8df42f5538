#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A guest's program is killed: its worker ends, whatever the one event is taken for that tells it so.
cd "$(dirname "$0")/../.." || exit 1
build=${VGPU_BUILD:-build}
. tests/vm/tap.sh
. tests/xenlib/domains.sh
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-ends.XXXXXX") || exit 1
client=
export VGPU_DEVICE=xen

finish() {
	[ -z "$client" ] || kill -9 "$client" 2>/dev/null
	mediator_stop
	xen_stop
	rm -rf "$dir"
}
trap finish EXIT

client_is_open() {
	grep -qs "^open" "$dir/said" || ! kill -0 "$client"
}

# The one that serves, $worker.
client_is_served() {
	worker=$(sed -n 's/.*: open: worker \([0-9]*\),.*/\1/p' "$dir/log" | tail -n 1)
	[ -n "$worker" ] && kill -0 "$worker"
}

client_start() { # MODE
	rm -f "$dir/said"
	as_domain 1 exec "$build/tests/xenlib/vm-client" "$1" >"$dir/said" 2>&1 &
	client=$!
	within 10 client_is_open
	grep -qs "^open" "$dir/said" || bail "vm-client $1: $(cat "$dir/said")"
	within 10 client_is_served || bail "vm-client $1: no worker in the log"
}

client_kill() {
	kill -9 "$client"
	wait "$client" 2>/dev/null
	client=
}

worker_ended() {
	! kill -0 "$worker" 2>/dev/null
}

xen_start "$build" && "$XENLIB_CTL" limit 1 16384 && "$XENLIB_CTL" attach 1 0 ||
	bail "the stand-in for Xen does not start"
xen_mediator_start "$build" "$dir" || bail "the mediator does not serve the device"

client_start idle
client_kill
pass "killed while idle: its worker ends" within 10 worker_ended

# Its request and its end come as one event, as they do where the worker's domain runs later.
client_start ask
sleep 0.2 # until the worker sleeps
"$XENLIB_CTL" pause 0
kill -USR1 "$client"
sleep 0.2 # until it has asked
client_kill
"$XENLIB_CTL" unpause 0
pass "killed while its request was on the way: its worker ends" within 10 worker_ended ||
	mediator_tell "$dir"

client_start ask
kill -USR1 "$client"
wait "$client"
is $? 0 "another one is served"
client=
mediator_stop
pass "no sanitizer found anything" mediator_is_clean "$dir" || mediator_tell "$dir"
done_testing
