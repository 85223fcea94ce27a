/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What holds for the whole run of nsc: its global options, one table from which parsing, help and completion follow. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "error.h"

struct connection;

#define TIMEOUT_UNSET (-1)
#define TIMEOUT_DEFAULT 45 /* seconds, as varlinkctl(1) has it; streams and waiting requests have none */

struct client {
	const char *socket; /* NULL: not given */
	const char *host;   /* NULL: this one */
	bool json, help, version;
	bool exec;	    /* ends with the status of a command (VERB_EXEC) */
	int status;	    /* of that command, where nsc did not become it */
	int timeout;	    /* seconds of silence after which nsc gives up; 0 never, TIMEOUT_UNSET */
	const char *notice; /* told once, on a terminal, when an answer takes long; NULL: nothing */
	struct connection *connection;
};

struct option_desc {
	const char *name, *letter; /* "--json", "-j"; letter may be NULL */
	const char *value;	   /* NULL: takes none */
	const char *help;
	int (*set)(struct client *c, const char *value, struct error *e);
};

extern const struct option_desc client_options[]; /* ended by a zero entry */

/* Defaults and environment. */
void client_init(struct client *c);

/* The socket to use on this host. */
const char *client_socket(const struct client *c);

/* Takes the options of nsc out of argv, up to "--" or, with `leading`, up to the first other argument. Returns the new
 * argc, or a negative errno. Arguments it does not know are left in place. */
int client_parse_options(struct client *c, int argc, char **argv, bool leading, struct error *e);
