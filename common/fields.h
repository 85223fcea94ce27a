/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Field tables: one description of a struct from which follow parsing, validation, printing, comparing, freeing and the
 * Varlink interface description. A table stands right under the struct it describes.
 *
 * How a value may be absent (FIELD_NULLABLE), by type:
 *   FIELD_BOOL     int       FIELD_ABSENT_BOOL (-1)
 *   FIELD_INT      int64_t   FIELD_ABSENT_INT (INT64_MIN)
 *   FIELD_ENUM     int       FIELD_ABSENT_ENUM (-1), else index into type->values
 *   FIELD_FLAGS    unsigned  0; bit n stands for type->values[n]; on the wire an array of names
 *   FIELD_STRING   char *    NULL
 *   FIELD_STRINGS  struct strings, FIELD_LIST struct list, FIELD_PAIRS struct pairs: .set == false
 *   FIELD_STRUCT   pointer to a heap struct, NULL
 *   FIELD_OBJECT   struct json_object *, NULL: any JSON object, not looked into
 * FIELD_EMBED puts all fields of another type into this JSON object; the struct lies at `offset` in this one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct json_object;

#define FIELD_ABSENT_BOOL (-1)
#define FIELD_ABSENT_ENUM (-1)
#define FIELD_ABSENT_INT INT64_MIN
#define FIELD_MAX_ITEMS 64 /* of strings, lists and pairs whose table entry gives no maximum */

struct strings {
	char **v;
	size_t n;
	bool set;
};

struct pair {
	char *key, *value;
};

struct pairs { /* sorted by key */
	struct pair *v;
	size_t n;
	bool set;
};

struct list { /* n structs of type->size bytes, one after the other */
	void *v;
	size_t n;
	bool set;
};

enum field_type {
	FIELD_BOOL,
	FIELD_INT,
	FIELD_ENUM,
	FIELD_FLAGS,
	FIELD_STRING,
	FIELD_STRINGS,
	FIELD_PAIRS,
	FIELD_LIST,
	FIELD_STRUCT,
	FIELD_OBJECT,
	FIELD_EMBED,
};

enum field_flags {
	FIELD_NULLABLE = 1 << 0, /* may be absent; without it parsing insists on the field */
	FIELD_STATE = 1 << 1,	 /* reported by nsd: printed, refused as input from a client */
	FIELD_RECORD = 1 << 2,	 /* only in stored records, never on the wire nor in the description */
	FIELD_IDENTITY = 1 << 3, /* not part of the specification: fields_match() passes it over */
};

/* For whom a struct is parsed or printed. */
enum fields_view {
	VIEW_INPUT,  /* a client's request: STATE and RECORD fields are unknown */
	VIEW_OUTPUT, /* a reply: RECORD fields are left out */
	VIEW_RECORD, /* a stored record: every field */
};

/* Checks one string value; see names.h. */
typedef int field_check(const char *text, struct error *e);

struct field;

/* A struct (fields, ended by a zero entry) or an enum (values, ended by NULL). */
struct type {
	const char *name; /* of the Varlink type */
	const char *doc;
	size_t size;
	const struct field *fields;
	const char *const *values;
};

struct field {
	const char *name;
	const char *doc; /* sentences for the description; lines are broken by the printer */
	enum field_type type;
	unsigned flags;
	size_t offset;
	const struct type *of; /* ENUM, FLAGS, LIST, STRUCT, EMBED */
	int64_t min, max; /* INT: both inclusive, both 0 = any; STRINGS, LIST, PAIRS: max items (0 = FIELD_MAX_ITEMS) */
	field_check *check; /* STRING, each of STRINGS, each key of PAIRS; NULL = valid UTF-8, at most 4096 bytes */
	field_check *check_value; /* each value of PAIRS */
};

/* Sets every field of `s` to absent (bool -1, int INT64_MIN, enum -1, pointers NULL); never allocates. */
void fields_init(const struct type *t, void *s);

/* Reads the JSON object `o` into `s`, which is initialised here. Unknown keys, missing fields and wrong types give
 * ERROR_INVALID_PARAMETER, values outside check or range ERROR_INVALID_VALUE; both name the field by its whole path.
 * A JSON null counts as absent. On failure `s` holds nothing to free. In VIEW_RECORD and VIEW_OUTPUT unknown keys are
 * passed over, so that an older nsd can read the records of a newer one of the same schema, and an older nsc its
 * replies. VIEW_OUTPUT looks at types only, not at checks, ranges and numbers of items: replies show foreign objects,
 * which keep no grammar. */
int fields_parse(const struct type *t, struct json_object *o, enum fields_view view, void *s, struct error *e);

/* Frees what `s` points to and initialises it again; `s` itself stays the caller's. */
void fields_done(const struct type *t, void *s);

/* A deep copy into `to`, which is overwritten without being freed. -ENOMEM only. */
int fields_copy(const struct type *t, const void *from, void *to, struct error *e);

/* Compares what the specification asks for: every input field that is present in `want` and not FIELD_IDENTITY.
 * Returns false and the path of the first difference in `path` (size bytes), or true when all are equal. */
bool fields_match(const struct type *t, const void *want, const void *have, char *path, size_t size);

/* The JSON object of `s` as compact text; absent fields are left out, but an array or object that is not FIELD_NULLABLE is
 * then written empty. Text that is no valid UTF-8 is cleaned (utf8_clean()). *ret is the caller's (free). -ENOMEM only. */
int fields_to_text(const struct type *t, const void *s, enum fields_view view, char **ret, struct error *e);

/* fields_parse() of a text. */
int fields_from_text(const struct type *t, const char *text, enum fields_view view, void *s, struct error *e);

/* Name of an enum value ("" if absent) and back (-1 if unknown). */
const char *enum_name(const struct type *t, int value);
int enum_value(const struct type *t, const char *name);

/* Small helpers on the containers; all own copies. */
int strings_add(struct strings *s, const char *text);
bool strings_contain(const struct strings *s, const char *text);
void strings_done(struct strings *s);
int pairs_set(struct pairs *p, const char *key, const char *value);
const char *pairs_get(const struct pairs *p, const char *key);
void pairs_done(struct pairs *p);
