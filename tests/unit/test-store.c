/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The store: what it keeps over every kind of end, what it refuses, and that it never starts empty by mistake. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "store.h"
#include "unit.h"

#define BOOT "11111111-1111-1111-1111-111111111111"
#define OTHER_BOOT "22222222-2222-2222-2222-222222222222"

/* ---- helpers ---- */

static char directory[64];

static const char *
in_directory(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *p = path[next++ % ARRAY_SIZE(path)];

	snprintf(p, sizeof(path[0]), "%s/%s", directory, name);
	return p;
}

static void
empty_directory(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *entry;

	if (!d)
		return;
	while ((entry = readdir(d)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(d), entry->d_name, 0);
	closedir(d);
}

static int
setup(void **state UNUSED)
{
	/* where syncing costs nothing: some tests start thousands of times */
	snprintf(directory, sizeof(directory), "%s/nsd-test-store-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(directory) ? 0 : -1;
}

static int
teardown(void **state UNUSED)
{
	empty_directory(directory);
	return rmdir(directory);
}

static void
copy_file(const char *from, const char *to)
{
	char buffer[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	assert_true(in >= 0 && out >= 0);
	while ((n = read(in, buffer, sizeof(buffer))) > 0)
		assert_int_equal(write(out, buffer, (size_t)n), n);
	assert_int_equal(n, 0);
	close(in);
	close(out);
}

static off_t
file_size(const char *name)
{
	struct stat st;

	return stat(in_directory(name), &st) == 0 ? st.st_size : -1;
}

static struct store *
must_open(const char *boot)
{
	struct store *s = NULL;
	struct error e = { 0 };

	if (store_open(directory, boot, &s, &e) < 0)
		fail_msg("store_open: %s", e.text);
	return s;
}

static struct error
must_refuse(const char *boot)
{
	struct store *s = NULL;
	struct error e = { 0 };

	assert_true(store_open(directory, boot, &s, &e) < 0);
	assert_null(s);
	return e;
}

static int
put(struct store *s, const char *name, int64_t generation, const char *record, bool durable, struct error *e)
{
	struct store_op op = { STORE_PUT, "namespace", name, generation, record };

	return store_apply(s, &op, 1, durable, e);
}

static int
drop(struct store *s, const char *name, int64_t generation)
{
	struct store_op op = { STORE_DELETE, "namespace", name, generation, NULL };

	return store_apply(s, &op, 1, false, NULL);
}

static void
must_put(struct store *s, const char *name, int64_t generation, const char *record, bool durable)
{
	struct error e = { 0 };

	if (put(s, name, generation, record, durable, &e) < 0)
		fail_msg("store_apply: %s", e.text);
}

/* All records as one text, sorted, to compare stores. */
struct dump {
	char lines[512][128];
	size_t n;
};

static int
dump_record(const char *kind, const char *name, int64_t generation, const char *record, void *arg,
	    struct error *e UNUSED)
{
	struct dump *d = arg;

	assert_true(d->n < ARRAY_SIZE(d->lines));
	snprintf(d->lines[d->n++], sizeof(d->lines[0]), "%s %s %lld %.40s", kind, name, (long long)generation, record);
	return 0;
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
dump(struct store *s, struct dump *d)
{
	struct error e = { 0 };

	d->n = 0;
	if (store_load(s, dump_record, d, &e) < 0)
		fail_msg("store_load: %s", e.text);
	qsort(d->lines, d->n, sizeof(d->lines[0]), by_text);
}

static bool
same(const struct dump *a, const struct dump *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->lines[i], b->lines[i]) != 0)
			return false;
	return true;
}

static int64_t
must_generate(struct store *s)
{
	int64_t g = 0;
	struct error e = { 0 };

	if (store_generation(s, &g, &e) < 0)
		fail_msg("store_generation: %s", e.text);
	return g;
}

/* No file may grow beyond that, so that writing fails. */
static void
limit_files(rlim_t size)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = size < limit.rlim_max ? size : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	signal(SIGXFSZ, SIG_IGN);
}

/* Runs `fn` in a child, which ends by SIGKILL within it. */
static void
in_killed_child(void (*fn)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		fn(arg);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* ---- records ---- */

static void
test_put_load_delete(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	struct store_op ops[] = {
		{ STORE_PUT, "namespace", "a", 5, "{\"name\":\"a\"}" },
		{ STORE_PUT, "link", "a", 6, "{}" },
		{ STORE_PUT, "namespace", "a", 7, "{\"name\":\"a\",\"x\":1}" },
		{ STORE_PUT, "namespace", "b", 8, "{}" },
	};
	struct dump d;

	assert_true(store_was_clean(s));
	assert_true(store_same_boot(s));
	assert_int_equal(store_apply(s, ops, ARRAY_SIZE(ops), false, NULL), 0);
	assert_int_equal(drop(s, "b", 9), 0); /* another generation */
	assert_int_equal(drop(s, "nothing", 9), 0);
	dump(s, &d);
	assert_int_equal(d.n, 3);
	assert_string_equal(d.lines[0], "link a 6 {}");
	assert_string_equal(d.lines[1], "namespace a 7 {\"name\":\"a\",\"x\":1}");
	assert_int_equal(drop(s, "b", 8), 0);
	dump(s, &d);
	assert_int_equal(d.n, 2);
	store_close(s);

	s = must_open(BOOT);
	assert_true(store_was_clean(s));
	assert_true(store_same_boot(s));
	dump(s, &d);
	assert_int_equal(d.n, 2);
	store_close(s);
	s = must_open(OTHER_BOOT);
	assert_true(store_was_clean(s));
	assert_false(store_same_boot(s));
	store_close(s);
}

static int
stop_walk(const char *kind UNUSED, const char *name UNUSED, int64_t generation UNUSED, const char *record UNUSED,
	  void *arg, struct error *e)
{
	++*(int *)arg;
	return error_set(e, ERROR_INTERNAL, NULL, "enough");
}

static void
test_walk_ends_with_its_error(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	struct error e = { 0 };
	int calls = 0;

	must_put(s, "a", 1, "{}", false);
	must_put(s, "b", 1, "{}", false);
	assert_true(store_load(s, stop_walk, &calls, &e) < 0);
	assert_int_equal(calls, 1);
	assert_string_equal(e.text, "enough");
	must_put(s, "c", 1, "{}", false);
	store_close(s);
}

static void
test_modes(void **state UNUSED)
{
	struct store *s;
	struct stat st;

	rmdir(directory);
	umask(0);
	s = must_open(BOOT);
	must_put(s, "a", 1, "{}", false);
	assert_int_equal(stat(directory, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(stat(in_directory((const char *[]){ "nsd.db", "nsd.db-wal", "lock" }[i]), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
	}
	store_close(s);
	umask(022);
}

static void
test_bad_arguments(void **state UNUSED)
{
	struct store *s = NULL;
	struct error e = { 0 };

	assert_true(store_open(directory, "", &s, &e) < 0);
	assert_true(store_open(directory, BOOT "0", &s, &e) < 0);
	assert_true(store_open("/nonexistent/nsd", BOOT, &s, &e) < 0);
	assert_int_equal(e.code, ERROR_STORE);
	assert_non_null(strstr(e.text, "/nonexistent/nsd"));
	assert_null(s);
}

/* ---- generations ---- */

static void
take_generations(void *arg)
{
	int64_t *shared = arg;
	struct store *s = must_open(BOOT);

	for (unsigned i = 0; i < 1000; i++) {
		int64_t g = must_generate(s);

		if (g <= *shared)
			_exit(1);
		*shared = g;
	}
}

static void
test_generations_never_repeat(void **state UNUSED)
{
	int64_t last = 0;

	for (unsigned i = 0; i < 20; i++) {
		struct store *s = must_open(i % 3 ? BOOT : OTHER_BOOT);

		for (unsigned k = 0; k < 100; k++) {
			int64_t g = must_generate(s);

			assert_true(g > last && g < INT64_C(1) << 53);
			last = g;
		}
		store_close(s);
		in_killed_child(take_generations, &last);
		last += 1000; /* what the child counted was lost with it */
	}
}

static void
test_generation_block_runs_out(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	int64_t first = must_generate(s), last = first;

	for (unsigned i = 0; i < 200000; i++)
		assert_int_equal(must_generate(s), ++last);
	store_close(s);
	s = must_open(BOOT);
	assert_true(must_generate(s) > last);
	store_close(s);
}

/* Reserved ahead, by another thread: taking one never writes, and the numbers go on without a gap. */
static void
test_generations_reserved_ahead(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	int64_t first = must_generate(s), last = first;
	unsigned reserved = 0;

	assert_false(store_generation_low(s));
	for (unsigned i = 0; i < 1000000; i++) {
		if (store_generation_low(s)) {
			limit_files(RLIM_INFINITY);
			assert_int_equal(store_reserve(s, NULL), 0);
			assert_int_equal(store_reserve(s, NULL), 0); /* not a second one */
			assert_false(store_generation_low(s));
			reserved++;
		}
		if (i % 1000 == 0)
			limit_files(0); /* whoever writes, fails */
		assert_int_equal(must_generate(s), ++last);
	}
	limit_files(RLIM_INFINITY);
	assert_in_range(reserved, 1000000 / 65536, 1000000 / 65536 + 1);
	store_close(s);
	s = must_open(BOOT);
	first = must_generate(s);
	assert_true(first > last && first <= last + 65536 + 65536 / 2 + 1);
	store_close(s);
}

static void
test_reserving_fails(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	struct error e = { 0 };

	while (!store_generation_low(s))
		must_generate(s);
	limit_files(0);
	assert_true(store_reserve(s, &e) < 0);
	assert_int_equal(e.code, ERROR_STORE);
	assert_false(store_generation_low(s)); /* it would fail again */
	must_generate(s);
	limit_files(RLIM_INFINITY);
	assert_int_equal(store_retry(s, &e), 0);
	assert_true(store_generation_low(s));
	assert_int_equal(store_reserve(s, &e), 0);
	assert_false(store_generation_low(s));
	store_close(s);
}

/* A backup of a while ago is put back: the clock keeps the generations growing. */
static void
test_generation_of_a_restored_backup(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	int64_t last = 0;

	store_close(s);
	copy_file(in_directory("nsd.db"), in_directory("backup"));
	for (unsigned i = 0; i < 3; i++) {
		s = must_open(BOOT);
		last = must_generate(s);
		store_close(s);
	}
	sleep(2);
	copy_file(in_directory("backup"), in_directory("nsd.db"));
	unlink(in_directory("lock"));
	s = must_open(BOOT);
	assert_true(must_generate(s) > last);
	store_close(s);
}

/* ---- two at once ---- */

static void
test_second_is_refused(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	struct error e = must_refuse(BOOT);
	char pid[32];

	assert_int_equal(e.code, ERROR_ALREADY_EXISTS);
	snprintf(pid, sizeof(pid), "pid %d", (int)getpid());
	assert_non_null(strstr(e.text, pid));
	store_close(s);
	store_close(must_open(BOOT));
}

/* ---- kill -9 ---- */

/* Puts and deletes until it is killed from outside; tells through shared memory what was acknowledged. */
static void
write_for_ever(volatile unsigned *acknowledged)
{
	struct store *s = must_open(BOOT);
	char name[16], record[64];

	for (unsigned i = *acknowledged + 1;; i++) {
		snprintf(name, sizeof(name), "n%u", i % 50);
		snprintf(record, sizeof(record), "%u", i);
		if (put(s, name, 1, record, i % 7 == 0, NULL) < 0)
			_exit(1);
		*acknowledged = i;
	}
}

static int
find_newest(const char *kind UNUSED, const char *name UNUSED, int64_t generation UNUSED, const char *record, void *arg,
	    struct error *e UNUSED)
{
	unsigned n = (unsigned)strtoul(record, NULL, 10), *newest = arg;

	if (n > *newest)
		*newest = n;
	return 0;
}

static void
test_kill_loses_nothing(void **state UNUSED)
{
	void *shared = mmap(NULL, sizeof(unsigned), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	volatile unsigned *acknowledged = shared;

	assert_true(shared != MAP_FAILED);
	for (unsigned round = 0; round < 60; round++) {
		unsigned newest = 0;
		struct store *s;
		int status;
		pid_t pid = fork();

		if (pid == 0)
			write_for_ever(acknowledged);
		usleep(2000 + round * 400);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		s = must_open(BOOT);
		assert_int_equal(store_load(s, find_newest, &newest, NULL), 0);
		assert_true(newest == *acknowledged || newest == *acknowledged + 1);
		*acknowledged = newest;
		store_close(s);
	}
	assert_true(*acknowledged > 100);
	munmap(shared, sizeof(unsigned));
}

static void
open_and_put(void *arg)
{
	must_put(must_open(BOOT), arg, 1, "{}", false);
}

static void
test_unclean_is_told(void **state UNUSED)
{
	struct store *s;
	struct dump d;

	in_killed_child(open_and_put, (char[]){ "a" });
	s = must_open(BOOT);
	assert_false(store_was_clean(s));
	assert_true(store_same_boot(s));
	dump(s, &d);
	assert_int_equal(d.n, 1);
	store_close(s);
	in_killed_child(open_and_put, (char[]){ "b" });
	s = must_open(OTHER_BOOT);
	assert_false(store_was_clean(s));
	assert_false(store_same_boot(s));
	store_close(s);
}

/* ---- group commit ---- */

struct writer {
	struct store *s;
	unsigned id;
	bool durable;
	unsigned failures;
};

static void *
write_many(void *arg)
{
	struct writer *w = arg;
	char name[32];

	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "w%u-%u", w->id, i % 25);
		w->failures += put(w->s, name, i, "{}", w->durable, NULL) < 0;
		w->failures += store_generation(w->s, &(int64_t){ 0 }, NULL) < 0;
	}
	return NULL;
}

static void
test_threads(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	struct writer w[8];
	pthread_t t[8];
	struct dump before, after;

	for (unsigned i = 0; i < 8; i++) {
		w[i] = (struct writer){ s, i, i % 4 == 0, 0 };
		assert_int_equal(pthread_create(&t[i], NULL, write_many, &w[i]), 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		dump(s, &before); /* while they write */
		pthread_join(t[i], NULL);
		assert_int_equal(w[i].failures, 0);
	}
	dump(s, &before);
	assert_int_equal(before.n, 200);
	store_close(s);
	s = must_open(BOOT);
	dump(s, &after);
	assert_true(same(&before, &after));
	store_close(s);
}

/* ---- damage ---- */

#define RECORDS 40

static void
fill(struct store *s)
{
	char name[32], record[64];

	for (unsigned i = 0; i < RECORDS; i++) {
		snprintf(name, sizeof(name), "namespace-%u", i);
		snprintf(record, sizeof(record), "{\"name\":\"namespace-%u\",\"lifetime\":\"persistent\"}", i);
		must_put(s, name, 1000 + i, record, i % 3 == 0);
	}
}

static void
fill_and_die(void *arg UNUSED)
{
	fill(must_open(BOOT));
}

/* Opens the store of which something was damaged: all of it must be there, or it must be refused. 1: refused. */
static unsigned
right_or_refused(const char *boot, const struct dump *want, const char *what)
{
	struct store *s = NULL;
	struct error e = { 0 };
	struct dump have;

	if (store_open(directory, boot, &s, &e) < 0) {
		if (e.code != ERROR_STORE)
			fail_msg("%s: %s", what, e.text);
		return 1;
	}
	dump(s, &have);
	if (!same(&have, want))
		fail_msg("%s: opened with %zu of %zu records", what, have.n, want->n);
	store_close(s);
	return 0;
}

static void
save_all(void)
{
	copy_file(in_directory("nsd.db"), in_directory("nsd.db.saved"));
	copy_file(in_directory("lock"), in_directory("lock.saved"));
	if (file_size("nsd.db-wal") > 0)
		copy_file(in_directory("nsd.db-wal"), in_directory("nsd.db-wal.saved"));
}

static void
restore_all(void)
{
	copy_file(in_directory("nsd.db.saved"), in_directory("nsd.db"));
	copy_file(in_directory("lock.saved"), in_directory("lock"));
	unlink(in_directory("nsd.db-wal"));
	if (file_size("nsd.db-wal.saved") > 0)
		copy_file(in_directory("nsd.db-wal.saved"), in_directory("nsd.db-wal"));
}

static void
flip(const char *name, off_t at, uint8_t mask)
{
	int fd = open(in_directory(name), O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= mask;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* NSD_EVERY_BYTE=1 in the environment leaves no byte out. */
static off_t
chosen(off_t step)
{
	return getenv("NSD_EVERY_BYTE") ? 1 : step;
}

/* Every `step`-th byte of the file, changed in one bit or in all. */
static unsigned
flip_all(const char *name, off_t step, const char *boot, const struct dump *want)
{
	unsigned refused = 0, n = 0;
	char what[64];
	off_t size;

	restore_all();
	step = chosen(step);
	size = file_size(name);
	for (off_t at = 0; at < size; at += step, n++) {
		restore_all();
		flip(name, at, n % 2 ? 0xff : (uint8_t)(1 << (n / 2 % 8)));
		snprintf(what, sizeof(what), "%s, byte %lld", name, (long long)at);
		refused += right_or_refused(boot, want, what);
	}
	return refused;
}

static unsigned
truncate_all(const char *name, off_t step, const char *boot, const struct dump *want)
{
	unsigned refused = 0;
	char what[64];

	restore_all();
	step = chosen(step);
	for (off_t size = file_size(name) - 1; size >= 0; size -= size > step ? step : 1 + size) {
		restore_all();
		assert_int_equal(truncate(in_directory(name), size), 0);
		snprintf(what, sizeof(what), "%s, cut to %lld", name, (long long)size);
		refused += right_or_refused(boot, want, what);
	}
	return refused;
}

static void
test_damage_after_a_clean_stop(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	struct dump want;

	fill(s);
	dump(s, &want);
	store_close(s);
	save_all();
	assert_true(flip_all("nsd.db", 13, BOOT, &want) > 100);
	assert_true(flip_all("nsd.db", 47, OTHER_BOOT, &want) > 20);
	assert_true(truncate_all("nsd.db", 301, BOOT, &want) > 20);
	assert_true(truncate_all("nsd.db", 701, OTHER_BOOT, &want) > 10);
	flip_all("lock", 1, BOOT, &want);
	truncate_all("lock", 1, BOOT, &want);
}

static void
test_damage_after_a_kill(void **state UNUSED)
{
	struct store *s;
	struct dump want;

	in_killed_child(fill_and_die, NULL);
	assert_true(file_size("nsd.db-wal") > 0);
	save_all();
	s = must_open(BOOT);
	dump(s, &want);
	assert_int_equal(want.n, RECORDS);
	store_close(s);
	assert_true(flip_all("nsd.db-wal", 301, BOOT, &want) > 100);
	assert_true(truncate_all("nsd.db-wal", 1999, BOOT, &want) > 50);
	assert_true(flip_all("nsd.db", 61, BOOT, &want) > 0);
	flip_all("lock", 1, BOOT, &want);
}

static void
test_missing_or_emptied(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	struct error e;
	struct dump d;

	fill(s);
	store_close(s);
	save_all();
	unlink(in_directory("nsd.db"));
	e = must_refuse(BOOT);
	assert_int_equal(e.code, ERROR_STORE);
	assert_non_null(strstr(e.text, "missing"));
	assert_int_equal(file_size("nsd.db"), -1);
	restore_all();
	assert_int_equal(truncate(in_directory("nsd.db"), 0), 0);
	e = must_refuse(OTHER_BOOT);
	assert_int_equal(e.code, ERROR_STORE);
	assert_int_equal(file_size("nsd.db"), 0);
	restore_all();
	unlink(in_directory("lock")); /* the way to take a restored backup */
	s = must_open(BOOT);
	dump(s, &d);
	assert_int_equal(d.n, RECORDS);
	store_close(s);
}

/* A whole, valid, but older database in the place of the last one. */
static void
test_older_database(void **state UNUSED)
{
	struct store *s = must_open(BOOT);

	fill(s);
	store_close(s);
	copy_file(in_directory("nsd.db"), in_directory("nsd.db.saved"));
	s = must_open(BOOT);
	must_put(s, "one-more", 1, "{}", false);
	store_close(s);
	copy_file(in_directory("nsd.db.saved"), in_directory("nsd.db"));
	assert_int_equal(must_refuse(BOOT).code, ERROR_STORE);
	assert_int_equal(must_refuse(OTHER_BOOT).code, ERROR_STORE);
}

static void
test_foreign_file(void **state UNUSED)
{
	char text[8192];
	FILE *f = fopen(in_directory("nsd.db"), "we");

	assert_non_null(f);
	memset(text, 'x', sizeof(text));
	assert_int_equal(fwrite(text, 1, sizeof(text), f), sizeof(text));
	fclose(f);
	assert_int_equal(must_refuse(BOOT).code, ERROR_STORE);
	assert_int_equal(file_size("nsd.db"), sizeof(text));
}

/* ---- versions ---- */

/* In the header of every SQLite file; big endian at byte 60. */
static void
set_schema(uint8_t version)
{
	int fd = open(in_directory("nsd.db"), O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, (uint8_t[]){ 0, 0, 0, version }, 4, 60), 4);
	close(fd);
}

static void
test_newer_schema(void **state UNUSED)
{
	struct store *s = must_open(BOOT);
	struct error e;
	struct dump d;

	fill(s);
	store_close(s);
	set_schema(STORE_SCHEMA + 1);
	copy_file(in_directory("nsd.db"), in_directory("nsd.db.saved"));
	e = must_refuse(BOOT);
	assert_int_equal(e.code, ERROR_STORE);
	assert_non_null(strstr(e.text, "newer nsd (schema 2"));
	assert_int_equal(file_size("nsd.db"), file_size("nsd.db.saved"));
	set_schema(STORE_SCHEMA);
	s = must_open(BOOT);
	dump(s, &d);
	assert_int_equal(d.n, RECORDS);
	store_close(s);
}

/* What the first release wrote must load for ever. */
static void
test_golden_schema_1(void **state UNUSED)
{
	struct store *s;
	struct dump d;

	copy_file(TEST_SOURCE "/tests/data/store-schema-1.db", in_directory("nsd.db"));
	s = must_open(BOOT);
	assert_true(store_was_clean(s));
	assert_false(store_same_boot(s));
	assert_true(must_generate(s) >= INT64_C(1882753806058047));
	dump(s, &d);
	assert_int_equal(d.n, 3);
	assert_string_equal(d.lines[0], "link l1 1003 {\"name\":\"l1\"}");
	assert_string_equal(d.lines[1], "namespace n1 1001 {\"name\":\"n1\"}");
	assert_string_equal(d.lines[2], "namespace n2 1002 {\"name\":\"n2\",\"x\":\"\303\244\"}");
	must_put(s, "n3", 1004, "{}", true);
	store_close(s);
}

/* ---- a full disk ---- */

static void
fill_disk(const char *path)
{
	static const char block[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	size_t size = sizeof(block);

	assert_true(fd >= 0);
	while (size > 0)
		if (write(fd, block, size) < 0)
			size /= 2;
	close(fd);
}

static void
small_disk(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	assert_int_equal(mount("tmpfs", directory, "tmpfs", 0, "size=2m,mode=0700"), 0);
}

/* Puts records until that fails; returns how many. */
static unsigned
put_until_failure(struct store *s, struct error *e)
{
	char name[32];

	for (unsigned n = 0; n < 400; n++) {
		snprintf(name, sizeof(name), "more-%u", n);
		if (put(s, name, 1, "{}", n % 5 == 0, e) < 0)
			return n;
	}
	fail_msg("nothing failed");
	return 0;
}

static void
test_full_disk(void **state UNUSED)
{
	struct error e = { 0 };
	struct store *s;
	struct dump before, after;
	int64_t generation;
	unsigned n;

	small_disk();
	s = must_open(BOOT);
	fill(s);
	fill_disk(in_directory("ballast"));
	n = put_until_failure(s, &e);
	assert_int_equal(e.code, ERROR_STORE);
	assert_non_null(strstr(e.text, "full"));
	dump(s, &before); /* reading goes on, and shows what was acknowledged */
	assert_int_equal(before.n, RECORDS + n);
	generation = must_generate(s); /* the block is there */

	assert_int_equal(unlink(in_directory("ballast")), 0);
	e = (struct error){ 0 };
	assert_true(put(s, "refused", 1, "{}", false, &e) < 0); /* until store_retry() */
	assert_int_equal(e.code, ERROR_STORE);
	limit_files(0);
	assert_true(store_retry(s, &e) < 0);
	assert_true(put(s, "refused", 1, "{}", false, &e) < 0);
	limit_files(RLIM_INFINITY);
	assert_int_equal(store_retry(s, &e), 0);
	assert_int_equal(store_retry(s, &e), 0);
	dump(s, &after);
	assert_true(same(&before, &after));
	must_put(s, "again", 1, "{}", true);
	dump(s, &before);
	assert_true(must_generate(s) > generation);
	store_close(s);
	s = must_open(BOOT);
	assert_true(store_was_clean(s));
	dump(s, &after);
	assert_true(same(&before, &after));
	store_close(s);
	assert_int_equal(umount(directory), 0);
}

/* The journal may grow to so many bytes and not one more: a write is cut off at every kind of place. */
static void
test_writes_cut_off(void **state UNUSED)
{
	for (rlim_t size = 20000; size < 60000; size += 211) {
		struct store *s = must_open(BOOT);
		struct error e = { 0 };
		struct dump before, after;
		unsigned n;

		limit_files(size);
		n = put_until_failure(s, &e);
		limit_files(RLIM_INFINITY);
		assert_int_equal(e.code, ERROR_STORE);
		dump(s, &before);
		assert_int_equal(before.n, n);
		if (size % 2)
			assert_int_equal(store_retry(s, NULL), 0);
		store_close(s);
		s = must_open(BOOT);
		assert_int_equal(store_was_clean(s), size % 2);
		dump(s, &after);
		assert_true(same(&before, &after));
		store_close(s);
		empty_directory(directory);
	}
}

/* ---- a failing disk ---- */

static unsigned fault_countdown; /* the n-th write or sync from now fails; 0: none */
static bool fault_stays, faulted;

static bool
fault(void)
{
	if (fault_countdown == 0 || --fault_countdown > 0)
		return false;
	fault_countdown = fault_stays;
	faulted = true;
	errno = EIO;
	return true;
}

/* These stand in for those of libc, also for SQLite. */
int
fdatasync(int fd)
{
	return fault() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

ssize_t
pwrite64(int fd, const void *buffer, size_t size, off64_t at)
{
	return fault() ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, buffer, size, at);
}

ssize_t
pwrite(int fd, const void *buffer, size_t size, off_t at)
{
	return pwrite64(fd, buffer, size, at);
}

/* Some commits of either kind; returns how many went well before the first that did not. */
static unsigned
some_commits(struct store *s)
{
	char name[32];
	unsigned n = 0;

	for (; n < 12; n++) {
		snprintf(name, sizeof(name), "n%u", n);
		if (put(s, name, 1, "{}", n % 3 == 0, NULL) < 0)
			break;
	}
	return n;
}

/* Call n fails, once or for good, for every n until nothing fails. */
static void
test_failing_calls(void **state UNUSED)
{
	faulted = true;
	for (unsigned round = 1; faulted; round++) {
		struct store *s = must_open(BOOT);
		struct dump before, after;
		unsigned n;

		faulted = false;
		fault_stays = round % 2;
		fault_countdown = (round + 1) / 2;
		n = some_commits(s);
		dump(s, &before);
		assert_int_equal(before.n, n);
		if (n < 12) { /* else the call did not matter */
			assert_true(put(s, "refused", 1, "{}", false, NULL) < 0);
			assert_int_equal(store_retry(s, NULL) < 0, fault_stays);
			fault_countdown = 0;
			assert_int_equal(store_retry(s, NULL), 0);
			dump(s, &after);
			assert_true(same(&before, &after));
			must_put(s, "again", 1, "{}", true);
			dump(s, &before);
		}
		fault_countdown = 0;
		store_close(s);
		s = must_open(BOOT);
		assert_true(store_was_clean(s));
		dump(s, &after);
		assert_true(same(&before, &after));
		store_close(s);
		empty_directory(directory);
	}
}

static void
commits_with_a_fault(void *arg)
{
	volatile unsigned *acknowledged = arg;
	struct store *s = must_open(BOOT);

	fault_countdown = *acknowledged;
	*acknowledged = some_commits(s);
}

/* As before, but killed right after the failure: the failed commit may be found afterwards, all before it must. */
static void
test_killed_after_a_failing_call(void **state UNUSED)
{
	unsigned *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(shared != MAP_FAILED);
	for (unsigned round = 1; round == 1 || *shared < 12; round++) {
		struct store *s;
		struct dump d;

		*shared = round;
		fault_stays = true;
		in_killed_child(commits_with_a_fault, shared);
		s = must_open(BOOT);
		dump(s, &d);
		assert_true(d.n == *shared || d.n == *shared + 1);
		store_close(s);
		empty_directory(directory);
	}
	munmap(shared, sizeof(*shared));
}

/* Stopped, or killed, while the disk is full: what was acknowledged is there when it is started again. */
static void
full_disk_and_die(void *arg)
{
	struct store *s = must_open(BOOT);

	fill(s);
	fill_disk(in_directory("ballast"));
	put_until_failure(s, NULL);
	if (arg)
		store_close(s);
}

static void
test_end_on_a_full_disk(void **state UNUSED)
{
	for (unsigned stop = 0; stop < 2; stop++) {
		struct store *s;
		struct error e = { 0 };
		struct dump d;

		small_disk();
		in_killed_child(full_disk_and_die, stop ? directory : NULL);
		s = NULL;
		if (store_open(directory, BOOT, &s, &e) == 0) {
			dump(s, &d); /* a last page was left: fine */
			assert_true(d.n >= RECORDS);
			store_close(s);
		} else {
			assert_int_equal(e.code, ERROR_STORE);
		}
		assert_int_equal(unlink(in_directory("ballast")), 0);
		s = must_open(BOOT);
		assert_int_equal(store_was_clean(s), e.code == ERROR_NONE);
		dump(s, &d);
		assert_true(d.n >= RECORDS);
		store_close(s);
		assert_int_equal(umount(directory), 0);
	}
}

static void
test_first_start_on_a_full_disk(void **state UNUSED)
{
	struct dump d;
	struct store *s;

	small_disk();
	fill_disk(in_directory("ballast"));
	assert_int_equal(must_refuse(BOOT).code, ERROR_STORE);
	assert_int_equal(unlink(in_directory("ballast")), 0);
	s = must_open(BOOT);
	dump(s, &d);
	assert_int_equal(d.n, 0);
	store_close(s);
	assert_int_equal(umount(directory), 0);
}

static void
test_read_only_disk(void **state UNUSED)
{
	struct error e;

	small_disk();
	store_close(must_open(BOOT));
	assert_int_equal(mount(NULL, directory, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	e = must_refuse(BOOT);
	assert_int_equal(e.code, ERROR_STORE);
	assert_non_null(strstr(e.text, strerror(EROFS)));
	assert_int_equal(umount(directory), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_put_load_delete),
		T(test_walk_ends_with_its_error),
		T(test_modes),
		T(test_bad_arguments),
		T(test_generations_never_repeat),
		T(test_generation_block_runs_out),
		T(test_generations_reserved_ahead),
		T(test_reserving_fails),
		T(test_generation_of_a_restored_backup),
		T(test_second_is_refused),
		T(test_kill_loses_nothing),
		T(test_unclean_is_told),
		T(test_threads),
		T(test_damage_after_a_clean_stop),
		T(test_damage_after_a_kill),
		T(test_missing_or_emptied),
		T(test_older_database),
		T(test_foreign_file),
		T(test_newer_schema),
		T(test_golden_schema_1),
		T(test_failing_calls),
		T(test_killed_after_a_failing_call),
		T(test_full_disk),
		T(test_writes_cut_off),
		T(test_end_on_a_full_disk),
		T(test_first_start_on_a_full_disk),
		T(test_read_only_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
