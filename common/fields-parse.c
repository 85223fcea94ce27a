/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads a JSON object into a struct by its field table.
 *
 * Theory of operation: one function per field type, found by parsers[]. Each names its own field in the error, so that
 * the path grows from the inside out: "mtu", then "ends[1].mtu". Keys that have a field are counted on the way; if the
 * object has more keys than that, one of them is unknown. Whatever was read before an error hangs in the struct by
 * then, and fields_parse() frees it in one place.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>

#include "fields-private.h"
#include "utf8.h"

#define STRING_MAX 4096 /* bytes of a string that has no check */

typedef int field_parser(const struct field *f, struct json_object *value, enum fields_view view, void *at,
			 struct error *e);

static int
wrong_type(struct error *e, const char *field, const char *wanted)
{
	return error_set(e, ERROR_INVALID_PARAMETER, field, "has the wrong type: %s is wanted", wanted);
}

static int
out_of_memory(struct error *e, const struct field *f)
{
	return error_errno(e, ENOMEM, "reading \"%s\"", f->name);
}

/* Replies may hold what no client may ask for: names of foreign objects, long lists. */
static bool
is_trusted(enum fields_view view)
{
	return view == VIEW_OUTPUT;
}

static int
parse_bool(const struct field *f, struct json_object *value, UNUSED enum fields_view view, void *at, struct error *e)
{
	if (!json_object_is_type(value, json_type_boolean))
		return wrong_type(e, f->name, "true or false");
	*(int *)at = json_object_get_boolean(value);
	return 0;
}

static int
parse_int(const struct field *f, struct json_object *value, enum fields_view view, void *at, struct error *e)
{
	if (!json_object_is_type(value, json_type_int))
		return wrong_type(e, f->name, "an integer");

	int64_t number = json_object_get_int64(value);
	bool ranged = f->min != 0 || f->max != 0;
	if (ranged && !is_trusted(view) && (number < f->min || number > f->max))
		return error_set(e, ERROR_INVALID_VALUE, f->name, "must be %" PRId64 " to %" PRId64, f->min, f->max);
	if (number == FIELD_ABSENT_INT)
		return error_set(e, ERROR_INVALID_VALUE, f->name, "is too small");
	*(int64_t *)at = number;
	return 0;
}

/* The index of an enum value; the error does not name the field yet. */
static int
get_enum(const struct type *t, struct json_object *value, int *ret, struct error *e)
{
	if (!json_object_is_type(value, json_type_string))
		return wrong_type(e, NULL, "a string");

	int index = enum_value(t, json_object_get_string(value));
	if (index < 0)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "\"%.64s\" is no %s", json_object_get_string(value),
				 t->name);
	*ret = index;
	return 0;
}

static int
parse_enum(const struct field *f, struct json_object *value, UNUSED enum fields_view view, void *at, struct error *e)
{
	int r = get_enum(f->of, value, at, e);
	if (r < 0)
		error_prefix_field(e, f->name, -1);
	return r;
}

static int
parse_flags(const struct field *f, struct json_object *value, UNUSED enum fields_view view, void *at, struct error *e)
{
	if (!json_object_is_type(value, json_type_array))
		return wrong_type(e, f->name, "an array");

	unsigned flags = 0;
	for (size_t i = 0; i < json_object_array_length(value); i++) {
		int index = 0;
		int r = get_enum(f->of, json_object_array_get_idx(value, i), &index, e);
		if (r == 0 && flags & 1U << index)
			r = error_set(e, ERROR_INVALID_VALUE, NULL, "stands there twice");
		if (r < 0) {
			error_prefix_field(e, f->name, (long)i);
			return r;
		}
		flags |= 1U << index;
	}
	if (flags == 0 && field_nullable(f))
		return error_set(e, ERROR_INVALID_VALUE, f->name, "must not be empty; leave it out for the default");
	*(unsigned *)at = flags;
	return 0;
}

