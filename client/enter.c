/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Moves this process into a network namespace, as `ip netns exec` does.
 *
 * Theory of operation: /sys shows the network namespace of whoever mounted it, so a fresh sysfs is needed, and with it a
 * mount namespace of our own. Its mounts are slaves of the host's: what is mounted there later shows up here, nothing
 * goes back. The fresh sysfs is laid over the old one; unmounting that first, as iproute2 does, costs a grace period of
 * the kernel. File systems that were mounted below the old /sys and are not about networks move into the new one. They are
 * reached through descriptors opened before, which still lead to what lies beneath.
 *
 * Every mount costs twice, here and when the command ends. So only what is there is touched, and moved, not copied.
 */
#include "config.h"

#include "enter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "failure.h"
#include "print.h"

#define ETC_NETNS "/etc/netns"
#define RESOLV_CONF "/etc/resolv.conf"

/* Mount points below /sys that commands need as they were. */
static const char *const kept[] = { "/sys/fs/cgroup", "/sys/fs/bpf" };

/* An O_PATH descriptor of a mount point below /sys; -1 where nothing is mounted. */
static int
open_mount(const char *path, dev_t sys)
{
	struct stat st;

	if (stat(path, &st) < 0 || st.st_dev == sys)
		return -1;
	return open(path, O_PATH | O_CLOEXEC);
}

/* Moves the mount that `fd` leads to, with all that is mounted in it, to `path`. In a user namespace mounts of the host are
 * locked in their places, but may be bound. */
static void
move_mount_to(int fd, const char *path)
{
	char from[32];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	if (mount(from, path, NULL, MS_MOVE, NULL) < 0 && mount(from, path, NULL, MS_BIND | MS_REC, NULL) < 0)
		print_warning("%s of the host is not visible: %s", path, strerror(errno));
}

static int
mount_sysfs(const char *name, struct error *e)
{
	struct statvfs old;

	if (mount(name, "/sys", "sysfs", 0, NULL) == 0)
		return 0;
	int number = errno;
	/* In a user namespace a read-only sysfs can only be covered by another one. */
	if (number == EPERM && statvfs("/sys", &old) == 0 && old.f_flag & ST_RDONLY &&
	    mount(name, "/sys", "sysfs", MS_RDONLY, NULL) == 0)
		return 0;
	return fail_errno(e, FAILURE_LOCAL, number, "cannot mount /sys for the namespace");
}

static int
renew_sys(const char *name, struct error *e)
{
	struct stat sys = { 0 };
	int fds[ARRAY_SIZE(kept)];

	bool there = stat("/sys", &sys) == 0;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		fds[i] = there ? open_mount(kept[i], sys.st_dev) : -1;
	int r = mount_sysfs(name, e);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (fds[i] < 0)
			continue;
		if (r == 0)
			move_mount_to(fds[i], kept[i]);
		close(fds[i]);
	}
	return r;
}

static void
bind_over(const char *from, const char *to)
{
	if (mount(from, to, NULL, MS_BIND, NULL) < 0)
		print_warning("cannot bind %s over %s: %s", from, to, strerror(errno));
}

void
enter_etc(const char *name)
{
	char from[sizeof(ETC_NETNS) + 2 * NAME_MAX + 3], to[sizeof("/etc/") + NAME_MAX];
	int n = snprintf(from, sizeof(from), ETC_NETNS "/%s", name);
	DIR *d = opendir(from);
	if (!d)
		return;

	for (const struct dirent *entry; (entry = readdir(d));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(from + n, sizeof(from) - (size_t)n, "/%s", entry->d_name);
		snprintf(to, sizeof(to), "/etc/%s", entry->d_name);
		bind_over(from, to);
	}
	closedir(d);
}

/* A file with `text` on the tmpfs that covers /sys for a moment, bound over /etc/resolv.conf. */
static void
bind_resolver(const char *text)
{
	static const char name[] = "/sys/resolv.conf";
	size_t n = strlen(text);
	CLEANUP(close_fd) int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd >= 0 && write(fd, text, n) == (ssize_t)n)
		bind_over(name, RESOLV_CONF);
	else
		print_warning("cannot write " RESOLV_CONF " for the namespace: %s", strerror(errno));
}

/* The file lives on a tmpfs that only its binding keeps, so nothing is left of it when the command has ended. A file that
 * has been unlinked would do as well, but nothing can be bound over that in turn. */
void
enter_resolver(const char *text)
{
	if (mount("resolver", "/sys", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=64k") < 0) {
		print_warning("cannot write " RESOLV_CONF " for the namespace: %s", strerror(errno));
		return;
	}
	bind_resolver(text);
	if (umount2("/sys", MNT_DETACH) < 0)
		print_warning("/sys of the namespace is covered: %s", strerror(errno));
}

int
enter_prepare(struct error *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return fail_errno(e, FAILURE_LOCAL, errno, "cannot make a mount namespace%s",
				  errno == EPERM ? ", which takes root" : "");
	if (mount("", "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return fail_errno(e, FAILURE_LOCAL, errno, "cannot keep mounts from the host");
	return 0;
}

int
enter_namespace(int fd, const char *name, struct error *e)
{
	if (setns(fd, CLONE_NEWNET) < 0)
		return fail_errno(e, FAILURE_LOCAL, errno, "cannot enter namespace %s", name);
	return renew_sys(name, e);
}
