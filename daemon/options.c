/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line: one table from which parsing and help follow. */
#include "config.h"

#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "model.h"

enum kind { TEXT, FLAG, LEVEL };

struct option {
	const char *name, *argument, *doc;
	enum kind kind;
	size_t offset;
};

/* clang-format off */
static const struct option table[] = {
	{ "--config", "FILE", "read this file instead of the installed ones, nsd.conf(5)", TEXT, offsetof(struct options, config) },
	{ "--state-directory", "DIR", "where records are kept, default " STATE_DIRECTORY, TEXT,
	  offsetof(struct options, state_directory) },
	{ "--runtime-directory", "DIR", "where the socket is, default " RUNTIME_DIRECTORY, TEXT,
	  offsetof(struct options, runtime_directory) },
	{ "--socket", "PATH", "the socket, default RUNTIME-DIRECTORY/" MODEL_INTERFACE, TEXT, offsetof(struct options, socket) },
	{ "--log-level", "LEVEL", "err, warning, notice, info or debug", LEVEL, offsetof(struct options, log_level) },
	{ "--private", NULL, "run in a network and mount namespace of its own: for trying out, the host stays untouched", FLAG,
	  offsetof(struct options, private_namespaces) },
	{ "--describe", NULL, "print the Varlink interfaces and exit", FLAG, offsetof(struct options, describe) },
	{ "--version", NULL, "print the version and exit", FLAG, offsetof(struct options, version) },
	{ "--help", NULL, "print this and exit", FLAG, offsetof(struct options, help) },
};
/* clang-format on */

static const struct option *
find_option(const char *word, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (strlen(table[i].name) == length && strncmp(table[i].name, word, length) == 0)
			return &table[i];
	return NULL;
}

static int
take(const struct option *o, const char *value, struct options *options, struct error *e)
{
	char *field = (char *)options + o->offset;

	if (o->kind == FLAG) {
		*(bool *)field = true;
		return 0;
	}
	if (o->kind == TEXT) {
		if (!*value)
			return error_set(e, ERROR_INVALID_VALUE, o->name, "%s needs a %s", o->name, o->argument);
		*(const char **)field = value;
		return 0;
	}
	int level = log_level_from_string(value);
	if (level < 0)
		return error_set(e, ERROR_INVALID_VALUE, o->name,
				 "%s is err, warning, notice, info or debug, not \"%s\"", o->name, value);
	*(int *)field = level;
	return 0;
}

int
options_parse(int argc, char *argv[], struct options *ret, struct error *e)
{
	struct options options = { .state_directory = STATE_DIRECTORY,
				   .runtime_directory = RUNTIME_DIRECTORY,
				   .log_level = -1 };

	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *value = strchr(word, '=');
		const struct option *o = find_option(word, value ? (size_t)(value - word) : strlen(word));
		if (!o)
			return error_set(e, ERROR_INVALID_VALUE, word, "unknown option \"%s\"; nsd --help lists them",
					 word);
		if (o->kind == FLAG ? value != NULL : !value && i + 1 == argc)
			return error_set(e, ERROR_INVALID_VALUE, o->name,
					 o->kind == FLAG ? "%s takes no value%s" : "%s needs a %s", o->name,
					 o->argument ? o->argument : "");
		if (o->kind != FLAG)
			value = value ? value + 1 : argv[++i];
		int err = take(o, value, &options, e);
		if (err < 0)
			return err;
	}
	*ret = options;
	return 0;
}

void
options_help(void)
{
	puts("nsd: owns the network namespaces and links of this host\n\nusage: nsd [OPTION]...\n");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char left[40];
		snprintf(left, sizeof(left), "%s%s%s", table[i].name, table[i].argument ? " " : "",
			 table[i].argument ? table[i].argument : "");
		printf("  %-25s %s\n", left, table[i].doc);
	}
	puts("\nSIGHUP reads the configuration again. See nsd(8), nsc(1).");
}
