# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# TAP from shell tests. Source it; end with done_testing.
tap_count=0
tap_failed=0

tap_result() { # RC DESCRIPTION
	tap_count=$((tap_count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tap_count - $2"
		return 0
	fi
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $2"
	diag "Failed test $tap_count: $2"
	return 1
}

# What stands beside a result, on stderr, which prove shows. Multi-line text is fine.
diag() {
	printf '%s\n' "$*" | sed 's/^/# /' >&2
}

is() { # GOT EXPECTED DESCRIPTION
	if [ "$1" = "$2" ]; then
		tap_result 0 "$3"
	else
		tap_result 1 "$3"
		diag "got:      $1"
		diag "expected: $2"
		return 1
	fi
}

isnt() { # GOT OTHER DESCRIPTION
	if [ "$1" != "$2" ]; then
		tap_result 0 "$3"
	else
		tap_result 1 "$3"
		diag "got: $1"
		return 1
	fi
}

like() { # TEXT REGEX DESCRIPTION
	if grep -qE -- "$2" <<<"$1"; then
		tap_result 0 "$3"
	else
		tap_result 1 "$3"
		diag "text: $1"
		diag "does not match: $2"
		return 1
	fi
}

unlike() { # TEXT REGEX DESCRIPTION
	if grep -qE -- "$2" <<<"$1"; then
		tap_result 1 "$3"
		diag "text: $1"
		diag "matches: $2"
		return 1
	fi
	tap_result 0 "$3"
}

# pass DESCRIPTION COMMAND...: it succeeds.
pass() {
	local text=$1 out
	shift
	if out=$("$@" 2>&1); then
		tap_result 0 "$text"
	else
		tap_result 1 "$text"
		diag "$* failed: $out"
		return 1
	fi
}

# run_is NAME USER COMMAND EXIT REGEX DESCRIPTION: a command in a VM (vm.sh): exit code and
# output (both streams) fit.
run_is() {
	vm_run "$1" "$2" "$3"
	if [ "$VM_RC" = "$4" ] && grep -qE -- "$5" <<<"$VM_OUT"$'\n'"$VM_ERR"; then
		tap_result 0 "$6"
		return
	fi
	tap_result 1 "$6"
	diag "$2@$1: $3"
	diag "exit $VM_RC, expected $4; expected text: $5"
	diag "stdout: $VM_OUT"
	diag "stderr: $VM_ERR"
	return 1
}

# examples_run NAME: each example program in a VM, with a kernel of its own.
examples_run() {
	local at=/usr/lib/vgpu/examples
	run_is "$1" alice "$at/saxpy 100000" 0 '^saxpy: 100000 elements, 0 wrong$' "$1: example saxpy"
	run_is "$1" alice "$at/matmul 200 150 100" 0 ', 0 of [0-9]+ wrong$' "$1: example matmul"
	run_is "$1" alice "$at/reduction 100000" 0 'is (-?[0-9]+), expected \1$' "$1: example reduction"
	run_is "$1" alice "cd /tmp && $at/mandelbrot m.png 160 100 && head -c 4 m.png | od -An -c" 0 'P   N   G' \
		"$1: example mandelbrot"
}

# The rest makes no sense after this failed.
bail() {
	echo "Bail out! $*"
	exit 1
}

done_testing() {
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
}

# What hangs is ended so much later: a busy machine can take many times as long as is promised.
HANG_S=120

# within SECONDS COMMAND...: until it succeeds. Only a hang counts as a failure; what took longer
# than promised is told.
within() {
	local promised=$1 start=$SECONDS
	shift
	until "$@" >/dev/null 2>&1; do
		[ $((SECONDS - start)) -le $((promised + HANG_S)) ] || return 1
		sleep 0.1
	done
	[ $((SECONDS - start)) -le "$promised" ] ||
		diag "took $((SECONDS - start)) s instead of $promised: $*"
}
