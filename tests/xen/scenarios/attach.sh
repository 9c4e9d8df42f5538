# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Devices come and go while the guest runs; vgpu-admin is asked for things twice, and for nonsense.

id=$(guest_domid beta)
attached=$(nodes)
client beta idle
place_is dom0 "vgpu-admin detach beta" 0 '' "detach, with a channel open"
pass "its worker is gone within 5 s" within 5 workers_serving_are dom0 0
guest_is beta alice "kill \$(cat /tmp/pid); vgpu-cli nop" 3 '' "the guest is told that there is no device"
place_is dom0 "xenstore-ls -f /local/domain | grep -E '/domain/$id/device/vgpu|/backend/vgpu/$id(/| )'" 1 '^$' "nothing of it is in XenStore"
place_is dom0 "vgpu-admin detach beta" 0 'not attached' "detach again"
place_is dom0 "vgpu-admin attach beta" 0 '' "attach while it runs"
guest_is beta alice "vgpu-cli vector_add" 0 '0 errors' "it works at once"
place_is dom0 "vgpu-admin attach $id" 0 'already' "attach again, by number"
guest_is beta alice "vgpu-cli nop" 0 'NOP' "which disturbs nothing"
pass "no channel is left" within 5 channel_nodes_are beta 0
is "$(nodes)" "$attached" "the nodes are those of the first attaching"
before=$(nodes)
place_is dom0 "vgpu-admin attach nosuch" 3 'nosuch' "attach a domain that does not exist"
place_is dom0 "vgpu-admin attach 4711" 3 '4711' "the same, by number"
place_is dom0 "vgpu-admin detach nosuch" 3 'nosuch' "detach a domain that does not exist"
is "$(nodes)" "$before" "nothing was left of that"
place_is dom0 "vgpu-admin list" 0 'beta' "list shows it"
place_is dom0 "vgpu-admin doctor" 0 '' "doctor finds nothing wrong"
