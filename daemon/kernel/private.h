/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A process that plays host for itself. */
#pragma once

#include "error.h"

/* Moves the calling process, which must have no other thread yet, into a new network and mount namespace: lo is up,
 * /run is an empty tmpfs, no mount made from now on is seen outside. Files outside of /run stay shared, so the socket
 * must be there: `runtime_directory` inside /run is refused. */
int kernel_go_private(const char *runtime_directory, struct error *e);
