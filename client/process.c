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

static int
parse_pid(const char *text, pid_t *ret, struct error *e)
{
	long pid = strtol(text, NULL, 10);

	if (text[strspn(text, "0123456789")] || !text[0] || pid < 1 || pid > PID_LIMIT)
		return fail(e, FAILURE_USAGE, "%s: not a process id", text);
	*ret = (pid_t)pid;
	return 0;
}

static int
open_pid(pid_t pid, int *ret, struct error *e)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0 && errno == ESRCH)
		return error_set(e, ERROR_NO_SUCH_PROCESS, NULL, "there is no process %d", (int)pid);
	if (fd < 0)
		return fail_errno(e, FAILURE_LOCAL, errno, "cannot open process %d", (int)pid);
	*ret = fd;
	return 0;
}

int
process_open(const char *text, int *ret, struct error *e)
{
	pid_t pid;
	int r = parse_pid(text, &pid, e);

	return r < 0 ? r : open_pid(pid, ret, e);
}

int
process_parameter(const struct client *c, const char *text, struct json_object *parameters, int *fd, struct error *e)
{
	pid_t pid;
	int r = parse_pid(text, &pid, e);
	if (r < 0)
		return r;

	r = c->host ? -ENOSYS : open_pid(pid, fd, e);
	if (r == 0)
		return member_put_int(parameters, "pidFileDescriptor", 0, e);
	if (!c->host && e->code == ERROR_NO_SUCH_PROCESS)
		return r;
	return member_put_int(parameters, "pid", pid, e);
}
