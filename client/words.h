/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keyword arguments in the manner of ip(8), as tables: parsing, usage, help and completion follow from them. What a word
 * sets is a field of the object model, whose table tells type, range and grammar. */
#pragma once

#include <stdbool.h>

#include "error.h"
#include "fields.h"

struct json_object;
struct word;

/* Puts the value `text` of a word into `o`. */
typedef int word_set(const struct word *w, const char *text, struct json_object *o, struct error *e);

/* What an argument names, for completion. */
enum noun {
	NOUN_NONE,
	NOUN_NAMESPACE,
	NOUN_OWN_NAMESPACE, /* made by nsd */
	NOUN_LINK,
	NOUN_INTERFACE,
	NOUN_NETWORK,
	NOUN_SLOT,
	NOUN_PROCESS,
	NOUN_METHOD,
	NOUN_VERB,
	NOUN_COMMAND,
};

/* The arguments still to be read. */
struct cursor {
	char **argv;
	int argc;
	int at;
};

/* Reads the rest of a word that no field describes; the word itself is passed already. */
typedef int word_parse(struct cursor *c, const struct word *w, struct json_object **targets, struct error *e);

struct word {
	const char *name; /* NULL: the table ends, or goes on at `more` */
	const struct word *more;
	const char *aliases; /* separated by blanks; NULL: none */
	const char *value;   /* what follows, as usage shows it; NULL: nothing */
	const char *help;
	const struct type *of;		/* the field it sets ... */
	const char *field;		/* ... by name */
	const char *constant;		/* a word without value: what it sets the field to */
	unsigned target;		/* which of the targets has the field */
	const char *part;		/* the field is in the object at this key of the target; NULL: in the target */
	word_set *set;			/* NULL: words_set() */
	enum noun noun;			/* what completes its value */
	bool repeats;			/* may be given several times; lists and pairs always may */
	bool (*bare)(const char *text); /* an argument like this stands for the word and its value */
	word_parse *parse;
};

/* A walk over a table and those it goes on with: NULL at the end. */
const struct word *words_first(const struct word *table);
const struct word *words_next(const struct word *w);

/* The word that `text` is, by name or alias; NULL if it is none. */
const struct word *words_find(const struct word *table, const char *text);

/* Does the blank-separated list hold `text`? */
bool words_listed(const char *list, const char *text);

/* Reads one word with what belongs to it: 1, or 0 if the next argument is no word. */
int words_parse_one(const struct word *table, struct cursor *c, struct json_object **targets, struct error *e);

/* Reads words as long as they follow; targets[w->target] takes what they set. Ends without error at an argument that is
 * no word. */
int words_parse(const struct word *table, struct cursor *c, struct json_object **targets, struct error *e);

/* The same, but every argument must be a word. */
int words_parse_all(const struct word *table, struct cursor *c, struct json_object **targets, struct error *e);

/* The next argument as the value of `w`; NULL with a usage failure if there is none. */
const char *words_value(struct cursor *c, const struct word *w, struct error *e);

/* Checks `text` against the field and puts it into `o`: scalars once only, lists are appended to, pairs are K=V. */
word_set words_set;

/* The table entry of the field that a word sets. */
const struct field *words_field(const struct word *w);

/* The usage failure for an argument that nothing expects. */
int words_unknown(const struct word *table, const char *text, struct error *e);
