/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The list of all verbs, and how the arguments become one. */
#include "config.h"

#include "verb.h"

#include <string.h>

#include "failure.h"
#include "json.h"
#include "member.h"

/* clang-format off */
const struct family families[] = {
	{ "Namespaces", namespace_verbs },
	{ "", namespace_change_verbs },
	{ "", process_verbs },
	{ "Links", link_verbs },
	{ "", link_set_verbs },
	{ "Networks and slots", network_verbs },
	{ "", pool_verbs },
	{ "", slot_verbs },
	{ "", slot_run_verbs },
	{ "The daemon", daemon_verbs },
	{ "", monitor_verbs },
	{ "The wire", wire_verbs },
	{ "", bridge_verbs },
	{ "nsc", help_verbs },
	{ "", completion_verbs },
	{ 0 },
};
/* clang-format on */

/* How many of the arguments give the name of `v`; 0: they do not. */
static int
verb_matches(const struct verb *v, int argc, char *const *argv)
{
	const char *last = strchr(v->name, ' ');
	size_t n = last ? (size_t)(last - v->name) : 0;

	if (!last)
		return strcmp(argv[0], v->name) == 0 || words_listed(v->aliases, argv[0]);
	if (strlen(argv[0]) != n || strncmp(argv[0], v->name, n) != 0)
		return 0;
	if (argc < 2)
		return v->flags & VERB_DEFAULT ? 1 : 0;
	return strcmp(argv[1], last + 1) == 0 || words_listed(v->aliases, argv[1]) ? 2 : 0;
}

static const struct verb *
find_exact(int argc, char *const *argv, int *used)
{
	for (const struct family *f = families; f->title; f++)
		for (const struct verb *v = f->verbs; v->name; v++) {
			*used = verb_matches(v, argc, argv);
			if (*used)
				return v;
		}
	return NULL;
}

/* Letters to insert, remove or change to get from one word to the other; both are short. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[32], n = strlen(b);

	if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			best = best < row[j] + 1 ? best : row[j] + 1;
			row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
		}
	}
	return row[n];
}

/* Does a verb of two words start with this one? */
static bool
starts_verb(const char *word)
{
	size_t n = strlen(word);

	for (const struct family *f = families; f->title; f++)
		for (const struct verb *v = f->verbs; v->name; v++)
			if (strncmp(v->name, word, n) == 0 && v->name[n] == ' ')
				return true;
	return false;
}

/* The verb that was probably meant. */
static const struct verb *
find_similar(const char *typed)
{
	const struct verb *best = NULL;
	size_t best_distance = 3;

	for (const struct family *f = families; f->title; f++)
		for (const struct verb *v = f->verbs; v->name; v++) {
			size_t d = distance(typed, v->name);
			if (d < best_distance && d < strlen(typed)) {
				best_distance = d;
				best = v;
			}
		}
	return best;
}

const struct verb *
verb_find(int argc, char *const *argv, int *used, struct error *e)
{
	char typed[64];

	if (argc == 0) {
		fail(e, FAILURE_USAGE, "no verb given; \"nsc help\" lists them");
		return NULL;
	}
	const struct verb *v = find_exact(argc, argv, used);
	if (v)
		return v;
	bool two = argc > 1 && starts_verb(argv[0]);
	snprintf(typed, sizeof(typed), "%s%s%s", argv[0], two ? " " : "", two ? argv[1] : "");
	v = find_similar(typed);
	if (v)
		fail(e, FAILURE_USAGE, "unknown verb \"%s\"; did you mean \"%s\"?", typed, v->name);
	else
		fail(e, FAILURE_USAGE, "unknown verb \"%s\"; \"nsc help\" lists them", typed);
	return NULL;
}

static int
too_few(const struct verb *v, struct error *e)
{
	return fail(e, FAILURE_USAGE, "%s wants %s; see \"nsc help %s\"", v->name, v->arguments, v->name);
}

static bool
is_option(const char *text)
{
	return text[0] == '-' && text[1];
}

/* Sorts the arguments into positional ones and words. The first `min` are positional whatever word they look like. */
static int
sort_arguments(const struct verb *v, int argc, char **argv, struct arguments *a, struct error *e)
{
	struct cursor cursor = { .argv = argv, .argc = argc };
	struct json_object *targets[] = { a->words, a->local };

	a->v = argv;
	while (cursor.at < argc) {
		if (a->n >= v->min || is_option(argv[cursor.at])) {
			int r = words_parse_one(v->words, &cursor, targets, e);
			if (r < 0)
				return r;
			if (r > 0)
				continue;
		}
		char *text = argv[cursor.at++];
		if (is_option(text) || (v->max >= 0 && a->n >= v->max))
			return words_unknown(v->words, text, e);
		a->v[a->n++] = text;
	}
	return a->n < v->min ? too_few(v, e) : 0;
}

int
verb_run(struct client *c, const struct verb *v, int argc, char **argv, struct error *e)
{
	c->exec = v->flags & VERB_EXEC;
	int n = client_parse_options(c, argc, argv, v->flags & VERB_COMMAND, e);
	if (n < 0)
		return n;
	if (c->help) {
		help_verb(stdout, v);
		return 0;
	}
	if (v->flags & VERB_RAW) {
		struct arguments raw = { .v = argv, .n = n };
		argv[n] = NULL; /* they have moved up, and may become the argv of a command */
		return n < v->min ? too_few(v, e) : v->run(c, &raw, e);
	}
	CLEANUP(json_put) struct json_object *words = NULL, *local = NULL;
	int r = member_new(&words, e);
	if (r == 0)
		r = member_new(&local, e);
	if (r < 0)
		return r;
	struct arguments a = { .words = words, .local = local };
	r = sort_arguments(v, n, argv, &a, e);
	return r < 0 ? r : v->run(c, &a, e);
}
