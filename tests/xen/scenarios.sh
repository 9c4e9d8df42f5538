# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# One boot of Xen, a mediator in dom0, guests, and a scenario after the other. Source it.
# XEN_SCENARIOS="basic liar" runs only those, and boots nothing where none is wanted.
. "$(dirname "${BASH_SOURCE[0]}")/lab.sh"
. "$XEN_HERE/host.sh"

# alpha: HVM with the stub PCI device, which QEMU attaches. beta: PVH without, which vgpu-admin
# attaches. gamma: another HVM guest. A guest has the processor to itself while it boots.
guests_start() { # alpha|beta|gamma...
	local guest
	for guest; do
		case $guest in
		alpha) guest_start alpha hvm ;;
		beta) guest_start beta pvh "memory = 448" ;; # the conformance suite has large vectors
		gamma) guest_start gamma kexec "memory = 320" ;;
		esac
		guest_wait_ready $guest || bail "$guest: boot failed"
		[ $guest != beta ] || place_is dom0 "vgpu-admin attach beta" 0 '' "vgpu-admin attaches beta"
	done
	for guest; do
		guest_is_ready $guest
	done
}

# scenarios_run GUESTS SCENARIO...: the test, whole.
scenarios_run() {
	local scenario failed_before wanted=()
	guests=$1
	shift
	for scenario; do
		[[ -n ${XEN_SCENARIOS:-} && " $XEN_SCENARIOS " != *" $scenario "* ]] || wanted+=("$scenario")
	done
	if [ ${#wanted[@]} = 0 ]; then
		echo "1..0 # SKIP none of its scenarios is wanted: $*"
		return
	fi
	xen_start
	mediator_start dom0
	guests_start $guests
	diag "guests are up, after $SECONDS s"
	for scenario in "${wanted[@]}"; do
		diag "scenario $scenario, after $SECONDS s"
		failed_before=$tap_failed
		. "$XEN_HERE/scenarios/$scenario.sh"
		[ "$tap_failed" = "$failed_before" ] || mediator_log_end "${mediator_place:-dom0}"
	done
	diag "all scenarios, after $SECONDS s"
	done_testing
}
