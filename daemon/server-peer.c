/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is at the other end of a connected socket. */
#include "config.h"

#include "server-peer.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

bool
peer_read(int socket, struct peer *ret)
{
	struct ucred cred;
	socklen_t length = sizeof(cred);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0 || cred.uid == (uid_t)-1)
		return false;
	*ret = (struct peer){ .uid = cred.uid, .gid = cred.gid, .pid = cred.pid };
	return true;
}

bool
peer_hung_up(int socket)
{
	struct pollfd p = { .fd = socket };
	return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR));
}

/* By the pid: it is the peer's own as long as the peer has the connection. */
static int
open_pid(int socket, pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (fd >= 0 && peer_hung_up(socket)) {
		close(fd);
		return -ESRCH;
	}
	return fd >= 0 ? fd : -errno;
}

int
peer_pidfd(int socket, const struct peer *p)
{
	int fd = -1;
	socklen_t length = sizeof(fd);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &length) < 0)
		fd = errno == ENOPROTOOPT ? open_pid(socket, p->pid) : -errno;
	if (fd == -EINVAL || fd == -ENODATA) /* it was reaped, or is of another pid namespace */
		return -ESRCH;
	if (fd >= 0 && poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 0) == 1) { /* it has ended */
		close(fd);
		return -ESRCH;
	}
	return fd;
}
