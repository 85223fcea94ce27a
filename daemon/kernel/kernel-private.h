/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the kernel layer share about threads and namespaces; nobody outside of it includes this. */
#pragma once

#include <pthread.h>

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
	bool ipv6;     /* the kernel has it */
};

/* Inside the vault, which is all there is of files: */
#define VAULT_ID "/id"
#define VAULT_NAMES "/names" /* the empty files of the pins, */
#define VAULT_PINS "/pins"   /* and the same directory as a mount of its own, on which the pins are */
#define VAULT_TRASH "/trash" /* a directory for each thread that takes pins away */

struct vault {
	char *directory, *path;
	char id[37];
	int directory_fd; /* of the host's */
	int proc_fd;	  /* the host's /proc */
	int ns_fd;	  /* of the mount namespace; not through its pin, which could not be unmounted then */
	int id_fd;	  /* holds the lock */
	int pins_fd;
	dev_t device; /* of the vault's tmpfs */
	pthread_mutex_t pinning;
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

/* A file name, and not a path. */
int netns_check_file_name(const char *name, struct error *e);

/* Is this negative errno the one of a call that is not known, or that a filter refuses? */
bool mount_is_refused(int err);

/* Mounts a namespace on NAME in the directory `at`, or on the file `at` when NAME is "". Where that has to be done by
 * paths they start at `proc`, a procfs. Negative errno. */
int mount_namespace(int at, const char *name, int ns_fd, const char *proc);

/* Mounts the file or directory `fd` on itself, shared in a peer group of its own. `path` leads to the same. Negative
 * errno. */
int mount_on_itself(int fd, const char *path);

/* Whether the calling thread is in the vault: mounts are made and taken away by paths there. */
int vault_check_inside(const struct vault *v, struct error *e);

/* One key of an interface, net.FAMILY.conf.INTERFACE.NAME ("ipv4", "ipv6"); the interface's name may have dots. NULL `n`:
 * the host's namespace. Negative errno. */
int interface_sysctl_set(const struct kernel *k, const struct netns *n, const char *family, const char *interface,
			 const char *name, const char *value);
int interface_sysctl_get(const struct kernel *k, const struct netns *n, const char *family, const char *interface,
			 const char *name, char *ret, size_t size);
