/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store: opening and closing, grouped commits, generations, failure.
 *
 * Theory of operation
 *
 * The database has one connection, used by whoever has the turn (`busy`). A commit is put into the queue; the first
 * thread that finds the turn free writes the whole queue as one transaction, without the mutex, and wakes the others.
 * While it waits for the disk the next group gathers. One durable commit makes its group durable.
 *
 * SQLite takes a damaged journal for one that ends earlier, and an emptied file for a new database. So what must be in
 * the database is written down outside it, in the lock file: before each commit the digest of all records as it is and
 * as it is going to be (one of them must be found by another start in the same boot), and after a durable commit its
 * number (at least that must be found after a power cut). An ordinary commit then changes one page of the database.
 *
 * After a failed write the pages of the journal in the kernel may not be those on the disk. The store refuses further
 * commits; store_retry() moves the journal into the database, compares all of it with the digest in memory and commits
 * durably before it trusts the disk again. The connection stays: it overwrites what the failed commit left behind.
 */
#include "config.h"

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store-db.h"
#include "store-lock.h"

#define GENERATION_BLOCK 65536		    /* reserved by one durable commit */
#define GENERATION_MAX (INT64_C(1) << 53)   /* what JSON numbers hold exactly */
#define GENERATION_CLOCK (INT64_C(1) << 32) /* seconds from which on the clock is not believed: the year 2106 */

struct commit {
	const struct store_op *ops;
	unsigned n;
	bool durable;
	bool reserve; /* another block of generations */
	bool done;
	int result;
	struct error error;
	struct commit *next;
};

struct store {
	struct store_db *db; /* of the thread that has the turn, as are the three below */
	struct store_marks marks;
	struct store_state state;
	uint64_t digest;
	int lock;
	bool was_clean, same_boot;
	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t turn;   /* the turn is free, commits are done */
	bool busy;
	struct commit *queue, **tail;
	bool failed;
	struct error failure;
	int64_t generation, generation_end;
};

/* One transaction. The records are counted in a copy of the digest, which becomes valid with the commit. */
static int
write_changes(struct store *s, const struct commit *group, bool durable, struct error *e)
{
	struct store_marks marks = s->marks;
	struct store_state state = s->state;
	uint64_t digest = s->digest;
	int r = store_db_begin(s->db, durable, e);

	for (; r == 0 && group; group = group->next) {
		for (unsigned i = 0; r == 0 && i < group->n; i++)
			r = store_db_change(s->db, &group->ops[i], &digest, e);
		if (group->reserve)
			state.generation += GENERATION_BLOCK;
	}
	if (r == 0 && durable) {
		state.digest = digest;
		state.durable++;
		r = store_db_set_state(s->db, &state, e);
	}
	if (r < 0)
		return r;
	marks.before = s->digest;
	marks.after = digest;
	r = store_lock_write(s->lock, &marks, e);
	if (r == 0)
		r = store_db_commit(s->db, e);
	if (r < 0)
		return r;
	s->digest = digest;
	s->state = state;
	s->marks = marks;
	return 0;
}

static int
write_group(struct store *s, const struct commit *group, struct error *e)
{
	bool durable = false;
	int r;

	for (const struct commit *c = group; c; c = c->next)
		durable |= c->durable;
	r = write_changes(s, group, durable, e);
	if (r < 0)
		store_db_rollback(s->db);
	if (r < 0 || !durable)
		return r;
	/* The commit is safe whether or not this is written: it only says how much must be there. */
	s->marks.durable = s->state.durable;
	store_lock_write(s->lock, &s->marks, NULL);
	return 0;
}

static void
take_turn(struct store *s)
{
	while (s->busy)
		pthread_cond_wait(&s->turn, &s->mutex);
	s->busy = true;
}

static void
pass_turn(struct store *s)
{
	s->busy = false;
	pthread_cond_broadcast(&s->turn);
}

/* Writes all that is queued; called and left with the mutex and the turn. Memory running out harms nothing; any other
 * failure closes the store. */
static void
write_queue(struct store *s)
{
	struct commit *group = s->queue, *next;
	struct error e = s->failure;
	int r = s->failed ? -e.number : 0;

	s->queue = NULL;
	s->tail = &s->queue;
	if (r == 0) {
		pthread_mutex_unlock(&s->mutex);
		r = write_group(s, group, &e);
		pthread_mutex_lock(&s->mutex);
		if (r < 0 && e.code == ERROR_STORE) {
			s->failed = true;
			s->failure = e;
		}
		s->generation_end = s->state.generation;
	}
	for (; group; group = next) {
		next = group->next; /* its thread may free it once it is done and the mutex is ours no more */
		group->result = r;
		group->error = e;
		group->done = true;
	}
}

