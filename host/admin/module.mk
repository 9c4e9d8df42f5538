# SPDX-License-Identifier: GPL-2.0-or-later
#
# vgpu-admin: a program of its own, for dom0, where the mediator need not be. Not with XEN=no.
# LDFLAGS=-static makes it run in a dom0 with an older C library.

ADMIN := $(B)/host/vgpu-admin
ADMIN_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard host/admin/*.c) $(XEN_NODES_SRCS) \
	host/mediator_config.c host/mediator_config_file.c host/log.c)
CFLAGS_host_admin := -Iprotocol -Icommon

$(ADMIN): $(ADMIN_OBJS)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) -lxenstore -lxentoolcore -ljson-c -linih

vgpu-admin: $(ADMIN) ## build vgpu-admin, which attaches Xen's domains
ifneq ($(XEN),no)
all: vgpu-admin
install: install-admin
endif

install-admin: $(ADMIN)
	$(Q)$(INSTALL) -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(BASHCOMPDIR) $(DESTDIR)$(MANDIR)/man8
	$(Q)$(INSTALL) -m 755 $(ADMIN) $(DESTDIR)$(SBINDIR)/vgpu-admin
	$(Q)$(INSTALL) -m 644 docs/vgpu-admin.8 $(DESTDIR)$(MANDIR)/man8/
	$(Q)$(INSTALL) -m 644 host/admin/vgpu-admin.bash $(DESTDIR)$(BASHCOMPDIR)/vgpu-admin

uninstall: uninstall-admin
uninstall-admin:
	$(Q)rm -f $(DESTDIR)$(SBINDIR)/vgpu-admin $(DESTDIR)$(BASHCOMPDIR)/vgpu-admin \
		$(DESTDIR)$(MANDIR)/man8/vgpu-admin.8

.PHONY: vgpu-admin install-admin uninstall-admin
