/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mounts made by fd; by path where the calls for that are not known, to a seccomp filter or to a checker like valgrind. */
#include "config.h"

#include "kernel-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mount.h>

#include "macros.h"

bool
mount_is_refused(int err)
{
	return err == -ENOSYS || err == -EPERM;
}

/* Both by fd, so that nothing planted at the name meanwhile is followed. */
static int
mount_by_fd(int at, const char *name, int ns_fd)
{
	CLEANUP(close_fd) int tree = open_tree(ns_fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0)
		return -errno;
	unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | (name[0] == '\0' ? MOVE_MOUNT_T_EMPTY_PATH : 0);
	return move_mount(tree, "", at, name, flags) < 0 ? -errno : 0;
}

static int
mount_by_path(int at, const char *name, int ns_fd, const char *proc)
{
	char source[PATH_MAX], target[PATH_MAX];
	int n = snprintf(source, sizeof(source), "%s/self/fd/%d", proc, ns_fd);
	int m = snprintf(target, sizeof(target), "%s/self/fd/%d%s%s", proc, at, name[0] == '\0' ? "" : "/", name);
	if (n < 0 || (size_t)n >= sizeof(source) || m < 0 || (size_t)m >= sizeof(target))
		return -ENAMETOOLONG;
	return mount(source, target, "none", MS_BIND, NULL) < 0 ? -errno : 0;
}

int
mount_namespace(int at, const char *name, int ns_fd, const char *proc)
{
	int err = mount_by_fd(at, name, ns_fd);
	return mount_is_refused(err) ? mount_by_path(at, name, ns_fd, proc) : err;
}

/* Mount namespaces that exist already will not see what is mounted there, as it is after `ip netns add`. */
static int
mount_on_itself_in_steps(const char *path)
{
	if (mount(path, path, "none", MS_BIND, NULL) < 0)
		return -errno;
	if (mount("none", path, "none", MS_PRIVATE, NULL) < 0 || mount("none", path, "none", MS_SHARED, NULL) < 0) {
		int err = -errno;
		umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
		return err;
	}
	return 0;
}

static int
mount_on_itself_by_fd(int fd)
{
	CLEANUP(close_fd) int tree = open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	if (tree < 0)
		return -errno;

	static const uint64_t steps[] = { MS_PRIVATE, MS_SHARED };
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct mount_attr attributes = { .propagation = steps[i] };
		if (mount_setattr(tree, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
			return -errno;
	}
	if (move_mount(tree, "", fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

int
mount_on_itself(int fd, const char *path)
{
	int err = mount_on_itself_by_fd(fd);
	return mount_is_refused(err) ? mount_on_itself_in_steps(path) : err;
}
