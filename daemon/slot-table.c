/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of slots in its file.
 *
 * Theory of operation
 *
 * The file is a header page and records, which are added GROWTH at a time. It is mapped once, at the greatest size it may
 * ever have, so that records never move; what lies beyond its end is not touched. Before anything is touched its blocks
 * are allocated: writing into a hole of a full tmpfs would end the process by SIGBUS. Only then the header counts the new
 * records, so that a process killed in between leaves a file that is merely longer than it says.
 *
 * A new file is made beside the old one and renamed over it: there is no moment at which a half-made header could be seen.
 *
 * Processors and the page cache agree on the mapping, so a record needs no more than the compiler's keeping of the order:
 * everything else first, the state last.
 */
#include "config.h"

#include "slot-table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MAGIC "nsdslots"
#define TABLE_VERSION 1
#define ID_SIZE 40
#define HEADER_SIZE 4096
#define GROWTH 128
#define RECORDS_MAX 131072
#define MAP_SIZE (HEADER_SIZE + (size_t)RECORDS_MAX * sizeof(struct slot_record))

struct header {
	char magic[8];
	uint32_t version, record_size;
	_Atomic uint32_t n_records;
	char boot[ID_SIZE], vault[ID_SIZE];
};

struct slot_table {
	const char *file; /* for messages; behind the struct */
	int fd;
	struct header *header; /* the mapping */
	struct slot_record *records;
	uint32_t *free, n_free; /* a stack, with room for all records */
};

static size_t
size_of(uint32_t n_records)
{
	return HEADER_SIZE + (size_t)n_records * sizeof(struct slot_record);
}

static int
refused(const struct slot_table *t, const char *what, int number, struct error *e)
{
	return error_set(e, ERROR_STORE, NULL, "cannot %s the table of slots %s: %s", what, t->file, strerror(number));
}

uint32_t
slot_table_size(const struct slot_table *t)
{
	return atomic_load_explicit(&t->header->n_records, memory_order_relaxed);
}

struct slot_record *
slot_table_at(const struct slot_table *t, uint32_t i)
{
	return &t->records[i];
}

/* ---- files ---- */

static int
allocate(const struct slot_table *t, uint32_t n_records, struct error *e)
{
	int number;

	do
		number = posix_fallocate(t->fd, 0, (off_t)size_of(n_records));
	while (number == EINTR);
	return number == 0 ? 0 : refused(t, "grow", number, e);
}

static int
map(struct slot_table *t, struct error *e)
{
	void *p = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);

	if (p == MAP_FAILED)
		return refused(t, "map", errno, e);
	t->header = p;
	t->records = (struct slot_record *)((char *)p + HEADER_SIZE);
	return 0;
}

static void
leave_file(struct slot_table *t)
{
	if (t->header)
		munmap(t->header, MAP_SIZE);
	t->header = NULL;
	close_fd(&t->fd);
	t->fd = -1;
}

static int
path_beside(const struct slot_table *t, const char *suffix, char *path, size_t size, struct error *e)
{
	if (snprintf(path, size, "%s%s", t->file, suffix) >= (int)size)
		return refused(t, "open", ENAMETOOLONG, e);
	return 0;
}

/* An empty table takes the place of whatever has the name. */
static int
make_file(struct slot_table *t, const char *boot, const char *vault, struct error *e)
{
	char path[4096];
	int err = path_beside(t, ".new", path, sizeof(path), e);

	if (err < 0)
		return err;
	if (unlink(path) < 0 && errno != ENOENT)
		return refused(t, "make", errno, e);
	t->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (t->fd < 0)
		return refused(t, "make", errno, e);
	err = allocate(t, GROWTH, e);
	if (err == 0)
		err = map(t, e);
	if (err == 0) {
		memcpy(t->header->magic, MAGIC, sizeof(t->header->magic));
		t->header->version = TABLE_VERSION;
		t->header->record_size = sizeof(struct slot_record);
		t->header->n_records = GROWTH;
		memcpy(t->header->boot, boot, strlen(boot));
		memcpy(t->header->vault, vault, strlen(vault));
		if (rename(path, t->file) < 0)
			err = refused(t, "make", errno, e);
	}
	if (err < 0)
		unlink(path);
	return err;
}

static int
move_aside(struct slot_table *t, struct error *e)
{
	char path[4096];
	int err = path_beside(t, ".damaged", path, sizeof(path), e);

	if (err == 0 && rename(t->file, path) < 0)
		err = refused(t, "move aside", errno, e);
	return err;
}

/* ---- what is found in a file ---- */

enum found { FOUND_NOTHING, FOUND_OURS, FOUND_STALE, FOUND_DAMAGED };

static bool
is_ended(const char *text, size_t size)
{
	return memchr(text, '\0', size);
}

/* What a later state brings may be half written; but even then it lies within these bounds. */
static bool
is_possible(const struct slot_record *r)
{
	if (r->state == RECORD_FREE)
		return true;
	if (r->state > RECORD_DRAINING || r->number == 0 || r->n_ports > SLOT_PUBLISHED_MAX || r->bond > BOND_NOTHING ||
	    r->labels[SLOT_LABELS_SIZE - 1] != '\0' || !is_ended(r->key, sizeof(r->key)) ||
	    !is_ended(r->namespace, sizeof(r->namespace)) || !is_ended(r->tap, sizeof(r->tap)))
		return false;
	for (uint32_t i = 0; i < r->n_ports; i++)
		if (r->ports[i].protocol > PROTOCOL_UDP)
			return false;
	return true;
}

