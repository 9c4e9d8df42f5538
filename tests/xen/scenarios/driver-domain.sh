# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# The mediator runs in an unprivileged domain and serves other guests; dom0 runs none.

guest_start driver driver
guest_wait_ready driver || bail "driver domain: boot failed"
mediator_end dom0 TERM
guest_is alpha alice "vgpu-cli nop" 3 'mediator' "alpha: dom0's mediator has stopped: told"
driver=$(guest_domid driver)
place_is dom0 "vgpu-admin detach alpha" 0 '' "detach alpha from dom0"
guest_run driver root "modprobe -a xen-evtchn xen-gntdev xen-gntalloc; ls /dev/xen"
mediator_start driver
mediator_place=driver
place_is dom0 "vgpu-admin attach alpha --backend-domain driver" 0 '' "attach it to the driver domain"
guest_is alpha alice "vgpu-cli nop" 0 'NOP command successful' "alpha: nop, served by the driver domain"
guest_is alpha alice "vgpu-cli vector_add" 0 '1024 elements, 0 errors' "alpha: vector_add there"
guest_is alpha alice "vgpu-cli vector_add 300000" 0 '300000 elements, 0 errors' "alpha: vector_add of its own data"
guest_is alpha alice "vgpu-cli status" 0 'xen:0' "alpha: status"
guest_is alpha alice "vgpu-cli message 'it is alpha'" 0 '' "alpha: message"
pass "is logged in the driver domain, with domain, name and uuid" within 5 on driver \
	"grep -E 'domain $(guest_domid alpha) \"alpha\" \\([0-9a-f-]{36}\\): channel [0-9]+: message: it is alpha' $MEDIATOR_LOG"
is "$(workers_serving dom0)" 0 "no worker serves in dom0"

client alpha "loop 1000000"
pass "one serves in the driver domain" within 5 workers_serving_are driver 1
guest_is alpha alice 'kill -9 $(cat /tmp/pid)' 0 '' "alpha: its program is killed"
pass "its worker is gone within 5 s" within 5 workers_serving_are driver 0
pass "and its nodes" within 5 place_quiet dom0 "! xenstore-ls -f /local/domain | grep -E '/channel-[0-9]+ '"

client alpha loop
mediator_end driver KILL
mediator_start driver
guest_is alpha alice "$client_says" 0 'ended: VGPU_EDEVLOST after' "alpha: the driver domain's mediator is killed: VGPU_EDEVLOST"
like "$VM_OUT" 'opened again: nop: ok' "it opens again"

client alpha loop
guest_destroy alpha
pass "alpha destroyed: its worker is gone within 5 s" within 5 workers_serving_are driver 0
pass "the driver domain removes what is left in XenStore" within 5 place_quiet dom0 "! xenstore-ls -f /local/domain/$driver/backend | grep /vgpu/"
mediator_end driver TERM
