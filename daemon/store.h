/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nsd remembers: one SQLite database (WAL) in the state directory. Knows text records, nothing of the kernel.
 * All functions may be called from any thread; concurrent commits are grouped into one transaction (the first caller
 * commits for all that queue behind it).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define STORE_SCHEMA 1

struct store;

/* Opens STATE/nsd.db, made with mode 0600 if there never was one; STATE is made with 0700. Takes an exclusive flock on
 * STATE/lock for the life of the store: ERROR_ALREADY_EXISTS with the holder's pid when another nsd has it. Refuses a
 * newer schema, a damaged file (quick_check, and a hash of every record), a missing database beside a STATE/lock that says
 * one was made, and one that lacks what STATE/lock says was committed: ERROR_STORE with what to do; never starts from an
 * empty store if a store was there. `boot` is this boot's id. */
int store_open(const char *directory, const char *boot, struct store **ret, struct error *e);

/* Marks a clean shutdown, checkpoints and closes. */
void store_close(struct store *s);

/* Was the last stop clean, and was it in this boot? A new store says yes to both. */
bool store_was_clean(const struct store *s);
bool store_same_boot(const struct store *s);

/* The next generation: grows for ever, over restarts, reboots and, as far as the clock allows, restored backups (starts
 * at max(recorded high-water mark, seconds since 1970 << 20); a block is reserved and synced ahead, so that taking one
 * is free; only when it is used up does this wait for the disk). Fits 53 bits. */
int store_generation(struct store *s, int64_t *ret, struct error *e);

/* Is less than half of a block left? Then a thread that may wait for the disk should call store_reserve(), which
 * reserves one more unless another thread did. False while the store refuses changes. */
bool store_generation_low(struct store *s);
int store_reserve(struct store *s, struct error *e);

enum store_op_type { STORE_PUT, STORE_DELETE };

/* One change to one record. kind: "namespace", "link". All strings are borrowed during the call. */
struct store_op {
	enum store_op_type type;
	const char *kind;
	const char *name;
	int64_t generation;
	const char *record; /* PUT: JSON text */
};

/* All or nothing. When it returns 0 the change survives kill -9; with `durable` also a power cut (synchronous=FULL for
 * this commit). After an error from fsync or a full disk nothing was changed and the store refuses further writes with
 * ERROR_STORE until store_retry() finds it writable; reads of memory go on in the layers above. DELETE of a record with
 * another generation does nothing. */
int store_apply(struct store *s, const struct store_op *ops, unsigned n, bool durable, struct error *e);

/* Is it taking changes, as far as the last one told? */
bool store_is_writable(struct store *s);

/* Tries the disk again after a failure; 0 when writes are possible. */
int store_retry(struct store *s, struct error *e);

/* Every record, in no order; a negative return of `fn` ends the walk and is returned. */
typedef int store_record(const char *kind, const char *name, int64_t generation, const char *record, void *arg,
			 struct error *e);
int store_load(struct store *s, store_record *fn, void *arg, struct error *e);
