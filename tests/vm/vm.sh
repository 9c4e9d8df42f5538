# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# VMs for tests: start, talk to, stop. Source it; everything it starts ends with
# the shell that sourced it, whatever way that goes.
#
#   vm_start NAME [QEMU OPTION...]   start; vm_wait_ready says when it can be used
#   vm_wait_ready NAME
#   vm_run NAME USER COMMAND         run, wait; sets VM_RC, VM_OUT, VM_ERR; returns VM_RC
#   vm_qmp NAME JSON                 one QMP command; prints its answer
#   vm_kill NAME                     kill -9 of QEMU
#   vm_stop NAME
#
# What vm_start reads besides:
#   VM_QEMU     directory that has bin/qemu-system-x86_64 (and its data files)
#   VM_KERNEL_FILE, VM_INITRD
#   VM_SOCKET   the mediator's device socket; empty: a device without mediator
#   VM_DEVICE   "none", or properties added to the default vgpu-stub device
#   VM_WINDOW   size of the shared window (64M)
#   VM_APPEND   more kernel command line
#   VM_ACCEL    tcg or kvm (vm_accel chooses)
#   VM_RUN_TIMEOUT  seconds a command may take (60)

VM_WORK=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-vm.XXXXXX")
VM_BOOT_TIMEOUT=${VM_BOOT_TIMEOUT:-180}

declare -A vm_pid vm_sent vm_agent_in vm_agent_out vm_qmp_in vm_qmp_out
# What came of a line that is not complete; and the VM in which another one runs, which
# has an agent, but no QEMU of this shell.
declare -A vm_partial vm_outer
vm_serial=0

vm_note() {
	echo "# $*" >&2
}

# Directories where QEMU finds its firmware.
vm_data_options() {
	local dir
	for dir in "$VM_QEMU/share/qemu" /usr/share/qemu /usr/share/seabios; do
		[ -d "$dir" ] && printf '%s\n' -L "$dir"
	done
	return 0
}

vm_accel_options() {
	if [ "$(vm_accel)" = kvm ]; then
		printf '%s\n' -accel kvm -cpu host
	else
		printf '%s\n' -accel tcg,thread=multi,tb-size=128 -cpu max
	fi
}

vm_start() {
	local name=$1 opts=() device
	shift
	mapfile -t opts < <(vm_accel_options; vm_data_options)
	if [ "${VM_DEVICE:-}" != none ]; then
		device="vgpu-stub,id=vgpu0,addr=0x4,memdev=w0${VM_DEVICE:+,$VM_DEVICE}"
		opts+=(-object "memory-backend-memfd,id=w0,size=${VM_WINDOW:-64M}")
		if [ -n "${VM_SOCKET:-}" ]; then
			opts+=(-chardev "socket,id=m0,path=$VM_SOCKET,reconnect=1")
			device+=,chardev=m0
		fi
		opts+=(-device "$device")
	fi
	vm_launch "$name" -machine pc -smp 2 -m 320 \
		-kernel "$VM_KERNEL_FILE" -initrd "$VM_INITRD" \
		-append "console=ttyS0 quiet panic=1 vgpu.name=$name ${VM_APPEND:-}" "${opts[@]}" "$@"
}

# A file that the agent's lines pass, both ways. Both ends read and write: no open blocks,
# and no end of file comes by itself.
vm_open_agent() { # NAME PATH
	exec {vm_fd}<>"$2.in" && vm_agent_in[$1]=$vm_fd
	exec {vm_fd}<>"$2.out" && vm_agent_out[$1]=$vm_fd
}

# vm_launch NAME QEMU OPTION...: a machine with nothing but a console, an agent's port and
# QMP, and what the options add.
vm_launch() {
	local name=$1 dir=$VM_WORK/$1
	shift
	mkdir -p "$dir"
	mkfifo "$dir"/agent.{in,out} "$dir"/qmp.{in,out}
	"$VM_QEMU/bin/qemu-system-x86_64" -name "$name" \
		-nodefaults -no-user-config -display none -net none \
		-chardev "file,id=console,path=$dir/console.log" -serial chardev:console \
		-device virtio-serial-pci,addr=0x3 \
		-chardev "pipe,id=agent,path=$dir/agent" \
		-device virtserialport,chardev=agent,name=vgpu.agent \
		-chardev "pipe,id=qmp,path=$dir/qmp" -mon chardev=qmp,mode=control \
		-pidfile "$dir/pid" "$@" >"$dir/qemu.log" 2>&1 </dev/null &
	vm_pid[$name]=$!
	vm_open_agent "$name" "$dir/agent"
	exec {vm_fd}<>"$dir/qmp.in" && vm_qmp_in[$name]=$vm_fd
	exec {vm_fd}<>"$dir/qmp.out" && vm_qmp_out[$name]=$vm_fd
}

vm_alive() {
	local name=${vm_outer[$1]:-$1}
	kill -0 "${vm_pid[$name]:-0}" 2>/dev/null && [ -n "${vm_pid[$name]:-}" ]
}

