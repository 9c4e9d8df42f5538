# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The laboratory itself: commands, answers and what Xen tells of its guests.

dom0 "xl list"
like "$VM_OUT" '^Domain-0 +0 ' "dom0 is up"
run_is dom0 alice "id -un; xl list" 1 '^alice' "a user in dom0 is no administrator"
like "$(xen_processes)" '^[0-9]+ xenstored' "xenstored runs"
run_is dom0 root "xl list nobody" 1 'nobody is an invalid domain' "an unknown domain is an error"

# At the same time, each with its own answer.
for guest in $guests; do
	guest_send $guest alice "hostname; id -un; sleep 2; echo to stderr >&2; exit 7"
done
for guest in $guests; do
	guest_receive $guest
	is "$VM_RC $VM_OUT $VM_ERR" "7 $guest"$'\n'"alice to stderr" "guest $guest: exit code, output, errors"
done

for guest in $guests; do
	run_is $guest root "modprobe xen-gntdev || exit 1
		mkdir -p /proc/xen; mount -t xenfs xenfs /proc/xen
		for d in evtchn gntalloc gntdev xenbus; do test -c /dev/xen/\$d || exit 2; done; cat /proc/xen/capabilities
		umount /proc/xen; xenstore-read domid" 0 "^$(guest_domid $guest)\$" "guest $guest: Xen's devices, and XenStore"
done

# The channel to the agent: long lines, and the kernel's messages in between.
long=$(head -c 9000 /dev/urandom | base64 -w0)
guest_run alpha alice "printf %s $long"
is "$VM_OUT" "$long" "a command and an answer of 12 KB"
guest_run beta root "for i in \$(seq 300); do echo '<1>the kernel says something in between, again and again' >/dev/kmsg
		usleep 10000; done & printf %s $long; kill \$! 2>/dev/null; exit 3"
is "$VM_RC $VM_OUT" "3 $long" "the same, while the kernel writes to that console"
guest_send beta root "(sleep 0.1; for i in \$(seq 500); do echo '<1>once more, the kernel says something' >/dev/kmsg; done) &
	for i in \$(seq 6); do printf %s $long; done"
guest_receive beta
is "$VM_OUT" "$long$long$long$long$long$long" "and while the answer is on its way"
VM_RUN_TIMEOUT=5 guest_run gamma root "sleep 600"
is "$VM_RC" 124 "a command that takes too long is ended"
run_is gamma root "echo goes on" 0 'goes on' "the agent goes on"

domid=$(guest_domid gamma)
is "$(xen_grants "$domid")" 2 "grants in use: XenStore's and the console's"
like "$(xen_ports "$domid")" 'Remote Domain 0' "event channels in use"
is "$(xen_grants 999)" 0 "no domain, no grants"
