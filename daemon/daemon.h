/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of nsd put together, and its event loop. */
#pragma once

#include "options.h"

/* Starts everything in order, serves until SIGTERM or SIGINT, and takes everything down again. A failed start is returned
 * and has been told to the service manager. */
int daemon_run(const struct options *o, struct error *e);

/* The descriptions of all interfaces on stdout. */
int daemon_describe(struct error *e);
