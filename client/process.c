/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process as a parameter of a call. */
#include "config.h"

#include "process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failure.h"
#include "member.h"

#define PID_LIMIT 4194304 /* PID_MAX_LIMIT, linux/threads.h */

int
process_parameter(const struct client *c, const char *text, struct json_object *parameters, int *fd, struct error *e)
{
	char *end;
	long pid = strtol(text, &end, 10);

	if (text[strspn(text, "0123456789")] || !text[0] || pid < 1 || pid > PID_LIMIT)
		return fail(e, FAILURE_USAGE, "%s: not a process id", text);
	if (!c->host) {
		int opened = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
		if (opened >= 0) {
			*fd = opened;
			return member_put_int(parameters, "pidFileDescriptor", 0, e);
		}
		if (errno == ESRCH)
			return error_set(e, ERROR_NO_SUCH_PROCESS, NULL, "there is no process %ld", pid);
	}
	return member_put_int(parameters, "pid", pid, e);
}
