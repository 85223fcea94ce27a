/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vault: a mount namespace that outlives its maker, how it is made, found again and entered.
 *
 * Theory of operation
 *
 * A thread of its own makes the mount namespace, moves it onto an empty tmpfs, lets go of every mount of the host that was
 * copied, and furnishes it, the id last. Then the namespace is mounted on DIRECTORY/vault, which is the one step that
 * counts: whoever is killed before has made nothing that lasts, and afterwards the vault is whole.
 *
 * A mount namespace can be mounted only where that mount is not passed on to other mount namespaces, and /run is shared as
 * a rule. So the file DIRECTORY/vault is mounted on itself first, and that mount is made private. It stays, under the
 * vault, and is used again when an earlier try has left it.
 *
 * And the kernel refuses (EINVAL, or ELOOP by move_mount()) a mount namespace that is not younger than the one it is mounted in, or circles could
 * arise. Since Linux 6.18 the numbers that tell the age are handed out to the processors in batches. In the first mount
 * namespace of the host that does not matter. One that was made a moment ago on another processor may look younger than
 * the vault; on that other processor it does not, so each gets its try.
 *
 * Two processes cannot use one vault: each would take the other's pins for leftovers. The id is locked by whoever has the
 * vault open, and the empty file by whoever makes one.
 */
#include "config.h"

#include "vault.h"

#include "kernel-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <linux/nsfs.h>

#include "macros.h"

#define FILE_NAME "vault"
#define LINK_NAME "slots"
#define NEW_LINK_NAME "slots.new"
#define ID_LENGTH 36
#define ANY_PROCESSOR (-1)

/* What a thread that may change its root is sent to do. */
struct errand {
	struct vault *v;
	int (*step)(struct vault *v, struct error *e);
	int processor;
	int result;
	struct error error;
};

static void *
run_errand(void *arg)
{
	struct errand *a = arg;
	if (a->processor != ANY_PROCESSOR) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(a->processor, &set);
		if (sched_setaffinity(0, sizeof(set), &set) < 0) {
			a->result = error_errno(&a->error, errno, "cannot work on processor %d", a->processor);
			return NULL;
		}
	}
	a->result = a->step(a->v, &a->error);
	return NULL;
}

