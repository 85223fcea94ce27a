/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyword arguments by tables. */
#include "config.h"

#include "words.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "failure.h"
#include "member.h"

bool
words_listed(const char *list, const char *text)
{
	size_t length = strlen(text);

	while (list && *list) {
		size_t n = strcspn(list, " ");
		if (n == length && strncmp(list, text, n) == 0)
			return true;
		list += n + strspn(list + n, " ");
	}
	return false;
}

const struct word *
words_first(const struct word *table)
{
	while (table && !table->name)
		table = table->more;
	return table;
}

const struct word *
words_next(const struct word *w)
{
	return words_first(w + 1);
}

const struct word *
words_find(const struct word *table, const char *text)
{
	for (const struct word *w = words_first(table); w; w = words_next(w))
		if (strcmp(w->name, text) == 0 || words_listed(w->aliases, text))
			return w;
	return NULL;
}

static const struct word *
find_bare(const struct word *table, const char *text)
{
	for (const struct word *w = words_first(table); w; w = words_next(w))
		if (w->bare && w->bare(text))
			return w;
	return NULL;
}

const struct field *
words_field(const struct word *w)
{
	for (const struct field *f = w->of->fields; f->name; f++)
		if (strcmp(f->name, w->field) == 0)
			return f;
	return NULL;
}

const char *
words_value(struct cursor *c, const struct word *w, struct error *e)
{
	if (c->at < c->argc)
		return c->argv[c->at++];
	fail(e, FAILURE_USAGE, "\"%s\" wants %s after it", w->name, w->value);
	return NULL;
}

static int
set_number(const struct word *w, const struct field *f, const char *text, struct json_object *o, struct error *e)
{
	char *end;

	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (*end || end == text || strspn(text, "-0123456789") != strlen(text))
		return fail(e, FAILURE_USAGE, "%s %s: not a whole number", w->name, text);
	if (errno || ((f->min || f->max) && (n < f->min || n > f->max)))
		return fail(e, FAILURE_USAGE, "%s %s: must be %" PRId64 " to %" PRId64, w->name, text, f->min,
			    f->max ? f->max : INT64_MAX);
	return member_put_int(o, f->name, n, e);
}

static int
set_pair(const struct word *w, const struct field *f, const char *text, struct json_object *o, struct error *e)
{
	char key[256];
	const char *equals = strchr(text, '=');
	struct json_object *pairs;

	if (!equals || equals == text)
		return fail(e, FAILURE_USAGE, "%s %s: want KEY=VALUE", w->name, text);
	if ((size_t)(equals - text) >= sizeof(key))
		return fail(e, FAILURE_USAGE, "%s: the key is too long", w->name);
	memcpy(key, text, (size_t)(equals - text));
	key[equals - text] = '\0';
	if ((f->check && f->check(key, e) < 0) || (f->check_value && f->check_value(equals + 1, e) < 0))
		return fail_wrap(e, FAILURE_USAGE, text);
	if (member_open(o, f->name, false, &pairs, e) < 0)
		return -ENOMEM;
	if (member_has(pairs, key))
		return fail(e, FAILURE_USAGE, "%s %s is given twice", w->name, key);
	return member_put_string(pairs, key, equals + 1, e);
}

static int
append_string(const struct field *f, const char *text, struct json_object *o, struct error *e)
{
	struct json_object *array;
	int r = member_open(o, f->name, true, &array, e);

	return r < 0 ? r : member_append(array, json_object_new_string(text), e);
}

static int
set_enum(const struct word *w, const struct field *f, const char *text, struct json_object *o, struct error *e)
{
	char names[256] = "";

	if (enum_value(f->of, text) >= 0)
		return member_put_string(o, f->name, text, e);
	for (const char *const *v = f->of->values; *v; v++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", names[0] ? ", " : "", *v);
	return fail(e, FAILURE_USAGE, "%s %s: want one of %s", w->name, text, names);
}

static int
set_bool(const struct word *w, const struct field *f, const char *text, struct json_object *o, struct error *e)
{
	bool yes = words_listed("true yes on up", text);

	if (!yes && !words_listed("false no off down", text))
		return fail(e, FAILURE_USAGE, "%s %s: want %s", w->name, text, w->value);
	return member_put_bool(o, f->name, yes, e);
}

int
words_set(const struct word *w, const char *text, struct json_object *o, struct error *e)
{
	const struct field *f = words_field(w);

	if (f->type == FIELD_PAIRS)
		return set_pair(w, f, text, o, e);
	if ((f->type == FIELD_STRING || f->type == FIELD_STRINGS) && f->check && f->check(text, e) < 0) {
		char context[300];
		snprintf(context, sizeof(context), "%s %s", w->name, text);
		return fail_wrap(e, FAILURE_USAGE, context);
	}
	if (f->type == FIELD_STRINGS)
		return append_string(f, text, o, e);
	if (member_has(o, f->name))
		return fail(e, FAILURE_USAGE, "\"%s\" contradicts or repeats what was said before", w->name);
	if (f->type == FIELD_INT)
		return set_number(w, f, text, o, e);
	if (f->type == FIELD_ENUM)
		return set_enum(w, f, text, o, e);
	if (f->type == FIELD_BOOL)
		return set_bool(w, f, text, o, e);
	return member_put_string(o, f->name, text, e);
}

int
words_parse_one(const struct word *table, struct cursor *c, struct json_object **targets, struct error *e)
{
	const char *text = c->argv[c->at];
	const struct word *w = words_find(table, text);

	if (w)
		c->at++;
	else if (!(w = find_bare(table, text)))
		return 0;
	if (w->parse) {
		int r = w->parse(c, w, targets, e);
		return r < 0 ? r : 1;
	}
	const char *value = w->constant ? w->constant : words_value(c, w, e);
	if (!value)
		return -EINVAL;
	struct json_object *o = targets[w->target];
	int r = w->part ? member_open(o, w->part, false, &o, e) : 0;
	if (r == 0)
		r = (w->set ? w->set : words_set)(w, value, o, e);
	return r < 0 ? r : 1;
}

int
words_parse(const struct word *table, struct cursor *c, struct json_object **targets, struct error *e)
{
	while (c->at < c->argc) {
		int r = words_parse_one(table, c, targets, e);
		if (r <= 0)
			return r;
	}
	return 0;
}

int
words_unknown(const struct word *table, const char *text, struct error *e)
{
	char names[256] = "";

	if (text[0] == '-')
		return fail(e, FAILURE_USAGE, "unknown option \"%s\"", text);
	for (const struct word *w = words_first(table); w; w = words_next(w))
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s", names[0] ? ", " : "", w->name);
	if (!names[0])
		return fail(e, FAILURE_USAGE, "\"%s\" is one argument too many", text);
	return fail(e, FAILURE_USAGE, "unknown word \"%s\"; known here: %s", text, names);
}

int
words_parse_all(const struct word *table, struct cursor *c, struct json_object **targets, struct error *e)
{
	int r = words_parse(table, c, targets, e);

	if (r == 0 && c->at < c->argc)
		return words_unknown(table, c->argv[c->at], e);
	return r;
}