static bool
header_is_possible(const struct header *h, off_t size)
{
	return memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 && h->version == TABLE_VERSION &&
	       h->record_size == sizeof(struct slot_record) && h->n_records > 0 && h->n_records <= RECORDS_MAX &&
	       h->n_records % GROWTH == 0 && size >= (off_t)size_of(h->n_records) && is_ended(h->boot, ID_SIZE) &&
	       is_ended(h->vault, ID_SIZE);
}

/* Opens and maps what has the name. */
static int
look_at_file(struct slot_table *t, enum found *ret, struct error *e)
{
	struct header h;
	struct stat st;

	t->fd = open(t->file, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0 && errno == ENOENT)
		return 0;
	*ret = FOUND_DAMAGED;
	if (t->fd < 0)
		return errno == ELOOP || errno == ENXIO || errno == EISDIR ? 0 : refused(t, "open", errno, e);
	if (fstat(t->fd, &st) < 0)
		return refused(t, "open", errno, e);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) ||
	    pread(t->fd, &h, sizeof(h), 0) != sizeof(h) || !header_is_possible(&h, st.st_size))
		return 0;
	int err = allocate(t, h.n_records, e); /* the holes of a copy */
	if (err == 0)
		err = map(t, e);
	if (err == 0)
		*ret = FOUND_OURS;
	return err;
}

static void
look_at_records(const struct slot_table *t, const char *boot, const char *vault, enum found *ret, int *leased)
{
	uint32_t n = slot_table_size(t);

	if (strcmp(t->header->boot, boot) != 0 || strcmp(t->header->vault, vault) != 0)
		*ret = FOUND_STALE;
	for (uint32_t i = 0; i < n; i++) {
		if (!is_possible(&t->records[i])) {
			*ret = FOUND_DAMAGED;
			return;
		}
		*leased += t->records[i].state == RECORD_LEASED;
	}
}

static int
open_file(struct slot_table *t, const char *boot, const char *vault, int *lost, struct error *e)
{
	enum found found = FOUND_NOTHING;
	int leased = 0, err = look_at_file(t, &found, e);

	if (err < 0)
		return err;
	if (found == FOUND_OURS)
		look_at_records(t, boot, vault, &found, &leased);
	*lost = found == FOUND_DAMAGED ? -1 : found == FOUND_STALE ? leased : 0;
	if (found == FOUND_OURS)
		return 0;
	leave_file(t);
	if (found == FOUND_DAMAGED)
		err = move_aside(t, e);
	return err == 0 ? make_file(t, boot, vault, e) : err;
}

/* ---- free records ---- */

/* Room in the stack for all records; the new ones, if free, go on it, the first of them on top. */
static int
stack_free(struct slot_table *t, uint32_t from, uint32_t n, struct error *e)
{
	uint32_t *stack = realloc(t->free, n * sizeof(*stack));

	if (!stack)
		return error_errno(e, ENOMEM, "cannot grow the table of slots %s", t->file);
	t->free = stack;
	for (uint32_t i = n; i-- > from;)
		if (t->records[i].state == RECORD_FREE)
			t->free[t->n_free++] = i;
	return 0;
}

static int
grow(struct slot_table *t, struct error *e)
{
	uint32_t n = slot_table_size(t);

	if (n >= RECORDS_MAX)
		return error_set(e, ERROR_LIMIT_EXCEEDED, NULL, "the table of slots has no room for more than %d slots",
				 RECORDS_MAX);
	int err = allocate(t, n + GROWTH, e);
	if (err < 0)
		return err;
	/* what a process left that was killed before it counted them was never used */
	memset(&t->records[n], 0, GROWTH * sizeof(struct slot_record));
	err = stack_free(t, n, n + GROWTH, e);
	if (err == 0)
		atomic_store_explicit(&t->header->n_records, n + GROWTH, memory_order_release);
	return err;
}

int
slot_table_take(struct slot_table *t, uint32_t *ret, struct error *e)
{
	if (t->n_free == 0) {
		int err = grow(t, e);

		if (err < 0)
			return err;
	}
	*ret = t->free[--t->n_free];
	memset(&t->records[*ret], 0, sizeof(struct slot_record));
	return 0;
}

void
slot_table_set_state(struct slot_table *t, uint32_t i, enum record_state state)
{
	atomic_store_explicit(&t->records[i].state, (uint32_t)state, memory_order_release);
	if (state == RECORD_FREE)
		t->free[t->n_free++] = i;
}

/* ---- open and close ---- */

void
slot_table_close(struct slot_table *t)
{
	if (!t)
		return;
	leave_file(t);
	free(t->free);
	free(t);
}

static void
close_table(struct slot_table **t)
{
	slot_table_close(*t);
}

int
slot_table_open(const char *file, const char *boot, const char *vault, struct slot_table **ret, int *lost,
		struct error *e)
{
	size_t length = strlen(file) + 1;
	CLEANUP(close_table) struct slot_table *t = calloc(1, sizeof(*t) + length);
	int found_lost;

	if (!t)
		return error_errno(e, ENOMEM, "cannot open the table of slots %s", file);
	t->file = memcpy(t + 1, file, length);
	t->fd = -1;
	if (strlen(boot) >= ID_SIZE || strlen(vault) >= ID_SIZE)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "the id of the boot or of the vault is too long");
	int err = open_file(t, boot, vault, &found_lost, e);
	if (err == 0)
		err = stack_free(t, 0, slot_table_size(t), e);
	if (err < 0)
		return err;
	*lost = found_lost;
	*ret = TAKE_PTR(t);
	return 0;
}
