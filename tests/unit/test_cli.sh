#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vgpu-cli: usage, exit codes, both outputs. In TAP.

cli=${VGPU_BUILD:-build}/vgpu-cli
host=${VGPU_BUILD:-build}/tests/unit/cli_host
tmp=$(mktemp -d)
n=0
hosts=()
unset VGPU_DEVICE

finish() {
	local pid
	for pid in "${hosts[@]}"; do
		kill "$pid" 2>/dev/null
	done
	rm -rf "$tmp"
}
trap finish EXIT

# serve HOW: a host of that kind; $device is its name. It ends when descriptor $feed closes.
serve() {
	mkfifo "$tmp/in.$1" "$tmp/out.$1"
	"$host" "$1" <"$tmp/in.$1" >"$tmp/out.$1" 2>/dev/null &
	hosts+=($!)
	exec {feed}>"$tmp/in.$1"
	read -r -t 20 device <"$tmp/out.$1"
}

dismiss() {
	exec {feed}>&-
	wait "${hosts[-1]}"
	unset 'hosts[-1]'
}

# run ARGUMENT...: output in $out and $err, exit code in $code.
run() {
	timeout 30 "$cli" "$@" >"$tmp/out" 2>"$tmp/err"
	code=$?
	out=$(cat "$tmp/out")
	err=$(cat "$tmp/err")
}

ok() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		printf '%s\n' "code $code" "out: $out" "err: $err" | sed 's/^/# /'
	fi
}

# expect CODE PART-OF-OUT PART-OF-ERR NAME
expect() {
	[ "$code" = "$1" ] && [[ $out == *"$2"* ]] && [[ $err == *"$3"* ]]
	ok $? "$4"
}

# usage NAME-OF-CULPRIT ARGUMENT...: refused with 2, says what is wrong, prints nothing else.
usage() {
	local part=$1
	shift
	run "$@"
	[ $code = 2 ] && [ -z "$out" ] && [[ $err == "Error: "*"$part"* ]]
	ok $? "usage: $*"
}

run invalid_command
expect 2 '' 'Error: Invalid command' 'invalid command: text'
[ "$(head -n 1 "$tmp/err")" = 'Error: Invalid command' ] && [[ $err == *invalid_command* ]]
ok $? 'invalid command: alone on its line, its name on the next'
run $'\033[2Jx'
[ $code = 2 ] && [[ $err != *$'\033'* ]]
ok $? 'invalid command: escapes are not echoed'
usage 'takes no arguments' nop 1
usage 'takes no arguments' status x
usage 'takes no arguments' list x
usage 'takes no arguments' bench x
usage 'takes no arguments' doctor x
usage 'no text' message
usage 'no text' message ''
usage 'at most 480' message "$(printf '%0481d' 0)"
usage 'one number' vector_add 1 2
for bad in 0 -1 +1 1.5 12x 0x10 '' ' 1' 99999999999999999999; do
	usage 'no number of elements' vector_add -- "$bad"
done
for bad in 0 -1 1.2345 1. .5 x '' 1e3 nan 1000001 99999999999999999999; do
	usage 'timeout' --timeout "$bad" nop
done
usage 'iterations' bench --iterations 0
usage 'iterations' bench -n 1x
usage 'mode' bench --mode fast
usage 'belong to bench' nop -n 5
usage 'belongs to vector_add' nop --seed 1
usage 'belongs to vector_add' vector_add --seed 1
usage 'no number' vector_add 5 --seed x
usage 'unknown option' --bogus
usage 'needs a value' nop --device
usage 'one command' help nop list
run help bogus
expect 2 '' 'Invalid command' 'help of an unknown command'

