/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Help and usage, all of it from the tables of verbs, words and options. */
#include "config.h"

#include <string.h>

#include "failure.h"
#include "verb.h"

static void
usage_word(FILE *f, const struct word *w)
{
	bool many = w->repeats;

	for (const struct field *field = w->of ? w->of->fields : NULL; field && field->name; field++)
		if (w->field && strcmp(field->name, w->field) == 0)
			many |= field->type == FIELD_PAIRS || field->type == FIELD_STRINGS || field->type == FIELD_LIST;
	fprintf(f, " [%s%s%s]%s", w->name, w->value ? " " : "", w->value ? w->value : "", many ? "..." : "");
}

void
help_usage(FILE *f, const struct verb *v)
{
	fprintf(f, "usage: nsc %s%s%s", v->name, v->arguments ? " " : "", v->arguments ? v->arguments : "");
	if (!(v->flags & VERB_RAW))
		for (const struct word *w = words_first(v->words); w; w = words_next(w))
			usage_word(f, w);
	fputc('\n', f);
}

static void
help_word(FILE *f, const struct word *w)
{
	char left[80];

	snprintf(left, sizeof(left), "%s%s%s", w->name, w->value ? " " : "", w->value ? w->value : "");
	fprintf(f, "  %-26s  %s", left, w->help);
	if (w->aliases)
		fprintf(f, " (also: %s)", w->aliases);
	fputc('\n', f);
}

void
help_verb(FILE *f, const struct verb *v)
{
	fprintf(f, "nsc %s: %s\n\n", v->name, v->help);
	help_usage(f, v);
	if (v->words)
		fputc('\n', f);
	for (const struct word *w = words_first(v->words); w; w = words_next(w))
		help_word(f, w);
	if (v->text)
		fprintf(f, "\n%s", v->text);
	if (v->aliases)
		fprintf(f, "\nAlso spelt: %s\n", v->aliases);
}

static void
help_line(FILE *f, const struct verb *v)
{
	char left[80];

	snprintf(left, sizeof(left), "%s%s%s", v->name, v->arguments ? " " : "", v->arguments ? v->arguments : "");
	if (strlen(left) > 26)
		fprintf(f, "  %s\n  %-26s  %s\n", left, "", v->help);
	else
		fprintf(f, "  %-26s  %s\n", left, v->help);
}

int
help_family(FILE *f, const char *word)
{
	size_t n = strlen(word);
	int count = 0;

	for (const struct family *family = families; family->title; family++)
		for (const struct verb *v = family->verbs; v->name; v++) {
			if (strncmp(v->name, word, n) != 0 || v->name[n] != ' ')
				continue;
			help_line(f, v);
			count++;
		}
	return count;
}

static void
help_option(FILE *f, const struct option_desc *o)
{
	char left[80];

	snprintf(left, sizeof(left), "%s%s%s%s%s", o->letter ? o->letter : "", o->letter ? ", " : "", o->name,
		 o->value ? " " : "", o->value ? o->value : "");
	fprintf(f, "  %-26s  %s\n", left, o->help);
}

void
help_all(FILE *f)
{
	fputs("usage: nsc [OPTION]... VERB [ARGUMENT]...\n\n"
	      "Makes, connects, enters and watches the namespaces that nsd(8) keeps.\n",
	      f);
	for (const struct family *family = families; family->title; family++) {
		if (family->title[0])
			fprintf(f, "\n%s:\n", family->title);
		for (const struct verb *v = family->verbs; v->name; v++)
			help_line(f, v);
	}
	fputs("\nOptions:\n", f);
	for (const struct option_desc *o = client_options; o->name; o++)
		help_option(f, o);
	fputs("\n\"nsc help VERB\" tells all about one verb, \"nsc help exit\" what the exit status means.\n", f);
}
