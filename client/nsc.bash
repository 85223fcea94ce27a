# SPDX-License-Identifier: GPL-2.0-or-later
# Completion of nsc for bash. nsc itself knows its verbs and words, and asks nsd for names.

_nsc()
{
	local reply
	COMPREPLY=()
	mapfile -t reply < <("${COMP_WORDS[0]}" completion -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)

	# Where a command of another program starts, that one's own completion takes over.
	if [[ ${reply[0]-} == ":command "* ]]; then
		if declare -F _command_offset >/dev/null; then
			_command_offset $((${reply[0]#:command } + 1))
		else
			mapfile -t COMPREPLY < <(compgen -o default -c -f -- "${COMP_WORDS[COMP_CWORD]}")
		fi
		return
	fi
	COMPREPLY=("${reply[@]}")
}

complete -o default -F _nsc nsc
