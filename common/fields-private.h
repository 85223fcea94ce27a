/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the field engine share. */
#pragma once

#include "fields.h"

/* Where the value of `f` lies in the struct `s`. */
static inline void *
field_at(const struct field *f, void *s)
{
	return (char *)s + f->offset;
}

static inline const void *
field_in(const struct field *f, const void *s)
{
	return (const char *)s + f->offset;
}

/* Element `i` of a list of `t`. */
static inline void *
list_at(const struct type *t, const struct list *l, size_t i)
{
	return (char *)l->v + i * t->size;
}

static inline bool
field_visible(const struct field *f, enum fields_view view)
{
	if (view == VIEW_INPUT)
		return !(f->flags & (FIELD_STATE | FIELD_RECORD));
	return view == VIEW_RECORD || !(f->flags & FIELD_RECORD);
}

static inline bool
field_nullable(const struct field *f)
{
	return f->flags & FIELD_NULLABLE;
}

/* Is the value at `at` absent? An empty, but set, container is not. FIELD_EMBED never is. */
bool field_absent(const struct field *f, const void *at);

/* Room for `n` structs of `t`, each initialised; sets l->n and l->set. -ENOMEM. */
int list_make(const struct type *t, struct list *l, size_t n);