static int
run_in_thread(struct vault *v, int (*step)(struct vault *v, struct error *e), int processor, struct error *e)
{
	struct errand a = { .v = v, .step = step, .processor = processor };
	pthread_t thread;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	int r = pthread_create(&thread, NULL, run_errand, &a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return error_errno(e, r, "cannot start a thread for the vault");
	pthread_join(thread, NULL);
	if (a.result < 0 && e)
		*e = a.error;
	return a.result;
}

int
vault_enter(struct vault *v, struct error *e)
{
	/* Threads share their root unless told otherwise, and the kernel moves no thread that does. */
	if (unshare(CLONE_FS) < 0)
		return error_errno(e, errno, "cannot give a thread a root of its own");
	if (setns(v->ns_fd, CLONE_NEWNS) < 0)
		return error_errno(e, errno,
				   "cannot enter %s/" FILE_NAME
				   " (it takes CAP_SYS_ADMIN and CAP_SYS_CHROOT, and mnt in "
				   "RestrictNamespaces= of the unit)",
				   v->directory);
	return 0;
}

static int
refuse_foreign(const struct vault *v, const char *is, struct error *e)
{
	return error_set(e, ERROR_FOREIGN, NULL,
			 "%s/" FILE_NAME " is to be the pin of nsd's own mount namespace, but %s; take it away",
			 v->directory, is);
}

/* Reads the id and locks it, in the vault. */
static int
take_id(struct vault *v, struct error *e)
{
	char text[ID_LENGTH + 2];
	CLEANUP(close_fd) int fd = open(VAULT_ID, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (n != ID_LENGTH + 1 || text[ID_LENGTH] != '\n')
		return refuse_foreign(v, "that mount namespace was not made by nsd", e);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(e, ERROR_BUSY, NULL, "another process uses %s/" FILE_NAME, v->directory);

	text[ID_LENGTH] = '\0';
	memcpy(v->id, text, sizeof(v->id));
	v->id_fd = TAKE_FD(fd);
	return 0;
}

/* Gets hold of everything, in the vault. */
static int
take(struct vault *v, struct error *e)
{
	struct stat st;
	int err = take_id(v, e);
	if (err < 0)
		return err;

	close_fd(&v->ns_fd);
	v->ns_fd = openat(v->proc_fd, "thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (v->ns_fd < 0)
		return error_errno(e, errno, "cannot open the mount namespace of the vault");
	v->pins_fd = open(VAULT_PINS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (v->pins_fd < 0 || fstat(v->pins_fd, &st) < 0)
		return error_errno(e, errno, "cannot open the directory of the pins in the vault");
	v->device = st.st_dev;
	return 0;
}

static void
let_go(struct vault *v)
{
	close_fd(&v->ns_fd);
	close_fd(&v->id_fd);
	close_fd(&v->pins_fd);
	v->ns_fd = v->id_fd = v->pins_fd = -1;
}

/* Leaves nothing in this thread's mount namespace, which is a new one, but an empty tmpfs. `directory` is any. */
static int
move_out(const char *directory, struct error *e)
{
	if (unshare(CLONE_NEWNS) < 0)
		return error_errno(e, errno,
				   "cannot make a mount namespace (it takes CAP_SYS_ADMIN, and mnt in "
				   "RestrictNamespaces= of the unit)");
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(e, errno, "cannot keep the mounts of the vault to itself");
	if (mount("nsd", directory, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=1m,nr_inodes=0") < 0)
		return error_errno(e, errno, "cannot mount a tmpfs for the vault");
	/* The old root lands on the new one and is what is unmounted then. pivot_root(2) */
	if (chdir(directory) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return error_errno(e, errno, "cannot make that tmpfs the root of the vault");
	if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_errno(e, errno, "cannot let go of the host's mounts");
	return 0;
}

static int
write_id(struct error *e)
{
	uint16_t r[8];
	char text[ID_LENGTH + 2];

	if (getrandom(r, sizeof(r), 0) != sizeof(r))
		return error_errno(e, errno, "cannot make an id for the vault");
	r[3] = (r[3] & 0x0fff) | 0x4000; /* a random UUID, RFC 9562 */
	r[4] = (r[4] & 0x3fff) | 0x8000;
	snprintf(text, sizeof(text), "%04x%04x-%04x-%04x-%04x-%04x%04x%04x\n", r[0], r[1], r[2], r[3], r[4], r[5], r[6],
		 r[7]);

	CLEANUP(close_fd) int fd = open(VAULT_ID, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	if (fd < 0 || write(fd, text, ID_LENGTH + 1) != ID_LENGTH + 1)
		return error_errno(e, errno, "cannot write the id of the vault");
	return 0;
}

static int
build(struct vault *v, struct error *e)
{
	int err = move_out(v->directory, e);
	if (err < 0)
		return err;

	if (mkdir(VAULT_NAMES, 0700) < 0 || mkdir(VAULT_PINS, 0700) < 0 || mkdir(VAULT_TRASH, 0700) < 0)
		return error_errno(e, errno, "cannot make the directories of the vault");
	/* A copy of a mount costs a look at every mount on it, so the one to be copied (see vault-pins.c) is another. */
	if (mount(VAULT_NAMES, VAULT_PINS, NULL, MS_BIND, NULL) < 0)
		return error_errno(e, errno, "cannot make the directory of the pins a mount of its own");
	err = write_id(e);
	if (err == 0)
		err = take(v, e);
	return err;
}

/* What somebody was about to unmount when he was killed. */
static void
empty_trash(void)
{
	DIR *d = opendir(VAULT_TRASH);
	if (!d)
		return;
	for (const struct dirent *entry; (entry = readdir(d));) {
		char path[sizeof(VAULT_TRASH) + NAME_MAX + 1];
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), VAULT_TRASH "/%s", entry->d_name);
		while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
			continue;
		rmdir(path);
	}
	closedir(d);
}

static int
reopen(struct vault *v, struct error *e)
{
	int err = vault_enter(v, e);
	if (err == 0)
		err = take(v, e);
	if (err == 0)
		empty_trash();
	return err;
}

/* Makes `file`, DIRECTORY/vault, a place where a mount namespace can be mounted. */
static int
prepare_file(const struct vault *v, int file, struct error *e)
{
	char path[PATH_MAX];
	struct statx sx;
	int n = snprintf(path, sizeof(path), "%s/" FILE_NAME, v->directory);
	if (n < 0 || (size_t)n >= sizeof(path))
		return error_errno(e, ENAMETOOLONG, "cannot make a vault in %s", v->directory);
	if (statx(file, "", AT_EMPTY_PATH, STATX_TYPE, &sx) < 0)
		return error_errno(e, errno, "cannot look at %s", path);

	int err = 0;
	if (!(sx.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		err = mount_on_itself(file, path);
	/* Only now: what is put into a shared mount becomes shared. */
	if (err == 0 && mount("none", path, NULL, MS_PRIVATE, NULL) < 0)
		err = -errno;
	return err < 0 ? error_errno(e, -err, "cannot make %s a private mount", path) : 0;
}

static int
try_to_make(struct vault *v, int processor, struct error *e)
{
	int err = run_in_thread(v, build, processor, e);
	if (err == 0) {
		err = mount_namespace(v->directory_fd, FILE_NAME, v->ns_fd, "/proc");
		if (err < 0)
			err = error_errno(e, -err, "cannot pin a mount namespace to %s/" FILE_NAME, v->directory);
	}
	if (err < 0)
		let_go(v);
	return err;
}

/* On another processor it may work. */
static bool
is_refused_for_age(int err)
{
	return err == -EINVAL || err == -ELOOP;
}

static int
make(struct vault *v, int file, struct error *e)
{
	int err = prepare_file(v, file, e);
	if (err < 0)
		return err;
	struct error first = { 0 }, last = { 0 };
	err = try_to_make(v, ANY_PROCESSOR, &first);
	for (int i = 0; is_refused_for_age(err) && i < CPU_SETSIZE; i++)
		err = try_to_make(v, i, &last);
	if (err < 0 && e)
		*e = is_refused_for_age(err) || last.number == 0 ? first : last;
	return err;
}

/* Opens DIRECTORY/vault: a mount namespace, or an empty file, made if need be. */
static int
look(const struct vault *v, int *ret, bool *is_namespace, struct error *e)
{
	struct stat st;
	CLEANUP(close_fd)
	int fd = openat(v->directory_fd, FILE_NAME, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd < 0 && (errno == EISDIR || errno == ELOOP || errno == ENXIO))
		return refuse_foreign(v, "it is a directory, link or socket", e);
	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(e, errno, "cannot open %s/" FILE_NAME, v->directory);

	bool nsfs = netns_is_nsfs(fd);
	if (nsfs && ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNS)
		return refuse_foreign(v, "it is a namespace of another kind", e);
	if (!nsfs && (!S_ISREG(st.st_mode) || st.st_size > 0))
		return refuse_foreign(v, "there is something else, not an empty file", e);
	*is_namespace = nsfs;
	*ret = TAKE_FD(fd);
	return 0;
}

static int
open_or_make(struct vault *v, bool *fresh, struct error *e)
{
	CLEANUP(close_fd) int file = -1;
	CLEANUP(close_fd) int fd = -1;
	bool made = false, is_namespace;

	int err = look(v, &fd, &is_namespace, e);
	if (err == 0 && !is_namespace) {
		file = TAKE_FD(fd);
		if (flock(file, LOCK_EX | LOCK_NB) < 0)
			return error_set(e, ERROR_BUSY, NULL, "another process makes %s/" FILE_NAME, v->directory);
		err = look(v, &fd, &is_namespace, e); /* one may just have finished */
		made = !is_namespace;
	}
	if (err < 0)
		return err;
	if (made) {
		err = make(v, fd, e);
	} else {
		v->ns_fd = TAKE_FD(fd);
		err = run_in_thread(v, reopen, ANY_PROCESSOR, e);
	}
	if (err == 0)
		*fresh = made;
	return err;
}

static int
open_host(struct vault *v, struct error *e)
{
	v->directory_fd = open(v->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (v->directory_fd < 0)
		return error_errno(e, errno, "cannot open %s for the vault", v->directory);
	v->proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (v->proc_fd < 0)
		return error_errno(e, errno, "cannot open /proc");
	return 0;
}

int
vault_open(const char *directory, struct vault **ret, bool *fresh, struct error *e)
{
	struct vault *v = calloc(1, sizeof(*v));
	if (!v)
		return error_errno(e, ENOMEM, "cannot open the vault");
	*v = (struct vault){ .directory_fd = -1, .proc_fd = -1, .ns_fd = -1, .id_fd = -1, .pins_fd = -1 };
	pthread_mutex_init(&v->pinning, NULL);

	int err = 0;
	v->directory = strdup(directory);
	if (!v->directory || asprintf(&v->path, "%s/" LINK_NAME, directory) < 0) {
		v->path = NULL;
		err = error_errno(e, ENOMEM, "cannot open the vault");
	}
	if (err == 0)
		err = open_host(v, e);
	if (err == 0)
		err = open_or_make(v, fresh, e);
	if (err < 0)
		vault_free(v);
	else
		*ret = v;
	return err;
}

void
vault_free(struct vault *v)
{
	if (!v)
		return;
	let_go(v);
	close_fd(&v->directory_fd);
	close_fd(&v->proc_fd);
	pthread_mutex_destroy(&v->pinning);
	free(v->directory);
	free(v->path);
	free(v);
}

const char *
vault_id(const struct vault *v)
{
	return v->id;
}

const char *
vault_path(const struct vault *v)
{
	return v->path;
}

int
vault_publish(struct vault *v, struct error *e)
{
	char target[64];
	int err = vault_check_inside(v, e);
	if (err < 0)
		return err;

	snprintf(target, sizeof(target), "/proc/%d/task/%d/root" VAULT_PINS, getpid(), gettid());
	if (unlinkat(v->directory_fd, NEW_LINK_NAME, 0) < 0 && errno != ENOENT)
		return error_errno(e, errno, "cannot remove %s/" NEW_LINK_NAME, v->directory);
	if (symlinkat(target, v->directory_fd, NEW_LINK_NAME) < 0 ||
	    renameat(v->directory_fd, NEW_LINK_NAME, v->directory_fd, LINK_NAME) < 0)
		return error_errno(e, errno, "cannot make %s a link to %s", v->path, target);
	return 0;
}
