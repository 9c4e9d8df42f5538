# SPDX-License-Identifier: GPL-2.0-or-later
#
# libFuzzer targets. Always built by clang with its own sanitizers, apart from $(B).
# FUZZ_<target>: what is linked to fuzz_<target>.c.

FUZZ_SECONDS ?= 30
FUZZ_B := build/fuzz
FUZZ_CC ?= clang-14
FUZZ_SAN := address,undefined
FUZZ_CFLAGS = -std=gnu11 -D_GNU_SOURCE -g -O1 $(WARNINGS) -Wno-unknown-pragmas -Wno-unknown-warning-option -fno-omit-frame-pointer \
	-fno-sanitize-recover=all -fsanitize=fuzzer-no-link,$(FUZZ_SAN) \
	-DVGPU_RELEASE='"$(VERSION)"' -I. -Ibuild/include $(if $(WERROR),-Werror)

FUZZ_channel := host/worker_channel.c
FUZZ_config := host/mediator_config.c host/mediator_config_file.c host/log.c
FUZZ_frame := common/frame.c
FUZZ_log := host/log.c
FUZZ_request := host/worker_commands.c host/backend_cpu.c common/shm.c
FUZZ_response := guest-lib/channel.c guest-lib/last_error.c guest-lib/fork_guard.c \
	common/errors.c common/spsc.c common/shm.c host/worker_channel.c
FUZZ_ring := common/spsc.c

FUZZ_LIBS_config := -linih

FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

$(FUZZ_B)/%.o: %.c | build/include/vgpu
	@mkdir -p $(@D)
	$(call say,FUZZCC)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<

define fuzz_target
$(FUZZ_B)/fuzz-$(1): $(FUZZ_B)/tests/fuzz/fuzz_$(1).o $(FUZZ_$(1):%.c=$(FUZZ_B)/%.o)
	$$(call say,FUZZLD)
	$$(Q)$(FUZZ_CC) -fsanitize=fuzzer,$(FUZZ_SAN) -o $$@ $$^ $(FUZZ_LIBS_$(1))

fuzz-$(1): $(FUZZ_B)/fuzz-$(1)
	$$(Q)mkdir -p $(FUZZ_B)/corpus $(FUZZ_B)/crashes
	$$(Q)tests/fuzz/seeds.py $(FUZZ_B)/seeds
	$$(Q)mkdir -p $(FUZZ_B)/corpus/$(1) $(FUZZ_B)/seeds/$(1)
	$$(Q)$$< -artifact_prefix=$(FUZZ_B)/crashes/$(1)- $$(FUZZ_ARGS) $(FUZZ_B)/corpus/$(1) \
		$(FUZZ_B)/seeds/$(1) $(wildcard tests/fuzz/corpus/$(1))
.PHONY: fuzz-$(1)
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call fuzz_target,$(t))))

##  fuzz-<target>     fuzz one parser until it fails or you stop it; FUZZ_ARGS goes to libFuzzer

check-fuzz: $(FUZZ_TARGETS:%=$(FUZZ_B)/fuzz-%) ## each parser under libFuzzer, FUZZ_SECONDS each
	$(Q)prove --exec 'bash' tests/fuzz/run.sh :: $(FUZZ_B) $(FUZZ_SECONDS) $(FUZZ_TARGETS)

.PHONY: check-fuzz
