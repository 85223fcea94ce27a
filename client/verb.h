/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Verbs as tables: one const entry defines a verb completely. Parsing, usage, help, completion and the list in the manual
 * follow from it. */
#pragma once

#include <stdio.h>

#include "client.h"
#include "words.h"

/* What a verb was given. */
struct arguments {
	char **v; /* positional; with VERB_RAW everything after the verb */
	int n;
	struct json_object *words; /* what words of target 0 set: parameters of the call */
	struct json_object *local; /* what words of target 1 set: for nsc itself; both borrowed */
};

enum verb_flags {
	VERB_RAW = 1 << 0,     /* reads its arguments by itself; `words` serves help and completion */
	VERB_COMMAND = 1 << 1, /* options of nsc end at the first argument: what follows is a command */
	VERB_EXEC = 1 << 2,    /* ends with the status of a command, so every failure of nsc's own is EXEC_FAILED */
	VERB_DEFAULT = 1 << 3, /* what the first word of its name alone means */
};

struct verb {
	const char *name;      /* "add", "link add" */
	const char *aliases;   /* of the last word of the name, separated by blanks; NULL: none */
	const char *arguments; /* "NAME..." in the usage; the words follow by themselves unless VERB_RAW */
	const char *help;      /* one line */
	const char *text;      /* the rest; NULL: nothing more to say */
	int min, max;	       /* positional arguments; max -1: any number */
	unsigned flags;
	const struct word *words;
	enum noun nouns[2]; /* what completes the first and the other positional arguments */
	int (*run)(struct client *c, const struct arguments *a, struct error *e);
};

/* Verbs that belong together in the help. */
struct family {
	const char *title;
	const struct verb *verbs; /* ended by a zero entry */
};

extern const struct family families[]; /* ended by a zero entry */

/* One per file of that name. */
extern const struct verb namespace_verbs[], namespace_change_verbs[], process_verbs[], link_verbs[], link_set_verbs[],
	network_verbs[], pool_verbs[], slot_verbs[], slot_run_verbs[], daemon_verbs[], monitor_verbs[], wire_verbs[],
	bridge_verbs[], help_verbs[], completion_verbs[];

/* The verb that the arguments start with; *used is how many words its name took. NULL with a usage failure. */
const struct verb *verb_find(int argc, char *const *argv, int *used, struct error *e);

/* Parses the arguments of the verb and runs it. */
int verb_run(struct client *c, const struct verb *v, int argc, char **argv, struct error *e);

/* Help on everything, on one verb, on the verbs that start with a word (returns how many there are). */
void help_all(FILE *f);
void help_verb(FILE *f, const struct verb *v);
int help_family(FILE *f, const char *word);
void help_usage(FILE *f, const struct verb *v);
