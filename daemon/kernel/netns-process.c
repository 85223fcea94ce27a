/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a process to its network namespace, and back. */
#include "config.h"

#include "kernel-private.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "macros.h"

#ifndef PIDFD_GET_NET_NAMESPACE /* Linux 6.11 */
#define PIDFD_GET_NET_NAMESPACE _IO(0xFF, 4)
#endif

#define LINK_SIZE sizeof("net:[4294967295]")
#define COMMAND_SIZE 64 /* of a kernel thread's worker; 16 of all others */

static int
refuse_process(int number, struct error *e)
{
	switch (number) {
	case ESRCH:
	case ENOENT: /* a zombie has no namespaces any more */
		return error_set(e, ERROR_NO_SUCH_PROCESS, NULL, "the process has ended");
	case EPERM:
	case EACCES:
		return error_set(e, ERROR_PERMISSION_DENIED, NULL,
				 "nsd may not look at the namespaces of the process (it lacks CAP_SYS_PTRACE)");
	case EBADF:
	case EINVAL:
		return error_set(e, ERROR_INVALID_VALUE, NULL, "the file descriptor is not a pidfd");
	default:
		return error_errno(e, number, "cannot open the network namespace of the process");
	}
}

/* The pid of a pidfd as /proc/self/fdinfo shows it: -1 when the process is gone, 0 when it is not of this /proc. */
static int
pid_of_pidfd(int pidfd, pid_t *ret)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", pidfd);
	FILE *f = fopen(path, "re");
	if (!f)
		return -errno;

	char line[256];
	int err = -EBADF; /* no pidfd */
	while (err < 0 && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Pid:", 4) != 0)
			continue;
		*ret = (pid_t)strtol(line + 4, NULL, 10);
		err = 0;
	}
	fclose(f);
	return err;
}

