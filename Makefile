# SPDX-License-Identifier: GPL-2.0-or-later
#
# One make for the whole tree; each area adds its part in module.mk.
#
#   V=1                      show the commands
#   SAN=address,undefined    sanitizers, built beside the ordinary build
#   SAN=thread
#   WERROR=1                 warnings are errors, as in CI
#   XEN=no                   without Xen's libraries and the transport over them
#   PREFIX, DESTDIR          where `make install` puts things

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

VERSION := 0.1.0

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
SBINDIR ?= $(PREFIX)/sbin
LIBDIR ?= $(PREFIX)/lib
LIBEXECDIR ?= $(PREFIX)/libexec
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
SYSCONFDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
UDEVDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/lib,$(PREFIX)/lib)/udev
SYSUSERSDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/usr/lib,$(PREFIX)/lib)/sysusers.d
MODPROBEDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/usr/lib,$(PREFIX)/lib)/modprobe.d
UNITDIR ?= $(if $(filter /usr /usr/local,$(PREFIX)),/lib,$(PREFIX)/lib)/systemd/system
INSTALL ?= install

# Xen's libraries, for the guest library and the host alike; XEN=no builds without.
XEN_PKGS := $(if $(filter no,$(XEN)),,xenstore xenevtchn xengnttab)

CC ?= gcc
PKG_CONFIG ?= pkg-config
SAN ?=
comma := ,
B := build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))

WARNINGS := -Wall -Wextra -Wmissing-prototypes -Wstrict-prototypes -Wshadow -Wvla \
	-Wformat=2 -Wno-format-nonliteral -Wundef -Wpointer-arith
# Sanitizers and _FORTIFY_SOURCE get in each other's way.
HARDEN := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all, \
	-D_FORTIFY_SOURCE=2 -fstack-protector-strong)
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -fPIC -fvisibility=hidden $(WARNINGS) \
	$(if $(WERROR),-Werror) $(HARDEN) $(if $(XEN_PKGS),,-DVGPU_NO_XEN) -DVGPU_RELEASE='"$(VERSION)"' -I. -I$(B)/include $(CFLAGS)
ALL_LDFLAGS = $(if $(SAN),-fsanitize=$(SAN),-Wl$(comma)-z$(comma)relro$(comma)-z$(comma)now) \
	-Wl,-z,defs $(LDFLAGS)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(B)/%,%,$@)')

all: ## build the library, vgpu-cli and gpu_mediator

# What both sides share, as objects.
COMMON_SRCS := $(wildcard common/*.c)
COMMON_OBJS := $(COMMON_SRCS:%.c=$(B)/%.o)

# -pie and the like come from the compiler's defaults; every object is -fPIC.
# CFLAGS_<dir> adds to the flags of one directory's objects.
# Public headers are included as they will be when installed.
$(B)/include/vgpu:
	@mkdir -p $(@D)
	@ln -sfnr protocol $@

$(B)/%.o: %.c | $(B)/include/vgpu
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(CFLAGS_$(subst /,_,$(patsubst %/,%,$(dir $<)))) -MMD -MP -c -o $@ $<

include $(sort $(wildcard guest-lib/module.mk guest-cli/module.mk examples/module.mk host/module.mk udev/module.mk \
	qemu-device/module.mk docs/module.mk tests/module.mk tests/*/module.mk))

-include $(shell find $(B) -name '*.d' -not -path '$(B)/san-*' 2>/dev/null)
ifneq ($(SAN),)
-include $(shell find $(B) -name '*.d' 2>/dev/null)
endif

clean: ## remove what was built here; the cache stays
	$(Q)rm -rf build

cache-clean: ## remove the cache of QEMU, kernels and images
	$(Q)rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/vgpu"

FORMATTED = $(shell git ls-files '*.c' '*.h' | grep -v '^qemu-device/')
format: ## reformat the C sources
	$(Q)clang-format-14 -i $(FORMATTED)

check-format: ## are the C sources formatted?
	$(Q)clang-format-14 --dry-run -Werror $(FORMATTED)

help: ## this list
	@echo 'make targets:'
	@sed -nE -e 's/^([a-z0-9-]+):.*## /\1\t/p' -e 's/^##  ([a-z0-9-]+) +/\1\t/p' \
		$(filter %Makefile %.mk,$(MAKEFILE_LIST)) | sort | \
		awk -F'\t' '{ printf "  %-16s %s\n", $$1, $$2 }'
	@echo 'variables: V=1 SAN=address,undefined SAN=thread WERROR=1 XEN=no PREFIX= DESTDIR='

.PHONY: all clean cache-clean format check-format help
