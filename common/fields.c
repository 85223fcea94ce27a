/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The life of a struct that a field table describes: initialising and freeing, absence, names of enum values, and the
 * text form of the whole. */
#include "config.h"

#include "fields.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "fields-private.h"
#include "json.h"

static void
init_field(const struct field *f, void *at)
{
	switch (f->type) {
	case FIELD_BOOL:
		*(int *)at = FIELD_ABSENT_BOOL;
		break;
	case FIELD_INT:
		*(int64_t *)at = FIELD_ABSENT_INT;
		break;
	case FIELD_ENUM:
		*(int *)at = FIELD_ABSENT_ENUM;
		break;
	case FIELD_EMBED:
		fields_init(f->of, at);
		break;
	case FIELD_FLAGS:
	case FIELD_STRING:
	case FIELD_STRINGS:
	case FIELD_PAIRS:
	case FIELD_LIST:
	case FIELD_STRUCT:
	case FIELD_OBJECT:
		break; /* zero means absent */
	}
}

void
fields_init(const struct type *t, void *s)
{
	memset(s, 0, t->size);
	for (const struct field *f = t->fields; f->name; f++)
		init_field(f, field_at(f, s));
}

static void
list_done(const struct type *t, struct list *l)
{
	for (size_t i = 0; i < l->n; i++)
		fields_done(t, list_at(t, l, i));
	free(l->v);
}

static void
struct_done(const struct type *t, void *s)
{
	if (s)
		fields_done(t, s);
	free(s);
}

static void
done_field(const struct field *f, void *at)
{
	switch (f->type) {
	case FIELD_BOOL:
	case FIELD_INT:
	case FIELD_ENUM:
	case FIELD_FLAGS:
		break;
	case FIELD_STRING:
		free(*(char **)at);
		break;
	case FIELD_STRINGS:
		strings_done(at);
		break;
	case FIELD_PAIRS:
		pairs_done(at);
		break;
	case FIELD_LIST:
		list_done(f->of, at);
		break;
	case FIELD_STRUCT:
		struct_done(f->of, *(void **)at);
		break;
	case FIELD_OBJECT:
		json_object_put(*(struct json_object **)at);
		break;
	case FIELD_EMBED:
		fields_done(f->of, at);
		break;
	}
}

void
fields_done(const struct type *t, void *s)
{
	for (const struct field *f = t->fields; f->name; f++)
		done_field(f, field_at(f, s));
	fields_init(t, s);
}

bool
field_absent(const struct field *f, const void *at)
{
	switch (f->type) {
	case FIELD_BOOL:
		return *(const int *)at == FIELD_ABSENT_BOOL;
	case FIELD_INT:
		return *(const int64_t *)at == FIELD_ABSENT_INT;
	case FIELD_ENUM:
		return *(const int *)at == FIELD_ABSENT_ENUM;
	case FIELD_FLAGS:
		return *(const unsigned *)at == 0;
	case FIELD_STRING:
	case FIELD_STRUCT:
	case FIELD_OBJECT:
		return *(void *const *)at == NULL;
	case FIELD_STRINGS:
		return !((const struct strings *)at)->set;
	case FIELD_PAIRS:
		return !((const struct pairs *)at)->set;
	case FIELD_LIST:
		return !((const struct list *)at)->set;
	case FIELD_EMBED:
		break;
	}
	return false;
}

int
list_make(const struct type *t, struct list *l, size_t n)
{
	void *v = NULL;
	if (n > 0) {
		v = calloc(n, t->size);
		if (!v)
			return -ENOMEM;
	}
	*l = (struct list){ .v = v, .n = n, .set = true };
	for (size_t i = 0; i < n; i++)
		fields_init(t, list_at(t, l, i));
	return 0;
}

const char *
enum_name(const struct type *t, int value)
{
	if (value < 0)
		return "";
	for (int i = 0; t->values[i]; i++)
		if (i == value)
			return t->values[i];
	return "";
}

int
enum_value(const struct type *t, const char *name)
{
	for (int i = 0; t->values[i]; i++)
		if (strcmp(t->values[i], name) == 0)
			return i;
	return -1;
}

int
fields_from_text(const struct type *t, const char *text, enum fields_view view, void *s, struct error *e)
{
	struct json_object *o CLEANUP(json_put) = NULL;
	int r = json_parse(text, strlen(text), &o, e);
	if (r < 0) {
		fields_init(t, s);
		return r;
	}
	return fields_parse(t, o, view, s, e);
}
