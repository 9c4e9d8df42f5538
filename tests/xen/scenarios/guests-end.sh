# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Guests end, begin again, stop and go on, in the middle of commands.

before=$(resources)

# Saved and restored: beta, and gamma, which has a device model and is attached again by it.
for guest in beta gamma; do
	client $guest "loop 1000000"
	guest_save $guest
	pass "$guest saved: its worker is gone within 5 s" within 5 workers_serving_are dom0 0
	guest_restore $guest || bail "$guest: did not come back from its file"
	[ $guest = gamma ] || place_is dom0 "vgpu-admin attach beta" 0 '' "beta, a domain of another number, is attached again"
	guest_is $guest alice "$client_says" 0 'ended: VGPU_EDEVLOST after' "$guest restored: the call under way ends with VGPU_EDEVLOST"
	like "$VM_OUT" 'opened again: nop: ok' "the same program opens again, and ends"
	guest_is $guest root "dmesg" 0 '' "$guest: what its kernel says"
	unlike "$VM_OUT" 'kernel BUG' "no BUG is in it"
done

# Rebooted, while the mediator stands still: nothing waits for a word of it.
client beta "loop 1000000"
mediator_signal dom0 STOP
guest_reboot beta || bail "beta: did not come back from its reboot"
mediator_signal dom0 CONT
pass "beta rebooted, and no handshake held it up: its worker is gone within 5 s" within 5 workers_serving_are dom0 0
place_is dom0 "vgpu-admin attach beta" 0 '' "beta is attached again"
guest_is_ready beta
guest_is beta alice "vgpu-cli vector_add" 0 '0 errors' "it works"
pass "nothing of its last life is left" within 5 resources_are "$before" || diag "before: $before; now: $(resources)"

# Another kernel is started in the guest.
client gamma "loop 1000000"
guest_kexec gamma || bail "gamma: did not come back from kexec"
pass "gamma, with another kernel: its worker is gone within 5 s" within 5 workers_serving_are dom0 0
guest_is_ready gamma
guest_is gamma alice "vgpu-cli vector_add" 0 '0 errors' "it works"
pass "nothing of the first kernel is left" within 5 resources_are "$before" || diag "before: $before; now: $(resources)"

# Destroyed; and its number given to another before the mediator can look.
client beta "loop 1000000"
id=$(guest_domid beta)
mediator_signal dom0 STOP
guest_destroy beta
place_is dom0 "for f in \$(grep -lx vgpu-worker /proc/[0-9]*/comm); do f=\${f%/comm}; echo killed \${f#/proc/}; kill -9 \${f#/proc/}; done" 0 killed "beta destroyed, its worker killed"
place_is dom0 "for i in \$(seq 300); do xl list | awk '\$(NF - 4) == $id { found = 1 } END { exit found }' && exit 0; sleep 0.1; done; xl list; exit 1" 0 '' "its number is free"
place_is dom0 "vgpu-clone $(guest_domid alpha) delta $id" 0 "^$id\$" "another guest, delta, under its number"
mediator_signal dom0 CONT
pass "delta is attached, as itself" within 10 place_quiet dom0 "grep 'domain $id \"delta\" (.*): attached' $MEDIATOR_LOG"
pass "and sees no channel of beta's" within 5 place_quiet dom0 "! xenstore-ls -f /local/domain | grep -E '/domain/$id/device/vgpu/0/channel|/backend/vgpu/$id/0/channel'"
place_is dom0 "xenstore-read /local/domain/0/backend/vgpu/$id/0/domain" 0 '^delta$' "whose nodes name delta"
place_is dom0 "xl destroy delta" 0 '' "delta is destroyed"
pass "and all of its nodes" within 5 place_quiet dom0 "! xenstore-ls -f /local/domain | grep -E '/domain/$id/|/backend/vgpu/$id/'"
pass "no worker is left of either" within 5 workers_serving_are dom0 0
