# SPDX-License-Identifier: GPL-2.0-or-later
#
# gpu_mediator: supervisor and worker are one program.

HOST_XEN_SRCS := host/transport_xen.c host/mediator_xen.c host/mediator_xen_device.c host/mediator_xenstore.c
# Of vgpu-admin and of QEMU's device.
XEN_NODES_SRCS := host/xen_nodes.c host/xen_lookup.c
# gpu_mediator_cuda.so's own.
CUDA_SRCS := host/mediator_cuda.c $(wildcard host/cuda_*.c)
HOST_SRCS := $(filter-out $(CUDA_SRCS) $(XEN_NODES_SRCS) $(if $(XEN_PKGS),,$(HOST_XEN_SRCS)), \
	$(wildcard host/*.c))
HOST_OBJS := $(HOST_SRCS:%.c=$(B)/%.o)
# Of worker_uvm.c: libraries that are loaded later are to find it.
EXPORT_IOCTL := -Wl,-u,ioctl -Wl,--export-dynamic-symbol=ioctl
MEDIATOR := $(B)/host/gpu_mediator

# Deferred: `make deps` and the like must work where these are missing.
HOST_PKGS := libevent_core inih libsystemd libseccomp $(XEN_PKGS)
HOST_PKG_CFLAGS = $(eval HOST_PKG_CFLAGS := $$(shell $(PKG_CONFIG) --cflags $(HOST_PKGS)))$(HOST_PKG_CFLAGS)
HOST_PKG_LIBS = $(eval HOST_PKG_LIBS := $$(shell $(PKG_CONFIG) --libs $(HOST_PKGS)))$(HOST_PKG_LIBS)
CFLAGS_host = $(HOST_PKG_CFLAGS) \
	-Iprotocol -Icommon -DVGPU_CUDA_LIBRARY='"$(LIBDIR)/gpu_mediator/gpu_mediator_cuda.so"'

all: $(MEDIATOR)

$(MEDIATOR): $(HOST_OBJS) $(COMMON_OBJS)
	$(call say,LD)
	$(Q)$(CC) -o $@ $^ $(ALL_LDFLAGS) $(EXPORT_IOCTL) $(HOST_PKG_LIBS) -lpthread -ldl -lm

include host/cuda.mk
include host/admin/module.mk

$(B)/host/gpu_mediator.service: host/gpu_mediator.service.in
	@mkdir -p $(@D)
	$(call say,GEN)
	$(Q)sed 's|@SBINDIR@|$(SBINDIR)|g' $< >$@

install: install-host
uninstall: uninstall-host

# An administrator's configuration is never overwritten.
install-host: $(MEDIATOR) $(B)/host/gpu_mediator.service ## gpu_mediator, its unit, configuration and man pages
	$(Q)$(INSTALL) -d $(DESTDIR)$(SBINDIR) $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/gpu_mediator \
		$(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8
	$(Q)$(INSTALL) -m 755 $(MEDIATOR) $(DESTDIR)$(SBINDIR)/gpu_mediator
	$(Q)$(INSTALL) -m 644 $(B)/host/gpu_mediator.service $(DESTDIR)$(UNITDIR)/gpu_mediator.service
	$(Q)$(INSTALL) -m 644 docs/gpu_mediator.8 $(DESTDIR)$(MANDIR)/man8/gpu_mediator.8
	$(Q)$(INSTALL) -m 644 docs/gpu_mediator.conf.5 $(DESTDIR)$(MANDIR)/man5/gpu_mediator.conf.5
	$(Q)[ -e $(DESTDIR)$(SYSCONFDIR)/gpu_mediator/config.conf ] || \
		$(INSTALL) -m 644 host/gpu_mediator.conf $(DESTDIR)$(SYSCONFDIR)/gpu_mediator/config.conf
	$(Q)$(INSTALL) -d $(DESTDIR)$(SYSUSERSDIR)
	$(Q)$(INSTALL) -m 644 host/gpu_mediator.sysusers.conf $(DESTDIR)$(SYSUSERSDIR)/gpu_mediator.conf
	$(if $(DESTDIR),,$(Q)host/add_user.sh)
	$(Q)if [ -e $(CUDA_SO) ]; then $(INSTALL) -d $(DESTDIR)$(LIBDIR)/gpu_mediator && \
		$(INSTALL) -m 755 $(CUDA_SO) $(DESTDIR)$(LIBDIR)/gpu_mediator/; fi

uninstall-host: ## remove them; the configuration stays
	$(Q)rm -f $(DESTDIR)$(SBINDIR)/gpu_mediator $(DESTDIR)$(UNITDIR)/gpu_mediator.service \
		$(DESTDIR)$(MANDIR)/man8/gpu_mediator.8 $(DESTDIR)$(MANDIR)/man5/gpu_mediator.conf.5 \
		$(DESTDIR)$(LIBDIR)/gpu_mediator/$(notdir $(CUDA_SO)) \
		$(DESTDIR)$(SYSUSERSDIR)/gpu_mediator.conf

.PHONY: install-host uninstall-host
