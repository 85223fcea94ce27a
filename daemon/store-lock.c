/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lock file: one short text of fixed width, rewritten in place by a single write within one sector. */
#include "config.h"

#include "store-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#define FORMAT "pid %010d\nboot %-36s\ndurable %019" PRId64 "\nrecords %016" PRIx64 " %016" PRIx64 "\n"
#define LENGTH (4 + 10 + 1 + 5 + 36 + 1 + 8 + 19 + 1 + 8 + 16 + 1 + 16 + 1)

static int
parse(const char *text, int *pid, struct store_marks *ret)
{
	struct store_marks m = { 0 };
	int end = 0;

	if (sscanf(text, "pid %10d boot %36s durable %19" SCNd64 " records %16" SCNx64 " %16" SCNx64 " %n", pid, m.boot,
		   &m.durable, &m.before, &m.after, &end) != 5 ||
	    end != LENGTH || m.durable < 0)
		return -EINVAL;
	*ret = m;
	return 0;
}

static int
refuse_second(int fd, const char *path, struct error *e)
{
	char text[LENGTH + 1] = "";
	struct store_marks m;
	int pid = 0;

	if (pread(fd, text, LENGTH, 0) == LENGTH && parse(text, &pid, &m) == 0)
		return error_set(e, ERROR_ALREADY_EXISTS, NULL, "another nsd (pid %d) uses %s", pid, path);
	return error_set(e, ERROR_ALREADY_EXISTS, NULL, "another nsd uses %s", path);
}

/* An empty file is a new one; otherwise the pid in it becomes ours at once, for the next one that is refused. */
static int
read_marks(int fd, const char *path, struct store_marks *ret, struct error *e)
{
	char text[LENGTH + 2] = "";
	ssize_t n = pread(fd, text, LENGTH + 1, 0);
	int pid;

	if (n < 0)
		return error_set(e, ERROR_STORE, NULL, "cannot read %s/lock: %s", path, strerror(errno));
	if (n == 0)
		return 0;
	if (n != LENGTH || parse(text, &pid, ret) < 0)
		return error_set(e, ERROR_STORE, NULL,
				 "%s/lock is damaged; if %s/nsd.db is as nsd left it, remove the lock file", path,
				 path);
	return store_lock_write(fd, ret, e);
}

int
store_lock(int directory, const char *path, int *ret_fd, struct store_marks *ret, struct error *e)
{
	CLEANUP(close_fd) int fd = openat(directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct store_marks m = { 0 };
	int r;

	if (fd < 0)
		return error_set(e, ERROR_STORE, NULL, "cannot open %s/lock: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return refuse_second(fd, path, e);
		return error_set(e, ERROR_STORE, NULL, "cannot lock %s/lock: %s", path, strerror(errno));
	}
	r = read_marks(fd, path, &m, e);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	*ret = m;
	return 0;
}

int
store_lock_write(int fd, const struct store_marks *m, struct error *e)
{
	char text[LENGTH + 1];
	ssize_t n;

	snprintf(text, sizeof(text), FORMAT, (int)getpid(), m->boot, m->durable, m->before, m->after);
	n = pwrite(fd, text, LENGTH, 0);
	if (n == LENGTH)
		return 0;
	return error_set(e, ERROR_STORE, NULL, "cannot write the lock file: %s",
			 n < 0 ? strerror(errno) : "short write");
}