/* Checks one string; the error does not name the field yet. *ret is borrowed from the JSON value. */
static int
get_string(struct json_object *value, field_check *check, enum fields_view view, const char **ret, struct error *e)
{
	if (!json_object_is_type(value, json_type_string))
		return wrong_type(e, NULL, "a string");

	const char *text = json_object_get_string(value);
	size_t length = (size_t)json_object_get_string_len(value);
	if (strlen(text) != length || !utf8_is_valid(text, length))
		return error_set(e, ERROR_INVALID_VALUE, NULL, "is no valid text");
	if (!is_trusted(view) && check) {
		int r = check(text, e);
		if (r < 0)
			return r;
	} else if (!is_trusted(view) && length > STRING_MAX) {
		return error_set(e, ERROR_INVALID_VALUE, NULL, "is longer than %d bytes", STRING_MAX);
	}
	*ret = text;
	return 0;
}

static int
parse_string(const struct field *f, struct json_object *value, enum fields_view view, void *at, struct error *e)
{
	const char *text;
	int r = get_string(value, f->check, view, &text, e);
	if (r < 0) {
		error_prefix_field(e, f->name, -1);
		return r;
	}
	char *copy = strdup(text);
	if (!copy)
		return out_of_memory(e, f);
	*(char **)at = copy;
	return 0;
}

static int
check_count(const struct field *f, size_t n, enum fields_view view, struct error *e)
{
	size_t max = f->max > 0 ? (size_t)f->max : FIELD_MAX_ITEMS;
	if (n <= max || is_trusted(view))
		return 0;
	return error_set(e, ERROR_INVALID_VALUE, f->name, "has %zu entries, more than %zu", n, max);
}

static int
parse_strings(const struct field *f, struct json_object *value, enum fields_view view, void *at, struct error *e)
{
	if (!json_object_is_type(value, json_type_array))
		return wrong_type(e, f->name, "an array");

	struct strings *strings = at;
	size_t n = json_object_array_length(value);
	int r = check_count(f, n, view, e);
	if (r < 0)
		return r;
	strings->set = true;
	for (size_t i = 0; i < n; i++) {
		const char *text;
		r = get_string(json_object_array_get_idx(value, i), f->check, view, &text, e);
		if (r < 0) {
			error_prefix_field(e, f->name, (long)i);
			return r;
		}
		if (strings_add(strings, text) < 0)
			return out_of_memory(e, f);
	}
	return 0;
}

/* One member of an object of strings. The error names the key only where the key itself is good. */
static int
parse_pair(const struct field *f, const char *key, struct json_object *value, enum fields_view view,
	   struct pairs *pairs, struct error *e)
{
	const char *text;
	int r = f->check && !is_trusted(view) ? f->check(key, e) : 0;
	if (r < 0) {
		error_prefix_field(e, f->name, -1);
		return r;
	}
	r = get_string(value, f->check_value, view, &text, e);
	if (r < 0) {
		error_prefix_field(e, key, -1);
		error_prefix_field(e, f->name, -1);
		return r;
	}
	return pairs_set(pairs, key, text) < 0 ? out_of_memory(e, f) : 0;
}

