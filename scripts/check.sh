#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `make check`: every test that needs no GPU. Installs what it needs, runs each suite through
# make, shows a line a suite (all of the output is kept in build/check/), and ends with one
# line that counts all tests. CHECK_SUITES="unit vm" runs only some.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$VGPU_TOP" || exit 1

"$VGPU_TOP/scripts/deps.sh" test || exit 1

suites=(format build images xen unit san-address san-thread model conformance faults fuzz qtest vm soak)
[ -z "${CHECK_SUITES:-}" ] || read -ra suites <<<"$CHECK_SUITES"

# Beside all that follow it. Emulated processors with little to do for a second one of the
# machine's; and it builds nothing that `images` has not built.
beside=xen

logs=$VGPU_TOP/build/check
mkdir -p "$logs"
rm -f "$logs"/*.{totals,line,rc}
export WERROR=1

# What a suite runs. san-*: the tests that drive code with untrusted input, instrumented.
suite_command() {
	case $1 in
	format) make --no-print-directory check-format ;;
	build) make --no-print-directory -j2 all ;;
	images) make --no-print-directory xen-image ;;
	san-address) make --no-print-directory -j2 SAN=address,undefined check-san ;;
	san-thread) make --no-print-directory -j2 SAN=thread check-san ;;
	soak) make --no-print-directory soak SOAK_SECONDS="${SOAK_SECONDS:-60}" ;;
	*) make --no-print-directory "check-$1" ;;
	esac
}

# Suites that are no TAP tests count as one test each.
counts_itself() {
	case $1 in format | build | images) return 1 ;; *) return 0 ;; esac
}

# suite_run NAME: leaves NAME.log, its totals, the line that tells of it, and its exit code.
suite_run() {
	local s=$1 start=$SECONDS rc totals=$logs/$1.totals
	: >"$totals"
	VGPU_TEST_TOTALS=$totals suite_command "$s" >"$logs/$s.log" 2>&1 </dev/null
	rc=$?
	if ! counts_itself "$s"; then
		if [ $rc = 0 ]; then echo "1 0 0"; else echo "0 1 0"; fi >"$totals"
	elif [ $rc != 0 ] && ! awk '$2 { bad = 1 } END { exit !bad }' "$totals"; then
		echo "0 1 0" >>"$totals" # failed before or beside its tests
	elif [ ! -s "$totals" ]; then
		echo "0 1 0" >>"$totals" # a suite that tested nothing is broken
		rc=1
	fi
	printf '%-12s %-4s %4ds  %s\n' "$s" "$([ $rc = 0 ] && echo ok || echo FAIL)" $((SECONDS - start)) \
		"$(awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped", p, f, s }' "$totals")" \
		>"$logs/$s.line"
	echo $rc >"$logs/$s.rc"
}

failed_suites=()

# suite_end NAME PID: wait for it, and tell.
suite_end() {
	local s=$1 start=$SECONDS
	while kill -0 "$2" 2>/dev/null; do
		sleep 0.5
		[ -t 1 ] && printf '\r\033[K%-12s ... %ds' "$s" $((SECONDS - start))
	done
	wait "$2"
	[ -t 1 ] && printf '\r\033[K'
	cat "$logs/$s.line"
	[ "$(cat "$logs/$s.rc")" = 0 ] && return
	failed_suites+=("$s")
	echo "---- the end of ${logs#"$VGPU_TOP"/}/$s.log:"
	grep -nE '^not ok|Failed test|Error [0-9]+$|ERROR:|runtime error|WARNING: ThreadSanitizer' "$logs/$s.log" | head -n 20
	tail -n 40 "$logs/$s.log"
	echo "----"
}

beside_pid=
for s in "${suites[@]}"; do
	suite_run "$s" &
	if [ "$s" = $beside ]; then
		beside_pid=$!
	else
		suite_end "$s" $!
	fi
done
[ -z "$beside_pid" ] || suite_end $beside "$beside_pid"

if [ ${#failed_suites[@]} -gt 0 ]; then
	echo "failed: ${failed_suites[*]} (again: CHECK_SUITES=\"${failed_suites[*]}\" make check)"
fi
awk '{ p += $1; f += $2; s += $3 }
	END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || p == 0 }' "$logs"/*.totals
rc=$?
[ ${#failed_suites[@]} -eq 0 ] && exit $rc
exit 1
