/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of slots: what it keeps over every kind of end, and what it does with files that are not its own. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "slot-table.h"
#include "unit.h"

#define BOOT "11111111-1111-1111-1111-111111111111"
#define VAULT "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
#define GROWTH 128	   /* records added at a time */
#define RECORDS_MAX 131072 /* of one table */
#define HEADER_SIZE 4096   /* before the first record in the file */
#define CRASHES 400

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

static int
setup(void **state UNUSED)
{
	snprintf(directory, sizeof(directory), "%s/nsd-test-slots-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	return mkdtemp(directory) ? 0 : -1;
}

static int
teardown(void **state UNUSED)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

static struct slot_table *
must_open_as(const char *boot, const char *vault, int expected_lost)
{
	struct slot_table *t = NULL;
	struct error e = { 0 };
	int lost = -2;

	if (slot_table_open(in_directory("slots"), boot, vault, &t, &lost, &e) < 0)
		fail_msg("slot_table_open: %s", e.text);
	assert_int_equal(lost, expected_lost);
	return t;
}

static struct slot_table *
must_open(void)
{
	return must_open_as(BOOT, VAULT, 0);
}

static uint32_t
must_take(struct slot_table *t)
{
	struct error e = { 0 };
	uint32_t i = UINT32_MAX;

	if (slot_table_take(t, &i, &e) < 0)
		fail_msg("slot_table_take: %s", e.text);
	assert_true(i < slot_table_size(t));
	return i;
}

static uint32_t
must_make(struct slot_table *t, uint32_t number, enum record_state state)
{
	uint32_t i = must_take(t);

	slot_table_at(t, i)->number = number;
	slot_table_set_state(t, i, state);
	return i;
}

static uint32_t
count(const struct slot_table *t, enum record_state state)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < slot_table_size(t); i++)
		n += slot_table_at(t, i)->state == (uint32_t)state;
	return n;
}

static bool
exists(const char *name)
{
	struct stat st;

	return lstat(in_directory(name), &st) == 0;
}

/* Writes into the file behind the table's back. */
static void
poke(off_t offset, const void *bytes, size_t n)
{
	int fd = open(in_directory("slots"), O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, offset), n);
	close(fd);
}

/* ---- records ---- */

