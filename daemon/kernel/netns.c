/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network namespaces as such: make, open from an fd, close, and the socket inside. */
#include "config.h"

#include "kernel-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "macros.h"

int
netns_make(struct kernel *k, struct netns *ret, struct error *e)
{
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(e, errno, "cannot make a network namespace");
	int err = netns_take_current(ret, e);
	kernel_leave(k);
	return err;
}

bool
netns_is_nsfs(int fd)
{
	struct statfs fs;
	return fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

int
netns_of_fd(struct kernel *k, int fd, struct netns *ret, struct error *e)
{
	/* Entering comes first: it takes nothing but a namespace or a pidfd, and asks nothing of whoever serves the file,
	 * while a look at a file of a FUSE mount may never return. */
	int err = kernel_enter(fd);
	if (err == -EINVAL || err == -EBADF || err == -ESRCH)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "the file descriptor is not of a network namespace");
	if (err < 0)
		return error_errno(e, -err, "cannot enter the network namespace");

	struct netns n = NETNS_INIT;
	if (netns_is_nsfs(fd))
		err = netns_take_current(&n, e);
	else
		err = error_set(e, ERROR_INVALID_VALUE, NULL,
				"the file descriptor is of a process, not of a network namespace");
	kernel_leave(k);
	if (err == 0)
		*ret = n;
	return err;
}

int
netns_rtnl(struct kernel *k, struct netns *n, struct rtnl **ret, struct error *e)
{
	if (!n->rtnl) {
		int err = kernel_enter(n->fd);
		if (err < 0)
			return error_errno(e, -err, "cannot enter the network namespace");
		err = rtnl_open(&n->rtnl, e);
		kernel_leave(k);
		if (err < 0)
			return err;
	}
	*ret = n->rtnl;
	return 0;
}

void
netns_close(struct netns *n)
{
	rtnl_close(n->rtnl);
	close_fd(&n->fd);
	*n = (struct netns)NETNS_INIT;
}
