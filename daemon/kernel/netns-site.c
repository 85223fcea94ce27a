/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The directory of the named namespaces, as ip-netns(8) has it: a shared mount of its own.
 *
 * Theory of operation
 *
 * A namespace has a name while it is mounted on a file of this directory. For every mount namespace of the host to see
 * that, the directory must be a mount point with shared propagation. It must not be in the peer group of the /run
 * around it, or each name would be mounted twice, so it gets a group of its own while it is still detached; only then
 * it is put in place, and copies that go to other mount namespaces at that moment join the new group. The lock is the
 * one that `ip netns add` takes: without it, first users who race would each mount over the others and double the
 * table each time.
 *
 * A daemon in a mount namespace of its own (most hardening settings of systemd make one) would pin its namespaces
 * where nobody sees them. So the mount that holds the directory is looked up first: it must be shared and not the
 * slave of another. In the mount namespace of process 1 no such question arises.
 */
#include "config.h"

#include "kernel-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "macros.h"

#define LOCK_SECONDS 5
#define LOCK_TRIES_PER_SECOND 50

static void
close_file(FILE **f)
{
	if (*f)
		fclose(*f);
}

/* Where mounts made in a directory go. */
struct placement {
	bool mount_point; /* the directory is the root of a mount */
	bool shared, slave;
};

/* The optional fields of a line of mountinfo: after the sixth field, up to a lone "-". proc_pid_mountinfo(5) */
static void
read_propagation(char *line, struct placement *ret)
{
	char *next = NULL;
	unsigned n = 0;
	for (char *field = strtok_r(line, " \n", &next); field; field = strtok_r(NULL, " \n", &next)) {
		if (n++ < 6)
			continue;
		if (strcmp(field, "-") == 0)
			return;
		ret->shared |= strncmp(field, "shared:", 7) == 0;
		ret->slave |= strncmp(field, "master:", 7) == 0;
	}
}

static int
find_placement(int fd, struct placement *ret, struct error *e)
{
	struct statx sx;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) < 0)
		return error_errno(e, errno, "cannot look at the directory of the namespaces");
	if (!(sx.stx_mask & STATX_MNT_ID) || !(sx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT))
		return error_set(e, ERROR_NOT_SUPPORTED, NULL,
				 "the kernel does not number its mounts (Linux 5.8 does)");

	CLEANUP(close_file) FILE *f = fopen("/proc/self/mountinfo", "re");
	if (!f)
		return error_errno(e, errno, "cannot open /proc/self/mountinfo");

	struct placement p = { .mount_point = sx.stx_attributes & STATX_ATTR_MOUNT_ROOT };
	CLEANUP(free_ptr) char *line = NULL;
	size_t size = 0;
	while (getline(&line, &size, f) > 0) {
		if (strtoull(line, NULL, 10) != sx.stx_mnt_id)
			continue;
		read_propagation(line, &p);
		*ret = p;
		return 0;
	}
	return error_set(e, ERROR_NOT_SUPPORTED, NULL,
			 "/proc/self/mountinfo does not show the mount of the directory of "
			 "the namespaces");
}

/* Is this the mount namespace of process 1? Where that cannot be told it is not. */
static bool
in_first_mount_namespace(void)
{
	struct stat ours, first;
	return stat("/proc/self/ns/mnt", &ours) == 0 && stat("/proc/1/ns/mnt", &first) == 0 &&
	       ours.st_dev == first.st_dev && ours.st_ino == first.st_ino;
}

/* Would the host see a mount made here? */
static int
check_placement(const char *path, const struct placement *p, struct error *e)
{
	static const char cause[] = "something (PrivateMounts=, PrivateTmp=, Protect...=, ReadOnlyPaths= and the like "
				    "of its unit) gave nsd a mount "
				    "namespace of its own";

	if (p->slave)
		return error_set(
			e, ERROR_NOT_SUPPORTED, NULL,
			"namespaces pinned in %s would not be seen by the host: the mount that holds it is a slave "
			"(\"master:\" in /proc/self/mountinfo); %s",
			path, cause);
	if (!p->shared && !in_first_mount_namespace())
		return error_set(
			e, ERROR_NOT_SUPPORTED, NULL,
			"namespaces pinned in %s would not be seen by the host: the mount that holds it is private "
			"(no \"shared:\" in /proc/self/mountinfo); %s",
			path, cause);
	return 0;
}

