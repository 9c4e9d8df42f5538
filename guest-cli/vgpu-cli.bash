# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
# Completion of vgpu-cli.

_vgpu_cli() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i command='' choices=''
	local commands='nop vector_add status list message bench doctor help'
	local options='--device --timeout --json --iterations --mode --seed --verbose --version --help'

	COMPREPLY=()
	case $prev in
	-d | --device)
		choices="auto xen pci unix"
		for i in /sys/bus/xen/devices/vgpu-?; do
			[ -e "$i" ] && choices+=" xen:${i##*-}"
		done
		for i in /sys/bus/pci/drivers/uio_pci_generic/????:??:??.?; do
			[ -e "$i" ] && choices+=" pci:${i##*/}"
		done
		;;
	-m | --mode)
		choices='polling sleeping both'
		;;
	-t | --timeout | -n | --iterations | --seed)
		return
		;;
	*)
		for ((i = 1; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			-d | --device | -m | --mode | -t | --timeout | -n | --iterations | --seed) ((i++)) ;;
			-*) ;;
			*)
				command=${COMP_WORDS[i]}
				break
				;;
			esac
		done
		if [[ $cur == -* ]]; then
			choices=$options
		elif [ -z "$command" ] || [ "$command" = help ]; then
			choices=$commands
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
}
complete -F _vgpu_cli vgpu-cli
