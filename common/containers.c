/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The containers that fields may be: strings and sorted pairs of strings. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "fields.h"

/* Arrays grow at powers of two, so that they need no capacity beside their length. */
static void *
room_for_one_more(void *v, size_t n, size_t size)
{
	if (v && (n & (n - 1)) != 0)
		return v;
	return realloc(v, (n ? n * 2 : 1) * size);
}

int
strings_add(struct strings *s, const char *text)
{
	char *copy CLEANUP(free_ptr) = strdup(text);
	char **v = copy ? room_for_one_more(s->v, s->n, sizeof(*s->v)) : NULL;
	if (!v)
		return -ENOMEM;
	s->v = v;
	s->v[s->n++] = TAKE_PTR(copy);
	s->set = true;
	return 0;
}

bool
strings_contain(const struct strings *s, const char *text)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->v[i], text) == 0)
			return true;
	return false;
}

void
strings_done(struct strings *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
	*s = (struct strings){ 0 };
}

/* Index of the first pair whose key is not below `key`. */
static size_t
lower_bound(const struct pairs *p, const char *key)
{
	size_t low = 0, high = p->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (strcmp(p->v[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
is_at(const struct pairs *p, size_t i, const char *key)
{
	return i < p->n && strcmp(p->v[i].key, key) == 0;
}

int
pairs_set(struct pairs *p, const char *key, const char *value)
{
	size_t i = lower_bound(p, key);
	char *new_value CLEANUP(free_ptr) = strdup(value);
	if (!new_value)
		return -ENOMEM;
	if (is_at(p, i, key)) {
		free(p->v[i].value);
		p->v[i].value = TAKE_PTR(new_value);
		return 0;
	}

	char *new_key CLEANUP(free_ptr) = strdup(key);
	struct pair *v = new_key ? room_for_one_more(p->v, p->n, sizeof(*p->v)) : NULL;
	if (!v)
		return -ENOMEM;
	p->v = v;
	memmove(v + i + 1, v + i, (p->n - i) * sizeof(*v));
	v[i] = (struct pair){ TAKE_PTR(new_key), TAKE_PTR(new_value) };
	p->n++;
	p->set = true;
	return 0;
}

const char *
pairs_get(const struct pairs *p, const char *key)
{
	size_t i = lower_bound(p, key);
	return is_at(p, i, key) ? p->v[i].value : NULL;
}

void
pairs_done(struct pairs *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->v[i].key);
		free(p->v[i].value);
	}
	free(p->v);
	*p = (struct pairs){ 0 };
}
