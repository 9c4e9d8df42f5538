# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Completion of vgpu-admin.

_vgpu_admin() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} i id command='' choices=''
	local commands='attach detach list sweep doctor'
	local options='--backend-domain --device --config --json --version --help'

	COMPREPLY=()
	case $prev in
	-n | --device)
		choices='0 1 2 3 4 5 6 7'
		;;
	-c | --config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	*)
		for ((i = 1; i < COMP_CWORD; i++)); do
			case ${COMP_WORDS[i]} in
			-n | --device | -b | --backend-domain | -c | --config) ((i++)) ;;
			-*) ;;
			*)
				command=${COMP_WORDS[i]}
				break
				;;
			esac
		done
		if [[ $cur == -* ]]; then
			choices=$options
		elif [ -z "$command" ] && [[ $prev != -b && $prev != --backend-domain ]]; then
			choices=$commands
		elif [ "$command" != sweep ]; then
			for id in $(xenstore-list /local/domain 2>/dev/null); do
				choices+=" $id $(xenstore-read "/local/domain/$id/name" 2>/dev/null)"
			done
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
}
complete -F _vgpu_admin vgpu-admin
