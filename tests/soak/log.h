/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writing records (record.h): one file per client, shared with its children. */
#pragma once

#include "record.h"

struct log;

/* Makes FILE. Dies when it cannot: a soak without a log is worth nothing. */
struct log *log_create(const char *file, uint64_t capacity);
void log_free(struct log *l);

/* A new record of this kind, asked now. */
struct record *log_add(struct log *l, enum record_kind kind);

/* The answer to it is in the record: from now on it counts. */
void record_answered(struct record *r, enum record_outcome outcome, uint64_t at);
