/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread's hands in the kernel: the host's socket, the way into a namespace and back. */
#include "config.h"

#include "kernel-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <time.h>

#include <linux/magic.h>
#include <linux/sockios.h>

#include "macros.h"

#define LEAVE_ATTEMPTS 100 /* while memory is short */

/* /proc/sys/net, and nothing that was put in its place. */
static int
open_sysctls(int *ret, struct error *e)
{
	CLEANUP(close_fd) int fd = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(e, errno, "cannot open /proc/sys/net");

	struct statfs fs;
	if (fstatfs(fd, &fs) < 0)
		return error_errno(e, errno, "cannot look at /proc/sys/net");
	if (fs.f_type != PROC_SUPER_MAGIC)
		return error_set(e, ERROR_NOT_SUPPORTED, NULL, "/proc/sys/net is not of procfs: something covers it");
	*ret = TAKE_FD(fd);
	return 0;
}

int
netns_socket_cookie(int fd, uint64_t *ret, struct error *e)
{
	uint64_t cookie;
	socklen_t size = sizeof(cookie);
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		return error_errno(e, errno, "cannot read the cookie of a network namespace");
	*ret = cookie;
	return 0;
}

int
netns_take_current(struct netns *ret, struct error *e)
{
	CLEANUP(rtnl_closep) struct rtnl *r = NULL;
	int err = rtnl_open(&r, e);
	if (err < 0)
		return err;

	uint64_t cookie;
	err = netns_socket_cookie(rtnl_fd(r), &cookie, e);
	if (err < 0)
		return err;

	/* Half the cost of /proc/thread-self/ns/net, and it never goes through a mount that somebody wants to undo. */
	int fd = ioctl(rtnl_fd(r), SIOCGSKNS);
	if (fd < 0)
		return error_errno(e, errno, "cannot open a network namespace");
	*ret = (struct netns){ .fd = fd, .cookie = cookie, .rtnl = TAKE_PTR(r) };
	return 0;
}

int
kernel_enter(int netns_fd)
{
	/* The kind is always named: RestrictNamespaces= refuses setns(fd, 0). */
	return setns(netns_fd, CLONE_NEWNET) < 0 ? -errno : 0;
}

void
kernel_leave(const struct kernel *k)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	for (unsigned i = 0; i < LEAVE_ATTEMPTS; i++) {
		if (setns(k->netns_fd, CLONE_NEWNET) == 0)
			return;
		if (errno != ENOMEM)
			break;
		nanosleep(&pause, NULL);
	}
	abort(); /* every later call of this thread would act on the wrong namespace */
}

int
kernel_open(struct netns_site *s, struct kernel **ret, struct error *e)
{
	struct netns host = NETNS_INIT;
	CLEANUP(close_fd) int sysctl_fd = -1;
	struct kernel *k = calloc(1, sizeof(*k));
	if (!k)
		return error_errno(e, ENOMEM, "cannot prepare a thread for the kernel");

	int err = open_sysctls(&sysctl_fd, e);
	if (err == 0)
		err = netns_take_current(&host, e);
	if (err < 0) {
		free(k);
		return err;
	}
	*k = (struct kernel){ .site = s,
			      .rtnl = host.rtnl,
			      .cookie = host.cookie,
			      .netns_fd = host.fd,
			      .ipv6 = faccessat(sysctl_fd, "ipv6/conf", F_OK, 0) == 0 };
	k->sysctl_fd = TAKE_FD(sysctl_fd);
	*ret = k;
	return 0;
}

void
kernel_close(struct kernel *k)
{
	if (!k)
		return;
	rtnl_close(k->rtnl);
	close_fd(&k->netns_fd);
	close_fd(&k->sysctl_fd);
	free(k);
}

struct rtnl *
kernel_rtnl(struct kernel *k)
{
	return k->rtnl;
}

uint64_t
kernel_cookie(const struct kernel *k)
{
	return k->cookie;
}

int
kernel_netns_fd(const struct kernel *k)
{
	return k->netns_fd;
}