static void
test_take_set_reopen(void **state UNUSED)
{
	struct slot_table *t = must_open();
	struct slot_record *r;
	struct stat st;
	uint32_t i;

	assert_int_equal(slot_table_size(t), GROWTH);
	assert_int_equal(stat(in_directory("slots"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	i = must_take(t);
	assert_int_equal(i, 0);
	r = slot_table_at(t, i);
	r->number = 7;
	r->cookie = 1234567890123;
	snprintf(r->key, sizeof(r->key), "build-7");
	slot_table_set_state(t, i, RECORD_LEASED);
	assert_int_equal(must_make(t, 8, RECORD_READY), 1);
	slot_table_close(t);

	t = must_open();
	r = slot_table_at(t, i);
	assert_int_equal(r->state, RECORD_LEASED);
	assert_int_equal(r->number, 7);
	assert_int_equal(r->cookie, 1234567890123);
	assert_string_equal(r->key, "build-7");
	assert_int_equal(slot_table_at(t, 1)->state, RECORD_READY);
	assert_int_equal(must_take(t), 2);
	slot_table_close(t);
}

static void
test_freed_records_come_back_empty(void **state UNUSED)
{
	static const struct slot_record empty;
	struct slot_table *t = must_open();
	uint32_t i = must_make(t, 1, RECORD_LEASED);

	memset(slot_table_at(t, i)->labels, 'x', SLOT_LABELS_SIZE - 1);
	slot_table_set_state(t, i, RECORD_FREE);
	assert_int_equal(must_take(t), i);
	assert_memory_equal(slot_table_at(t, i), &empty, sizeof(empty));
	slot_table_set_state(t, i, RECORD_FREE); /* taken, but nothing came of it */
	assert_int_equal(must_take(t), i);
	slot_table_close(t);
}

/* A record that was taken, but got no state before the end, is free. */
static void
test_taken_without_state_is_free(void **state UNUSED)
{
	struct slot_table *t = must_open();
	uint32_t i = must_take(t);

	slot_table_at(t, i)->number = 3;
	slot_table_close(t);
	t = must_open();
	assert_int_equal(count(t, RECORD_FREE), GROWTH);
	assert_int_equal(must_take(t), i);
	slot_table_close(t);
}

static void
test_growing_moves_nothing(void **state UNUSED)
{
	struct slot_table *t = must_open();
	uint32_t first = must_make(t, 1, RECORD_READY), n = 10000;
	const struct slot_record *r = slot_table_at(t, first);

	for (uint32_t i = 1; i < n; i++)
		must_make(t, i + 1, RECORD_READY);
	assert_ptr_equal(slot_table_at(t, first), r);
	assert_int_equal(r->number, 1);
	assert_int_equal(slot_table_size(t), (n + GROWTH - 1) / GROWTH * GROWTH);
	slot_table_close(t);
	t = must_open();
	assert_int_equal(count(t, RECORD_READY), n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(slot_table_at(t, i)->number, i + 1);
	slot_table_close(t);
}

static void
test_the_greatest_table(void **state UNUSED)
{
	struct slot_table *t = must_open();
	struct error e = { 0 };
	uint32_t i;

	for (uint32_t n = 0; n < RECORDS_MAX; n++)
		must_make(t, n + 1, RECORD_READY);
	assert_true(slot_table_take(t, &i, &e) < 0);
	assert_int_equal(e.code, ERROR_LIMIT_EXCEEDED);
	slot_table_set_state(t, 77, RECORD_FREE);
	assert_int_equal(must_take(t), 77);
	slot_table_close(t);
	t = must_open();
	assert_int_equal(count(t, RECORD_READY), RECORDS_MAX - 1);
	slot_table_close(t);
}

/* ---- files that are not as they should be ---- */

static void
test_other_boot_or_vault(void **state UNUSED)
{
	struct slot_table *t = must_open();

	must_make(t, 1, RECORD_LEASED);
	must_make(t, 2, RECORD_LEASED);
	must_make(t, 3, RECORD_READY);
	must_make(t, 4, RECORD_DRAINING);
	slot_table_close(t);
	t = must_open_as("22222222-2222-2222-2222-222222222222", VAULT, 2);
	assert_int_equal(count(t, RECORD_FREE), slot_table_size(t));
	must_make(t, 1, RECORD_LEASED);
	slot_table_close(t);
	t = must_open_as("22222222-2222-2222-2222-222222222222", "another vault", 1);
	assert_int_equal(count(t, RECORD_FREE), slot_table_size(t));
	slot_table_close(t);
	slot_table_close(must_open_as("22222222-2222-2222-2222-222222222222", "another vault", 0));
	assert_false(exists("slots.damaged"));
}

/* The file was moved aside, and an empty table took its place. */
static void
must_find_damage(void)
{
	struct slot_table *t;

	unlink(in_directory("slots.damaged"));
	t = must_open_as(BOOT, VAULT, -1);
	assert_int_equal(count(t, RECORD_FREE), slot_table_size(t));
	assert_true(exists("slots.damaged"));
	must_make(t, 1, RECORD_LEASED);
	slot_table_close(t);
	t = must_open();
	assert_int_equal(count(t, RECORD_LEASED), 1);
	slot_table_close(t);
}

static void
test_truncated(void **state UNUSED)
{
	static const off_t sizes[] = { 0, 1, 100, HEADER_SIZE, HEADER_SIZE + 512, HEADER_SIZE + 512 * GROWTH - 1 };

	slot_table_close(must_open());
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(truncate(in_directory("slots"), sizes[i]), 0);
		must_find_damage();
	}
}

/* As a process leaves it that was killed while the file grew: no damage, and what is behind is not believed. */
static void
test_longer_than_it_says(void **state UNUSED)
{
	struct slot_table *t = must_open();
	struct slot_record r = { .state = RECORD_LEASED, .number = 99 };

	must_make(t, 1, RECORD_LEASED);
	slot_table_close(t);
	poke(HEADER_SIZE + 512 * GROWTH, &r, sizeof(r));
	t = must_open();
	assert_int_equal(count(t, RECORD_LEASED), 1);
	for (unsigned i = 1; i < 2 * GROWTH; i++)
		must_make(t, i + 1, RECORD_READY);
	assert_int_equal(count(t, RECORD_LEASED), 1);
	slot_table_close(t);
}

static void
test_foreign_files(void **state UNUSED)
{
	char target[300];
	struct stat st;
	int fd;

	fd = open(in_directory("slots"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (unsigned i = 0; i < 5000; i++)
		assert_int_equal(write(fd, "SQLite format 3, or the like", 28), 28);
	close(fd);
	must_find_damage();
	assert_int_equal(stat(in_directory("slots.damaged"), &st), 0);
	assert_int_equal(st.st_size, 5000 * 28);

	assert_int_equal(rename(in_directory("slots"), in_directory("target")), 0);
	snprintf(target, sizeof(target), "%s/target", directory);
	assert_int_equal(symlink(target, in_directory("slots")), 0);
	must_find_damage();
	assert_int_equal(lstat(in_directory("slots.damaged"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));

	assert_int_equal(unlink(in_directory("slots")), 0);
	assert_int_equal(mkfifo(in_directory("slots"), 0600), 0);
	must_find_damage();

	assert_int_equal(chmod(in_directory("slots"), 0666), 0); /* anybody may have written into it */
	must_find_damage();

	assert_int_equal(symlink("/etc/passwd", in_directory("slots.new")), 0);
	assert_int_equal(unlink(in_directory("slots")), 0);
	slot_table_close(must_open());
	assert_int_equal(lstat(in_directory("slots"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
}

static void
test_impossible_headers(void **state UNUSED)
{
	static const struct {
		off_t offset;
		const char *bytes;
		size_t n;
	} table[] = {
		{ 0, "N", 1 },		       /* the magic */
		{ 8, "\2\0\0\0", 4 },	       /* a later version */
		{ 12, "\0\4\0\0", 4 },	       /* records of 1024 bytes */
		{ 16, "\0\0\0\0", 4 },	       /* no records */
		{ 16, "\1\0\0\0", 4 },	       /* not a whole growth */
		{ 16, "\0\1\0\0", 4 },	       /* more than there are */
		{ 16, "\x80\xff\xff\xff", 4 }, /* more than there can be */
		{ 20 + 36, "xxxx", 4 },	       /* a boot without end */
		{ 60, "0123456789012345678901234567890123456789", 40 },
	};

	slot_table_close(must_open());
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		poke(table[i].offset, table[i].bytes, table[i].n);
		must_find_damage();
	}
}

static void
test_impossible_records(void **state UNUSED)
{
	char full[SLOT_LABELS_SIZE];
	uint32_t seven = 7, nine = SLOT_PUBLISHED_MAX + 1, none = 0, one = 1, four = BOND_NOTHING + 1;
	const struct {
		size_t offset;
		const void *bytes;
		size_t n;
	} table[] = {
		{ offsetof(struct slot_record, state), &seven, 4 },
		{ offsetof(struct slot_record, number), &none, 4 },
		{ offsetof(struct slot_record, n_ports), &nine, 4 },
		{ offsetof(struct slot_record, bond), &four, 4 },
		{ offsetof(struct slot_record, key), full, LEASE_KEY_MAX_LENGTH + 1 },
		{ offsetof(struct slot_record, namespace), full, NAME_MAX_LENGTH + 1 },
		{ offsetof(struct slot_record, labels), full, SLOT_LABELS_SIZE },
		{ offsetof(struct slot_record, ports), &seven, 1 },
	};

	memset(full, 'x', sizeof(full));
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct slot_table *t;

		unlink(in_directory("slots"));
		t = must_open();
		must_make(t, 1, RECORD_READY);
		slot_table_close(t);
		poke(HEADER_SIZE + offsetof(struct slot_record, n_ports), &one, 4);
		slot_table_close(must_open());
		poke(HEADER_SIZE + (off_t)table[i].offset, table[i].bytes, table[i].n);
		must_find_damage();
	}
}

/* What a free record holds means nothing. */
static void
test_free_records_may_hold_anything(void **state UNUSED)
{
	char full[512];

	memset(full, 'x', sizeof(full));
	slot_table_close(must_open());
	poke(HEADER_SIZE + 5 * 512 + 4, full, sizeof(full) - 4);
	slot_table_close(must_open());
	assert_false(exists("slots.damaged"));
}

static void
test_no_directory(void **state UNUSED)
{
	struct slot_table *t = NULL;
	struct error e = { 0 };
	int lost = -2;

	assert_true(slot_table_open("/nonexistent/slots", BOOT, VAULT, &t, &lost, &e) < 0);
	assert_int_equal(e.code, ERROR_STORE);
	assert_non_null(strstr(e.text, "/nonexistent/slots"));
	assert_null(t);
	assert_int_equal(lost, -2);
}

/* ---- a full file system ---- */

static void
fill(const char *path)
{
	static const char block[4096] = { 1 };
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	close(fd);
}

static void
test_full_file_system(void **state UNUSED)
{
	struct slot_table *t;
	struct error e = { 0 };
	uint32_t i, n = 0;
	int lost = -2;

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		skip();
	assert_int_equal(mount("tmpfs", directory, "tmpfs", 0, "size=300k,mode=0700"), 0);
	t = must_open();
	while (slot_table_take(t, &i, &e) == 0) {
		slot_table_at(t, i)->number = ++n;
		slot_table_set_state(t, i, RECORD_LEASED);
	}
	assert_int_equal(e.code, ERROR_STORE);
	assert_non_null(strstr(e.text, "No space left"));
	assert_true(n >= 2 * GROWTH && n < 5 * GROWTH);
	fill(in_directory("filling"));
	assert_true(slot_table_take(t, &i, NULL) < 0);
	slot_table_set_state(t, 5, RECORD_FREE);
	assert_int_equal(must_take(t), 5);
	slot_table_close(t);

	/* no room for a new file: the old one stays as it was */
	assert_true(slot_table_open(in_directory("slots"), "other", VAULT, &t, &lost, &e) < 0);
	assert_int_equal(e.code, ERROR_STORE);
	assert_false(exists("slots.new"));
	t = must_open();
	assert_int_equal(count(t, RECORD_LEASED), n - 1);

	unlink(in_directory("filling"));
	must_make(t, n, RECORD_LEASED);
	slot_table_close(t);
	assert_int_equal(umount(directory), 0);
}

/* A copy that somebody made sparse must not end the process when its holes are written. */
static void
test_holes(void **state UNUSED)
{
	struct slot_table *t;
	struct stat st;
	int fd;

	slot_table_close(must_open());
	fd = open(in_directory("slots"), O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, HEADER_SIZE, 512 * GROWTH), 0);
	t = must_open();
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_blocks * 512 >= HEADER_SIZE + 512 * GROWTH);
	slot_table_close(t);
	close(fd);
}

/* ---- kill -9 ---- */

/* Everything in a record follows from numbers that stand in it: `inode` for what belongs to the slot, `since` for what
 * belongs to the lease. */
static uint64_t
mix(uint64_t n, unsigned salt)
{
	n = (n + salt) * 0x9e3779b97f4a7c15;
	return n ^ n >> 31;
}

static void
fill_slot(struct slot_record *r, uint64_t seed)
{
	r->inode = seed;
	r->number = (uint32_t)(mix(seed, 1) % 65535 + 1);
	r->network = (int64_t)(mix(seed, 2) >> 12);
}

static void
fill_lease(struct slot_record *r, uint64_t seed)
{
	r->since = (int64_t)seed;
	r->owner = (int64_t)mix(seed, 3);
	r->pid_start = mix(seed, 4);
	r->deadline = (int64_t)mix(seed, 5);
	r->bond = mix(seed, 6) % (BOND_NOTHING + 1);
	r->n_ports = mix(seed, 7) % (SLOT_PUBLISHED_MAX + 1);
	for (uint32_t i = 0; i < r->n_ports; i++)
		r->ports[i] = (struct record_port){ mix(seed, 8) & 1, (uint16_t)mix(seed, 9 + i), (uint16_t)i };
	snprintf(r->key, sizeof(r->key), "key %016llx", (unsigned long long)mix(seed, 20));
	snprintf(r->namespace, sizeof(r->namespace), "namespace-%016llx", (unsigned long long)mix(seed, 21));
	snprintf(r->labels, sizeof(r->labels), "label %016llx", (unsigned long long)mix(seed, 22));
}

static void
check_slot(const struct slot_record *r)
{
	struct slot_record expected = { 0 };

	fill_slot(&expected, r->inode);
	assert_int_equal(r->number, expected.number);
	assert_int_equal(r->network, expected.network);
	if (r->state >= RECORD_READY)
		assert_int_equal(r->cookie, mix(r->inode, 30));
}

static void
check_lease(const struct slot_record *r)
{
	struct slot_record expected = { 0 };

	fill_lease(&expected, (uint64_t)r->since);
	assert_int_equal(r->owner, expected.owner);
	assert_int_equal(r->pid_start, expected.pid_start);
	assert_int_equal(r->deadline, expected.deadline);
	assert_int_equal(r->bond, expected.bond);
	assert_int_equal(r->n_ports, expected.n_ports);
	for (uint32_t i = 0; i < r->n_ports; i++) {
		assert_int_equal(r->ports[i].protocol, expected.ports[i].protocol);
		assert_int_equal(r->ports[i].host_port, expected.ports[i].host_port);
		assert_int_equal(r->ports[i].port, expected.ports[i].port);
	}
	assert_string_equal(r->key, expected.key);
	assert_string_equal(r->namespace, expected.namespace);
	assert_string_equal(r->labels, expected.labels);
}

static void
make(struct slot_table *t, uint64_t seed)
{
	uint32_t i;

	if (slot_table_take(t, &i, NULL) < 0)
		_exit(1);
	fill_slot(slot_table_at(t, i), seed);
	slot_table_set_state(t, i, RECORD_MAKING);
}

static void
advance(struct slot_table *t, uint32_t i, uint64_t seed)
{
	struct slot_record *r = slot_table_at(t, i);

	switch ((enum record_state)r->state) {
	case RECORD_FREE:
		make(t, seed);
		break;
	case RECORD_MAKING:
		r->cookie = mix(r->inode, 30);
		slot_table_set_state(t, i, RECORD_READY);
		break;
	case RECORD_READY:
		fill_lease(r, seed);
		slot_table_set_state(t, i, RECORD_PREPARING);
		break;
	case RECORD_PREPARING: /* sometimes it does not work out */
		slot_table_set_state(t, i, seed % 8 ? RECORD_LEASED : RECORD_READY);
		break;
	case RECORD_LEASED:
		slot_table_set_state(t, i, RECORD_DRAINING);
		break;
	case RECORD_DRAINING:
		slot_table_set_state(t, i, RECORD_FREE);
		break;
	}
}

static void
flip_for_ever(unsigned round)
{
	struct slot_table *t;
	int lost;
	uint64_t n = (uint64_t)round << 32;

	if (slot_table_open(in_directory("slots"), BOOT, VAULT, &t, &lost, NULL) < 0 || lost != 0)
		_exit(1);
	for (;; n++) {
		advance(t, (uint32_t)(mix(n, 40) % slot_table_size(t)), n);
		if (mix(n, 41) % 4096 == 0 && slot_table_size(t) < 16 * GROWTH)
			for (uint32_t size = slot_table_size(t); size == slot_table_size(t);) /* until it grows */
				make(t, n);
	}
}

static void
kill_within(unsigned round, unsigned usec)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		flip_for_ever(round);
	usleep(usec);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void
test_killed_at_any_moment(void **state UNUSED)
{
	unsigned seen[RECORD_DRAINING + 1] = { 0 };

	srand(1);
	for (unsigned round = 1; round <= CRASHES; round++) {
		struct slot_table *t;

		if (round % 50 == 0)
			unlink(in_directory("slots"));
		kill_within(round, (unsigned)rand() % 3000);
		t = must_open();
		for (uint32_t i = 0; i < slot_table_size(t); i++) {
			const struct slot_record *r = slot_table_at(t, i);

			seen[r->state]++;
			if (r->state != RECORD_FREE)
				check_slot(r);
			if (r->state == RECORD_PREPARING || r->state == RECORD_LEASED || r->state == RECORD_DRAINING)
				check_lease(r);
		}
		slot_table_close(t);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(seen); i++)
		assert_true(seen[i] > 100);
	assert_false(exists("slots.damaged"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_take_set_reopen),
		T(test_freed_records_come_back_empty),
		T(test_taken_without_state_is_free),
		T(test_growing_moves_nothing),
		T(test_the_greatest_table),
		T(test_other_boot_or_vault),
		T(test_truncated),
		T(test_longer_than_it_says),
		T(test_foreign_files),
		T(test_impossible_headers),
		T(test_impossible_records),
		T(test_free_records_may_hold_anything),
		T(test_no_directory),
		T(test_full_file_system),
		T(test_holes),
		T(test_killed_at_any_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
