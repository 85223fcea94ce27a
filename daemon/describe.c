/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Varlink description of an interface, made from its tables. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "method.h"

#define COMMENT_WIDTH 100
#define MAX_TYPES 64

/* Named types in the order of their first use. */
struct types {
	const struct type *v[MAX_TYPES];
	unsigned n;
};

/* `text` as comment lines of at most COMMENT_WIDTH columns. */
static void
put_comment(FILE *f, const char *indent, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");
		if (column + 1 + word > COMMENT_WIDTH) {
			fputc('\n', f);
			column = 0;
		}
		fprintf(f, "%s%.*s", column ? " " : indent, (int)word, text);
		column += word + (column ? 1 : strlen(indent));
		text += word + strspn(text + word, " ");
	}
	fputc('\n', f);
}

static void collect(const struct type *t, struct types *types);

static void
collect_fields(const struct type *t, struct types *types)
{
	for (const struct field *f = t ? t->fields : NULL; f && f->name; f++)
		if (f->type == FIELD_EMBED)
			collect_fields(f->of, types);
		else if (f->of && !(f->flags & FIELD_RECORD))
			collect(f->of, types);
}

static void
collect(const struct type *t, struct types *types)
{
	for (unsigned i = 0; i < types->n; i++)
		if (types->v[i] == t)
			return;
	if (types->n < MAX_TYPES)
		types->v[types->n++] = t;
	collect_fields(t, types);
}

static void
put_type_name(FILE *f, const struct field *field)
{
	static const char *const plain[] = {
		[FIELD_BOOL] = "bool",	   [FIELD_INT] = "int",		 [FIELD_STRING] = "string",
		[FIELD_OBJECT] = "object", [FIELD_STRINGS] = "[]string", [FIELD_PAIRS] = "[string]string",
	};
	const char *array = field->type == FIELD_LIST || field->type == FIELD_FLAGS ? "[]" : "";

	fprintf(f, "%s%s%s", field->flags & FIELD_NULLABLE ? "?" : "", array,
		field->of ? field->of->name : plain[field->type]);
}

/* The fields of `t`, one a line, those of embedded types in their place. `view` as in fields_parse(). */
static void
put_fields(FILE *f, const struct type *t, enum fields_view view, bool *first)
{
	for (const struct field *field = t ? t->fields : NULL; field && field->name; field++) {
		if (field->type == FIELD_EMBED) {
			put_fields(f, field->of, view, first);
			continue;
		}
		if ((field->flags & FIELD_RECORD) || (view == VIEW_INPUT && (field->flags & FIELD_STATE)))
			continue;
		fputs(*first ? "\n" : ",\n", f);
		*first = false;
		if (field->doc)
			put_comment(f, "  # ", field->doc);
		fprintf(f, "  %s: ", field->name);
		put_type_name(f, field);
	}
}

static void
put_struct(FILE *f, const struct type *t, enum fields_view view)
{
	bool first = true;

	fputc('(', f);
	put_fields(f, t, view, &first);
	fputs(first ? ")" : "\n)", f);
}

static void
put_type(FILE *f, const struct type *t)
{
	fputc('\n', f);
	if (t->doc)
		put_comment(f, "# ", t->doc);
	fprintf(f, "type %s ", t->name);
	if (!t->values) {
		put_struct(f, t, VIEW_OUTPUT);
	} else {
		for (const char *const *v = t->values; *v; v++)
			fprintf(f, "%s%s", v == t->values ? "(" : ", ", *v);
		fputc(')', f);
	}
	fputc('\n', f);
}

static void
put_types(FILE *f, const struct interface *i)
{
	struct types types = { .n = 0 };

	for (const struct method *const *table = i->tables; *table; table++)
		for (const struct method *m = *table; m->name; m++) {
			collect_fields(m->in, &types);
			collect_fields(m->out, &types);
		}
	for (unsigned n = 0; n < types.n; n++)
		put_type(f, types.v[n]);
}

static void
put_method(FILE *f, const struct method *m)
{
	fputc('\n', f);
	put_comment(f, "# ", m->doc);
	if (m->flags & METHOD_REQUIRES_MORE)
		fputs("# [Requires 'more' flag]\n", f);
	if (m->permission == PERMISSION_ROOT)
		fputs("# Root only.\n", f);
	if (m->flags & METHOD_TAKES_FDS)
		fputs("# The call may carry file descriptors.\n", f);
	if (m->flags & METHOD_RETURNS_FDS)
		fputs("# The reply carries a file descriptor.\n", f);
	fprintf(f, "method %s", m->name);
	put_struct(f, m->in, VIEW_INPUT);
	fputs(" -> ", f);
	put_struct(f, m->out, VIEW_OUTPUT);
	fputc('\n', f);
}

static void
put_error(FILE *f, enum error_code code)
{
	const struct error_desc *d = error_desc(code);

	fputc('\n', f);
	put_comment(f, "# ", d->doc);
	fprintf(f, "error %s (", strrchr(d->name, '.') + 1);
	if (!d->parameter)
		fputs("message: string, field: ?string, errno: ?int", f);
	else if (*d->parameter)
		fprintf(f, "%s: string", d->parameter);
	fputs(")\n", f);
}

int
interface_describe(const struct interface *i, char **ret, struct error *e)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return error_errno(e, errno, "describing %s", i->name);
	if (i->description) {
		fputs(i->description, f);
	} else {
		put_comment(f, "# ", i->doc);
		fprintf(f, "interface %s\n", i->name);
		put_types(f, i);
		for (const struct method *const *table = i->tables; *table; table++)
			for (const struct method *m = *table; m->name; m++)
				put_method(f, m);
		for (const enum error_code *c = i->errors; c && *c != ERROR_NONE; c++)
			put_error(f, *c);
	}
	bool failed = ferror(f);
	if (fclose(f) != 0 || failed) {
		free(text);
		return error_errno(e, ENOMEM, "describing %s", i->name);
	}
	*ret = text;
	return 0;
}