static int
parse_pairs(const struct field *f, struct json_object *value, enum fields_view view, void *at, struct error *e)
{
	if (!json_object_is_type(value, json_type_object))
		return wrong_type(e, f->name, "an object");

	struct pairs *pairs = at;
	int r = check_count(f, (size_t)json_object_object_length(value), view, e);
	if (r < 0)
		return r;
	pairs->set = true;
	struct json_object_iter member;
	json_object_object_foreachC (value, member) {
		r = parse_pair(f, member.key, member.val, view, pairs, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int
parse_list(const struct field *f, struct json_object *value, enum fields_view view, void *at, struct error *e)
{
	if (!json_object_is_type(value, json_type_array))
		return wrong_type(e, f->name, "an array");

	struct list *list = at;
	size_t n = json_object_array_length(value);
	int r = check_count(f, n, view, e);
	if (r < 0)
		return r;
	if (list_make(f->of, list, n) < 0)
		return out_of_memory(e, f);
	for (size_t i = 0; i < n; i++) {
		r = fields_parse(f->of, json_object_array_get_idx(value, i), view, list_at(f->of, list, i), e);
		if (r < 0) {
			error_prefix_field(e, f->name, (long)i);
			return r;
		}
	}
	return 0;
}

static int
parse_struct(const struct field *f, struct json_object *value, enum fields_view view, void *at, struct error *e)
{
	void *s CLEANUP(free_ptr) = malloc(f->of->size);
	if (!s)
		return out_of_memory(e, f);
	int r = fields_parse(f->of, value, view, s, e);
	if (r < 0) {
		error_prefix_field(e, f->name, -1);
		return r;
	}
	*(void **)at = TAKE_PTR(s);
	return 0;
}

static int
parse_object(const struct field *f, struct json_object *value, UNUSED enum fields_view view, void *at, struct error *e)
{
	if (!json_object_is_type(value, json_type_object))
		return wrong_type(e, f->name, "an object");
	*(struct json_object **)at = json_object_get(value);
	return 0;
}

static field_parser *const parsers[] = {
	[FIELD_BOOL] = parse_bool,     [FIELD_INT] = parse_int,	      [FIELD_ENUM] = parse_enum,
	[FIELD_FLAGS] = parse_flags,   [FIELD_STRING] = parse_string, [FIELD_STRINGS] = parse_strings,
	[FIELD_PAIRS] = parse_pairs,   [FIELD_LIST] = parse_list,     [FIELD_STRUCT] = parse_struct,
	[FIELD_OBJECT] = parse_object,
};

/* Reads all fields of `t`; adds to *known the number of keys in `o` that are fields. */
static int
parse_fields(const struct type *t, struct json_object *o, enum fields_view view, void *s, int *known, struct error *e)
{
	for (const struct field *f = t->fields; f->name; f++) {
		struct json_object *value = NULL;
		int r = 0;
		if (!field_visible(f, view))
			continue;
		if (f->type == FIELD_EMBED)
			r = parse_fields(f->of, o, view, field_at(f, s), known, e);
		else if (json_object_object_get_ex(o, f->name, &value))
			++*known;

		if (value)
			r = parsers[f->type](f, value, view, field_at(f, s), e);
		else if (f->type != FIELD_EMBED && !field_nullable(f))
			r = error_set(e, ERROR_INVALID_PARAMETER, f->name, "is missing");
		if (r < 0)
			return r;
	}
	return 0;
}

static bool
has_field(const struct type *t, const char *key, enum fields_view view)
{
	for (const struct field *f = t->fields; f->name; f++) {
		if (!field_visible(f, view))
			continue;
		if (f->type == FIELD_EMBED ? has_field(f->of, key, view) : strcmp(f->name, key) == 0)
			return true;
	}
	return false;
}

static int
refuse_unknown(const struct type *t, struct json_object *o, enum fields_view view, struct error *e)
{
	struct json_object_iter member;
	json_object_object_foreachC (o, member)
		if (!has_field(t, member.key, view))
			return error_set(e, ERROR_INVALID_PARAMETER, member.key, "is unknown");
	return 0;
}

int
fields_parse(const struct type *t, struct json_object *o, enum fields_view view, void *s, struct error *e)
{
	int known = 0;
	fields_init(t, s);
	if (!json_object_is_type(o, json_type_object))
		return wrong_type(e, NULL, "an object");

	int r = parse_fields(t, o, view, s, &known, e);
	if (r == 0 && view == VIEW_INPUT && known < json_object_object_length(o))
		r = refuse_unknown(t, o, view, e);
	if (r < 0)
		fields_done(t, s);
	return r;
}
