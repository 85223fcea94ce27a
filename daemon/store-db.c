/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The database of the store. The only file that knows SQLite. */
#include "config.h"

#include "store-db.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#define TEXT_SIZE 512
#define APPLICATION_ID 0x6e736401 /* "nsd", 1: file(1) and nsd know the file by it */

/* A rowid table with an index beside it: rewriting a record, which is half of all commits, then changes one page. */
#define STATE_TABLE                                                                                           \
	"CREATE TABLE state (generation INTEGER NOT NULL, durable INTEGER NOT NULL, digest INTEGER NOT NULL," \
	" clean INTEGER NOT NULL, boot TEXT NOT NULL, hash INTEGER NOT NULL)"
#define RECORD_TABLE                                                                                \
	"CREATE TABLE record (kind TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL," \
	" hash INTEGER NOT NULL, record TEXT NOT NULL, UNIQUE (kind, name))"

static const char schema[] = STATE_TABLE ";" RECORD_TABLE ";"
					 "PRAGMA application_id = 0x6e736401; PRAGMA user_version = 1;";

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	FIND,
	PUT,
	DELETE,
	LOAD,
	GET_STATE,
	SET_STATE,
	STATEMENT_MAX,
};

static const char *const statements[STATEMENT_MAX] = {
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
	[FIND] = "SELECT hash, generation FROM record WHERE kind = ?1 AND name = ?2",
	[PUT] = "INSERT INTO record (kind, name, generation, hash, record) VALUES (?1, ?2, ?3, ?4, ?5)"
		" ON CONFLICT (kind, name) DO UPDATE SET generation = ?3, hash = ?4, record = ?5",
	[DELETE] = "DELETE FROM record WHERE kind = ?1 AND name = ?2",
	[LOAD] = "SELECT kind, name, generation, record, hash FROM record",
	[GET_STATE] = "SELECT generation, durable, digest, clean, boot, hash FROM state",
	[SET_STATE] = "INSERT OR REPLACE INTO state (rowid, generation, durable, digest, clean, boot, hash)"
		      " VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)",
};

struct store_db {
	sqlite3 *sql;
	const char *path;
	bool full; /* synchronous=FULL is on */
	sqlite3_stmt *statements[STATEMENT_MAX];
};

static void
store_db_drop(struct store_db **d)
{
	store_db_close(*d, false);
}

static int
damaged(const struct store_db *d, const char *how, struct error *e)
{
	return error_set(e, ERROR_STORE, NULL,
			 "%s is damaged (%s); restore it from a backup, or move it and the lock file beside it away to "
			 "start with no objects",
			 d->path, how);
}

static int
sql_error(const struct store_db *d, const char *what, struct error *e)
{
	int code = sqlite3_errcode(d->sql), number = sqlite3_system_errno(d->sql);

	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		return damaged(d, sqlite3_errmsg(d->sql), e);
	if (code == SQLITE_NOMEM)
		return error_errno(e, ENOMEM, "cannot %s %s", what, d->path);
	if ((code == SQLITE_IOERR || code == SQLITE_CANTOPEN) && number > 0)
		return error_set(e, ERROR_STORE, NULL, "cannot %s %s: %s (%s)", what, d->path, sqlite3_errmsg(d->sql),
				 strerror(number));
	return error_set(e, ERROR_STORE, NULL, "cannot %s %s: %s", what, d->path, sqlite3_errmsg(d->sql));
}

