# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A host with real Xen for a test, in emulation: hypervisor, dom0, guests. Source it;
# everything ends with the shell that sourced it.
#
#   xen_start [QEMU OPTION...]     boot Xen and dom0, wait for dom0's agent
#   dom0 [USER] COMMAND            run there (root); VM_RC, VM_OUT, VM_ERR as vm_run sets them
#   guest_start NAME hvm|pvh|driver|kexec [LINE...]
#                                  create a domain; LINEs of xl's configuration win over ours.
#                                  driver is PVH and can run a mediator; kexec is HVM and has a
#                                  kernel and an initramfs in /boot
#   guest_wait_ready NAME          its agent is there: after the start, after a reboot or restore
#   guest_run NAME USER COMMAND    as vm_run
#   guest_send, guest_receive      as vm_send and vm_receive: guests can run at the same time
#   guest_domid NAME               its domain id
#   guest_destroy NAME             also one that has ended by itself
#
# NAME is also a VM's name for vm_run and run_is, and so is dom0. guest_start returns at once.
# Guests that boot at the same time share one emulated processor, and each exit of one waits for
# the others: one after the other is faster. dom0 has eight places for guests at a time.
#
# What Xen knows, printed:
#   xen_grants DOMID               how many of its grants others have mapped; XenStore's and the
#                                  console's are two
#   xen_ports DOMID                its event channels that are in use, a line each
#   xen_processes                  dom0's processes, a line each: pid, arguments
XEN_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
XEN_TOP=$(cd "$XEN_HERE/../.." && pwd)
XEN_ENV=${XEN_ENV:-$XEN_TOP/build/xen/env}
[ -r "$XEN_ENV" ] || {
	echo "Bail out! $XEN_ENV: not there; run: make xen-image"
	exit 1
}
. "$XEN_ENV"
. "$XEN_TOP/tests/vm/tap.sh"
. "$XEN_TOP/tests/vm/vm.sh"

XEN_GUESTS=8
# Emulated processors, on a machine that may have other things to do.
VM_BOOT_TIMEOUT=${XEN_BOOT_TIMEOUT:-300}
VM_RUN_TIMEOUT=${VM_RUN_TIMEOUT:-120}

declare -A xen_place # of a guest: 1 to XEN_GUESTS

xen_start() {
	local dir=$VM_WORK/dom0 opts i
	mkdir -p "$dir"
	# Multiboot modules are separated by commas, and their command lines by a space.
	ln -s "$XEN_DOM0/vmlinux" "$XEN_DOM0/boot.cpio" "$dir"
	mapfile -t opts < <(vm_data_options)
	for ((i = 1; i <= XEN_GUESTS; i++)); do
		mkfifo "$dir"/guest$i.{in,out}
		opts+=(-chardev "pipe,id=guest$i,path=$dir/guest$i"
			-device "virtserialport,chardev=guest$i,name=vgpu.guest$i")
	done
	# Without smap: QEMU 7.2 checks it where dom0 returns to user mode. One processor: two wait
	# for each other's locks whenever one has no processor of the machine's to run on. The
	# short rate limit lets dom0's device models answer at once.
	vm_launch dom0 -machine q35 -smp ${XEN_CPUS:-1} -m 4096 -no-reboot \
		-accel tcg,thread=multi,tb-size=512 -cpu max,+svm,+npt,-smap,-smep,-xsave \
		-kernel "$XEN_DOM0/xen" \
		-append "console=com1 com1=115200,8n1 dom0=pv dom0_mem=1536M,max:1536M spec-ctrl=no conring_size=2M sched_ratelimit_us=100" \
		-initrd "$dir/vmlinux console=hvc0 quiet panic=1 mitigations=off,$dir/boot.cpio" \
		-drive "file=$XEN_DOM0/root.ext4,if=virtio,format=raw,readonly=on" \
		-drive "file=$XEN_OURS,if=virtio,format=raw,readonly=on" "${opts[@]}" "$@"
	vm_wait_ready dom0 || bail "Xen: boot failed"
}

dom0() {
	if [ $# = 1 ]; then
		vm_run dom0 root "$1"
	else
		vm_run dom0 "$1" "$2"
	fi
}

# QEMU's arguments in an HVM guest's configuration: kernel and initramfs, put where
# hvm_start.S expects them, and the device.
xen_dm_args() { # IMAGE
	local args=(-device loader,file=/lab/vmlinux -device "loader,file=/lab/$1,addr=0x6000000,force-raw=on"
		-device "loader,addr=0x5fff000,data=$(stat -c %s "$XEN_IMAGES/$1"),data-len=4"
		-device vgpu-stub,id=vgpu0,addr=0x4)
	printf '"%s", ' "${args[@]}"
}

# xl's configuration of a guest, to stdout; what comes later wins. pci=noearly: without it, Linux
# looks for AGP bridges on 256 buses, and each look leaves the guest.
xen_config() { # NAME KIND [LINE...]
	local name=$1 kind=$2 image=guest.img
	shift 2
	case $kind in
	kexec | driver) image=$kind.img ;;
	esac
	cat <<-END
		name = "$name"
		vcpus = 1
		memory = 224
		tsc_mode = "native"
		cpuid = "host,rdtscp=0"
		cmdline = "console=hvc0 quiet panic=1 mitigations=off pci=noearly cryptomgr.notests nowatchdog vgpu.name=$name vgpu.agent=/dev/hvc0"
	END
	case $kind in
	hvm | kexec)
		cat <<-END
			type = "hvm"
			kernel = "/lab/hvm.boot"
			vga = "none"
			nographic = 1
			device_model_override = "/usr/libexec/vgpu/qemu-system-x86_64"
			device_model_args_hvm = [ $(xen_dm_args $image) ]
		END
		;;
	pvh | driver)
		cat <<-END
			type = "pvh"
			kernel = "/lab/vmlinux"
			ramdisk = "/lab/$image"
		END
		;;
	*) bail "guest $name: kind $kind: unknown" ;;
	esac
	[ $# = 0 ] || printf '%s\n' "$@"
}