static int
open_directory(const char *path, int *ret, struct error *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return error_errno(e, errno, "cannot open the directory of the namespaces %s", path);
	*ret = fd;
	return 0;
}

/* Opens the directory if it stands as it should; *mounted tells whether it is a mount point. */
static int
look(const char *path, bool private_mounts, int *ret, bool *mounted, struct error *e)
{
	CLEANUP(close_fd) int fd = -1;
	struct placement p;

	int err = open_directory(path, &fd, e);
	if (err == 0)
		err = find_placement(fd, &p, e);
	if (err == 0 && !private_mounts)
		err = check_placement(path, &p, e);
	if (err < 0)
		return err;
	*mounted = p.mount_point;
	*ret = TAKE_FD(fd);
	return 0;
}

/* Whoever can read the directory can lock it, so the wait for others has an end. */
static int
lock_directory(int fd, const char *path, struct error *e)
{
	const struct timespec pause = { .tv_nsec = 1000000000L / LOCK_TRIES_PER_SECOND };
	for (unsigned i = 0; i < LOCK_SECONDS * LOCK_TRIES_PER_SECOND; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_errno(e, errno, "cannot lock %s", path);
		nanosleep(&pause, NULL);
	}
	return error_set(e, ERROR_TIMED_OUT, NULL, "another process has kept %s locked for %d seconds", path,
			 LOCK_SECONDS);
}

/* The directory's mount, made now if need be. */
static int
prepare(const char *path, bool private_mounts, int *ret, struct error *e)
{
	CLEANUP(close_fd) int fd = -1;
	CLEANUP(close_fd) int lock = -1;
	bool mounted = false;

	int err = look(path, private_mounts, &fd, &mounted, NULL);
	if (err < 0 || !mounted) { /* or somebody is at it just now */
		close_fd(&fd);
		fd = -1;
		err = open_directory(path, &lock, e);
		if (err == 0)
			err = lock_directory(lock, path, e);
		if (err == 0)
			err = look(path, private_mounts, &fd, &mounted, e);
		if (err < 0)
			return err;
	}
	if (!mounted) {
		/* with a peer group of its own */
		err = mount_on_itself(fd, path);
		if (err < 0)
			return error_errno(e, -err, "cannot make %s a mount point with a propagation of its own", path);
		close_fd(&fd);
		fd = -1;
		err = open_directory(path, &fd, e);
		if (err < 0)
			return err;
	}
	*ret = TAKE_FD(fd);
	return 0;
}

int
netns_site_open(const char *directory, bool private_mounts, struct netns_site **ret, struct error *e)
{
	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return error_errno(e, errno, "cannot make the directory of the namespaces %s", directory);

	CLEANUP(close_fd) int fd = -1;
	int err = prepare(directory, private_mounts, &fd, e);
	if (err < 0)
		return err;

	struct netns_site *s = calloc(1, sizeof(*s));
	char *path = strdup(directory);
	if (!s || !path) {
		free(s);
		free(path);
		return error_errno(e, ENOMEM, "cannot prepare %s", directory);
	}
	*s = (struct netns_site){ .path = path, .fd = TAKE_FD(fd) };
	*ret = s;
	return 0;
}

void
netns_site_free(struct netns_site *s)
{
	if (!s)
		return;
	close_fd(&s->fd);
	free(s->path);
	free(s);
}

int
netns_site_fd(const struct netns_site *s)
{
	return s->fd;
}

const char *
netns_site_path(const struct netns_site *s)
{
	return s->path;
}

static void
close_directory(DIR **d)
{
	if (*d)
		closedir(*d);
}

int
netns_list(struct netns_site *s, int (*fn)(const char *name, void *arg), void *arg, struct error *e)
{
	int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(e, errno, "cannot read %s", s->path);
	CLEANUP(close_directory) DIR *d = fdopendir(fd);
	if (!d) {
		int err = error_errno(e, errno, "cannot read %s", s->path);
		close(fd);
		return err;
	}

	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(d);
		if (!entry)
			return errno == 0 ? 0 : error_errno(e, errno, "cannot read %s", s->path);
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		int err = fn(entry->d_name, arg);
		if (err < 0)
			return err;
	}
}
