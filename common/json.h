/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strict JSON in (RFC 8259 as UTF-8, no duplicate keys), compact JSON out; closes what json-c leaves open. */
#pragma once

#include <stddef.h>

#include "error.h"

struct json_object;

#define JSON_MAX_DEPTH 12

/* Parses exactly one JSON object from `length` bytes (the terminator not counted). Refused beside what json-c refuses:
 * duplicate keys, NUL in strings, invalid UTF-8 of any kind (overlong forms, surrogates, lone \u surrogates), raw
 * control characters, single quotes, NaN, Infinity, numbers outside int64/double, nesting over JSON_MAX_DEPTH, trailing
 * bytes. ERROR_INVALID_VALUE says what and, where one place is to blame, at which byte. *ret is the caller's
 * (json_object_put). */
int json_parse(const char *text, size_t length, struct json_object **ret, struct error *e);

/* Compact text of an object: no spaces, "/" not escaped. Owned by the object, valid until its next use. NULL when out
 * of memory. */
const char *json_text(struct json_object *o, size_t *length);

/* A JSON string; text that is no valid UTF-8 (names that others gave to kernel objects) is cleaned first. NULL when out
 * of memory. */
struct json_object *json_string(const char *text);

/* Adds `value` under a key that `o` does not have yet and that outlives it (a literal or a table's name); takes `value`
 * in any case. -ENOMEM if it is NULL or there is no room. */
int json_add(struct json_object *o, const char *key, struct json_object *value);

/* Cleanup form of json_object_put(). */
void json_put(struct json_object **o);
