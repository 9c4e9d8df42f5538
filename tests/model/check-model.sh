#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Check the wake-up protocol with spin: the model as it is, and then broken in each way that
# must show. TAP. What a failed case leaves behind (pan.c, trail) stays in $1.
#
# usage: check-model.sh DIRECTORY

set -u
here=$(cd "$(dirname "$0")" && pwd)
model=$here/wakeup.pml
source_c=$here/../../common/spsc.c
work=${1:-build/tests/model}
memory_mb=1500
seconds=300 # for a search that hangs
number=0
failed=0

result() { # RC TEXT
	number=$((number + 1))
	if [ "$1" = 0 ]; then
		echo "ok $number - $2"
	else
		echo "not ok $number - $2"
		failed=$((failed + 1))
	fi
}

# search CASE PAN_COMPILE PAN_RUN SPIN...: what pan says, in $work/CASE/log
search() {
	local dir=$work/$1 compile=$2 run=$3
	shift 3
	rm -rf "$dir" && mkdir -p "$dir" || return 1
	# shellcheck disable=SC2086
	(cd "$dir" && {
		spin "$@" -a "$model" &&
			gcc -O2 -w -DCOLLAPSE -DMEMLIM=$memory_mb $compile -o pan pan.c &&
			timeout $seconds ./pan $run -m3000000 -w22
	} >log 2>&1)
}

# holds CASE COMPILE RUN SPIN...: the whole of the search is done and finds nothing
holds() {
	local name=$1 log=$work/$1/log
	search "$@"
	if grep -q 'errors: 0$' "$log" && ! grep -qE 'too small|limit|pan:1|aborted' "$log"; then
		result 0 "holds: $name, $(awk '/states, stored/ { print $1 }' "$log") states"
		rm -rf "${work:?}/$name"
	else
		result 1 "holds: $name"
		sed 's/^/# /' "$log" | head -n 20 >&2
		echo "# replay: cd $work/$name && spin -t -p ${*:4} $model" >&2
	fi
}

# fails CASE ERROR SPIN...: the search finds this kind of error
fails() {
	local name=$1 error=$2 log=$work/$1/log
	shift 2
	search "$name" -DSAFETY "" "$@"
	if grep -qF "pan:1: $error" "$log"; then
		result 0 "is seen: $name: $error"
		rm -rf "${work:?}/$name"
	else
		result 1 "is seen: $name: $error"
		sed 's/^/# /' "$log" | head -n 20 >&2
	fi
}

mkdir -p "$work" && work=$(cd "$work" && pwd) || exit 1
echo "1..14"

# The model speaks of the code as it is now.
lost=$(sed -n 's|.*/\* C: \(.*\) \*/.*|\1|p' "$model" | sort -u |
	while IFS= read -r line; do grep -qF -- "$line" "$source_c" || printf '%s\n' "$line"; done)
quotes=$(grep -c '/\* C: ' "$model")
[ -z "$lost" ] && [ "$quotes" -ge 14 ]
result $? "each statement that the model quotes stands in common/spsc.c"
[ -z "$lost" ] || printf '%s\n' "$lost" | sed 's/^/# gone: /' >&2

count="-DTOTAL=5 -DRSP_ENTRIES=2 -DCOUNT_SIGNALS"
# shellcheck disable=SC2086
{
	holds no-lost-wakeup -DSAFETY ""
	holds every-request-answered -DNP -l -DRSP_ENTRIES=2
	holds signals-only-when-asked -DSAFETY "" $count
	holds no-signal-to-pollers -DSAFETY "" $count -DNOBODY_SLEEPS

	fails no-fence-behind-request "invalid end state" -DNO_FENCE_PRODUCE_REQ
	fails no-fence-behind-response "invalid end state" -DNO_FENCE_PRODUCE_RSP
	fails no-fence-sleep-for-request "invalid end state" -DNO_FENCE_SLEEP_REQ
	fails no-fence-sleep-for-response "invalid end state" -DNO_FENCE_SLEEP_RSP
	fails no-last-look-before-sleep "invalid end state" -DNO_LAST_LOOK
	fails event-one-too-early "invalid end state" -DASKS_FOR_OLD
	fails event-of-the-next-slot "invalid end state" -DEVENT_TAKES_NEXT
	fails number-of-the-lap-before "assertion violated (cons!=" -DNUMBER_IS_LAP
	fails answers-twice "assertion violated" -DHOST_ANSWERS_TWICE
}
[ $number = 14 ] && [ $failed = 0 ]
