#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run each fuzz target for a while from a copy of its seeds, two at a time. TAP.
# Inputs that fail are kept in BUILD/crashes.
#
# usage: run.sh BUILD SECONDS TARGET...
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$1
seconds=$2
shift 2
targets=("$@")
crashes=$build/crashes
work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-fuzz.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

mkdir -p "$crashes"
"$here/seeds.py" "$work/corpus" || exit 1

one() { # TARGET
	local corpus=$work/corpus/$1
	mkdir -p "$corpus"
	[ -d "$here/corpus/$1" ] && cp "$here/corpus/$1/"* "$corpus/"
	if [ -z "$(ls "$corpus")" ]; then
		echo "no seeds for $1" >"$work/$1.log"
		return 1
	fi
	# libFuzzer's own limits end a run in good order; timeout is for a target that hangs.
	timeout -k 5 $((seconds + 60)) "$build/fuzz-$1" -max_total_time="$seconds" -timeout=20 \
		-rss_limit_mb=1500 -print_final_stats=1 -artifact_prefix="$crashes/$1-" \
		"$corpus" >"$work/$1.log" 2>&1
}

echo "1..${#targets[@]}"
number=0
failed=0
for ((i = 0; i < ${#targets[@]}; i += 2)); do
	pids=()
	for t in "${targets[@]:i:2}"; do
		one "$t" &
		pids+=($!)
	done
	for ((k = 0; k < ${#pids[@]}; k++)); do
		t=${targets[i + k]}
		log=$work/$t.log
		number=$((number + 1))
		if wait "${pids[k]}"; then
			runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
			cover=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1)
			echo "ok $number - $t: ${runs:-?} runs, $cover"
		else
			failed=1
			echo "not ok $number - $t"
			{ # prove shows what goes to stderr
				grep -E 'ERROR|runtime error|SUMMARY|^    #[0-9] |Test unit written|no seeds' "$log" |
					head -n 20 | sed 's/^/# /'
				file=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
				[ -n "$file" ] && echo "# reproduce: $build/fuzz-$t $file"
				tail -n 3 "$log" | sed 's/^/# /'
			} >&2
		fi
	done
done
exit $failed