/* With the mutex. */
static int
commit(struct store *s, struct commit *c, struct error *e)
{
	*s->tail = c;
	s->tail = &c->next;
	while (!c->done && s->busy)
		pthread_cond_wait(&s->turn, &s->mutex);
	if (!c->done) {
		s->busy = true;
		write_queue(s);
		pass_turn(s);
	}
	if (c->result < 0 && e)
		*e = c->error;
	return c->result;
}

int
store_apply(struct store *s, const struct store_op *ops, unsigned n, bool durable, struct error *e)
{
	struct commit c = { .ops = ops, .n = n, .durable = durable };
	int r;

	pthread_mutex_lock(&s->mutex);
	r = commit(s, &c, e);
	pthread_mutex_unlock(&s->mutex);
	return r;
}

/* With the mutex. */
static int
reserve(struct store *s, struct error *e)
{
	struct commit c = { .durable = true, .reserve = true };

	return commit(s, &c, e);
}

static bool
is_low(const struct store *s)
{
	return s->generation_end - s->generation < GENERATION_BLOCK / 2;
}

bool
store_generation_low(struct store *s)
{
	pthread_mutex_lock(&s->mutex);
	bool low = !s->failed && is_low(s);
	pthread_mutex_unlock(&s->mutex);
	return low;
}

int
store_reserve(struct store *s, struct error *e)
{
	int r = 0;

	pthread_mutex_lock(&s->mutex);
	if (is_low(s))
		r = reserve(s, e);
	pthread_mutex_unlock(&s->mutex);
	return r;
}

int
store_generation(struct store *s, int64_t *ret, struct error *e)
{
	int r = 0;

	pthread_mutex_lock(&s->mutex);
	while (r == 0 && s->generation == s->generation_end)
		r = reserve(s, e);
	if (r == 0 && s->generation >= GENERATION_MAX)
		r = error_set(e, ERROR_LIMIT_EXCEEDED, NULL, "no generations are left");
	if (r == 0)
		*ret = s->generation++;
	pthread_mutex_unlock(&s->mutex);
	return r;
}

/* Everything in the database is what memory says was committed. */
static int
check_contents(struct store *s, struct error *e)
{
	uint64_t digest;
	int r = store_db_check(s->db, e);

	if (r == 0)
		r = store_db_digest(s->db, &digest, e);
	if (r == 0 && digest != s->digest)
		r = error_set(e, ERROR_STORE, NULL, "the disk lost changes that were committed; restart nsd");
	return r;
}

bool
store_is_writable(struct store *s)
{
	pthread_mutex_lock(&s->mutex);
	bool failed = s->failed;
	pthread_mutex_unlock(&s->mutex);
	return !failed;
}

static int
try_disk(struct store *s, struct error *e)
{
	struct commit probe = { .durable = true };
	int r = store_db_checkpoint(s->db, e);

	if (r == 0)
		r = check_contents(s, e);
	return r == 0 ? write_group(s, &probe, e) : r;
}

int
store_retry(struct store *s, struct error *e)
{
	struct error failure = { 0 };
	int r = 0;

	pthread_mutex_lock(&s->mutex);
	take_turn(s);
	if (s->failed) {
		pthread_mutex_unlock(&s->mutex);
		r = try_disk(s, &failure);
		pthread_mutex_lock(&s->mutex);
		s->failed = r < 0;
		if (r < 0)
			s->failure = failure;
		if (r < 0 && e)
			*e = failure;
	}
	pass_turn(s);
	pthread_mutex_unlock(&s->mutex);
	return r;
}

int
store_load(struct store *s, store_record *fn, void *arg, struct error *e)
{
	int r;

	pthread_mutex_lock(&s->mutex);
	take_turn(s);
	pthread_mutex_unlock(&s->mutex);
	r = store_db_load(s->db, fn, arg, e);
	pthread_mutex_lock(&s->mutex);
	pass_turn(s);
	pthread_mutex_unlock(&s->mutex);
	return r;
}

bool
store_was_clean(const struct store *s)
{
	return s->was_clean;
}

bool
store_same_boot(const struct store *s)
{
	return s->same_boot;
}

