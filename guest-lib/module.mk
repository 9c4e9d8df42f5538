# SPDX-License-Identifier: GPL-2.0-or-later
# libvgpuguest: shared and static, headers, pkg-config file.

GUEST_SO_VERSION := 0
GUEST_XEN_SRCS := $(wildcard guest-lib/transport_xen.c guest-lib/xen_*.c)
GUEST_SRCS := $(filter-out $(if $(XEN_PKGS),guest-lib/xen_absent.c, \
	$(filter-out guest-lib/xen_absent.c,$(GUEST_XEN_SRCS))),$(wildcard guest-lib/*.c))
GUEST_OBJS := $(GUEST_SRCS:%.c=$(B)/%.o)
GUEST_SO := $(B)/libvgpuguest.so
GUEST_A := $(B)/libvgpuguest.a
# Deferred: `make deps` and the like must work where these are missing.
GUEST_LIBS = -lpci $(GUEST_PKG_LIBS) -pthread
GUEST_PKG_LIBS = $(if $(XEN_PKGS),$(eval GUEST_PKG_LIBS := $$(shell $(PKG_CONFIG) --libs $(XEN_PKGS)))$(GUEST_PKG_LIBS))
CFLAGS_guest-lib := -pthread

$(GUEST_SO).$(GUEST_SO_VERSION): $(GUEST_OBJS) $(COMMON_OBJS) guest-lib/libvgpuguest.map
	$(call say,LD)
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script,guest-lib/libvgpuguest.map \
		$(if $(SAN),$(filter-out -Wl$(comma)-z$(comma)defs,$(ALL_LDFLAGS)),$(ALL_LDFLAGS)) \
		-o $@ $(GUEST_OBJS) $(COMMON_OBJS) $(GUEST_LIBS)

$(GUEST_SO): $(GUEST_SO).$(GUEST_SO_VERSION)
	$(Q)ln -sfn $(<F) $@

# One object in the archive: what is private stays private in static programs, too.
$(GUEST_A): $(GUEST_OBJS) $(COMMON_OBJS)
	$(call say,AR)
	$(Q)$(LD) -r -o $(B)/vgpuguest-all.o $^
	$(Q)objcopy --localize-hidden $(B)/vgpuguest-all.o
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(B)/vgpuguest-all.o

$(B)/vgpuguest.pc: guest-lib/vgpuguest.pc.in Makefile
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
		-e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@VERSION@|$(VERSION)|' \
		-e 's|@XEN_PKGS@|$(XEN_PKGS)|' $< >$@

lib: $(GUEST_SO) $(GUEST_A) ## build libvgpuguest
all: lib

# The public header includes these; the others are between library and host.
GUEST_HEADERS := guest-lib/vgpuguest.h guest-lib/vgpuguest_gpu.h
GUEST_PROTOCOL := $(addprefix protocol/vgpu_,channel.h commands.h errors.h gpu.h version.h)

install-lib: lib $(B)/vgpuguest.pc
	$(Q)$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/vgpu
	$(Q)$(INSTALL) -m 755 $(GUEST_SO).$(GUEST_SO_VERSION) $(DESTDIR)$(LIBDIR)/
	$(Q)ln -sfn libvgpuguest.so.$(GUEST_SO_VERSION) $(DESTDIR)$(LIBDIR)/libvgpuguest.so
	$(Q)$(INSTALL) -m 644 $(GUEST_A) $(DESTDIR)$(LIBDIR)/
	$(Q)$(INSTALL) -m 644 $(B)/vgpuguest.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	$(Q)$(INSTALL) -m 644 $(GUEST_HEADERS) $(DESTDIR)$(INCLUDEDIR)/
	$(Q)$(INSTALL) -m 644 $(GUEST_PROTOCOL) $(DESTDIR)$(INCLUDEDIR)/vgpu/
	$(Q)$(INSTALL) -d $(DESTDIR)$(MANDIR)/man3
	$(Q)$(INSTALL) -m 644 docs/vgpuguest.3 $(DESTDIR)$(MANDIR)/man3/
install: install-lib

uninstall-lib:
	$(Q)rm -f $(addprefix $(DESTDIR)$(LIBDIR)/,libvgpuguest.so libvgpuguest.a \
		libvgpuguest.so.$(GUEST_SO_VERSION) pkgconfig/vgpuguest.pc)
	$(Q)rm -f $(addprefix $(DESTDIR)$(INCLUDEDIR)/,$(notdir $(GUEST_HEADERS))) $(DESTDIR)$(MANDIR)/man3/vgpuguest.3 \
		$(addprefix $(DESTDIR)$(INCLUDEDIR)/vgpu/,$(notdir $(GUEST_PROTOCOL)))
	$(Q)rmdir $(DESTDIR)$(INCLUDEDIR)/vgpu 2>/dev/null || true
uninstall: uninstall-lib

install: ## install everything that is built here; DESTDIR, PREFIX
uninstall: ## remove what install put there

.PHONY: lib install install-lib uninstall uninstall-lib
