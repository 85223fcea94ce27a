/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON objects as nsc builds and reads them. */
#include "config.h"

#include "member.h"

#include <json-c/json.h>

#include "failure.h"

struct json_object *
member_get(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	return o && json_object_is_type(o, json_type_object) && json_object_object_get_ex(o, key, &value) ? value :
													    NULL;
}

bool
member_has(struct json_object *o, const char *key)
{
	return member_get(o, key) != NULL;
}

const char *
member_text(struct json_object *value)
{
	const char *text = value ? json_object_get_string(value) : NULL;

	return text ? text : "";
}

const char *
member_string(struct json_object *o, const char *key)
{
	struct json_object *value = member_get(o, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

int64_t
member_int(struct json_object *o, const char *key, int64_t absent)
{
	struct json_object *value = member_get(o, key);

	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : absent;
}

bool
member_bool(struct json_object *o, const char *key)
{
	struct json_object *value = member_get(o, key);

	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

size_t
member_count(struct json_object *o, const char *key)
{
	struct json_object *value = member_get(o, key);

	return json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;
}

struct json_object *
member_item(struct json_object *o, const char *key, size_t i)
{
	return i < member_count(o, key) ? json_object_array_get_idx(member_get(o, key), i) : NULL;
}

int
member_put(struct json_object *o, const char *key, struct json_object *value, struct error *e)
{
	if (!value || json_object_object_add(o, key, value) < 0) {
		json_object_put(value);
		return fail_memory(e);
	}
	return 0;
}

int
member_put_string(struct json_object *o, const char *key, const char *value, struct error *e)
{
	return member_put(o, key, json_object_new_string(value), e);
}

int
member_put_int(struct json_object *o, const char *key, int64_t value, struct error *e)
{
	return member_put(o, key, json_object_new_int64(value), e);
}

int
member_put_bool(struct json_object *o, const char *key, bool value, struct error *e)
{
	return member_put(o, key, json_object_new_boolean(value), e);
}

int
member_append(struct json_object *array, struct json_object *value, struct error *e)
{
	if (!value || json_object_array_add(array, value) < 0) {
		json_object_put(value);
		return fail_memory(e);
	}
	return 0;
}

int
member_new(struct json_object **ret, struct error *e)
{
	struct json_object *o = json_object_new_object();

	if (!o)
		return fail_memory(e);
	*ret = o;
	return 0;
}

int
member_open(struct json_object *o, const char *key, bool array, struct json_object **ret, struct error *e)
{
	struct json_object *there = member_get(o, key);
	int r = there ? 0 : member_put(o, key, array ? json_object_new_array() : json_object_new_object(), e);

	if (r == 0)
		*ret = member_get(o, key);
	return r;
}
