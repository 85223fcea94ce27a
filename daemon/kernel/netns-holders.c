/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who keeps a network namespace alive, found by walking /proc: slow, for people who ask. */
#include "config.h"

#include "netns-holders.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "macros.h"

struct walk {
	char link[40]; /* as /proc shows the namespace */
	uint64_t inode;
	uint32_t major, minor; /* of nsfs */
	uint64_t cookie;
	int (*fn)(pid_t pid, const char *command, enum holding how, void *arg);
	void *arg;
	pid_t pid;
	char command[64];
};

static void
close_directory(DIR **d)
{
	if (*d)
		closedir(*d);
}

static DIR *
open_directory(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	if (fd >= 0 && !d)
		close(fd);
	return d;
}

/* The next entry that is a number; -1 at the end. */
static int
next_number(DIR *d)
{
	const struct dirent *entry;
	while ((entry = readdir(d)))
		if (isdigit((unsigned char)entry->d_name[0]))
			return (int)strtol(entry->d_name, NULL, 10);
	return -1;
}

static bool
leads_to(int at, const char *name, const char *text)
{
	char link[64];
	ssize_t n = readlinkat(at, name, link, sizeof(link) - 1);
	if (n < 0)
		return false;
	link[n] = '\0';
	return strcmp(link, text) == 0;
}

static void
read_command(int process, char ret[64])
{
	CLEANUP(close_fd) int fd = openat(process, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, ret, 63) : -1;

	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	for (char *p = ret; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}

static bool
is_inside(const struct walk *w, int process)
{
	CLEANUP(close_directory) DIR *tasks = open_directory(process, "task");
	char name[32];
	int tid;

	while (tasks && (tid = next_number(tasks)) > 0) {
		snprintf(name, sizeof(name), "task/%d/ns/net", tid);
		if (leads_to(process, name, w->link))
			return true;
	}
	return false;
}

/* A copy of the other process's socket tells where that lives. */
static bool
is_socket_of(const struct walk *w, int pidfd, int number)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);
	CLEANUP(close_fd) int fd = pidfd >= 0 ? pidfd_getfd(pidfd, number, 0) : -1;

	return fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0 && cookie == w->cookie;
}

static bool
is_socket(int at, const char *name)
{
	char link[16];
	return readlinkat(at, name, link, sizeof(link)) > 7 && strncmp(link, "socket:", 7) == 0;
}

/* A file that was opened by a path shows that as its link. Nothing is asked of whoever serves a file: that may hang. */
static bool
is_file_of(const struct walk *w, int at, const char *name)
{
	struct statx st;

	return statx(at, name, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 && st.stx_ino == w->inode &&
	       st.stx_dev_major == w->major && st.stx_dev_minor == w->minor;
}

static int
look_at_files(const struct walk *w, int process)
{
	CLEANUP(close_directory) DIR *files = open_directory(process, "fd");
	CLEANUP(close_fd) int pidfd = files ? pidfd_open(w->pid, 0) : -1;
	bool file = false, socket = false;
	int fd, err = 0;

	while (files && (fd = next_number(files)) >= 0) {
		char name[16];
		snprintf(name, sizeof(name), "%d", fd);
		file = file || is_file_of(w, dirfd(files), name);
		socket = socket || (is_socket(dirfd(files), name) && is_socket_of(w, pidfd, fd));
	}
	if (file)
		err = w->fn(w->pid, w->command, HOLDING_FILE, w->arg);
	if (socket && err == 0)
		err = w->fn(w->pid, w->command, HOLDING_SOCKET, w->arg);
	return err;
}

static bool
is_mounted(const struct walk *w, int process)
{
	int fd = openat(process, "mountinfo", O_RDONLY | O_CLOEXEC);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	char line[4096];
	bool found = false;

	if (fd >= 0 && !f)
		close(fd);
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, w->link) != NULL;
	if (f)
		fclose(f);
	return found;
}

static int
look_at_process(struct walk *w, int process)
{
	read_command(process, w->command);
	if (is_inside(w, process))
		return w->fn(w->pid, w->command, HOLDING_PROCESS, w->arg);
	int err = look_at_files(w, process);
	if (err == 0 && is_mounted(w, process))
		err = w->fn(w->pid, w->command, HOLDING_MOUNT, w->arg);
	return err;
}

int
netns_holders(uint64_t inode, uint64_t cookie, int (*fn)(pid_t pid, const char *command, enum holding how, void *arg),
	      void *arg, struct error *e)
{
	struct walk w = { .inode = inode, .cookie = cookie, .fn = fn, .arg = arg };
	struct statx own;
	CLEANUP(close_directory) DIR *proc = open_directory(AT_FDCWD, "/proc");
	int err = 0;

	if (!proc || statx(dirfd(proc), "self/ns/net", AT_STATX_DONT_SYNC, STATX_INO, &own) < 0)
		return error_errno(e, errno, "cannot read /proc");
	w.major = own.stx_dev_major;
	w.minor = own.stx_dev_minor;
	snprintf(w.link, sizeof(w.link), "net:[%llu]", (unsigned long long)inode);
	while (err >= 0 && (w.pid = next_number(proc)) > 0) {
		char name[16];
		snprintf(name, sizeof(name), "%d", w.pid);
		CLEANUP(close_fd) int process = openat(dirfd(proc), name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (process >= 0 && w.pid != getpid())
			err = look_at_process(&w, process);
	}
	return err;
}
