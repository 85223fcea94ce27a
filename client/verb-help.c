/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nsc help, version. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "failure.h"
#include "verb.h"

static int
run_help(struct client *c UNUSED, const struct arguments *a, struct error *e)
{
	int used;

	if (a->n == 0) {
		help_all(stdout);
		return 0;
	}
	if (strcmp(a->v[0], "exit") == 0) {
		puts("Exit status of nsc:");
		failure_list(stdout);
		return 0;
	}
	if (a->n == 1 && help_family(stdout, a->v[0]))
		return 0;
	const struct verb *v = verb_find(a->n, a->v, &used, e);
	if (!v)
		return -EINVAL;
	help_verb(stdout, v);
	return 0;
}

static int
run_version(struct client *c UNUSED, const struct arguments *a UNUSED, struct error *e UNUSED)
{
	puts("nsc " PACKAGE_VERSION);
	return 0;
}

/* clang-format off */
const struct verb help_verbs[] = {
	{ .name = "help", .arguments = "[VERB|exit]", .help = "help on everything, a verb, or the exit status", .max = 2,
	  .nouns = { NOUN_VERB }, .run = run_help },
	{ .name = "version", .help = "print the version of nsc", .max = 0, .run = run_version },
	{ 0 },
};
/* clang-format on */
