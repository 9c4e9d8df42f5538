#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vgpu-admin against a real xenstored: exit codes, both outputs, waiting for the mediator. In TAP.
cd "$(dirname "$0")/../.." || exit 1
. tests/unit/xenstored.sh

admin=${VGPU_BUILD:-build}/host/vgpu-admin
tmp=$(mktemp -d)
n=0
helpers=()
finish() {
	local pid
	for pid in "${helpers[@]}"; do
		kill "$pid" 2>/dev/null
	done
	xenstored_stop
	rm -rf "$tmp"
}
trap finish EXIT

# run ARGUMENT...: output in $out and $err, exit code in $code.
run() {
	timeout 60 "$admin" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
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
	local culprit=$1
	shift
	run "$@"
	[ "$code" = 2 ] && [ -z "$out" ] && [[ $err == *"$culprit"* ]]
	ok $? "usage: ${*@Q}"
}

# mediator NODE-DIRECTORY: one that serves what appears, and lets go what is to be detached.
mediator() {
	mkfifo "$tmp/events"
	xenstore-watch "$1/online" >"$tmp/events" &
	helpers+=($!)
	while read -r _; do
		case $(xenstore-read "$1/online" 2>/dev/null) in
		1) xenstore-write "$1/state" 2 ;;
		0) touch "$tmp/let-go" && xenstore-write "$1/state" 6 ;;
		esac
	done <"$tmp/events" &
	helpers+=($!)
}

json() { # EXPRESSION over d
	python3 -c "import json,sys; d = json.load(open('$tmp/out')); sys.exit(0 if $1 else 1)"
}

uuid=11111111-2222-3333-4444-55555555550
XENSTORED_RUNDIR=$tmp/none run list
expect 4 "" "XenStore: open" "no XenStore"
xenstored_start "$tmp"
xenstore-write /local/domain/0/name Domain-0 /local/domain/0/domid 0
xen_guest 5 web ${uuid}5
xen_guest 6 "two words" ${uuid}6
xen_guest 7 driver ${uuid}7
xen_guest 8 web2 ${uuid}8

usage frob frob
usage '"8"' attach web --device 8
usage '"x"' attach web --device x
usage one attach
usage one attach web two
usage --device list --device 1
usage --backend-domain detach web -b 7
usage --config attach web --config /x
usage --nonsense --nonsense
usage "serve itself" attach driver -b driver
usage "domain 0 cannot be a guest" attach 0 -b driver
run --help
expect 0 "doctor" "" "--help lists the commands"
run --version
expect 0 "vgpu-admin " "" "--version"
run
expect 0 "No domain has a vGPU" "" "nothing is attached"

run attach nobody
expect 3 "" '"nobody": there is none' "attach: no such name"
run attach 99
expect 3 "" '"99": there is none' "attach: no such number"
run attach web -b nobody
expect 3 "" '"nobody"' "attach: no such backend"

run attach web
expect 0 "domain 5 (web): device 0 attached" "" "attach by name"
[[ $out == *"no mediator in domain 0 (Domain-0) serves it yet"* ]]
ok $? "attach: says that nobody serves it"
mediator /local/domain/0/backend/vgpu/5/0
start=$SECONDS
run attach 5
expect 0 "is attached already" "" "attach twice, by number"
[[ $out == *"The mediator in domain 0 (Domain-0) serves it"* ]] && [ $((SECONDS - start)) -lt 4 ]
ok $? "attach: says that it is served, as soon as it is"
run attach web --backend-domain driver
expect 6 "" "attached to a mediator in domain 0 (Domain-0)" "attach: another backend has it"
run attach "two words" --backend-domain 7 --device 3 --json
[ $code = 0 ] && json 'd["ok"] and not d["already"] and not d["served"] and
	(d["domid"], d["device"], d["backend_domid"]) == (6, 3, 7)'
ok $? "attach: JSON"
run attach nobody --json
[ $code = 3 ] && json 'not d["ok"] and d["error"]["code"] == 3'
ok $? "an error in JSON"

# A guest with channels, one of which was ended.
f=/local/domain/5/device/vgpu/0 b=/local/domain/0/backend/vgpu/5/0
xenstore-write $f/state 4 $b/state 4 $f/channel-1/state 4 $f/channel-1/pages 100 $b/channel-1/state 4 \
	$b/channel-2/state 6 $b/channel-2/error $'VGPU_EWORKER it \033[1m died' $f/channel-64/state 4 \
	$b/max-channels 16 $b/release 0.1.0
run
[ $code = 0 ] && [[ $out == *"5      web                      0       0        connected     connected"* ]] &&
	[[ $out == *"channel 1   guest connected, mediator connected, 100 pages"* ]] &&
	[[ $out == *"channel 2   guest none, mediator closed: VGPU_EWORKER it ?[1m died"* ]] &&
	[[ $out == *"6      two words                3       7        initialising  nobody serves it"* ]] &&
	[[ $out != *"channel 64"* ]]
