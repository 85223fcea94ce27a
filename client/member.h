/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON objects as nsc builds and reads them. Readers never fail: what is absent or of another type has a neutral value,
 * so that a newer nsd can say more than this nsc knows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct json_object;

const char *member_text(struct json_object *value); /* of a value itself: a string as it is, others as JSON, null "" */
const char *member_string(struct json_object *o, const char *key); /* "" */
int64_t member_int(struct json_object *o, const char *key, int64_t absent);
bool member_bool(struct json_object *o, const char *key); /* false */
bool member_has(struct json_object *o, const char *key);  /* present and not null */
struct json_object *member_get(struct json_object *o, const char *key);

/* The array at `key`; items borrowed. */
size_t member_count(struct json_object *o, const char *key);
struct json_object *member_item(struct json_object *o, const char *key, size_t i);

/* Writers; -errno with "out of memory". `value` of member_put() is taken, and may be NULL as a failed allocation is. */
int member_put(struct json_object *o, const char *key, struct json_object *value, struct error *e);
int member_put_string(struct json_object *o, const char *key, const char *value, struct error *e);
int member_put_int(struct json_object *o, const char *key, int64_t value, struct error *e);
int member_put_bool(struct json_object *o, const char *key, bool value, struct error *e);
int member_append(struct json_object *array, struct json_object *value, struct error *e);
int member_new(struct json_object **ret, struct error *e);

/* The array or object at `key`, made if absent; borrowed. */
int member_open(struct json_object *o, const char *key, bool array, struct json_object **ret, struct error *e);