static int
open_directory(const char *path, int *ret, struct error *e)
{
	int fd;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return error_set(e, ERROR_STORE, NULL, "cannot make the state directory %s: %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(e, ERROR_STORE, NULL, "cannot open the state directory %s: %s", path, strerror(errno));
	*ret = fd;
	return 0;
}

/* Makes the empty file if there never was one: SQLite would make it readable for all. */
static int
make_file(int directory, const char *path, bool create, struct error *e)
{
	CLEANUP(close_fd) int fd = -1;

	if (faccessat(directory, "nsd.db", F_OK, 0) == 0)
		return 0;
	if (errno == ENOENT && !create)
		return error_set(
			e, ERROR_STORE, NULL,
			"%s/nsd.db is missing, though there was one; restore it from a backup, or remove %s/lock to "
			"start with no objects",
			path, path);
	if (errno == ENOENT)
		fd = openat(directory, "nsd.db", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || fsync(directory) < 0)
		return error_set(e, ERROR_STORE, NULL, "cannot make %s/nsd.db: %s", path, strerror(errno));
	return 0;
}

static int
not_as_left(const char *path, const char *how, struct error *e)
{
	return error_set(
		e, ERROR_STORE, NULL,
		"%s/nsd.db is not as nsd left it (%s); restore it from a backup and remove %s/lock, or remove the "
		"whole directory to start with no objects",
		path, how, path);
}

/* The records against what the last writer said, inside and outside the database. */
static int
check_marks(struct store *s, const char *path, const char *boot, struct error *e)
{
	const struct store_marks *m = &s->marks;
	int r = store_db_get_state(s->db, &s->state, e);

	if (r == 0)
		r = store_db_digest(s->db, &s->digest, e);
	if (r < 0)
		return r;
	if (s->state.clean && s->state.digest != s->digest)
		return not_as_left(path, "a record is missing", e);
	if (s->state.durable < m->durable)
		return not_as_left(path, "it is an older one", e);
	if (strcmp(m->boot, boot) == 0 && s->digest != m->before && s->digest != m->after)
		return not_as_left(path, "its last changes are missing", e);
	return 0;
}

/* The start is a durable commit: this boot, not clean until store_close(), and a first block of generations. */
static int
start(struct store *s, const char *boot, struct error *e)
{
	struct commit first = { .durable = true, .reserve = true };
	int64_t now = time(NULL), clock = now > 0 && now < GENERATION_CLOCK ? now << 20 : 0;
	int r;

	s->was_clean = s->state.clean;
	s->same_boot = s->state.boot[0] == '\0' || strcmp(s->state.boot, boot) == 0;
	s->state.clean = 0;
	if (s->state.generation < clock)
		s->state.generation = clock;
	s->generation = s->state.generation;
	snprintf(s->state.boot, sizeof(s->state.boot), "%s", boot);
	snprintf(s->marks.boot, sizeof(s->marks.boot), "%s", boot);
	s->marks.durable = s->state.durable;
	r = write_group(s, &first, e);
	if (r == 0)
		s->generation_end = s->state.generation;
	return r;
}

static void
store_drop(struct store **ps)
{
	struct store *s = *ps;

	if (!s)
		return;
	store_db_close(s->db, false);
	close_fd(&s->lock);
	pthread_cond_destroy(&s->turn);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static struct store *
store_new(void)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->lock = -1;
	s->tail = &s->queue;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->turn, NULL);
	return s;
}

int
store_open(const char *directory, const char *boot, struct store **ret, struct error *e)
{
	CLEANUP(store_drop) struct store *s = store_new();
	CLEANUP(close_fd) int fd = -1;
	char path[4096];
	bool create;
	int r;

	if (!s)
		return error_errno(e, ENOMEM, "cannot open the store");
	if (boot[0] == '\0' || strlen(boot) >= STORE_BOOT_SIZE ||
	    snprintf(path, sizeof(path), "%s/nsd.db", directory) >= (int)sizeof(path))
		return error_set(e, ERROR_INVALID_VALUE, NULL, "the boot id or the state directory's path is too long");
	r = open_directory(directory, &fd, e);
	if (r == 0)
		r = store_lock(fd, directory, &s->lock, &s->marks, e);
	if (r < 0)
		return r;
	create = s->marks.durable == 0;
	r = make_file(fd, directory, create, e);
	if (r == 0)
		r = store_db_open(path, create, &s->db, e);
	if (r == 0)
		r = check_marks(s, directory, boot, e);
	if (r == 0)
		r = start(s, boot, e);
	if (r == 0 && create && fsync(s->lock) < 0)
		r = error_set(e, ERROR_STORE, NULL, "cannot sync %s/lock: %s", directory, strerror(errno));
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

void
store_close(struct store *s)
{
	struct commit last = { .durable = true };
	bool clean = false;

	if (!s)
		return;
	if (!s->failed) {
		s->state.clean = 1;
		clean = write_group(s, &last, NULL) == 0;
	}
	store_db_close(s->db, clean);
	s->db = NULL;
	store_drop(&s);
}
