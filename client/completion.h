/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What may stand in place of the last word of a command line: from the tables, and live names from nsd. */
#pragma once

#include "options.h"

/* Prints the candidates, one a line. `argv` is what stands after "nsc"; its last word is the one to complete. Where a
 * command of another program starts, prints ":command INDEX". No nsd: no names, and no failure. */
int completion_print(struct client *c, int argc, char **argv, struct error *e);
