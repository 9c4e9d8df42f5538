# SPDX-License-Identifier: GPL-2.0-or-later
# vgpu-cli

CLI_SRCS := $(wildcard guest-cli/*.c)
CLI_OBJS := $(CLI_SRCS:%.c=$(B)/%.o)
CLI := $(B)/vgpu-cli
CFLAGS_guest-cli := -Iguest-lib

# Finds the library beside itself in the build tree, and where it was installed.
$(CLI): $(CLI_OBJS) | $(B)/libvgpuguest.so
	$(call say,LD)
	$(Q)$(CC) -o $@ $(CLI_OBJS) $(ALL_LDFLAGS) -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../lib' \
		-L$(B) -lvgpuguest -ljson-c

cli: $(CLI) ## build vgpu-cli
all: cli

BASHCOMPDIR ?= $(DATADIR)/bash-completion/completions

install-cli: $(CLI)
	$(Q)$(INSTALL) -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(BASHCOMPDIR)
	$(Q)$(INSTALL) -m 755 $(CLI) $(DESTDIR)$(BINDIR)/vgpu-cli
	$(Q)$(INSTALL) -d $(DESTDIR)$(MANDIR)/man1
	$(Q)$(INSTALL) -m 644 docs/vgpu-cli.1 $(DESTDIR)$(MANDIR)/man1/
	$(Q)$(INSTALL) -m 644 guest-cli/vgpu-cli.bash $(DESTDIR)$(BASHCOMPDIR)/vgpu-cli
install: install-cli

uninstall-cli:
	$(Q)rm -f $(DESTDIR)$(BINDIR)/vgpu-cli $(DESTDIR)$(BASHCOMPDIR)/vgpu-cli \
		$(DESTDIR)$(MANDIR)/man1/vgpu-cli.1
uninstall: uninstall-cli

.PHONY: cli install-cli uninstall-cli
