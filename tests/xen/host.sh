# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scenarios share: the mediator in dom0 or in a driver domain, what a guest costs the
# host, results. Source it after lab.sh.
#
# A place is "dom0" or a guest's name; $guests are those that dom0 serves.

MEDIATOR_LOG=/var/log/gpu_mediator.log
declare -A mediator_pid

# on PLACE COMMAND: as root; sets VM_RC, VM_OUT, VM_ERR.
on() {
	if [ "$1" = dom0 ]; then
		dom0 root "$2"
	else
		guest_run "$1" root "$2"
	fi
}

# place_is PLACE COMMAND EXIT REGEX DESCRIPTION; guest_is NAME USER COMMAND EXIT REGEX DESCRIPTION:
# exit code and output (both streams) fit.
place_is() {
	on "$1" "$2"
	answer_is "root@$1: $2" "$3" "$4" "$5"
}

guest_is() {
	guest_run "$1" "$2" "$3"
	answer_is "$2@$1: $3" "$4" "$5" "$6" && return
	[ "$VM_RC" != 255 ] || guest_diag "$1" # it may be gone before the end of the tests
	return 1
}

answer_is() {
	if [ "$VM_RC" = "$2" ] && grep -qE -- "$3" <<<"$VM_OUT"$'\n'"$VM_ERR"; then
		tap_result 0 "$4"
		return
	fi
	tap_result 1 "$4"
	diag "$1"
	diag "exit $VM_RC, expected $2; expected text: $3"
	diag "stdout: $VM_OUT"
	diag "stderr: $VM_ERR"
	return 1
}

# ---- the mediator ----

# mediator_start PLACE [LINE...]: with these lines added to its configuration.
mediator_start() {
	local place=$1 extra
	shift
	extra=$(printf '%s\n' "$@")
	on "$place" "mkdir -p /etc/gpu_mediator /run/gpu_mediator /var/log; cat >/etc/gpu_mediator/config.conf <<'END'
[mediator]
log = $MEDIATOR_LOG
pid_file = /run/gpu_mediator/gpu_mediator.pid
log_level = debug
pool_size = 2
[backend]
backend = cpu
[devices]
enabled = no
[clients]
enabled = no
[xen]
enabled = yes
$extra
END
		gpu_mediator --foreground >>$MEDIATOR_LOG 2>&1 </dev/null &
		echo \$!"
	mediator_pid[$place]=$VM_OUT
	within 20 on "$place" "test \$(ls -d /proc/${mediator_pid[$place]}) && grep -q 'process ${mediator_pid[$place]}\$' $MEDIATOR_LOG &&
		sed -n '/process ${mediator_pid[$place]}\$/,\$p' $MEDIATOR_LOG | grep -q 'Xen guests are served'" || {
		mediator_log_end "$place"
		bail "mediator in $place: start"
	}
}

mediator_log_end() {
	on "$1" "tail -n 40 $MEDIATOR_LOG"
	diag "the end of the mediator's log in $1:"
	diag "$VM_OUT$VM_ERR"
}

mediator_signal() { # PLACE SIGNAL
	on "$1" "kill -$2 ${mediator_pid[$1]}"
}

# And until it has ended.
mediator_end() { # PLACE SIGNAL
	on "$1" "kill -$2 ${mediator_pid[$1]}; for i in \$(seq 100); do test -d /proc/${mediator_pid[$1]} || break; sleep 0.1; done
		! test -d /proc/${mediator_pid[$1]}"
}

# Workers that serve a channel now; a warm one has bound no port.
workers_serving() { # PLACE
	on "$1" "grep -c 'evtchn:vgpu-worker' /proc/interrupts"
	echo "${VM_OUT:-0}"
}

workers_serving_are() { # PLACE COUNT
	[ "$(workers_serving "$1")" = "$2" ]
}

# ---- what a guest costs the host ----

# All nodes of ours, without what changes in the course of things.
nodes() {
	dom0 root "xenstore-ls -f /local/domain | grep -E '/(device|backend)/vgpu(/| )' | grep -vE '/(state|generation) =' | sort"
	printf '%s\n' "$VM_OUT"
}

# Of one guest: both sides' nodes.
channel_nodes_are() { # NAME COUNT
	local id
	id=$(guest_domid "$1")
	dom0 root "xenstore-ls -f /local/domain | grep -cE '/domain/$id/device/vgpu/0/channel-[0-9]+ |/backend/vgpu/$id/0/channel-[0-9]+ '"
	[ "${VM_OUT:-0}" = "$2" ]
}

# Ports of workers (one of each that serves; how many wait warm changes by itself), nodes, and the pages
# that dom0 has mapped of others.
resources() {
	dom0 root "echo ports \$(grep -c evtchn:vgpu-worker /proc/interrupts) \
nodes \$(xenstore-ls -f /local/domain | grep -cE '/channel-[0-9]+ ')"
	local text=$VM_OUT guest
	for guest in $guests; do
		text+=" grants $(xen_grants "$(guest_domid "$guest")")"
	done
	printf '%s\n' "$text"
}

resources_are() {
	[ "$(resources)" = "$1" ]
}

# ---- programs in guests ----

# udev has made Xen's devices and the nodes in /dev usable.
guest_is_ready() { # NAME
	guest_is "$1" root "for i in \$(seq 300); do test -e /dev/xen/gntalloc && ls -l /dev/xen/xenbus | grep -q vgpu && exit 0
		usleep 100000; done; ls -l /dev/xen; exit 1" 0 '' "$1: udev makes it ready"
}

# client NAME MODE: in the background, up to the point where it says "open".
client() {
	guest_is "$1" alice "rm -f /tmp/said; vm-client $2 >/tmp/said 2>&1 & echo \$! >/tmp/pid
		for i in \$(seq 300); do grep -q ^open /tmp/said && exit 0; usleep 100000; done; cat /tmp/said; exit 1" \
		0 '' "$1: a client runs ($2)"
}

# What it says when it has ended, which must be soon.
client_says='for i in $(seq 300); do kill -0 $(cat /tmp/pid) 2>/dev/null || { cat /tmp/said; exit 0; }; usleep 100000; done
	echo it hangs; cat /tmp/said; exit 1'

# Succeeds or not, and says nothing.
place_quiet() {
	on "$1" "$2"
}

# ---- what happens to guests ----

guest_save() {
	dom0 "xl save $1 /var/tmp/$1.save >/var/log/xen/xl-$1.log 2>&1"
}

guest_restore() {
	dom0 "xl restore /var/tmp/$1.save >/var/log/xen/xl-$1.log 2>&1 </dev/null; rm -f /var/tmp/$1.save"
	guest_comes_back "$1"
}

guest_reboot() {
	guest_send "$1" root "reboot -f"
	guest_wait_ready "$1"
}

# Another kernel of its own, without a word to anybody.
guest_kexec() {
	guest_run "$1" root "kexec -l /boot/vmlinuz --initrd=/boot/initrd --reuse-cmdline"
	[ "$VM_RC" = 0 ] || diag "kexec -l: $VM_OUT$VM_ERR"
	guest_send "$1" root "kexec -e"
	guest_wait_ready "$1"
}

# A restored guest's agent goes on where it was and says nothing: ask it.
guest_comes_back() {
	within 60 guest_run "$1" root true
}
