/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Compares what a specification asks for with what there is. */
#include "config.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "fields-private.h"

static bool match_fields(const struct type *t, const void *want, const void *have, struct error *where);

/* The difference is in `parent`, or in something under it that `where` names already. */
static bool
differs(struct error *where, const char *parent, long index)
{
	error_prefix_field(where, parent, index);
	return false;
}

static bool
match_strings(const char *name, const struct strings *want, const struct strings *have, struct error *where)
{
	if (want->n != have->n)
		return differs(where, name, -1);
	for (size_t i = 0; i < want->n; i++)
		if (strcmp(want->v[i], have->v[i]) != 0)
			return differs(where, name, (long)i);
	return true;
}

/* Both are sorted: at the first difference the lower key is missing on the other side, or the values differ. */
static bool
match_pairs(const char *name, const struct pairs *want, const struct pairs *have, struct error *where)
{
	for (size_t i = 0; i < want->n || i < have->n; i++) {
		const struct pair *w = i < want->n ? &want->v[i] : NULL;
		const struct pair *h = i < have->n ? &have->v[i] : NULL;
		int order = !h ? -1 : !w ? 1 : strcmp(w->key, h->key);
		if (order == 0 && strcmp(w->value, h->value) == 0)
			continue;
		differs(where, order <= 0 ? w->key : h->key, -1);
		return differs(where, name, -1);
	}
	return true;
}

static bool
match_list(const struct field *f, const struct list *want, const struct list *have, struct error *where)
{
	if (want->n != have->n)
		return differs(where, f->name, -1);
	for (size_t i = 0; i < want->n; i++)
		if (!match_fields(f->of, list_at(f->of, want, i), list_at(f->of, have, i), where))
			return differs(where, f->name, (long)i);
	return true;
}

static bool
match_struct(const struct field *f, const void *want, const void *have, struct error *where)
{
	if (!have || !match_fields(f->of, want, have, where))
		return differs(where, f->name, -1);
	return true;
}

static bool
match_scalar(const struct field *f, const void *want, const void *have)
{
	switch (f->type) {
	case FIELD_BOOL:
	case FIELD_ENUM:
		return *(const int *)want == *(const int *)have;
	case FIELD_INT:
		return *(const int64_t *)want == *(const int64_t *)have;
	case FIELD_FLAGS:
		return *(const unsigned *)want == *(const unsigned *)have;
	case FIELD_STRING: {
		const char *text = *(char *const *)have;
		return text && strcmp(*(char *const *)want, text) == 0;
	}
	case FIELD_OBJECT:
		return json_object_equal(*(struct json_object *const *)want, *(struct json_object *const *)have);
	case FIELD_STRINGS:
	case FIELD_PAIRS:
	case FIELD_LIST:
	case FIELD_STRUCT:
	case FIELD_EMBED:
		break;
	}
	return false;
}

static bool
match_field(const struct field *f, const void *want, const void *have, struct error *where)
{
	switch (f->type) {
	case FIELD_STRINGS:
		return match_strings(f->name, want, have, where);
	case FIELD_PAIRS:
		return match_pairs(f->name, want, have, where);
	case FIELD_LIST:
		return match_list(f, want, have, where);
	case FIELD_STRUCT:
		return match_struct(f, *(void *const *)want, *(void *const *)have, where);
	case FIELD_EMBED:
		return match_fields(f->of, want, have, where);
	case FIELD_BOOL:
	case FIELD_ENUM:
	case FIELD_INT:
	case FIELD_FLAGS:
	case FIELD_STRING:
	case FIELD_OBJECT:
		break;
	}
	return match_scalar(f, want, have) || differs(where, f->name, -1);
}

static bool
match_fields(const struct type *t, const void *want, const void *have, struct error *where)
{
	for (const struct field *f = t->fields; f->name; f++) {
		if (!field_visible(f, VIEW_INPUT) || f->flags & FIELD_IDENTITY || field_absent(f, field_in(f, want)))
			continue;
		if (!match_field(f, field_in(f, want), field_in(f, have), where))
			return false;
	}
	return true;
}

bool
fields_match(const struct type *t, const void *want, const void *have, char *path, size_t size)
{
	struct error where = { 0 };
	if (match_fields(t, want, have, &where))
		return true;
	snprintf(path, size, "%s", where.field);
	return false;
}