run help
expect 0 'vector_add [N]' '' 'help'
run --help
expect 0 'Usage: vgpu-cli' '' '--help'
run help bench
expect 0 '--iterations' '' 'help bench'
run --version
expect 0 'vgpu-cli 0.' '' '--version'
run --device nonsense nop
expect 1 '' 'VGPU_EINVAL' 'a device that is none'
run --device "unix:$tmp/none" nop
expect 3 '' 'is gpu_mediator running?' 'no mediator'
run --device "unix:$tmp/none" --json nop
expect 3 '"VGPU_ENOMEDIATOR"' '' 'no mediator, --json'
run --device "unix:$tmp/none" doctor
expect 3 'FAIL  channel' 'is gpu_mediator running?' 'doctor: no mediator'
run --device pci:ffff:ff:1f.7 nop
expect 3 '' 'VGPU_ENODEV' 'no device'
run --json bogus
expect 2 '"ok": false' '' 'invalid command, --json'
code=$(timeout 30 "$cli" help >/dev/full 2>"$tmp/err"; echo $?)
err=$(cat "$tmp/err") out=
expect 1 '' 'No space left' 'a full disk fails help'

serve good
run -d "$device" nop
[ $code = 0 ] && [ "$out" = 'NOP command successful' ] && [ -z "$err" ]
ok $? 'nop'
run -d "$device" vector_add
[ $code = 0 ] && [ "$out" = 'Vector add passed: 1024 elements, 0 errors
Executed on fake (backend cpu)' ]
ok $? 'vector_add'
run vector_add 100001 --device "$device" --seed 7
expect 0 'Vector add passed: 100001 elements, 0 errors' '' 'vector_add N'
VGPU_DEVICE=$device run status
expect 0 'the host found no GPU' '' 'status, device from the environment'
run -d "$device"
expect 0 'mediator   0.0' '' 'no command'
run -d "$device" message hello world
expect 0 'Message sent' '' 'message'
run -d "$device" message -- --json
expect 0 'Message sent' '' 'message that looks like an option'
run -d "$device" bench -n 50
expect 0 'sleeping' '' 'bench'
[[ $out == *polling* ]] && [ -z "$err" ]
ok $? 'bench: both modes, no progress bar into a file'
run -d "$device" bench -n 50 -m polling
[ $code = 0 ] && [[ $out == *polling* ]] && [[ $out != *sleeping* ]]
ok $? 'bench: one mode'
run -d "$device" doctor
expect 0 'ok    event ' '' 'doctor: all well'
[[ $out == *'note  vector_add '*'without a GPU'* ]] && [[ $out != *FAIL* ]]
ok $? 'doctor: a host without a GPU is a note'
run -d "$device" -v nop
expect 0 'successful' 'channel is open' 'verbose'
run -d "$device" -t 5 nop
expect 0 'successful' '' 'timeout'
for command in nop vector_add 'vector_add 5' status 'message x' 'bench -n 5' doctor help; do
	# shellcheck disable=SC2086
	run --json -d "$device" $command
	[ $code = 0 ] && [ -z "$err" ] && [[ $out == '{'*'"ok": true'*'}' ]] &&
		[[ $out == *"\"command\": \"${command%% *}\""* ]]
	ok $? "--json $command"
done
code=$(timeout 30 "$cli" -d "$device" nop >/dev/full 2>"$tmp/err"; echo $?)
err=$(cat "$tmp/err") out=
expect 1 '' 'No space left' 'a full disk fails nop'
dismiss

serve wrong
run -d "$device" vector_add
expect 1 '' '1024 elements, 3 errors' 'vector_add: the self-test found errors'
run -d "$device" vector_add 10
expect 1 '' '10 elements, 1 errors' 'vector_add N: the sum is checked here'
run -d "$device" doctor
expect 1 'FAIL  vector_add   3 of 1024 sums are wrong' '1 checks failed' 'doctor: wrong sums'
run -d "$device" --json doctor
expect 1 '"result": "fail"' '' 'doctor: wrong sums, --json'
dismiss

serve rude
run -d "$device" vector_add
[ $code = 0 ] && [[ $out != *$'\033'* ]] && [ "$(wc -l <"$tmp/out")" = 2 ]
ok $? 'names from the host cannot drive the terminal'
dismiss

serve dead
run -d "$device" nop
expect 1 '' 'VGPU_EDEVLOST' 'the host goes away'
run -d "$device" doctor
expect 1 'FAIL  nop ' 'checks failed' 'doctor: the host goes away'
dismiss

echo "1..$n"
