/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the kernel layer share about threads and namespaces; nobody outside of it includes this. */
#pragma once

#include "netns.h"

struct netns_site {
	char *path;
	int fd; /* of the directory, seen through the mount that holds the names */
};

struct kernel {
	const struct netns_site *site;
	struct rtnl *rtnl;
	uint64_t cookie;
	int netns_fd;  /* the way back */
	int sysctl_fd; /* /proc/sys/net; look-ups through it show the namespace that the thread is in by then */
};

/* Steps into a network namespace, or back into the host's. The fd of a process (pidfd) works too. Between the two no
 * other function of the layer that steps is to be called. */
int kernel_enter(int netns_fd); /* negative errno */
void kernel_leave(const struct kernel *k);

/* The current network namespace of the thread, with a socket inside. */
int netns_take_current(struct netns *ret, struct error *e);

/* The cookie of the namespace a socket lives in. */
int netns_socket_cookie(int fd, uint64_t *ret, struct error *e);

/* Is an fd of an nsfs file, of whatever kind of namespace? */
bool netns_is_nsfs(int fd);
