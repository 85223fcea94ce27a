/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Leaving the host: own network and mount namespace, own /run. */
#include "config.h"

#include "private.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "link.h"
#include "rtnl.h"

/* Where the path leads, as far as it exists. */
static bool
is_in_run(const char *path)
{
	char real[PATH_MAX];
	const char *p = realpath(path, real) ? real : path;
	return strcmp(p, "/run") == 0 || strncmp(p, "/run/", 5) == 0 || strncmp(p, "/var/run/", 9) == 0;
}

int
kernel_go_private(const char *runtime_directory, struct error *e)
{
	CLEANUP(rtnl_closep) struct rtnl *r = NULL;

	if (is_in_run(runtime_directory))
		return error_set(e, ERROR_INVALID_VALUE, "--runtime-directory",
				 "with --private, /run is nsd's own and nobody would find the socket in %s; give a "
				 "--runtime-directory outside of /run",
				 runtime_directory);
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		return error_errno(e, errno, "cannot make namespaces of my own (--private needs root)");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(e, errno, "cannot keep mounts to myself");
	if (mount("nsd", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") < 0)
		return error_errno(e, errno, "cannot mount a /run of my own");
	int err = rtnl_open(&r, e);
	if (err < 0)
		return err;
	link_put_up(r, 1, true, "lo");
	return rtnl_send(r, e);
}