# One line of the agent into vm_line, within $2 seconds.
vm_read_agent() {
	local name=$1 end=$((SECONDS + $2)) part=
	while [ $SECONDS -lt $end ]; do
		# A timeout hands out what came so far.
		if IFS= read -r -t 1 -u "${vm_agent_out[$name]}" part; then
			vm_line=${vm_partial[$name]:-}$part
			vm_line=${vm_line%$'\r'}
			vm_partial[$name]=
			return 0
		fi
		vm_partial[$name]+=$part
		vm_alive "$name" || break
	done
	vm_line=
	return 1
}

vm_wait_ready() {
	local name=$1
	while vm_read_agent "$name" "$VM_BOOT_TIMEOUT"; do
		[[ $vm_line = ready* ]] && return 0
	done
	vm_note "VM $name: boot: not ready after $VM_BOOT_TIMEOUT s or QEMU ended"
	sed 's/^/# /' "$VM_WORK/$name/qemu.log" "$VM_WORK/$name/console.log" | tail -n 30 >&2
	return 1
}

# vm_send NAME USER COMMAND: start it; vm_receive NAME takes its result.
vm_send() {
	vm_serial=$((vm_serial + 1))
	vm_sent[$1]=$vm_serial
	echo "$vm_serial $2 ${VM_RUN_TIMEOUT:-60} $(printf %s "$3" | base64 -w0)" \
		>&"${vm_agent_in[$1]}"
}

vm_receive() {
	local name=$1 id rc out err
	VM_RC=255 VM_OUT='' VM_ERR=''
	while vm_read_agent "$name" $((${VM_RUN_TIMEOUT:-60} + 30)); do
		read -r id rc out err <<<"$vm_line"
		[ "$id" = "${vm_sent[$name]}" ] || continue
		VM_RC=$rc
		[ "$out" = - ] || VM_OUT=$(base64 -d <<<"$out")
		[ "$err" = - ] || VM_ERR=$(base64 -d <<<"$err")
		return "$VM_RC"
	done
	VM_ERR="VM $name: no answer from its agent"
	return 255
}

vm_run() {
	vm_send "$@"
	vm_receive "$1"
}

vm_qmp() {
	local name=$1 line end=$((SECONDS + 30))
	if [ ! -e "$VM_WORK/$name/qmp.ready" ]; then
		echo '{"execute":"qmp_capabilities"}' >&"${vm_qmp_in[$name]}"
		: >"$VM_WORK/$name/qmp.ready"
	fi
	echo "${2%\}},\"id\":\"$BASHPID.$RANDOM\"}" >&"${vm_qmp_in[$name]}"
	while [ $SECONDS -lt $end ]; do
		IFS= read -r -t 1 -u "${vm_qmp_out[$name]}" line || { vm_alive "$name" || break; continue; }
		case $line in
		*'"id":'*)
			printf '%s\n' "${line%$'\r'}"
			[[ $line != *'"error":'* ]]
			return
			;;
		esac
	done
	echo "VM $name: QMP: no answer"
	return 1
}

vm_forget() {
	local name=$1 fd
	for fd in "${vm_agent_in[$name]}" "${vm_agent_out[$name]}" \
		"${vm_qmp_in[$name]}" "${vm_qmp_out[$name]}"; do
		exec {fd}>&-
	done
	rm -f "$VM_WORK/$name"/{agent,qmp}.{in,out} "$VM_WORK/$name"/{qmp.ready,pid}
	unset "vm_pid[$name]" "vm_partial[$name]"
}

vm_kill() {
	kill -9 "${vm_pid[$1]}" 2>/dev/null
	wait "${vm_pid[$1]}" 2>/dev/null
	vm_forget "$1"
}

# A file system in memory has nothing to lose: end QEMU, not the guest.
vm_stop() {
	local i
	[ -n "${vm_pid[$1]:-}" ] || return 0
	kill -TERM "${vm_pid[$1]}" 2>/dev/null
	for ((i = 0; i < 50; i++)); do
		vm_alive "$1" || break
		sleep 0.1
	done
	vm_kill "$1"
}

vm_stop_all() {
	local name
	for name in "${!vm_pid[@]}"; do
		vm_stop "$name"
	done
}

# KVM counts only if this kernel really starts on it here; that is remembered for
# this machine's uptime.
vm_accel() {
	local memo
	if [ -n "${VM_ACCEL:-}" ]; then
		echo "$VM_ACCEL"
		return
	fi
	memo=${XDG_CACHE_HOME:-$HOME/.cache}/vgpu/probe/kvm-$(
		cat /proc/sys/kernel/random/boot_id <(readlink -f "$VM_KERNEL_FILE" "$VM_QEMU") |
			sha256sum | cut -c1-20
	)
	if [ ! -e "$memo" ]; then
		mkdir -p "$(dirname "$memo")"
		vm_probe_kvm >"$memo.$$" && mv "$memo.$$" "$memo"
	fi
	cat "$memo"
}

vm_probe_kvm() {
	if [ ! -w /dev/kvm ]; then
		echo tcg
		return
	fi
	echo "# does this kernel start under KVM here? (10 s at most, asked once)" >&2
	(
		VM_ACCEL=kvm VM_DEVICE=none VM_BOOT_TIMEOUT=10
		vm_start kvm-probe
		if vm_wait_ready kvm-probe; then
			echo kvm
		else
			echo tcg
		fi
		vm_kill kvm-probe
	) 2>/dev/null
}

trap 'vm_stop_all; rm -rf "$VM_WORK"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
