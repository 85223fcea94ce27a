/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strict JSON to json-c objects and back. The words are checked by json-scan.c, their order by json-c, and what only
 * the finished tree shows (a key twice, a number too large for a double) by a walk over it. */
#include "config.h"

#include "json.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "json-scan.h"
#include "utf8.h"

static int
refuse(struct error *e, const char *what)
{
	return error_set(e, ERROR_INVALID_VALUE, NULL, "no valid JSON: %s", what);
}

static int
out_of_memory(struct error *e)
{
	return error_errno(e, ENOMEM, "reading JSON");
}

static void
free_tokener(struct json_tokener **tokener)
{
	if (*tokener)
		json_tokener_free(*tokener);
}

/* Adds up the members of all objects in `o`; false if there is a number that no double can hold. */
static bool
walk(struct json_object *o, size_t *members)
{
	struct json_object_iter member;
	switch (json_object_get_type(o)) {
	case json_type_double:
		return isfinite(json_object_get_double(o));
	case json_type_array:
		for (size_t i = 0; i < json_object_array_length(o); i++)
			if (!walk(json_object_array_get_idx(o, i), members))
				return false;
		return true;
	case json_type_object:
		*members += (size_t)json_object_object_length(o);
		json_object_object_foreachC (o, member)
			if (!walk(member.val, members))
				return false;
		return true;
	case json_type_null:
	case json_type_boolean:
	case json_type_int:
	case json_type_string:
		break;
	}
	return true;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The tree of a text whose words are known to be good and that begins with '{': if json-c has nothing against it and yet
 * gives no object, or not of the whole text, then it had no memory. */
static int
parse_words(const char *text, size_t length, struct json_object **ret, struct error *e)
{
	struct json_tokener *tokener CLEANUP(free_tokener) = json_tokener_new_ex(JSON_MAX_DEPTH + 2);
	if (!tokener)
		return out_of_memory(e);

	/* Blanks behind the object would be trailing bytes to json-c's strict mode. */
	while (is_space(text[length - 1]))
		length--;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	struct json_object *o CLEANUP(json_put) = json_tokener_parse_ex(tokener, text, (int)length);
	enum json_tokener_error error = json_tokener_get_error(tokener);
	size_t end = json_tokener_get_parse_end(tokener);
	if (error == json_tokener_continue)
		return refuse(e, "unfinished");
	if (error != json_tokener_success)
		return error_set(e, ERROR_INVALID_VALUE, NULL, "no valid JSON: %s at byte %zu",
				 json_tokener_error_desc(error), end);
	if (!json_object_is_type(o, json_type_object) || end < length)
		return out_of_memory(e);
	*ret = TAKE_PTR(o);
	return 0;
}

/* Does an object come first? */
static bool
begins_object(const char *text, size_t length)
{
	while (length > 0 && is_space(*text)) {
		text++;
		length--;
	}
	return length > 0 && *text == '{';
}

int
json_parse(const char *text, size_t length, struct json_object **ret, struct error *e)
{
	struct json_words words;
	struct json_object *o CLEANUP(json_put) = NULL;
	if (length > INT32_MAX)
		return refuse(e, "too long");
	int r = json_scan(text, length, JSON_MAX_DEPTH, &words, e);
	if (r < 0)
		return r;
	if (!begins_object(text, length))
		return refuse(e, "an object is wanted");
	r = parse_words(text, length, &o, e);
	if (r < 0)
		return r;

	size_t members = 0;
	if (!walk(o, &members))
		return refuse(e, "a number too large");
	if (members != words.members)
		return refuse(e, "a key stands twice in one object");
	*ret = TAKE_PTR(o);
	return 0;
}

const char *
json_text(struct json_object *o, size_t *length)
{
	return json_object_to_json_string_length(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, length);
}

struct json_object *
json_string(const char *text)
{
	size_t length = strlen(text);
	if (utf8_is_valid(text, length))
		return json_object_new_string_len(text, (int)length);

	char *copy CLEANUP(free_ptr) = strdup(text);
	if (!copy)
		return NULL;
	utf8_clean(copy);
	return json_object_new_string(copy);
}

int
json_add(struct json_object *o, const char *key, struct json_object *value)
{
	const unsigned flags = JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY;
	if (value && json_object_object_add_ex(o, key, value, flags) == 0)
		return 0;
	json_object_put(value);
	return -ENOMEM;
}

void
json_put(struct json_object **o)
{
	json_object_put(*o);
}
