/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who keeps a network namespace alive: processes in it, open files and sockets of it, mounts of it. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "error.h"

enum holding {
	HOLDING_PROCESS, /* is in it */
	HOLDING_FILE,	 /* has its file open */
	HOLDING_SOCKET,	 /* has a socket of it open, from elsewhere */
	HOLDING_MOUNT,	 /* its file is mounted in the process's mount namespace */
};

/* Walks /proc and calls `fn` for each process and way of holding; a process that is in the namespace is told once, as that. A
 * negative return ends the walk and is returned. `inode` is of the namespace's file, `cookie` its SO_NETNS_COOKIE. nsd's own
 * process is passed over. What another process sends to itself in a message (a file descriptor in flight) is seen by nobody. */
int netns_holders(uint64_t inode, uint64_t cookie,
		  int (*fn)(pid_t pid, const char *command, enum holding how, void *arg), void *arg, struct error *e);
