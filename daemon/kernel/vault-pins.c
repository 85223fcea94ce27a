/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pins of the vault: each a network namespace, mounted on an empty file of its name.
 *
 * Theory of operation
 *
 * Every unmount waits until all processors have noticed, which takes far longer while the kernel is busy clearing
 * namespaces away, as it is whenever many go. Moving a mount does not wait. So many pins are moved onto one mount first,
 * and that is unmounted with all that is on it. It is a copy of the directory of the names, so there is a file for each of
 * them, and it is made by each thread in a directory of its own. What is on it when a process is killed is unmounted when
 * the vault is opened next.
 */
#include "config.h"

#include "vault.h"

#include "kernel-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <linux/nsfs.h>

#include "macros.h"

#define AT_ONCE 1024 /* while the kernel takes that many away nobody else mounts or unmounts: about a millisecond */
#define TRASH_SIZE (sizeof(VAULT_TRASH) + sizeof("/2147483647"))

int
vault_check_inside(const struct vault *v, struct error *e)
{
	struct stat st;
	if (stat("/", &st) < 0 || st.st_dev != v->device)
		return error_set(e, ERROR_INTERNAL, NULL, "a thread that is not in the vault wants to work there");
	return 0;
}

/* By paths that start at the host's /proc: there is none in the vault. */
static int
mount_pin(const struct vault *v, const char *name, int fd)
{
	if (fchdir(v->proc_fd) < 0)
		return -errno;
	int err = mount_namespace(v->pins_fd, name, fd, ".");
	return chdir("/") < 0 ? -errno : err;
}

static int
pin_locked(struct vault *v, const char *name, int fd, struct error *e)
{
	struct stat st;
	int r = fstatat(v->pins_fd, name, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0 && errno == ENOENT)
		r = mknodat(v->pins_fd, name, S_IFREG | 0400, 0);
	else if (r == 0 && st.st_dev != v->device)
		return error_set(e, ERROR_NAME_TAKEN, "name", "a namespace is pinned under %s already", name);
	if (r < 0)
		return error_errno(e, errno, "cannot make a file for the pin %s", name);

	int err = mount_pin(v, name, fd);
	return err < 0 ? error_errno(e, -err, "cannot pin a network namespace under %s", name) : 0;
}

int
vault_pin(struct vault *v, const char *name, int fd, struct error *e)
{
	int err = netns_check_file_name(name, e);
	if (err == 0)
		err = vault_check_inside(v, e);
	if (err < 0)
		return err;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "what is to be pinned under %s is no network namespace",
				 name);

	/* The kernel stacks mounts without a question, so nobody else may come between the look and the mount. */
	pthread_mutex_lock(&v->pinning);
	err = pin_locked(v, name, fd, e);
	pthread_mutex_unlock(&v->pinning);
	return err;
}

/* Is this what the kernel says where nothing is mounted? */
static bool
is_absence(int number)
{
	return number == EINVAL || number == ENOENT;
}

static int
unmount_each(const char *const *names, unsigned n, struct error *e)
{
	for (unsigned i = 0; i < n; i++) {
		char path[sizeof(VAULT_PINS) + NAME_MAX + 1];
		snprintf(path, sizeof(path), VAULT_PINS "/%s", names[i]);
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && !is_absence(errno))
			return error_errno(e, errno, "cannot unmount the pin %s", names[i]);
	}
	return 0;
}

static int
make_trash(char *path, struct error *e)
{
	snprintf(path, TRASH_SIZE, VAULT_TRASH "/%d", gettid());
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_errno(e, errno, "cannot make %s in the vault", path);
	if (mount(VAULT_NAMES, path, NULL, MS_BIND, NULL) < 0)
		return error_errno(e, errno, "cannot mount on %s in the vault", path);
	return 0;
}

static int
move_to_trash(const struct vault *v, const char *trash, const char *const *names, unsigned n, struct error *e)
{
	CLEANUP(close_fd) int fd = open(trash, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(e, errno, "cannot open %s in the vault", trash);
	for (unsigned i = 0; i < n; i++) {
		if (move_mount(v->pins_fd, names[i], fd, names[i], 0) == 0 || is_absence(errno))
			continue;
		if (mount_is_refused(-errno))
			return unmount_each(&names[i], n - i, e);
		return error_errno(e, errno, "cannot move the pin %s away", names[i]);
	}
	return 0;
}

static int
unmount_at_once(const struct vault *v, const char *const *names, unsigned n, struct error *e)
{
	char trash[TRASH_SIZE];
	int err = make_trash(trash, e);
	if (err < 0)
		return err;
	err = move_to_trash(v, trash, names, n, e);
	int r = umount2(trash, MNT_DETACH | UMOUNT_NOFOLLOW);
	if (r < 0 && err == 0)
		err = error_errno(e, errno, "cannot unmount %s in the vault", trash);
	return err;
}

/* An empty file does no harm; one that is pinned again is busy. */
static void
remove_files(const char *const *names, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char path[sizeof(VAULT_NAMES) + NAME_MAX + 1];
		snprintf(path, sizeof(path), VAULT_NAMES "/%s", names[i]);
		unlink(path);
	}
}

int
vault_unpin(struct vault *v, const char *const *names, unsigned n, struct error *e)
{
	int err = vault_check_inside(v, e);
	for (unsigned i = 0; err == 0 && i < n; i++)
		err = netns_check_file_name(names[i], e);
	if (err < 0)
		return err;

	for (unsigned done = 0; err == 0 && done < n; done += AT_ONCE) {
		unsigned some = n - done < AT_ONCE ? n - done : AT_ONCE;
		err = some > 1 ? unmount_at_once(v, &names[done], some, e) : unmount_each(&names[done], some, e);
		if (err == 0)
			remove_files(&names[done], some);
	}
	return err;
}

static void
close_directory(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* The namespace that is mounted on NAME; 0: none. */
static int
look_at(const struct vault *v, const char *name, uint64_t *inode, struct error *e)
{
	struct stat st;
	if (fstatat(v->pins_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return error_errno(e, errno, "cannot look at the pin %s", name);
	*inode = st.st_dev == v->device ? 0 : st.st_ino;
	return 0;
}

int
vault_list(struct vault *v, int (*fn)(const char *name, uint64_t inode, void *arg), void *arg, struct error *e)
{
	int fd = openat(v->pins_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(e, errno, "cannot read the directory of the pins");
	CLEANUP(close_directory) DIR *d = fdopendir(fd);
	if (!d) {
		int err = error_errno(e, errno, "cannot read the directory of the pins");
		close(fd);
		return err;
	}

	for (;;) {
		uint64_t inode = 0;
		errno = 0;
		const struct dirent *entry = readdir(d);
		if (!entry)
			return errno == 0 ? 0 : error_errno(e, errno, "cannot read the directory of the pins");
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int err = look_at(v, entry->d_name, &inode, e);
		if (err == 0 && inode != 0)
			err = fn(entry->d_name, inode, arg);
		if (err < 0)
			return err;
	}
}

int
vault_open_pin(const struct vault *v, const char *name, int *ret, struct error *e)
{
	int err = netns_check_file_name(name, e);
	if (err < 0)
		return err;
	CLEANUP(close_fd) int fd = openat(v->pins_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT)
		return error_errno(e, errno, "cannot open the pin %s", name);
	if (fd < 0 || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return error_set(e, ERROR_NOT_FOUND, NULL, "no network namespace is pinned under %s", name);
	*ret = TAKE_FD(fd);
	return 0;
}
