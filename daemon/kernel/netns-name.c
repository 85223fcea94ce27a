/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Namespaces under a name: pin, unpin, look, open.
 *
 * Theory of operation
 *
 * A name is a file of the site's directory with the namespace mounted on it. Other software writes there too, and what
 * it puts there may be anything. So each look first gets hold of the thing itself (O_PATH, no links), finds out what
 * it is, and goes on through that hold; mounts are made on the very file, and taken away by a path that starts at the
 * site's fd. What is not a namespace with the expected cookie, or an empty file that nothing is mounted on, is left
 * alone.
 */
#include "config.h"

#include "kernel-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <linux/nsfs.h>
#include <linux/sockios.h>

#include "macros.h"

#define FD_PATH_SIZE sizeof("/proc/self/fd/2147483647")
#define STACKED_MOUNTS 64 /* on one name; more is somebody's game */

/* Names in the directory may be anybody's, so this is wider than name_check(). */
int
netns_check_file_name(const char *name, struct error *e)
{
	if (name[0] == '\0' || strlen(name) > NAME_MAX || strchr(name, '/') || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "\"%.64s\" is not a file name", name);
	return 0;
}

/* What a name is, and a hold on it. */
struct look {
	enum netns_file file;
	uint64_t cookie; /* MOUNTED */
	int fd;		 /* MOUNTED and asked for: of the namespace, not through the mount, which it would keep */
};