/* For kernels before 6.11: by /proc. The process is alive after its file was opened, so its pid was not another's. */
static int
open_by_proc(int pidfd)
{
	pid_t pid = 0;
	int err = pid_of_pidfd(pidfd, &pid);
	if (err < 0)
		return err;
	if (pid <= 0)
		return -ESRCH;

	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	CLEANUP(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pidfd_send_signal(pidfd, 0, NULL, 0) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int
netns_of_pidfd(struct kernel *k, int pidfd, struct netns *ret, struct error *e)
{
	/* Refuses what is not a pidfd before anything is asked of it; signal 0 is none. */
	if (pidfd_send_signal(pidfd, 0, NULL, 0) < 0 && errno != EPERM)
		return refuse_process(errno, e);

	CLEANUP(close_fd) int fd = ioctl(pidfd, PIDFD_GET_NET_NAMESPACE, 0);
	if (fd < 0 && (errno == ENOTTY || errno == EINVAL || errno == EOPNOTSUPP))
		fd = open_by_proc(pidfd);
	else if (fd < 0)
		fd = -errno;
	if (fd < 0)
		return refuse_process(-fd, e);
	return netns_of_fd(k, fd, ret, e);
}

int
netns_of_pid(struct kernel *k, pid_t pid, struct netns *ret, int *pidfd, struct error *e)
{
	CLEANUP(close_fd) int fd = pid > 0 ? pidfd_open(pid, 0) : -1;
	if (fd < 0 && (pid <= 0 || errno == ESRCH || errno == EINVAL || errno == ENOENT)) /* EINVAL: of a thread */
		return error_set(e, ERROR_NO_SUCH_PROCESS, NULL, "there is no process %d", pid);
	if (fd < 0)
		return error_errno(e, errno, "cannot open process %d", pid);

	int err = netns_of_pidfd(k, fd, ret, e);
	if (err == 0 && pidfd)
		*pidfd = TAKE_FD(fd);
	return err;
}

static void
close_directory(DIR **d)
{
	if (*d)
		closedir(*d);
}

static int
open_directory(int at, const char *path, DIR **ret)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *d = fdopendir(fd);
	if (!d) {
		int err = -errno;
		close(fd);
		return err;
	}
	*ret = d;
	return 0;
}

/* The next entry that is a number; 0 at the end. */
static pid_t
next_number(DIR *d)
{
	const struct dirent *entry;
	while ((entry = readdir(d)))
		if (isdigit((unsigned char)entry->d_name[0]))
			return (pid_t)strtol(entry->d_name, NULL, 10);
	return 0;
}

/* 1: this thread is in the namespace, 0: it is not, or has ended; negative errno where it cannot be told. */
static int
compare_link(int at, const char *path, const char *wanted)
{
	char link[LINK_SIZE];
	ssize_t n = readlinkat(at, path, link, sizeof(link));
	if (n < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	return (size_t)n == strlen(wanted) && memcmp(link, wanted, (size_t)n) == 0;
}

/* As compare_link(), for any thread of the process whose directory `process` is. */
static int
compare_process(int process, const char *wanted)
{
	int in = compare_link(process, "ns/net", wanted);
	struct stat st;
	if (in != 0 || fstatat(process, "task", &st, 0) < 0 || st.st_nlink <= 3) /* ".", "..", one thread */
		return in;

	CLEANUP(close_directory) DIR *threads = NULL;
	if (open_directory(process, "task", &threads) < 0)
		return 0;
	pid_t tid;
	while (in == 0 && (tid = next_number(threads)) > 0) {
		char path[64];
		snprintf(path, sizeof(path), "%d/ns/net", tid);
		in = compare_link(dirfd(threads), path, wanted);
	}
	return in;
}

/* The name of a process; any byte is possible, so all but printable ASCII is shown as '?'. */
static void
read_command(int process, char ret[COMMAND_SIZE])
{
	CLEANUP(close_fd) int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, COMMAND_SIZE - 1);
	if (n < 0)
		n = 0;
	if (n > 0 && ret[n - 1] == '\n')
		n--;
	for (ssize_t i = 0; i < n; i++)
		if (ret[i] < ' ' || ret[i] > '~')
			ret[i] = '?';
	ret[n] = '\0';
}

/* The text of /proc/PID/ns/net for the namespace. It is unique as long as `netns_fd` is open. */
static int
link_text(int netns_fd, char ret[LINK_SIZE], struct error *e)
{
	struct stat st;
	if (fstat(netns_fd, &st) < 0)
		return error_errno(e, errno, "cannot look at the network namespace");
	snprintf(ret, LINK_SIZE, "net:[%u]", (unsigned)st.st_ino);
	return 0;
}

int
netns_processes(struct kernel *k, const struct netns *n, int (*fn)(pid_t pid, const char *command, void *arg),
		void *arg, struct error *e)
{
	char wanted[LINK_SIZE], command[COMMAND_SIZE];
	int err = link_text(n ? n->fd : k->netns_fd, wanted, e);
	if (err < 0)
		return err;

	CLEANUP(close_directory) DIR *proc = NULL;
	err = open_directory(AT_FDCWD, "/proc", &proc);
	if (err < 0)
		return error_errno(e, -err, "cannot read /proc");

	int denied = 0;
	pid_t pid;
	while ((pid = next_number(proc)) > 0) {
		char name[16];
		snprintf(name, sizeof(name), "%d", pid);
		CLEANUP(close_fd) int process = openat(dirfd(proc), name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (process < 0)
			continue; /* it has ended */
		int in = compare_process(process, wanted);
		denied += in == -EACCES || in == -EPERM;
		if (in <= 0)
			continue;
		read_command(process, command);
		err = fn(pid, command, arg);
		if (err < 0)
			return err;
	}
	return denied;
}

pid_t
netns_pidfd_pid(int pidfd)
{
	pid_t pid = 0;
	return pid_of_pidfd(pidfd, &pid) == 0 && pid > 0 ? pid : 0;
}
