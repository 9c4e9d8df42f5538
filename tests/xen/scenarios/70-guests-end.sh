# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Guests end, begin again, stop and go on, in the middle of commands.

before=$(resources)

# Saved and restored.
client beta "loop 3000000"
guest_save beta
pass "beta saved: its worker is gone within 5 s" within 5 workers_serving_are dom0 0
guest_restore beta || bail "beta: did not come back from its file"
guest_is beta alice "$client_says" 0 'ended: VGPU_EDEVLOST after' "beta restored: the call under way ends with VGPU_EDEVLOST"
like "$VM_OUT" 'opened again: nop: ok' "and the same program opens again"

# Rebooted.
client beta "loop 3000000"
guest_reboot beta || bail "beta: did not come back from its reboot"
pass "beta rebooted: its worker is gone within 5 s" within 5 workers_serving_are dom0 0
guest_is beta alice "vgpu-cli vector_add" 0 '0 errors' "it works"
pass "nothing of its last life is left" within 5 resources_are "$before" || diag "before: $before; now: $(resources)"

# Destroyed; and its number given to another.
client beta "loop 3000000"
id=$(guest_domid beta)
guest_destroy beta
pass "beta destroyed: its worker is gone within 5 s" within 5 workers_serving_are dom0 0
pass "and all of its nodes" within 5 place_quiet dom0 "! xenstore-ls -f /local/domain | grep -E '/domain/$id/|/backend/vgpu/$id/'"
place_is dom0 "vgpu-clone $(guest_domid alpha) delta $id" 0 "^$id\$" "another guest, delta, under its number"
