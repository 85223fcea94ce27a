/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Network namespaces: make, pin under a name, open, identify, delete. setns, unshare and mount are called only here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "rtnl.h"

/* The place of the named namespaces, shared by all threads: /run/netns of this mount namespace. */
struct netns_site;

/* A thread's hands in the kernel: a socket in the host's network namespace and the way back there. One per thread; the
 * thread must always be in the host network namespace between calls (each call comes back, or aborts the process when
 * even that fails, since nothing it did afterwards could be trusted). */
struct kernel;

/* An open network namespace. */
struct netns {
	int fd;		   /* of the nsfs file, CLOEXEC; -1 when closed */
	uint64_t cookie;   /* SO_NETNS_COOKIE: never reused in a boot */
	struct rtnl *rtnl; /* a socket inside, opened on demand by netns_rtnl() */
};

#define NETNS_INIT       \
	{                \
		.fd = -1 \
	}

/* Opens `directory` (/run/netns, mode 0755, made if missing) and makes it a mount point of its own with shared
 * propagation under the lock that iproute2 takes (flock on the directory): bind on itself, private, then shared. Where
 * mounts made there would not reach the host (/proc/self/mountinfo shows "master:" or lacks "shared:" for the mount
 * that holds it), fails with ERROR_NOT_SUPPORTED and the exact cause, unless `private_mounts`: the caller runs in a
 * mount namespace of its own on purpose. */
int netns_site_open(const char *directory, bool private_mounts, struct netns_site **ret, struct error *e);
void netns_site_free(struct netns_site *s);
int netns_site_fd(const struct netns_site *s); /* of the directory, for a watch */
const char *netns_site_path(const struct netns_site *s);

/* For the calling thread, whose current network namespace becomes "the host" of `k`. */
int kernel_open(struct netns_site *s, struct kernel **ret, struct error *e);
void kernel_close(struct kernel *k);

/* Makes a namespace and a mount of it, and forgets both: whether nsd may work here at all. The error names what is
 * lacking and which settings of a unit may be the cause. */
int kernel_check(struct netns_site *s, struct error *e);

struct rtnl *kernel_rtnl(struct kernel *k);	/* the host's socket */
uint64_t kernel_cookie(const struct kernel *k); /* of the host's network namespace */
int kernel_netns_fd(const struct kernel *k);	/* of the host's network namespace, to move an interface there */

/* Makes a namespace that nothing but `ret` holds. */
int netns_make(struct kernel *k, struct netns *ret, struct error *e);

/* Binds the namespace to NAME in the directory: placeholder O_EXCL mode 0, then the bind mount. ERROR_NAME_TAKEN if
 * anything of that name is there. On failure nothing stays behind. */
int netns_pin(struct kernel *k, const char *name, int fd, struct error *e);

/* Unmounts (all stacked mounts, lazily) and unlinks NAME. Acts only when it is an nsfs mount with this cookie, or a
 * plain empty file when cookie is 0 (leftover placeholder); otherwise ERROR_FOREIGN. Absent: 0. Never follows links. */
int netns_unpin(struct kernel *k, const char *name, uint64_t cookie, struct error *e);

/* What NAME is right now. */
enum netns_file {
	NETNS_ABSENT,
	NETNS_PLACEHOLDER, /* a plain empty file: a namespace in the making, or a leftover */
	NETNS_MOUNTED,	   /* a network namespace; *cookie is set */
	NETNS_OTHER,	   /* anything else: symlink, directory, another kind of namespace */
};
int netns_probe(struct kernel *k, const char *name, enum netns_file *ret, uint64_t *cookie, struct error *e);

/* Opens NAME; a network namespace or ERROR_NOT_FOUND / ERROR_FOREIGN. Never follows symlinks. */
int netns_open(struct kernel *k, const char *name, struct netns *ret, struct error *e);

/* From a process: by pidfd (stays right when the pid is reused), or from an fd that must be a network namespace. `fd`
 * is borrowed. PIDFD_GET_NET_NAMESPACE (6.11) with /proc as the fall-back, checked again after opening.
 * ERROR_NO_SUCH_PROCESS, ERROR_PERMISSION_DENIED where CAP_SYS_PTRACE is missing. */
int netns_of_pidfd(struct kernel *k, int pidfd, struct netns *ret, struct error *e);
int netns_of_pid(struct kernel *k, pid_t pid, struct netns *ret, int *pidfd, struct error *e);
int netns_of_fd(struct kernel *k, int fd, struct netns *ret, struct error *e);

/* The process of a pidfd, as the caller's pid namespace has it; 0 when it has ended or is not seen there. */
pid_t netns_pidfd_pid(int pidfd);

/* The socket inside, opened at first use. */
int netns_rtnl(struct kernel *k, struct netns *n, struct rtnl **ret, struct error *e);
void netns_close(struct netns *n); /* fd and socket; fine on a closed one */

/* The host's number for the namespace: -1 when it has none (*ret). netns_set_nsid: `nsid` -1 lets the kernel choose;
 * ERROR_ALREADY_EXISTS when it has another one already (it cannot be changed, ip-netns(8)). */
int netns_nsid(struct kernel *k, const struct netns *n, int *ret, struct error *e);
/* Calls `fn` with every number that the socket's namespace has given. */
int netns_numbers(struct rtnl *r, void (*fn)(int nsid, void *arg), void *arg, struct error *e);
int netns_set_nsid(struct kernel *k, const struct netns *n, int nsid, struct error *e);

/* Writes or reads one /proc/sys/net key ("net.ipv4.ip_forward") inside the namespace, through a checked procfs
 * directory (PROC_SUPER_MAGIC, no symlinks). NULL `n`: the host's namespace. *ret is the caller's, without newline. */
int netns_sysctl_set(struct kernel *k, const struct netns *n, const char *key, const char *value, struct error *e);
int netns_sysctl_get(struct kernel *k, const struct netns *n, const char *key, char **ret, struct error *e);

/* Switches IPv6 off on an interface of the host, or on without taking router advertisements and redirects: what a
 * namespace sends must not change the host's routes (CVE-2020-10749). A kernel without IPv6 is a success. */
int netns_host_ipv6(struct kernel *k, const char *interface, bool on, struct error *e);

/* Processes with a thread in the namespace (NULL `n`: the host's), by walking /proc; `fn` gets each once, a negative
 * return ends the walk and is returned. In `command`, bytes outside printable ASCII are shown as '?'. Returns how many
 * processes could not be looked at, for want of CAP_SYS_PTRACE or because a security module forbids it. */
int netns_processes(struct kernel *k, const struct netns *n, int (*fn)(pid_t pid, const char *command, void *arg),
		    void *arg, struct error *e);

/* Calls `fn` with every entry of the directory, in no order, without "." and "..". */
int netns_list(struct netns_site *s, int (*fn)(const char *name, void *arg), void *arg, struct error *e);

/* /proc/sys/kernel/random/boot_id into 37 bytes. */
int boot_id_read(char ret[37], struct error *e);
