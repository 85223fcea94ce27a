/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes a struct as a JSON object by its field table. Keys are the table's own strings and never come twice, which
 * spares json-c a copy and a look-up for each: lists of thousands of objects pass here. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>

#include "fields-private.h"
#include "json.h"

static struct json_object *print_object(const struct type *t, const void *s, enum fields_view view);

/* Puts `item` (taken) at the end; false if it is NULL or there is no room. */
static bool
append(struct json_object *array, struct json_object *item)
{
	if (item && json_object_array_add(array, item) == 0)
		return true;
	json_object_put(item);
	return false;
}

static struct json_object *
print_flags(const struct type *t, unsigned flags)
{
	struct json_object *array CLEANUP(json_put) = json_object_new_array();
	if (!array)
		return NULL;
	for (int i = 0; t->values[i]; i++)
		if (flags & 1U << i && !append(array, json_object_new_string(t->values[i])))
			return NULL;
	return TAKE_PTR(array);
}

static struct json_object *
print_strings(const struct strings *s)
{
	struct json_object *array CLEANUP(json_put) = json_object_new_array_ext((int)s->n);
	if (!array)
		return NULL;
	for (size_t i = 0; i < s->n; i++)
		if (!append(array, json_string(s->v[i])))
			return NULL;
	return TAKE_PTR(array);
}

/* The keys are not constant here: json-c copies them. */
static struct json_object *
print_pairs(const struct pairs *p)
{
	struct json_object *o CLEANUP(json_put) = json_object_new_object();
	if (!o)
		return NULL;
	for (size_t i = 0; i < p->n; i++) {
		struct json_object *value = json_string(p->v[i].value);
		if (!value || json_object_object_add_ex(o, p->v[i].key, value, JSON_C_OBJECT_ADD_KEY_IS_NEW) < 0) {
			json_object_put(value);
			return NULL;
		}
	}
	return TAKE_PTR(o);
}

static struct json_object *
print_list(const struct type *t, const struct list *l, enum fields_view view)
{
	struct json_object *array CLEANUP(json_put) = json_object_new_array_ext((int)l->n);
	if (!array)
		return NULL;
	for (size_t i = 0; i < l->n; i++)
		if (!append(array, print_object(t, list_at(t, l, i), view)))
			return NULL;
	return TAKE_PTR(array);
}

/* A value that is there, whatever its type; NULL when out of memory. */
static struct json_object *
print_value(const struct field *f, const void *at, enum fields_view view)
{
	switch (f->type) {
	case FIELD_BOOL:
		return json_object_new_boolean(*(const int *)at);
	case FIELD_INT:
		return json_object_new_int64(*(const int64_t *)at);
	case FIELD_ENUM:
		return json_object_new_string(enum_name(f->of, *(const int *)at));
	case FIELD_FLAGS:
		return print_flags(f->of, *(const unsigned *)at);
	case FIELD_STRING:
		return json_string(*(char *const *)at);
	case FIELD_STRINGS:
		return print_strings(at);
	case FIELD_PAIRS:
		return print_pairs(at);
	case FIELD_LIST:
		return print_list(f->of, at, view);
	case FIELD_STRUCT:
		return print_object(f->of, *(void *const *)at, view);
	case FIELD_OBJECT:
		return json_object_get(*(struct json_object *const *)at);
	case FIELD_EMBED:
		break; /* has no value of its own */
	}
	return NULL;
}

/* An array or object that must be there is written as an empty one when nobody set it. */
static bool
is_left_out(const struct field *f, const void *at)
{
	bool container = f->type == FIELD_FLAGS || f->type == FIELD_STRINGS || f->type == FIELD_PAIRS ||
			 f->type == FIELD_LIST;
	return field_absent(f, at) && (field_nullable(f) || !container);
}

static int
print_fields(const struct type *t, const void *s, enum fields_view view, struct json_object *o)
{
	for (const struct field *f = t->fields; f->name; f++) {
		const void *at = field_in(f, s);
		if (!field_visible(f, view) || is_left_out(f, at))
			continue;
		int r = f->type == FIELD_EMBED ? print_fields(f->of, at, view, o)
					       : json_add(o, f->name, print_value(f, at, view));
		if (r < 0)
			return r;
	}
	return 0;
}

static struct json_object *
print_object(const struct type *t, const void *s, enum fields_view view)
{
	struct json_object *o CLEANUP(json_put) = json_object_new_object();
	if (!o || print_fields(t, s, view, o) < 0)
		return NULL;
	return TAKE_PTR(o);
}

int
fields_print(const struct type *t, const void *s, enum fields_view view, struct json_object **ret, struct error *e)
{
	struct json_object *o = print_object(t, s, view);
	if (!o)
		return error_errno(e, ENOMEM, "writing a %s", t->name);
	*ret = o;
	return 0;
}
