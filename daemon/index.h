/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sorted array of pointers: look-up by key in O(log n), walks in order that survive changes between steps. */
#pragma once

#include <stddef.h>

struct index {
	void **v;
	size_t n, size;
	int (*compare)(const void *key, const void *item); /* <0, 0, >0 as strcmp(key, key of item) */
};

/* Where `key` is, or the place it would be inserted; *found tells which. */
size_t index_position(const struct index *x, const void *key, int *found);

void *index_find(const struct index *x, const void *key);

/* `item` under `key`, which must not be there yet. -EEXIST, -ENOMEM. */
int index_add(struct index *x, const void *key, void *item);

/* Takes `key` out; returns its item or NULL. */
void *index_remove(struct index *x, const void *key);

/* Makes room for one more, so that the next index_add() cannot fail for lack of memory. */
int index_reserve(struct index *x);

void index_done(struct index *x); /* items stay the caller's */
