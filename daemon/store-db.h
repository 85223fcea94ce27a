/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The database of the store: its schema, its statements and the checks of what is in it. For one thread at a time. */
#pragma once

#include "store-lock.h"
#include "store.h"

struct store_db;

/* The one row beside the records; written by durable commits only. */
struct store_state {
	int64_t generation; /* no generation from here on was ever given out */
	int64_t durable;    /* counts the durable commits */
	uint64_t digest;    /* sum of the hashes of all records, at the last durable commit */
	int clean;	    /* that commit was the last before a clean stop */
	char boot[STORE_BOOT_SIZE];
};

/* Opens the database and refuses what is damaged, newer or not nsd's. `create`: an empty file becomes a new database;
 * without it an empty file is damage. */
int store_db_open(const char *path, bool create, struct store_db **ret, struct error *e);

/* Closes it. `tidy`: moves the journal into the database first. NULL is fine. */
void store_db_close(struct store_db *d, bool tidy);

/* The digest of all records; each is checked against its own hash. */
int store_db_digest(struct store_db *d, uint64_t *ret, struct error *e);

/* The structure of the file (quick_check). */
int store_db_check(struct store_db *d, struct error *e);

int store_db_get_state(struct store_db *d, struct store_state *ret, struct error *e);

/* A transaction: begin, changes and perhaps the state, commit or roll back. The changes update *digest. */
int store_db_begin(struct store_db *d, bool durable, struct error *e);
int store_db_change(struct store_db *d, const struct store_op *op, uint64_t *digest, struct error *e);
int store_db_set_state(struct store_db *d, const struct store_state *state, struct error *e);
int store_db_commit(struct store_db *d, struct error *e);
void store_db_rollback(struct store_db *d);

/* Moves the whole journal into the database and syncs it. */
int store_db_checkpoint(struct store_db *d, struct error *e);

/* See store_load(). */
int store_db_load(struct store_db *d, store_record *fn, void *arg, struct error *e);
