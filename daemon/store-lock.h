/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lock file of a state directory: keeps a second nsd out, and says, outside the database, what must be in it. */
#pragma once

#include <stdint.h>

#include "error.h"

#define STORE_BOOT_SIZE 37 /* of a boot id, with its terminator */

struct store_marks {
	char boot[STORE_BOOT_SIZE]; /* boot of the last writer; "" if there was none */
	int64_t durable;	/* count of durable commits that are in the database at least; 0: none was ever made */
	uint64_t before, after; /* digest of all records before and after the last commit begun in that boot */
};

/* Opens (making it if there is none) and locks "lock" in the directory; ERROR_ALREADY_EXISTS with the holder's pid if
 * another process has it. The lock lasts until *ret_fd is closed. */
int store_lock(int directory, const char *path, int *ret_fd, struct store_marks *ret, struct error *e);

/* Writes the marks, with the caller's pid; survives the end of the process. */
int store_lock_write(int fd, const struct store_marks *m, struct error *e);
