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

suites=(format build unit san-address san-thread model conformance faults fuzz qtest vm xen soak)
[ -z "${CHECK_SUITES:-}" ] || read -ra suites <<<"$CHECK_SUITES"

logs=$VGPU_TOP/build/check
mkdir -p "$logs"
export VGPU_TEST_TOTALS=$logs/totals WERROR=1
: >"$VGPU_TEST_TOTALS"

# What a suite runs. san-*: the tests that drive code with untrusted input, instrumented. xen: all but
# the scenarios that take minutes each.
suite_command() {
	case $1 in
	format) make --no-print-directory check-format ;;
	build) make --no-print-directory -j2 all ;;
	san-address) make --no-print-directory -j2 SAN=address,undefined check-san ;;
	san-thread) make --no-print-directory -j2 SAN=thread check-san ;;
	xen) make --no-print-directory check-xen XEN_SCENARIOS="${XEN_SCENARIOS:-lab basic attach cost guests driver}" ;;
	soak) make --no-print-directory soak SOAK_SECONDS="${SOAK_SECONDS:-60}" ;;
	*) make --no-print-directory "check-$1" ;;
	esac
}

# Suites that are no TAP tests count as one test each.
counts_itself() {
	case $1 in format | build) return 1 ;; *) return 0 ;; esac
}

failed_suites=()
for s in "${suites[@]}"; do
	start=$SECONDS
	before=$(wc -l <"$VGPU_TEST_TOTALS")
	suite_command "$s" >"$logs/$s.log" 2>&1 </dev/null &
	pid=$!
	while kill -0 $pid 2>/dev/null; do
		sleep 0.5
		[ -t 1 ] && printf '\r\033[K%-12s ... %ds' "$s" $((SECONDS - start))
	done
	wait $pid
	rc=$?
	[ -t 1 ] && printf '\r\033[K'
	if ! counts_itself "$s"; then
		if [ $rc = 0 ]; then echo "1 0 0"; else echo "0 1 0"; fi >>"$VGPU_TEST_TOTALS"
	elif [ $rc != 0 ] && ! tail -n +$((before + 1)) "$VGPU_TEST_TOTALS" | awk '$2 { bad = 1 } END { exit !bad }'; then
		echo "0 1 0" >>"$VGPU_TEST_TOTALS" # failed before or beside its tests
	elif [ "$(wc -l <"$VGPU_TEST_TOTALS")" = "$before" ]; then
		echo "0 1 0" >>"$VGPU_TEST_TOTALS" # a suite that tested nothing is broken
		rc=1
	fi
	counts=$(tail -n +$((before + 1)) "$VGPU_TEST_TOTALS" |
		awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped", p, f, s }')
	printf '%-12s %-4s %4ds  %s\n' "$s" "$([ $rc = 0 ] && echo ok || echo FAIL)" $((SECONDS - start)) "$counts"
	if [ $rc != 0 ]; then
		failed_suites+=("$s")
		echo "---- the end of ${logs#"$VGPU_TOP"/}/$s.log:"
		grep -nE '^not ok|Failed test|Error [0-9]+$|ERROR:|runtime error|WARNING: ThreadSanitizer' "$logs/$s.log" | head -n 20
		tail -n 40 "$logs/$s.log"
		echo "----"
	fi
done

if [ ${#failed_suites[@]} -gt 0 ]; then
	echo "failed: ${failed_suites[*]} (again: CHECK_SUITES=\"${failed_suites[*]}\" make check)"
fi
awk '{ p += $1; f += $2; s += $3 }
	END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 || p == 0 }' "$VGPU_TEST_TOTALS"
rc=$?
[ ${#failed_suites[@]} -eq 0 ] && exit $rc
exit 1
