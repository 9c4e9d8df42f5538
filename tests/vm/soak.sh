#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two VMs use the mediator in a loop for SOAK_SECONDS. No call may fail, and the
# mediator must end as it was after the warm-up: memory, descriptors, processes.
# Loops pause for both samples, so that they compare like with like; one client a
# VM stays connected all the time, so that its worker is looked at as well.
. "$(dirname "$0")/lab.sh"

seconds=${SOAK_SECONDS:-600}
warm_up=$((seconds / 4 < 60 ? seconds / 4 : 60))
vms=(one two)

loop='rm -f /tmp/stop /tmp/stopped
i=0
while [ ! -e /tmp/stop ]; do
	for c in nop vector_add "vector_add 100000" status list; do
		vgpu-cli $c >/tmp/out 2>&1 || { echo "$c:"; cat /tmp/out; } >>/tmp/failures
		i=$((i + 1))
	done
done
echo $i >>/tmp/stopped'

# A sample: resident KiB, descriptors and processes of the supervisor and its workers.
sample() {
	local pid kib=0 fds=0 processes=0
	for pid in $lab_mediator_pid $(lab_workers); do
		kib=$((kib + $(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")))
		fds=$((fds + $(ls "/proc/$pid/fd" | wc -l)))
		processes=$((processes + 1))
	done
	echo "$kib $fds $processes"
}

loops_run() { # SECONDS
	local vm
	for vm in "${vms[@]}"; do
		vm_run "$vm" alice "sh /tmp/loop >/dev/null 2>&1 &"
	done
	sleep "$1"
	for vm in "${vms[@]}"; do
		vm_run "$vm" alice ': > /tmp/stop; for i in $(seq 300); do test -s /tmp/stopped && break; usleep 100000; done
			tail -n 1 /tmp/stopped'
		calls=$((calls + VM_OUT))
	done
	# Two clients stay, two workers are warm.
	within 10 lab_workers_are 4
	sleep 2
}

calls=0
lab_mediator_start
for vm in "${vms[@]}"; do
	vm_start "$vm"
done
for vm in "${vms[@]}"; do
	vm_wait_ready "$vm" || bail "VM $vm: boot failed"
	vm_run "$vm" alice "cat > /tmp/loop <<'END'
$loop
END
	vm-client loop 100000 >/tmp/held.out 2>&1 & echo \$! >/tmp/held"
done

loops_run "$warm_up"
before=$(sample)
loops_run $((seconds - warm_up))
after=$(sample)

diag "$calls calls in $seconds s; after the warm-up and at the end: KiB descriptors processes: $before, $after"
pass "both VMs made calls all the time" test "$calls" -ge "$seconds"
for vm in "${vms[@]}"; do
	run_is "$vm" alice 'cat /tmp/failures 2>/dev/null; kill -0 $(cat /tmp/held)' 0 '' "VM $vm: no call failed"
	is "$VM_OUT" '' "VM $vm: nothing was said"
done
read -r kib0 fds0 processes0 <<<"$before"
read -r kib1 fds1 processes1 <<<"$after"
pass "memory did not grow: $kib0 to $kib1 KiB" test $((kib1 - kib0)) -le 1024
is "$fds1" "$fds0" "descriptors did not grow"
is "$processes1" "$processes0" "processes did not grow"
done_testing
