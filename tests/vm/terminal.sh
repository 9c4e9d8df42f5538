# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# This terminal, joined to a console of a VM. Source it after vm.sh. The VM is started with
# the options that terminal_options prints.

terminal_options() {
	mkfifo "$VM_WORK"/terminal.{in,out}
	printf '%s\n' -chardev "pipe,id=terminal,path=$VM_WORK/terminal" \
		-device virtconsole,chardev=terminal
}

# terminal_join NAME USER CONSOLE: a shell of USER on /dev/CONSOLE, until it ends.
terminal_join() {
	local saved size reader writer
	saved=$(stty -g)
	size=$(stty size)
	VM_RUN_TIMEOUT=86400
	vm_send "$1" root "chown $2 /dev/$3; stty rows ${size% *} cols ${size#* } </dev/$3; cd ~$2
		HOME=~$2 TERM=$TERM setsid -c su -s /bin/sh $2 </dev/$3 >/dev/$3 2>&1"
	stty raw -echo
	cat "$VM_WORK/terminal.out" &
	reader=$!
	cat >"$VM_WORK/terminal.in" <&0 &
	writer=$!
	vm_receive "$1"
	kill "$reader" "$writer" 2>/dev/null
	wait "$reader" "$writer" 2>/dev/null
	stty "$saved"
	echo
}
