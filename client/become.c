/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Becoming a command. */
#include "config.h"

#include "become.h"

#include <errno.h>
#include <string.h>

#include "failure.h"

int
become(char **words, struct error *e)
{
	static char sh[] = "sh";
	char *shell = getenv("SHELL");
	char *fallback[] = { shell && *shell ? shell : sh, NULL };
	char **command = words[0] && strcmp(words[0], "--") == 0 ? words + 1 : words;

	if (!command[0])
		command = fallback;
	execvp(command[0], command);
	if (errno == ENOENT || errno == ENOTDIR)
		return fail_errno(e, FAILURE_COMMAND_NOT_FOUND, errno, "cannot run %s", command[0]);
	return fail_errno(e, FAILURE_NOT_EXECUTABLE, errno, "cannot run %s", command[0]);
}