/* A usable fd of the nsfs file behind an O_PATH one. */
static int
reopen(int path_fd, int *ret)
{
	char path[FD_PATH_SIZE];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", path_fd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

/* The cookie of a namespace, and an fd of it that does not lead through a mount; `fd` may be NULL. */
static int
identify(const struct kernel *k, int netns_fd, uint64_t *cookie, int *fd, struct error *e)
{
	int err = kernel_enter(netns_fd);
	if (err < 0)
		return error_errno(e, -err, "cannot enter the network namespace");

	/* A unix socket lets go of the namespace at close(), a netlink socket some milliseconds later. */
	CLEANUP(close_fd) int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		err = error_errno(e, errno, "cannot open a socket in the network namespace");
	else
		err = netns_socket_cookie(s, cookie, e);
	if (err == 0 && fd) {
		*fd = ioctl(s, SIOCGSKNS);
		if (*fd < 0)
			err = error_errno(e, errno, "cannot open the network namespace");
	}
	kernel_leave(k);
	return err;
}

/* Is this file empty, ordinary, and not the root of a mount? */
static bool
is_placeholder(const struct statx *sx)
{
	return S_ISREG(sx->stx_mode) && sx->stx_size == 0 && !(sx->stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* Looks at NAME. With `open` the fd of *ret is the caller's to close. */
static int
look_at(struct kernel *k, const char *name, bool open, struct look *ret, struct error *e)
{
	struct look l = { .file = NETNS_OTHER, .fd = -1 };

	CLEANUP(close_fd) int hold = openat(k->site->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (hold < 0 && errno == ENOENT) {
		l.file = NETNS_ABSENT;
		*ret = l;
		return 0;
	}
	if (hold < 0)
		return error_errno(e, errno, "cannot look at %s/%s", k->site->path, name);

	struct statx sx;
	if (statx(hold, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &sx) < 0)
		return error_errno(e, errno, "cannot look at %s/%s", k->site->path, name);
	if (is_placeholder(&sx)) {
		l.file = NETNS_PLACEHOLDER;
	} else if (S_ISREG(sx.stx_mode) && netns_is_nsfs(hold)) {
		CLEANUP(close_fd) int fd = -1;
		int err = reopen(hold, &fd);
		if (err < 0)
			return error_errno(e, -err, "cannot open %s/%s", k->site->path, name);
		if (ioctl(fd, NS_GET_NSTYPE) == CLONE_NEWNET) {
			err = identify(k, fd, &l.cookie, open ? &l.fd : NULL, e);
			if (err < 0)
				return err;
			l.file = NETNS_MOUNTED;
		}
	}
	*ret = l;
	return 0;
}

int
netns_probe(struct kernel *k, const char *name, enum netns_file *ret, uint64_t *cookie, struct error *e)
{
	struct look l;
	int err = netns_check_file_name(name, e);
	if (err == 0)
		err = look_at(k, name, false, &l, e);
	if (err < 0)
		return err;
	*ret = l.file;
	*cookie = l.cookie;
	return 0;
}

int
netns_open(struct kernel *k, const char *name, struct netns *ret, struct error *e)
{
	struct look l;
	int err = netns_check_file_name(name, e);
	if (err == 0)
		err = look_at(k, name, true, &l, e);
	if (err < 0)
		return err;

	switch (l.file) {
	case NETNS_ABSENT:
		return error_set(e, ERROR_NOT_FOUND, NULL, "there is no %s/%s", k->site->path, name);
	case NETNS_PLACEHOLDER:
		return error_set(e, ERROR_NOT_FOUND, NULL, "%s/%s is an empty file: no namespace is mounted on it",
				 k->site->path, name);
	case NETNS_MOUNTED:
		*ret = (struct netns){ .fd = l.fd, .cookie = l.cookie };
		return 0;
	case NETNS_OTHER:
		break;
	}
	return error_set(e, ERROR_FOREIGN, NULL, "%s/%s is not a network namespace", k->site->path, name);
}

int
netns_pin(struct kernel *k, const char *name, int fd, struct error *e)
{
	int err = netns_check_file_name(name, e);
	if (err < 0)
		return err;

	CLEANUP(close_fd) int file = openat(k->site->fd, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0);
	if (file < 0 && errno == EEXIST)
		return error_set(e, ERROR_NAME_TAKEN, "name", "%s/%s exists already", k->site->path, name);
	if (file < 0)
		return error_errno(e, errno, "cannot make %s/%s", k->site->path, name);

	err = mount_namespace(file, "", fd, "/proc");
	if (err < 0) {
		unlinkat(k->site->fd, name, 0); /* fails where somebody has mounted something there meanwhile: theirs */
		return error_errno(e, -err, "cannot mount the namespace on %s/%s", k->site->path, name);
	}
	return 0;
}

/* Takes the uppermost mount off NAME. Lazily, for any fd that was opened through it keeps it busy. */
static int
unmount(struct kernel *k, const char *name)
{
	char path[FD_PATH_SIZE + NAME_MAX + 2];
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", k->site->fd, name);
	return umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

static int
refuse_unpin(struct kernel *k, const char *name, enum netns_file file, struct error *e)
{
	static const char *const is[] = {
		[NETNS_ABSENT] = "is gone",
		[NETNS_PLACEHOLDER] = "is an empty file",
		[NETNS_MOUNTED] = "is another network namespace",
		[NETNS_OTHER] = "is not a network namespace",
	};
	return error_set(e, ERROR_FOREIGN, NULL, "%s/%s %s; it is left as it is", k->site->path, name, is[file]);
}

/* One step towards an absent name: 0 when it is absent, 1 to look again. */
static int
unpin_step(struct kernel *k, const char *name, uint64_t cookie, bool *ours, struct error *e)
{
	struct look l;
	int err = look_at(k, name, false, &l, e);
	if (err < 0)
		return err;

	if (l.file == NETNS_ABSENT)
		return 0;
	if (l.file == NETNS_MOUNTED && cookie != 0 && l.cookie == cookie) {
		err = unmount(k, name);
		if (err < 0 && err != -EINVAL && err != -ENOENT) /* these: somebody was faster */
			return error_errno(e, -err, "cannot unmount %s/%s", k->site->path, name);
		*ours = true;
		return 1;
	}
	if (l.file == NETNS_PLACEHOLDER && *ours) {
		if (unlinkat(k->site->fd, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno == EBUSY)
			return 1;
		return error_errno(e, errno, "cannot remove %s/%s", k->site->path, name);
	}
	return refuse_unpin(k, name, l.file, e);
}

int
netns_unpin(struct kernel *k, const char *name, uint64_t cookie, struct error *e)
{
	int err = netns_check_file_name(name, e);
	if (err < 0)
		return err;

	bool ours = cookie == 0; /* is an empty file at that name ours to remove? */
	for (unsigned i = 0; i < STACKED_MOUNTS; i++) {
		err = unpin_step(k, name, cookie, &ours, e);
		if (err <= 0)
			return err;
	}
	return error_set(e, ERROR_BUSY, NULL, "others keep mounting on %s/%s", k->site->path, name);
}