ok $? "list: states, channels, errors, and no control characters"
run list web
[ $code = 0 ] && [[ $out == *web* ]] && [[ $out != *"two words"* ]]
ok $? "list: of one domain"
run list web2
expect 0 "The domain has no vGPU" "" "list: of a domain without"
run list -b driver
[[ $out != *web* ]] && [[ $out == *"two words"* ]]
ok $? "list: of one backend"
run list --json
[ $code = 0 ] && json 'd["ok"] and [x["domid"] for x in d["devices"]] == [5, 6]' &&
	json 'd["devices"][0]["mediator_state"] == "connected" and d["devices"][0]["max_channels"] == 16' &&
	json 'd["devices"][0]["uuid"] == "'${uuid}5'" and d["devices"][0]["online"]' &&
	json 'd["devices"][0]["channels"][0] == dict(number=1, guest_state="connected",
		mediator_state="connected", pages=100)' &&
	json 'd["devices"][0]["channels"][1]["error"].startswith("VGPU_EWORKER")'
ok $? "list: JSON"

start=$SECONDS
run detach web
expect 0 "domain 5 (web): device 0 detached" "" "detach"
[ -e "$tmp/let-go" ] && [ $((SECONDS - start)) -lt 4 ] && ! xenstore-exists $f && ! xenstore-exists $b
ok $? "detach: the mediator was told first"
run detach web
expect 0 "device 0 is not attached" "" "detach twice"
start=$SECONDS
run detach 6 -n 3
[ $code = 0 ] && [ $((SECONDS - start)) -lt 4 ] && [[ $out != *Note* ]]
ok $? "detach: no wait where nobody serves it"
run detach nobody
expect 3 "" '"nobody"' "detach: no such domain"

run attach web2
xenstore-write /local/domain/0/backend/vgpu/8/0/state 4 # a mediator that hangs
start=$SECONDS
run detach web2
expect 0 "did not say that all channels have ended" "" "detach: a mediator that does not answer"
[ $((SECONDS - start)) -ge 4 ]
ok $? "detach: it was waited for"

run sweep
expect 0 "Nothing to sweep" "" "sweep: nothing"
# Each waits for a mediator in vain: at the same time.
"$admin" attach web2 >/dev/null &
attaching=$!
run attach "two words"
wait $attaching
xenstore-rm /local/domain/8
run list
[[ $out == *"stale: its guest is gone"* ]]
ok $? "list: stale"
run sweep
[ $code = 0 ] && [[ $out == *"/backend/vgpu/8/0: removed: its guest is gone"* ]] && [[ $out != *vgpu/6* ]] &&
	! xenstore-exists /local/domain/0/backend/vgpu/8 && xenstore-exists /local/domain/0/backend/vgpu/6/0
ok $? "sweep: that one, and only that"

run doctor 6
[ $code = 1 ] && [[ $out == *"ok    xenstore"* ]] && [[ $out == *"FAIL  device"*"two words"*"nobody serves it"* ]]
ok $? "doctor: nobody serves a device"
xenstore-write /local/domain/0/backend/vgpu/6/0/state 2
xenstore-rm /local/domain/0/backend/vgpu/6/0/frontend-id
xenstore-chmod /local/domain/6/device/vgpu/0 n6
run doctor
[[ $out == *"ok    device"*"two words"*"served"* ]] &&
	[[ $out == *"FAIL  nodes"*"6/0/frontend-id: is missing: \`vgpu-admin attach 6"* ]] &&
	[[ $out == *"FAIL  nodes"*"device/vgpu/0: permissions are not n6,r0"* ]]
ok $? "doctor: damaged nodes"
run doctor 7
expect 1 "domain 7 (driver) has none" "" "doctor: of a domain without"
printf '[devices]\nsocket = relative\n' >"$tmp/conf"
run doctor --config "$tmp/conf" --json
[ $code = 1 ] && json 'any(c["check"] == "config" and c["result"] == "fail" for c in d["checks"])'
ok $? "doctor: a mistake in the configuration"
printf '[devices]\nsocket = %s/d.sock\n[clients]\nsocket = %s/c.sock\n[mediator]\npid_file = %s/m.pid\n' \
	"$tmp" "$tmp" "$tmp" >"$tmp/conf"
run doctor --config "$tmp/conf"
[[ $out == *"FAIL  mediator     does not run"* ]] && [[ $out == *"gpu          "* ]]
ok $? "doctor: no mediator"
"${VGPU_BUILD:-build}/host/gpu_mediator" -f --config "$tmp/conf" --pid-file "$tmp/m.pid" --backend cpu \
	--log "$tmp/m.log" >/dev/null 2>&1 &
mediator_pid=$!
helpers+=("$mediator_pid")
for _ in {1..100}; do
	grep -qs 'client socket .*: listening' "$tmp/m.log" && break
	sleep 0.1
done
run doctor --config "$tmp/conf"
[[ $out == *"ok    mediator     runs as process $mediator_pid"* ]] && [[ $out == *"devices      $tmp/d.sock: "* ]] &&
	[[ $out != *"nobody serves it; left behind"* ]]
ok $? "doctor: a mediator, and its sockets"

. host/admin/vgpu-admin.bash
COMP_WORDS=(vgpu-admin attach we) COMP_CWORD=2
_vgpu_admin
[ "${COMPREPLY[*]}" = web ]
ok $? "completion: of domains"
COMP_WORDS=(vgpu-admin de) COMP_CWORD=1
_vgpu_admin
[ "${COMPREPLY[*]}" = detach ]
ok $? "completion: of commands"
echo "1..$n"