static int
run(struct store_db *d, const char *sql, const char *what, struct error *e)
{
	return sqlite3_exec(d->sql, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : sql_error(d, what, e);
}

/* Steps a statement that gives no rows, and resets it. */
static int
execute(struct store_db *d, enum statement which, const char *what, struct error *e)
{
	sqlite3_stmt *s = d->statements[which];
	int r = sqlite3_step(s) == SQLITE_DONE ? 0 : sql_error(d, what, e);

	sqlite3_reset(s);
	return r;
}

static int
get_text(void *ret, int columns, char **values, char **names UNUSED)
{
	snprintf(ret, TEXT_SIZE, "%s", columns == 1 && values[0] ? values[0] : "");
	return 0;
}

static int
get_number(void *ret, int columns, char **values, char **names UNUSED)
{
	*(int64_t *)ret = columns == 1 && values[0] ? strtoll(values[0], NULL, 10) : -1;
	return 0;
}

static int
prepare(struct store_db *d, struct error *e)
{
	for (unsigned i = 0; i < STATEMENT_MAX; i++)
		if (sqlite3_prepare_v3(d->sql, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &d->statements[i], NULL) !=
		    SQLITE_OK)
			return sqlite3_errcode(d->sql) == SQLITE_ERROR ? damaged(d, sqlite3_errmsg(d->sql), e) :
									 sql_error(d, "read", e);
	return 0;
}

/* The whole schema, word by word: SQLite would also work with one whose types or constraints are damaged. */
static int
check_schema(struct store_db *d, struct error *e)
{
	char found[TEXT_SIZE] = "";

	if (sqlite3_exec(d->sql, "SELECT group_concat(sql, ';') FROM sqlite_schema", get_text, found, NULL) !=
	    SQLITE_OK)
		return sql_error(d, "read", e);
	return strcmp(found, STATE_TABLE ";" RECORD_TABLE) == 0 ? 0 : damaged(d, "its schema is not as nsd made it", e);
}

/* The schema and a first state, in one transaction: another start finds all of it or an empty file. */
static int
create_schema(struct store_db *d, struct error *e)
{
	int r = run(d, "BEGIN IMMEDIATE", "initialise", e);

	if (r == 0)
		r = run(d, schema, "initialise", e);
	if (r == 0)
		r = prepare(d, e);
	if (r == 0)
		r = store_db_set_state(d, &(struct store_state){ .clean = 1 }, e);
	return r == 0 ? run(d, "COMMIT", "initialise", e) : r;
}

/* Refuses another program's database, a newer one, and an empty one where there was one before. */
static int
check_identity(struct store_db *d, bool create, struct error *e)
{
	int64_t application = -1, version = -1, tables = -1;
	int r;

	if (sqlite3_exec(d->sql, "PRAGMA application_id", get_number, &application, NULL) != SQLITE_OK ||
	    sqlite3_exec(d->sql, "PRAGMA user_version", get_number, &version, NULL) != SQLITE_OK ||
	    sqlite3_exec(d->sql, "SELECT count(*) FROM sqlite_schema", get_number, &tables, NULL) != SQLITE_OK)
		return sql_error(d, "read", e);
	if (application == 0 && version == 0 && tables == 0)
		return create ? create_schema(d, e) : damaged(d, "it is empty", e);
	if (application != APPLICATION_ID)
		return damaged(d, "it is no database of nsd", e);
	if (version > STORE_SCHEMA)
		return error_set(e, ERROR_STORE, NULL,
				 "%s was written by a newer nsd (schema %" PRId64
				 ", this one knows %d); install that version",
				 d->path, version, STORE_SCHEMA);
	if (version != STORE_SCHEMA)
		return damaged(d, "it has no valid schema version", e);
	r = check_schema(d, e);
	if (r == 0)
		r = store_db_check(d, e);
	return r == 0 ? prepare(d, e) : r;
}

static int
use_wal(struct store_db *d, struct error *e)
{
	char mode[TEXT_SIZE] = "";

	if (sqlite3_exec(d->sql, "PRAGMA journal_mode = WAL", get_text, mode, NULL) != SQLITE_OK)
		return sql_error(d, "open", e);
	if (strcmp(mode, "wal") != 0)
		return error_set(e, ERROR_STORE, NULL, "%s cannot have a write-ahead log here", d->path);
	return run(d, "PRAGMA synchronous = NORMAL;", "open", e);
}

/*
 * The exclusive locking mode keeps the index of the journal in memory: no shared mapping that a full disk turns into a
 * SIGBUS. A refused file must stay as it is: so nothing is checkpointed on close before everything was checked.
 */
int
store_db_open(const char *path, bool create, struct store_db **ret, struct error *e)
{
	CLEANUP(store_db_drop) struct store_db *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return error_errno(e, ENOMEM, "cannot open %s", path);
	if (sqlite3_open_v2(path, &d->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
		d->path = path;
		return d->sql ? sql_error(d, "open", e) : error_errno(e, ENOMEM, "cannot open %s", path);
	}
	d->path = sqlite3_db_filename(d->sql, "main");
	sqlite3_db_config(d->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	sqlite3_db_config(d->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(d->sql, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	r = run(d, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cell_size_check = ON;", "open", e);
	if (r == 0)
		r = check_identity(d, create, e);
	if (r == 0)
		r = use_wal(d, e);
	if (r == 0)
		*ret = TAKE_PTR(d);
	return r;
}

void
store_db_close(struct store_db *d, bool tidy)
{
	if (!d)
		return;
	for (unsigned i = 0; i < STATEMENT_MAX; i++)
		sqlite3_finalize(d->statements[i]);
	if (d->sql)
		sqlite3_db_config(d->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !tidy, NULL);
	sqlite3_close(d->sql);
	free(d);
}

#define FNV_PRIME UINT64_C(0x100000001b3)
#define FNV_BASIS UINT64_C(0xcbf29ce484222325)

/* FNV-1a; the strings are told apart by their terminators. */
static uint64_t
hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n--)
		hash = (hash ^ *p++) * FNV_PRIME;
	return hash;
}

/* The same on every machine. */
static uint64_t
hash_number(uint64_t hash, int64_t number)
{
	for (unsigned i = 0; i < 8; i++)
		hash = (hash ^ ((uint64_t)number >> (8 * i) & 0xff)) * FNV_PRIME;
	return hash;
}

static uint64_t
hash_record(const char *kind, const char *name, int64_t generation, const char *record)
{
	uint64_t hash = hash_bytes(FNV_BASIS, kind, strlen(kind) + 1);

	hash = hash_bytes(hash, name, strlen(name) + 1);
	hash = hash_number(hash, generation);
	return hash_bytes(hash, record, strlen(record) + 1);
}

int
store_db_check(struct store_db *d, struct error *e)
{
	char found[TEXT_SIZE] = "no answer";

	if (sqlite3_exec(d->sql, "PRAGMA quick_check(1)", get_text, found, NULL) != SQLITE_OK)
		return sql_error(d, "check", e);
	return strcmp(found, "ok") == 0 ? 0 : damaged(d, found, e);
}

/* One row of LOAD; text columns that are not text, or hold a NUL, do not match their hash. */
static int
check_row(const struct store_db *d, sqlite3_stmt *s, uint64_t *hash, struct error *e)
{
	const char *text[4];

	for (int i = 0; i < 4; i++) {
		text[i] = (const char *)sqlite3_column_text(s, i);
		if (!text[i])
			return sqlite3_errcode(d->sql) == SQLITE_NOMEM ? sql_error(d, "read", e) :
									 damaged(d, "a record is incomplete", e);
	}
	*hash = hash_record(text[0], text[1], sqlite3_column_int64(s, 2), text[3]);
	if (*hash == (uint64_t)sqlite3_column_int64(s, 4))
		return 0;
	return damaged(d, "a record is not as it was written", e);
}

int
store_db_load(struct store_db *d, store_record *fn, void *arg, struct error *e)
{
	sqlite3_stmt *s = d->statements[LOAD];
	uint64_t hash;
	int step, r = 0;

	while (r >= 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
		r = check_row(d, s, &hash, e);
		if (r == 0)
			r = fn((const char *)sqlite3_column_text(s, 0), (const char *)sqlite3_column_text(s, 1),
			       sqlite3_column_int64(s, 2), (const char *)sqlite3_column_text(s, 3), arg, e);
	}
	if (r >= 0)
		r = step == SQLITE_DONE ? 0 : sql_error(d, "read", e);
	sqlite3_reset(s);
	return r;
}

static int
add_hash(const char *kind, const char *name, int64_t generation, const char *record, void *arg, struct error *e UNUSED)
{
	*(uint64_t *)arg += hash_record(kind, name, generation, record);
	return 0;
}

int
store_db_digest(struct store_db *d, uint64_t *ret, struct error *e)
{
	uint64_t sum = 0;
	int r = store_db_load(d, add_hash, &sum, e);

	if (r == 0)
		*ret = sum;
	return r;
}

static uint64_t
hash_state(const struct store_state *state)
{
	uint64_t hash = hash_bytes(FNV_BASIS, state->boot, strlen(state->boot) + 1);

	hash = hash_number(hash, state->generation);
	hash = hash_number(hash, state->durable);
	hash = hash_number(hash, (int64_t)state->digest);
	return hash_number(hash, state->clean);
}

static int
check_state(const struct store_db *d, sqlite3_stmt *s, struct store_state *ret, struct error *e)
{
	const char *boot = (const char *)sqlite3_column_text(s, 4);
	struct store_state state = {
		.generation = sqlite3_column_int64(s, 0),
		.durable = sqlite3_column_int64(s, 1),
		.digest = (uint64_t)sqlite3_column_int64(s, 2),
		.clean = sqlite3_column_int(s, 3),
	};

	snprintf(state.boot, sizeof(state.boot), "%s", boot ? boot : "");
	if (hash_state(&state) != (uint64_t)sqlite3_column_int64(s, 5))
		return damaged(d, "its state is not as it was written", e);
	*ret = state;
	return 0;
}

int
store_db_get_state(struct store_db *d, struct store_state *ret, struct error *e)
{
	sqlite3_stmt *s = d->statements[GET_STATE];
	int r;

	switch (sqlite3_step(s)) {
	case SQLITE_ROW:
		r = check_state(d, s, ret, e);
		break;
	case SQLITE_DONE:
		r = damaged(d, "its state is missing", e);
		break;
	default:
		r = sql_error(d, "read", e);
	}
	sqlite3_reset(s);
	return r;
}

/* The mode of syncing cannot be changed within a transaction. */
int
store_db_begin(struct store_db *d, bool durable, struct error *e)
{
	if (durable != d->full) {
		int r = run(d, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", "write", e);

		if (r < 0)
			return r;
		d->full = durable;
	}
	return execute(d, BEGIN, "write", e);
}

/* A bind that fails leaves NULL, and no column takes that. */
static int delete (struct store_db *d, const struct store_op *op, struct error *e)
{
	sqlite3_bind_text(d->statements[DELETE], 1, op->kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(d->statements[DELETE], 2, op->name, -1, SQLITE_STATIC);
	return execute(d, DELETE, "write", e);
}

static int
put(struct store_db *d, const struct store_op *op, uint64_t hash, struct error *e)
{
	sqlite3_stmt *s = d->statements[PUT];

	sqlite3_bind_text(s, 1, op->kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, op->name, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 3, op->generation);
	sqlite3_bind_int64(s, 4, (int64_t)hash);
	sqlite3_bind_text(s, 5, op->record, -1, SQLITE_STATIC);
	return execute(d, PUT, "write", e);
}

int
store_db_change(struct store_db *d, const struct store_op *op, uint64_t *digest, struct error *e)
{
	sqlite3_stmt *s = d->statements[FIND];
	uint64_t old = 0, hash = 0;
	int64_t generation = 0;
	int step, r;

	sqlite3_bind_text(s, 1, op->kind, -1, SQLITE_STATIC);
	sqlite3_bind_text(s, 2, op->name, -1, SQLITE_STATIC);
	step = sqlite3_step(s);
	if (step == SQLITE_ROW) {
		old = (uint64_t)sqlite3_column_int64(s, 0);
		generation = sqlite3_column_int64(s, 1);
	}
	r = step == SQLITE_ROW || step == SQLITE_DONE ? 0 : sql_error(d, "write", e);
	sqlite3_reset(s);
	if (r < 0)
		return r;
	if (op->type == STORE_PUT) {
		hash = hash_record(op->kind, op->name, op->generation, op->record);
		r = put(d, op, hash, e);
	} else if (step == SQLITE_DONE || generation != op->generation) {
		return 0;
	} else {
		r = delete (d, op, e);
	}
	if (r == 0)
		*digest += hash - old;
	return r;
}

int
store_db_set_state(struct store_db *d, const struct store_state *state, struct error *e)
{
	sqlite3_stmt *s = d->statements[SET_STATE];

	sqlite3_bind_int64(s, 1, state->generation);
	sqlite3_bind_int64(s, 2, state->durable);
	sqlite3_bind_int64(s, 3, (int64_t)state->digest);
	sqlite3_bind_int(s, 4, state->clean);
	sqlite3_bind_text(s, 5, state->boot, -1, SQLITE_STATIC);
	sqlite3_bind_int64(s, 6, (int64_t)hash_state(state));
	return execute(d, SET_STATE, "write", e);
}

int
store_db_commit(struct store_db *d, struct error *e)
{
	return execute(d, COMMIT, "write", e);
}

void
store_db_rollback(struct store_db *d)
{
	if (sqlite3_get_autocommit(d->sql) == 0)
		execute(d, ROLLBACK, "write", NULL);
}

int
store_db_checkpoint(struct store_db *d, struct error *e)
{
	int r = sqlite3_wal_checkpoint_v2(d->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

	return r == SQLITE_OK ? 0 : sql_error(d, "write", e);
}