xen_free_place() {
	local i
	for ((i = 1; i <= XEN_GUESTS; i++)); do
		[[ " ${xen_place[*]} " = *" $i "* ]] || {
			echo $i
			return
		}
	done
	return 1
}

guest_start() {
	local name=$1 place config
	config=$(xen_config "$@") || exit 1
	place=$(xen_free_place) || bail "guest $name: no place for it"
	xen_place[$name]=$place
	vm_outer[$name]=dom0
	vm_open_agent "$name" "$VM_WORK/dom0/guest$place"
	dom0 "mkdir -p /run/lab
		cat >/etc/xen/$name.cfg <<'END'
$config
END
		rm -f /run/lab/$name.rc
		setsid xen-relay /dev/virtio-ports/vgpu.guest$place $name >>/var/log/xen/relay-$name.log 2>&1 </dev/null &
		echo \$! >/run/lab/$name.relay
		{ xl create /etc/xen/$name.cfg >/var/log/xen/create-$name.log 2>&1 </dev/null
			echo \$? >/run/lab/$name.rc; } >/dev/null 2>&1 &" ||
		bail "guest $name: create: $VM_ERR"
}

# The end of everything that can say why, as diagnostic lines.
guest_diag() {
	local name=$1
	VM_RUN_TIMEOUT=20 dom0 "cd /var/log/xen; xl list 2>&1; xl vcpu-list; sleep 2; xl vcpu-list
		for f in create-$name.log relay-$name.log xl-$name.log qemu-dm-$name.log console/guest-$name.log; do
			[ ! -s \$f ] || { echo \"the end of \$f:\"; grep -v @vgpu@ \$f | tail -n 20 | cut -c 1-200; }
		done"
	diag "$VM_OUT$VM_ERR"
}

guest_wait_ready() {
	local name=$1 end=$((SECONDS + VM_BOOT_TIMEOUT))
	while [ $SECONDS -lt $end ]; do
		if vm_read_agent "$name" 10; then
			[[ $vm_line = ready* ]] && return 0
			continue
		fi
		vm_alive "$name" || break
		dom0 "cat /run/lab/$name.rc"
		[ "${VM_OUT:-0}" = 0 ] || break
	done
	diag "guest $name: not ready"
	guest_diag "$name"
	return 1
}

guest_run() {
	vm_run "$@"
}

guest_send() {
	vm_send "$@"
}

guest_receive() {
	vm_receive "$@"
}

guest_domid() {
	dom0 "xl domid $1" && printf '%s\n' "$VM_OUT"
}

guest_destroy() {
	local name=$1 fd rc
	dom0 "kill \$(cat /run/lab/$name.relay); xl destroy $name"
	rc=$?
	for fd in "${vm_agent_in[$name]}" "${vm_agent_out[$name]}"; do
		exec {fd}>&-
	done
	unset "vm_outer[$name]" "vm_agent_in[$name]" "vm_agent_out[$name]" "vm_partial[$name]" "xen_place[$name]"
	return $rc
}

# Xen tells it on its console, one line a mapped grant, under a heading of the domain.
xen_grants() {
	dom0 "xl dmesg -c >/dev/null; xl debug-keys g; xl dmesg -c" || return
	awk -v domain="d$1" '/grant-table for remote/ { ours = 0
			for (i = 1; i < NF; i++) if ($i == "remote" && $(i + 1) == domain) ours = 1 }
		ours && /\[0x[0-9a-f]+\]/ { n++ }
		END { print n + 0 }' <<<"$VM_OUT"
}

xen_ports() {
	dom0 "lsevtchn $1" && printf '%s\n' "$VM_OUT"
}

xen_processes() {
	dom0 "cd /proc; for p in [0-9]*; do
			args=\$(tr '\\0' ' ' <\$p/cmdline)
			[ -z \"\$args\" ] || echo \$p \$args
		done 2>/dev/null"
	printf '%s\n' "$VM_OUT"
}

xen_end() {
	local rc=$? name log
	if [ "$rc$tap_failed" != 00 ] && vm_alive dom0; then
		for name in "${!xen_place[@]}"; do
			guest_diag "$name"
		done
	fi
	if [ "$rc$tap_failed" != 00 ]; then
		for log in "$VM_WORK"/dom0/{console,qemu}.log; do
			[ -s "$log" ] && diag "the end of ${log#"$VM_WORK/"}:" && diag "$(tail -n 40 "$log")"
		done
	fi
	vm_stop_all
	rm -rf "$VM_WORK"
}
trap xen_end EXIT
