/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The command line of nsd. */
#pragma once

#include <stdbool.h>

#include "error.h"

struct options {
	const char *config; /* NULL: the installed files */
	const char *state_directory, *runtime_directory;
	const char *socket; /* NULL: in the runtime directory */
	int log_level;	    /* -1: as configured */
	bool private_namespaces;
	bool help, version, describe;
};

/* Strings are borrowed from argv. ERROR_INVALID_VALUE names the option. */
int options_parse(int argc, char *argv[], struct options *ret, struct error *e);

/* The help text, on stdout. */
void options_help(void);
