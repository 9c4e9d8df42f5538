# SPDX-License-Identifier: GPL-2.0-or-later
#
# libFuzzer targets. Always built by clang with its own sanitizers, apart from $(B).

FUZZ_SECONDS ?= 30
FUZZ_B := build/fuzz
FUZZ_CC ?= clang-14
FUZZ_SAN := address,undefined
FUZZ_CFLAGS = -std=gnu11 -D_GNU_SOURCE -g -O1 $(WARNINGS) -Wno-unknown-pragmas -Wno-unknown-warning-option \
	-Wno-missing-field-initializers -fno-omit-frame-pointer \
	-fno-sanitize-recover=all -fsanitize=fuzzer-no-link,$(FUZZ_SAN) \
	$(if $(XEN_PKGS),,-DVGPU_NO_XEN) -DVGPU_RELEASE='"$(VERSION)"' -I. -Iguest-lib -Ibuild/include $(if $(WERROR),-Werror)

# Archives: the linker takes from them what a target needs.
FUZZ_HOST := $(FUZZ_B)/host.a
FUZZ_GUEST := $(FUZZ_B)/guest.a
FUZZ_COMMON := $(FUZZ_B)/common.a
fuzz_objs = $(patsubst %.c,$(FUZZ_B)/%.o,$(filter-out host/mediator_main.c $(CUDA_SRCS),$(1)))
$(FUZZ_HOST): $(call fuzz_objs,$(wildcard host/*.c))
$(FUZZ_GUEST): $(call fuzz_objs,$(GUEST_SRCS))
$(FUZZ_COMMON): $(call fuzz_objs,$(wildcard common/*.c))
$(FUZZ_HOST) $(FUZZ_GUEST) $(FUZZ_COMMON):
	$(call say,AR)
	$(Q)rm -f $@ && ar rcs $@ $^

# What a target's name does not say: where the code lies that it drives. Host by default.
FUZZ_OF_frame := $(FUZZ_COMMON)
FUZZ_OF_ring := $(FUZZ_COMMON)
FUZZ_OF_response := $(FUZZ_GUEST) $(FUZZ_B)/host/worker_channel.o $(FUZZ_COMMON)
FUZZ_OF_guest := $(FUZZ_GUEST) $(FUZZ_COMMON)
FUZZ_OF_registers := $(FUZZ_GUEST) $(FUZZ_COMMON)
FUZZ_OF_xenstore := $(FUZZ_B)/tests/xenlib/xs_store.o $(FUZZ_HOST) $(FUZZ_COMMON)
fuzz_of = $(or $(FUZZ_OF_$(1)),$(FUZZ_HOST) $(FUZZ_COMMON))

FUZZ_LIBS_xenstore := -levent_core
FUZZ_LIBS_config := -linih
FUZZ_LIBS_registers = -lpci $(GUEST_PKG_LIBS)
# Worker processes, and the host that the library talks to, are the fuzzer's invention.
FUZZ_LIBS_mediator := -levent_core $(if $(XEN_PKGS),-lxenstore) $(addprefix -Wl$(comma)--wrap=,posix_spawn syscall waitpid kill \
	posix_spawn_file_actions_adddup2 prlimit)
FUZZ_LIBS_guest = -lpci $(GUEST_PKG_LIBS) $(addprefix -Wl$(comma)--wrap=,connect poll epoll_wait)

FUZZ_TARGETS := $(filter-out $(if $(XEN_PKGS),,xenstore),$(patsubst tests/fuzz/fuzz_%.c,%, \
	$(wildcard tests/fuzz/fuzz_*.c)))

$(FUZZ_B)/%.o: %.c | build/include/vgpu
	@mkdir -p $(@D)
	$(call say,FUZZCC)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) $(CFLAGS_$(subst /,_,$(patsubst %/,%,$(dir $<)))) -MMD -MP -c -o $@ $<

define fuzz_target
$(FUZZ_B)/fuzz-$(1): $(FUZZ_B)/tests/fuzz/fuzz_$(1).o $(call fuzz_of,$(1))
	$$(call say,FUZZLD)
	$$(Q)$(FUZZ_CC) -fsanitize=fuzzer,$(FUZZ_SAN) -o $$@ $$^ $$(FUZZ_LIBS_$(1))

fuzz-$(1): $(FUZZ_B)/fuzz-$(1)
	$$(Q)mkdir -p $(FUZZ_B)/corpus $(FUZZ_B)/crashes
	$$(Q)tests/fuzz/seeds.py $(FUZZ_B)/seeds
	$$(Q)mkdir -p $(FUZZ_B)/corpus/$(1) $(FUZZ_B)/seeds/$(1)
	$$(Q)$$< -artifact_prefix=$(FUZZ_B)/crashes/$(1)- $$(FUZZ_ARGS) $(FUZZ_B)/corpus/$(1) \
		$(FUZZ_B)/seeds/$(1) $(wildcard tests/fuzz/corpus/$(1))
.PHONY: fuzz-$(1)
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_target,$(t))))

##  fuzz-request      fuzz one of the targets until it fails; FUZZ_ARGS goes to libFuzzer

check-fuzz: $(FUZZ_TARGETS:%=$(FUZZ_B)/fuzz-%) ## each parser under libFuzzer, FUZZ_SECONDS each
	$(Q)prove --exec 'bash' tests/fuzz/run.sh :: $(FUZZ_B) $(FUZZ_SECONDS) $(FUZZ_TARGETS)

.PHONY: check-fuzz
