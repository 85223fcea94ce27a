/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Writes a struct as a JSON object by its field table, straight into a text. */
#include "config.h"

#include <errno.h>

#include "fields-private.h"
#include "json.h"
#include "text.h"

static void print_object(struct text *text, const struct type *t, const void *s, enum fields_view view);

/* A comma before every element but the first. */
static void
separate(struct text *text, size_t i)
{
	if (i > 0)
		text_put(text, ",", 1);
}

static void
print_flags(struct text *text, const struct type *t, unsigned flags)
{
	size_t n = 0;

	text_put(text, "[", 1);
	for (int i = 0; t->values[i]; i++)
		if (flags & 1U << i) {
			separate(text, n++);
			text_string(text, t->values[i]);
		}
	text_put(text, "]", 1);
}

static void
print_strings(struct text *text, const struct strings *s)
{
	text_put(text, "[", 1);
	for (size_t i = 0; i < s->n; i++) {
		separate(text, i);
		text_string(text, s->v[i]);
	}
	text_put(text, "]", 1);
}

static void
print_pairs(struct text *text, const struct pairs *p)
{
	text_put(text, "{", 1);
	for (size_t i = 0; i < p->n; i++) {
		separate(text, i);
		text_string(text, p->v[i].key);
		text_put(text, ":", 1);
		text_string(text, p->v[i].value);
	}
	text_put(text, "}", 1);
}

static void
print_list(struct text *text, const struct type *t, const struct list *l, enum fields_view view)
{
	text_put(text, "[", 1);
	for (size_t i = 0; i < l->n; i++) {
		separate(text, i);
		print_object(text, t, list_at(t, l, i), view);
	}
	text_put(text, "]", 1);
}

static void
print_json(struct text *text, struct json_object *o)
{
	size_t length;
	const char *bytes = json_text(o, &length);

	if (bytes)
		text_put(text, bytes, length);
	else
		text->failed = true;
}

/* A value that is there, whatever its type. */
static void
print_value(struct text *text, const struct field *f, const void *at, enum fields_view view)
{
	switch (f->type) {
	case FIELD_BOOL:
		text_puts(text, *(const int *)at ? "true" : "false");
		break;
	case FIELD_INT:
		text_number(text, *(const int64_t *)at);
		break;
	case FIELD_ENUM:
		text_string(text, enum_name(f->of, *(const int *)at));
		break;
	case FIELD_FLAGS:
		print_flags(text, f->of, *(const unsigned *)at);
		break;
	case FIELD_STRING:
		text_string(text, *(char *const *)at);
		break;
	case FIELD_STRINGS:
		print_strings(text, at);
		break;
	case FIELD_PAIRS:
		print_pairs(text, at);
		break;
	case FIELD_LIST:
		print_list(text, f->of, at, view);
		break;
	case FIELD_STRUCT:
		print_object(text, f->of, *(void *const *)at, view);
		break;
	case FIELD_OBJECT:
		print_json(text, *(struct json_object *const *)at);
		break;
	case FIELD_EMBED:
		break; /* has no value of its own */
	}
}

/* An array or object that must be there is written as an empty one when nobody set it. */
static bool
is_left_out(const struct field *f, const void *at)
{
	bool container =
		f->type == FIELD_FLAGS || f->type == FIELD_STRINGS || f->type == FIELD_PAIRS || f->type == FIELD_LIST;
	return field_absent(f, at) && (field_nullable(f) || !container);
}

/* Returns how many fields the object has so far. Keys are the table's own and need no escaping. */
static size_t
print_fields(struct text *text, const struct type *t, const void *s, enum fields_view view, size_t n)
{
	for (const struct field *f = t->fields; f->name; f++) {
		const void *at = field_in(f, s);
		if (!field_visible(f, view) || is_left_out(f, at))
			continue;
		if (f->type == FIELD_EMBED) {
			n = print_fields(text, f->of, at, view, n);
			continue;
		}
		text_key(text, f->name, n++ == 0);
		print_value(text, f, at, view);
	}
	return n;
}

static void
print_object(struct text *text, const struct type *t, const void *s, enum fields_view view)
{
	text_put(text, "{", 1);
	print_fields(text, t, s, view, 0);
	text_put(text, "}", 1);
}

int
fields_to_text(const struct type *t, const void *s, enum fields_view view, char **ret, struct error *e)
{
	struct text text = { 0 };

	print_object(&text, t, s, view);
	char *bytes = text_take(&text, NULL);
	if (!bytes)
		return error_errno(e, ENOMEM, "writing a %s", t->name ? t->name : "reply");
	*ret = bytes;
	return 0;
}
