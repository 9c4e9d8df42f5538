# SPDX-License-Identifier: GPL-2.0-or-later

check-model: ## the wake-up protocol under spin, whole and with each fence taken out
	$(Q)prove --exec 'bash' tests/model/check-model.sh :: $(B)/tests/model

.PHONY: check-model
