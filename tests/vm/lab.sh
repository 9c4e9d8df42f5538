# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A host in a private directory for a test: one mediator, VMs against it. Source it.
LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_TOP=$(cd "$LAB_HERE/../.." && pwd)
LAB_ENV=${LAB_ENV:-$LAB_TOP/build/vm/env}
[ -r "$LAB_ENV" ] || {
	echo "Bail out! $LAB_ENV: not there; run: make vm-image"
	exit 1
}
. "$LAB_ENV"
. "$LAB_HERE/tap.sh"
. "$LAB_HERE/vm.sh"

LAB_LOG=$VM_WORK/mediator.log
VM_SOCKET=$VM_WORK/host/device.sock
LAB_MEDIATOR_WRAPPER=()
lab_mediator_pid=
mkdir "$VM_WORK/host"

# Written anew for each start; LAB_LIMITS, LAB_LOG_LEVEL, LAB_BACKEND and LAB_POOL
# change it.
lab_mediator_config() {
	cat <<-END
		[mediator]
		log = stderr
		log_level = ${LAB_LOG_LEVEL:-debug}
		pid_file = $VM_WORK/host/pid
		pool_size = ${LAB_POOL:-2}
		[backend]
		backend = ${LAB_BACKEND:-cpu}
		$([ ! -e "$LAB_CUDA" ] || echo "cuda_library = $LAB_CUDA")
		[devices]
		socket = $VM_SOCKET
		[clients]
		socket = $VM_WORK/host/client.sock
		[limits]
		${LAB_LIMITS:-}
	END
}

# LAB_MEDIATOR_WRAPPER: a command that is given the mediator's, and runs it.
lab_mediator_start() {
	lab_mediator_config >"$VM_WORK/host/config.conf"
	# A killed one leaves its socket, so that one says nothing; the pid is new.
	rm -f "$VM_WORK/host/pid"
	"${LAB_MEDIATOR_WRAPPER[@]}" "$LAB_MEDIATOR" --foreground --config "$VM_WORK/host/config.conf" \
		>>"$LAB_LOG" 2>&1 </dev/null &
	lab_mediator_job=$!
	lab_mediator_pid=$lab_mediator_job
	within 20 lab_mediator_up || {
		diag "$(tail -n 20 "$LAB_LOG")"
		bail "mediator: start: no socket $VM_SOCKET"
	}
}

# A wrapper may have made it a grandchild: only the file knows its pid.
lab_mediator_up() {
	[ -s "$VM_WORK/host/pid" ] && lab_mediator_pid=$(cat "$VM_WORK/host/pid") && [ -S "$VM_SOCKET" ]
}

lab_mediator_stop() {
	[ -n "$lab_mediator_pid" ] || return 0
	kill -TERM "$lab_mediator_pid" 2>/dev/null
	within 10 lab_mediator_gone || kill -9 "$lab_mediator_pid" "$lab_mediator_job" 2>/dev/null
	wait "$lab_mediator_job" 2>/dev/null
	lab_mediator_pid=
}

lab_mediator_gone() {
	! kill -0 "$lab_mediator_job" 2>/dev/null
}

lab_mediator_kill() {
	kill -9 "$lab_mediator_pid"
	wait "$lab_mediator_job" 2>/dev/null
	lab_mediator_pid=
}

# Processes that the mediator started, by pid.
lab_workers() {
	cat "/proc/$lab_mediator_pid"/task/*/children 2>/dev/null | tr ' ' '\n' | grep .
}

lab_workers_are() { # COUNT
	[ "$(lab_workers | wc -l)" = "$1" ]
}

# Those that serve a VM now, by the log's word and the kernel's.
lab_vm_workers() { # VM
	sed -n "s/.*\\b$1\\b.*: open: worker \\([0-9]*\\),.*/\\1/p" "$LAB_LOG" | sort -u |
		grep -xF -f <(lab_workers)
}

lab_vm_workers_are() { # VM COUNT
	[ "$(lab_vm_workers "$1" | wc -l)" = "$2" ]
}

# lab_vm NAME [QEMU OPTION...]: start one and wait for it.
lab_vm() {
	vm_start "$@"
	vm_wait_ready "$1" || bail "VM $1: boot failed"
}

lab_end() {
	local log
	lab_mediator_stop
	if [ "$tap_failed" != 0 ]; then
		for log in "$LAB_LOG" "$VM_WORK"/*/{console,qemu}.log; do
			[ -s "$log" ] && diag "the end of ${log#"$VM_WORK/"}:" && diag "$(tail -n 40 "$log")"
		done
	fi
	vm_stop_all
	rm -rf "$VM_WORK"
}
trap lab_end EXIT
