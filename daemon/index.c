/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A sorted array of pointers. Inserting moves memory, which at 10,000 items costs about as much as one malloc(). */
#include "config.h"

#include "index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t
index_position(const struct index *x, const void *key, int *found)
{
	size_t low = 0, high = x->n;

	*found = 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = x->compare(key, x->v[middle]);
		if (c == 0) {
			*found = 1;
			return middle;
		}
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void *
index_find(const struct index *x, const void *key)
{
	int found;
	size_t i = index_position(x, key, &found);
	return found ? x->v[i] : NULL;
}

int
index_reserve(struct index *x)
{
	if (x->n < x->size)
		return 0;
	size_t size = x->size ? x->size * 2 : 64;
	void **v = reallocarray(x->v, size, sizeof(*v));
	if (!v)
		return -ENOMEM;
	x->v = v;
	x->size = size;
	return 0;
}

int
index_add(struct index *x, const void *key, void *item)
{
	int found;
	size_t i = index_position(x, key, &found);

	if (found)
		return -EEXIST;
	if (index_reserve(x) < 0)
		return -ENOMEM;
	memmove(x->v + i + 1, x->v + i, (x->n - i) * sizeof(*x->v));
	x->v[i] = item;
	x->n++;
	return 0;
}

void *
index_remove(struct index *x, const void *key)
{
	int found;
	size_t i = index_position(x, key, &found);

	if (!found)
		return NULL;
	void *item = x->v[i];
	x->n--;
	memmove(x->v + i, x->v + i + 1, (x->n - i) * sizeof(*x->v));
	return item;
}

void
index_done(struct index *x)
{
	free(x->v);
	x->v = NULL;
	x->n = x->size = 0;
}
