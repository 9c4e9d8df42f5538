# SPDX-License-Identifier: GPL-2.0-or-later

# What belongs into a VM, and nothing of the host's.
guest: lib cli ## build what belongs into a VM
install-guest: install-lib install-cli install-udev ## install it

install: install-udev
uninstall: uninstall-udev

install-udev: ## the udev rule that makes the device usable, and group vgpu
	$(Q)$(INSTALL) -d $(DESTDIR)$(UDEVDIR)/rules.d $(DESTDIR)$(SYSUSERSDIR) \
		$(DESTDIR)$(MODPROBEDIR)
	$(Q)$(INSTALL) -m 644 udev/60-vgpu.rules $(DESTDIR)$(UDEVDIR)/rules.d/60-vgpu.rules
	$(Q)$(INSTALL) -m 755 udev/vgpu-udev $(DESTDIR)$(UDEVDIR)/vgpu-udev
	$(Q)$(INSTALL) -m 644 udev/vgpu.sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/vgpu.conf
	$(Q)$(INSTALL) -m 644 udev/vgpu-gntalloc.conf $(DESTDIR)$(MODPROBEDIR)/vgpu-gntalloc.conf
	$(if $(DESTDIR),,$(Q)udev/activate.sh)

uninstall-udev: ## remove the rule; bound devices stay bound
	$(Q)rm -f $(DESTDIR)$(UDEVDIR)/rules.d/60-vgpu.rules $(DESTDIR)$(UDEVDIR)/vgpu-udev \
		$(DESTDIR)$(SYSUSERSDIR)/vgpu.conf $(DESTDIR)$(MODPROBEDIR)/vgpu-gntalloc.conf
	$(if $(DESTDIR),,$(Q)udev/activate.sh --removed)

.PHONY: guest install-guest install-udev uninstall-udev
