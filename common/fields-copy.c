/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Deep copies of structs that a field table describes. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "fields-private.h"

static int copy_fields(const struct type *t, const void *from, void *to);

static int
copy_string(const char *from, char **to)
{
	if (!from)
		return 0;
	*to = strdup(from);
	return *to ? 0 : -ENOMEM;
}

static int
copy_strings(const struct strings *from, struct strings *to)
{
	to->set = from->set;
	for (size_t i = 0; i < from->n; i++)
		if (strings_add(to, from->v[i]) < 0)
			return -ENOMEM;
	return 0;
}

static int
copy_pairs(const struct pairs *from, struct pairs *to)
{
	to->set = from->set;
	for (size_t i = 0; i < from->n; i++)
		if (pairs_set(to, from->v[i].key, from->v[i].value) < 0)
			return -ENOMEM;
	return 0;
}

static int
copy_list(const struct type *t, const struct list *from, struct list *to)
{
	if (list_make(t, to, from->n) < 0)
		return -ENOMEM;
	to->set = from->set;
	for (size_t i = 0; i < from->n; i++)
		if (copy_fields(t, list_at(t, from, i), list_at(t, to, i)) < 0)
			return -ENOMEM;
	return 0;
}

static int
copy_struct(const struct type *t, const void *from, void **to)
{
	if (!from)
		return 0;
	void *s = malloc(t->size);
	if (!s)
		return -ENOMEM;
	fields_init(t, s);
	*to = s;
	return copy_fields(t, from, s);
}

/* Not shared: json-c counts references without locks. */
static int
copy_object(struct json_object *from, struct json_object **to)
{
	if (!from)
		return 0;
	return json_object_deep_copy(from, to, NULL) < 0 ? -ENOMEM : 0;
}

static int
copy_field(const struct field *f, const void *from, void *to)
{
	switch (f->type) {
	case FIELD_BOOL:
	case FIELD_ENUM:
		*(int *)to = *(const int *)from;
		break;
	case FIELD_INT:
		*(int64_t *)to = *(const int64_t *)from;
		break;
	case FIELD_FLAGS:
		*(unsigned *)to = *(const unsigned *)from;
		break;
	case FIELD_STRING:
		return copy_string(*(char *const *)from, to);
	case FIELD_STRINGS:
		return copy_strings(from, to);
	case FIELD_PAIRS:
		return copy_pairs(from, to);
	case FIELD_LIST:
		return copy_list(f->of, from, to);
	case FIELD_STRUCT:
		return copy_struct(f->of, *(void *const *)from, to);
	case FIELD_OBJECT:
		return copy_object(*(struct json_object *const *)from, to);
	case FIELD_EMBED:
		return copy_fields(f->of, from, to);
	}
	return 0;
}

/* `to` is initialised; after a failure it holds what was copied until then. */
static int
copy_fields(const struct type *t, const void *from, void *to)
{
	for (const struct field *f = t->fields; f->name; f++)
		if (copy_field(f, field_in(f, from), field_at(f, to)) < 0)
			return -ENOMEM;
	return 0;
}

int
fields_copy(const struct type *t, const void *from, void *to, struct error *e)
{
	fields_init(t, to);
	if (copy_fields(t, from, to) == 0)
		return 0;
	fields_done(t, to);
	return error_errno(e, ENOMEM, "copying a %s", t->name);
}
